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

use super::{Limits, farewell};
use crate::metrics::CutOff;

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
    /// An answer is there, and the client has not taken all of it.
    Answer,
    /// The last answer is out, the client may still be sending.
    Lingering,
    /// The socket has been told to end it.
    Over,
}

/// One connection's state. Its socket, its handler and its timer see it; all in one task.
#[derive(Debug)]
pub(super) struct Progress(Mutex<Position>);

#[derive(Debug)]
struct Position {
    state: State,
    since: Instant,
    /// Requests whose heads hyper has taken.
    requests: u64,
    /// The last answer was given without reading the whole body.
    body_unread: bool,
    /// Why the client is turned away; written by its socket and by the timer.
    cut_off: Option<CutOff>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Position {
            state: State::Idle,
            since: Instant::now(),
            requests: 0,
            body_unread: false,
            cut_off: None,
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
        let mut position = self.position();
        position.requests += 1;
        position.enter(State::Request);
    }

    /// The answer is ready to be sent.
    pub(super) fn request_ended(&self, body_unread: bool) {
        let mut position = self.position();
        position.body_unread = body_unread;
        position.enter(State::Answer);
    }

    /// Everything that was to be sent is with the system. `inside_head`: the next request's first
    /// bytes are there already.
    pub(super) fn flushed(&self, inside_head: bool) {
        let mut position = self.position();
        if position.state == State::Answer {
            position.enter(if inside_head {
                State::Head
            } else {
                State::Idle
            });
        }
    }

    /// Our side is closed, after so many requests have come. Returns whether the client may still
    /// be sending: a body that was left unread, or a request that was refused or not looked at.
    pub(super) fn closed(&self, unsound: bool, requests: u64) -> bool {
        let mut position = self.position();
        let lingers = unsound
            || requests > position.requests
            || position.body_unread
            || matches!(position.state, State::Head | State::Lingering);
        if lingers {
            position.enter(State::Lingering);
        }
        lingers
    }

    /// Turns the client away: its socket says why, and reads nothing more for hyper.
    pub(super) fn turn_away(&self, cut_off: CutOff) {
        self.position().turn_away(cut_off);
    }

    /// What the socket has to say instead of reading on.
    pub(super) fn farewell(&self) -> Option<&'static [u8]> {
        farewell::to(self.position().cut_off?)
    }

    /// Why the client was turned away, if it was.
    pub(super) fn cut_off(&self) -> Option<CutOff> {
        self.position().cut_off
    }

    /// Nothing more is to be read.
    pub(super) fn is_over(&self) -> bool {
        self.position().state == State::Over
    }

    /// When the connection must have moved on; `None` while a request is being answered.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let position = self.position();
        let time = match position.state {
            State::Idle => limits.idle_time,
            State::Head => limits.header_time,
            State::Answer => limits.body.time,
            State::Lingering | State::Over => LINGER,
            State::Request => return None,
        };
        Some(position.since + time)
    }

    /// The deadline is over. True when the connection is to be dropped as it is, false when its
    /// socket has been told to bring it to an end, for which it must be polled.
    pub(super) fn expire(&self) -> bool {
        let mut position = self.position();
        match position.state {
            State::Head => position.turn_away(CutOff::SlowHead),
            State::Lingering => position.enter(State::Over),
            State::Answer => {
                position.cut_off = Some(CutOff::SlowAnswer);
                return true;
            }
            State::Idle | State::Over | State::Request => return true,
        }
        false
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

    fn turn_away(&mut self, cut_off: CutOff) {
        self.cut_off = Some(cut_off);
        self.enter(State::Lingering);
    }
}
