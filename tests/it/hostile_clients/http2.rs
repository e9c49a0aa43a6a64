//! HTTP/2 at a port that speaks HTTP/1.1: refused in its own words, and never begun. A rapid reset
//! (CVE-2023-44487) therefore costs what throwing bytes away costs.

use std::io::Write;

use super::*;

/// More than the daemon reads of a connection it has refused, and the sockets' buffers.
const CUT_OFF_BYTES: usize = 128 << 20;

#[test]
fn an_http2_client_is_told_to_speak_http1() {
    let victim = Victim::start("");
    let stream = victim.connect();
    stream.set_nonblocking(true).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let reason = runtime.block_on(async {
        let stream = tokio::net::TcpStream::from_std(stream).unwrap();
        let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
        let request = http::Request::get("http://test/healthz").body(()).unwrap();
        let (answer, _) = requests.send_request(request, true).unwrap();
        let (ended, answered) = tokio::join!(connection, answer);
        let error = answered.err().or(ended.err());
        error.and_then(|error| error.reason())
    });
    assert_eq!(reason, Some(h2::Reason::HTTP_1_1_REQUIRED));
    victim.turned_away("http2", 1);
    victim.survived();
}

/// A frame of HTTP/2 (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

#[test]
fn a_flood_of_streams_that_are_reset_at_once_is_cut_off() {
    const CLIENTS: u64 = 4;
    let victim = Victim::start("");
    let attackers: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut stream = victim.connect();
            thread::spawn(move || {
                let mut preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
                preface.extend(frame(4, 0, 0, b""));
                stream.write_all(&preface).unwrap();
                let mut written = 0;
                let mut number = 1;
                while written < CUT_OFF_BYTES {
                    let mut flood = Vec::new();
                    for _ in 0..1_000 {
                        // GET http: with authority "a", its end, and CANCEL.
                        flood.extend(frame(1, 5, number, b"\x82\x86\x84\x41\x01a"));
                        flood.extend(frame(3, 0, number, &[0, 0, 0, 8]));
                        number = (number + 2) & 0x7fff_ffff;
                    }
                    if stream.write_all(&flood).is_err() {
                        break;
                    }
                    written += flood.len();
                }
                written
            })
        })
        .collect();
    for attacker in attackers {
        let written = attacker.join().unwrap();
        assert!(written < CUT_OFF_BYTES, "the daemon did not close");
    }
    victim.turned_away("http2", CLIENTS);
    victim.grew_less_than(32);
    victim.survived();
}
