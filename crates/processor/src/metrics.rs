//! What the processor counts.

use model::MetricName;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{EndReason, Ended};

/// Counters of the processor threads. Handles to the per-reason counters are kept, so counting
/// looks nothing up.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Batches processed.
    pub batches: Counter,
    /// Notifications made.
    pub notifications: Counter,
    /// Batches that wait for a database that is away or cannot be written.
    pub held_up: Gauge,
    /// Panics caught in processor threads.
    pub panics: queue::PanicCounter,
    ended: [Counter; EndReason::ALL.len()],
}

impl Metrics {
    /// Counters that are exported through `registry`. `panics` counts for all worker threads of
    /// the program and is registered elsewhere.
    pub fn register(registry: &mut Registry, panics: queue::PanicCounter) -> Self {
        let batches = Counter::default();
        let notifications = Counter::default();
        for (name, counter) in [
            (MetricName::Batches, &batches),
            (MetricName::NotificationsMade, &notifications),
        ] {
            registry.register(name.as_str(), name.help(), counter.clone());
        }
        let held_up = Gauge::default();
        let name = MetricName::BatchesHeldUp;
        registry.register(name.as_str(), name.help(), held_up.clone());
        let ended = Family::<[(&'static str, &'static str); 1], Counter>::default();
        let name = MetricName::ItemsEnded;
        registry.register(name.as_str(), name.help(), ended.clone());
        Self {
            batches,
            notifications,
            held_up,
            panics,
            ended: EndReason::ALL
                .map(|reason| ended.get_or_create(&[("reason", reason.as_str())]).clone()),
        }
    }

    /// Counts one end without a notification.
    pub fn count(&self, ended: &Ended) {
        let position = EndReason::ALL
            .iter()
            .position(|reason| *reason == ended.reason)
            .expect("ALL has every reason");
        self.ended[position].inc();
    }
}
