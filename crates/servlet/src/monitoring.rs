//! The GET URLs: how full the queues are, whether we live, whether we are ready, the metrics.
//!
//! What they show is passed in as functions, so that this crate knows no other stage.

use std::{fmt, sync::Arc};

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH},
};
use sha1_smol::Sha1;

use crate::answer::{self, Answer, Form};

/// How many items a queue holds now.
pub type Depth = Arc<dyn Fn() -> usize + Send + Sync>;

/// Whether the program can do its work; if not, why.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// All metrics as `OpenMetrics` text.
pub type MetricsText = Arc<dyn Fn() -> String + Send + Sync>;

const METRICS_TYPE: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// The queues that have a monitoring URL. A sender that is not enabled has no queue; its URL
/// answers 400, as in Pushkin.
#[derive(Clone)]
pub struct Depths {
    /// Items in the request queue.
    pub request: Depth,
    /// Notifications on their way to APNs.
    pub apn_sender: Option<Depth>,
    /// Notifications on their way to FCM.
    pub gcm_sender: Option<Depth>,
    /// Feedback on its way to the database.
    pub post_processor: Option<Depth>,
}

impl fmt::Debug for Depths {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Depths")
    }
}

/// A queue's depth: bare digits, with the entity tag that Pushkin's framework added.
pub(crate) fn depth(depth: usize, headers: &HeaderMap) -> Answer {
    let body = depth.to_string();
    let tag = format!("\"{}\"", Sha1::from(&body).digest());
    let mut answer = if matches_tag(headers, &tag) {
        answer::empty(StatusCode::NOT_MODIFIED)
    } else {
        answer::page(StatusCode::OK, body)
    };
    let tag = HeaderValue::try_from(tag).expect("a quoted hexadecimal digest is a header value");
    answer.headers_mut().insert(ETAG, tag);
    answer
}

/// `If-None-Match`: a list of tags, compared weakly, or `*` (RFC 9110 section 13.1.2).
fn matches_tag(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// We run; nothing more is said.
pub(crate) fn alive() -> Answer {
    answer::text(StatusCode::OK, "ok".to_owned())
}

/// Whether work should be sent here.
pub(crate) fn ready(readiness: Result<(), String>, form: Form) -> Answer {
    match (readiness, form) {
        (Ok(()), _) => answer::text(StatusCode::OK, "ready".to_owned()),
        (Err(reason), Form::Plain) => answer::text(StatusCode::SERVICE_UNAVAILABLE, reason),
        (Err(reason), Form::Json) => answer::json(
            StatusCode::SERVICE_UNAVAILABLE,
            &answer::ErrorBody { error: reason },
        ),
    }
}

pub(crate) fn metrics(text: String) -> Answer {
    let mut answer = answer::text(StatusCode::OK, text);
    answer.headers_mut().insert(CONTENT_TYPE, METRICS_TYPE);
    answer
}
