//! A token bucket: so many requests per second, with a burst of a tenth of a second.

use std::{num::NonZeroU32, time::Duration};

use tokio::time::Instant;

/// Allows a steady rate. Starts full.
#[derive(Debug)]
pub(crate) struct RateLimit {
    /// Time that one request takes out of the bucket.
    cost: Duration,
    /// How far ahead of the clock the bucket may be emptied.
    burst: Duration,
    /// When the bucket would be full again if nothing more were taken.
    full_at: Instant,
}

impl RateLimit {
    /// `per_sec` requests per second.
    pub(crate) fn new(per_sec: NonZeroU32, now: Instant) -> Self {
        let cost = Duration::from_secs(1) / per_sec.get();
        Self {
            cost,
            burst: cost.max(Duration::from_millis(100)),
            full_at: now,
        }
    }

    /// Takes one request out.
    ///
    /// # Errors
    /// With the time at which there will be one to take.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let full_at = self.full_at.max(now) + self.cost;
        if full_at > now + self.burst {
            return Err(full_at - self.burst);
        }
        self.full_at = full_at;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_holds_over_a_second_and_beyond_the_burst() {
        let start = Instant::now();
        let mut limit = RateLimit::new(NonZeroU32::new(1000).unwrap(), start);
        let (mut now, mut taken) = (start, 0);
        while now < start + Duration::from_secs(1) {
            match limit.take(now) {
                Ok(()) => taken += 1,
                Err(next) => {
                    assert!(next > now, "a refusal names a later time");
                    now = next;
                }
            }
        }
        assert!((1000..=1101).contains(&taken), "{taken}");
    }

    #[test]
    fn a_rate_below_the_burst_window_still_lets_one_through() {
        let start = Instant::now();
        let mut limit = RateLimit::new(NonZeroU32::MIN, start);
        assert_eq!(limit.take(start), Ok(()));
        assert_eq!(limit.take(start), Err(start + Duration::from_secs(1)));
    }
}
