//! Heads that are too large.

use std::io::Write;

use super::*;

#[test]
fn heads_that_are_too_large_are_cut_off_with_431() {
    let victim = Victim::start("");
    let line = |length: usize| format!("X: {}\r\n", "y".repeat(length));
    let request = "POST /post_events_json HTTP/1.1\r\nHost: test\r\n";
    for head in [
        // One that does not end, and one that does.
        format!("{request}X: {}", "y".repeat(200_000)),
        format!("{request}{}\r\n", line(20_000)),
        format!("{request}{}", line(100).repeat(1_000)),
        format!("{request}{}\r\n", "X: y\r\n".repeat(101)),
        format!("GET /{} HTTP/1.1\r\n", "x".repeat(100_000)),
        format!("{} / HTTP/1.1\r\n", "X".repeat(100_000)),
        "\r\n".repeat(100_000),
    ] {
        let mut stream = victim.connect();
        // What is too much may be refused before all of it is written.
        stream.write_all(head.as_bytes()).ok();
        let said = last_words(&stream);
        assert_eq!(statuses(&said), [431], "{said:?} to {head:.60}");
    }
    victim.turned_away("large_head", 7);
    // What is only large is taken.
    let headers = format!("{}{}", line(10_000), "Y: z\r\n".repeat(90));
    let answer = post(
        victim.address(),
        "/post_events_json",
        &headers,
        EVENT.as_bytes(),
    );
    answer.accepted();
    victim.survived();
}

/// The most that heads can hold: all at once, each just below its limit.
#[test]
fn a_thousand_large_heads_that_do_not_end_cost_their_bytes_and_no_more() {
    let victim = Victim::start("header_timeout_sec = 3600");
    let head = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(15_000));
    let streams: Vec<TcpStream> = (0..1_000)
        .map(|_| {
            let mut stream = victim.connect();
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    // Each ends as it should, so each has been read.
    for mut stream in &streams {
        stream.write_all(b"\r\nConnection: close\r\n\r\n").unwrap();
    }
    for stream in &streams {
        assert_eq!(statuses(&last_words(stream)), [404]);
    }
    victim.grew_less_than(100);
    victim.survived();
}
