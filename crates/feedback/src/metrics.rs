//! What the post-processor counts.

use model::MetricName;
use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use queue::PanicCounter;
use storage::FeedbackCounts;

/// Counters of the post-processor.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Device rows marked as unregistered.
    pub unregistered: Counter,
    /// Device rows given a new token.
    pub replaced: Counter,
    /// Feedback that changed no row: there is none any more, or its user came back since.
    pub without_effect: Counter,
    /// Feedback given up: by senders where the queue was full, here where a living database refused
    /// it again and again, or at a stop without the database.
    pub dropped: Counter,
    /// Panics caught in the thread; one counter for all worker threads of the program.
    pub panics: PanicCounter,
}

impl Metrics {
    /// Counters that are exported through `registry`; `panics` is exported by its owner.
    pub fn register(registry: &mut Registry, panics: PanicCounter) -> Self {
        let applied = Family::<[(&'static str, &'static str); 1], Counter>::default();
        let name = MetricName::FeedbackApplied;
        registry.register(name.as_str(), name.help(), applied.clone());
        let of_kind = |kind| applied.get_or_create(&[("kind", kind)]).clone();
        let metrics = Self {
            unregistered: of_kind("unregistered"),
            replaced: of_kind("replaced"),
            without_effect: of_kind("without_effect"),
            dropped: Counter::default(),
            panics,
        };
        let name = MetricName::FeedbackDropped;
        registry.register(name.as_str(), name.help(), metrics.dropped.clone());
        metrics
    }

    pub(crate) fn count(&self, counts: FeedbackCounts) {
        self.unregistered.inc_by(counts.unregistered);
        self.replaced.inc_by(counts.replaced);
        self.without_effect.inc_by(counts.without_effect);
    }
}
