//! The circuit breaker of one app at one push service: closed, open, half-open, closed.
//!
//! In: what became of each request and of each connection, the time, and chance. Out: whether
//! everything, one probe or nothing may be sent. Pure: it keeps no notification and no clock.
//!
//! The one rule: while it is not closed no notification loses a try. Requests carry the stamp of
//! the period in which they were sent, so that a refusal that was on its way when the breaker
//! opened is not taken for the probe's, and an old success does not close it.

use std::{num::NonZeroU32, time::Duration};

use tokio::time::Instant;

use crate::retry::BackOff;

/// When a breaker opens, and how long it stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Connections in a row that failed, with no answer between, that open it.
    pub failed_connections: NonZeroU32,
    /// Answers in a row of which each said "unavailable" that open it. Far above the tries of one
    /// notification: such answers are its own business until nobody gets anything else.
    pub bad_answers: NonZeroU32,
    /// Before the next probe.
    pub wait: BackOff,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failed_connections: const { NonZeroU32::new(3).expect("not zero") },
            bad_answers: const { NonZeroU32::new(100).expect("not zero") },
            wait: BackOff {
                base: Duration::from_secs(1),
                cap: Duration::from_secs(60),
            },
        }
    }
}

/// The period in which a request was sent; a new one begins with each opening.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

/// How far the push service had come with everybody's requests at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    period: u64,
    answers: u64,
}

/// What may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowed {
    Everything,
    OneProbe,
    Nothing,
}

/// What the end of one request says about the push service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It answers and takes our credential, whatever it says about the notification.
    Good,
    /// It answers that it cannot, or resets the stream.
    Bad,
    /// It refuses our credential or configuration.
    Refused,
    /// There was no answer; what that means is decided by the connection's end.
    Unanswered,
    /// The answer leaves it open: the request is to be made again.
    Undecided,
}

/// What a sign or a failure has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    /// Closed before, open now.
    Opened,
    /// The probe failed: open again, for longer.
    StaysOpen,
    /// The probe succeeded.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant },
    HalfOpen { probing: bool },
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    state: State,
    period: u64,
    /// Good answers so far.
    answers: u64,
    /// Failed connections since the last answer.
    failed_connections: u32,
    /// Bad answers since the last one of another kind.
    bad_answers: u32,
    /// Openings since it was last closed.
    openings: u32,
}

impl Breaker {
    pub(crate) fn new(settings: BreakerSettings) -> Self {
        Self {
            settings,
            state: State::Closed,
            period: 0,
            answers: 0,
            failed_connections: 0,
            bad_answers: 0,
            openings: 0,
        }
    }

    /// What may be sent at `now`. The end of the wait is noticed here.
    pub(crate) fn allows(&mut self, now: Instant) -> Allowed {
        if let State::Open { until } = self.state
            && until <= now
        {
            self.state = State::HalfOpen { probing: false };
        }
        match self.state {
            State::Closed => Allowed::Everything,
            State::HalfOpen { probing: false } => Allowed::OneProbe,
            State::HalfOpen { probing: true } | State::Open { .. } => Allowed::Nothing,
        }
    }

    /// What a request that is about to be sent carries.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp(self.period)
    }

    /// A request was sent: in the half-open state it is the probe.
    pub(crate) fn sent(&mut self) {
        if let State::HalfOpen { probing } = &mut self.state {
            *probing = true;
        }
    }

    /// Whether `stamp` is of a period that an opening has ended.
    pub(crate) fn is_stale(&self, stamp: Stamp) -> bool {
        stamp.0 != self.period
    }

    /// Whether the end of a request with `stamp` uses up one of its tries.
    pub(crate) fn counts_tries(&self, stamp: Stamp) -> bool {
        self.is_closed() && !self.is_stale(stamp)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// The exported state: 0 closed, 1 half-open, 2 open.
    pub(crate) fn gauge(&self) -> i64 {
        match self.state {
            State::Closed => 0,
            State::HalfOpen { .. } => 1,
            State::Open { .. } => 2,
        }
    }

    /// When a probe is allowed, if that is still to come.
    pub(crate) fn opens_to_a_probe_at(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Open { until } => (until > now).then_some(until),
            State::Closed | State::HalfOpen { .. } => None,
        }
    }

    /// How far everybody's requests have come.
    pub(crate) fn progress(&self) -> Progress {
        Progress {
            period: self.period,
            answers: self.answers,
        }
    }

    /// Whether requests were answered well since `earlier`, with no opening between.
    pub(crate) fn others_got_through_since(&self, earlier: Progress) -> bool {
        earlier.period == self.period && self.answers > earlier.answers
    }

    /// A request with `stamp` has ended. `random` is in 0..1.
    pub(crate) fn ended(&mut self, stamp: Stamp, sign: Sign, now: Instant, random: f64) -> Change {
        if self.is_stale(stamp) {
            return Change::None;
        }
        match (self.state, sign) {
            (_, Sign::Good) => self.good(),
            (_, Sign::Refused) => self.open(now, random),
            (State::Closed, Sign::Bad) => {
                self.failed_connections = 0;
                self.bad_answers += 1;
                if self.bad_answers >= self.settings.bad_answers.get() {
                    return self.open(now, random);
                }
                Change::None
            }
            (State::HalfOpen { .. }, Sign::Bad | Sign::Unanswered) => self.open(now, random),
            (State::HalfOpen { probing }, Sign::Undecided) => {
                debug_assert!(probing, "only the probe has this period's stamp");
                self.state = State::HalfOpen { probing: false };
                Change::None
            }
            (State::Closed, Sign::Unanswered | Sign::Undecided) | (State::Open { .. }, _) => {
                Change::None
            }
        }
    }

    /// A connection could not be made, or was of no use, or broke under its requests.
    pub(crate) fn connection_failed(&mut self, now: Instant, random: f64) -> Change {
        match self.state {
            State::Closed => {
                self.failed_connections += 1;
                if self.failed_connections >= self.settings.failed_connections.get() {
                    return self.open(now, random);
                }
                Change::None
            }
            State::HalfOpen { .. } => self.open(now, random),
            State::Open { .. } => Change::None,
        }
    }

    /// The push service refuses our credential outside of an answer.
    pub(crate) fn refused(&mut self, now: Instant, random: f64) -> Change {
        match self.state {
            State::Closed | State::HalfOpen { .. } => self.open(now, random),
            State::Open { .. } => Change::None,
        }
    }

    /// The credential is another one: what was learned with the old one is forgotten, what is
    /// still in flight with it says nothing, and if anything was held, one request finds out.
    pub(crate) fn replaced(&mut self) {
        self.period += 1;
        self.failed_connections = 0;
        self.bad_answers = 0;
        self.openings = 0;
        if !self.is_closed() {
            self.state = State::HalfOpen { probing: false };
        }
    }

    fn good(&mut self) -> Change {
        self.answers += 1;
        self.failed_connections = 0;
        self.bad_answers = 0;
        self.openings = 0;
        let was_closed = self.is_closed();
        self.state = State::Closed;
        if was_closed {
            Change::None
        } else {
            Change::Closed
        }
    }

    fn open(&mut self, now: Instant, random: f64) -> Change {
        // At least half of the time, so that a service in trouble is left in peace.
        let wait = self.settings.wait.wait(self.openings, 0.5 + random / 2.0);
        let was_closed = self.is_closed();
        self.state = State::Open { until: now + wait };
        self.openings = self.openings.saturating_add(1);
        self.period += 1;
        self.failed_connections = 0;
        self.bad_answers = 0;
        if was_closed {
            Change::Opened
        } else {
            Change::StaysOpen
        }
    }
}

#[cfg(test)]
mod tests;
