//! Apple Push Notification service, as a provider meets it.
//!
//! In comes one complete request, out goes Apple's answer: 200 with `apns-id`,
//! or a status and `{"reason":"…"}`. What is checked stands in [`check`] and
//! [`token`].

mod check;
mod token;

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, header};
use uuid::Uuid;

use crate::{
    apns::{
        check::{Headers, MAX_VOIP_PAYLOAD, Reason, device_token, is_device_token},
        token::TokenCheck,
    },
    endpoint::Endpoint,
    keys::Keys,
    options::Options,
    received::Verdict,
    script::{Refusal, Script},
    service::{
        Accepted, Fate, PushService, Request, Served, Service, entry, retry_after, status_code,
    },
};

const APNS_ID: HeaderName = HeaderName::from_static("apns-id");

/// The service behind Apple's port.
#[derive(Debug)]
pub(crate) struct Apns {
    endpoint: Endpoint,
    script: Script,
    token: TokenCheck,
    topics: Vec<String>,
}

impl Apns {
    pub(crate) fn new(endpoint: Endpoint, script: Script, keys: &Keys, options: &Options) -> Self {
        let interval = options.min_token_update_interval;
        Self {
            endpoint,
            script,
            token: TokenCheck::new(&keys.apns, keys.apns_public.clone(), interval),
            topics: options.topics.clone(),
        }
    }

    /// Checks everything; also tells whether the credential was good.
    fn check(
        &self,
        request: &Request,
        token: Result<&str, Reason>,
        headers: &Headers<'_>,
        twice: bool,
    ) -> (bool, Result<(), Reason>) {
        let token = match token {
            Ok(token) => token,
            Err(reason) => return (false, Err(reason)),
        };
        if twice {
            return (false, Err(Reason::DuplicateHeaders));
        }
        let (topics, implied) = match &request.certificate {
            // Apple says that the two never go together, and not what it answers.
            Some(_) if headers.authorization.is_some() => return (false, Err(Reason::Forbidden)),
            Some(certificate) => (&certificate.topics, true),
            None => {
                let clock = self.endpoint.clock();
                if let Err(reason) = self.token.check(headers.authorization, clock) {
                    return (false, Err(reason));
                }
                (&self.topics, false)
            }
        };
        if !is_device_token(token) {
            return (true, Err(Reason::BadDeviceToken));
        }
        (true, headers.check(topics, implied, &request.body))
    }
}

impl PushService for Apns {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn body_limit(&self) -> usize {
        MAX_VOIP_PAYLOAD
    }

    fn serve(&self, request: Request) -> Served {
        let token = device_token(&request);
        let (headers, twice) = Headers::read(&request.headers);
        let (authenticated, checked) = self.check(&request, token, &headers, twice);
        let id = answer_id(headers.id);
        let token = token.unwrap_or_default();
        let mut entry = entry(&self.endpoint, &request, token, Verdict::Delivered);
        if self.endpoint.remembers() {
            entry.id = id.to_str().ok().map(str::to_owned);
        }
        let Err(reason) = checked else {
            let mut success = Response::new(Bytes::new());
            success.headers_mut().insert(APNS_ID, id.clone());
            let accepted = Accepted {
                service: Service::Apns,
                endpoint: &self.endpoint,
                script: &self.script,
                token,
                entry: Some(entry),
                success,
            };
            return accepted.decide(|refusal| self.scripted(refusal, id));
        };
        entry.verdict = Verdict::Refused {
            status: reason.status(),
            reason: reason.name().into(),
        };
        let refusal = Refusal::new(reason.status(), reason.name());
        Served {
            authenticated,
            latency: self.endpoint.latency(),
            fate: Fate::Answer(self.scripted(&refusal, id)),
            logged: Some(self.endpoint.log(entry)),
        }
    }
}

impl Apns {
    /// A refusal in Apple's form.
    fn scripted(&self, refusal: &Refusal, id: HeaderValue) -> Response<Bytes> {
        let body = match (&refusal.body, refusal.reason.as_str(), refusal.timestamp_ms) {
            (Some(body), _, _) => body.clone(),
            (None, "", _) => String::new(),
            (None, reason, None) => serde_json::json!({ "reason": reason }).to_string(),
            (None, reason, Some(timestamp)) => {
                serde_json::json!({ "reason": reason, "timestamp": timestamp }).to_string()
            }
        };
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status_code(refusal.status);
        response.headers_mut().insert(APNS_ID, id);
        if let Some(after) = refusal.retry_after {
            let now = self.endpoint.clock().wall(Instant::now());
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, retry_after(after, now));
        }
        response
    }
}

/// The request's `apns-id`, or a new one in Apple's upper-case form.
fn answer_id(id: Option<&HeaderValue>) -> HeaderValue {
    match id {
        Some(id) => id.clone(),
        None => {
            let mut text = Uuid::encode_buffer();
            let text = Uuid::new_v4().hyphenated().encode_upper(&mut text);
            HeaderValue::from_str(text).expect("a UUID is made of visible ASCII")
        }
    }
}
