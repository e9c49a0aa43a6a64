//! Apple Push Notification service, the HTTP/2 provider API.
//!
//! One [`Apns`] is one app: a credential, a topic, an environment.
//! <https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns>

mod credentials;

mod payload;

mod request;

mod answer;

#[cfg(fuzzing)]
pub(crate) mod fuzzing;

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use http::HeaderValue;
use model::{Clock, Notification, UnixMs};
use rustls::ClientConfig;
use tracing::error;

pub use credentials::Credentials;

use crate::{
    SenderError,
    authorization::{Authorization, Renewal},
    endpoint::Endpoint,
    metrics::ProviderMetrics,
    provider::{Answer, CredentialWord, Prepared, Provider, Verdict},
    tls,
};
use credentials::{Kind, TokenKey};
use request::Templates;

const PRODUCTION: &str = "https://api.push.apple.com";
const SANDBOX: &str = "https://api.sandbox.push.apple.com";

/// A token is replaced when it is this old: Apple refuses it after 60 minutes.
const RENEW_AFTER: Duration = Duration::from_secs(50 * 60);
/// Spread of the renewals of several instances around [`RENEW_AFTER`].
const RENEW_JITTER: Duration = Duration::from_secs(3 * 60);
/// Apple answers `TooManyProviderTokenUpdates` to a token that is replaced before it is so old.
pub const TOKEN_LIFE_AT_LEAST: Duration = Duration::from_secs(20 * 60);
/// Wait after a token could not be signed.
const SIGN_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// What an [`Apns`] is made of.
#[derive(Debug)]
pub struct Options {
    /// How Apple knows us.
    pub credentials: Credentials,
    /// Bundle id of the app; may be absent with a certificate for one app.
    pub topic: Option<String>,
    /// Apple's sandbox instead of production.
    pub sandbox: bool,
    /// Another address than Apple's: `https://host[:port]`.
    pub endpoint: Option<String>,
    /// PEM of the only CA to trust; Mozilla's list where absent.
    pub ca_pem: Option<Vec<u8>>,
    /// A provider token that is refused before it is so old stays in use:
    /// [`TOKEN_LIFE_AT_LEAST`], which tests have no time for.
    pub token_life_at_least: Duration,
}

/// One app at APNs.
pub struct Apns {
    credentials: Credentials,
    endpoint: Endpoint,
    tls: Arc<ClientConfig>,
    authorization: Authorization,
    templates: Templates,
    token_life_at_least: Duration,
}

impl fmt::Debug for Apns {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Apns")
            .field("endpoint", &self.endpoint.authority)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

impl Apns {
    /// Checks the settings; connects to nothing.
    ///
    /// # Errors
    /// When a setting is missing or unusable.
    pub fn new(options: Options) -> Result<Self, SenderError> {
        let apple = if options.sandbox { SANDBOX } else { PRODUCTION };
        let endpoint = Endpoint::parse(options.endpoint.as_deref().unwrap_or(apple))?;
        let (identity, authorization) = match &options.credentials.kind {
            Kind::Token(_) if options.topic.is_none() => return Err(SenderError::TopicMissing),
            Kind::Token(_) => (None, Authorization::pending()),
            Kind::Certificate(identity) => (Some(identity), Authorization::by_certificate()),
        };
        let tls = tls::client_config(options.ca_pem.as_deref(), identity, &[tls::ALPN_H2])?;
        Ok(Self {
            templates: Templates::new(options.topic.as_deref(), endpoint.authority.clone())?,
            credentials: options.credentials,
            tls: Arc::new(tls),
            endpoint,
            authorization,
            token_life_at_least: options.token_life_at_least,
        })
    }
}

impl Provider for Apns {
    fn provider(&self) -> model::Provider {
        model::Provider::Apns
    }

    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn tls(&self) -> &Arc<ClientConfig> {
        &self.tls
    }

    fn authorization(&self) -> &Authorization {
        &self.authorization
    }

    /// With token authentication Apple allows one stream until a request with a valid token
    /// has been answered; with a certificate all streams at once.
    fn first_request_alone(&self) -> bool {
        match self.credentials.kind {
            Kind::Token(_) => true,
            Kind::Certificate(_) => false,
        }
    }

    fn rate_limit_per_sec(&self) -> Option<NonZeroU32> {
        None
    }

    fn prepare(
        &self,
        notification: &Notification,
        authorization: Option<&HeaderValue>,
        now: UnixMs,
    ) -> Prepared {
        self.templates.prepare(notification, authorization, now)
    }

    fn judge(&self, answer: &Answer, now: UnixMs) -> Verdict {
        answer::judge(answer, now)
    }

    fn credential_in_goaway(&self, debug_data: &[u8]) -> Option<CredentialWord> {
        answer::credential_in_goaway(debug_data)
    }

    fn renew(&self, generation: u64) -> Renewal {
        self.authorization
            .renew(generation, self.token_life_at_least)
    }

    async fn keep_authorized(self: Arc<Self>, clock: Clock, metrics: ProviderMetrics) {
        let Kind::Token(key) = &self.credentials.kind else {
            return;
        };
        // A loop that follows one that panicked finds a token, and must not replace it early.
        let mut renew_after = match self.authorization.age() {
            Some(age) => RENEW_AFTER.saturating_sub(age),
            None => self.sign(key, &clock, &metrics),
        };
        loop {
            tokio::select! {
                () = tokio::time::sleep(renew_after) => {}
                () = self.authorization.wanted.notified() => {}
            }
            renew_after = self.sign(key, &clock, &metrics);
        }
    }
}

impl Apns {
    /// Signs a new token; returns when the next one is due.
    fn sign(&self, key: &TokenKey, clock: &Clock, metrics: &ProviderMetrics) -> Duration {
        let signed = key.sign(clock.now());
        metrics.renewal(signed.is_ok());
        match signed {
            Ok(header) => {
                self.authorization.store(Some(header));
                let jitter = RENEW_JITTER.mul_f64(fastrand::f64());
                RENEW_AFTER + jitter - RENEW_JITTER / 2
            }
            Err(_) => {
                error!("failed to sign the APNs provider token, keeping the old one");
                SIGN_AGAIN_AFTER
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use model::Provider as Service;
    use prometheus_client::registry::Registry;
    use queue::PanicCounter;

    use super::*;
    use crate::Metrics;

    fn options() -> Options {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let pem = key.serialize_pem();
        Options {
            credentials: Credentials::from_p8(pem.as_bytes(), "ABCDE12345", "TEAM567890").unwrap(),
            topic: Some("com.example.topic".to_owned()),
            sandbox: false,
            endpoint: None,
            ca_pem: None,
            token_life_at_least: TOKEN_LIFE_AT_LEAST,
        }
    }

    #[test]
    fn a_token_needs_a_topic() {
        let without = |topic: Option<&str>| {
            Apns::new(Options {
                topic: topic.map(str::to_owned),
                ..options()
            })
        };
        assert!(matches!(without(None), Err(SenderError::TopicMissing)));
        assert!(matches!(without(Some("")), Err(SenderError::Topic)));
        assert!(matches!(without(Some("a\nb")), Err(SenderError::Topic)));
    }

    #[test]
    fn the_environment_is_apples_unless_an_endpoint_is_set() {
        let host = |sandbox, endpoint: Option<&str>| {
            let endpoint = endpoint.map(str::to_owned);
            let apns = Apns::new(Options {
                sandbox,
                endpoint,
                ..options()
            });
            apns.unwrap().endpoint.host
        };
        assert_eq!(host(false, None), "api.push.apple.com");
        assert_eq!(host(true, None), "api.sandbox.push.apple.com");
        assert_eq!(host(true, Some("https://127.0.0.1:2197")), "127.0.0.1");
    }

    #[tokio::test(start_paused = true)]
    async fn the_token_is_renewed_after_fifty_minutes_and_not_within_twenty() {
        let apns = Arc::new(Apns::new(options()).unwrap());
        let metrics = Metrics::new(&mut Registry::default(), PanicCounter::default());
        let clock = Clock::new(|| UnixMs(1_795_293_388_117));
        let keeper = Arc::clone(&apns).keep_authorized(clock, metrics.of(Service::Apns));
        let keeper = tokio::spawn(keeper);
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        apns.authorization.changed.notified().await;
        tokio::time::sleep(minutes(19)).await;
        assert_eq!(apns.renew(1), Renewal::TooSoon);
        tokio::time::sleep(minutes(29)).await;
        assert_eq!(apns.authorization.usable().unwrap().generation, 1);
        tokio::time::sleep(minutes(4)).await;
        assert_eq!(apns.authorization.usable().unwrap().generation, 2);
        tokio::time::sleep(minutes(21)).await;
        assert_eq!(apns.renew(2), Renewal::Started);
        apns.authorization.changed.notified().await;
        while apns.authorization.usable().is_none() {
            apns.authorization.changed.notified().await;
        }
        assert_eq!(apns.authorization.usable().unwrap().generation, 3);
        keeper.abort();
    }
}
