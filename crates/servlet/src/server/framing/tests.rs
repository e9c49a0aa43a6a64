//! The same bytes in every division: the verdict must not depend on how they arrive.

use super::*;

/// The verdict about `bytes` at once; asserts that it is the same byte by byte.
fn verdict(bytes: &str) -> (Verdict, bool) {
    let bytes = bytes.as_bytes();
    let mut at_once = Framing::new();
    let verdict = at_once.observe(bytes);
    let mut piecewise = Framing::new();
    let found = (0..bytes.len()).find_map(|place| match piecewise.observe(&bytes[place..=place]) {
        Verdict::Sound => None,
        Verdict::Unsound(at) => Some(Verdict::Unsound(place + at)),
        Verdict::Http2 => Some(Verdict::Http2),
    });
    assert_eq!(found.unwrap_or(Verdict::Sound), verdict);
    (verdict, at_once.is_inside_head())
}

#[track_caller]
fn sound(bytes: &str) {
    assert_eq!(verdict(bytes), (Verdict::Sound, false), "{bytes:?}");
}

/// Unsound at the last byte, which is a line feed.
#[track_caller]
fn unsound(bytes: &str) {
    assert_eq!(
        verdict(bytes).0,
        Verdict::Unsound(bytes.len() - 1),
        "{bytes:?}"
    );
}

#[test]
fn each_request_ends_where_its_head_says() {
    let next = "GET / HTTP/1.1\r\n\r\n";
    for body in [
        "\r\n",
        "Content-Length: 0\r\n\r\n",
        "content-length:\t2 \r\nX: y\r\n\r\n\n\n",
        "Transfer-Encoding: Chunked\r\n\r\n2\r\n\n\n\r\nA ;x=y\r\n0123456789\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n0\r\nT: r\r\n\r\n",
    ] {
        let request = format!("POST / HTTP/1.1\r\n{body}");
        sound(&request);
        sound(&format!("{request}\r\n{next}{request}"));
        // Whether a line feed alone is seen shows that a head is expected here, and nowhere else.
        unsound(&format!("{request}GET / HTTP/1.1\n"));
    }
}

#[test]
fn a_head_that_has_begun_is_known() {
    assert!(!verdict("").1);
    assert!(verdict("G").1);
    assert!(verdict("GET / HTTP/1.1\r\n").1);
    assert!(!verdict("GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\n").1);
    assert!(verdict("GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\nxG").1);
}

#[test]
fn what_can_be_read_in_two_ways_is_unsound() {
    let head = "POST / HTTP/1.1\r\n";
    for fields in [
        "X: y\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length:\r\n",
        "Content-Length: 9223372036854775808\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1\n",
        "Transfer-Encoding: chunked\r\n\r\n0x1\r\n",
        "Transfer-Encoding: chunked\r\n\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n",
        "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\n",
    ] {
        unsound(&format!("{head}{fields}"));
    }
    let padded = format!("{head}Content-Length: {:>80}\r\n", 5);
    unsound(&padded);
    unsound("\n");
}

#[test]
fn http2_is_known_by_its_preface_and_only_at_the_beginning() {
    assert_eq!(
        verdict("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").0,
        Verdict::Http2
    );
    sound("GET / HTTP/1.1\r\n\r\nPRI * HTTP/2.0\r\n\r\n");
}
