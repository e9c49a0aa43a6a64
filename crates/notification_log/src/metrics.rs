//! What the notification log counts: every end of a notification, once, because every end comes
//! through here.

use model::{MetricName, Outcome, Provider, Report};
use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use queue::PanicCounter;

/// Stands where a push service's name would, for platforms that none reaches.
const NO_PROVIDER: &str = "none";

/// Push services, and a place for none.
const PROVIDERS: usize = Provider::ALL.len() + 1;

/// Counters of the notification log's writer.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Lines written.
    pub lines: Counter,
    /// Writes that failed; the lines were kept and tried again.
    pub errors: Counter,
    /// Panics caught in the writer's thread; one counter for all worker threads of the program.
    pub panics: PanicCounter,
    /// By push service and outcome: handles, so that counting looks nothing up.
    ended: [[Counter; Outcome::ALL.len()]; PROVIDERS],
}

impl Metrics {
    /// Counters that are exported through `registry`; `panics` is exported by its owner.
    pub fn register(registry: &mut Registry, panics: PanicCounter) -> Self {
        let ended = Family::<[(&'static str, &'static str); 2], Counter>::default();
        let name = MetricName::NotificationsEnded;
        registry.register(name.as_str(), name.help(), ended.clone());
        let metrics = Self {
            panics,
            ended: std::array::from_fn(|place| {
                let provider = Provider::ALL.get(place);
                let provider = provider.map_or(NO_PROVIDER, |provider| provider.as_str());
                Outcome::ALL.map(|outcome| {
                    let labels = [("provider", provider), ("outcome", outcome.as_str())];
                    ended.get_or_create(&labels).clone()
                })
            }),
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

    /// Counts the end of a notification.
    pub(crate) fn count(&self, report: &Report) {
        let provider = report.notification.platform.provider();
        let provider = Provider::ALL
            .iter()
            .position(|known| Some(*known) == provider);
        let outcome = Outcome::ALL
            .iter()
            .position(|known| *known == report.outcome)
            .expect("ALL has every outcome");
        self.ended[provider.unwrap_or(PROVIDERS - 1)][outcome].inc();
    }
}
