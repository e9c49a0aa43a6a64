//! A connection as the pool sees it: how far it is, how full, and whether it may take more.

use std::{
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use bytes::Bytes;
use h2::client::SendRequest;
use model::Lane;
use tokio::time::Instant;

use super::{ConnectionId, connection::Shared};

/// Streams on one connection at most, whatever the peer allows: the most that Apple has been
/// seen to allow.
const STREAMS_AT_MOST: usize = 1500;

/// A connection in the pool.
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) state: State,
    /// Whether a request has been answered well on it: opens the gate, ends the back-off.
    pub(super) proven: bool,
    /// Whether a request was lost with it: its end is then not just an idle connection's.
    pub(super) broken: bool,
    pub(super) in_flight: usize,
    pub(super) bulk_in_flight: usize,
    /// When the last answer came; before the first one, when it was opened.
    pub(super) last_answer: Instant,
}

/// How far it is.
pub(super) enum State {
    Opening,
    Open {
        requests: SendRequest<Bytes>,
        shared: Arc<Shared>,
    },
    /// No new streams; the task ends when the last one has.
    Leaving,
}

impl Connection {
    /// A place for a connection that is being made.
    pub(super) fn opening(id: ConnectionId, now: Instant) -> Self {
        Self {
            id,
            state: State::Opening,
            proven: false,
            broken: false,
            in_flight: 0,
            bulk_in_flight: 0,
            last_answer: now,
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.state, State::Leaving)
    }

    /// Whether one more stream of `lane` is allowed. `gated`: one stream until it is proven.
    pub(super) fn room(&self, gated: bool, lane: Lane) -> bool {
        let State::Open { requests, shared } = &self.state else {
            return false;
        };
        if gated && !self.proven && self.in_flight > 0 {
            return false;
        }
        let allowed = requests.current_max_send_streams().min(STREAMS_AT_MOST);
        let room = match lane {
            Lane::Urgent => self.in_flight < allowed,
            // A broadcast leaves a quarter of the streams to players.
            Lane::Bulk => {
                self.in_flight < allowed && self.bulk_in_flight < (allowed * 3 / 4).max(1)
            }
        };
        room && !shared.heard.is_farewell()
    }

    /// False while h2 still holds a stream back, which happens when the peer's limit sinks.
    pub(super) fn is_ready(&mut self, context: &mut Context<'_>) -> bool {
        match &mut self.state {
            State::Open { requests, .. } => {
                matches!(requests.poll_ready(context), Poll::Ready(Ok(())))
            }
            State::Opening | State::Leaving => false,
        }
    }

    pub(super) fn change_in_flight(&mut self, lane: Lane, change: impl Fn(usize) -> usize) {
        self.in_flight = change(self.in_flight);
        match lane {
            Lane::Urgent => {}
            Lane::Bulk => self.bulk_in_flight = change(self.bulk_in_flight),
        }
        if let State::Open { shared, .. } = &self.state {
            shared.in_flight.store(self.in_flight, Ordering::Relaxed);
        }
    }
}
