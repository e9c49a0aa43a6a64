//! The clock of the simulated services, which a test can move.
//!
//! Out comes the wall time against which token ages are judged. It runs with
//! the machine's monotonic clock, so that setting the machine's time cannot
//! make a test fail, and an offset moves it to let tokens grow old at once.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Wall time since the start of the simulator, plus an offset.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    started_wall: SystemTime,
    /// Written by [`Clock::set_offset`], read for every request.
    offset_sec: AtomicI64,
}

impl Clock {
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one place that asks; everything else is given this clock"
    )]
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            started_wall: SystemTime::now(),
            offset_sec: AtomicI64::new(0),
        }
    }

    /// Moves the clock to `offset_sec` seconds after (before, when negative) the machine's.
    pub(crate) fn set_offset(&self, offset_sec: i64) {
        self.offset_sec.store(offset_sec, Ordering::Relaxed);
    }

    /// The wall time at the monotonic time `at`.
    pub(crate) fn wall(&self, at: Instant) -> SystemTime {
        let now = self.started_wall + at.saturating_duration_since(self.started);
        let offset = self.offset_sec.load(Ordering::Relaxed);
        let by = Duration::from_secs(offset.unsigned_abs());
        if offset < 0 { now - by } else { now + by }
    }

    /// Seconds since 1970 at the monotonic time `at`.
    pub(crate) fn unix_sec(&self, at: Instant) -> i64 {
        let since = self.wall(at).duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }
}
