//! The push services, in a process of their own, so that their CPU time is not the senders'.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

use sender::{apns, fcm};
use serde_json::Value;
use tempfile::TempDir;

const ONEGIN: &str = env!("CARGO_BIN_EXE_onegin");

/// Which push service.
#[derive(Clone, Copy)]
pub(crate) enum Service {
    Apns,
    Fcm,
}

impl Service {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Apns => "APNs",
            Self::Fcm => "FCM",
        }
    }

    /// Concurrent streams of a connection, as the simulator allows without being told otherwise,
    /// and as the services themselves do.
    pub(crate) fn streams(self) -> usize {
        match self {
            Self::Apns => 1000,
            Self::Fcm => 100,
        }
    }
}

/// A simulator; it ends with this value.
pub(crate) struct Simulator {
    process: Child,
    /// The `[Messenger]` section for it.
    settings: HashMap<String, String>,
    /// Host and port of the control API.
    control: String,
    /// Where the credentials are.
    _directory: TempDir,
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Simulator {
    /// Answers after `latency`, and remembers no requests.
    pub(crate) fn start(latency: Duration) -> Self {
        let directory = tempfile::tempdir().expect("a temporary folder");
        let mut process = Command::new(ONEGIN)
            .arg("simulator")
            .args(["--apns-port", "0", "--fcm-port", "0", "--control-port", "0"])
            .args(["--log-limit", "0", "--latency-ms"])
            .arg(latency.as_millis().to_string())
            .arg("--directory")
            .arg(directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the simulator starts");
        let output = BufReader::new(process.stdout.take().expect("piped"));
        let (mut settings, mut control) = (HashMap::new(), String::new());
        for line in output.lines() {
            let line = line.expect("text");
            if let Some((_, address)) = line.rsplit_once("http://") {
                address.clone_into(&mut control);
            }
            if let Some((key, value)) = line.split_once(" = ") {
                settings.insert(key.to_owned(), value.to_owned());
                if key == "fcm_service_account_path" {
                    break;
                }
            }
        }
        Self {
            process,
            settings,
            control,
            _directory: directory,
        }
    }

    /// A line of the `[Messenger]` section.
    pub(crate) fn setting(&self, key: &str) -> &str {
        self.settings
            .get(key)
            .unwrap_or_else(|| panic!("the simulator prints {key}"))
    }

    /// The file that a line of the section names.
    pub(crate) fn file(&self, key: &str) -> Vec<u8> {
        fs::read(self.setting(key)).expect("the simulator has written its files")
    }

    /// Its app at APNs.
    pub(crate) fn apns(&self) -> apns::Apns {
        let key_id = self.setting("apns_key_id");
        let team_id = self.setting("apns_team_id");
        apns::Apns::new(apns::Options {
            credentials: apns::Credentials::from_p8(&self.file("apns_key_path"), key_id, team_id)
                .expect("a signing key"),
            topic: Some(self.setting("apns_topic").to_owned()),
            sandbox: false,
            endpoint: Some(self.setting("apns_endpoint").to_owned()),
            ca_pem: Some(self.file("apns_ca_path")),
            token_life_at_least: apns::TOKEN_LIFE_AT_LEAST,
        })
        .expect("usable settings")
    }

    /// Its app at FCM, without Google's quota.
    pub(crate) fn fcm(&self) -> fcm::Fcm {
        let account = self.file("fcm_service_account_path");
        fcm::Fcm::new(fcm::Options {
            credentials: fcm::Credentials::from_service_account(&account)
                .expect("a service account"),
            endpoint: Some(self.setting("fcm_endpoint").to_owned()),
            ca_pem: Some(self.file("fcm_ca_path")),
            dry_run: false,
            base_deeplink_url: "application_name.com".to_owned(),
            rate_limit_per_sec: None,
        })
        .expect("usable settings")
    }

    /// Connections that pushes came on so far.
    pub(crate) fn connections_opened(&self, service: Service) -> u64 {
        // The token endpoint shares FCM's port; its client has one connection.
        let (name, others) = match service {
            Service::Apns => ("apns", 0),
            Service::Fcm => ("fcm", 1),
        };
        let opened = self.state()[name]["connections_opened"].as_u64();
        opened.expect("a number") - others
    }

    fn state(&self) -> Value {
        let mut control = TcpStream::connect(&self.control).expect("the simulator listens");
        control
            .write_all(b"GET /state HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            .expect("the simulator reads");
        let mut answer = String::new();
        control.read_to_string(&mut answer).expect("text");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        serde_json::from_str(body).expect("JSON")
    }
}
