//! What the doors count.

use http::StatusCode;
use model::MetricName;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// Every status that is answered here; each has its counter from the start, at zero.
const ANSWERED: [StatusCode; 9] = [
    StatusCode::OK,
    StatusCode::NOT_MODIFIED,
    StatusCode::BAD_REQUEST,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// Stands where a status code would, for a connection that was closed before any answer.
const CONNECTION_LIMIT: &str = "connection_limit";

/// Counters of the doors; clones count into the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// In the order of [`ANSWERED`]: a look-up by label would take a lock per answer.
    responses: [Counter; ANSWERED.len()],
    pub(crate) connections_refused: Counter,
    pub(crate) connections: Gauge,
    pub(crate) items_accepted: Counter,
    pub(crate) items_rejected: Counter,
}

impl Metrics {
    /// Makes the counters and puts them into `registry`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let by_code = Family::<[(&'static str, String); 1], Counter>::default();
        let counter = |code: &str| by_code.get_or_create_owned(&[("code", code.to_owned())]);
        let metrics = Self {
            responses: ANSWERED.map(|status| counter(status.as_str())),
            connections_refused: counter(CONNECTION_LIMIT),
            connections: Gauge::default(),
            items_accepted: Counter::default(),
            items_rejected: Counter::default(),
        };
        let name = MetricName::HttpResponses;
        registry.register(name.as_str(), name.help(), by_code);
        let name = MetricName::HttpConnections;
        registry.register(name.as_str(), name.help(), metrics.connections.clone());
        let name = MetricName::ItemsAccepted;
        registry.register(name.as_str(), name.help(), metrics.items_accepted.clone());
        let name = MetricName::ItemsRejected;
        registry.register(name.as_str(), name.help(), metrics.items_rejected.clone());
        metrics
    }

    pub(crate) fn count_answer(&self, status: StatusCode) {
        let place = ANSWERED.iter().position(|answered| *answered == status);
        debug_assert!(place.is_some(), "{status} is answered but not counted");
        if let Some(place) = place {
            self.responses[place].inc();
        }
    }
}
