//! The program in a process of its own, which may be killed and started again, at a simulator
//! and on a database that outlive it.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use journal::{FileJournal, JournalConfig};
use model::{DeviceToken, MessageId, NotificationId};
use notification_log::{Row, parse_line};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use simulator::{Options, Simulator};
use storage::{MessageAttributes, OpenOptions, Storage};
use tempfile::TempDir;

use crate::{
    app::eventually,
    commands::Daemon,
    database::{Database, TestDatabase},
    http::Client,
};

/// Fields are dropped in this order.
pub(crate) struct Site {
    pub(crate) simulator: Simulator,
    database: TestDatabase,
    directory: TempDir,
}

impl Site {
    pub(crate) fn new(database: Database, options: Options) -> Self {
        onegin::install_crypto_provider();
        let directory = tempfile::tempdir().unwrap();
        let database = TestDatabase::new(database, directory.path());
        let simulator = Simulator::start(options).unwrap();
        let site = Self {
            simulator,
            database,
            directory,
        };
        fs::write(site.configuration(), site.ini()).unwrap();
        site
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn configuration(&self) -> PathBuf {
        self.directory().join("config.ini")
    }

    fn ini(&self) -> String {
        let files = self.simulator.write_files(self.directory()).unwrap();
        let key = self.simulator.apns_key();
        let ca = files.ca.display().to_string();
        let messenger = [
            ("apns_key_path", files.apns_key.display().to_string()),
            ("apns_key_id", key.key_id.clone()),
            ("apns_team_id", key.team_id.clone()),
            ("apns_topic", key.topic.clone()),
            ("apns_endpoint", self.simulator.apns_url()),
            ("apns_ca_path", ca.clone()),
            (
                "fcm_service_account_path",
                files.service_account.display().to_string(),
            ),
            ("fcm_endpoint", self.simulator.fcm_url()),
            ("fcm_ca_path", ca),
        ];
        let mut text = format!(
            "[ServerSpecific]\nport = 0\nbind_address = 127.0.0.1\n\
             [Database]\ndb_url = {}\ndb_pool_size = 2\n\
             [RequestProcessor]\nrequest_processor_num_threads = 4\n\
             [Messenger]\n",
            self.database.url()
        );
        for (key, value) in messenger {
            text += &format!("{key} = {value}\n");
        }
        text
    }

    /// Starts the program. `settings` are environment variables without their prefix, such as
    /// `SENDER__SENDER_QUEUE_LIMIT`.
    pub(crate) fn start(&self, settings: &[(&str, &str)]) -> Daemon {
        let named: Vec<(String, &str)> = settings
            .iter()
            .map(|(key, value)| (format!("ONEGIN__{key}"), *value))
            .collect();
        let environment: Vec<(&str, &str)> = named
            .iter()
            .map(|(key, value)| (key.as_str(), *value))
            .collect();
        Daemon::start(self.directory(), &self.configuration(), &environment)
    }

    /// Adds messages in language 1, each with its one text.
    pub(crate) fn messages(&self, messages: &[(MessageAttributes, &str)]) {
        let options = OpenOptions {
            processor_threads: 1,
            durable: true,
            clock: model::Clock::new(|| model::UnixMs(0)),
        };
        let storage = Storage::open(&self.database.config(), options).unwrap();
        for (attributes, text) in messages {
            let id = storage.upsert_message(attributes).unwrap();
            storage.upsert_localization(id, 1, "T", text).unwrap();
        }
    }

    /// Every line of the notification log, rotated files included.
    pub(crate) fn rows(&self) -> Vec<Row<'static>> {
        let folder = self.directory().join("log/notification");
        let mut rows = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.to_string_lossy().contains("notifications.csv") {
                let text = fs::read_to_string(path).unwrap();
                rows.extend(text.lines().map(|line| parse_line(line).unwrap()));
            }
        }
        rows
    }

    pub(crate) fn main_log(&self) -> String {
        fs::read_to_string(self.directory().join("log/pushkin.log")).unwrap()
    }

    /// Direct notifications that the journal holds unfinished, for users with one device each:
    /// `token` gives its token. Only while no daemon runs.
    pub(crate) fn left_in_journal(&self, token: impl Fn(i64) -> String) -> Vec<String> {
        let config = JournalConfig {
            journal_path: self.directory().join("data/journal"),
            ..JournalConfig::default()
        };
        let metrics = journal::Metrics::register(&mut Registry::default());
        let (_journal, unfinished) = FileJournal::open(&config, metrics).unwrap();
        let mut left = Vec::new();
        for request in unfinished.flat_map(Result::unwrap) {
            for (index, item) in request.items.iter().enumerate() {
                let model::Item::Notification(direct) = item else {
                    panic!("a request with another item than a direct notification");
                };
                let token = DeviceToken::new(token(direct.login.0));
                let item = request.item_id(index);
                let id = NotificationId::derive(item, MessageId::DIRECT, &token);
                if !request.ended.contains(id) {
                    left.push(direct.content.to_string());
                }
            }
        }
        left
    }
}

/// What a device has got.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) text: String,
    /// When its request had arrived.
    pub(crate) at: std::time::Instant,
    /// The notification's id; FCM has none.
    pub(crate) apns_id: Option<String>,
}

impl Site {
    /// What all devices have got, in no order.
    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        let apns = self.simulator.apns().delivered().into_iter();
        let fcm = self.simulator.fcm().delivered().into_iter();
        let text = |text: &Value| text.as_str().unwrap().to_owned();
        let apns = apns.map(|received| Delivery {
            text: text(&received.json()["aps"]["alert"]["body"]),
            at: received.at,
            apns_id: Some(received.header("apns-id").unwrap().to_owned()),
        });
        let fcm = fcm.map(|received| Delivery {
            text: text(&received.json()["message"]["data"]["message"]),
            at: received.at,
            apns_id: None,
        });
        apns.chain(fcm).collect()
    }
}

/// A counter or gauge by its exported line's beginning; what is not exported is 0.
pub(crate) fn metric(daemon: &Daemon, line: &str) -> u64 {
    let text = Client::connect(daemon.address).get("/metrics").body;
    text.lines()
        .filter_map(|candidate| candidate.strip_prefix(line)?.rsplit_once(' '))
        .map(|(_labels, value)| value.parse::<u64>().unwrap())
        .sum()
}

/// Waits until the daemon has nothing unfinished.
#[track_caller]
pub(crate) fn drained(daemon: &Daemon) {
    eventually("the daemon has drained", || {
        Client::connect(daemon.address).get("/readyz").status == 200
            && metric(daemon, "onegin_journal_requests") == 0
    });
}

/// Posts events, which must be taken, also when the daemon has to replay first.
pub(crate) fn post_events(daemon: &Daemon, events: &[Value]) {
    eventually("it is ready", || {
        Client::connect(daemon.address).get("/readyz").status == 200
    });
    let body = json!({ "events": events }).to_string();
    Client::connect(daemon.address)
        .post("/post_events_json", "", body.as_bytes())
        .accepted();
}

/// Fails unless all of `texts` differ; gives them as a set.
#[track_caller]
pub(crate) fn each_once(texts: impl Iterator<Item = String>) -> HashSet<String> {
    let mut seen = HashSet::new();
    for text in texts {
        assert!(!seen.contains(&text), "{text:?} is there twice");
        seen.insert(text);
    }
    seen
}
