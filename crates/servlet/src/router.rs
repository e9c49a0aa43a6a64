//! Which path is which door, and what happens behind each.
//!
//! A path must match as a whole: a trailing slash is another path, a query is not looked at.

use std::{borrow::Cow, fmt, sync::Arc};

use http::{HeaderMap, Method, Request};
use hyper::body::Incoming;
use model::{AppId, OrganisationId};
use tokio::{sync::Semaphore, task};
use tracing::{error, warn};

use crate::{
    Access, Depth, Depths, Intake, Metrics, MetricsText, PathsConfig, Readiness, ServerError, Tls,
    access::Denied,
    answer::{self, Answer, Form, Refusal},
    body::{BodyLimits, Budget, Received, RequestBody, Share},
    monitoring,
    pushkin::{self, Decoded, Format, ItemKind, Rejections, Room},
};

/// Bodies up to this many bytes are decoded where they arrive (well under a millisecond); larger
/// ones would keep the runtime's thread from its other connections.
const INLINE_BYTES: usize = 256 << 10;

/// Large bodies that are decoded at the same time; the others wait, counted in the budget.
const LARGE_AT_ONCE: usize = 4;

/// What the doors need from the rest of the program.
#[derive(Clone)]
pub struct Doors {
    /// Where accepted items go.
    pub intake: Intake,
    /// What the monitoring URLs show.
    pub depths: Depths,
    /// What `/readyz` says.
    pub readiness: Readiness,
    /// What `/metrics` shows.
    pub metrics_text: MetricsText,
    /// What the doors count.
    pub metrics: Metrics,
    /// Who may POST; `None` is everybody.
    pub access: Option<Access>,
    /// What connections are secured with; `None` is plain HTTP.
    pub tls: Option<Tls>,
}

impl fmt::Debug for Doors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Doors")
    }
}

/// What a path leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Route {
    Post(Format, ItemKind),
    Depth(fn(&Depths) -> Option<&Depth>),
    Alive,
    Ready,
    Metrics,
}

impl Route {
    fn method(self) -> Method {
        match self {
            Self::Post(..) => Method::POST,
            Self::Depth(_) | Self::Alive | Self::Ready | Self::Metrics => Method::GET,
        }
    }
}

/// An answer, and whether the body was left unread, so that the connection cannot go on.
pub(crate) struct Handled {
    pub(crate) answer: Answer,
    pub(crate) body_unread: bool,
}

/// The doors, found by path. Shared by all connections.
#[derive(Debug)]
pub(crate) struct Router {
    // A dozen paths of different lengths: comparing them is faster than hashing one.
    routes: Vec<(Cow<'static, str>, Route)>,
    doors: Doors,
    budget: Arc<Budget>,
    large: Arc<Semaphore>,
}

impl Router {
    pub(crate) fn new(
        doors: Doors,
        paths: &PathsConfig,
        limits: BodyLimits,
    ) -> Result<Self, ServerError> {
        Ok(Self {
            routes: routes(paths)?,
            doors,
            budget: Budget::new(limits),
            large: Arc::new(Semaphore::new(LARGE_AT_ONCE)),
        })
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.doors.metrics
    }

    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.doors.tls.as_ref()
    }

    /// For the fuzz targets: bytes of all bodies now.
    #[cfg(fuzzing)]
    pub(crate) fn body_bytes(&self) -> usize {
        self.budget.used()
    }

    /// Answers one request. `stopping` is true once the server is shutting down.
    pub(crate) async fn handle(&self, request: Request<Incoming>, stopping: bool) -> Handled {
        let mut request = request.map(RequestBody::new);
        let form = Form::of(request.headers());
        let answer = self.answer(&mut request, form, stopping).await;
        let answer = answer.unwrap_or_else(|refusal| refusal.answer(form));
        Handled {
            answer,
            body_unread: !request.body().is_read(),
        }
    }

    async fn answer(
        &self,
        request: &mut Request<RequestBody>,
        form: Form,
        stopping: bool,
    ) -> Result<Answer, Refusal> {
        let route = self.find(request.uri().path()).ok_or(Refusal::NotFound)?;
        if *request.method() != route.method() {
            return Err(Refusal::Method {
                allow: match route {
                    Route::Post(..) => "POST",
                    Route::Depth(_) | Route::Alive | Route::Ready | Route::Metrics => "GET",
                },
            });
        }
        Ok(match route {
            Route::Post(..) if stopping => return Err(Refusal::ShuttingDown),
            Route::Post(format, kind) => {
                self.admit(request.headers()).await?;
                self.post(request, format, kind, form).await?
            }
            Route::Depth(queue) => {
                let depth = queue(&self.doors.depths).ok_or(Refusal::NoSuchQueue)?;
                monitoring::depth(depth(), request.headers())
            }
            Route::Alive => monitoring::alive(),
            Route::Ready if stopping => {
                monitoring::ready(Err(Refusal::ShuttingDown.to_string()), form)
            }
            Route::Ready => monitoring::ready((self.doors.readiness)(), form),
            Route::Metrics => monitoring::metrics((self.doors.metrics_text)()),
        })
    }

    /// Before the body is read: who has no key is not listened to. Pushkin's URLs are those of
    /// the legacy organisation's app; another one's key is as good as none.
    async fn admit(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(access) = &self.doors.access else {
            return Ok(());
        };
        match access.organisation(headers).await {
            Ok(OrganisationId::LEGACY) => Ok(()),
            Ok(_) | Err(Denied::Unknown) => Err(Refusal::Unauthorized),
            Err(Denied::NotNow) => Err(Refusal::AccessUnknown),
        }
    }

    fn find(&self, path: &str) -> Option<Route> {
        let (_, route) = self.routes.iter().find(|(known, _)| known == path)?;
        Some(*route)
    }

    async fn post(
        &self,
        request: &mut Request<RequestBody>,
        format: Format,
        kind: ItemKind,
        form: Form,
    ) -> Result<Answer, Refusal> {
        let decoded = self.receive(request, format, kind).await;
        // The share is held until the queue, which counts for itself, has the items.
        let (Decoded { items, rejected }, _share) = decoded.inspect_err(|refusal| {
            if let Refusal::Body(error) = refusal {
                warn!(
                    ?format,
                    ?kind,
                    error = answer::with_causes(error),
                    "refused a body"
                );
            }
        })?;
        let metrics = &self.doors.metrics;
        if rejected.count() > 0 {
            metrics.items_rejected.inc_by(rejected.count() as u64);
            log_rejections(&rejected, format, kind);
        }
        let accepted = self.doors.intake.accept(AppId::LEGACY, items).await?;
        metrics.items_accepted.inc_by(accepted.items as u64);
        Ok(answer::accepted(accepted.items, &rejected, form))
    }

    async fn receive(
        &self,
        request: &mut Request<RequestBody>,
        format: Format,
        kind: ItemKind,
    ) -> Result<(Decoded, Share), Refusal> {
        let headers = std::mem::take(request.headers_mut());
        let received = Received::read(request.body_mut(), &headers, &self.budget).await?;
        let decode =
            move |bytes: &[u8], room: &Room<'_>| pushkin::decode_within(format, kind, bytes, room);
        if !received.is_heavy(INLINE_BYTES) {
            return received.decoded_by(decode);
        }
        let permit = Arc::clone(&self.large).acquire_owned().await;
        task::spawn_blocking(move || {
            // Held here and not by the connection, which may end before this does.
            let _permit = permit;
            received.decoded_by(decode)
        })
        .await
        .unwrap_or_else(|failure| {
            error!(%failure, "decoding a body failed");
            Err(Refusal::Panic)
        })
    }
}

/// One line per POST: its first bad item, and how many there are.
fn log_rejections(rejected: &Rejections, format: Format, kind: ItemKind) {
    if let Some(first) = rejected.listed().first() {
        warn!(
            ?format,
            ?kind,
            first.index,
            first.reason = %first.reason,
            rejected = rejected.count(),
            "skipped bad items"
        );
    }
}

pub(crate) fn routes(paths: &PathsConfig) -> Result<Vec<(Cow<'static, str>, Route)>, ServerError> {
    use Format::{Json, Protobuf};
    use ItemKind::{Events, Notifications};

    // Ours first, so that a clash names the configured key.
    let mut keys = vec!["/healthz", "/readyz", "/metrics"];
    let mut routes = vec![
        (Cow::Borrowed("/healthz"), Route::Alive),
        (Cow::Borrowed("/readyz"), Route::Ready),
        (Cow::Borrowed("/metrics"), Route::Metrics),
    ];
    let configured = [
        (
            "proto_event_handler_url",
            &paths.proto_event_handler_url,
            Route::Post(Protobuf, Events),
        ),
        (
            "proto_notification_handler_url",
            &paths.proto_notification_handler_url,
            Route::Post(Protobuf, Notifications),
        ),
        (
            "json_event_handler_url",
            &paths.json_event_handler_url,
            Route::Post(Json, Events),
        ),
        (
            "json_notification_handler_url",
            &paths.json_notification_handler_url,
            Route::Post(Json, Notifications),
        ),
        (
            "request_queue_handler_url",
            &paths.request_queue_handler_url,
            Route::Depth(|depths| Some(&depths.request)),
        ),
        (
            "apn_sender_queue_handler_url",
            &paths.apn_sender_queue_handler_url,
            Route::Depth(|depths| depths.apn_sender.as_ref()),
        ),
        (
            "gcm_sender_queue_handler_url",
            &paths.gcm_sender_queue_handler_url,
            Route::Depth(|depths| depths.gcm_sender.as_ref()),
        ),
        (
            "notification_post_processor_queue_handler_url",
            &paths.notification_post_processor_queue_handler_url,
            Route::Depth(|depths| depths.post_processor.as_ref()),
        ),
    ];
    for (key, path, route) in configured {
        let path = path.clone();
        if !path.starts_with('/') {
            return Err(ServerError::NotAPath { key, path });
        }
        if let Some(character) = path.chars().find(|character| !is_literal(*character)) {
            return Err(ServerError::NotLiteral {
                key,
                path,
                character,
            });
        }
        if let Some(place) = routes.iter().position(|(known, _)| *known == path) {
            let other = keys[place];
            return Err(ServerError::PathTaken { key, path, other });
        }
        keys.push(key);
        routes.push((Cow::Owned(path), route));
    }
    Ok(routes)
}

/// Whether a path may have this character. Pushkin's paths were regular expressions: one that is
/// more than a plain path must not become a URL that nobody ever asks for.
fn is_literal(character: char) -> bool {
    character.is_ascii_alphanumeric() || "/-_.~%:@!&',;=".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_path_leads_somewhere_else() {
        assert_eq!(routes(&PathsConfig::default()).unwrap().len(), 11);
    }

    #[test]
    fn a_path_that_no_request_can_have_is_refused_with_its_key() {
        let paths = PathsConfig {
            json_event_handler_url: "post_events_json".to_owned(),
            ..PathsConfig::default()
        };
        assert_eq!(
            routes(&paths).unwrap_err().to_string(),
            "[RequestHandler] json_event_handler_url: a path must start with '/', \
             but it is \"post_events_json\""
        );
    }

    #[test]
    fn a_path_that_is_a_regular_expression_is_refused_with_its_key() {
        let refused = |path: &str| {
            let paths = PathsConfig {
                json_event_handler_url: path.to_owned(),
                ..PathsConfig::default()
            };
            routes(&paths).err().map(|error| error.to_string())
        };
        assert_eq!(refused("/v1.0/post_events-json"), None);
        assert_eq!(
            refused("/events/?"),
            Some(
                "[RequestHandler] json_event_handler_url: a path is compared as it is and not as \
                 a regular expression, so it cannot have '?', but it is \"/events/?\""
                    .to_owned()
            )
        );
        for path in ["/events$", "/(a|b)", "/a+", "/a\\.b", "/a b", "/ž", "/a#b"] {
            assert!(refused(path).is_some(), "{path}");
        }
    }

    #[test]
    fn two_urls_cannot_have_one_path() {
        let paths = PathsConfig {
            gcm_sender_queue_handler_url: "/metrics".to_owned(),
            ..PathsConfig::default()
        };
        assert_eq!(
            routes(&paths).unwrap_err().to_string(),
            "[RequestHandler] gcm_sender_queue_handler_url: the path \"/metrics\" \
             is already that of /metrics"
        );
    }
}
