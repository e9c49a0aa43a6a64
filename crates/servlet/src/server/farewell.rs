//! What clients hear whom hyper has no answer for.

use crate::metrics::CutOff;

/// 408, for a head that did not end in time.
const SLOW_HEAD: &[u8] = concat!(
    "HTTP/1.1 408 Request Timeout\r\nServer: Onegin/",
    env!("CARGO_PKG_VERSION"),
    "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)
.as_bytes();

/// 503, for a connection too many.
pub(super) const TOO_MANY: &[u8] = concat!(
    "HTTP/1.1 503 Service Unavailable\r\nServer: Onegin/",
    env!("CARGO_PKG_VERSION"),
    "\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)
.as_bytes();

/// An empty SETTINGS frame, which must come first, and GOAWAY with `HTTP_1_1_REQUIRED` (RFC 9113
/// sections 3.4, 6.5, 6.8 and 7); curl then tries again with HTTP/1.1.
const HTTP2: &[u8] = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00\
    \x00\x00\x21\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0d\
    this port speaks HTTP/1.1";

/// The last words to a client that is turned away for this reason, where there are any of ours.
pub(super) fn to(cut_off: CutOff) -> Option<&'static [u8]> {
    match cut_off {
        CutOff::SlowHead => Some(SLOW_HEAD),
        CutOff::Http2 => Some(HTTP2),
        CutOff::Limit | CutOff::BadHead | CutOff::LargeHead | CutOff::SlowAnswer => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frames_have_the_lengths_they_say() {
        let goaway = &HTTP2[9..];
        assert_eq!(goaway[..3], [0, 0, u8::try_from(goaway.len() - 9).unwrap()]);
        assert_eq!(&goaway[17..], b"this port speaks HTTP/1.1");
    }
}
