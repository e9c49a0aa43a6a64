//! The program itself at the simulator, for what only its main log tells.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use simulator::{Options, Simulator};
use tempfile::TempDir;

use crate::{app::eventually, http::Client};

/// Ended with the test. Fields are dropped in this order.
pub(crate) struct Program {
    process: Child,
    pub(crate) address: SocketAddr,
    pub(crate) simulator: Simulator,
    directory: TempDir,
}

impl Program {
    pub(crate) fn start() -> Self {
        Self::start_with(Options::default(), "")
    }

    /// With more sections in its `config.ini`.
    pub(crate) fn start_with(options: Options, sections: &str) -> Self {
        onegin::install_crypto_provider();
        let directory = tempfile::tempdir().unwrap();
        let simulator = Simulator::start(options).unwrap();
        let configuration = directory.path().join("config.ini");
        let text = ini(&simulator, &directory) + sections;
        fs::write(&configuration, text).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_onegin"))
            .current_dir(directory.path())
            .arg("--configuration")
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = process.stdout.as_mut().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("onegin listens on http://");
        Self {
            process,
            address: address.unwrap().parse().unwrap(),
            simulator,
            directory,
        }
    }

    /// Logs the users in, each on a device of their own.
    pub(crate) fn log_in(&self, events: &[Value]) {
        let body = json!({ "events": events }).to_string();
        self.post("/post_events_json", &body);
    }

    /// Notifies each of the users, and waits until all that has ended.
    pub(crate) fn notify(&self, users: impl IntoIterator<Item = i64>) {
        let notifications: Vec<_> = users
            .into_iter()
            .map(|user| json!({"login_id": user, "title": "T", "content": "C"}))
            .collect();
        let ended = self.ended() + notifications.len() as u64;
        let body = json!({ "notifications": notifications }).to_string();
        self.post("/post_notification_json", &body);
        eventually("the notifications have ended", || self.ended() == ended);
    }

    /// The ERROR lines of the main log.
    pub(crate) fn errors(&self) -> Vec<String> {
        let path = self.directory.path().join("log/pushkin.log");
        let log = fs::read_to_string(path).unwrap();
        let errors = log.lines().filter(|line| line.contains(" ERROR "));
        errors.map(str::to_owned).collect()
    }

    /// Memory of the process that is in use now, kB (`man 5 proc_pid_status`).
    pub(crate) fn resident_kb(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.unwrap().parse().unwrap()
    }

    /// The notification log's lines.
    pub(crate) fn csv(&self) -> Vec<String> {
        let path = self.directory.path();
        let path = path.join("log/notification/notifications.csv");
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn post(&self, path: &str, body: &str) {
        let before = self.metric("onegin_requests_finished_total");
        let mut client = Client::connect(self.address);
        client.post(path, "", body.as_bytes()).accepted();
        if path == "/post_events_json" {
            eventually("the request is finished", || {
                self.metric("onegin_requests_finished_total") > before
            });
        }
    }

    fn ended(&self) -> u64 {
        self.metric("onegin_notification_log_lines_total")
    }

    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = Client::connect(self.address).get("/metrics").body;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        line.unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // An error means that it has ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn ini(simulator: &Simulator, directory: &TempDir) -> String {
    let files = simulator.write_files(directory.path()).unwrap();
    let key = simulator.apns_key();
    let values = [
        ("apns_key_path", files.apns_key.display().to_string()),
        ("apns_key_id", key.key_id.clone()),
        ("apns_team_id", key.team_id.clone()),
        ("apns_topic", key.topic.clone()),
        ("apns_endpoint", simulator.apns_url()),
        ("apns_ca_path", files.ca.display().to_string()),
        (
            "fcm_service_account_path",
            files.service_account.display().to_string(),
        ),
        ("fcm_endpoint", simulator.fcm_url()),
        ("fcm_ca_path", files.ca.display().to_string()),
    ];
    let mut text = "[ServerSpecific]\nport = 0\n[Messenger]\n".to_owned();
    for (name, value) in values {
        text.push_str(&format!("{name} = {value}\n"));
    }
    text
}
