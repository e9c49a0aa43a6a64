//! `onegin check-config`, run as an operator runs it.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use simulator::{Options, Simulator};
use tempfile::TempDir;

use crate::commands::{Daemon, assert_names, onegin, text};

/// A folder with a `config.ini`.
struct Checked {
    folder: TempDir,
}

impl Checked {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.ini"), config).unwrap();
        Self { folder }
    }

    fn command(&self) -> Command {
        let mut command = onegin();
        command.current_dir(self.folder.path()).args([
            "check-config",
            "--configuration",
            "config.ini",
        ]);
        command
    }

    #[track_caller]
    fn text(&self, code: i32) -> String {
        let output = self.command().output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        text(&output.stdout)
    }

    #[track_caller]
    fn json(&self, code: i32) -> Value {
        json_of(&self.command().arg("--json").output().unwrap(), code)
    }
}

#[track_caller]
fn json_of(output: &Output, code: i32) -> Value {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["would_start"], code == 0);
    report
}

/// The one finding that contains `part`.
#[track_caller]
fn finding(report: &Value, list: &str, part: &str) -> String {
    let findings = report[list].as_array().unwrap();
    let found: Vec<&str> = findings
        .iter()
        .filter_map(Value::as_str)
        .filter(|finding| finding.contains(part))
        .collect();
    let [one] = found[..] else {
        panic!("not one {part:?} among {findings:?}");
    };
    one.to_owned()
}

#[test]
fn every_mistake_has_one_message_that_names_section_key_and_what_to_do() {
    // Listed as the requirement lists them; port is the one that stops a start by itself.
    let checked = Checked::new(
        "[ServerSpecific]\n\
         port = 70000\n\
         [Messenger]\n\
         dry_rum = false\n\
         apns_certificate_path = /nowhere/apns.pem\n\
         gcm_access_key = AIzaSecret\n\
         [RequestProcessor]\n\
         queue_limit = 500\n",
    );
    let report = checked.json(1);
    for (list, part, names) in [
        (
            "warnings",
            "dry_rum",
            &["config.ini:4", "[Messenger]", "did you mean dry_run?"][..],
        ),
        (
            "errors",
            "port",
            &[
                "config.ini:2",
                "[ServerSpecific]",
                "70000",
                "from 0 to 65535",
            ],
        ),
        (
            "errors",
            "apns_certificate_path",
            &["[Messenger]", "/nowhere/apns.pem", "cannot be read"],
        ),
        (
            "warnings",
            "gcm_access_key",
            &["[Messenger]", "set [Messenger] fcm_service_account_path"],
        ),
        (
            "warnings",
            "queue_limit",
            &["config.ini:8", "[RequestProcessor]", "POSTs", "multiply"],
        ),
        (
            "warnings",
            "bind_address",
            &["[ServerSpecific]", "bind_address = 0.0.0.0"],
        ),
    ] {
        assert_names(&finding(&report, list, part), names);
    }
    assert_eq!(report["errors"].as_array().unwrap().len(), 2, "{report}");
    assert_eq!(report["warnings"].as_array().unwrap().len(), 4, "{report}");
    let shown = checked.text(1);
    assert!(!shown.contains("AIzaSecret"), "{shown}");
    assert_names(&shown, &["Errors:\n", "Warnings:\n", "would not start"]);
}

#[test]
fn every_key_is_shown_with_its_value_and_where_that_came_from() {
    let checked =
        Checked::new("[ServerSpecific]\nworld_id = 9\ngame = Chess\n[Sender]\nwhen_full = never\n");
    let output = checked
        .command()
        .arg("--json")
        .env("ONEGIN__SERVERSPECIFIC__GAME", "Go")
        .env("ONEGIN__MESSENGER__DRY_RUN", "yes")
        .output()
        .unwrap();
    let report = json_of(&output, 1);
    let shown = |section: &str, key: &str| {
        let line = &report["configuration"][section][key];
        (
            line["value"].clone(),
            line["from"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(
        shown("ServerSpecific", "world_id"),
        ("9".into(), "config.ini:2".to_owned())
    );
    assert_eq!(
        shown("ServerSpecific", "game"),
        (
            "Go".into(),
            "environment variable ONEGIN__SERVERSPECIFIC__GAME".to_owned()
        )
    );
    assert_eq!(
        shown("Messenger", "dry_run"),
        (
            true.into(),
            "environment variable ONEGIN__MESSENGER__DRY_RUN".to_owned()
        )
    );
    assert_eq!(
        shown("ServerSpecific", "port"),
        (8887.into(), "default".to_owned())
    );
    assert_eq!(
        shown("Sender", "when_full"),
        (
            "block".into(),
            "default, config.ini:5 cannot be used".to_owned()
        )
    );
    for (section, options) in onegin::config::known_keys() {
        for key in options.as_object().unwrap().keys() {
            let line = &report["configuration"][&section][key];
            assert!(line["from"].is_string(), "[{section}] {key}");
        }
    }
}

#[test]
fn what_is_shown_as_text_is_a_file_that_means_the_same() {
    let checked = Checked::new("[ServerSpecific]\nport = 0\nbind_address = ::1\n");
    let shown = checked.text(0);
    assert_names(
        &shown,
        &[
            "\nport = 0 ",
            " ; config.ini:2\n",
            "\n;apns_topic is not set\n",
            "\nkeep_log_days = 7 ",
            " ; default\n",
            "A daemon would start",
        ],
    );
    let (file, _) = shown.split_once("Warnings:\n").unwrap();
    let again = Checked::new(file);
    let value_of = |report: &Value| -> Vec<Value> {
        let sections = report["configuration"].as_object().unwrap().values();
        let lines = sections.flat_map(|section| section.as_object().unwrap().values());
        lines.map(|line| line["value"].clone()).collect()
    };
    assert_eq!(value_of(&again.json(0)), value_of(&checked.json(0)));
}

#[test]
fn no_secret_is_shown() {
    let checked = Checked::new(
        "[Messenger]\ngcm_access_key = AIzaSecret\n\
         [Database]\ndb_pass = hunter2\ndb_url = postgres://me:hunter3@db/game?password=hunter4\n",
    );
    let report = checked.json(0);
    let database = &report["configuration"]["Database"];
    assert_eq!(database["db_pass"]["value"], "***");
    assert_eq!(
        database["db_url"]["value"],
        "postgres://me:***@db/game?password=***"
    );
    let messenger = &report["configuration"]["Messenger"];
    assert_eq!(messenger["gcm_access_key"]["value"], "***");
    let all = checked.text(0) + &report.to_string();
    for secret in ["AIzaSecret", "hunter"] {
        assert!(!all.contains(secret), "{all}");
    }
}

#[test]
fn credentials_are_read_as_a_start_reads_them_and_all_that_is_wrong_is_told() {
    let checked = Checked::new(
        "[Messenger]\n\
         apns_key_path = AuthKey.p8\n\
         apns_key_id = ABCDE12345\n\
         apns_team_id = TEAM123456\n\
         apns_topic = com.example.game\n\
         fcm_service_account_path = account.json\n\
         apns_ca_path = ca.pem\n\
         fcm_ca_path = /nowhere/ca.pem\n",
    );
    let put = |name: &str, text: &str| fs::write(checked.folder.path().join(name), text).unwrap();
    put(
        "AuthKey.p8",
        "-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5\n-----END PRIVATE KEY-----\n",
    );
    put("account.json", "{\"private_key\": \"hunter2\"}");
    put("ca.pem", "no certificate");
    let report = checked.json(1);
    for (key, file) in [
        ("apns_key_path", "AuthKey.p8"),
        ("fcm_service_account_path", "account.json"),
        ("fcm_ca_path", "/nowhere/ca.pem"),
    ] {
        assert_names(&finding(&report, "errors", key), &["[Messenger]", file]);
    }
    let all = report.to_string();
    assert!(!all.contains("hunter2") && !all.contains("bm90"), "{all}");
}

#[test]
fn settings_that_no_push_service_can_be_set_up_with_are_errors() {
    let simulator = Simulator::start(Options::default()).unwrap();
    let checked = Checked::new(
        "[Messenger]\n\
         apns_key_path = AuthKey.p8\n\
         fcm_service_account_path = service-account.json\n\
         apns_ca_path = config.ini\n\
         fcm_endpoint = ftp://example.com\n",
    );
    let folder = checked.folder.path();
    fs::write(
        folder.join("service-account.json"),
        simulator.service_account_json(),
    )
    .unwrap();
    let report = checked.json(1);
    for missing in ["apns_key_id", "apns_team_id", "apns_topic"] {
        let message = finding(&report, "errors", missing);
        assert_names(
            &message,
            &["[Messenger]", "is not set", "apns_key_path needs it"],
        );
    }
    let message = finding(&report, "errors", "AuthKey.p8");
    assert_names(&message, &["apns_key_path", "cannot be read"]);
    let message = finding(&report, "errors", "ftp://example.com");
    assert_names(&message, &["[Messenger]", "fcm", "https://host"]);
}

#[test]
fn senders_paths_folders_and_addresses_are_checked_too() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let checked = Checked::new(
        "[ServerSpecific]\n\
         bind_address = 203.0.113.7\n\
         [Sender]\n\
         enabled_senders =\n  pushkin.sender.senders.ApnNotificationSender\n  my.Sender\n\
         [Log]\n\
         main_log_path = config.ini/log\n\
         [Database]\n\
         db_url = mysql://me:hunter2@db/game\n\
         [RequestHandler]\n\
         request_queue_handler_url = /metrics\n",
    );
    let report = checked.json(1);
    for (part, names) in [
        ("enabled_senders", &["[Sender]", "line 2", "my.Sender"][..]),
        ("main_log_path", &["[Log]", "config.ini is not a folder"]),
        ("db_url", &["Database", "sqlite:"]),
        (
            "request_queue_handler_url",
            &["[RequestHandler]", "/metrics"],
        ),
        ("203.0.113.7", &["[ServerSpecific]", "bind_address"]),
    ] {
        assert_names(&finding(&report, "errors", part), names);
    }
    // A port in use is most often that of the daemon whose file is being checked.
    let port = taken.local_addr().unwrap().port();
    let checked = Checked::new(&format!("[ServerSpecific]\nport = {port}\n"));
    let warning = finding(&checked.json(0), "warnings", "already");
    assert_names(&warning, &["[ServerSpecific]", "port", &port.to_string()]);
}

#[test]
fn a_file_that_is_not_there_is_one_error() {
    let folder = tempfile::tempdir().unwrap();
    let output = onegin()
        .current_dir(folder.path())
        .args(["check-config", "--configuration", "missing.ini", "--json"])
        .output()
        .unwrap();
    let report = json_of(&output, 1);
    assert_names(
        &finding(&report, "errors", "missing.ini"),
        &["cannot be read"],
    );
}

#[test]
fn a_daemon_starts_exactly_where_the_check_says_so_and_logs_its_warnings() {
    // Fewer connections than any machine allows open files: about that the check knows nothing.
    let checked = Checked::new(
        "[ServerSpecific]\nport = 0\nmax_connections = 100\n[RequestProcessor]\nqueue_limit = 500\n[Sender]\napn_sender_interval_sec = 3\n[Lug]\na = 1\n",
    );
    let report = checked.json(0);
    let folder: &Path = checked.folder.path();
    let files = || fs::read_dir(folder).unwrap().count();
    assert_eq!(files(), 1, "the check has written something");
    let daemon = Daemon::start(folder, &folder.join("config.ini"), &[]);
    assert_eq!(daemon.stop(), Some(0));
    let log = fs::read_to_string(folder.join("log/pushkin.log")).unwrap();
    let logged: Vec<&str> = log
        .lines()
        .filter_map(|line| Some(line.split_once(" WARNING ")?.1))
        .map(|warning| {
            warning
                .rsplit_once("/config.ini")
                .map_or(warning, |(_, rest)| rest)
        })
        .collect();
    let said: Vec<&str> = report["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .map(|warning| warning.strip_prefix("config.ini").unwrap_or(warning))
        .collect();
    assert_eq!(said, logged);
    assert_eq!(said.len(), 6, "{said:?}");
}
