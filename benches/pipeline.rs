//! The whole pipeline: from POSTs at the door to the push services' answers.
//!
//! Daemon and simulator are processes of their own; what counts is the daemon's CPU time, read
//! from the operating system, because these figures hold on a busy machine and wall time does
//! not. Run with `cargo bench --bench pipeline`; PostgreSQL joins in when
//! `ONEGIN_TEST_POSTGRES_URL` names an empty database to use.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a bench's output is its purpose")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

const ONEGIN: &str = env!("CARGO_BIN_EXE_onegin");
/// Users, half on iPhones and half on Androids.
const USERS: i64 = 20_000;
/// Events of one POST.
const BATCH: usize = 100;
/// Clock ticks per second of /proc's CPU times: Linux shows 100 to every process.
const TICKS_PER_SECOND: f64 = 100.0;
const LIMIT: Duration = Duration::from_secs(300);

/// A child that ends with the bench.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Process {
    /// CPU seconds so far, user and system (proc(5), fields 14 and 15 of stat).
    fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).expect("it runs");
        let after_name = stat.rsplit_once(')').expect("proc(5)").1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |field: usize| fields[field].parse::<f64>().expect("a number");
        (ticks(11) + ticks(12)) / TICKS_PER_SECOND
    }
}

/// Nobody ever sends to `pause`.
fn pause_for(milliseconds: u64, pause: &mpsc::Receiver<()>) {
    let waited = pause.recv_timeout(Duration::from_millis(milliseconds));
    debug_assert!(waited.is_err());
}

/// One HTTP connection to the daemon.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the daemon listens");
        stream.set_nodelay(true).expect("a TCP socket");
        Self(BufReader::new(stream))
    }

    fn send(&mut self, head: &str, body: &str) -> (u16, String) {
        let request = format!(
            "{head} HTTP/1.1\r\nHost: bench\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0
            .get_mut()
            .write_all(request.as_bytes())
            .expect("the daemon reads");
        let (mut line, mut status, mut length) = (String::new(), 0, 0);
        while self.0.read_line(&mut line).expect("the daemon answers") > 2 {
            if status == 0 {
                status = line
                    .split(' ')
                    .nth(1)
                    .and_then(|s| s.parse().ok())
                    .expect("a status");
            }
            let line_lower = line.to_lowercase();
            if let Some(value) = line_lower.strip_prefix("content-length: ") {
                length = value.trim().parse().expect("a length");
            }
            line.clear();
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer).expect("the whole answer");
        (status, String::from_utf8(answer).expect("text"))
    }

    /// Posts until it is taken: a full queue is part of the measurement.
    fn post(&mut self, body: &str, pause: &mpsc::Receiver<()>) {
        while self.send("POST /post_events_json", body).0 != 200 {
            pause_for(2, pause);
        }
    }

    fn metric(&mut self, beginning: &str) -> u64 {
        let text = self.send("GET /metrics", "").1;
        text.lines()
            .filter(|line| line.starts_with(beginning))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
            .sum()
    }

    fn wait_for(&mut self, metric: &str, count: u64, pause: &mpsc::Receiver<()>) {
        let deadline = Instant::now() + LIMIT;
        while self.metric(metric) < count {
            assert!(Instant::now() < deadline, "{metric} did not reach {count}");
            pause_for(10, pause);
        }
    }
}

/// Starts the simulator; its output up to the last key is the `[Messenger]` section.
fn simulator(directory: &Path) -> (Process, String) {
    let mut child = Command::new(ONEGIN)
        .args([
            "simulator",
            "--apns-port",
            "0",
            "--fcm-port",
            "0",
            "--control-port",
            "0",
        ])
        .args(["--log-limit", "0", "--directory"])
        .arg(directory.join("simulator"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the simulator starts");
    let output = child.stdout.take().expect("piped");
    let process = Process(child);
    let mut lines = BufReader::new(output).lines();
    let mut section = String::new();
    loop {
        let line = lines
            .next()
            .expect("the simulator prints its section")
            .expect("text");
        section += &line;
        section.push('\n');
        if line.starts_with("fcm_service_account_path") {
            return (process, section);
        }
    }
}

fn daemon(configuration: &Path) -> (Process, String) {
    let mut child = Command::new(ONEGIN)
        .arg("--configuration")
        .arg(configuration)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the daemon starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped"))
        .read_line(&mut line)
        .expect("the daemon says where it listens");
    let address = line
        .trim()
        .rsplit_once("http://")
        .expect("an address")
        .1
        .to_owned();
    (Process(child), address)
}

fn onegin(configuration: &Path, arguments: &[&str]) {
    let status = Command::new(ONEGIN)
        .args(arguments)
        .arg("--configuration")
        .arg(configuration)
        .stdout(Stdio::null())
        .status()
        .expect("onegin runs");
    assert!(status.success(), "onegin {arguments:?}");
}

fn bodies(event: impl Fn(i64) -> Value) -> Vec<String> {
    let events: Vec<Value> = (0..USERS).map(event).collect();
    events
        .chunks(BATCH)
        .map(|some| json!({ "events": some }).to_string())
        .collect()
}

fn login(user: i64) -> Value {
    let platform = if user % 2 == 0 { 2 } else { 1 };
    json!({"user_id": user, "event_id": 4001, "timestamp": 1, "pairs": {
        "platformId": platform, "deviceToken": format!("{user:064x}"), "languageId": 1}})
}

/// Times one round and prints its line: `count` of `metric` more, by posting `bodies`.
fn round(name: &str, daemon: &Process, address: &str, bodies: &[String], metric: &str, count: i64) {
    let (_never, pause) = mpsc::channel();
    let mut client = Client::connect(address);
    let before = client.metric(metric);
    let (cpu, wall) = (daemon.cpu_seconds(), Instant::now());
    for body in bodies {
        client.post(body, &pause);
    }
    client.wait_for(metric, before + count.unsigned_abs(), &pause);
    let (cpu, wall) = (daemon.cpu_seconds() - cpu, wall.elapsed().as_secs_f64());
    #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
    let count = count as f64;
    println!(
        "{name:<44} {:>9.0}/s wall  {:>7.2} CPU-s  {:>9.0} per CPU-s  {:>7.1} us CPU each",
        count / wall,
        cpu,
        count / cpu,
        cpu / count * 1e6
    );
}

fn measure(database: &str, database_url: &str) {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let (_simulator, messenger) = simulator(directory.path());
    let configuration = directory.path().join("config.ini");
    let path = directory.path().display();
    let sections = format!(
        "[ServerSpecific]\nport = 0\nbind_address = 127.0.0.1\n{messenger}fcm_rate_limit_per_sec = 0\n\
         [Log]\nmain_log_path = {path}/log/\nmain_log_level = WARNING\nnotification_log_path = {path}/log/\n\
         [Database]\ndb_url = {}\n",
        database_url.replace("FOLDER", &path.to_string())
    );
    fs::write(&configuration, sections).expect("a file");
    onegin(&configuration, &["--upgrade-db"]);
    let message = |name, trigger, cooldown: &[&str]| {
        let mut arguments = vec!["message", "add", name, "--trigger", trigger];
        arguments.extend(["--language", "1", "--title", "T", "--text", "Hello, world"]);
        arguments.extend(cooldown);
        onegin(&configuration, &arguments);
    };
    message("plain", "101", &[]);
    message("cooled_down", "102", &["--cooldown-ms", "1"]);
    let (daemon, address) = daemon(&configuration);
    let event = |event_id: i32| {
        bodies(
            move |user| json!({"user_id": user, "event_id": event_id, "timestamp": 1, "pairs": {}}),
        )
    };
    let row = |what: &str| format!("{database}: {what}");
    let finished = "onegin_requests_finished_total";
    let requests = USERS / i64::try_from(BATCH).expect("small");
    round(
        &row("logins (per 100)"),
        &daemon,
        &address,
        &bodies(login),
        finished,
        requests,
    );
    let delivered = "onegin_notifications_ended_total";
    // The first round opens connections and fills caches.
    round(
        &row("first round"),
        &daemon,
        &address,
        &event(101),
        delivered,
        USERS,
    );
    for _ in 0..2 {
        round(
            &row("without cooldown"),
            &daemon,
            &address,
            &event(101),
            delivered,
            USERS,
        );
        round(
            &row("with cooldown"),
            &daemon,
            &address,
            &event(102),
            delivered,
            USERS,
        );
    }
}

fn main() {
    println!("{USERS} users, {BATCH} events per POST, one notification per event");
    measure("SQLite", "sqlite:FOLDER/bench.db");
    match std::env::var("ONEGIN_TEST_POSTGRES_URL") {
        Ok(url) => measure("PostgreSQL", &url),
        Err(_) => println!("PostgreSQL: skipped, ONEGIN_TEST_POSTGRES_URL is not set"),
    }
}
