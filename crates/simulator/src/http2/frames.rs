//! HTTP/2 frames as bytes (RFC 9113 section 4): only what the `h2` crate cannot
//! do for us.
//!
//! `h2` sends no GOAWAY with debug data or a chosen last stream, and no second
//! SETTINGS with another stream limit. So the frames are written here, and a
//! walk over the passing bytes finds the boundaries where they may be put in.

use bytes::BufMut;

/// Length of a frame's head.
pub(super) const HEAD: usize = 9;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
const GOAWAY: u8 = 7;

/// On HEADERS and DATA.
pub(super) const END_STREAM: u8 = 1;
/// On SETTINGS and PING.
pub(super) const ACK: u8 = 1;

/// The id that announces a graceful GOAWAY.
pub(super) const LAST_ID: u32 = (1 << 31) - 1;

const MAX_CONCURRENT_STREAMS: u16 = 3;

/// The fixed part of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameHead {
    /// Bytes that follow the head.
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl FrameHead {
    pub(super) fn parse(head: &[u8; HEAD]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *head;
        Self {
            length: u32::from_be_bytes([0, l0, l1, l2]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & LAST_ID,
        }
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// GOAWAY with `NO_ERROR`, as a draining server sends it.
pub(super) fn put_go_away(out: &mut Vec<u8>, last_id: u32, debug_data: &[u8]) {
    let length = u32::try_from(8 + debug_data.len()).unwrap_or(u32::MAX);
    put_head(out, length, GOAWAY);
    out.put_u32(last_id);
    out.put_u32(0);
    out.put_slice(debug_data);
}

/// SETTINGS with one entry.
pub(super) fn put_max_streams(out: &mut Vec<u8>, max_streams: u32) {
    put_head(out, 6, SETTINGS);
    out.put_u16(MAX_CONCURRENT_STREAMS);
    out.put_u32(max_streams);
}

/// PING, to learn when the peer has read everything before it.
pub(super) fn put_ping(out: &mut Vec<u8>) {
    put_head(out, 8, PING);
    out.put_slice(b"draining");
}

fn put_head(out: &mut Vec<u8>, length: u32, kind: u8) {
    out.put_uint(u64::from(length), 3);
    out.put_u8(kind);
    out.put_u8(0);
    out.put_u32(0);
}

/// Copies the SETTINGS frame at the start of `bytes` with another stream limit.
///
/// Returns the length of the frame, or `None` when `bytes` does not begin with
/// a whole SETTINGS frame.
pub(super) fn put_settings_with(out: &mut Vec<u8>, bytes: &[u8], limit: u32) -> Option<usize> {
    let head = FrameHead::parse(bytes.first_chunk()?);
    let length = HEAD + head.length;
    let frame = bytes.get(..length).filter(|_| head.kind == SETTINGS)?;
    out.put_slice(&frame[..HEAD]);
    for entry in frame[HEAD..].chunks_exact(6) {
        out.put_slice(&entry[..2]);
        if entry[..2] == MAX_CONCURRENT_STREAMS.to_be_bytes() {
            out.put_u32(limit);
        } else {
            out.put_slice(&entry[2..]);
        }
    }
    Some(length)
}

/// Follows a stream of bytes from frame to frame.
#[derive(Debug, Default)]
pub(super) struct FrameWalk {
    head: [u8; HEAD],
    /// Bytes of `head` that have been seen.
    have: usize,
    /// Bytes of the current frame's payload still to come.
    left: usize,
}

impl FrameWalk {
    /// Passes `bytes` and reports every head that gets complete.
    pub(super) fn pass(&mut self, mut bytes: &[u8], mut on_frame: impl FnMut(FrameHead)) {
        while !bytes.is_empty() {
            let (passed, head) = self.step(bytes);
            bytes = &bytes[passed..];
            if let Some(head) = head {
                on_frame(head);
            }
        }
    }

    /// Passes the rest of a payload or (the rest of) a head, whichever is next.
    fn step(&mut self, bytes: &[u8]) -> (usize, Option<FrameHead>) {
        if self.left > 0 {
            let passed = self.left.min(bytes.len());
            self.left -= passed;
            return (passed, None);
        }
        let passed = (HEAD - self.have).min(bytes.len());
        self.head[self.have..self.have + passed].copy_from_slice(&bytes[..passed]);
        self.have += passed;
        if self.have < HEAD {
            return (passed, None);
        }
        self.have = 0;
        let head = FrameHead::parse(&self.head);
        self.left = head.length;
        (passed, Some(head))
    }

    /// How many of `bytes` belong to the frame that has begun; 0 between frames.
    pub(super) fn until_boundary(&self, bytes: &[u8]) -> usize {
        if self.have == 0 {
            return self.left.min(bytes.len());
        }
        let missing = HEAD - self.have;
        let Some(rest) = bytes.get(..missing) else {
            return bytes.len();
        };
        let mut head = self.head;
        head[self.have..].copy_from_slice(rest);
        (missing + FrameHead::parse(&head).length).min(bytes.len())
    }

    /// Whether the last frame has passed entirely.
    pub(super) fn is_between_frames(&self) -> bool {
        self.have == 0 && self.left == 0
    }
}

/// A [`FrameWalk`] over what the peer sends, that can leave frames out.
#[derive(Debug)]
pub(super) struct FrameFilter {
    walk: FrameWalk,
    /// Bytes of the connection preface still to come; they are no frame.
    preface: usize,
    /// Whether the current frame is left out.
    dropping: bool,
}

impl FrameFilter {
    pub(super) fn new() -> Self {
        Self {
            walk: FrameWalk::default(),
            preface: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len(),
            dropping: false,
        }
    }

    /// Appends to `kept` what `bytes` has left without the frames that `keep` denies.
    ///
    /// A head is held back until it is complete.
    pub(super) fn pass(
        &mut self,
        bytes: &[u8],
        kept: &mut Vec<u8>,
        mut keep: impl FnMut(FrameHead) -> bool,
    ) {
        let preface = self.preface.min(bytes.len());
        self.preface -= preface;
        kept.extend_from_slice(&bytes[..preface]);
        let mut bytes = &bytes[preface..];
        while !bytes.is_empty() {
            let in_payload = self.walk.left > 0;
            let (passed, head) = self.walk.step(bytes);
            if let Some(head) = head {
                self.dropping = !keep(head);
                if !self.dropping {
                    kept.extend_from_slice(&self.walk.head);
                }
            } else if in_payload && !self.dropping {
                kept.extend_from_slice(&bytes[..passed]);
            }
            bytes = &bytes[passed..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Vec<u8> {
        let mut out = Vec::new();
        put_ping(&mut out);
        put_go_away(&mut out, 5, b"{}");
        put_max_streams(&mut out, 7);
        out
    }

    #[test]
    fn a_walk_finds_the_same_frames_however_the_bytes_are_cut() {
        for cut in 1..frames().len() {
            let mut walk = FrameWalk::default();
            let mut kinds = Vec::new();
            for piece in frames().chunks(cut) {
                walk.pass(piece, |head| kinds.push((head.kind, head.length)));
            }
            assert_eq!(kinds, [(PING, 8), (GOAWAY, 10), (SETTINGS, 6)]);
            assert!(walk.is_between_frames());
        }
    }

    #[test]
    fn a_boundary_is_found_from_inside_head_and_payload() {
        let bytes = frames();
        for passed in 0..HEAD + 8 {
            let mut walk = FrameWalk::default();
            walk.pass(&bytes[..passed], |_| ());
            let expected = if passed == 0 { 0 } else { HEAD + 8 - passed };
            assert_eq!(walk.until_boundary(&bytes[passed..]), expected, "{passed}");
        }
    }

    #[test]
    fn a_filter_leaves_out_frames_however_the_bytes_are_cut() {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let mut expected = bytes.clone();
        bytes.extend(frames());
        put_ping(&mut expected);
        put_max_streams(&mut expected, 7);
        for cut in 1..bytes.len() {
            let (mut filter, mut kept) = (FrameFilter::new(), Vec::new());
            for piece in bytes.chunks(cut) {
                filter.pass(piece, &mut kept, |head| head.kind != GOAWAY);
            }
            assert_eq!(kept, expected);
        }
    }

    #[test]
    fn the_stream_limit_of_a_settings_frame_is_replaced() {
        let mut bytes = Vec::new();
        put_max_streams(&mut bytes, 1);
        bytes.push(9);
        let mut out = Vec::new();
        assert_eq!(put_settings_with(&mut out, &bytes, 1000), Some(15));
        assert_eq!(out[HEAD..], [0, 3, 0, 0, 3, 232]);
        assert_eq!(put_settings_with(&mut out, &bytes[1..], 1000), None);
    }
}
