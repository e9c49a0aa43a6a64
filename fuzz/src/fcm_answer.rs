//! What FCM and Google's token endpoint answer. Input: a line with the status, a line with
//! `Retry-After`, the body.
//!
//! * The same answer means the same; only a 2xx is a delivery; waits have an end; Google's word
//!   is short in the notification log.
//! * A token goes only where the body says `UNREGISTERED`: a bare 404 is a wrong project.
//! * An access token is never shown, and is granted with a 2xx only.

use model::UnixMs;
use sender::fuzzing::{self, TokenFate, Verdict};

use crate::apns_answer::{answer, check_verdict};

/// 1994-11-06 08:49:30 UTC.
const NOW: UnixMs = UnixMs(784_111_770_000);

/// Checks one input.
pub fn check(input: &[u8]) {
    let Some(answer) = answer(input) else { return };
    let verdict = fuzzing::fcm_verdict(&answer, NOW);
    assert_eq!(verdict, fuzzing::fcm_verdict(&answer, NOW));
    assert_eq!(verdict == Verdict::Delivered, answer.status.is_success());
    check_verdict(&verdict);
    let body = String::from_utf8_lossy(&answer.body);
    if let Verdict::End {
        token: TokenFate::Gone { .. },
        ..
    } = verdict
    {
        // Escaped (`\u0055NREGISTERED`) it says so as well.
        assert!(
            body.contains("UNREGISTERED") || body.contains('\\'),
            "{body}"
        );
    }
    match fuzzing::access_token(answer.status, &answer.body) {
        Ok((header, life)) => {
            assert!(answer.status.is_success() && header.is_sensitive());
            assert!(header.as_bytes().starts_with(b"Bearer "));
            assert_eq!(format!("{header:?}"), "Sensitive");
            // As the renewal is planned: nine tenths of it at most.
            assert!(life.mul_f64(0.9) <= life);
        }
        Err(error) => {
            // The status is shown and one word of 64 characters; no answer is repeated.
            assert!(error.chars().count() <= 150, "{error}");
        }
    }
}
