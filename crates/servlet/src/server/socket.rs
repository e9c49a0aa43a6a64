//! A connection's socket: watches what comes before hyper reads it, and closes without cutting
//! the last answer off.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    framing::{Framing, Verdict},
    progress::Progress,
};
use crate::metrics::CutOff;

/// Bytes of a refused request that are read and thrown away at most.
const LINGER_BYTES: usize = 32 << 20;

/// A stream of any kind, watched.
#[derive(Debug)]
pub(super) struct Socket<S> {
    stream: S,
    progress: Arc<Progress>,
    framing: Framing,
    /// What has come is unsound: hyper gets this and nothing more.
    unsound: Option<&'static [u8]>,
    /// Bytes of the farewell that are written.
    said: usize,
    write_closed: bool,
    /// Bytes that were read and thrown away.
    lingered: usize,
}

impl<S> Socket<S> {
    pub(super) fn new(stream: S, progress: Arc<Progress>) -> Self {
        Self {
            stream,
            progress,
            framing: Framing::new(),
            unsound: None,
            said: 0,
            write_closed: false,
            lingered: 0,
        }
    }

    /// Looks at the bytes behind `before`, and takes those away that hyper must not see.
    fn observe(&mut self, buffer: &mut ReadBuf<'_>, before: usize) {
        match self.framing.observe(&buffer.filled()[before..]) {
            Verdict::Sound => {}
            Verdict::Unsound(place) => {
                // A NUL is allowed nowhere in a head, a chunk's size or a trailer: hyper answers
                // the requests before this one, then this one with 400, and closes. It looks at a
                // head that came in pieces once it is complete, so it is completed.
                buffer.filled_mut()[before + place] = 0;
                buffer.set_filled(before + place + 1);
                self.unsound = Some(b"\r\n\r\n");
            }
            Verdict::Http2 => {
                buffer.set_filled(before);
                self.progress.turn_away(CutOff::Http2);
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Says a last word, then closes as [`Socket::poll_close`] does.
    fn poll_farewell(
        &mut self,
        context: &mut Context<'_>,
        farewell: &[u8],
    ) -> Poll<io::Result<()>> {
        while let Some(rest) = farewell.get(self.said..)
            && !rest.is_empty()
        {
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Ok(())),
                written => self.said += written,
            }
        }
        self.poll_close(context)
    }

    /// Closes our side; after a refused request also reads on until the client has closed its
    /// own, has sent too much, or the connection's timer ends it.
    fn poll_close(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.write_closed {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            self.write_closed = true;
            let unsound = self.unsound.is_some();
            if !self.progress.closed(unsound, self.framing.requests()) {
                return Poll::Ready(Ok(()));
            }
        }
        let mut unread = [0; 8 << 10];
        while self.lingered < LINGER_BYTES && !self.progress.is_over() {
            let mut buffer = ReadBuf::new(&mut unread);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            match buffer.filled().len() {
                0 => break,
                read => self.lingered += read,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        if let Some(rest) = &mut socket.unsound {
            let (now, later) = rest.split_at(rest.len().min(buffer.remaining()));
            buffer.put_slice(now);
            *rest = later;
            return Poll::Ready(Ok(()));
        }
        if socket.progress.farewell().is_none() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut socket.stream).poll_read(context, buffer))?;
            if buffer.filled().len() > before {
                socket.progress.received();
                socket.observe(buffer, before);
            }
        }
        match socket.progress.farewell() {
            None => Poll::Ready(Ok(())),
            Some(farewell) => socket.poll_farewell(context, farewell),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        ready!(Pin::new(&mut socket.stream).poll_flush(context))?;
        socket.progress.flushed(socket.framing.is_inside_head());
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_close(context)
    }
}
