//! What one simulated service does with one complete request.
//!
//! A transport (`http2.rs`, `http1.rs`) reads a [`Request`] and gives it to a
//! [`PushService`]; the service checks it, asks the script, writes the log and
//! hands back what becomes of it. No I/O happens here, so both transports
//! behave alike, and a request costs no task of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, header};
use serde::{Deserialize, Serialize};

use crate::{
    client_certificate::ClientCertificate,
    endpoint::Endpoint,
    received::{Logged, Received, Verdict},
    script::{Action, GoAway, Refusal, RetryAfter, Script},
};

/// A date further ahead than a century could leave the range of HTTP dates.
const MAX_DATE_AHEAD_SEC: u64 = 100 * 365 * 24 * 60 * 60;

/// A simulated service, as rules and the control API name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Apple Push Notification service.
    Apns,
    /// Firebase Cloud Messaging, HTTP v1.
    Fcm,
    /// Google's OAuth 2.0 token endpoint.
    Oauth,
}

/// One request, read to its end.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Number of the connection, from 1 in the order of their coming.
    pub(crate) connection: u64,
    /// HTTP/2 stream id; 0 over HTTP/1.1.
    pub(crate) stream: u32,
    /// The connection's client certificate.
    pub(crate) certificate: Option<Arc<ClientCertificate>>,
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) struct Served {
    /// The credential was good; for APNs this opens the connection's gate.
    pub(crate) authenticated: bool,
    pub(crate) latency: Duration,
    pub(crate) fate: Fate,
    /// The log's entry, to be corrected if a GOAWAY leaves the request unprocessed.
    pub(crate) logged: Option<Logged>,
}

/// How a request ends on the wire.
#[derive(Debug)]
pub(crate) enum Fate {
    Answer(Response<Bytes>),
    /// The answer, then the connection drains. Over HTTP/1.1: `connection: close`.
    GoAway(GoAway, Response<Bytes>),
    /// `RST_STREAM` with this error code. Over HTTP/1.1 the connection is dropped.
    Reset(u32),
    DropConnection,
    Silence,
}

/// A service behind a transport; APNs and FCM are the two.
pub(crate) trait PushService: Send + Sync + 'static {
    fn endpoint(&self) -> &Endpoint;
    /// The longest body that is read; a longer one is handed over cut at this
    /// length plus one byte, which is enough for the service to refuse it.
    fn body_limit(&self) -> usize;
    fn serve(&self, request: Request) -> Served;
}

/// A request that passed every check, about to meet the script.
pub(crate) struct Accepted<'a> {
    pub(crate) service: Service,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) script: &'a Script,
    /// What a rule's prefix is compared with.
    pub(crate) token: &'a str,
    /// The log entry with the verdict that it gets if no rule says otherwise;
    /// nothing for requests that are no pushes.
    pub(crate) entry: Option<Received>,
    pub(crate) success: Response<Bytes>,
}

impl Accepted<'_> {
    /// Lets the first matching rule decide, and writes the log.
    pub(crate) fn decide(self, refuse: impl FnOnce(&Refusal) -> Response<Bytes>) -> Served {
        let Self {
            service,
            endpoint,
            script,
            token,
            mut entry,
            success,
        } = self;
        let (action, latency) = match script.ruling(service, token) {
            Some(ruling) => (ruling.then, ruling.latency),
            None => (Action::Answer, None),
        };
        let mut becomes = |verdict| {
            if let Some(entry) = &mut entry {
                entry.verdict = verdict;
            }
        };
        let mut unseen = false;
        let fate = match action {
            Action::Answer => Fate::Answer(success),
            Action::Refuse(refusal) => {
                becomes(Verdict::Refused {
                    status: refusal.status,
                    reason: refusal.reason.clone(),
                });
                Fate::Answer(refuse(&refusal))
            }
            Action::GoAway(go_away) => Fate::GoAway(go_away, success),
            Action::Reset { code } => {
                becomes(Verdict::Reset { code });
                Fate::Reset(code)
            }
            Action::DropConnection { after_reading } => {
                becomes(Verdict::Dropped);
                unseen = !after_reading;
                Fate::DropConnection
            }
            Action::Silence => {
                becomes(Verdict::Unanswered);
                Fate::Silence
            }
        };
        Served {
            authenticated: true,
            latency: latency.unwrap_or_else(|| endpoint.latency()),
            fate,
            logged: entry.filter(|_| !unseen).map(|entry| endpoint.log(entry)),
        }
    }
}

/// The headers worth keeping in the log: all but the credential.
pub(crate) fn headers_to_keep(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    headers
        .iter()
        .filter(|(name, _)| *name != header::AUTHORIZATION)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// A log entry of a request, to be completed by the service.
pub(crate) fn entry(
    endpoint: &Endpoint,
    request: &Request,
    token: &str,
    verdict: Verdict,
) -> Received {
    let at = Instant::now();
    Received {
        number: 0,
        at,
        wall: endpoint.clock().wall(at),
        connection: request.connection,
        stream: request.stream,
        token: if endpoint.remembers() {
            token.into()
        } else {
            String::new()
        },
        id: None,
        headers: if endpoint.remembers() {
            headers_to_keep(&request.headers)
        } else {
            Vec::new()
        },
        payload: request.body.clone(),
        validate_only: false,
        verdict,
    }
}

/// An answer with a JSON body and no other headers.
pub(crate) fn json_answer(status: u16, json: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(json.into());
    *response.status_mut() = status_code(status);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=UTF-8"),
    );
    response
}

/// The value of a `Retry-After` header.
pub(crate) fn retry_after(after: RetryAfter, now: SystemTime) -> HeaderValue {
    let text = match after {
        RetryAfter::Seconds(seconds) => seconds.to_string(),
        RetryAfter::Date(seconds) => {
            httpdate::fmt_http_date(now + Duration::from_secs(seconds.min(MAX_DATE_AHEAD_SEC)))
        }
    };
    HeaderValue::from_str(&text).expect("digits and dates are visible ASCII")
}

/// A status from a script; an impossible number becomes 500.
pub(crate) fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
