//! How many requests are finished: what `durability = memory` has instead of a journal.

use std::time::Instant;

use model::{FinishedRequests, MetricName, RequestId};
use prometheus_client::{metrics::counter::Counter, registry::Registry};
use std::sync::{Condvar, Mutex, PoisonError};

/// Counts finished requests and lets others wait for them.
#[derive(Debug, Default)]
pub struct FinishedCount {
    exported: Counter,
    /// Written by whoever settles a request's last receipt.
    count: Mutex<u64>,
    changed: Condvar,
}

impl FinishedCount {
    /// A count that is exported through `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let finished = Self::default();
        let name = MetricName::RequestsFinished;
        registry.register(name.as_str(), name.help(), finished.exported.clone());
        finished
    }

    /// Waits until `count` requests are finished. Returns false when `deadline` comes first.
    #[must_use]
    pub fn wait_for(&self, count: u64, deadline: Instant) -> bool {
        let mut finished = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        while *finished < count {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            finished = self
                .changed
                .wait_timeout(finished, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    /// Requests finished so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FinishedRequests for FinishedCount {
    fn finished(&self, _request: RequestId) {
        self.exported.inc();
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }
}
