//! The current `authorization` header, and the conversation about renewing it.
//!
//! One task renews it (written there only); the send path reads it for every request without a
//! lock. Each value has a generation, so that a refusal of an old value, answered late, is not
//! taken for a refusal of the new one: a thousand requests in flight may all be refused for one
//! stale token, and must cause one renewal.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use http::HeaderValue;
use tokio::{sync::Notify, time::Instant};

/// What a request is authorized with.
#[derive(Clone, Debug)]
pub(crate) struct Bearer {
    /// The header's value; none where the connection's client certificate says it all.
    pub(crate) header: Option<HeaderValue>,
    /// Which value this is; the first one is 1.
    pub(crate) generation: u64,
    /// When it was made.
    minted_at: Instant,
}

/// Why there is no new value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// Whoever gives them refuses our credential.
    Refused(String),
    /// Whoever gives them cannot be reached, or answers nothing of use.
    Unreachable(String),
}

/// What came of asking for a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// There is a newer value already.
    Done,
    /// The value is no longer used, and another one is on its way.
    Started,
    /// The value is too young to be replaced; it stays.
    TooSoon,
}

/// See the module's text.
#[derive(Debug)]
pub struct Authorization {
    /// Written by the renewing task.
    current: ArcSwap<Option<Bearer>>,
    /// The newest generation the push service has refused; written by the sender.
    refused: AtomicU64,
    /// Why the last value was not given, until the sender has looked; written by the renewing
    /// task.
    denial: ArcSwapOption<Denial>,
    /// A new value or a denial is there; the sender waits here.
    pub(crate) changed: Notify,
    /// Somebody asks for a new value; the renewing task waits here.
    pub(crate) wanted: Notify,
}

impl Authorization {
    /// No value yet: requests wait.
    pub(crate) fn pending() -> Self {
        Self {
            current: ArcSwap::from_pointee(None),
            refused: AtomicU64::new(0),
            denial: ArcSwapOption::empty(),
            changed: Notify::new(),
            wanted: Notify::new(),
        }
    }

    /// No header at all: a client certificate authorizes the connection.
    pub(crate) fn by_certificate() -> Self {
        let authorization = Self::pending();
        authorization.store(None);
        authorization
    }

    /// The value to send with; none while there is none that has not been refused.
    pub(crate) fn usable(&self) -> Option<Bearer> {
        let bearer = (**self.current.load()).clone()?;
        (bearer.generation > self.refused.load(Ordering::Relaxed)).then_some(bearer)
    }

    /// Whether there is a value to send with.
    pub(crate) fn is_usable(&self) -> bool {
        let refused = self.refused.load(Ordering::Relaxed);
        let current = self.current.load();
        current
            .as_ref()
            .as_ref()
            .is_some_and(|bearer| bearer.generation > refused)
    }

    /// Tells the sender that there is no new value, and why.
    pub(crate) fn deny(&self, denial: Denial) {
        self.denial.store(Some(Arc::new(denial)));
        self.changed.notify_one();
    }

    /// Why there is no value, if that has not been asked before.
    pub(crate) fn take_denial(&self) -> Option<Arc<Denial>> {
        self.denial.swap(None)
    }

    /// Puts a new value in place and wakes the sender.
    pub(crate) fn store(&self, header: Option<HeaderValue>) {
        let generation = self.generation() + 1;
        self.current.store(Arc::new(Some(Bearer {
            header,
            generation,
            minted_at: Instant::now(),
        })));
        self.denial.store(None);
        self.changed.notify_one();
    }

    /// The push service refused `generation`: asks for another value, unless this one is
    /// younger than `youngest`.
    pub(crate) fn renew(&self, generation: u64, youngest: Duration) -> Renewal {
        let current = self.current.load();
        let Some(bearer) = current.as_ref() else {
            return Renewal::Started;
        };
        if bearer.generation > generation {
            return Renewal::Done;
        }
        if bearer.generation <= self.refused.load(Ordering::Relaxed) {
            return Renewal::Started;
        }
        if bearer.minted_at.elapsed() < youngest {
            return Renewal::TooSoon;
        }
        self.refused.store(bearer.generation, Ordering::Relaxed);
        self.wanted.notify_one();
        Renewal::Started
    }

    /// How old the value in use is.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.usable().map(|bearer| bearer.minted_at.elapsed())
    }

    /// The generation of the newest value; 0 before the first one.
    pub(crate) fn generation(&self) -> u64 {
        self.current
            .load()
            .as_ref()
            .as_ref()
            .map_or(0, |bearer| bearer.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &'static str) -> Option<HeaderValue> {
        Some(HeaderValue::from_static(text))
    }

    #[test]
    fn many_refusals_of_one_value_cause_one_renewal() {
        let authorization = Authorization::pending();
        assert!(authorization.usable().is_none());
        authorization.store(value("first"));
        assert_eq!(authorization.renew(1, Duration::ZERO), Renewal::Started);
        assert_eq!(authorization.renew(1, Duration::ZERO), Renewal::Started);
        assert!(
            authorization.usable().is_none(),
            "a refused value is not used"
        );
        authorization.store(value("second"));
        assert_eq!(authorization.renew(1, Duration::ZERO), Renewal::Done);
        assert_eq!(authorization.usable().unwrap().generation, 2);
    }

    #[test]
    fn a_young_value_is_kept() {
        let authorization = Authorization::pending();
        authorization.store(value("first"));
        let minutes = Duration::from_secs(20 * 60);
        assert_eq!(authorization.renew(1, minutes), Renewal::TooSoon);
        assert!(authorization.usable().is_some());
    }
}
