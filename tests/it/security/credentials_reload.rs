//! SIGHUP and the push services' credentials: a new one is used at once, a wrong one is told and
//! the old one stays, one that has not changed is left alone.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustix::process::Signal;
use serde_json::{Value, json};
use simulator::{Files, Options, Simulator};
use tempfile::TempDir;

use super::{EVENTS, direct};
use crate::{
    administration::assert_says,
    app::{eventually, login},
    commands::Daemon,
    http::Client,
};

const IPHONE: &str = "00ff11ee22dd33cc44bb55aa66997788";

/// A daemon, its simulator, and the files that it was started with.
struct Running {
    simulator: Simulator,
    files: Files,
    config: PathBuf,
    daemon: Daemon,
    folder: TempDir,
}

impl Running {
    /// `prepare` may change the credential files first.
    fn start(prepare: impl FnOnce(&Simulator, &Files)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let simulator = Simulator::start(Options::default()).unwrap();
        let files = simulator.write_files(folder.path()).unwrap();
        prepare(&simulator, &files);
        let key = simulator.apns_key();
        let text = format!(
            "[ServerSpecific]\nport = 0\n\
             [Messenger]\n\
             apns_key_path = {key_path}\napns_key_id = {key_id}\napns_team_id = {team_id}\n\
             apns_topic = {topic}\napns_endpoint = {apns}\napns_ca_path = {ca}\n\
             fcm_service_account_path = {account}\nfcm_endpoint = {fcm}\nfcm_ca_path = {ca}\n",
            key_path = files.apns_key.display(),
            key_id = key.key_id,
            team_id = key.team_id,
            topic = key.topic,
            apns = simulator.apns_url(),
            ca = files.ca.display(),
            account = files.service_account.display(),
            fcm = simulator.fcm_url(),
        );
        let config = folder.path().join("config.ini");
        fs::write(&config, text).unwrap();
        let daemon = Daemon::start(folder.path(), &config, &[]);
        let running = Self {
            simulator,
            files,
            config,
            daemon,
            folder,
        };
        let logins = [login(1, 1, "phone", 1), login(1, 2, IPHONE, 1)];
        let body = json!({ "events": logins }).to_string();
        running.post(EVENTS, body.as_bytes());
        running
    }

    fn post(&self, path: &str, body: &[u8]) {
        let mut client = Client::connect(self.daemon.address);
        client.post(path, "", body).accepted();
    }

    fn notify(&self) {
        self.post("/post_notification_json", &direct("C"));
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log/pushkin.log")).unwrap()
    }

    fn count_in_log(&self, part: &str) -> usize {
        self.log().matches(part).count()
    }

    /// SIGHUP; returns when all of it is done.
    fn reload(&self) {
        let before = self.count_in_log("messages are reloaded");
        self.daemon.signal(Signal::HUP);
        eventually("everything is reloaded", || {
            self.count_in_log("messages are reloaded") > before
        });
    }

    fn delivered(&self) -> [u64; 2] {
        [self.simulator.apns(), self.simulator.fcm()].map(|service| service.counters().delivered)
    }

    /// One more notification reaches both devices.
    fn delivers(&self) {
        let [apns, fcm] = self.delivered();
        eventually("both services deliver", || {
            self.notify();
            let [apns_now, fcm_now] = self.delivered();
            apns_now > apns && fcm_now > fcm
        });
    }

    fn metric(&self, line: &str) -> u64 {
        let text = Client::connect(self.daemon.address).get("/metrics").body;
        let value = text.lines().find_map(|known| known.strip_prefix(line));
        value.map_or(0, |value| value.trim().parse().unwrap())
    }
}

/// A service account that Google does not know.
fn foreign_account(simulator: &Simulator) -> String {
    let mut account: Value = serde_json::from_str(&simulator.service_account_json()).unwrap();
    account["client_email"] = json!("nobody@example.iam.gserviceaccount.com");
    account.to_string()
}

fn foreign_key() -> String {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    key.serialize_pem()
}

fn write(path: &Path, text: impl AsRef<[u8]>) {
    fs::write(path, text).unwrap();
}

#[test]
fn credentials_that_are_refused_are_corrected_without_a_restart() {
    let mut right = None;
    let running = Running::start(|simulator, files| {
        right = Some([&files.apns_key, &files.service_account].map(|path| fs::read(path).unwrap()));
        write(&files.apns_key, foreign_key());
        write(&files.service_account, foreign_account(simulator));
    });
    for provider in ["apns", "fcm"] {
        eventually("the breaker is open", || {
            running.notify();
            running.metric(&format!(
                "onegin_sender_breaker_state{{provider=\"{provider}\"}}"
            )) > 0
        });
    }
    running.notify();
    assert_eq!(running.delivered(), [0, 0]);
    let [key, account] = right.unwrap();
    // One after the other: each is its own.
    write(&running.files.apns_key, key);
    running.reload();
    eventually("APNs delivers what had waited", || {
        running.delivered()[0] > 0
    });
    assert_eq!(running.delivered()[1], 0);
    write(&running.files.service_account, account);
    running.reload();
    eventually("FCM delivers what had waited", || {
        running.delivered()[1] > 0
    });
    let log = running.log();
    assert_eq!(
        log.matches("the APNs credential is reloaded").count(),
        1,
        "{log}"
    );
    assert_eq!(
        log.matches("the FCM credential is reloaded").count(),
        1,
        "{log}"
    );
    running.delivers();
    assert_eq!(running.daemon.stop(), Some(0));
}

#[test]
fn a_file_that_cannot_be_used_is_named_and_the_old_credential_stays() {
    let running = Running::start(|_, _| {});
    running.delivers();
    let (key, account) = (&running.files.apns_key, &running.files.service_account);
    let good = [key, account].map(|path| fs::read(path).unwrap());
    let secret = foreign_key();
    let encrypted = secret.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let stays = "going on with the credential that was there";
    for (path, name, written) in [
        (key, "apns_key_path", Some(encrypted.as_str())),
        (key, "apns_key_path", Some("")),
        (key, "apns_key_path", None),
        (account, "fcm_service_account_path", Some("{}")),
        (account, "fcm_service_account_path", None),
    ] {
        match written {
            Some(text) => write(path, text),
            None => fs::remove_file(path).unwrap(),
        }
        let errors = running.count_in_log(" ERROR ");
        running.reload();
        let log = running.log();
        let told: Vec<&str> = log
            .lines()
            .filter(|line| line.contains(" ERROR "))
            .collect();
        assert_eq!(told.len(), errors + 1, "{log}");
        let path = path.display();
        assert_says(
            told[errors],
            &[&format!("[Messenger] {name} = {path}: "), stays],
        );
        assert!(!log.contains(secret.lines().nth(1).unwrap()), "{log}");
        running.delivers();
        write(key, &good[0]);
        write(account, &good[1]);
    }
    // A configuration with a mistake changes nothing, and the mistake is told.
    let config = fs::read_to_string(&running.config).unwrap();
    write(&running.config, config.replace("port = 0", "port = many"));
    running.daemon.signal(Signal::HUP);
    eventually("the mistake is told", || {
        running.count_in_log("config.ini:2: [ServerSpecific] port = many") == 1
    });
    assert_says(&running.log(), &["going on with what was there"]);
    // Neither is a push service switched off by a reload.
    let lines = config.lines().filter(|line| !line.starts_with("fcm_"));
    write(&running.config, lines.collect::<Vec<_>>().join("\n"));
    running.reload();
    assert_says(
        &running.log(),
        &["[Messenger] fcm_…: FCM is switched on and off by a restart only"],
    );
    running.delivers();
    assert_eq!(running.daemon.stop(), Some(0));
}

#[test]
fn credentials_that_have_not_changed_are_left_alone() {
    let running = Running::start(|_, _| {});
    running.delivers();
    let renewals = |provider: &str| {
        let labels = format!("provider=\"{provider}\",result=\"ok\"");
        running.metric(&format!("onegin_credential_renewals_total{{{labels}}}"))
    };
    let before = ["apns", "fcm"].map(renewals);
    assert_eq!(before, [1, 1]);
    let opened = || {
        [running.simulator.apns(), running.simulator.fcm()]
            .map(|service| service.counters().connections_opened)
    };
    let connections = opened();
    for _ in 0..5 {
        running.reload();
    }
    running.delivers();
    // Apple takes a new token every 20 minutes at most.
    assert_eq!(["apns", "fcm"].map(renewals), before);
    assert_eq!(opened(), connections);
    assert_eq!(running.count_in_log("credential is reloaded"), 0);
    // The same key in another file is the same.
    let copy = running.folder.path().join("copy.p8");
    fs::copy(&running.files.apns_key, &copy).unwrap();
    let config = fs::read_to_string(&running.config).unwrap();
    let key = running.files.apns_key.display().to_string();
    let config = config.replace(&key, &copy.display().to_string());
    write(&running.config, &config);
    running.reload();
    assert_eq!(running.count_in_log("credential is reloaded"), 0);
    assert_eq!(running.daemon.stop(), Some(0));
}
