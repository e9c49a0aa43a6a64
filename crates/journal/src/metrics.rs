//! What the journal counts.

use model::MetricName;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// Figures of the journal; written under its locks, read by whoever exports them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Unfinished requests.
    pub requests: Gauge,
    /// Disk space they are charged with.
    pub bytes: Gauge,
    /// Groups written.
    pub commits: Counter,
    /// Writes that failed.
    pub errors: Counter,
    /// Requests refused because the limit was reached.
    pub refused_full: Counter,
    /// Requests refused because the disk did not take them.
    pub refused_write: Counter,
    /// Entries, and whole files, that cannot be read and are kept aside.
    pub kept_aside: Gauge,
}

impl Metrics {
    /// Figures that are exported through `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let refused = Family::<[(&'static str, &'static str); 1], Counter>::default();
        let name = MetricName::JournalRefused;
        registry.register(name.as_str(), name.help(), refused.clone());
        let refused = |reason| refused.get_or_create(&[("reason", reason)]).clone();
        let metrics = Self {
            refused_full: refused("full"),
            refused_write: refused("write"),
            ..Self::default()
        };
        for (name, gauge) in [
            (MetricName::JournalRequests, &metrics.requests),
            (MetricName::JournalBytes, &metrics.bytes),
            (MetricName::JournalKeptAside, &metrics.kept_aside),
        ] {
            registry.register(name.as_str(), name.help(), gauge.clone());
        }
        for (name, counter) in [
            (MetricName::JournalCommits, &metrics.commits),
            (MetricName::JournalErrors, &metrics.errors),
        ] {
            registry.register(name.as_str(), name.help(), counter.clone());
        }
        metrics
    }
}
