//! How many requests are finished; what `durability = memory` has instead of a journal's marks.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Instant,
};

use journal::Finisher;
use model::{FinishedRequests, MetricName, NotificationId, RequestId};
use prometheus_client::{metrics::counter::Counter, registry::Registry};

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

/// Tells the journal and counts.
pub(crate) struct Finished {
    pub(crate) count: Arc<FinishedCount>,
    /// None where requests are not kept.
    pub(crate) finisher: Option<Arc<Finisher>>,
}

impl FinishedRequests for Finished {
    fn finished(&self, request: RequestId) {
        if let Some(finisher) = &self.finisher {
            finisher.finished(request);
        }
        self.count.add_one();
    }

    fn ended(&self, request: RequestId, notification: NotificationId) {
        if let Some(finisher) = &self.finisher {
            finisher.ended(request, notification);
        }
    }
}

impl FinishedCount {
    fn add_one(&self) {
        self.exported.inc();
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }
}
