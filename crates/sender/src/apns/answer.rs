//! What APNs answers, and what follows from it.
//!
//! A reason decides where there is one that we know; an unknown or absent reason leaves it to
//! the class of the status.
//! <https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns>

use std::{borrow::Cow, time::Duration};

use a2::ErrorReason as Known;
use http::StatusCode;
use model::UnixMs;
use serde::{
    Deserialize,
    de::{IntoDeserializer, value::Error as ValueError},
};

use crate::{
    provider::{Answer, CredentialWord, Reason, Verdict},
    retry_after::retry_after,
};

/// An unknown reason is kept up to this many characters.
const REASON_LIMIT: usize = 64;

/// After `TooManyProviderTokenUpdates` the whole provider is left alone for so long: the token
/// stays, and Apple's memory of the others must fade.
const AFTER_TOO_MANY_UPDATES: Duration = Duration::from_secs(60);

/// Apple's reasons: a2's, those it lacks, and whatever may come.
#[derive(Debug, PartialEq, Eq)]
enum ApnsReason {
    Known(Known),
    InvalidPushType,
    ExpiredToken,
    UnrelatedKeyIdInToken,
    BadEnvironmentKeyIdInToken,
    Unknown(String),
}

impl ApnsReason {
    fn parse(text: &str) -> Self {
        let deserializer: serde::de::value::StrDeserializer<'_, ValueError> =
            text.into_deserializer();
        match Known::deserialize(deserializer) {
            Ok(known) => Self::Known(known),
            Err(_) => match text {
                "InvalidPushType" => Self::InvalidPushType,
                "ExpiredToken" => Self::ExpiredToken,
                "UnrelatedKeyIdInToken" => Self::UnrelatedKeyIdInToken,
                "BadEnvironmentKeyIdInToken" => Self::BadEnvironmentKeyIdInToken,
                other => Self::Unknown(other.chars().take(REASON_LIMIT).collect()),
            },
        }
    }
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    reason: Cow<'a, str>,
    /// Milliseconds since 1970; beside 410 only.
    timestamp: Option<i64>,
}

/// What `answer` means.
pub(super) fn judge(answer: &Answer, now: UnixMs) -> Verdict {
    if answer.status == StatusCode::OK {
        return Verdict::Delivered;
    }
    let wait = retry_after(&answer.headers, now);
    let Ok(body) = serde_json::from_slice::<Body<'_>>(&answer.body) else {
        let word = Cow::Owned(status_text(answer.status));
        return by_status(answer.status, word, None, wait);
    };
    let reason = ApnsReason::parse(&body.reason);
    let word: Reason = Cow::Owned(body.reason.chars().take(REASON_LIMIT).collect());
    let since = body.timestamp.map(UnixMs);
    match reason {
        ApnsReason::Known(known) => by_known(known, word, since, wait),
        ApnsReason::InvalidPushType => Verdict::rejected(word),
        ApnsReason::ExpiredToken => Verdict::gone(word, since),
        ApnsReason::UnrelatedKeyIdInToken | ApnsReason::BadEnvironmentKeyIdInToken => {
            Verdict::ProviderTrouble { reason: word }
        }
        ApnsReason::Unknown(_) => by_status(answer.status, word, since, wait),
    }
}

/// What a GOAWAY's debug data says about our credential, if it says anything.
pub(super) fn credential_in_goaway(debug_data: &[u8]) -> Option<CredentialWord> {
    let body: Body<'_> = serde_json::from_slice(debug_data).ok()?;
    let reason = ApnsReason::parse(&body.reason);
    let word: Reason = Cow::Owned(body.reason.chars().take(REASON_LIMIT).collect());
    match reason {
        ApnsReason::UnrelatedKeyIdInToken | ApnsReason::BadEnvironmentKeyIdInToken => {
            Some(CredentialWord::Refused(word))
        }
        ApnsReason::Known(known) => match by_known(known, word, None, None) {
            Verdict::ProviderTrouble { reason } => Some(CredentialWord::Refused(reason)),
            Verdict::RenewCredential { reason } => Some(CredentialWord::Stale(reason)),
            Verdict::Delivered
            | Verdict::End { .. }
            | Verdict::Retry { .. }
            | Verdict::Elsewhere { .. } => None,
        },
        ApnsReason::InvalidPushType | ApnsReason::ExpiredToken | ApnsReason::Unknown(_) => None,
    }
}

fn by_known(reason: Known, word: Reason, since: Option<UnixMs>, wait: Option<Duration>) -> Verdict {
    match reason {
        // Our bugs, or a message that cannot work: this notification ends, nothing else is said.
        Known::BadCollapseId
        | Known::BadExpirationDate
        | Known::BadMessageId
        | Known::BadPriority
        | Known::DuplicateHeaders
        | Known::MissingDeviceToken
        | Known::PayloadEmpty
        | Known::PayloadTooLarge
        | Known::BadPath
        | Known::MethodNotAllowed => Verdict::rejected(word),
        // Also the answer to every token of the other environment or another app: guarded.
        Known::BadDeviceToken | Known::DeviceTokenNotForTopic => Verdict::suspect(word),
        Known::Unregistered => Verdict::gone(word, since),
        Known::BadTopic
        | Known::MissingTopic
        | Known::TopicDisallowed
        | Known::BadCertificate
        | Known::BadCertificateEnvironment
        | Known::Forbidden
        | Known::InvalidProviderToken
        | Known::MissingProviderToken => Verdict::ProviderTrouble { reason: word },
        Known::ExpiredProviderToken => Verdict::RenewCredential { reason: word },
        Known::TooManyProviderTokenUpdates => Verdict::Retry {
            counts_a_try: false,
            at_least: wait.unwrap_or_default().max(AFTER_TOO_MANY_UPDATES),
            pause_provider: true,
            reason: word,
        },
        // Too many to this one device: only its notification waits.
        Known::TooManyRequests | Known::InternalServerError | Known::ServiceUnavailable => {
            Verdict::later(word, wait)
        }
        Known::IdleTimeout | Known::Shutdown => Verdict::Elsewhere { reason: word },
    }
}

fn by_status(
    status: StatusCode,
    word: Reason,
    since: Option<UnixMs>,
    wait: Option<Duration>,
) -> Verdict {
    match status.as_u16() {
        403 => Verdict::ProviderTrouble { reason: word },
        // The status is reserved for tokens that are no longer active.
        410 => Verdict::gone(word, since),
        429 => Verdict::later(word, wait),
        400..=499 => Verdict::rejected(word),
        _ => Verdict::later(word, wait),
    }
}

fn status_text(status: StatusCode) -> String {
    format!("HTTP {}", status.as_u16())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};
    use model::Outcome;

    use super::*;
    use crate::provider::TokenFate;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    fn verdict(status: u16, reason: &str) -> Verdict {
        judge(
            &answer(status, &format!(r#"{{"reason":"{reason}"}}"#)),
            UnixMs(0),
        )
    }

    /// Verdicts without their reason, one word each.
    fn kind(verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Delivered => "delivered",
            Verdict::End {
                outcome: Outcome::Rejected,
                token: TokenFate::Kept,
                ..
            } => "rejected",
            Verdict::End {
                outcome: Outcome::InvalidToken,
                token: TokenFate::Suspect,
                ..
            } => "suspect",
            Verdict::End {
                outcome: Outcome::Unregistered,
                token: TokenFate::Gone { .. },
                ..
            } => "gone",
            Verdict::End { .. } => "another end",
            Verdict::Retry {
                counts_a_try: true,
                pause_provider: false,
                ..
            } => "later",
            Verdict::Retry {
                counts_a_try: false,
                pause_provider: true,
                ..
            } => "pause",
            Verdict::Retry { .. } => "another retry",
            Verdict::Elsewhere { .. } => "elsewhere",
            Verdict::RenewCredential { .. } => "renew",
            Verdict::ProviderTrouble { .. } => "trouble",
        }
    }

    #[test]
    fn every_reason_of_apple_has_its_reaction() {
        for (status, reason, expected) in [
            (400, "BadCollapseId", "rejected"),
            (400, "BadDeviceToken", "suspect"),
            (400, "BadExpirationDate", "rejected"),
            (400, "BadMessageId", "rejected"),
            (400, "BadPriority", "rejected"),
            (400, "BadTopic", "trouble"),
            (400, "DeviceTokenNotForTopic", "suspect"),
            (400, "DuplicateHeaders", "rejected"),
            (400, "IdleTimeout", "elsewhere"),
            (400, "InvalidPushType", "rejected"),
            (400, "MissingDeviceToken", "rejected"),
            (400, "MissingTopic", "trouble"),
            (400, "PayloadEmpty", "rejected"),
            (400, "TopicDisallowed", "trouble"),
            (403, "BadCertificate", "trouble"),
            (403, "BadCertificateEnvironment", "trouble"),
            (403, "ExpiredProviderToken", "renew"),
            (403, "Forbidden", "trouble"),
            (403, "InvalidProviderToken", "trouble"),
            (403, "MissingProviderToken", "trouble"),
            (403, "UnrelatedKeyIdInToken", "trouble"),
            (403, "BadEnvironmentKeyIdInToken", "trouble"),
            (404, "BadPath", "rejected"),
            (405, "MethodNotAllowed", "rejected"),
            (410, "ExpiredToken", "gone"),
            (410, "Unregistered", "gone"),
            (413, "PayloadTooLarge", "rejected"),
            (429, "TooManyProviderTokenUpdates", "pause"),
            (429, "TooManyRequests", "later"),
            (500, "InternalServerError", "later"),
            (503, "ServiceUnavailable", "later"),
            (503, "Shutdown", "elsewhere"),
            (400, "SomethingNew", "rejected"),
            (403, "SomethingNew", "trouble"),
            (410, "SomethingNew", "gone"),
            (418, "SomethingNew", "rejected"),
            (429, "SomethingNew", "later"),
            (503, "SomethingNew", "later"),
        ] {
            let verdict = verdict(status, reason);
            assert_eq!(kind(&verdict), expected, "{status} {reason}");
        }
    }

    #[test]
    fn only_200_is_a_delivery() {
        assert_eq!(judge(&answer(200, ""), UnixMs(0)), Verdict::Delivered);
        assert_eq!(kind(&judge(&answer(302, ""), UnixMs(0))), "later");
        assert_eq!(kind(&judge(&answer(500, "<html>"), UnixMs(0))), "later");
    }

    #[test]
    fn unregistered_keeps_apples_time() {
        let body = r#"{"reason":"Unregistered","timestamp":1629000000123}"#;
        assert_eq!(
            judge(&answer(410, body), UnixMs(0)),
            Verdict::End {
                outcome: Outcome::Unregistered,
                reason: "Unregistered".into(),
                token: TokenFate::Gone {
                    since: Some(UnixMs(1_629_000_000_123))
                },
            }
        );
    }

    #[test]
    fn retry_after_is_honoured() {
        let mut answer = answer(503, r#"{"reason":"ServiceUnavailable"}"#);
        answer
            .headers
            .insert(RETRY_AFTER, HeaderValue::from_static("7"));
        let Verdict::Retry { at_least, .. } = judge(&answer, UnixMs(0)) else {
            panic!("it should be retried");
        };
        assert_eq!(at_least, Duration::from_secs(7));
    }

    #[test]
    fn a_long_unknown_reason_is_cut() {
        let Verdict::End { reason, .. } = verdict(400, &"x".repeat(5000)) else {
            panic!("it should end");
        };
        assert_eq!(reason.len(), REASON_LIMIT);
    }

    #[test]
    fn a_goaway_says_whether_the_credential_is_refused() {
        let word =
            |reason: &str| credential_in_goaway(format!(r#"{{"reason":"{reason}"}}"#).as_bytes());
        let says =
            |reason: &str| word(reason) == Some(CredentialWord::Refused(reason.to_owned().into()));
        for reason in [
            "BadCertificate",
            "InvalidProviderToken",
            "UnrelatedKeyIdInToken",
        ] {
            assert!(says(reason), "{reason}");
        }
        for reason in ["Shutdown", "IdleTimeout", "SomethingNew"] {
            assert!(!says(reason), "{reason}");
        }
        assert_eq!(
            word("ExpiredProviderToken"),
            Some(CredentialWord::Stale("ExpiredProviderToken".into()))
        );
        assert_eq!(credential_in_goaway(b"not json"), None);
    }
}
