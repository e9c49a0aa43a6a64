//! Clients that are slow on purpose.

use std::io::Write;

use super::*;

/// Connections of each attack.
const CLIENTS: usize = 300;

/// Sends `piece` on each connection again and again, until each has been answered or closed;
/// gives back what each has heard.
#[track_caller]
fn dribble(streams: Vec<TcpStream>, piece: &[u8]) -> Vec<String> {
    let deadline = Instant::now() + 2 * PATIENCE;
    for stream in &streams {
        stream.set_nonblocking(true).unwrap();
    }
    let mut waiting = streams;
    let mut heard = Vec::new();
    while !waiting.is_empty() {
        assert!(
            Instant::now() < deadline,
            "{} are still there",
            waiting.len()
        );
        waiting.retain_mut(|stream| {
            let mut answer = [0; 4 << 10];
            match stream.read(&mut answer) {
                Ok(read) => {
                    heard.push(String::from_utf8_lossy(&answer[..read]).into_owned());
                    false
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // A full socket, or one that is closed by now: the next read tells.
                    stream.write_all(piece).ok();
                    true
                }
                Err(_) => {
                    heard.push(String::new());
                    false
                }
            }
        });
        pause();
    }
    heard
}

#[track_caller]
fn all_are(heard: &[String], status: u16) {
    for said in heard {
        assert_eq!(statuses(said), [status], "{said:?}");
        assert!(
            said.to_lowercase().contains("\r\nconnection: close\r\n"),
            "{said:?}"
        );
    }
}

#[test]
fn heads_that_dribble_are_cut_off_with_408() {
    let victim = Victim::start("header_timeout_sec = 2\nidle_timeout_sec = 3600");
    let streams: Vec<TcpStream> = (0..CLIENTS)
        .map(|_| {
            let mut stream = victim.connect();
            let head = b"POST /post_events_json HTTP/1.1\r\nHost: test\r\n";
            stream.write_all(head).unwrap();
            stream
        })
        .collect();
    let heard = dribble(streams, b"X: y\r\n");
    all_are(&heard, 408);
    victim.turned_away("slow_head", CLIENTS as u64);
    victim.grew_less_than(32);
    victim.survived();
}

#[test]
fn a_connections_second_head_has_no_more_time_than_its_first() {
    let victim = Victim::start("header_timeout_sec = 2\nidle_timeout_sec = 3600");
    let streams: Vec<TcpStream> = (0..CLIENTS)
        .map(|_| {
            let stream = crate::http::tcp(victim.address());
            let mut client = Client::over(stream.try_clone().unwrap());
            client
                .post("/post_events_json", "", EVENT.as_bytes())
                .accepted();
            client.write("G");
            stream
        })
        .collect();
    all_are(&dribble(streams, b"G"), 408);
    victim.turned_away("slow_head", CLIENTS as u64);
    victim.survived();
}

/// Connections in the middle of a body, `announced` in their heads by this field.
fn in_the_middle_of_a_body(victim: &Victim, announced: &str) -> Vec<TcpStream> {
    (0..CLIENTS)
        .map(|_| {
            let mut stream = victim.connect();
            let head = format!(
                "POST /post_events_json HTTP/1.1\r\nHost: test\r\n\
                 Accept: application/json\r\n{announced}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect()
}

#[test]
fn bodies_that_dribble_are_cut_off_with_408_when_their_time_is_over() {
    let victim = Victim::start("body_timeout_sec = 3");
    let mut heard = dribble(
        in_the_middle_of_a_body(&victim, "Content-Length: 1000000"),
        b" ",
    );
    let chunked = in_the_middle_of_a_body(&victim, "Transfer-Encoding: chunked");
    heard.extend(dribble(chunked, b"1\r\n \r\n"));
    all_are(&heard, 408);
    for said in &heard {
        assert!(said.contains("did not arrive within 3 s"), "{said:?}");
    }
    assert_eq!(
        victim.metric("onegin_http_responses_total{code=\"408\"}"),
        2 * CLIENTS as u64
    );
    victim.grew_less_than(32);
    victim.survived();
}

#[test]
fn bodies_that_dribble_are_cut_off_also_where_they_have_much_time() {
    let victim = Victim::start("body_timeout_sec = 3600");
    let streams = in_the_middle_of_a_body(&victim, "Content-Length: 1000000");
    let heard = dribble(streams, b" ");
    all_are(&heard, 408);
    for said in &heard {
        assert!(
            said.contains("less than 1024 bytes within 10 s"),
            "{said:?}"
        );
    }
    victim.survived();
}

/// Large bodies that do not end hold what they have sent; small ones must still have room.
#[test]
fn large_bodies_that_do_not_end_keep_no_small_ones_out() {
    let victim = Victim::start(
        "body_timeout_sec = 3600\nmax_body_bytes = 1048576\nmax_inflight_body_mb = 8",
    );
    // From the largest to those just too large for the part that is kept: each fills what the
    // ones before it have left. What is refused is thrown away, so writing does not block.
    let attackers: Vec<TcpStream> = [1_000_000, 300_000, 100_000, 66_000, 66_000]
        .iter()
        .flat_map(|length| [length; 20])
        .map(|length| {
            let mut stream = victim.connect();
            let head = format!(
                "POST /post_events_json HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&vec![b' '; length - 1]).unwrap();
            stream
        })
        .collect();
    let small = format!("{EVENT:64000}");
    for _ in 0..20 {
        post(victim.address(), "/post_events_json", "", small.as_bytes()).accepted();
    }
    let heard: Vec<_> = attackers
        .iter()
        .map(|stream| statuses(&last_words(stream)))
        .collect();
    let count = |status: u16| heard.iter().filter(|heard| **heard == [status]).count();
    let (slow, no_room) = (count(408), count(503));
    println!("{slow} were too slow, {no_room} found no room");
    assert_eq!(slow + no_room, attackers.len(), "{heard:?}");
    assert!(no_room > 0 && slow > 0);
    assert_eq!(
        victim.metric("onegin_http_responses_total{code=\"503\"}"),
        no_room as u64
    );
    victim.grew_less_than(64);
    // Each of the other one's POSTs got 200, too.
    victim.survived();
}

#[test]
fn a_client_that_does_not_take_its_answers_is_cut_off() {
    const CLIENTS: usize = 8;
    let victim = Victim::start("body_timeout_sec = 3\nidle_timeout_sec = 3600");
    let attackers: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut stream = victim.connect();
            thread::spawn(move || {
                let requests = b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n".repeat(100);
                loop {
                    if let Err(error) = stream.write_all(&requests) {
                        return error.kind();
                    }
                }
            })
        })
        .collect();
    for attacker in attackers {
        let end = attacker.join().unwrap();
        assert!(
            matches!(end, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
            "the daemon did not close the connection: {end:?}"
        );
    }
    victim.turned_away("slow_answer", CLIENTS as u64);
    victim.grew_less_than(32);
    victim.survived();
}
