//! What FCM answers, and what follows from it.
//!
//! The word that decides is `errorCode` of the `FcmError` in `details`, else the canonical
//! `status`, else the HTTP status. A 404 without an `FcmError` is a wrong project or URL and
//! says nothing about the token.
//! <https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode>

use std::{borrow::Cow, time::Duration};

use model::{Outcome, UnixMs};
use serde::Deserialize;

use crate::{
    provider::{Answer, Reason, TokenFate, Verdict},
    retry_after::retry_after,
};

/// An unknown word is kept up to this many characters.
const REASON_LIMIT: usize = 64;

/// Google's advice for 429 without `Retry-After`.
const QUOTA_PAUSE: Duration = Duration::from_secs(60);

/// Google's words for one token that is none.
const NOT_A_TOKEN: &str = "registration token is not a valid FCM registration token";

/// `google.firebase.fcm.v1.FcmError.ErrorCode`, the canonical statuses where they stand alone,
/// and whatever may come.
#[derive(Debug, PartialEq, Eq)]
enum FcmReason {
    UnspecifiedError,
    InvalidArgument,
    Unregistered,
    SenderIdMismatch,
    QuotaExceeded,
    Unavailable,
    Internal,
    ThirdPartyAuthError,
    Unauthenticated,
    PermissionDenied,
    NotFound,
    Unknown(String),
}

impl FcmReason {
    fn parse(word: &str) -> Self {
        match word {
            "UNSPECIFIED_ERROR" => Self::UnspecifiedError,
            "INVALID_ARGUMENT" => Self::InvalidArgument,
            "UNREGISTERED" => Self::Unregistered,
            "SENDER_ID_MISMATCH" => Self::SenderIdMismatch,
            "QUOTA_EXCEEDED" | "RESOURCE_EXHAUSTED" => Self::QuotaExceeded,
            "UNAVAILABLE" => Self::Unavailable,
            "INTERNAL" => Self::Internal,
            "THIRD_PARTY_AUTH_ERROR" => Self::ThirdPartyAuthError,
            "UNAUTHENTICATED" => Self::Unauthenticated,
            "PERMISSION_DENIED" => Self::PermissionDenied,
            "NOT_FOUND" => Self::NotFound,
            other => Self::Unknown(other.chars().take(REASON_LIMIT).collect()),
        }
    }

    /// What stands for an absent word.
    fn of_status(status: u16) -> Self {
        match status {
            400 => Self::InvalidArgument,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::NotFound,
            429 => Self::QuotaExceeded,
            500 => Self::Internal,
            503 => Self::Unavailable,
            other => Self::Unknown(format!("HTTP {other}")),
        }
    }
}

#[derive(Deserialize)]
struct Body {
    error: Error,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Error {
    message: String,
    status: String,
    details: Vec<Detail>,
}

/// `FcmError`, `BadRequest` or `QuotaFailure`: each has only its own field.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Detail {
    #[serde(rename = "@type")]
    kind: String,
    error_code: String,
    field_violations: Vec<FieldViolation>,
    violations: Vec<QuotaViolation>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FieldViolation {
    field: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct QuotaViolation {
    subject: String,
    description: String,
}

impl Error {
    fn word(&self) -> Option<&str> {
        let fcm_error = self
            .details
            .iter()
            .find(|detail| detail.kind.ends_with("FcmError"))
            .map(|detail| detail.error_code.as_str());
        fcm_error
            .into_iter()
            .chain([self.status.as_str()])
            .find(|word| !word.is_empty())
    }

    fn names_the_token(&self) -> bool {
        let violation = |detail: &Detail| {
            let mut fields = detail.field_violations.iter();
            fields.any(|violation| violation.field == "message.token")
        };
        self.message.contains(NOT_A_TOKEN) || self.details.iter().any(violation)
    }

    /// Whether the quota is that of one device and not of the project.
    fn is_about_one_device(&self) -> bool {
        let mut violations = self.details.iter().flat_map(|detail| &detail.violations);
        violations.any(|violation| {
            let text = format!("{} {}", violation.subject, violation.description);
            text.to_ascii_lowercase().contains("device")
        })
    }
}

/// What `answer` means.
pub(super) fn judge(answer: &Answer, now: UnixMs) -> Verdict {
    if answer.status.is_success() {
        return Verdict::Delivered;
    }
    let status = answer.status.as_u16();
    let error = serde_json::from_slice::<Body>(&answer.body)
        .map(|body| body.error)
        .unwrap_or_default();
    let (reason, word): (_, Reason) = match error.word() {
        Some(word) => (
            FcmReason::parse(word),
            Cow::Owned(word.chars().take(REASON_LIMIT).collect()),
        ),
        None => (
            FcmReason::of_status(status),
            Cow::Owned(format!("HTTP {status}")),
        ),
    };
    let wait = retry_after(&answer.headers, now);
    match reason {
        FcmReason::InvalidArgument if error.names_the_token() => Verdict::suspect(word),
        FcmReason::InvalidArgument => Verdict::rejected(word),
        FcmReason::Unregistered => Verdict::gone(word, None),
        FcmReason::SenderIdMismatch => Verdict::suspect(word),
        FcmReason::QuotaExceeded if error.is_about_one_device() => {
            Verdict::later(word, wait.or(Some(QUOTA_PAUSE)))
        }
        FcmReason::QuotaExceeded => Verdict::Retry {
            counts_a_try: false,
            at_least: wait.unwrap_or(QUOTA_PAUSE),
            pause_provider: true,
            reason: word,
        },
        FcmReason::Unavailable | FcmReason::Internal | FcmReason::UnspecifiedError => {
            Verdict::later(word, wait)
        }
        FcmReason::Unauthenticated => Verdict::RenewCredential { reason: word },
        // Apple's or a browser's credential in the Firebase project: Android goes on without it.
        FcmReason::ThirdPartyAuthError => Verdict::End {
            outcome: Outcome::CredentialRefused,
            reason: word,
            token: TokenFate::Kept,
        },
        FcmReason::PermissionDenied | FcmReason::NotFound => {
            Verdict::ProviderTrouble { reason: word }
        }
        FcmReason::Unknown(_) => by_status(status, word, wait),
    }
}

fn by_status(status: u16, word: Reason, wait: Option<Duration>) -> Verdict {
    match status {
        401 => Verdict::RenewCredential { reason: word },
        403 | 404 => Verdict::ProviderTrouble { reason: word },
        429 => Verdict::later(word, wait.or(Some(QUOTA_PAUSE))),
        400..=499 => Verdict::rejected(word),
        _ => Verdict::later(word, wait),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};
    use serde_json::{Value, json};

    use super::*;

    fn verdict(status: u16, body: &Value) -> Verdict {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::from(body.to_string()),
        };
        judge(&answer, UnixMs(0))
    }

    fn error(canonical: &str, code: Option<&str>) -> Value {
        let details: Vec<_> = code
            .map(|code| {
                json!({
                    "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError",
                    "errorCode": code,
                })
            })
            .into_iter()
            .collect();
        json!({"error": {"code": 1, "message": "m", "status": canonical, "details": details}})
    }

    fn word(text: &str) -> Reason {
        Cow::Owned(text.to_owned())
    }

    #[test]
    fn every_error_of_google_has_its_reaction() {
        let seconds = Duration::from_secs;
        let pause = |text: &str| Verdict::Retry {
            counts_a_try: false,
            at_least: seconds(60),
            pause_provider: true,
            reason: word(text),
        };
        let trouble = |text: &str| Verdict::ProviderTrouble { reason: word(text) };
        let renew = |text: &str| Verdict::RenewCredential { reason: word(text) };
        for (status, canonical, code, expected) in [
            (
                400,
                "INVALID_ARGUMENT",
                Some("INVALID_ARGUMENT"),
                Verdict::rejected(word("INVALID_ARGUMENT")),
            ),
            (
                401,
                "UNAUTHENTICATED",
                Some("THIRD_PARTY_AUTH_ERROR"),
                Verdict::End {
                    outcome: Outcome::CredentialRefused,
                    reason: word("THIRD_PARTY_AUTH_ERROR"),
                    token: TokenFate::Kept,
                },
            ),
            (401, "UNAUTHENTICATED", None, renew("UNAUTHENTICATED")),
            (
                403,
                "PERMISSION_DENIED",
                Some("SENDER_ID_MISMATCH"),
                Verdict::suspect(word("SENDER_ID_MISMATCH")),
            ),
            (403, "PERMISSION_DENIED", None, trouble("PERMISSION_DENIED")),
            (
                404,
                "NOT_FOUND",
                Some("UNREGISTERED"),
                Verdict::gone(word("UNREGISTERED"), None),
            ),
            (404, "NOT_FOUND", None, trouble("NOT_FOUND")),
            (
                429,
                "RESOURCE_EXHAUSTED",
                Some("QUOTA_EXCEEDED"),
                pause("QUOTA_EXCEEDED"),
            ),
            (
                500,
                "INTERNAL",
                Some("INTERNAL"),
                Verdict::later(word("INTERNAL"), None),
            ),
            (
                503,
                "UNAVAILABLE",
                Some("UNAVAILABLE"),
                Verdict::later(word("UNAVAILABLE"), None),
            ),
            (
                500,
                "INTERNAL",
                Some("UNSPECIFIED_ERROR"),
                Verdict::later(word("UNSPECIFIED_ERROR"), None),
            ),
            (400, "NEW", None, Verdict::rejected(word("NEW"))),
            (403, "NEW", None, trouble("NEW")),
            (
                429,
                "NEW",
                None,
                Verdict::later(word("NEW"), Some(seconds(60))),
            ),
            (502, "NEW", None, Verdict::later(word("NEW"), None)),
        ] {
            let verdict = verdict(status, &error(canonical, code));
            assert_eq!(verdict, expected, "{status} {canonical} {code:?}");
        }
    }

    #[test]
    fn an_answer_without_the_form_is_judged_by_its_status() {
        let html = json!("<html>");
        assert_eq!(verdict(200, &json!({})), Verdict::Delivered);
        assert_eq!(verdict(503, &html), Verdict::later(word("HTTP 503"), None));
        assert_eq!(
            verdict(404, &html),
            Verdict::ProviderTrouble {
                reason: word("HTTP 404")
            }
        );
        assert_eq!(
            verdict(401, &html),
            Verdict::RenewCredential {
                reason: word("HTTP 401")
            }
        );
        assert_eq!(verdict(302, &html), Verdict::later(word("HTTP 302"), None));
    }

    #[test]
    fn an_argument_that_is_the_token_is_about_the_token() {
        let by_field = json!({"error": {"status": "INVALID_ARGUMENT", "details": [{
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "message.token", "description": "d"}],
        }]}});
        let by_words = json!({"error": {
            "status": "INVALID_ARGUMENT",
            "message": "The registration token is not a valid FCM registration token",
        }});
        for body in [by_field, by_words] {
            assert_eq!(
                verdict(400, &body),
                Verdict::suspect(word("INVALID_ARGUMENT"))
            );
        }
    }

    #[test]
    fn the_quota_of_one_device_does_not_stop_the_project() {
        let body = json!({"error": {"status": "RESOURCE_EXHAUSTED", "details": [{
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{"subject": "device:x", "description": "Device message rate exceeded"}],
        }]}});
        assert_eq!(
            verdict(429, &body),
            Verdict::later(word("RESOURCE_EXHAUSTED"), Some(QUOTA_PAUSE))
        );
    }
}
