//! The listener for GOAWAY on HTTP/2 connections. Input: a byte that says where the connection's
//! bytes are cut, then those bytes.
//!
//! * However the bytes are cut, the same is heard.
//! * What is heard is what a reader of whole frames finds (RFC 9113 sections 4.1 and 6.8), and
//!   kept in bounds.

use sender::fuzzing;

const GOAWAY: u8 = 0x7;

/// Bytes of debug data that are kept.
const DEBUG_DATA: usize = 1024;

/// Checks one input.
pub fn check(input: &[u8]) {
    let Some((&cut, bytes)) = input.split_first() else {
        return;
    };
    let whole = fuzzing::goaway([bytes].into_iter());
    let in_pieces = fuzzing::goaway(bytes.chunks(1 + usize::from(cut)));
    assert_eq!(whole, in_pieces);
    let heard = whole.map(|(stream, code, debug_data)| (stream, code, debug_data.to_vec()));
    assert_eq!(heard, expected(bytes));
}

fn expected(mut bytes: &[u8]) -> Option<(u32, u32, Vec<u8>)> {
    let mut heard: Option<(u32, u32, Vec<u8>)> = None;
    while let Some((&[a, b, c, kind, _flags, _, _, _, _], rest)) = bytes.split_first_chunk::<9>() {
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let Some((payload, after)) = rest.split_at_checked(length) else {
            break;
        };
        bytes = after;
        if kind == GOAWAY && payload.len() >= 8 {
            let number = |at: usize| {
                let bytes = [
                    payload[at],
                    payload[at + 1],
                    payload[at + 2],
                    payload[at + 3],
                ];
                u32::from_be_bytes(bytes)
            };
            let stream = number(0) & 0x7fff_ffff;
            let lowest = heard.map_or(stream, |(before, ..)| before.min(stream));
            let debug_data = payload[8..].iter().copied().take(DEBUG_DATA).collect();
            heard = Some((lowest, number(4), debug_data));
        }
    }
    heard
}
