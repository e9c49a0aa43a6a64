//! What the notification log counts.

use model::MetricName;
use prometheus_client::{metrics::counter::Counter, registry::Registry};
use queue::PanicCounter;

/// Counters of the notification log's writer.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Lines written.
    pub lines: Counter,
    /// Writes that failed; the lines were kept and tried again.
    pub errors: Counter,
    /// Panics caught in the writer's thread; one counter for all worker threads of the program.
    pub panics: PanicCounter,
}

impl Metrics {
    /// Counters that are exported through `registry`; `panics` is exported by its owner.
    pub fn register(registry: &mut Registry, panics: PanicCounter) -> Self {
        let metrics = Self {
            panics,
            ..Self::default()
        };
        for (name, counter) in [
            (MetricName::NotificationLogLines, &metrics.lines),
            (MetricName::NotificationLogErrors, &metrics.errors),
        ] {
            registry.register(name.as_str(), name.help(), counter.clone());
        }
        metrics
    }
}
