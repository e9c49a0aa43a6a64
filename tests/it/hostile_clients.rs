//! Clients that mean harm, against the program itself: each form of attack has its bound in
//! memory, time and status, and a well-behaved client is served all the while.
//!
//! The memory is the process's own peak; times are generous, because what is bounded is bounded
//! by seconds that the test configures, and a test that fails under load shows nothing.

mod bodies;

mod framing;

mod heads;

mod http2;

mod many;

mod slow;

use std::{
    fs,
    io::{ErrorKind, Read},
    net::{SocketAddr, TcpStream},
    sync::mpsc::{self, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

use crate::{
    app::eventually,
    commands::Daemon,
    http::{Answer, Client},
};

const MIB: u64 = 1 << 20;

/// The longest that the good client may have waited for one answer, on a machine that does much
/// else.
const PATIENCE: Duration = Duration::from_secs(30);

const EVENT: &str = r#"{"events": [{"user_id": 1, "event_id": 2, "timestamp": 3}]}"#;

/// A daemon under attack, and its one good client.
struct Victim {
    daemon: Daemon,
    good: GoodClient,
    /// Resident bytes before the attack.
    memory: u64,
    directory: TempDir,
}

impl Victim {
    /// Starts a daemon with these lines of `[ServerSpecific]`.
    fn start(settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let configuration = directory.path().join("config.ini");
        let text = format!("[ServerSpecific]\nport = 0\nbind_address = 0.0.0.0\n{settings}\n");
        fs::write(&configuration, text).unwrap();
        Self::of(
            Daemon::start(directory.path(), &configuration, &[]),
            directory,
        )
    }

    fn of(mut daemon: Daemon, directory: TempDir) -> Self {
        daemon.address.set_ip([127, 0, 0, 1].into());
        // Whatever is made at the first request of each kind is there.
        let mut client = Client::connect(daemon.address);
        client
            .post("/post_events_json", "", EVENT.as_bytes())
            .accepted();
        assert_eq!(client.get("/metrics").status, 200);
        Self {
            good: GoodClient::start(daemon.address),
            memory: status(&daemon, "VmRSS:"),
            daemon,
            directory,
        }
    }

    fn address(&self) -> SocketAddr {
        self.daemon.address
    }

    fn connect(&self) -> TcpStream {
        connect(self.address())
    }

    fn metric(&self, line: &str) -> u64 {
        let text = Client::connect(self.address()).get("/metrics").body;
        text.lines()
            .find_map(|candidate| candidate.strip_prefix(line)?.trim().parse().ok())
            .unwrap_or_else(|| panic!("no metric {line} in {text}"))
    }

    /// Waits until so many clients have been turned away for this reason, and asserts that it is
    /// not one more.
    #[track_caller]
    fn turned_away(&self, reason: &str, count: u64) {
        let line = format!("onegin_connections_refused_total{{reason=\"{reason}\"}}");
        eventually(&line, || self.metric(&line) >= count);
        assert_eq!(self.metric(&line), count, "{line}");
    }

    /// Bytes of memory that the attack has cost at its worst moment.
    fn growth(&self) -> u64 {
        status(&self.daemon, "VmHWM:").saturating_sub(self.memory)
    }

    #[track_caller]
    fn grew_less_than(&self, mebibytes: u64) {
        let growth = self.growth();
        println!("grew by {} KiB", growth >> 10);
        assert!(growth < mebibytes * MIB, "grew by {} KiB", growth >> 10);
    }

    /// The main log so far.
    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log/pushkin.log")).unwrap()
    }

    /// The attack is over: the good client was served, no worker has panicked, nothing was
    /// answered with 500, and the daemon stops as ever.
    #[track_caller]
    fn survived(self) {
        assert_eq!(self.metric("onegin_worker_panics_total"), 0);
        assert_eq!(self.metric("onegin_http_responses_total{code=\"500\"}"), 0);
        self.good.was_served();
        assert_eq!(self.daemon.stop(), Some(0));
    }
}

/// A line of the process's status, in bytes.
fn status(daemon: &Daemon, name: &str) -> u64 {
    let path = format!("/proc/{}/status", daemon.process.id());
    let text = fs::read_to_string(path).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = value.and_then(|value| value.trim().strip_suffix(" kB"));
    kibibytes.unwrap().parse::<u64>().unwrap() << 10
}

/// A client that posts one event after the other on one connection.
struct GoodClient {
    stop: mpsc::Sender<()>,
    /// Gives back the longest that an answer took, and the number of answers.
    thread: JoinHandle<(Duration, usize)>,
}

impl GoodClient {
    fn start(address: SocketAddr) -> Self {
        let (stop, stopped) = mpsc::channel();
        let (first, begun) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut client = Client::connect(address);
            let (mut longest, mut served) = (Duration::ZERO, 0);
            loop {
                let asked = Instant::now();
                client
                    .post("/post_events_json", "", EVENT.as_bytes())
                    .accepted();
                longest = longest.max(asked.elapsed());
                served += 1;
                first.send(()).ok();
                let pause = stopped.recv_timeout(Duration::from_millis(20));
                if pause != Err(RecvTimeoutError::Timeout) {
                    return (longest, served);
                }
            }
        });
        // From now on it has its connection.
        begun.recv().expect("the first POST is answered");
        Self { stop, thread }
    }

    #[track_caller]
    fn was_served(self) {
        self.stop.send(()).ok();
        let (longest, served) = self.thread.join().expect("each of its POSTs got its 200");
        println!("{served} good POSTs, the slowest took {longest:?}");
        assert!(longest < PATIENCE, "one took {longest:?}");
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(2 * PATIENCE)).unwrap();
    stream.set_write_timeout(Some(2 * PATIENCE)).unwrap();
    stream
}

/// Everything that the daemon says until it closes, be it by a reset.
#[track_caller]
fn last_words(mut stream: &TcpStream) -> String {
    let mut said = Vec::new();
    let mut buffer = [0; 4 << 10];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => said.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("the daemon does not close the connection: {error}"),
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// The statuses in what was said, in order.
fn statuses(said: &str) -> Vec<u16> {
    said.split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| answer.get(..3).unwrap_or_default().parse().unwrap())
        .collect()
}

/// One POST on a connection of its own.
fn post(address: SocketAddr, path: &str, headers: &str, body: &[u8]) -> Answer {
    Client::connect(address).post(path, headers, body)
}

/// Lets this process open `count` files; as many as it may, if that is less.
fn allow_open_files(count: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let allowed = maximum.map_or(count, |maximum| maximum.min(count));
    if current.is_none_or(|current| current >= allowed) {
        return current.unwrap_or(count).min(count);
    }
    let raised = Rlimit {
        current: Some(allowed),
        maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    allowed
}

/// A pause between two rounds of an attack.
fn pause() {
    let (_never, nothing) = mpsc::channel::<()>();
    nothing.recv_timeout(Duration::from_millis(50)).unwrap_err();
}
