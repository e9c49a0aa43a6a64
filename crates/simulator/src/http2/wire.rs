//! The bytes of one HTTP/2 connection, between `h2` and TLS.
//!
//! Everything passes through unchanged, except: the first SETTINGS advertises
//! our stream limit, frames of our own are put in at frame boundaries, and the
//! acknowledgements of those are kept from `h2`, which would take them for
//! errors. On the way the stream table learns what opens and ends.
//!
//! `h2` owns the [`Wire`]; the connection talks to it through the shared
//! [`WireState`]. Both run in one task, so the lock never waits.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    frames::{self, FrameFilter, FrameHead, FrameWalk},
    streams::{Gate, StreamTable},
};

/// Bytes read from TLS at once; a TLS record has 16 KiB at most.
const CHUNK: usize = 16 * 1024;

/// What the connection and its wire know together.
#[derive(Debug)]
pub(super) struct WireState {
    pub(super) streams: StreamTable,
    /// Own frames, to be written at the next boundary.
    own: Vec<u8>,
    /// SETTINGS acknowledgements of `h2`'s own that are still to come.
    foreign_acks: u32,
    pings: u32,
    /// The peer has answered all our PINGs.
    pub(super) ponged: bool,
    /// Write what is left, then close our side.
    closing: bool,
    /// Our side is closed: everything is written, nothing is read any more.
    closed: bool,
    pub(super) violations: u64,
    pub(super) peak: u32,
}

impl WireState {
    pub(super) fn new(limit: u32, gate: Gate) -> Self {
        Self {
            streams: StreamTable::new(limit, gate),
            own: Vec::new(),
            foreign_acks: 1,
            pings: 0,
            ponged: false,
            closing: false,
            closed: false,
            violations: 0,
            peak: 0,
        }
    }

    pub(super) fn send_go_away(&mut self, last_id: u32, debug_data: &[u8]) {
        frames::put_go_away(&mut self.own, last_id, debug_data);
    }

    /// Asks the peer for a sign that it has read all that was written before.
    pub(super) fn send_ping(&mut self) {
        self.pings += 1;
        self.ponged = false;
        frames::put_ping(&mut self.own);
    }

    pub(super) fn send_max_streams(&mut self, limit: u32) {
        self.streams.announce(limit);
        frames::put_max_streams(&mut self.own, limit);
    }

    /// Closes our side once everything is written; the peer's bytes are then
    /// read and thrown away, because closing with unread bytes would make the
    /// system take back what the peer has not read yet.
    pub(super) fn close(&mut self) {
        self.closing = true;
    }

    /// Notes a frame of the peer; false keeps it from `h2`.
    fn frame_read(&mut self, head: FrameHead) -> bool {
        match head.kind {
            frames::HEADERS => {
                self.violations += u64::from(self.streams.opened(head.stream));
                self.peak = self.peak.max(self.streams.open_count());
                true
            }
            frames::RST_STREAM => {
                self.streams.ended(head.stream);
                true
            }
            // Acknowledgements come in the order of the frames, and h2's is first.
            frames::SETTINGS if head.has(frames::ACK) => {
                if self.foreign_acks > 0 {
                    self.foreign_acks -= 1;
                    return true;
                }
                !self.streams.acknowledged()
            }
            frames::PING if head.has(frames::ACK) && self.pings > 0 => {
                self.pings -= 1;
                self.ponged = self.pings == 0;
                false
            }
            _ => true,
        }
    }

    fn frame_written(&mut self, head: FrameHead) {
        let ends = match head.kind {
            frames::HEADERS | frames::DATA => head.has(frames::END_STREAM),
            kind => kind == frames::RST_STREAM,
        };
        if ends {
            self.streams.ended(head.stream);
        }
    }
}

/// The stream of bytes that `h2` is given.
#[derive(Debug)]
pub(super) struct Wire<T> {
    io: T,
    state: Arc<Mutex<WireState>>,
    reading: FrameFilter,
    writing: FrameWalk,
    settings_written: bool,
    chunk: Box<[u8]>,
    /// Filtered bytes, of which `handed` have been handed to `h2`.
    kept: Vec<u8>,
    handed: usize,
    max_streams: u32,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Wire<T> {
    pub(super) fn new(io: T, state: Arc<Mutex<WireState>>, max_streams: u32) -> Self {
        Self {
            io,
            state,
            reading: FrameFilter::new(),
            writing: FrameWalk::default(),
            settings_written: false,
            chunk: vec![0; CHUNK].into_boxed_slice(),
            kept: Vec::new(),
            handed: 0,
            max_streams,
        }
    }

    /// Writes our own frames; only to be called between frames of `h2`.
    fn poll_own(io: &mut T, state: &mut WireState, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut written = 0;
        while written < state.own.len() {
            match Pin::new(&mut *io).poll_write(cx, &state.own[written..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => written += count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    state.own.drain(..written);
                    return Poll::Pending;
                }
            }
        }
        state.own.clear();
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.handed < this.kept.len() {
                let rest = &this.kept[this.handed..];
                let count = rest.len().min(buf.remaining());
                buf.put_slice(&rest[..count]);
                this.handed += count;
                return Poll::Ready(Ok(()));
            }
            this.kept.clear();
            this.handed = 0;
            let mut chunk = ReadBuf::new(&mut this.chunk);
            ready!(Pin::new(&mut this.io).poll_read(cx, &mut chunk))?;
            if chunk.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            let mut state = this.state.lock();
            if !state.closed {
                let keep = |head| state.frame_read(head);
                this.reading.pass(chunk.filled(), &mut this.kept, keep);
            }
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let mut state = this.state.lock();
        if state.closed {
            return Poll::Ready(Ok(buf.len()));
        }
        if !this.settings_written {
            this.settings_written = true;
            let limit = this.max_streams;
            if let Some(length) = frames::put_settings_with(&mut state.own, buf, limit) {
                return Poll::Ready(Ok(length));
            }
        }
        let mut length = buf.len();
        if !state.own.is_empty() {
            length = this.writing.until_boundary(buf);
            if length == 0 {
                ready!(Self::poll_own(&mut this.io, &mut state, cx))?;
                length = buf.len();
            }
        }
        let written = ready!(Pin::new(&mut this.io).poll_write(cx, &buf[..length]))?;
        this.writing
            .pass(&buf[..written], |head| state.frame_written(head));
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut state = this.state.lock();
        if state.closed {
            return Poll::Ready(Ok(()));
        }
        let between = this.writing.is_between_frames();
        if between {
            ready!(Self::poll_own(&mut this.io, &mut state, cx))?;
        }
        ready!(Pin::new(&mut this.io).poll_flush(cx))?;
        if between && state.closing {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            state.closed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.state.lock().closed {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}
