//! Firebase Cloud Messaging, the HTTP v1 API.
//!
//! One [`Fcm`] is one app: a service account and its project.
//! <https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages>

mod credentials;

mod payload;

mod request;

mod access_token;

mod answer;

#[cfg(fuzzing)]
pub(crate) mod fuzzing;

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use http::HeaderValue;
use model::{Clock, Notification, UnixMs};
use reqwest::Url;
use rustls::ClientConfig;

pub use credentials::Credentials;

use crate::{
    SenderError,
    authorization::{Authorization, Renewal},
    endpoint::Endpoint,
    metrics::ProviderMetrics,
    provider::{Answer, CredentialWord, Prepared, Provider, Verdict},
    tls,
};
use access_token::TokenClient;
use request::Template;

const GOOGLE: &str = "https://fcm.googleapis.com";

/// What an [`Fcm`] is made of.
#[derive(Debug)]
pub struct Options {
    /// How Google knows us.
    pub credentials: Credentials,
    /// Another address than Google's: `https://host[:port]`.
    pub endpoint: Option<String>,
    /// PEM of the only CA to trust, for messages and tokens; Mozilla's list where absent.
    pub ca_pem: Option<Vec<u8>>,
    /// Validate messages only, deliver none.
    pub dry_run: bool,
    /// The scheme of the `url` that the app opens.
    pub base_deeplink_url: String,
    /// Messages per second at most; none is no limit.
    pub rate_limit_per_sec: Option<NonZeroU32>,
}

/// One app at FCM.
pub struct Fcm {
    endpoint: Endpoint,
    tls: Arc<ClientConfig>,
    authorization: Authorization,
    token_client: TokenClient,
    template: Template,
    rate_limit_per_sec: Option<NonZeroU32>,
}

impl fmt::Debug for Fcm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Fcm")
            .field("endpoint", &self.endpoint.authority)
            .finish_non_exhaustive()
    }
}

impl Fcm {
    /// Checks the settings; connects to nothing.
    ///
    /// # Errors
    /// When a setting is unusable.
    pub fn new(options: Options) -> Result<Self, SenderError> {
        let ca_pem = options.ca_pem.as_deref();
        let endpoint = Endpoint::parse(options.endpoint.as_deref().unwrap_or(GOOGLE))?;
        let overridden = options.endpoint.is_some();
        if !may_fetch_tokens_from(&options.credentials.token_uri, overridden) {
            return Err(SenderError::TokenUri);
        }
        Ok(Self {
            tls: Arc::new(tls::client_config(ca_pem, None, &[tls::ALPN_H2])?),
            template: Template::new(
                &options.credentials.project_id,
                endpoint.authority.clone(),
                options.dry_run,
                options.base_deeplink_url,
            )?,
            token_client: TokenClient::new(
                options.credentials,
                tls::client_config(ca_pem, None, &[])?,
            )?,
            endpoint,
            authorization: Authorization::pending(),
            rate_limit_per_sec: options.rate_limit_per_sec,
        })
    }
}

/// A service account's secret goes over TLS; on this machine, in a test set-up, it need not.
fn may_fetch_tokens_from(token_uri: &Url, endpoint_overridden: bool) -> bool {
    match token_uri.scheme() {
        "https" => true,
        "http" => endpoint_overridden && token_uri.host_str() == Some("127.0.0.1"),
        _ => false,
    }
}

impl Provider for Fcm {
    fn provider(&self) -> model::Provider {
        model::Provider::Fcm
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

    fn first_request_alone(&self) -> bool {
        false
    }

    fn rate_limit_per_sec(&self) -> Option<NonZeroU32> {
        self.rate_limit_per_sec
    }

    fn prepare(
        &self,
        notification: &Notification,
        authorization: Option<&HeaderValue>,
        now: UnixMs,
    ) -> Prepared {
        self.template.prepare(notification, authorization, now)
    }

    fn judge(&self, answer: &Answer, now: UnixMs) -> Verdict {
        answer::judge(answer, now)
    }

    /// Google's front ends say nothing about credentials when they close a connection.
    fn credential_in_goaway(&self, _debug_data: &[u8]) -> Option<CredentialWord> {
        None
    }

    fn renew(&self, generation: u64) -> Renewal {
        self.authorization.renew(generation, Duration::ZERO)
    }

    async fn keep_authorized(self: Arc<Self>, clock: Clock, metrics: ProviderMetrics) {
        self.token_client
            .keep(&self.authorization, &clock, &metrics)
            .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_fetched_without_tls_on_this_machine_only() {
        for (uri, overridden, allowed) in [
            ("https://oauth2.googleapis.com/token", false, true),
            ("https://127.0.0.1:1/token", false, true),
            ("http://127.0.0.1:1/token", true, true),
            ("http://127.0.0.1:1/token", false, false),
            ("http://127.0.0.1.example.com/token", true, false),
            ("http://oauth2.googleapis.com/token", true, false),
            ("file:///etc/passwd", true, false),
        ] {
            let url = Url::parse(uri).unwrap();
            assert_eq!(may_fetch_tokens_from(&url, overridden), allowed, "{uri}");
        }
    }
}
