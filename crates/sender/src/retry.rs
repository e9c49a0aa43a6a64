//! Whether and when a notification is tried again. A pure decision: times, counts and chance
//! come in as arguments.
//!
//! The one rule: nothing is planned beyond the notification's expiry, and a counted try never
//! happens more often than allowed.

use std::time::Duration;

use model::{Outcome, UnixMs};

/// Exponential back-off with full jitter: the n-th wait is a random part of `base * 2^n`,
/// itself at most `cap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// The first wait at most.
    pub base: Duration,
    /// Any wait at most.
    pub cap: Duration,
}

impl BackOff {
    /// The wait after `repetitions` earlier ones; `random` is in 0..1.
    #[must_use]
    pub fn wait(self, repetitions: u32, random: f64) -> Duration {
        let longest = self
            .base
            .saturating_mul(2_u32.saturating_pow(repetitions))
            .min(self.cap);
        longest.mul_f64(random.clamp(0.0, 1.0))
    }
}

/// What has been tried so far, the last failure included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tried {
    /// Tries that counted.
    pub(crate) counted: u32,
    /// How many may count.
    pub(crate) at_most: u32,
    /// Waits so far, counted or not.
    pub(crate) waits: u32,
}

/// Why the last try failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The service answered with something that may pass.
    Answered {
        /// Whether the answer used up a try.
        counts: bool,
        /// Not before so long.
        at_least: Duration,
    },
    /// The service reset the request's stream; nobody knows what became of it.
    Reset,
    /// The connection broke or the time was over. Whether that counts is known only when others
    /// got through afterwards, so nothing is counted here.
    Broke,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Try again after so long.
    Again {
        /// The wait.
        after: Duration,
    },
    /// Give up.
    End(Outcome),
}

/// Decides about the next try. `random` is in 0..1.
pub(crate) fn decide(
    tried: Tried,
    failure: Failure,
    back_off: BackOff,
    now: UnixMs,
    expires_at: UnixMs,
    random: f64,
) -> Decision {
    let (counts, at_least, exhausted) = match failure {
        Failure::Answered { counts, at_least } => (counts, at_least, Outcome::Unavailable),
        Failure::Reset => (true, Duration::ZERO, Outcome::ConnectionFailed),
        Failure::Broke => (false, Duration::ZERO, Outcome::ConnectionFailed),
    };
    if counts && tried.counted >= tried.at_most {
        return Decision::End(exhausted);
    }
    // The jitter comes on top of what the service asks for: a thousand notifications that are
    // told the same `Retry-After` must not come back in the same millisecond.
    let after = at_least + back_off.wait(tried.waits, random);
    let after_ms = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
    if now.plus_ms(after_ms) > expires_at {
        return Decision::End(Outcome::Expired);
    }
    Decision::Again { after }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BACK_OFF: BackOff = BackOff {
        base: Duration::from_secs(1),
        cap: Duration::from_secs(900),
    };

    fn tried(counted: u32) -> Tried {
        Tried {
            counted,
            at_most: 3,
            waits: counted,
        }
    }

    #[test]
    fn the_last_counted_try_ends_it_by_its_kind() {
        let never = UnixMs(i64::MAX);
        let answered = Failure::Answered {
            counts: true,
            at_least: Duration::ZERO,
        };
        let decide =
            |counted, failure| decide(tried(counted), failure, BACK_OFF, UnixMs(0), never, 0.5);
        assert!(matches!(decide(2, answered), Decision::Again { .. }));
        assert_eq!(decide(3, answered), Decision::End(Outcome::Unavailable));
        assert_eq!(
            decide(3, Failure::Reset),
            Decision::End(Outcome::ConnectionFailed)
        );
        assert!(matches!(decide(3, Failure::Broke), Decision::Again { .. }));
    }

    #[test]
    fn an_answer_about_the_provider_never_uses_up_the_tries() {
        let failure = Failure::Answered {
            counts: false,
            at_least: Duration::from_secs(60),
        };
        let decision = decide(
            tried(1000),
            failure,
            BACK_OFF,
            UnixMs(0),
            UnixMs(i64::MAX),
            0.0,
        );
        assert_eq!(
            decision,
            Decision::Again {
                after: Duration::from_secs(60)
            }
        );
    }

    proptest! {
        #[test]
        fn a_retry_is_late_enough_early_enough_and_before_the_expiry(
            counted in 0_u32..3,
            waits in 0_u32..100,
            at_least_ms in 0_u64..10_000_000,
            now in 0_i64..10_000_000_000,
            life_ms in -1000_i64..100_000_000,
            random in 0.0_f64..1.0,
        ) {
            let at_least = Duration::from_millis(at_least_ms);
            let (now, expires_at) = (UnixMs(now), UnixMs(now + life_ms));
            let failure = Failure::Answered { counts: true, at_least };
            let tried = Tried { counted, at_most: 3, waits };
            match decide(tried, failure, BACK_OFF, now, expires_at, random) {
                Decision::Again { after } => {
                    prop_assert!(after >= at_least);
                    prop_assert!(after <= at_least + BACK_OFF.cap);
                    let at = now.plus_ms(i64::try_from(after.as_millis()).unwrap());
                    prop_assert!(at <= expires_at);
                }
                Decision::End(outcome) => prop_assert_eq!(outcome, Outcome::Expired),
            }
        }

        #[test]
        fn waits_grow_up_to_the_cap(repetitions in 0_u32..200) {
            let longest = BACK_OFF.wait(repetitions, 1.0);
            prop_assert!(longest <= BACK_OFF.cap);
            prop_assert!(longest >= BACK_OFF.wait(repetitions.saturating_sub(1), 1.0));
            prop_assert_eq!(BACK_OFF.wait(repetitions, 0.0), Duration::ZERO);
        }
    }
}
