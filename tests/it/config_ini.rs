//! Configuration files: the shipped `config.ini` is the reference and cannot go stale, complete
//! files of Pushkin's releases start a daemon, and wrong ones stop it with a clear message.

use std::{collections::BTreeSet, fs, path::Path};

use onegin::config::{Config, IniFile, known_keys, load_text};
use serde_json::json;
use simulator::{Options, Simulator};
use tempfile::TempDir;

use crate::{
    app::{eventually, login},
    commands::{Daemon, assert_names, onegin, text},
    database::{Database, TestDatabase},
    http::Client,
};

const SHIPPED: &str = include_str!("../../config.ini");

#[test]
fn the_shipped_file_equals_the_defaults_without_a_warning() {
    let loaded = load_text(Path::new("config.ini"), SHIPPED, std::iter::empty()).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.warnings, [""; 0]);
}

#[test]
fn the_shipped_file_names_every_key_and_says_a_line_about_each() {
    // Keys without a default stand in it as comments: `;key = example`.
    let text = SHIPPED.replace("\n;", "\n");
    let file = IniFile::parse(Path::new("config.ini"), &text);
    assert_eq!(file.errors, []);
    let named: BTreeSet<(String, String)> = file
        .sections
        .iter()
        .flat_map(|(section, keys)| {
            let keys = keys.options.keys();
            keys.map(move |key| (section.clone(), key.clone()))
        })
        .collect();
    let known: BTreeSet<(String, String)> = known_keys()
        .iter()
        .flat_map(|(section, keys)| {
            let keys = keys.as_object().unwrap().keys();
            keys.map(move |key| (section.to_lowercase(), key.clone()))
        })
        .collect();
    assert_eq!(named, known);
    for (_, key) in &known {
        let explained = SHIPPED
            .lines()
            .zip(SHIPPED.lines().skip(1))
            .any(|(line, next)| {
                let name = next.trim_start_matches(';').split(['=', ':']).next();
                line.starts_with("# ") && name.is_some_and(|name| name.trim() == key)
            });
        assert!(explained, "no line about {key} stands above it");
    }
}

/// Where the daemon of a test listens, sends and stores, as keys of their sections.
struct Surroundings {
    directory: TempDir,
    simulator: Simulator,
    database: TestDatabase,
}

impl Surroundings {
    fn new(database: Database) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let simulator = Simulator::start(Options::default()).unwrap();
        simulator.write_files(directory.path()).unwrap();
        let database = TestDatabase::new(database, directory.path());
        Self {
            directory,
            simulator,
            database,
        }
    }

    /// What Pushkin did not have and a migrated file needs, for `[Messenger]`.
    fn messenger(&self) -> String {
        let files = self.simulator.write_files(self.directory.path()).unwrap();
        let key = self.simulator.apns_key();
        let lines = [
            ("apns_key_path", files.apns_key.display().to_string()),
            ("apns_key_id", key.key_id.clone()),
            ("apns_team_id", key.team_id.clone()),
            ("apns_endpoint", self.simulator.apns_url()),
            ("apns_ca_path", files.ca.display().to_string()),
            (
                "fcm_service_account_path",
                files.service_account.display().to_string(),
            ),
            ("fcm_endpoint", self.simulator.fcm_url()),
            ("fcm_ca_path", files.ca.display().to_string()),
        ];
        let lines = lines.map(|(key, value)| format!("{key} = {value}\n"));
        lines.concat()
    }

    /// Pushkin's keys for PostgreSQL, or the one for SQLite beside such keys.
    fn database(&self) -> String {
        let url = self.database.config().db_url.unwrap();
        let Some(rest) = url.strip_prefix("postgres://") else {
            return format!(
                "db_url = {url}\ndb_host = nowhere.example\ndb_port = 1\n\
                 db_user = nobody\ndb_name = nothing\ndb_pass = none\n"
            );
        };
        let (user, address) = rest.split_once('@').unwrap();
        let (user, password) = user.split_once(':').unwrap_or((user, "\"\""));
        let (host, name) = address.split_once('/').unwrap();
        let (host, port) = host.split_once(':').unwrap_or((host, "5432"));
        format!(
            "db_host = {host}\ndb_port = {port}\ndb_user = {user}\n\
             db_name = {name}\ndb_pass = {password}\n"
        )
    }

    fn start(&self, config: &str) -> Daemon {
        let path = self.directory.path().join("config.ini");
        fs::write(&path, config).unwrap();
        Daemon::start(self.directory.path(), &path, &[])
    }
}

/// Posts a direct notification again and again until the logins before it are in force and both
/// services have delivered one.
fn deliver_to_both(surroundings: &Surroundings, client: &mut Client, notifications: &str) {
    let simulator = &surroundings.simulator;
    eventually("both services have delivered one", || {
        let direct = json!({"notifications": [
            {"login_id": 7, "title": "T", "content": "Hello", "screen": "fight"}
        ]});
        client
            .post(notifications, "", direct.to_string().as_bytes())
            .accepted();
        simulator.apns().counters().delivered > 0 && simulator.fcm().counters().delivered > 0
    });
}

on_each_database! {
    fn a_complete_file_of_the_last_pushkin_starts_a_daemon_that_does_what_each_key_says(database) {
        let surroundings = Surroundings::new(database);
        let daemon = surroundings.start(&format!(
            "; every key of Pushkin's own file, none with its usual value\n\
             [ServerSpecific]\n\
             game = Chess Club\n\
             world_id : 7\n\
             port = 0\n\
             [Messenger]\n\
             dry_run = no\n\
             apns_batch_size = 100\n\
             apns_topic = {topic}\n\
             apns_certificate_path = /etc/pushkin/placeholder.pem\n\
             gcm_access_key = placeholder\n\
             apns_sandbox = Yes\n\
             connection_error_retries = 2\n\
             base_deeplink_url = chess\n\
             {messenger}\
             [RequestProcessor]\n\
             queue_limit = 1000\n\
             request_processor_num_threads = 2\n\
             [Sender]\n\
             sender_queue_limit = 500 ; notifications\n\
             enabled_senders =\n\
             \tpushkin.sender.senders.ApnNotificationSender {{\"workers\": 2}}\n\
             \n\
             \tpushkin.sender.senders.GcmNotificationSender {{\"workers\": 3}}\n\
             [Log]\n\
             main_logger_name = chess\n\
             main_log_path = logs/\n\
             notifications_logger_name = chess_notifications\n\
             notification_log_path = logs/notification/\n\
             notification_log_when_to_rotate = MIDNIGHT\n\
             notification_log_rotate_suffix = %Y%m%d\n\
             main_log_level = warning\n\
             keep_log_days = 3\n\
             [Database]\n\
             {database}\
             db_pool_size = 3\n\
             max_devices_per_user = 2\n\
             max_users_per_device = 3\n\
             [Event]\n\
             login_event_id = 5001\n\
             turn_off_notification_event_id = 5006\n\
             [RequestHandler]\n\
             proto_event_handler_url = /pe\n\
             proto_notification_handler_url = /pn\n\
             json_event_handler_url = /je\n\
             json_notification_handler_url = /jn\n\
             request_queue_handler_url = /rq\n\
             apn_sender_queue_handler_url = /aq\n\
             gcm_sender_queue_handler_url = /gq\n\
             notification_post_processor_queue_handler_url = /nq\n",
            topic = surroundings.simulator.apns_key().topic,
            messenger = surroundings.messenger(),
            database = surroundings.database(),
        ));
        let mut client = Client::connect(daemon.address);
        let logins = [(2, "00ff"), (6, "android")].map(|(platform, token)| {
            let mut login = login(7, platform, token, 1);
            login["event_id"] = 5001.into();
            login
        });
        let body = json!({ "events": logins }).to_string();
        client.post("/je", "", body.as_bytes()).accepted();
        deliver_to_both(&surroundings, &mut client, "/jn");
        for path in ["/rq", "/aq", "/gq", "/nq"] {
            assert_eq!(client.get(path).status, 200, "{path}");
        }
        for usual in ["/post_events_json", "/post_notification_json"] {
            // A body that is not read costs the connection.
            let mut stranger = Client::connect(daemon.address);
            assert_eq!(stranger.post(usual, "", b"{}").status, 404, "{usual}");
        }
        for protobuf in ["/pe", "/pn"] {
            let mut stranger = Client::connect(daemon.address);
            assert_ne!(stranger.post(protobuf, "", b"").status, 404, "{protobuf}");
        }
        assert_eq!(daemon.stop(), Some(0));

        let simulator = &surroundings.simulator;
        let apns = &simulator.apns().delivered()[0];
        assert_eq!(apns.header("apns-topic"), Some(simulator.apns_key().topic.as_str()));
        let android = &simulator.fcm().delivered()[0];
        let url = android.json()["message"]["data"]["url"].to_string();
        assert!(url.contains("chess://fight?"), "{url}");
        let folder = surroundings.directory.path().join("logs");
        let csv = fs::read_to_string(folder.join("notification/notifications.csv")).unwrap();
        let line = csv.lines().find(|line| line.ends_with(",6,android")).unwrap();
        assert!(line.starts_with("0,7,Hello,0,1,0,Chess Club,7,fight,"), "{line}");
        let log = fs::read_to_string(folder.join("pushkin.log")).unwrap();
        assert!(!log.contains(" INFO "), "{log}");
        assert!(log.contains(" WARNING ") && log.contains("bind_address"), "{log}");
    }

    fn a_complete_file_of_0_1_6_1_starts_a_daemon_that_delivers(database) {
        let surroundings = Surroundings::new(database);
        let daemon = surroundings.start(&format!(
            "[ServerSpecific]\n\
             game = GameName\n\
             world_id = 1\n\
             port = 0\n\
             [Messenger]\n\
             dry_run = false\n\
             apns_batch_size = 500\n\
             apns_topic = {topic}\n\
             apns_certificate_path = /etc/pushkin/placeholder.pem\n\
             gcm_access_key = placeholder\n\
             apns_sandbox = false\n\
             connection_error_retries = 3\n\
             base_deeplink_url = application_name.com\n\
             {messenger}\
             [RequestProcessor]\n\
             queue_limit = 50000\n\
             request_processor_num_threads = 10\n\
             [Sender]\n\
             sender_queue_limit = 50000\n\
             apn_sender_interval_sec = 3\n\
             apn_num_processes = 50\n\
             gcm_num_processes = 50\n\
             [Log]\n\
             main_logger_name = pushkin\n\
             main_log_path = log/\n\
             notifications_logger_name = notifications\n\
             notification_log_path = log/notification/\n\
             notification_log_when_to_rotate = H\n\
             notification_log_rotate_suffix = %Y-%m-%d_%H\n\
             main_log_level = DEBUG\n\
             keep_log_days = 7\n\
             [Database]\n\
             {database}\
             db_pool_size = 20\n\
             max_devices_per_user = 10\n\
             [Event]\n\
             login_event_id = 4001\n\
             turn_off_notification_event_id = 4006\n\
             [RequestHandler]\n\
             proto_event_handler_url = /post_events_proto\n\
             proto_notification_handler_url = /post_notification_proto\n\
             json_event_handler_url = /post_events_json\n\
             json_notification_handler_url = /post_notification_json\n\
             request_queue_handler_url = /get_request_queue\n\
             apn_sender_queue_handler_url = /get_apn_sender_queue\n\
             gcm_sender_queue_handler_url = /get_gcm_sender_queue\n",
            topic = surroundings.simulator.apns_key().topic,
            messenger = surroundings.messenger(),
            database = surroundings.database(),
        ));
        let mut client = Client::connect(daemon.address);
        let logins = [login(7, 1, "a-phone-token", 1), login(7, 2, "00ff11ee22dd", 1)];
        let body = json!({ "events": logins }).to_string();
        client.post("/post_events_json", "", body.as_bytes()).accepted();
        deliver_to_both(&surroundings, &mut client, "/post_notification_json");
        assert_eq!(daemon.stop(), Some(0));

        let folder = surroundings.directory.path().join("log");
        let log = fs::read_to_string(folder.join("pushkin.log")).unwrap();
        let warned = |part: &str| {
            let warnings = log.lines().filter(|line| line.contains(" WARNING "));
            warnings.filter(|line| line.contains(part)).count()
        };
        assert_eq!(warned("apn_sender_interval_sec = 3: notifications wait up to 3 s"), 1, "{log}");
        assert_eq!(warned("queue_limit = 50000 counts items"), 1, "{log}");
        assert_eq!(warned("bind_address is not set"), 1, "{log}");
        assert_eq!(warned("unknown"), 0, "{log}");
        // Tokens are addresses of people, and DEBUG is what many files from then say.
        assert!(!log.contains("a-phone-token") && !log.contains("00ff11ee22dd"), "{log}");
    }
}

/// Starts the program, which must end by itself with this code.
#[track_caller]
fn ended(code: i32, arguments: &[&str], config: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("config.ini"), config).unwrap();
    let output = onegin()
        .current_dir(directory.path())
        .args(arguments)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    text(&output.stderr)
}

#[test]
fn a_list_of_senders_that_cannot_be_served_stops_the_start_and_names_the_line() {
    const APNS: &str = "pushkin.sender.senders.ApnNotificationSender";
    for (list, names) in [
        ("", &["no sender is listed"][..]),
        (
            "\n  my.own.Sender",
            &["line 1", "unknown sender my.own.Sender", APNS],
        ),
        ("\n  Sender", &["line 1", "unknown sender Sender"]),
        ("\n  {\"workers\": 1}", &["line 1", "no sender is named"]),
        (
            "\n  pushkin.sender.senders.ApnNotificationSender {workers: 1}",
            &["line 1", "arguments of", APNS, "not a JSON object"],
        ),
        (
            "\n  pushkin.sender.senders.ApnNotificationSender {\"workers\": 0}",
            &["line 1", "arguments of", APNS, "workers"],
        ),
        (
            "\n  pushkin.sender.senders.ApnNotificationSender\n\n  pushkin.sender.senders.ApnNotificationSender",
            &["line 2", "listed twice", APNS],
        ),
    ] {
        let config = format!("[ServerSpecific]\nport = 0\n[Sender]\nenabled_senders ={list}\n");
        let message = ended(1, &["--configuration", "config.ini"], &config);
        assert_names(&message, &["[Sender] enabled_senders"]);
        assert_names(&message, names);
    }
}

#[test]
fn an_unambiguous_beginning_of_an_option_is_that_option() {
    for option in ["--conf", "--configurat"] {
        let config = "[ServerSpecific]\nport = 70000\n";
        let message = ended(1, &[option, "config.ini"], config);
        assert_names(&message, &["config.ini:2: [ServerSpecific] port = 70000"]);
    }
    let config = "[ServerSpecific]\nport = 0\n[Database]\ndb_url = sqlite:new.db\n";
    ended(0, &["check-config", "--conf", "config.ini"], config);
    ended(0, &["--conf", "config.ini", "check-config"], config);
    assert_eq!(ended(0, &["--conf=config.ini", "--upgrade"], config), "");
    assert_eq!(ended(0, &["--conf", "config.ini", "--up"], config), "");
}

#[test]
fn wrong_arguments_are_a_usage_error_and_help_is_none() {
    for (arguments, names) in [
        (&[][..], "Usage: onegin"),
        (&["--upgrade-db"], "Usage: onegin"),
        (&["--nonsense"], "Usage: onegin"),
        (&["--configuration"], "--configuration <FILE>"),
    ] {
        assert_names(&ended(2, arguments, ""), &[names]);
    }
    ended(0, &["-h"], "");
}

#[test]
fn a_file_that_is_not_there_stops_the_start_and_is_named() {
    let message = ended(1, &["--configuration", "missing.ini"], "");
    assert_names(&message, &["missing.ini: cannot be read"]);
}

#[test]
fn a_file_in_an_old_encoding_stops_the_start_and_its_line_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.ini");
    fs::write(&path, b"[ServerSpecific]\n# Jos\xe9\nport = 0\n").unwrap();
    let mut command = onegin();
    let output = command.arg("--configuration").arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let message = text(&output.stderr);
    assert_names(&message, &["config.ini:2: cannot be read", "UTF-8"]);
}
