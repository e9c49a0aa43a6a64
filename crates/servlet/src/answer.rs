//! What goes back to the client, in one of two forms.
//!
//! Plain is Pushkin's: an empty 200, and a small HTML page for errors. A client that sends
//! `Accept: application/json` is told what was accepted, what was not, and why.

use std::{error::Error, fmt::Write};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{ACCEPT, ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, SERVER, WWW_AUTHENTICATE},
};
use http_body_util::Full;
use serde::Serialize;

use crate::{
    Refused,
    pushkin::{BodyError, Rejected, Rejections},
};

/// An answer; the length, the date and the framing are hyper's.
pub(crate) type Answer = Response<Full<Bytes>>;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=UTF-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const SERVER_NAME: HeaderValue =
    HeaderValue::from_static(concat!("Onegin/", env!("CARGO_PKG_VERSION")));
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"onegin\"");
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Seconds after which a refused client may try again.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// How the client wants to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As Pushkin answered.
    Plain,
    /// With details.
    Json,
}

impl Form {
    /// JSON only where it is asked for by name: `*/*` is what clients of Pushkin send.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let named = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|range| range.split(';').next())
            .any(|range| range.trim().eq_ignore_ascii_case("application/json"));
        if named { Self::Json } else { Self::Plain }
    }
}

/// Why a request is not answered with success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there is nothing at this path")]
    NotFound,
    #[error("this path takes {allow} only")]
    Method { allow: &'static str },
    #[error("this queue does not exist: its sender is not enabled")]
    NoSuchQueue,
    #[error("an API key is needed: HTTP Basic with the key and its secret")]
    Unauthorized,
    #[error("API keys cannot be checked now")]
    AccessUnknown,
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("the body is broken off or badly framed")]
    BrokenBody(#[source] hyper::Error),
    #[error("the body did not arrive within {seconds} s")]
    BodyTimeout { seconds: u64 },
    #[error("the body came too slowly, less than {bytes} bytes within {seconds} s")]
    BodyStalled { bytes: usize, seconds: u64 },
    #[error("the body is larger than {limit} bytes")]
    BodyTooLarge { limit: usize },
    #[error("the body's items take more than {limit} bytes")]
    TooManyItems { limit: usize },
    #[error("too many bodies are being read at once")]
    NoRoomForBody,
    #[error(transparent)]
    Queue(#[from] Refused),
    #[error("the server is shutting down")]
    ShuttingDown,
    #[error("the server failed to handle this request")]
    Panic,
}

impl Refusal {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoSuchQueue | Self::Body(_) | Self::BrokenBody(_) => StatusCode::BAD_REQUEST,
            Self::BodyTimeout { .. } | Self::BodyStalled { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge { .. } | Self::TooManyItems { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::AccessUnknown | Self::NoRoomForBody | Self::Queue(_) | Self::ShuttingDown => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Panic => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The answer in the wanted form.
    pub(crate) fn answer(&self, form: Form) -> Answer {
        let status = self.status();
        let error = with_causes(self);
        let mut answer = match form {
            Form::Json => json(status, &ErrorBody { error }),
            // Pushkin's 503 was meant to be empty; its clients look at the status only.
            Form::Plain if status == StatusCode::SERVICE_UNAVAILABLE => empty(status),
            Form::Plain => page(status, error_page(status)),
        };
        let headers = answer.headers_mut();
        if let Self::Method { allow } = self {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if let Self::Unauthorized = self {
            headers.insert(WWW_AUTHENTICATE, CHALLENGE);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        answer
    }
}

/// A JSON error answer.
#[derive(Serialize)]
pub(crate) struct ErrorBody {
    pub(crate) error: String,
}

/// A JSON answer to a POST that was taken.
#[derive(Serialize)]
struct AcceptedBody<'a> {
    accepted: usize,
    rejected: &'a [Rejected],
    /// Rejected items that are too many to list.
    #[serde(skip_serializing_if = "is_zero")]
    rejected_unlisted: usize,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands the field over by reference"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// The answer to a POST that was taken, in whole or without its bad items.
pub(crate) fn accepted(items: usize, rejected: &Rejections, form: Form) -> Answer {
    match form {
        Form::Plain => empty(StatusCode::OK),
        Form::Json => json(
            StatusCode::OK,
            &AcceptedBody {
                accepted: items,
                rejected: rejected.listed(),
                rejected_unlisted: rejected.count() - rejected.listed().len(),
            },
        ),
    }
}

/// An answer without a body, with Pushkin's headers.
pub(crate) fn empty(status: StatusCode) -> Answer {
    build(status, HTML, Bytes::new())
}

/// An answer with Pushkin's headers.
pub(crate) fn page(status: StatusCode, body: String) -> Answer {
    build(status, HTML, body.into())
}

pub(crate) fn text(status: StatusCode, body: String) -> Answer {
    build(status, TEXT, body.into())
}

pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(body).expect("texts and numbers always have a JSON form");
    build(status, JSON, body.into())
}

/// Tells the client that this is the connection's last answer.
pub(crate) fn close_after(answer: &mut Answer) {
    answer.headers_mut().insert(CONNECTION, CLOSE);
}

fn build(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(SERVER, SERVER_NAME);
    headers.insert(CONTENT_TYPE, content_type);
    answer
}

fn error_page(status: StatusCode) -> String {
    let (code, reason) = (
        status.as_str(),
        status.canonical_reason().unwrap_or_default(),
    );
    format!("<html><title>{code}: {reason}</title><body>{code}: {reason}</body></html>")
}

/// An error and what caused it, in one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, ": {error}").expect("a String takes every text");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(accept: &'static str) -> Form {
        Form::of(&HeaderMap::from_iter([(
            ACCEPT,
            HeaderValue::from_static(accept),
        )]))
    }

    #[test]
    fn json_is_answered_only_to_who_names_it() {
        assert_eq!(form("application/json"), Form::Json);
        assert_eq!(form("text/html, Application/JSON;q=0.9"), Form::Json);
        assert_eq!(form("*/*"), Form::Plain);
        assert_eq!(form("application/json-patch+json"), Form::Plain);
        assert_eq!(Form::of(&HeaderMap::new()), Form::Plain);
    }

    #[test]
    fn error_pages_are_pushkins() {
        let pages = [
            (StatusCode::BAD_REQUEST, "400: Bad Request"),
            (StatusCode::NOT_FOUND, "404: Not Found"),
            (StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed"),
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "500: Internal Server Error",
            ),
        ];
        for (status, text) in pages {
            assert_eq!(
                error_page(status),
                format!("<html><title>{text}</title><body>{text}</body></html>")
            );
        }
    }
}
