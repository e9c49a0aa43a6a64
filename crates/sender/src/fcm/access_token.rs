//! Access tokens: fetched beside the send path, renewed before they end, one fetch at a time.
//!
//! The old token stays in use while a renewal fails, until its own end; notifications wait
//! while there is none. Tokens and assertions are never logged.

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use model::{Clock, UnixMs};
use serde::Deserialize;
use tracing::{info, warn};

use super::Credentials;
use crate::{
    SenderError,
    authorization::{Authorization, Denial},
    metrics::ProviderMetrics,
    retry::BackOff,
};

/// RFC 7523 section 2.1.
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// One fetch, connecting included.
const FETCH_TIMEOUT: Duration = Duration::from_secs(20);
/// An answer's size at most.
const ANSWER_LIMIT: usize = 64 * 1024;
/// Between failed fetches.
const FETCH_AGAIN: BackOff = BackOff {
    base: Duration::from_secs(2),
    cap: Duration::from_secs(60),
};
/// The least wait between fetches, whatever a refusal or a strange answer says.
const FETCH_AT_MOST_EVERY: Duration = Duration::from_millis(500);

/// Fetches access tokens for one service account.
pub(super) struct TokenClient {
    credentials: Credentials,
    http: reqwest::Client,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    /// Seconds.
    expires_in: u64,
}

/// RFC 6749 section 5.2.
#[derive(Deserialize)]
struct Refused {
    error: String,
}

/// Why there is no new token.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("failed to sign the token request")]
    Sign,
    #[error("failed to reach the token endpoint")]
    Exchange(#[source] reqwest::Error),
    #[error("the token endpoint answered {status} {error}")]
    Refused { status: u16, error: String },
    #[error("the token endpoint's answer is not understood")]
    Form,
}

impl TokenClient {
    pub(super) fn new(
        credentials: Credentials,
        tls: rustls::ClientConfig,
    ) -> Result<Self, SenderError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .timeout(FETCH_TIMEOUT)
            // The assertion is a secret: it goes to the configured address and nowhere else.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(SenderError::TokenClient)?;
        Ok(Self { credentials, http })
    }

    /// Keeps `authorization` filled, for as long as it is polled.
    pub(super) async fn keep(
        &self,
        authorization: &Authorization,
        clock: &Clock,
        metrics: &ProviderMetrics,
    ) {
        let mut failures = 0;
        loop {
            let fetched = self.fetch(clock.now()).await;
            metrics.renewal(fetched.is_ok());
            let wait = match fetched {
                Ok((header, life)) => {
                    if failures > 0 {
                        info!("FCM access tokens are granted again");
                    }
                    failures = 0;
                    authorization.store(Some(header));
                    life.mul_f64(0.8 + 0.1 * fastrand::f64())
                }
                Err(error) => {
                    authorization.deny(denial(&error));
                    if failures == 0 {
                        let error: &dyn std::error::Error = &error;
                        warn!(
                            error,
                            "no new FCM access token, using the old one while it lasts"
                        );
                    }
                    failures += 1;
                    FETCH_AGAIN.wait(failures, 0.5 + fastrand::f64() / 2.0)
                }
            };
            tokio::time::sleep(FETCH_AT_MOST_EVERY).await;
            tokio::select! {
                () = tokio::time::sleep(wait.saturating_sub(FETCH_AT_MOST_EVERY)) => {}
                () = authorization.wanted.notified() => {}
            }
        }
    }

    async fn fetch(&self, now: UnixMs) -> Result<(HeaderValue, Duration), FetchError> {
        let assertion = self
            .credentials
            .assertion(now)
            .map_err(|_| FetchError::Sign)?;
        let form = [("grant_type", GRANT_TYPE), ("assertion", &assertion)];
        let response = self
            .http
            .post(self.credentials.token_uri.clone())
            .form(&form)
            .send()
            .await
            .map_err(|error| FetchError::Exchange(error.without_url()))?;
        let status = response.status();
        granted(status, &bounded_body(response).await?)
    }
}

/// The `authorization` header that an answer of the token endpoint makes, and how long it lives.
pub(super) fn granted(
    status: StatusCode,
    body: &[u8],
) -> Result<(HeaderValue, Duration), FetchError> {
    if !status.is_success() {
        let error = serde_json::from_slice::<Refused>(body)
            .map(|refused| refused.error.chars().take(64).collect())
            .unwrap_or_default();
        let status = status.as_u16();
        return Err(FetchError::Refused { status, error });
    }
    let granted: Granted = serde_json::from_slice(body).map_err(|_| FetchError::Form)?;
    let mut header = HeaderValue::try_from(format!("Bearer {}", granted.access_token))
        .map_err(|_| FetchError::Form)?;
    // As for APNs: h2 indexes no `authorization` anyway, and no Debug output shows this one.
    header.set_sensitive(true);
    Ok((header, Duration::from_secs(granted.expires_in)))
}

/// A server's own trouble is no refusal.
fn denial(error: &FetchError) -> Denial {
    match error {
        FetchError::Sign => Denial::Refused(error.to_string()),
        FetchError::Refused { status, .. } if *status < 500 && *status != 429 => {
            Denial::Refused(error.to_string())
        }
        FetchError::Refused { .. } | FetchError::Exchange(_) | FetchError::Form => {
            Denial::Unreachable(error.to_string())
        }
    }
}

async fn bounded_body(mut response: reqwest::Response) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| FetchError::Exchange(error.without_url()))?
    {
        if body.len() + chunk.len() > ANSWER_LIMIT {
            return Err(FetchError::Form);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
