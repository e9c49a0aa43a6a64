//! What systemd is told by the program itself, on a socket that the test reads.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddrV4},
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
};

use rustix::{
    process::Signal,
    time::{ClockId, clock_gettime},
};
use tempfile::TempDir;

use crate::{
    app::{LIMIT, eventually},
    commands::Daemon,
    http::Client,
};

/// The manager's end. A thread reads it all the time: the system keeps ten messages and no more.
struct Manager {
    messages: Receiver<String>,
    directory: TempDir,
}

impl Manager {
    /// Listens on a path.
    fn on_a_path() -> (Self, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify.sock");
        let socket = UnixDatagram::bind(&path).unwrap();
        (Self::new(socket, directory), path.display().to_string())
    }

    /// Listens on a name that no file has.
    fn on_an_abstract_name() -> (Self, String) {
        let directory = tempfile::tempdir().unwrap();
        let name = format!("onegin-test{}", directory.path().display());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        (Self::new(socket, directory), format!("@{name}"))
    }

    fn new(socket: UnixDatagram, directory: TempDir) -> Self {
        let (read, messages) = mpsc::channel();
        thread::spawn(move || {
            let mut message = [0; 4096];
            // Until the test is over.
            while let Ok(length) = socket.recv(&mut message)
                && let text = String::from_utf8_lossy(&message[..length])
                && read.send(text.into_owned()).is_ok()
            {}
        });
        let configuration = "[ServerSpecific]\nport = 0\nshutdown_timeout_sec = 17\n";
        fs::write(directory.path().join("config.ini"), configuration).unwrap();
        Self {
            messages,
            directory,
        }
    }

    fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn start(&self, environment: &[(&str, &str)]) -> Daemon {
        let configuration = self.directory().join("config.ini");
        Daemon::start(self.directory(), &configuration, environment)
    }

    /// The lines of the next message.
    fn next(&self) -> Vec<String> {
        let text = self.messages.recv_timeout(LIMIT).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// The next message that is no sign of life, and how many signs of life came before it.
    fn next_news(&self) -> (Vec<String>, usize) {
        let mut signs = 0;
        loop {
            let message = self.next();
            if message != ["WATCHDOG=1"] {
                return (message, signs);
            }
            signs += 1;
        }
    }
}

fn monotonic_us() -> i128 {
    let now = clock_gettime(ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000
}

#[test]
fn systemd_hears_of_start_reload_and_stop() {
    for (manager, socket) in [Manager::on_a_path(), Manager::on_an_abstract_name()] {
        let mut daemon = manager.start(&[("NOTIFY_SOCKET", &socket)]);
        let listening = format!("STATUS=listening on {}", daemon.address);
        assert_eq!(manager.next(), ["READY=1", &listening]);
        // Whoever is ready answers.
        let mut client = Client::connect(daemon.address);
        assert_eq!(client.get("/healthz").status, 200);

        let before = monotonic_us();
        daemon.signal(Signal::HUP);
        let reloading = manager.next();
        assert_eq!(
            [&reloading[0], &reloading[2]],
            ["RELOADING=1", "STATUS=reloading"]
        );
        let at = reloading[1].strip_prefix("MONOTONIC_USEC=").unwrap();
        let at: i128 = at.parse().unwrap();
        assert!((before..=monotonic_us()).contains(&at), "{before} {at}");
        assert_eq!(manager.next(), ["READY=1", &listening]);

        daemon.signal(Signal::TERM);
        let stopping = ["STOPPING=1", "STATUS=draining, for 17 s at most"];
        assert_eq!(manager.next(), stopping);
        assert_eq!(daemon.process.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn signs_of_life_come_in_time_also_while_it_reloads_and_stops() {
    let (manager, socket) = Manager::on_a_path();
    let daemon = manager.start(&[("NOTIFY_SOCKET", &socket), ("WATCHDOG_USEC", "20000")]);
    let (ready, _) = manager.next_news();
    assert_eq!(ready[0], "READY=1");
    // One at once, the others one by one.
    for _ in 0..5 {
        assert_eq!(manager.next(), ["WATCHDOG=1"]);
    }
    daemon.signal(Signal::HUP);
    assert_eq!(manager.next_news().0[0], "RELOADING=1");
    assert_eq!(manager.next_news().0[0], "READY=1");
    for _ in 0..5 {
        assert_eq!(manager.next(), ["WATCHDOG=1"]);
    }
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(manager.next_news().0[0], "STOPPING=1");
}

#[test]
fn a_watchdog_that_waits_for_another_process_gets_no_sign_of_life() {
    let (manager, socket) = Manager::on_a_path();
    // Process 1 is not ours. Every millisecond would bring one.
    let environment = [
        ("NOTIFY_SOCKET", socket.as_str()),
        ("WATCHDOG_USEC", "2000"),
        ("WATCHDOG_PID", "1"),
    ];
    let daemon = manager.start(&environment);
    assert_eq!(manager.next()[0], "READY=1");
    for _ in 0..20 {
        assert_eq!(Client::connect(daemon.address).get("/healthz").status, 200);
    }
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(manager.next_news(), (manager_stops(), 0));
}

fn manager_stops() -> Vec<String> {
    ["STOPPING=1", "STATUS=draining, for 17 s at most"]
        .map(str::to_owned)
        .into()
}

#[test]
fn a_watchdog_that_waits_for_this_process_gets_its_signs_of_life() {
    let (manager, socket) = Manager::on_a_path();
    // The shell's process id stays the daemon's.
    let process = Command::new("sh")
        .args([
            "-c",
            "export WATCHDOG_PID=$$; exec \"$0\" --configuration config.ini",
        ])
        .arg(env!("CARGO_BIN_EXE_onegin"))
        .current_dir(manager.directory())
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "20000")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0).into();
    let daemon = Daemon { process, address };
    assert_eq!(manager.next_news().0[0], "READY=1");
    for _ in 0..5 {
        assert_eq!(manager.next(), ["WATCHDOG=1"]);
    }
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_notify_socket_that_is_not_there_costs_a_line_in_the_log_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let configuration = directory.path().join("config.ini");
    fs::write(&configuration, "[ServerSpecific]\nport = 0\n").unwrap();
    let socket = directory.path().join("nobody.sock").display().to_string();
    let environment = [("NOTIFY_SOCKET", socket.as_str())];
    let daemon = Daemon::start(directory.path(), &configuration, &environment);
    assert_eq!(Client::connect(daemon.address).get("/healthz").status, 200);
    assert_eq!(daemon.stop(), Some(0));
    let log = directory.path().join("log/pushkin.log");
    eventually("the log says so", || {
        let log = fs::read_to_string(&log).unwrap_or_default();
        log.contains("the service manager could not be told")
    });
}

#[test]
fn the_unit_in_the_documents_gives_a_stop_the_time_it_may_take() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/onegin.service");
    let unit = fs::read_to_string(unit).unwrap();
    let value = |key: &str| {
        let mut values = unit.lines().filter_map(|line| line.strip_prefix(key));
        let value = values
            .next()
            .unwrap_or_else(|| panic!("no {key} in {unit}"));
        value.strip_prefix('=').unwrap().to_owned()
    };
    let defaults = onegin::config::Config::default().server;
    let seconds = |key: &str| value(key).parse::<u64>().unwrap();
    assert_eq!(value("Type"), "notify-reload");
    assert!(seconds("TimeoutStopSec") > defaults.shutdown_timeout_sec);
    assert!(seconds("WatchdogSec") > 0);
    let files = seconds("LimitNOFILE");
    assert!(files > 2 * defaults.max_connections.get() as u64);
    // The folder it works in is the one it may write to.
    let folder = format!("/var/lib/{}", value("StateDirectory"));
    assert_eq!(value("WorkingDirectory"), folder);
}
