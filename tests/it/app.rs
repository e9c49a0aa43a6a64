//! A whole Onegin for one test: daemon, database, simulator, its own ports and folder.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use model::{LoginId, MessageId, Priority};
use onegin::{
    config::Config,
    pipeline::{Hooks, Pipeline},
};
use serde_json::{Value, json};
use simulator::{Options, Simulator};
use storage::MessageAttributes;
use tempfile::TempDir;

use crate::{
    database::{Database, TestDatabase},
    http::{Answer, Client},
};

/// How long a test waits for something before it fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// What a test may set before the start.
pub(crate) struct Setting {
    pub(crate) config: Config,
    pub(crate) simulator: Options,
    pub(crate) hooks: Hooks,
}

/// The running whole. Fields are dropped in this order: the daemon before what it talks to.
pub(crate) struct TestApp {
    pub(crate) pipeline: Pipeline,
    pub(crate) simulator: Simulator,
    pub(crate) config: Config,
    posted: u64,
    pub(crate) database: TestDatabase,
    directory: TempDir,
}

impl TestApp {
    pub(crate) fn start(database: Database) -> Self {
        Self::start_with(database, |_| {})
    }

    pub(crate) fn start_with(database: Database, set: impl FnOnce(&mut Setting)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let test_database = TestDatabase::new(database, directory.path());
        Self::start_on(test_database, directory, set)
    }

    /// On a database that is there already.
    pub(crate) fn start_on(
        test_database: TestDatabase,
        directory: TempDir,
        set: impl FnOnce(&mut Setting),
    ) -> Self {
        onegin::install_crypto_provider();
        let mut setting = Setting {
            config: Config::default(),
            simulator: Options::default(),
            hooks: Hooks::default(),
        };
        setting.config.database = test_database.config();
        // Ten threads of each of many daemons would only slow each other down.
        setting
            .config
            .request_processor
            .request_processor_num_threads = 4.try_into().unwrap();
        set(&mut setting);
        let simulator = Simulator::start(setting.simulator).unwrap();
        let mut config = setting.config;
        point_at(&simulator, &directory, &mut config);
        let pipeline = start_daemon(&config, setting.hooks);
        Self {
            pipeline,
            simulator,
            config,
            posted: 0,
            database: test_database,
            directory,
        }
    }

    /// Stops the daemon, which must have nothing left; the simulator tells what was sent.
    pub(crate) fn stop(self) -> Simulator {
        assert!(
            self.pipeline.stop(LIMIT),
            "the daemon stopped with work left"
        );
        self.simulator
    }

    /// Stops the daemon, which leaves what waits to the journal, and starts it again. What it then
    /// goes on with is not waited for by [`TestApp::finish`].
    pub(crate) fn restart(mut self, hooks: Hooks) -> Self {
        assert!(self.pipeline.stop(LIMIT), "the daemon stopped with loss");
        self.pipeline = start_daemon(&self.config, hooks);
        self.posted = 0;
        self
    }

    /// A second daemon on the same database and the same push services.
    pub(crate) fn second_daemon(&self) -> Pipeline {
        let mut config = self.config.clone();
        config.log.notification_log_path = self.directory.path().join("log-2");
        config.request_processor.journal.journal_path = self.directory.path().join("journal-2");
        start_daemon(&config, Hooks::default())
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.pipeline.address())
    }

    /// Posts events as JSON, one request, which must be taken.
    pub(crate) fn post_events(&mut self, events: &[Value]) {
        let body = json!({ "events": events }).to_string();
        self.post("/post_events_json", body.as_bytes()).accepted();
    }

    /// Posts direct notifications as JSON, one request, which must be taken.
    pub(crate) fn post_notifications(&mut self, notifications: &[Value]) {
        let body = json!({ "notifications": notifications }).to_string();
        self.post("/post_notification_json", body.as_bytes())
            .accepted();
    }

    /// Posts a body; a 200 is counted as a request that [`TestApp::finish`] waits for.
    pub(crate) fn post(&mut self, path: &str, body: &[u8]) -> Answer {
        let answer = self.client().post(path, "", body);
        self.posted += u64::from(answer.status == 200);
        answer
    }

    /// Counts requests that the test posted by other means.
    pub(crate) fn expect_requests(&mut self, more: u64) {
        self.posted += more;
    }

    /// Waits until everything that came of every taken request has ended.
    #[track_caller]
    pub(crate) fn finish(&self) {
        let finished = self.pipeline.finished();
        assert!(
            finished.wait_for(self.posted, Instant::now() + LIMIT),
            "{} of {} requests finished",
            finished.count(),
            self.posted
        );
    }

    /// Adds a message with its texts: language, title, text.
    pub(crate) fn message(
        &self,
        attributes: MessageAttributes,
        texts: &[(i16, &str, &str)],
    ) -> MessageId {
        let storage = self.pipeline.storage();
        let id = storage.upsert_message(&attributes).unwrap();
        for (language, title, text) in texts {
            storage
                .upsert_localization(id, *language, title, text)
                .unwrap();
        }
        id
    }

    /// Waits until `condition` holds; for what nobody announces, such as written-back feedback.
    #[track_caller]
    pub(crate) fn eventually(&self, what: &str, condition: impl FnMut() -> bool) {
        eventually(what, condition);
    }

    pub(crate) fn csv_path(&self) -> PathBuf {
        self.config
            .log
            .notification_log_path
            .join("notifications.csv")
    }

    /// The notification log's lines.
    pub(crate) fn csv(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.csv_path()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// A counter or gauge by its exported line's beginning.
    pub(crate) fn metric(&self, line: &str) -> u64 {
        let text = self.client().get("/metrics").body;
        text.lines()
            .find_map(|candidate| candidate.strip_prefix(line)?.trim().parse().ok())
            .unwrap_or_else(|| panic!("no metric {line} in {text}"))
    }

    /// Whether a login's only device takes no notifications any more.
    pub(crate) fn is_unregistered(&self, login: i64) -> bool {
        let devices = self.pipeline.storage().devices(LoginId(login)).unwrap();
        !devices.is_empty() && !devices.iter().any(|device| device.is_active)
    }
}

/// See [`TestApp::eventually`].
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    let (_never, pause) = std::sync::mpsc::channel::<()>();
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        pause.recv_timeout(Duration::from_millis(5)).unwrap_err();
    }
}

fn start_daemon(config: &Config, hooks: Hooks) -> Pipeline {
    let (credentials, _) = onegin::read_credentials(&config.messenger).unwrap();
    Pipeline::start(config, credentials, hooks).unwrap()
}

/// Sets addresses, credentials and folders of the test.
fn point_at(simulator: &Simulator, directory: &TempDir, config: &mut Config) {
    let files = simulator.write_files(directory.path()).unwrap();
    let key = simulator.apns_key();
    let text = |path: PathBuf| Some(path.display().to_string());
    config.server.port = 0;
    config.messenger.apns_key_path = text(files.apns_key);
    config.messenger.apns_key_id = Some(key.key_id.clone());
    config.messenger.apns_team_id = Some(key.team_id.clone());
    config.messenger.apns_topic = Some(key.topic.clone());
    config.messenger.apns_endpoint = Some(simulator.apns_url());
    config.messenger.apns_ca_path = text(files.ca.clone());
    config.messenger.fcm_service_account_path = text(files.service_account);
    config.messenger.fcm_endpoint = Some(simulator.fcm_url());
    config.messenger.fcm_ca_path = text(files.ca);
    // Unless the test has a place for them.
    let default = Config::default();
    let journal_path = &mut config.request_processor.journal.journal_path;
    if *journal_path == default.request_processor.journal.journal_path {
        *journal_path = directory.path().join("journal");
    }
    if config.log.notification_log_path == default.log.notification_log_path {
        config.log.notification_log_path = directory.path().join("log");
    }
}

/// A message's attributes: triggered by `trigger`, nothing special.
pub(crate) fn triggered_by(name: &str, trigger: i32) -> MessageAttributes {
    MessageAttributes {
        name: name.to_owned(),
        trigger_event_id: Some(trigger),
        cooldown_ms: None,
        screen: String::new(),
        expiry_millis: None,
        priority: Priority::Normal,
    }
}

/// A login event.
pub(crate) fn login(user: i64, platform: i16, token: &str, language: i16) -> Value {
    json!({
        "user_id": user, "event_id": 4001, "timestamp": 1,
        "pairs": {"platformId": platform, "deviceToken": token, "languageId": language, "applicationVersion": 1}
    })
}

/// A turn-off event.
pub(crate) fn turn_off(user: i64, messages: &[i32]) -> Value {
    let pairs: serde_json::Map<String, Value> = messages
        .iter()
        .enumerate()
        .map(|(place, id)| (place.to_string(), json!(id.to_string())))
        .collect();
    json!({"user_id": user, "event_id": 4006, "timestamp": 1, "pairs": pairs})
}

/// Any other event.
pub(crate) fn event(user: i64, event_id: i32, pairs: Value) -> Value {
    json!({"user_id": user, "event_id": event_id, "timestamp": 1, "pairs": pairs})
}
