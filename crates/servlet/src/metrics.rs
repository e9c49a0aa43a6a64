//! What the doors count.

use http::StatusCode;
use model::MetricName;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// Every status that is answered here; each has its counter from the start, at zero.
const ANSWERED: [StatusCode; 10] = [
    StatusCode::OK,
    StatusCode::NOT_MODIFIED,
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// Why a client is turned away without an answer of a door's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CutOff {
    /// It was one connection too many.
    Limit,
    /// Its request's head is no HTTP, or can be read in two ways.
    BadHead,
    /// Its request's head has too many bytes or fields.
    LargeHead,
    /// Its request's head did not end in time.
    SlowHead,
    /// It did not take an answer in time.
    SlowAnswer,
    /// It speaks HTTP/2.
    Http2,
}

impl CutOff {
    /// In the order of the variants.
    const ALL: [Self; 6] = [
        Self::Limit,
        Self::BadHead,
        Self::LargeHead,
        Self::SlowHead,
        Self::SlowAnswer,
        Self::Http2,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::BadHead => "bad_head",
            Self::LargeHead => "large_head",
            Self::SlowHead => "slow_head",
            Self::SlowAnswer => "slow_answer",
            Self::Http2 => "http2",
        }
    }
}

/// Counters of the doors; clones count into the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// In the order of [`ANSWERED`]: a look-up by label would take a lock per answer.
    responses: [Counter; ANSWERED.len()],
    /// In the order of [`CutOff::ALL`].
    cut_offs: [Counter; CutOff::ALL.len()],
    pub(crate) connections: Gauge,
    pub(crate) handshakes_failed: Counter,
    pub(crate) items_accepted: Counter,
    pub(crate) items_rejected: Counter,
}

impl Metrics {
    /// Makes the counters and puts them into `registry`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let by_code = Family::<[(&'static str, String); 1], Counter>::default();
        let by_reason = Family::<[(&'static str, &'static str); 1], Counter>::default();
        let metrics = Self {
            responses: ANSWERED
                .map(|status| by_code.get_or_create_owned(&[("code", status.as_str().to_owned())])),
            cut_offs: CutOff::ALL
                .map(|reason| by_reason.get_or_create_owned(&[("reason", reason.as_str())])),
            connections: Gauge::default(),
            handshakes_failed: Counter::default(),
            items_accepted: Counter::default(),
            items_rejected: Counter::default(),
        };
        let name = MetricName::HttpResponses;
        registry.register(name.as_str(), name.help(), by_code);
        let name = MetricName::ConnectionsRefused;
        registry.register(name.as_str(), name.help(), by_reason);
        let name = MetricName::HttpConnections;
        registry.register(name.as_str(), name.help(), metrics.connections.clone());
        let name = MetricName::TlsHandshakesFailed;
        let failed = metrics.handshakes_failed.clone();
        registry.register(name.as_str(), name.help(), failed);
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

    pub(crate) fn count_cut_off(&self, reason: CutOff) {
        if let Some(place) = CutOff::ALL.iter().position(|known| *known == reason) {
            self.cut_offs[place].inc();
        }
    }
}
