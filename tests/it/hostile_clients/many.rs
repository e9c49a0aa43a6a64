//! Many connections, many requests.

use std::{
    io::{BufReader, Read, Write},
    net::{IpAddr, TcpStream},
    process::{Command, Stdio},
    thread,
};

use super::*;

/// Connections of [`ten_thousand_idle_connections_cost_little_and_hold_nobody_up`].
const IDLE: u64 = 10_000;

const GET: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n";

#[test]
fn ten_thousand_idle_connections_cost_little_and_hold_nobody_up() {
    // The other tests of this process need some too.
    let idle = IDLE.min(allow_open_files(IDLE + 4_000).saturating_sub(2_000));
    let victim = Victim::start("max_connections = 12000\nidle_timeout_sec = 3600");
    let mut address = victim.address();
    let connections: Vec<TcpStream> = (0..idle)
        .map(|number| {
            // One address has no more than 28,000 ports to connect from, and others use them too.
            address.set_ip(IpAddr::from([
                127,
                0,
                0,
                1 + u8::try_from(number % 4).unwrap(),
            ]));
            connect(address)
        })
        .collect();
    eventually("all are connected", || {
        victim.metric("onegin_http_connections") >= idle
    });
    println!("{idle} connections");
    victim.grew_less_than(40);

    // Each has asked once: now it has buffers.
    for mut connection in &connections {
        connection.write_all(GET).unwrap();
    }
    for mut connection in &connections {
        let mut answer = [0; 12];
        connection.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
    victim.grew_less_than(300);
    drop(connections);
    eventually("all are gone", || {
        // The good client's and the one that asks.
        victim.metric("onegin_http_connections") <= 2
    });
    victim.survived();
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    let victim = Victim::start("idle_timeout_sec = 5");
    let silent: Vec<TcpStream> = (0..100).map(|_| victim.connect()).collect();
    let used: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = victim.connect();
            stream.write_all(GET).unwrap();
            stream
        })
        .collect();
    for stream in &used {
        assert_eq!(statuses(&last_words(stream)), [200]);
    }
    for stream in &silent {
        assert_eq!(last_words(stream), "");
    }
    victim.survived();
}

/// Waits until no more than `most` of the connections are open; gives back how many were refused,
/// each with a 503.
#[track_caller]
fn refused(open: &mut Vec<TcpStream>, most: usize) -> u64 {
    let mut refused = 0;
    for stream in open.iter() {
        stream.set_nonblocking(true).unwrap();
    }
    eventually("those that are too many are refused", || {
        open.retain_mut(|stream| {
            let mut answer = [0; 256];
            match stream.read(&mut answer) {
                Ok(read) => {
                    let answer = String::from_utf8_lossy(&answer[..read]);
                    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer:?}");
                    assert!(answer.contains("\r\nRetry-After: 1\r\n"), "{answer:?}");
                    refused += 1;
                    false
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    true
                }
            }
        });
        open.len() <= most
    });
    refused
}

#[test]
fn connections_that_are_too_many_are_told_so_and_the_others_stay() {
    let victim = Victim::start("max_connections = 50\nidle_timeout_sec = 3600");
    let mut open: Vec<TcpStream> = (0..200).map(|_| victim.connect()).collect();
    let refused = refused(&mut open, 49);
    // Connections of before may have counted a moment longer.
    assert!(open.len() > 40, "{} are left", open.len());
    // Those that were taken are served, and make room for who asks.
    for mut stream in open.drain(..) {
        stream.set_nonblocking(false).unwrap();
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")
            .unwrap();
        assert_eq!(statuses(&last_words(&stream)), [200]);
    }
    victim.turned_away("limit", refused);
    victim.survived();
}

/// A pipeline as long as that must neither fill the memory nor keep the others waiting.
#[test]
fn a_million_requests_on_one_connection_are_answered_in_bounded_memory() {
    const REQUESTS: usize = 1_000_000;
    const AT_ONCE: usize = 1_000;
    let victim = Victim::start("");
    let stream = victim.connect();
    let mut writing = stream.try_clone().unwrap();
    let writer = thread::spawn(move || {
        let requests = GET.repeat(AT_ONCE);
        for _ in 0..REQUESTS / AT_ONCE {
            writing.write_all(&requests).unwrap();
        }
    });
    let mut answers = BufReader::with_capacity(1 << 20, stream);
    let mut first = Vec::new();
    while !first.ends_with(b"\r\n\r\nok") {
        let mut byte = [0];
        answers.read_exact(&mut byte).unwrap();
        first.push(byte[0]);
    }
    // All have the same length, the date included.
    let mut answer = vec![0; first.len()];
    for number in 1..REQUESTS {
        answers.read_exact(&mut answer).unwrap();
        assert!(
            answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.ends_with(b"\r\n\r\nok"),
            "answer {number}: {}",
            answer.escape_ascii()
        );
    }
    writer.join().unwrap();
    victim.grew_less_than(64);
    victim.survived();
}

/// Starts a daemon whose limit of open files is set by the shell.
fn start_limited(ulimit: &str, settings: &str) -> Victim {
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join("config.ini"),
        format!("[ServerSpecific]\nport = 0\nbind_address = 127.0.0.1\n{settings}\n"),
    )
    .unwrap();
    let program = env!("CARGO_BIN_EXE_onegin");
    let mut shell = Command::new("sh");
    shell
        .current_dir(directory.path())
        .arg("-c")
        .arg(format!(
            "{ulimit} && exec \"$0\" --configuration config.ini"
        ))
        .arg(program)
        .stdin(Stdio::null());
    Victim::of(Daemon::spawn(&mut shell), directory)
}

#[test]
fn connections_leave_room_for_the_daemons_own_files() {
    let victim = start_limited("ulimit -n 300", "max_connections = 1000");
    let log = victim.log();
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains(" WARNING [ServerSpecific] max_connections = 1000 and"))
        .collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(
        lines[0].contains("the limit of open files, 300: it is 150 now"),
        "{log}"
    );
    let mut open: Vec<TcpStream> = (0..400).map(|_| victim.connect()).collect();
    // The good client has one of the 150.
    assert!(refused(&mut open, 149) >= 251);
    let log = victim.log();
    assert!(!log.contains("failed to accept"), "{log}");
    drop(open);
    eventually("there is room again", || {
        let mut stream = victim.connect();
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")
            .ok();
        statuses(&last_words(&stream)) == [200]
    });
    victim.survived();
}

#[test]
fn a_low_soft_limit_of_open_files_is_raised() {
    let victim = start_limited("ulimit -Sn 256", "max_connections = 1000");
    let limits = fs::read_to_string(format!("/proc/{}/limits", victim.daemon.process.id()));
    let limits = limits.unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let [soft, hard] = files
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect::<Vec<u64>>()[..]
    else {
        panic!("{files}");
    };
    assert_eq!(soft, hard);
    if hard > 2_000 {
        let log = victim.log();
        assert!(!log.contains("limit of open files"), "{log}");
        let mut open: Vec<Client> = (0..600)
            .map(|_| Client::connect(victim.address()))
            .collect();
        for client in &mut open {
            assert_eq!(client.get("/healthz").status, 200);
        }
    }
    victim.survived();
}
