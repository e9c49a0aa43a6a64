//! The program itself, run as a user runs it.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use simulator::{Options, Simulator};

use crate::{
    app::{eventually, login},
    http::Client,
};

pub(crate) fn onegin() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onegin"));
    command.stdin(Stdio::null());
    command
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Starts the daemon with `config`, which is wrong; it must stop by itself and say why.
fn refused_start(directory: &Path, config: &str) -> String {
    let path = directory.join("config.ini");
    let database = directory.join("test.db");
    let sections = format!(
        "{config}\n[Database]\ndb_url = sqlite:{}\n",
        database.display()
    );
    fs::write(&path, sections).unwrap();
    let output = onegin()
        .current_dir(directory)
        .arg("--configuration")
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    text(&output.stderr)
}

/// A daemon that has started; it is killed with the test if nobody stops it.
pub(crate) struct Daemon {
    pub(crate) process: Child,
    pub(crate) address: SocketAddr,
}

impl Daemon {
    pub(crate) fn start(
        directory: &Path,
        configuration: &Path,
        environment: &[(&str, &str)],
    ) -> Self {
        Self::spawn(
            onegin()
                .current_dir(directory)
                .arg("--configuration")
                .arg(configuration)
                .envs(environment.iter().copied()),
        )
    }

    /// Starts a daemon by this command.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let output = process.stdout.as_mut().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("onegin listens on ");
        let address = address.and_then(|url| Some(url.split_once("://")?.1));
        Self {
            process,
            address: address.unwrap().parse().unwrap(),
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // Not by the program `kill`, which a small machine need not have.
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// SIGTERM; the exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.process.wait().unwrap().code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // An error means that it has ended already.
        drop(self.process.kill());
    }
}

#[track_caller]
pub(crate) fn assert_names(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

#[test]
fn the_demo_shows_three_languages_a_cooldown_a_blacklist_and_a_dead_token() {
    let output = onegin().arg("demo").output().unwrap();
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}{}", text(&output.stderr));
    assert_names(
        &shown,
        &[
            "delivered    Ana     iPhone          Serbian",
            "delivered    Ben     Android phone   English",
            "delivered    Chiyo   iPad            Japanese",
            "delivered    Dieter  Android phone   German",
            "cooldown     Ben",
            "blacklist    Dieter",
            "dead token   Emil",
            "in 4 languages",
            "Summary",
        ],
    );
}

#[test]
fn help_shows_an_example_for_every_command() {
    for command in [
        &["--help"][..],
        &["check-config", "--help"],
        &["demo", "--help"],
        &["simulator", "--help"],
        &["message", "--help"],
        &["copy-db", "--help"],
    ] {
        let output = onegin().args(command).output().unwrap();
        assert!(output.status.success());
        assert_names(&text(&output.stdout), &["Example"]);
    }
}

#[test]
fn a_missing_configuration_is_a_usage_error() {
    let output = onegin().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_names(&text(&output.stderr), &["--configuration FILE"]);
}

#[test]
fn the_shipped_configuration_runs_as_it_is_without_credentials() {
    let directory = tempfile::tempdir().unwrap();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/config.ini");
    // The port is the one thing that tests running side by side cannot share.
    let daemon = Daemon::start(
        directory.path(),
        Path::new(shipped),
        &[("ONEGIN__SERVERSPECIFIC__PORT", "0")],
    );

    let mut client = Client::connect(daemon.address);
    assert_eq!(client.get("/readyz").status, 200);
    assert_eq!(client.get("/get_apn_sender_queue").body, "0");
    assert_eq!(client.get("/get_gcm_sender_queue").body, "0");
    let events = [login(1, 1, "android", 1), login(1, 2, "00ff", 1)];
    let body = json!({ "events": events }).to_string();
    client
        .post("/post_events_json", "", body.as_bytes())
        .accepted();
    let csv = directory.path().join("log/notification/notifications.csv");
    eventually(
        "both logins are processed, then both notifications have ended",
        || {
            let direct = json!({"notifications": [{"login_id": 1, "title": "T", "content": "C"}]});
            client
                .post("/post_notification_json", "", direct.to_string().as_bytes())
                .accepted();
            let log = fs::read_to_string(&csv).unwrap_or_default();
            log.contains("104,1,C") && log.contains("203,1,C")
        },
    );

    assert_eq!(daemon.stop(), Some(0));
    let log = fs::read_to_string(directory.path().join("log/pushkin.log")).unwrap();
    let lines = |part: &str| log.lines().filter(|line| line.contains(part)).count();
    assert_eq!(lines(" WARNING APNs is off"), 1, "{log}");
    assert_eq!(lines(" WARNING FCM is off"), 1, "{log}");
    // Some machines allow fewer open files than there may be connections.
    let files = lines(" WARNING [ServerSpecific] max_connections");
    assert_eq!(lines(" WARNING "), 2 + files, "{log}");
    assert_eq!(lines(" INFO durability is memory"), 0, "{log}");
    assert!(directory.path().join("data/journal/journal.redb").exists());
}

#[test]
fn a_gcm_key_is_answered_with_what_to_configure_instead() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.ini");
    fs::write(
        &path,
        "[ServerSpecific]\nport = 0\n[Messenger]\ngcm_access_key = AIzaSecret\n",
    )
    .unwrap();
    assert_eq!(Daemon::start(directory.path(), &path, &[]).stop(), Some(0));
    let log = fs::read_to_string(directory.path().join("log/pushkin.log")).unwrap();
    let warnings = log
        .lines()
        .filter(|line| line.contains("gcm_access_key"))
        .count();
    assert_eq!(warnings, 1, "{log}");
    assert_names(
        &log,
        &["fcm_service_account_path", "bind_address is not set"],
    );
    assert!(!log.contains("AIzaSecret"));
}

#[test]
fn a_wrong_apns_key_stops_the_start_and_names_section_key_and_file() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("AuthKey.p8");
    fs::write(
        &key,
        "-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5\n-----END PRIVATE KEY-----\n",
    )
    .unwrap();
    let config = format!(
        "[Messenger]\napns_key_path = {}\napns_key_id = ABCDE12345\napns_team_id = TEAM123456\napns_topic = com.example.game\n",
        key.display()
    );
    let message = refused_start(directory.path(), &config);
    assert_names(
        &message,
        &["[Messenger]", "apns_key_path", &key.display().to_string()],
    );
    assert!(
        !message.contains("bm90"),
        "the key itself is in {message:?}"
    );
}

#[test]
fn a_missing_credential_file_stops_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let config = "[Messenger]\nfcm_service_account_path = /nowhere/account.json\n";
    let message = refused_start(directory.path(), config);
    assert_names(
        &message,
        &[
            "[Messenger]",
            "fcm_service_account_path",
            "/nowhere/account.json",
            "cannot be read",
        ],
    );
}

#[test]
fn a_bad_service_account_stops_the_start_and_names_section_key_and_file() {
    let directory = tempfile::tempdir().unwrap();
    let simulator = Simulator::start(Options::default()).unwrap();
    let good = simulator.service_account_json();
    for bad in [
        "{}".to_owned(),
        "not json".to_owned(),
        good.replace("BEGIN PRIVATE KEY", "BEGIN NOTHING"),
    ] {
        let account = directory.path().join("account.json");
        fs::write(&account, &bad).unwrap();
        let config = format!(
            "[Messenger]\nfcm_service_account_path = {}\n",
            account.display()
        );
        let message = refused_start(directory.path(), &config);
        assert_names(
            &message,
            &[
                "[Messenger]",
                "fcm_service_account_path",
                &account.display().to_string(),
            ],
        );
        assert!(!message.contains("MII"), "the key itself is in {message:?}");
    }
}

#[test]
fn a_bad_value_stops_the_start_and_names_section_key_value_and_what_is_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let message = refused_start(directory.path(), "[ServerSpecific]\nport = 70000\n");
    assert_names(
        &message,
        &["[ServerSpecific]", "port", "70000", "0 to 65535"],
    );
    let message = refused_start(
        directory.path(),
        "[Sender]\nenabled_senders =\n  my.own.Sender\n",
    );
    assert_names(&message, &["[Sender]", "enabled_senders", "my.own.Sender"]);
}
