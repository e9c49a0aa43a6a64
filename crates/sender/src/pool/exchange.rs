//! One request on its stream, until it is answered or lost. No task: the sender's loop polls
//! all exchanges itself.
//!
//! The one rule: a loss says whether the request may have been processed. "Not processed" is
//! said only where the peer promised it (RFC 9113 sections 6.8 and 8.7) or where the request
//! never left; everything else is in doubt.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use h2::{
    Reason, RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
};
use http::{HeaderMap, Request, StatusCode};
use model::Lane;
use tokio::time::Instant;

use super::{ConnectionId, connection::Shared};
use crate::provider::Answer;

/// Of an answer's body so much is kept; error bodies have some hundred bytes.
const BODY_KEPT: usize = 16 * 1024;

/// What became of a request that was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The peer did not look at it: to be sent again as if nothing had happened.
    NotProcessed,
    /// The peer reset the stream; it may have been processed.
    Reset,
    /// The connection broke; it may have been processed.
    Broke,
    /// No answer in time; it may have been processed.
    TimedOut,
}

/// An ended exchange.
#[derive(Debug)]
pub(crate) struct Ended<T> {
    /// What it was for.
    pub(crate) subject: T,
    /// On which connection.
    pub(crate) connection: ConnectionId,
    /// From which lane.
    pub(crate) lane: Lane,
    /// How it ended.
    pub(crate) result: Result<Answer, Lost>,
}

/// A request in flight, for `subject`.
pub(crate) struct Exchange<T> {
    /// Taken out when the exchange ends.
    subject: Option<T>,
    connection: ConnectionId,
    lane: Lane,
    shared: Arc<Shared>,
    deadline: Instant,
    timed_out: bool,
    /// Kept for its reset; everything has been sent on it.
    stream: SendStream<Bytes>,
    stage: Stage,
}

enum Stage {
    Head(ResponseFuture),
    Body {
        status: StatusCode,
        headers: HeaderMap,
        stream: RecvStream,
        body: BytesMut,
    },
}

/// Where and until when a request is sent.
pub(crate) struct Place {
    pub(crate) connection: ConnectionId,
    pub(crate) lane: Lane,
    pub(crate) shared: Arc<Shared>,
    pub(crate) deadline: Instant,
}

impl<T> Exchange<T> {
    /// Opens a stream and sends everything.
    ///
    /// # Errors
    /// With the subject, when the connection takes no stream any more: nothing has left.
    pub(crate) fn start(
        requests: &mut SendRequest<Bytes>,
        place: Place,
        request: Request<()>,
        body: Bytes,
        subject: T,
    ) -> Result<Self, T> {
        let Ok((response, mut stream)) = requests.send_request(request, false) else {
            return Err(subject);
        };
        // An error here is a stream that is reset already: the response says so, too.
        let _reported_by_the_response = stream.send_data(body, true);
        Ok(Self {
            subject: Some(subject),
            connection: place.connection,
            lane: place.lane,
            shared: place.shared,
            deadline: place.deadline,
            timed_out: false,
            stream,
            stage: Stage::Head(response),
        })
    }

    /// Gives up if the time is over: the stream is reset, and the exchange wakes and ends.
    pub(crate) fn give_up_if_late(&mut self, now: Instant) {
        if now >= self.deadline && !self.timed_out {
            self.timed_out = true;
            self.stream.send_reset(Reason::CANCEL);
        }
    }

    fn lost(&self, error: &h2::Error) -> Lost {
        let reset = error.is_reset() && error.is_remote();
        let refused = reset && error.reason() == Some(Reason::REFUSED_STREAM);
        let stream_id = self.stream.stream_id().as_u32();
        if refused || self.shared.heard.was_not_processed(stream_id) {
            Lost::NotProcessed
        } else if self.timed_out {
            Lost::TimedOut
        } else if reset {
            Lost::Reset
        } else {
            Lost::Broke
        }
    }

    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<Result<Answer, h2::Error>> {
        if let Stage::Head(response) = &mut self.stage {
            let (parts, stream) = ready!(Pin::new(response).poll(context))?.into_parts();
            self.stage = Stage::Body {
                status: parts.status,
                headers: parts.headers,
                stream,
                body: BytesMut::new(),
            };
        }
        let Stage::Body {
            status,
            headers,
            stream,
            body,
        } = &mut self.stage
        else {
            unreachable!("the head is there");
        };
        let complete = loop {
            if stream.is_end_stream() || body.len() > BODY_KEPT {
                break Ok(());
            }
            match ready!(stream.poll_data(context)) {
                None => break Ok(()),
                Some(Err(error)) => break Err(error),
                Some(Ok(chunk)) => {
                    body.extend_from_slice(&chunk);
                    // Fails only for more than was received, which this is not.
                    let _cannot_fail = stream.flow_control().release_capacity(chunk.len());
                }
            }
        };
        match complete {
            // Its head says that a good answer is good; a refusal needs its reason.
            Err(error) if !status.is_success() => Poll::Ready(Err(error)),
            Ok(()) | Err(_) => Poll::Ready(Ok(Answer {
                status: *status,
                headers: std::mem::take(headers),
                body: std::mem::take(body).freeze(),
            })),
        }
    }
}

impl<T: Unpin> Future for Exchange<T> {
    type Output = Ended<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended<T>> {
        let this = &mut *self;
        let answer = ready!(this.poll_answer(context));
        let result = answer.map_err(|error| this.lost(&error));
        Poll::Ready(Ended {
            subject: this
                .subject
                .take()
                .expect("a future is not polled after its end"),
            connection: this.connection,
            lane: this.lane,
            result,
        })
    }
}
