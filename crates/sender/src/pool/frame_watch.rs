//! Listens to the frames that come in on one connection, beside h2.
//!
//! After a GOAWAY one question decides between a free repetition and a counted try: was this
//! stream's id above `last_stream_id`, so that it was certainly not processed (RFC 9113 section
//! 6.8)? h2 does not tell: its error has no stream id, and streams that *were* taken get the
//! same error when the connection then closes. So the bytes are followed on their way to h2:
//! nine bytes of every frame are read, the payload of GOAWAY frames is kept, all else is skipped.
//!
//! The one rule: the bytes reach h2 unchanged, and whatever h2 is told, this side knew before.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
};

use super::connection::Shared;

/// Length of a frame's head: length 3, type 1, flags 1, stream 4.
const HEAD: usize = 9;
const SETTINGS: u8 = 0x4;
const GOAWAY: u8 = 0x7;
/// The part of a GOAWAY that is kept: two numbers, and debug data to this size.
const GOAWAY_KEPT: usize = 8 + 1024;

/// A GOAWAY as the peer sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GoAway {
    /// Streams with a higher id were not processed.
    pub(crate) last_stream_id: u32,
    /// HTTP/2 error code.
    pub(crate) code: u32,
    /// What the peer says about it.
    pub(crate) debug_data: Bytes,
}

/// What has been heard on one connection; written by the connection's task as it reads.
#[derive(Debug)]
pub(crate) struct Heard {
    /// The lowest `last_stream_id` so far, with the newest code and debug data.
    goaway: ArcSwapOption<GoAway>,
    /// Signalled on SETTINGS and GOAWAY: the pool may have more streams, or less.
    news: Arc<Notify>,
}

impl Heard {
    pub(crate) fn new(news: Arc<Notify>) -> Self {
        Self {
            goaway: ArcSwapOption::empty(),
            news,
        }
    }

    /// The GOAWAY that came, if one did.
    pub(crate) fn goaway(&self) -> Option<Arc<GoAway>> {
        self.goaway.load_full()
    }

    /// Whether a GOAWAY came.
    pub(crate) fn is_farewell(&self) -> bool {
        self.goaway.load().is_some()
    }

    /// Whether the peer said that it did not look at this stream.
    pub(crate) fn was_not_processed(&self, stream_id: u32) -> bool {
        self.goaway
            .load()
            .as_ref()
            .is_some_and(|goaway| stream_id > goaway.last_stream_id)
    }

    fn frame(&self, kind: u8, payload: &[u8]) {
        if let (GOAWAY, Some((numbers, debug_data))) = (kind, payload.split_first_chunk::<8>()) {
            let [a, b, c, d, e, f, g, h] = *numbers;
            // The first bit is reserved.
            let last_stream_id = u32::from_be_bytes([a & 0x7f, b, c, d]);
            let lowest = self.goaway().map_or(last_stream_id, |before| {
                before.last_stream_id.min(last_stream_id)
            });
            self.goaway.store(Some(Arc::new(GoAway {
                last_stream_id: lowest,
                code: u32::from_be_bytes([e, f, g, h]),
                debug_data: Bytes::copy_from_slice(debug_data),
            })));
        }
        self.news.notify_one();
    }
}

/// Finds the frames in a stream of bytes, however it is cut.
#[derive(Debug, Default)]
struct Follower {
    head: [u8; HEAD],
    head_len: usize,
    /// Payload bytes of the current frame still to come.
    left: usize,
    /// The kept beginning of a GOAWAY's payload.
    kept: Vec<u8>,
}

impl Follower {
    fn follow(&mut self, mut bytes: &[u8], heard: &Heard) {
        while !bytes.is_empty() {
            if self.head_len < HEAD {
                let taken = bytes.len().min(HEAD - self.head_len);
                let (head, rest) = bytes.split_at(taken);
                self.head[self.head_len..self.head_len + taken].copy_from_slice(head);
                self.head_len += taken;
                bytes = rest;
                if self.head_len < HEAD {
                    return;
                }
                let [a, b, c, ..] = self.head;
                self.left = u32::from_be_bytes([0, a, b, c]) as usize;
            }
            let taken = bytes.len().min(self.left);
            let (payload, rest) = bytes.split_at(taken);
            if self.kind() == GOAWAY {
                let room = GOAWAY_KEPT.saturating_sub(self.kept.len());
                self.kept.extend_from_slice(&payload[..taken.min(room)]);
            }
            self.left -= taken;
            bytes = rest;
            if self.left == 0 {
                self.end_frame(heard);
            }
        }
    }

    fn kind(&self) -> u8 {
        self.head[3]
    }

    fn end_frame(&mut self, heard: &Heard) {
        if matches!(self.kind(), SETTINGS | GOAWAY) {
            heard.frame(self.kind(), &self.kept);
        }
        self.kept.clear();
        self.head_len = 0;
    }
}

/// For the fuzz targets: the GOAWAY in bytes that come in these pieces.
#[cfg(fuzzing)]
pub(crate) fn goaway<'b>(pieces: impl Iterator<Item = &'b [u8]>) -> Option<Arc<GoAway>> {
    let heard = Heard::new(Arc::default());
    let mut follower = Follower::default();
    pieces.for_each(|piece| follower.follow(piece, &heard));
    heard.goaway()
}

/// A byte stream that is listened to on its read side.
pub(crate) struct FrameWatch<IO> {
    io: IO,
    follower: Follower,
    shared: Arc<Shared>,
}

impl<IO> FrameWatch<IO> {
    pub(crate) fn new(io: IO, shared: Arc<Shared>) -> Self {
        Self {
            io,
            follower: Follower::default(),
            shared,
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for FrameWatch<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let result = Pin::new(&mut this.io).poll_read(context, buffer);
        this.follower
            .follow(&buffer.filled()[before..], &this.shared.heard);
        result
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for FrameWatch<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend_from_slice(&[kind, 0, 0, 0, 0, 0]);
        frame.extend_from_slice(payload);
        frame
    }

    fn goaway(last_stream_id: u32, code: u32, debug_data: &[u8]) -> Vec<u8> {
        let mut payload = last_stream_id.to_be_bytes().to_vec();
        payload.extend_from_slice(&code.to_be_bytes());
        payload.extend_from_slice(debug_data);
        frame(GOAWAY, &payload)
    }

    fn heard(pieces: &[&[u8]]) -> Heard {
        let heard = Heard::new(Arc::default());
        let mut follower = Follower::default();
        for piece in pieces {
            follower.follow(piece, &heard);
        }
        heard
    }

    #[test]
    fn the_lowest_last_stream_id_and_the_newest_reason_are_kept() {
        let bytes = [
            frame(SETTINGS, &[0; 12]),
            goaway(0x7fff_ffff, 0, b""),
            frame(0x1, b"some headers"),
            goaway(7, 0, br#"{"reason":"Shutdown"}"#),
        ]
        .concat();
        let heard = heard(&[&bytes]);
        let goaway = heard.goaway().unwrap();
        assert_eq!(goaway.last_stream_id, 7);
        assert_eq!(&goaway.debug_data[..], br#"{"reason":"Shutdown"}"#);
        assert!(heard.was_not_processed(9));
        assert!(!heard.was_not_processed(7));
    }

    #[test]
    fn without_a_goaway_every_stream_may_have_been_processed() {
        let data_that_looks_like_one = frame(0x0, &goaway(0, 0, b""));
        assert!(!heard(&[&data_that_looks_like_one]).was_not_processed(1));
    }

    #[test]
    fn oversized_debug_data_is_cut() {
        let heard = heard(&[&goaway(1, 2, &[b'x'; 100_000])]);
        assert_eq!(heard.goaway().unwrap().debug_data.len(), GOAWAY_KEPT - 8);
    }

    proptest! {
        #[test]
        fn frames_are_found_however_the_bytes_are_cut(
            cuts in prop::collection::vec(0_usize..60, 0..10),
            payload in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let bytes = [frame(0x0, &payload), goaway(5, 1, b"why"), frame(0x6, &[0; 8])].concat();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            let goaway = heard(&pieces).goaway().expect("the GOAWAY is found");
            prop_assert_eq!((goaway.last_stream_id, goaway.code), (5, 1));
            prop_assert_eq!(&goaway.debug_data[..], b"why");
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            heard(&[&bytes]);
        }
    }
}
