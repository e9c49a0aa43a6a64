//! Requests that a proxy in front may see otherwise than we do.

use std::io::Write;

use super::*;

/// What must never be interpreted as a request; it would have an answer of its own.
const SMUGGLED: &str = "GET /get_request_queue HTTP/1.1\r\nHost: test\r\n\r\n";

const POST: &str = "POST /post_events_json HTTP/1.1\r\nHost: test\r\n";

/// What is smuggled as a chunk, and in front of one.
fn forms() -> Vec<(&'static str, String)> {
    let chunked = "Transfer-Encoding: chunked\r\n";
    vec![
        (
            "Content-Length, then Transfer-Encoding",
            format!("{POST}Content-Length: 4\r\n{chunked}\r\n0\r\n\r\n"),
        ),
        (
            "Transfer-Encoding, then Content-Length",
            format!("{POST}{chunked}Content-Length: 4\r\n\r\n0\r\n\r\n"),
        ),
        (
            "two Content-Lengths",
            format!("{POST}Content-Length: 0\r\nContent-Length: 44\r\n\r\n"),
        ),
        (
            "one Content-Length twice",
            format!("{POST}Content-Length: 0\r\nContent-Length: 0\r\n\r\n"),
        ),
        (
            "a list of lengths",
            format!("{POST}Content-Length: 0, 0\r\n\r\n"),
        ),
        (
            "a signed length",
            format!("{POST}Content-Length: +0\r\n\r\n"),
        ),
        (
            "a length beyond 63 bits",
            format!("{POST}Content-Length: 9223372036854775808\r\n\r\n"),
        ),
        (
            "a length beyond 64 bits",
            format!("{POST}Content-Length: 18446744073709551616\r\n\r\n"),
        ),
        (
            "a coding that is not chunked",
            format!("{POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "a coding before chunked",
            format!("{POST}Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "chunked twice",
            format!("{POST}{chunked}{chunked}\r\n0\r\n\r\n"),
        ),
        (
            "chunked in HTTP/1.0",
            format!("POST /post_events_json HTTP/1.0\r\n{chunked}\r\n0\r\n\r\n"),
        ),
        (
            "a vertical tab before chunked",
            format!("{POST}Transfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "a blank before the colon",
            format!("{POST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "a blank before the first field",
            format!("POST /post_events_json HTTP/1.1\r\n {chunked}\r\n0\r\n\r\n"),
        ),
        (
            "a folded line",
            format!("{POST}X: y\r\n Content-Length: 44\r\n\r\n"),
        ),
        (
            "a folded Transfer-Encoding",
            format!("{POST}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "a line feed alone after the request line",
            "GET /healthz HTTP/1.1\nHost: test\r\n\r\n".to_owned(),
        ),
        (
            "a line feed alone after a field",
            format!("{POST}X: y\nContent-Length: 0\r\n\r\n"),
        ),
        (
            "a line feed alone at the head's end",
            format!("{POST}Content-Length: 0\r\n\n"),
        ),
        (
            "a line feed alone before the request",
            format!("\n{POST}\r\n"),
        ),
        (
            "a carriage return alone",
            format!("{POST}X: y\rContent-Length: 44\r\n\r\n"),
        ),
        ("a NUL in a value", format!("{POST}X: y\0z\r\n\r\n")),
        ("a NUL in a name", format!("{POST}X\0: y\r\n\r\n")),
        ("a NUL in the path", "GET /\0 HTTP/1.1\r\n\r\n".to_owned()),
        ("a field without a colon", format!("{POST}X\r\n\r\n")),
        ("an empty name", format!("{POST}: y\r\n\r\n")),
        ("two blanks", "GET  /healthz HTTP/1.1\r\n\r\n".to_owned()),
        ("no version", "GET /healthz\r\n\r\n".to_owned()),
        (
            "a later version",
            "GET /healthz HTTP/1.2\r\n\r\n".to_owned(),
        ),
        (
            "no HTTP at all",
            "\x16\x03\x01\x02\0\x01\0\r\n\r\n".to_owned(),
        ),
        (
            "a chunk size beyond 64 bits",
            format!("{POST}{chunked}\r\n10000000000000002\r\nab\r\n0\r\n\r\n"),
        ),
        (
            "a chunk size with a sign",
            format!("{POST}{chunked}\r\n+2\r\nab\r\n0\r\n\r\n"),
        ),
        (
            "a chunk size in C's form",
            format!("{POST}{chunked}\r\n0x2\r\nab\r\n0\r\n\r\n"),
        ),
        (
            "no chunk size",
            format!("{POST}{chunked}\r\n\r\nab\r\n0\r\n\r\n"),
        ),
        (
            "a chunk size that ends with a line feed alone",
            format!("{POST}{chunked}\r\n2\nab\r\n0\r\n\r\n"),
        ),
        (
            "an extension that ends with a line feed alone",
            format!("{POST}{chunked}\r\n2;x\nab\r\n0\r\n\r\n"),
        ),
        (
            "a chunk that is longer than it says",
            format!("{POST}{chunked}\r\n2\r\nabc\r\n0\r\n\r\n"),
        ),
        (
            "a trailer that ends with a line feed alone",
            format!("{POST}{chunked}\r\n0\r\nX: y\n\r\n\r\n"),
        ),
    ]
}

#[test]
fn what_can_be_read_in_two_ways_is_answered_with_400_and_nothing_after_it_is_read() {
    let victim = Victim::start("");
    let forms = forms();
    let mut in_heads = 0;
    for (name, request) in &forms {
        // At once, behind a good request, and in two pieces, divided anywhere.
        let good = "GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n";
        let at_once = format!("{request}{SMUGGLED}");
        let behind = format!("{good}{at_once}");
        let middle = request.len() / 2;
        let cases = [
            (vec![at_once.as_bytes()], vec![400]),
            (vec![behind.as_bytes()], vec![200, 400]),
            (
                vec![&at_once.as_bytes()[..middle], &at_once.as_bytes()[middle..]],
                vec![400],
            ),
        ];
        for (pieces, expected) in cases {
            let mut stream = victim.connect();
            for piece in pieces {
                // The second one may find the connection closed.
                stream.write_all(piece).ok();
            }
            let said = last_words(&stream);
            assert_eq!(statuses(&said), expected, "{name}: {said:?}");
        }
        in_heads +=
            3 * u64::from(!request.contains(&format!("{POST}Transfer-Encoding: chunked\r\n\r\n")));
    }
    // Heads are refused before there is a request, bodies by the door.
    victim.turned_away("bad_head", in_heads);
    assert_eq!(
        victim.metric("onegin_http_responses_total{code=\"400\"}"),
        3 * forms.len() as u64 - in_heads
    );
    victim.survived();
}

/// What is refused above must not be a strictness that hurts: these are right.
#[test]
fn what_can_be_read_in_one_way_only_is_taken() {
    let victim = Victim::start("");
    let (first, second) = EVENT.split_at(20);
    let mut client = Client::connect(victim.address());
    for request in [
        format!("{POST}Content-Length: {}\r\n\r\n{EVENT}", EVENT.len()),
        format!(
            "\r\n{POST}content-length:\t{}  \r\n\r\n{EVENT}",
            EVENT.len()
        ),
        format!(
            "{POST}TRANSFER-ENCODING:chunked\r\n\r\n{:x}\r\n{first}\r\n{:X};name=\"value\"\r\n{second}\r\n000\r\n\r\n",
            first.len(),
            second.len()
        ),
        format!(
            "{POST}Trailer: X\r\nTransfer-Encoding: Chunked\r\n\r\n{:x} \r\n{EVENT}\r\n0\r\nX: y\r\n\r\n",
            EVENT.len()
        ),
    ] {
        // Byte by byte, too.
        client.write(&request);
        client.read_answer().accepted();
        for byte in request.as_bytes() {
            client.write([*byte]);
        }
        client.read_answer().accepted();
    }
    victim.survived();
}
