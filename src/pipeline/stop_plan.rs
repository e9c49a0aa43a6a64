//! Who may take how much of the time that a stop has.
//!
//! What a push service has taken must be marked before the end, or the next start sends it again.
//! So the last quarter of the time, 4 s at most, is kept for that: its first half for the answers
//! of what is in flight, the next quarter for the lines in the notification log, the last one
//! for the marks in the journal. Whoever is done early leaves the rest to the next.

use std::time::{Duration, Instant};

use sender::StopTimes;

/// Of the limit so much is kept for what follows sending.
const KEPT_PART: u32 = 4;
const KEPT_AT_MOST: Duration = Duration::from_secs(4);
/// Nobody waits longer; the clock could not count it either.
const LIMIT_AT_MOST: Duration = Duration::from_secs(24 * 60 * 60);

/// The times of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StopPlan {
    /// Until then requests are answered, processed and sent.
    pub(super) sent: Instant,
    /// Until then push services' answers are waited for.
    pub(super) answered: Instant,
    /// Until then feedback and the notification log are written.
    pub(super) written: Instant,
    /// Until then the journal is marked and closed.
    pub(super) end: Instant,
}

impl StopPlan {
    /// A stop that begins now and may take `limit`.
    pub(super) fn within(limit: Duration) -> Self {
        Self::from(Instant::now(), limit)
    }

    fn from(now: Instant, limit: Duration) -> Self {
        let limit = limit.min(LIMIT_AT_MOST);
        let end = now + limit;
        let kept = (limit / KEPT_PART).min(KEPT_AT_MOST);
        Self {
            sent: end - kept,
            answered: end - kept / 2,
            written: end - kept / 4,
            end,
        }
    }

    /// The senders' part of it.
    pub(super) fn senders(&self) -> StopTimes {
        StopTimes {
            sending: self.sent,
            answers: self.answered,
        }
    }

    /// How long it is until nothing more is sent.
    pub(super) fn until_sent(&self) -> Duration {
        self.sent.saturating_duration_since(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the beginning, in ms: sent, answered, written, end.
    fn plan(limit_ms: u64) -> [u128; 4] {
        let now = Instant::now();
        let plan = StopPlan::from(now, Duration::from_millis(limit_ms));
        [plan.sent, plan.answered, plan.written, plan.end].map(|time| (time - now).as_millis())
    }

    #[test]
    fn the_last_quarter_but_no_more_than_4_s_is_for_answers_lines_and_marks() {
        assert_eq!(plan(30_000), [26_000, 28_000, 29_000, 30_000]);
        assert_eq!(plan(4_000), [3_000, 3_500, 3_750, 4_000]);
        assert_eq!(plan(0), [0; 4]);
        assert_eq!(plan(u64::MAX)[3], 86_400_000);
    }
}
