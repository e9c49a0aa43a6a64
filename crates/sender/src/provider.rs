//! The line between what all push services share and what each does its own way.

use std::{borrow::Cow, future::Future, num::NonZeroU32, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use model::{Clock, Notification, Outcome, UnixMs};
use rustls::ClientConfig;

use crate::{
    authorization::{Authorization, Renewal},
    endpoint::Endpoint,
    metrics::ProviderMetrics,
};

/// A push service's own word, such as `BadDeviceToken`; what the notification log shows.
pub type Reason = Cow<'static, str>;

/// A push service as the sender sees it: requests out, verdicts back.
///
/// Implemented by [`crate::apns::Apns`] and [`crate::fcm::Fcm`], each for one app's credential.
/// Everything here is decided without waiting; only [`Provider::keep_authorized`] takes time,
/// beside the send path.
pub trait Provider: Send + Sync + 'static {
    /// Which push service.
    fn provider(&self) -> model::Provider;

    /// Where its connections go.
    fn endpoint(&self) -> &Endpoint;

    /// How its connections are secured.
    fn tls(&self) -> &Arc<ClientConfig>;

    /// What its requests are authorized with.
    fn authorization(&self) -> &Authorization;

    /// Whether a new connection takes one request only until that one has been answered well.
    fn first_request_alone(&self) -> bool;

    /// Requests per second at most; none where the service names no quota.
    fn rate_limit_per_sec(&self) -> Option<NonZeroU32>;

    /// The request for `notification`, or how it ends without one.
    fn prepare(
        &self,
        notification: &Notification,
        authorization: Option<&HeaderValue>,
        now: UnixMs,
    ) -> Prepared;

    /// What `answer` means.
    fn judge(&self, answer: &Answer, now: UnixMs) -> Verdict;

    /// What a GOAWAY's debug data says about our credential, if it says anything.
    fn credential_in_goaway(&self, debug_data: &[u8]) -> Option<CredentialWord>;

    /// Asks for another authorization because `generation` was refused.
    fn renew(&self, generation: u64) -> Renewal;

    /// Gets the authorization and renews it in time, for as long as it is polled.
    fn keep_authorized(
        self: Arc<Self>,
        clock: Clock,
        metrics: ProviderMetrics,
    ) -> impl Future<Output = ()> + Send;
}

/// A notification made ready for the wire.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "it lives for one statement and is nearly always the large one"
)]
pub enum Prepared {
    /// To be sent.
    Send {
        /// Head of the request.
        request: Request<()>,
        /// Its body.
        body: Bytes,
    },
    /// Ends without a request.
    End {
        /// How.
        outcome: Outcome,
        /// The service's word for it, as it would have answered.
        reason: &'static str,
    },
}

/// A push service's answer to one request.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// HTTP headers.
    pub headers: HeaderMap,
    /// The body's beginning, all of it where it is of sensible size.
    pub body: Bytes,
}

/// What an answer means for the notification, its token and its provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The service took it.
    Delivered,
    /// It ends here, whatever is tried.
    End {
        /// How.
        outcome: Outcome,
        /// The service's word.
        reason: Reason,
        /// What this says about the token.
        token: TokenFate,
    },
    /// It may be tried again later.
    Retry {
        /// Whether this answer is about this notification and uses up one of its tries; an
        /// answer about the provider as a whole does not.
        counts_a_try: bool,
        /// Not before so long; the back-off applies beside it.
        at_least: Duration,
        /// Whether the whole provider is to be left alone for `at_least`.
        pause_provider: bool,
        /// The service's word.
        reason: Reason,
    },
    /// This connection is on its way out; another one takes it at once. Counts as a try, so
    /// that a service that always says so comes to an end.
    Elsewhere {
        /// The service's word.
        reason: Reason,
    },
    /// The authorization is stale: renew it, then try once more.
    RenewCredential {
        /// The service's word.
        reason: Reason,
    },
    /// Credential or configuration is refused: no notification of this app can get through
    /// until somebody acts.
    ProviderTrouble {
        /// The service's word.
        reason: Reason,
    },
}

impl Verdict {
    /// This payload or token is refused for good; that says nothing about the token.
    pub(crate) fn rejected(reason: Reason) -> Self {
        Self::End {
            outcome: Outcome::Rejected,
            reason,
            token: TokenFate::Kept,
        }
    }

    /// This is no token, or not one of ours.
    pub(crate) fn suspect(reason: Reason) -> Self {
        Self::End {
            outcome: Outcome::InvalidToken,
            reason,
            token: TokenFate::Suspect,
        }
    }

    /// The device takes no more notifications; since when, if the service names a time.
    pub(crate) fn gone(reason: Reason, since: Option<UnixMs>) -> Self {
        Self::End {
            outcome: Outcome::Unregistered,
            reason,
            token: TokenFate::Gone { since },
        }
    }

    /// This notification is tried again, not before `wait`; the try counts.
    pub(crate) fn later(reason: Reason, wait: Option<Duration>) -> Self {
        Self::Retry {
            counts_a_try: true,
            at_least: wait.unwrap_or_default(),
            pause_provider: false,
            reason,
        }
    }
}

/// What a push service says about our credential when it closes a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialWord {
    /// The authorization is too old.
    Stale(Reason),
    /// Credential or configuration is refused.
    Refused(Reason),
}

/// What an answer says about the device's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFate {
    /// Nothing, or nothing bad.
    Kept,
    /// The service no longer knows it, since the given time where it says so.
    Gone {
        /// APNs's `timestamp`.
        since: Option<UnixMs>,
    },
    /// The service refuses it for a reason that a wrong configuration of ours would also give:
    /// believed only while few answers say so.
    Suspect,
}
