//! Google's form of a refusal: `{"error":{"code","message","status","details"}}`.
//!
//! `details` holds typed objects: `FcmError` with FCM's own `errorCode`,
//! `BadRequest` with the offending field, or `QuotaFailure`. An answer without
//! `FcmError` is about the caller and not about the device, so nothing here
//! adds one where Google does not.
//!
//! Facts: Firebase, enumeration `ErrorCode` of the FCM REST API; Google API design guide,
//! AIP-193 (the canonical codes and their HTTP statuses).

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use serde_json::{Value, json};

use crate::{
    script::Refusal,
    service::{json_answer, retry_after},
};

/// What is wrong with which field of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// As Google writes it: `message.android.ttl`; "" for the body as a whole.
    pub(super) field: String,
    pub(super) description: String,
}

/// Why a request is refused without the script's doing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No path of this API.
    NoSuchPath,
    /// No access token, or none that is in force.
    Unauthenticated,
    /// A good access token, but for another project.
    WrongProject,
    /// The body is no message.
    Field(Violation),
    /// The device token can be none.
    NotAToken,
    /// More data than a message may carry.
    TooBig,
}

impl Fault {
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::NoSuchPath => 404,
            Self::Unauthenticated => 401,
            Self::WrongProject => 403,
            Self::Field(_) | Self::NotAToken | Self::TooBig => 400,
        }
    }

    /// `errorCode` where the answer has one, else the canonical status.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::NotAToken | Self::TooBig => "INVALID_ARGUMENT",
            Self::NoSuchPath | Self::Unauthenticated | Self::WrongProject | Self::Field(_) => {
                canonical(self.status())
            }
        }
    }

    pub(super) fn answer(&self) -> Response<Bytes> {
        match self {
            Self::NoSuchPath => {
                let mut response = json_answer(404, "<title>Error 404 (Not Found)</title>\n");
                let html = HeaderValue::from_static("text/html; charset=UTF-8");
                response.headers_mut().insert(header::CONTENT_TYPE, html);
                response
            }
            Self::Unauthenticated => {
                let mut response =
                    error(401, "the access token is missing, unknown or expired", &[]);
                let realm =
                    HeaderValue::from_static("Bearer realm=\"https://accounts.google.com/\"");
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, realm);
                response
            }
            Self::WrongProject => error(
                403,
                "permission cloudmessaging.messages.create is denied on this project",
                &[],
            ),
            Self::Field(violation) => error(400, &violation.description, &[bad_request(violation)]),
            Self::NotAToken => error(
                400,
                // Clients look for these words: there is no other sign that
                // the token is at fault and not the message.
                "The registration token is not a valid FCM registration token",
                &[fcm_error("INVALID_ARGUMENT")],
            ),
            Self::TooBig => error(
                400,
                "the message is too big",
                &[
                    fcm_error("INVALID_ARGUMENT"),
                    bad_request(&Violation {
                        field: "message.data".into(),
                        description: "the message is too big".into(),
                    }),
                ],
            ),
        }
    }
}

/// A scripted refusal; its reason becomes the `errorCode`.
pub(super) fn scripted(refusal: &Refusal, now: SystemTime) -> Response<Bytes> {
    let mut response = match (&refusal.body, refusal.reason.as_str()) {
        (Some(body), _) => json_answer(refusal.status, body.clone()),
        (None, "") => error(refusal.status, "scripted", &[]),
        (None, "QUOTA_EXCEEDED") => error(
            refusal.status,
            "scripted",
            &[fcm_error("QUOTA_EXCEEDED"), quota_failure()],
        ),
        (None, code) => error(refusal.status, "scripted", &[fcm_error(code)]),
    };
    if let Some(after) = refusal.retry_after {
        let value = retry_after(after, now);
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

fn error(code: u16, message: &str, details: &[Value]) -> Response<Bytes> {
    let mut error = json!({ "code": code, "message": message, "status": canonical(code) });
    if !details.is_empty() {
        error["details"] = details.into();
    }
    json_answer(code, format!("{:#}\n", json!({ "error": error })))
}

/// The canonical code that goes with an HTTP status.
fn canonical(status: u16) -> &'static str {
    match status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        500 => "INTERNAL",
        501 => "UNIMPLEMENTED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "UNKNOWN",
    }
}

fn fcm_error(code: &str) -> Value {
    json!({ "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code })
}

fn bad_request(violation: &Violation) -> Value {
    json!({
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{ "field": violation.field, "description": violation.description }],
    })
}

fn quota_failure() -> Value {
    json!({
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{ "subject": "project", "description": "message rate" }],
    })
}
