//! The clock and the metrics registry: what every stage is handed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, UNIX_EPOCH},
};

use model::{Clock, UnixMs};
use prometheus_client::{encoding::text::encode, registry::Registry};

/// The system's wall clock.
#[must_use]
pub(crate) fn system_clock() -> Clock {
    Clock::new(|| {
        #[allow(
            clippy::disallowed_methods,
            reason = "this is where the clock that everyone is handed is read"
        )]
        let since_1970 = std::time::SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        UnixMs(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
    })
}

/// All metrics, as `/metrics` shows them.
#[must_use]
pub(crate) fn registry() -> Registry {
    Registry::with_prefix("onegin")
}

/// What `/metrics` answers with.
pub(crate) fn exposition(registry: Registry) -> Arc<dyn Fn() -> String + Send + Sync> {
    // Locked for one scrape at a time; counters are atomic and do not wait for it.
    let registry = Mutex::new(registry);
    Arc::new(move || {
        let registry = registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        encode(&mut text, &registry).expect("a String takes any text");
        text
    })
}

/// Puts a metric into the registry under its one name.
pub(crate) fn register(
    registry: &mut Registry,
    name: model::MetricName,
    metric: impl prometheus_client::registry::Metric,
) {
    registry.register(name.as_str(), name.help(), metric);
}
