//! The control API: JSON over plain HTTP on loopback, for the simulator as a
//! process of its own.
//!
//! | request | does |
//! |---|---|
//! | `GET /state` | [`Counters`](crate::Counters) of `apns` and `fcm`, and the addresses |
//! | `GET /received?service=apns&from=0` | remembered requests from a log position on, at most 1000 |
//! | `DELETE /received` | forgets the requests and sets the counts to 0 |
//! | `POST /rules` | adds a [`Rule`], or a list of them |
//! | `DELETE /rules` | removes all rules |
//! | `POST /goaway` | `{"service":"apns","how":{"graceful":{}}}`: drains all connections, see [`GoAway`] |
//! | `POST /max-streams` | `{"service":"apns","max_streams":1}` |
//! | `POST /latency` | `{"service":"fcm","latency_ms":50}` |
//! | `POST /online` | `{"service":"fcm","online":false}`: takes a service down or up again |
//!
//! It answers 200 with JSON, or 400 with `{"error":"…"}`. There is no
//! authentication: whoever can reach the port may use it.

use std::{sync::Arc, time::Duration, time::UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::{
    endpoint::Endpoint,
    received::{Received, Verdict},
    script::{GoAway, Rule, Script},
    service::{Service, json_answer},
};

const BODY_LIMIT: usize = 1024 * 1024;
/// Entries of `/received` in one answer.
const PAGE: usize = 1000;

/// Everything that can be controlled.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) apns: Endpoint,
    pub(crate) fcm: Endpoint,
    pub(crate) script: Script,
    /// Addresses, as `/state` shows them.
    pub(crate) addresses: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Drain {
    service: Service,
    how: GoAway,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MaxStreams {
    service: Service,
    max_streams: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Latency {
    service: Service,
    latency_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Online {
    service: Service,
    online: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    More(Vec<Rule>),
    One(Box<Rule>),
}

impl Control {
    /// Serves the API until the simulator stops.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((socket, _)) => {
                    tokio::spawn(Arc::clone(&self).serve_connection(socket));
                }
                Err(error) => {
                    tracing::warn!(%error, "the control API could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    async fn serve_connection(self: Arc<Self>, socket: TcpStream) {
        let answer = service_fn(|request| {
            let control = Arc::clone(&self);
            async move { control.answer(request).await }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), answer);
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the control API broke");
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let (head, body) = request.into_parts();
        let answer = match Limited::new(body, BODY_LIMIT).collect().await {
            Ok(body) => self.obey(&head.method, &head.uri, &body.to_bytes()),
            Err(_) => Err("the body is too long or broke off".into()),
        };
        let response = match answer {
            Ok(answer) => json_answer(200, format!("{answer:#}\n")),
            Err(error) => json_answer(400, format!("{:#}\n", json!({ "error": error }))),
        };
        Ok(response.map(Full::new))
    }

    fn obey(&self, method: &Method, uri: &Uri, body: &[u8]) -> Result<Value, String> {
        match (method.as_str(), uri.path()) {
            ("GET", "/state") => return Ok(self.state()),
            ("GET", "/received") => return self.received(uri.query().unwrap_or("")),
            ("DELETE", "/received") => {
                self.apns.forget();
                self.fcm.forget();
            }
            ("POST", "/rules") => match read(body)? {
                OneOrMore::More(rules) => rules.into_iter().for_each(|rule| self.script.add(rule)),
                OneOrMore::One(rule) => self.script.add(*rule),
            },
            ("DELETE", "/rules") => self.script.clear(),
            ("POST", "/goaway") => {
                let drain: Drain = read(body)?;
                self.endpoint(drain.service).go_away(&drain.how);
            }
            ("POST", "/max-streams") => {
                let wanted: MaxStreams = read(body)?;
                self.endpoint(wanted.service)
                    .set_max_streams(wanted.max_streams);
            }
            ("POST", "/latency") => {
                let wanted: Latency = read(body)?;
                let latency = Duration::from_millis(wanted.latency_ms);
                self.endpoint(wanted.service).set_latency(latency);
            }
            ("POST", "/online") => {
                let wanted: Online = read(body)?;
                self.endpoint(wanted.service).set_online(wanted.online);
            }
            (method, path) => return Err(format!("there is no {method} {path}")),
        }
        Ok(json!({}))
    }

    /// The OAuth endpoint is on FCM's port and shares its figures.
    fn endpoint(&self, service: Service) -> &Endpoint {
        match service {
            Service::Apns => &self.apns,
            Service::Fcm | Service::Oauth => &self.fcm,
        }
    }

    fn state(&self) -> Value {
        json!({
            "addresses": self.addresses,
            "apns": self.apns.counters(),
            "fcm": self.fcm.counters(),
        })
    }

    fn received(&self, query: &str) -> Result<Value, String> {
        let value = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .filter(|(key, _)| *key == name)
                .map(|(_, value)| value)
                .next()
        };
        let endpoint = match value("service") {
            Some("apns") => &self.apns,
            Some("fcm") => &self.fcm,
            _ => return Err("service must be apns or fcm".into()),
        };
        let from = value("from").unwrap_or("0");
        let from = from
            .parse()
            .map_err(|_| "from must be a log position".to_owned())?;
        let received = endpoint.received_from(from);
        Ok(received.iter().take(PAGE).map(describe).collect())
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn describe(received: &Received) -> Value {
    let wall = received.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    let headers = received.headers.iter().map(|(name, value)| {
        (
            name.as_str().to_owned(),
            String::from_utf8_lossy(value.as_bytes()).into(),
        )
    });
    let (outcome, status, reason) = match &received.verdict {
        Verdict::Delivered => ("delivered", 200, ""),
        Verdict::Refused { status, reason } => ("refused", *status, reason.as_str()),
        Verdict::Reset { .. } => ("reset", 0, ""),
        Verdict::Dropped => ("dropped", 0, ""),
        Verdict::Unanswered => ("unanswered", 0, ""),
        Verdict::Unprocessed => ("unprocessed", 0, ""),
    };
    json!({
        "number": received.number,
        "time_us": u64::try_from(wall.as_micros()).unwrap_or(u64::MAX),
        "connection": received.connection,
        "stream": received.stream,
        "token": received.token,
        "id": received.id,
        "headers": headers.collect::<serde_json::Map<String, Value>>(),
        "payload": received.json(),
        "validate_only": received.validate_only,
        "outcome": outcome,
        "status": status,
        "reason": reason,
    })
}
