//! Firebase Cloud Messaging HTTP v1 and the OAuth endpoint that it needs.
//!
//! In comes one complete request over either version of HTTP, out goes
//! Google's answer. Both services share a port, as they may: their paths
//! differ. Access tokens are remembered here alone, so a restart of the
//! simulator makes all of them invalid.

mod answer;
mod check;
mod oauth;
mod schema;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Instant, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Method, Response, header};
use serde_json::json;

use crate::{
    endpoint::Endpoint,
    fcm::{answer::Fault, check::Message, oauth::OAuth},
    keys::Keys,
    options::Options,
    received::Verdict,
    script::Script,
    service::{Accepted, Fate, PushService, Request, Served, Service, entry, json_answer},
};

/// Longer than any message that can be accepted, JSON escapes included.
const BODY_LIMIT: usize = 64 * 1024;

/// The services behind Google's port.
#[derive(Debug)]
pub(crate) struct Fcm {
    endpoint: Endpoint,
    script: Script,
    oauth: OAuth,
    project_id: String,
    send_path: String,
    /// Makes message ids unique.
    messages: AtomicU64,
}

impl Fcm {
    pub(crate) fn new(endpoint: Endpoint, script: Script, keys: &Keys, options: &Options) -> Self {
        Self {
            endpoint,
            script,
            oauth: OAuth::new(&keys.service_account, options.access_token_life),
            project_id: options.project_id.clone(),
            send_path: format!("/v1/projects/{}/messages:send", options.project_id),
            messages: AtomicU64::new(0),
        }
    }

    /// Makes all access tokens invalid at once, as if Google had revoked them.
    pub(crate) fn revoke_access_tokens(&self) {
        self.oauth.revoke_all();
    }

    /// Checks everything; also tells whether the credential was good.
    fn check(&self, request: &Request) -> (bool, Result<Message, Fault>) {
        let path = request.uri.path();
        let project = path
            .strip_prefix("/v1/projects/")
            .and_then(|rest| rest.strip_suffix("/messages:send"));
        if project.is_none_or(|id| id.is_empty() || id.contains('/'))
            || request.method != Method::POST
        {
            return (false, Err(Fault::NoSuchPath));
        }
        if !self.is_authenticated(request) {
            return (false, Err(Fault::Unauthenticated));
        }
        if path != self.send_path {
            return (true, Err(Fault::WrongProject));
        }
        (true, check::check(&request.body))
    }

    fn is_authenticated(&self, request: &Request) -> bool {
        let value = request.headers.get(header::AUTHORIZATION);
        let text = value.and_then(|value| value.to_str().ok());
        let token = text
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        token.is_some_and(|(_, token)| self.oauth.is_valid(token, self.endpoint.clock()))
    }

    /// A name in the form of Google's: microseconds, then something unique.
    fn message_name(&self) -> String {
        let wall = self.endpoint.clock().wall(Instant::now());
        let us = wall
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_micros();
        let unique = self.messages.fetch_add(1, Ordering::Relaxed);
        format!("projects/{}/messages/0:{us}%{unique:016x}", self.project_id)
    }

    fn serve_send(&self, request: &Request) -> Served {
        let (authenticated, checked) = self.check(request);
        let endpoint = &self.endpoint;
        match checked {
            Ok(message) => {
                let name = self.message_name();
                let mut entry = entry(endpoint, request, &message.target, Verdict::Delivered);
                entry.validate_only = message.validate_only;
                let success = json_answer(200, format!("{:#}\n", json!({ "name": name })));
                entry.id = Some(name);
                let accepted = Accepted {
                    service: Service::Fcm,
                    endpoint,
                    script: &self.script,
                    token: &message.target,
                    entry: Some(entry),
                    success,
                };
                accepted.decide(|refusal| self.scripted(refusal))
            }
            Err(fault) => {
                let verdict = Verdict::Refused {
                    status: fault.status(),
                    reason: fault.reason().into(),
                };
                Served {
                    authenticated,
                    latency: endpoint.latency(),
                    fate: Fate::Answer(fault.answer()),
                    logged: Some(endpoint.log(entry(endpoint, request, "", verdict))),
                }
            }
        }
    }

    fn serve_token(&self, request: &Request) -> Served {
        let endpoint = &self.endpoint;
        let clock = endpoint.clock();
        if let Err(denied) = self.oauth.check(&request.body, clock) {
            return Served {
                authenticated: false,
                latency: endpoint.latency(),
                fate: Fate::Answer(denied.answer()),
                logged: None,
            };
        }
        let accepted = Accepted {
            service: Service::Oauth,
            endpoint,
            script: &self.script,
            token: "",
            entry: None,
            success: Response::default(),
        };
        let mut served = accepted.decide(|refusal| {
            let form = json!({ "error": refusal.reason }).to_string();
            let mut response = self.scripted(refusal);
            if refusal.body.is_none() {
                *response.body_mut() = form.into();
            }
            response
        });
        // Issued only where it is handed out, so that the count is exact.
        if let Fate::Answer(response) | Fate::GoAway(_, response) = &mut served.fate
            && response.body().is_empty()
            && response.status().is_success()
        {
            *response = self.oauth.issue(clock);
            endpoint.count_token();
        }
        served
    }

    fn scripted(&self, refusal: &crate::script::Refusal) -> Response<Bytes> {
        answer::scripted(refusal, self.endpoint.clock().wall(Instant::now()))
    }
}

impl PushService for Fcm {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn body_limit(&self) -> usize {
        BODY_LIMIT
    }

    fn serve(&self, request: Request) -> Served {
        if request.uri.path() == "/token" && request.method == Method::POST {
            self.serve_token(&request)
        } else {
            self.serve_send(&request)
        }
    }
}
