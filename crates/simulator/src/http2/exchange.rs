//! One request and its answer on an HTTP/2 stream.
//!
//! An [`Incoming`] collects the body; an [`Exchange`] is the right to answer.
//! Dropping an exchange unanswered makes `h2` reset the stream.

use std::{
    cmp::Ordering,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use h2::{Reason, RecvStream, server::SendResponse};
use http::Response;

use crate::{
    endpoint::Connected,
    service::{Request, Served},
};

/// The right to answer one request.
#[derive(Debug)]
pub(super) struct Exchange {
    respond: SendResponse<Bytes>,
    id: u32,
}

impl Exchange {
    pub(super) fn new(respond: SendResponse<Bytes>) -> Self {
        let id = u32::from(respond.stream_id());
        Self { respond, id }
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    pub(super) fn answer(mut self, response: Response<Bytes>) {
        let (head, body) = response.into_parts();
        let head = Response::from_parts(head, ());
        // An error here means that the peer has reset the stream meanwhile.
        if let Ok(mut stream) = self.respond.send_response(head, body.is_empty())
            && !body.is_empty()
        {
            let _reset = stream.send_data(body, true);
        }
    }

    pub(super) fn reset(mut self, reason: Reason) {
        self.respond.send_reset(reason);
    }
}

/// A request whose body is on its way.
#[derive(Debug)]
pub(super) struct Incoming {
    head: http::request::Parts,
    stream: RecvStream,
    body: Body,
    pub(super) exchange: Exchange,
}

/// Most bodies come in one frame and need no copy.
#[derive(Debug)]
enum Body {
    One(Bytes),
    More(BytesMut),
}

impl Incoming {
    pub(super) fn new(request: http::Request<RecvStream>, exchange: Exchange) -> Self {
        let (head, stream) = request.into_parts();
        Self {
            head,
            stream,
            body: Body::One(Bytes::new()),
            exchange,
        }
    }

    /// Reads until the end, or until there is more than `limit`.
    pub(super) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        limit: usize,
    ) -> Poll<Result<(), h2::Error>> {
        loop {
            if self.stream.is_end_stream() || self.body.len() > limit {
                return Poll::Ready(Ok(()));
            }
            let Some(data) = ready!(self.stream.poll_data(cx)).transpose()? else {
                return Poll::Ready(Ok(()));
            };
            // The connection's window, that is: a body within the limit fits the stream's.
            self.stream.flow_control().release_capacity(data.len())?;
            self.body.append(data);
        }
    }

    pub(super) fn complete(self, connected: &Connected) -> (Request, Exchange) {
        let request = Request {
            method: self.head.method,
            uri: self.head.uri,
            headers: self.head.headers,
            body: self.body.into_bytes(),
            connection: connected.number,
            stream: self.exchange.id(),
            certificate: connected.certificate.clone(),
        };
        (request, self.exchange)
    }

    /// Gives up on the body.
    pub(super) fn abandon(self) -> Exchange {
        self.exchange
    }
}

impl Body {
    fn len(&self) -> usize {
        match self {
            Self::One(bytes) => bytes.len(),
            Self::More(bytes) => bytes.len(),
        }
    }

    fn append(&mut self, data: Bytes) {
        match self {
            Self::One(bytes) if bytes.is_empty() => *bytes = data,
            Self::One(bytes) => {
                let mut more = BytesMut::from(&bytes[..]);
                more.extend_from_slice(&data);
                *self = Self::More(more);
            }
            Self::More(more) => more.extend_from_slice(&data),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::One(bytes) => bytes,
            Self::More(bytes) => bytes.freeze(),
        }
    }
}

/// An answer that waits for its time; the earliest is the greatest.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) at: Instant,
    pub(super) sequence: u64,
    pub(super) exchange: Exchange,
    pub(super) served: Served,
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}
