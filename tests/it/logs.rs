//! Both logs of a running daemon, as operators and their tools find them.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use rustix::process::Signal;
use serde_json::{Value, json};
use simulator::{Action, Options, Refusal, Rule, Service, Simulator};
use tempfile::TempDir;

use crate::{
    app::{TestApp, event, eventually, login, triggered_by, turn_off},
    commands::Daemon,
    http::Client,
};

const PHONE: &str = "phone-token-that-nobody-may-see";
const IPHONE: &str = "1f2e3d4c5b6a79880011223344556677";

/// A daemon with its simulator, in a folder of its own.
struct Running {
    folder: TempDir,
    simulator: Simulator,
    daemon: Daemon,
}

impl Running {
    /// `log` are the lines of section Log; the logs' folders have no slash at their end.
    fn start(log: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let simulator = Simulator::start(Options::default()).unwrap();
        let files = simulator.write_files(folder.path()).unwrap();
        let key = simulator.apns_key();
        let config = format!(
            "[ServerSpecific]\nport = 0\n\
             [Messenger]\n\
             apns_key_path = {key_path}\napns_key_id = {key_id}\napns_team_id = {team_id}\n\
             apns_topic = {topic}\napns_endpoint = {apns}\napns_ca_path = {ca}\n\
             fcm_service_account_path = {account}\nfcm_endpoint = {fcm}\nfcm_ca_path = {ca}\n\
             gcm_access_key = AIzaSecret\n\
             [Log]\nmain_log_path = logs\nnotification_log_path = logs/csv\n{log}",
            key_path = files.apns_key.display(),
            key_id = key.key_id,
            team_id = key.team_id,
            topic = key.topic,
            apns = simulator.apns_url(),
            ca = files.ca.display(),
            account = files.service_account.display(),
            fcm = simulator.fcm_url(),
        );
        let path = folder.path().join("config.ini");
        fs::write(&path, config).unwrap();
        let daemon = Daemon::start(folder.path(), &path, &[]);
        Self {
            folder,
            simulator,
            daemon,
        }
    }

    fn client(&self) -> Client {
        Client::connect(self.daemon.address)
    }

    fn log_in(&self) {
        let logins = [login(7, 1, PHONE, 1), login(7, 2, IPHONE, 1)];
        let body = json!({ "events": logins }).to_string();
        let mut client = self.client();
        client
            .post("/post_events_json", "", body.as_bytes())
            .accepted();
    }

    fn post(&self, content: &str) {
        let direct = json!({"login_id": 7, "title": "Secret title", "content": content});
        let body = json!({ "notifications": [direct] }).to_string();
        let mut client = self.client();
        client
            .post("/post_notification_json", "", body.as_bytes())
            .accepted();
    }

    fn logs(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    fn csv(&self) -> String {
        fs::read_to_string(self.logs().join("csv/notifications.csv")).unwrap_or_default()
    }

    /// Posts until both devices have a line in the notification log.
    fn post_until_both_have_a_line(&self) {
        eventually("both devices have a line", || {
            self.post("Secret text");
            let csv = self.csv();
            csv.contains(PHONE) && csv.contains(IPHONE)
        });
    }
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_csv_rotates_while_the_daemon_runs_and_every_file_has_the_configured_mode() {
    let running = Running::start(
        "notification_log_when_to_rotate = s\n\
         notification_log_rotate_suffix = rotated-%Y%m%d-%H%M%S\n\
         notification_log_mode = 0666\n",
    );
    running.log_in();
    let folder = running.logs().join("csv");
    eventually("two files have been put aside", || {
        running.post("a text");
        names(&folder).len() >= 3
    });
    for name in names(&folder) {
        assert_eq!(mode(&folder.join(&name)), 0o666, "{name}");
        let rest = name.strip_prefix("notifications.csv").unwrap();
        if let Some(suffix) = rest.strip_prefix(".rotated-") {
            assert_eq!(suffix.split('.').next().unwrap().len(), 15, "{name}");
            let lines = fs::read_to_string(folder.join(&name)).unwrap();
            assert!(lines.ends_with('\n'), "{name}: {lines:?}");
        } else {
            assert_eq!(rest, "");
        }
    }
    assert_eq!(running.daemon.stop(), Some(0));
}

#[test]
fn folders_need_no_slash_and_files_are_for_owner_and_group() {
    let running = Running::start("");
    running.log_in();
    running.post_until_both_have_a_line();
    let logs = running.logs();
    assert_eq!(names(&logs), ["csv", "pushkin.log"]);
    assert_eq!(names(&logs.join("csv")), ["notifications.csv"]);
    assert_eq!(mode(&logs.join("csv/notifications.csv")), 0o640);
    assert_eq!(mode(&logs.join("pushkin.log")), 0o640);
    assert_eq!(running.daemon.stop(), Some(0));
}

#[test]
fn nothing_secret_is_in_the_log_at_its_lowest_level() {
    for format in ["text", "json"] {
        let running = Running::start(&format!("main_log_level = NotSet\nlog_format = {format}\n"));
        // Trouble has more to say than success: an expired token, a broken connection, a dead token.
        let script = running.simulator.script();
        let refused = Action::Refuse(Refusal::new(403, "ExpiredProviderToken"));
        script.add(Rule::new(refused).service(Service::Apns).times(1));
        let dropped = Action::DropConnection {
            after_reading: true,
        };
        script.add(Rule::new(dropped).service(Service::Fcm).times(1));
        let dead = Action::Refuse(Refusal::new(410, "Unregistered"));
        let dead = Rule::new(dead).service(Service::Apns).token_prefix(IPHONE);
        script.add(dead.times(1));
        running.log_in();
        running.post_until_both_have_a_line();
        for bad in ["{", "{\"events\":[{\"user_id\":\"Secret user\"}]}"] {
            let answer = running
                .client()
                .post("/post_events_json", "", bad.as_bytes());
            assert!(answer.status < 500);
        }
        let Running {
            folder,
            simulator,
            daemon,
        } = running;
        assert_eq!(daemon.stop(), Some(0));
        let log = fs::read_to_string(folder.path().join("logs/pushkin.log")).unwrap();
        assert!(log.contains("DEBUG"), "{log}");
        let account: Value = serde_json::from_str(&simulator.service_account_json()).unwrap();
        let key = account["private_key"].as_str().unwrap();
        let key_line = key.lines().nth(1).unwrap();
        for secret in [
            PHONE, IPHONE, "Secret", "AIza", "eyJ", "earer ", key_line, "PRIVATE",
        ] {
            assert!(!log.contains(secret), "{secret} is in {log}");
        }
        if format == "json" {
            for line in log.lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                assert!(
                    line["level"].is_string() && line["message"].is_string(),
                    "{line}"
                );
            }
        }
    }
}

#[test]
fn the_levels_are_pushkins_and_a_reload_changes_them() {
    let running = Running::start("main_log_level = critical\n");
    let log = || fs::read_to_string(running.logs().join("pushkin.log")).unwrap();
    assert_eq!(log(), "");
    let path = running.folder.path().join("config.ini");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, config.replace("= critical", "= iNFo")).unwrap();
    running.daemon.signal(Signal::HUP);
    eventually("the reload is logged at the new level", || {
        log().contains(" INFO log level is reloaded")
    });
    assert_eq!(running.daemon.stop(), Some(0));
}

#[test]
fn pushkin_log_is_the_newest_file_also_after_somebody_moved_it() {
    let running = Running::start("");
    let (log, moved) = (
        running.logs().join("pushkin.log"),
        running.logs().join("moved"),
    );
    eventually("the start is logged", || {
        fs::read_to_string(&log).unwrap().contains(" INFO started")
    });
    fs::rename(&log, &moved).unwrap();
    running.daemon.signal(Signal::HUP);
    eventually("the next line is in a new pushkin.log", || {
        fs::read_to_string(&log).is_ok_and(|text| text.contains("reloaded"))
    });
    assert!(
        fs::read_to_string(&moved)
            .unwrap()
            .contains(" INFO started")
    );
    assert_eq!(running.daemon.stop(), Some(0));
}

on_each_database! {
    fn what_ends_before_there_is_a_notification_has_no_line(database) {
        let mut app = TestApp::start(database);
        let raid = storage::MessageAttributes {
            cooldown_ms: Some(3_600_000),
            ..triggered_by("raid", 100)
        };
        app.message(raid, &[(1, "T", "Raid")]);
        let off = app.message(triggered_by("turned off", 101), &[(1, "T", "Off")]);
        app.message(triggered_by("needs a name", 102), &[(1, "T", "Hi {name}")]);
        app.message(triggered_by("in Serbian only", 103), &[(7, "T", "Zdravo")]);
        app.post_events(&[login(7, 1, "phone", 1)]);
        app.finish();
        app.post_events(&[turn_off(7, &[off.0])]);
        app.finish();
        let nothing = || json!({});
        app.post_events(&[
            event(7, 100, nothing()),
            event(7, 100, nothing()), // cooldown
            event(7, 101, nothing()), // turned off
            event(7, 102, nothing()), // a parameter is missing
            event(7, 103, nothing()), // no text in the user's language nor in language 1
            event(7, 104, nothing()), // nobody listens
            event(8, 100, nothing()), // no device
        ]);
        app.finish();
        let lines = app.csv();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("0,7,Raid,"), "{lines:?}");
    }
}
