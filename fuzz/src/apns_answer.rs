//! What APNs answers. Input: a line with the status, a line with `Retry-After`, the body.
//!
//! * The same answer means the same; only a 200 is a delivery; waits have an end.
//! * What goes into the notification log as Apple's word is short.
//! * A token goes only for 410, or a reason that says so.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header::RETRY_AFTER};
use model::{Outcome, UnixMs};
use sender::fuzzing::{self, Answer, TokenFate, Verdict};

use crate::fields::first_line;

/// 1994-11-06 08:49:30 UTC.
const NOW: UnixMs = UnixMs(784_111_770_000);

/// No wait is longer, whatever the service says.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// Characters of a push service's word at most.
const WORD: usize = 64;

/// Checks one input.
pub fn check(input: &[u8]) {
    let Some(answer) = answer(input) else { return };
    let verdict = fuzzing::apns_verdict(&answer, NOW);
    assert_eq!(verdict, fuzzing::apns_verdict(&answer, NOW));
    assert_eq!(
        verdict == Verdict::Delivered,
        answer.status == StatusCode::OK
    );
    check_verdict(&verdict);
    if let Verdict::End {
        token: TokenFate::Gone { since },
        ..
    } = verdict
    {
        // Written otherwise (`\u0055nregistered`, `["Unregistered",1]`) it says so as well.
        let body = String::from_utf8_lossy(&answer.body);
        let is_plain = !body.contains('\\') && !body.trim_start().starts_with('[');
        let says_so = body.contains("Unregistered") || body.contains("ExpiredToken");
        assert!(
            answer.status == StatusCode::GONE || says_so || !is_plain,
            "{body}"
        );
        assert!(
            since.is_none() || body.contains("timestamp") || !is_plain,
            "{body}"
        );
    }
    if let Some(word) = fuzzing::apns_credential_in_goaway(&answer.body) {
        let (sender::CredentialWord::Stale(word) | sender::CredentialWord::Refused(word)) = word;
        assert!(!word.is_empty() && word.chars().count() <= WORD, "{word}");
    }
}

/// An answer of the form that both targets take.
pub(crate) fn answer(input: &[u8]) -> Option<Answer> {
    let (status, rest) = first_line(input);
    let (retry_after, body) = first_line(rest);
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(retry_after)
        && !value.is_empty()
    {
        headers.insert(RETRY_AFTER, value);
    }
    Some(Answer {
        status: StatusCode::from_bytes(status).ok()?,
        headers,
        body: Bytes::copy_from_slice(body),
    })
}

/// What holds for the verdict on any answer of any service.
pub(crate) fn check_verdict(verdict: &Verdict) {
    let reason = match verdict {
        Verdict::Delivered => return,
        Verdict::Retry {
            at_least,
            reason,
            counts_a_try,
            pause_provider,
        } => {
            assert!(*at_least <= LONGEST_WAIT);
            assert_ne!(counts_a_try, pause_provider);
            reason
        }
        Verdict::End {
            outcome,
            reason,
            token,
        } => {
            assert_ne!(*outcome, Outcome::Delivered);
            let is_gone = matches!(token, TokenFate::Gone { .. });
            assert_eq!(is_gone, *outcome == Outcome::Unregistered);
            let is_suspect = matches!(token, TokenFate::Suspect);
            assert_eq!(is_suspect, *outcome == Outcome::InvalidToken);
            reason
        }
        Verdict::Elsewhere { reason }
        | Verdict::RenewCredential { reason }
        | Verdict::ProviderTrouble { reason } => reason,
    };
    assert!(reason.chars().count() <= WORD, "{reason}");
}
