//! A server as a process of its own, and what it cost.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{Cost, load::Load, serve::Which};

/// Clock ticks per second of /proc's CPU times: Linux shows 100 to every process.
const TICKS_PER_SECOND: f64 = 100.0;

/// This program again, as a server. It ends when its input does, so also with the bench.
pub(crate) struct ServerProcess {
    child: Child,
    address: String,
}

impl ServerProcess {
    pub(crate) fn start(which: Which) -> Self {
        let mut child = Command::new(env::current_exe().expect("we run"))
            .args(["serve", which.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut address = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut address)
            .expect("the server says where it listens");
        Self {
            child,
            address: address.trim().to_owned(),
        }
    }

    /// Runs a client; says what it cost this server, and what it waited.
    pub(crate) fn cost(&self, load: Load) -> Cost {
        let before = self.cpu_seconds();
        let client = Command::new(env::current_exe().expect("we run"))
            .args(["load", &self.address])
            .args(load.arguments())
            .output()
            .expect("the client starts");
        assert!(client.status.success(), "the client was not served");
        let output = String::from_utf8(client.stdout).expect("text");
        let mut waited = output
            .split_whitespace()
            .map(|nanoseconds| Duration::from_nanos(nanoseconds.parse().expect("a number")));
        #[allow(clippy::cast_precision_loss, reason = "some ten thousand")]
        let posts = load.posts as f64;
        Cost {
            cpu_us: (self.cpu_seconds() - before) / posts * 1e6,
            p50: waited.next().expect("a median"),
            p99: waited.next().expect("a percentile"),
        }
    }

    /// CPU seconds so far, user and system (proc(5), fields 14 and 15 of stat).
    fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.expect("the server runs");
        let after_name = stat.rsplit_once(')').expect("proc(5)").1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |field: usize| fields[field].parse::<f64>().expect("a number");
        (ticks(11) + ticks(12)) / TICKS_PER_SECOND
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // Nobody is left to be told of a failure.
        drop(self.child.wait());
    }
}
