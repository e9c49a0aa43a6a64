//! A batch that waits for a database that is away, as others see it.

use std::time::{Duration, Instant};

use prometheus_client::metrics::gauge::Gauge;
use storage::StorageError;
use tracing::warn;

/// Between two words about the same outage.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);

/// Counted while it lasts, in `onegin_batches_held_up`; `/readyz` looks there.
pub(crate) struct Outage<'m> {
    held_up: &'m Gauge,
    warned: Option<Instant>,
}

impl<'m> Outage<'m> {
    pub(crate) fn begin(held_up: &'m Gauge) -> Self {
        held_up.inc();
        Self {
            held_up,
            warned: None,
        }
    }

    /// Says so at first and then once a minute: it may last for days.
    pub(crate) fn warn(&mut self, error: &StorageError, wait: Duration) {
        if self
            .warned
            .is_some_and(|warned| warned.elapsed() < BETWEEN_WARNINGS)
        {
            return;
        }
        self.warned = Some(Instant::now());
        let error: &dyn std::error::Error = error;
        warn!(
            error,
            wait_ms = wait.as_millis(),
            "the database cannot be used, a batch waits for it"
        );
    }
}

impl Drop for Outage<'_> {
    fn drop(&mut self) {
        self.held_up.dec();
    }
}
