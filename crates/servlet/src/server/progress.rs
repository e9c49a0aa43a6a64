//! Where a connection is between two requests, and until when it may stay there.
//!
//! One timer per connection looks here when it fires. The usual request moves through all its
//! states within one poll and touches no timer at all; hyper's own header time-out would cost a
//! timer per request, and would end idle connections with slow ones.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::Limits;

/// How long the rest of a refused request is read and thrown away. A socket that is closed with
/// unread bytes in it tells the client "reset" and takes the answer away from it.
const LINGER: Duration = Duration::from_secs(2);

/// Where a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing of a request has come yet.
    Idle,
    /// A head has begun.
    Head,
    /// A request is being answered; it has limits of its own.
    Request,
    /// The last answer is out, the client may still be sending.
    Lingering,
}

/// One connection's state. Its socket, its handler and its timer see it; all in one task.
#[derive(Debug)]
pub(super) struct Progress(Mutex<Position>);

#[derive(Debug)]
struct Position {
    state: State,
    since: Instant,
    /// The last answer was given without reading the whole body.
    body_unread: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Position {
            state: State::Idle,
            since: Instant::now(),
            body_unread: false,
        }))
    }

    /// Bytes have come in.
    pub(super) fn received(&self) {
        let mut position = self.position();
        if position.state == State::Idle {
            position.enter(State::Head);
        }
    }

    /// A head is complete.
    pub(super) fn request_began(&self) {
        self.position().enter(State::Request);
    }

    /// The answer is ready to be sent.
    pub(super) fn request_ended(&self, body_unread: bool) {
        let mut position = self.position();
        position.body_unread = body_unread;
        position.enter(State::Idle);
    }

    /// Our side is closed. Returns whether the client may still be sending: a body that was left
    /// unread, or a head that hyper has refused.
    pub(super) fn closed(&self) -> bool {
        let mut position = self.position();
        let lingers = position.body_unread || position.state == State::Head;
        if lingers {
            position.enter(State::Lingering);
        }
        lingers
    }

    /// When the connection must have moved on; `None` while a request is being answered.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let position = self.position();
        let time = match position.state {
            State::Idle => limits.idle_time,
            State::Head => limits.header_time,
            State::Lingering => LINGER,
            State::Request => return None,
        };
        Some(position.since + time)
    }

    fn position(&self) -> MutexGuard<'_, Position> {
        // Whole values are written, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Position {
    fn enter(&mut self, state: State) {
        self.state = state;
        self.since = Instant::now();
    }
}
