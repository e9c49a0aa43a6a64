//! What the senders count. Labels are our own enums, never a push service's text.

use std::fmt;

use model::{MetricName, Provider};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use queue::PanicCounter;

/// The metrics of all senders; one for the program, cloned into each sender.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    retries: Family<RequestLabels, Counter>,
    connections: Family<ProviderLabels, Gauge>,
    in_flight: Family<ProviderLabels, Gauge>,
    delayed: Family<ProviderLabels, Gauge>,
    renewals: Family<RenewalLabels, Counter>,
    breaker_state: Family<ProviderLabels, Gauge>,
    breaker_openings: Family<ProviderLabels, Counter>,
    panics: PanicCounter,
    /// Feedback that found its queue full; exported by the stage behind that queue, which counts
    /// here too.
    pub feedback_dropped: Counter,
}

impl Metrics {
    /// Registers the senders' metrics. `panics` counts a panic in a sender's thread; it is the
    /// counter of all worker threads and registered elsewhere.
    #[must_use]
    pub fn new(registry: &mut Registry, panics: PanicCounter) -> Self {
        let metrics = Self {
            requests: Family::default(),
            retries: Family::default(),
            connections: Family::default(),
            in_flight: Family::default(),
            delayed: Family::default(),
            renewals: Family::default(),
            breaker_state: Family::default(),
            breaker_openings: Family::default(),
            panics,
            feedback_dropped: Counter::default(),
        };
        macro_rules! register {
            ($($name:ident => $field:ident),+ $(,)?) => {$(
                let name = MetricName::$name;
                registry.register(name.as_str(), name.help(), metrics.$field.clone());
            )+};
        }
        register! {
            SenderRequests => requests,
            SenderRetries => retries,
            SenderConnections => connections,
            SenderInFlight => in_flight,
            SenderDelayed => delayed,
            CredentialRenewals => renewals,
            BreakerState => breaker_state,
            BreakerOpenings => breaker_openings,
        }
        metrics
    }

    /// The part of one push service, with the families already looked up.
    pub(crate) fn of(&self, provider: Provider) -> ProviderMetrics {
        let service = ServiceLabel(provider);
        let labels = ProviderLabels { provider: service };
        let by_class = |family: &Family<RequestLabels, Counter>| {
            ResultClass::ALL.map(|result| {
                family
                    .get_or_create(&RequestLabels {
                        provider: service,
                        result,
                    })
                    .clone()
            })
        };
        ProviderMetrics {
            requests: by_class(&self.requests),
            retries: by_class(&self.retries),
            connections: self.connections.get_or_create(&labels).clone(),
            in_flight: self.in_flight.get_or_create(&labels).clone(),
            delayed: self.delayed.get_or_create(&labels).clone(),
            breaker_state: self.breaker_state.get_or_create(&labels).clone(),
            breaker_openings: self.breaker_openings.get_or_create(&labels).clone(),
            renewals: [RenewalResult::Ok, RenewalResult::Failed].map(|result| {
                self.renewals
                    .get_or_create(&RenewalLabels {
                        provider: service,
                        result,
                    })
                    .clone()
            }),
            panics: self.panics.clone(),
            feedback_dropped: self.feedback_dropped.clone(),
        }
    }
}

/// One push service's metrics, ready to count.
#[derive(Clone, Debug)]
pub struct ProviderMetrics {
    requests: [Counter; ResultClass::ALL.len()],
    retries: [Counter; ResultClass::ALL.len()],
    pub(crate) connections: Gauge,
    pub(crate) in_flight: Gauge,
    pub(crate) delayed: Gauge,
    pub(crate) breaker_state: Gauge,
    pub(crate) breaker_openings: Counter,
    renewals: [Counter; 2],
    pub(crate) panics: PanicCounter,
    pub(crate) feedback_dropped: Counter,
}

impl ProviderMetrics {
    pub(crate) fn request(&self, result: ResultClass) {
        self.requests[result as usize].inc();
    }

    pub(crate) fn retry(&self, result: ResultClass) {
        self.retries[result as usize].inc();
    }

    pub(crate) fn renewal(&self, ok: bool) {
        self.renewals[usize::from(!ok)].inc();
    }
}

/// How a request ended, coarsely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ResultClass {
    /// 2xx.
    Success,
    /// 4xx but 429.
    Refused,
    /// 429.
    Throttled,
    /// 5xx, and whatever else is not expected.
    ServerError,
    /// No answer in time.
    TimedOut,
    /// The connection or the stream broke, and nobody knows what became of the request.
    Broken,
    /// The service said that it did not look at the request.
    NotProcessed,
}

impl ResultClass {
    // In the order of declaration: the place is the index.
    const ALL: [Self; 7] = [
        Self::Success,
        Self::Refused,
        Self::Throttled,
        Self::ServerError,
        Self::TimedOut,
        Self::Broken,
        Self::NotProcessed,
    ];

    /// The class of an HTTP status.
    pub(crate) fn of_status(status: http::StatusCode) -> Self {
        if status.is_success() {
            Self::Success
        } else if status == http::StatusCode::TOO_MANY_REQUESTS {
            Self::Throttled
        } else if status.is_client_error() {
            Self::Refused
        } else {
            Self::ServerError
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Refused => "refused",
            Self::Throttled => "throttled",
            Self::ServerError => "server_error",
            Self::TimedOut => "timed_out",
            Self::Broken => "broken",
            Self::NotProcessed => "not_processed",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ServiceLabel(Provider);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum RenewalResult {
    Ok,
    Failed,
}

impl RenewalResult {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
        }
    }
}

/// Labels that are written as their `as_str`.
macro_rules! label_value {
    ($($label:ty => $text:expr),+ $(,)?) => {$(
        impl EncodeLabelValue for $label {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
                let text: fn(&Self) -> &'static str = $text;
                EncodeLabelValue::encode(&text(self), encoder)
            }
        }
    )+};
}

label_value! {
    ServiceLabel => |label| label.0.as_str(),
    ResultClass => |label| label.as_str(),
    RenewalResult => |label| label.as_str(),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProviderLabels {
    provider: ServiceLabel,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    provider: ServiceLabel,
    result: ResultClass,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RenewalLabels {
    provider: ServiceLabel,
    result: RenewalResult,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_exported_under_its_name() {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry, PanicCounter::default()).of(Provider::Apns);
        metrics.request(ResultClass::Throttled);
        metrics.renewal(false);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "sender_requests_total{provider=\"apns\",result=\"throttled\"} 1",
            "credential_renewals_total{provider=\"apns\",result=\"failed\"} 1",
        ] {
            assert!(
                text.lines().any(|present| present == line),
                "{line}\n{text}"
            );
        }
    }

    #[test]
    fn each_class_has_its_own_counter() {
        for (place, class) in ResultClass::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, place);
        }
    }
}
