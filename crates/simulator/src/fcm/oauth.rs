//! Google's OAuth 2.0 token endpoint for service accounts (RFC 7523).
//!
//! In goes a form with a signed assertion, out comes an access token that the
//! FCM endpoint will take until its life is over. Errors have the form of
//! RFC 6749 section 5.2.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Response;
use parking_lot::Mutex;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::{clock::Clock, jwt, keys::ServiceAccount, service::json_answer};

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Some libraries (google-auth for Python) put this here whatever the file's `token_uri` says.
const GOOGLE_AUDIENCE: &str = "https://oauth2.googleapis.com/token";
const SCOPES: [&str; 2] = [
    "https://www.googleapis.com/auth/firebase.messaging",
    "https://www.googleapis.com/auth/cloud-platform",
];
/// Longest time between `iat` and `exp`.
const MAX_LIFE_SEC: i64 = 3600;
/// How far the two clocks may differ; Google names no figure.
const MAX_SKEW_SEC: i64 = 60;
/// Access tokens remembered; when it is reached, the expired ones go, or else all.
const REMEMBERED: usize = 10_000;

/// A refusal: the `error` of RFC 6749 and a sentence.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Denied(pub(super) &'static str, &'static str);

/// Issues access tokens and knows the ones it issued.
#[derive(Debug)]
pub(super) struct OAuth {
    client_email: String,
    private_key_id: String,
    token_uri: String,
    public_key: RsaPublicKeyComponents<&'static [u8]>,
    life: Duration,
    /// Expiry of each token, in seconds since 1970 of the simulator's clock.
    issued: Mutex<HashMap<String, i64>>,
}

#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    scope: String,
    aud: String,
    iat: i64,
    exp: i64,
}

impl OAuth {
    pub(super) fn new(account: &ServiceAccount, life: Duration) -> Self {
        Self {
            client_email: account.client_email.clone(),
            private_key_id: account.private_key_id.clone(),
            token_uri: account.token_uri.clone(),
            public_key: RsaPublicKeyComponents {
                n: account.modulus,
                e: account.exponent,
            },
            life,
            issued: Mutex::default(),
        }
    }

    /// Checks a token request.
    pub(super) fn check(&self, form: &[u8], clock: &Clock) -> Result<(), Denied> {
        let form =
            std::str::from_utf8(form).map_err(|_| Denied("invalid_request", "not a form"))?;
        if form_field(form, "grant_type").as_deref() != Some(GRANT_TYPE) {
            return Err(Denied(
                "unsupported_grant_type",
                "only jwt-bearer is known here",
            ));
        }
        let assertion = form_field(form, "assertion")
            .ok_or(Denied("invalid_request", "the assertion is missing"))?;
        let jwt = jwt::parse::<Claims>(&assertion).ok_or(Denied(
            "invalid_grant",
            "the assertion is no JWT with the needed claims",
        ))?;
        let signed = jwt.header.alg == "RS256"
            && jwt.header.kid.is_none_or(|kid| kid == self.private_key_id)
            && self
                .public_key
                .verify(&RSA_PKCS1_2048_8192_SHA256, jwt.signed, &jwt.signature)
                .is_ok();
        if !signed {
            return Err(Denied("invalid_grant", "the signature is not good"));
        }
        self.check_claims(&jwt.claims, clock.unix_sec(Instant::now()))
    }

    fn check_claims(&self, claims: &Claims, now: i64) -> Result<(), Denied> {
        if claims.iss != self.client_email {
            return Err(Denied("invalid_grant", "iss is no known account"));
        }
        if claims.aud != self.token_uri && claims.aud != GOOGLE_AUDIENCE {
            return Err(Denied("invalid_grant", "aud is not this endpoint"));
        }
        let age = now.saturating_sub(claims.iat);
        let life = claims.exp.saturating_sub(claims.iat);
        let left = claims.exp.saturating_sub(now);
        if age < -MAX_SKEW_SEC || left < -MAX_SKEW_SEC || !(0..=MAX_LIFE_SEC).contains(&life) {
            return Err(Denied(
                "invalid_grant",
                "iat and exp are not a window of an hour around now",
            ));
        }
        if !claims.scope.split(' ').any(|scope| SCOPES.contains(&scope)) {
            return Err(Denied(
                "invalid_scope",
                "the scope does not include messaging",
            ));
        }
        Ok(())
    }

    /// Issues an access token.
    pub(super) fn issue(&self, clock: &Clock) -> Response<Bytes> {
        let now = clock.unix_sec(Instant::now());
        let life_sec = i64::try_from(self.life.as_secs()).unwrap_or(i64::MAX);
        let token = format!("ya29.{}", Uuid::new_v4().simple());
        let mut issued = self.issued.lock();
        if issued.len() >= REMEMBERED {
            issued.retain(|_, expiry| *expiry > now);
            if issued.len() >= REMEMBERED {
                issued.clear();
            }
        }
        issued.insert(token.clone(), now.saturating_add(life_sec));
        let body = json!({ "access_token": token, "expires_in": life_sec, "token_type": "Bearer" });
        json_answer(200, body.to_string())
    }

    /// Whether an access token is in force.
    pub(super) fn is_valid(&self, token: &str, clock: &Clock) -> bool {
        let expiry = self.issued.lock().get(token).copied();
        expiry.is_some_and(|expiry| expiry > clock.unix_sec(Instant::now()))
    }

    /// Makes all access tokens invalid at once.
    pub(super) fn revoke_all(&self) {
        self.issued.lock().clear();
    }
}

impl Denied {
    pub(super) fn answer(&self) -> Response<Bytes> {
        let body = json!({ "error": self.0, "error_description": self.1 });
        json_answer(400, body.to_string())
    }
}

/// A field of an `application/x-www-form-urlencoded` body.
fn form_field(form: &str, name: &str) -> Option<String> {
    let value = form.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then_some(value)
    })?;
    let mut decoded = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hex_digit(bytes.next()?)? << 4 | hex_digit(bytes.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_fields_are_decoded() {
        let form = "a=1&grant_type=urn%3aietf+x&b=%4";
        assert_eq!(
            form_field(form, "grant_type").as_deref(),
            Some("urn:ietf x")
        );
        assert_eq!(form_field(form, "b"), None);
        assert_eq!(form_field(form, "c"), None);
    }

    #[test]
    fn claims_outside_the_window_are_denied() {
        let account = ServiceAccount {
            client_email: "sender".into(),
            private_key_id: "1".into(),
            token_uri: "https://here/token".into(),
            modulus: &[],
            exponent: &[],
            json: String::new(),
        };
        let oauth = OAuth::new(&account, Duration::from_secs(1));
        let claims = |iat, exp| Claims {
            iss: "sender".into(),
            scope: SCOPES[0].into(),
            aud: "https://here/token".into(),
            iat,
            exp,
        };
        let denied = |claims: &Claims| oauth.check_claims(claims, 10_000).err().map(|d| d.0);
        assert_eq!(denied(&claims(10_000, 13_600)), None);
        assert_eq!(denied(&claims(10_000, 13_601)), Some("invalid_grant"));
        assert_eq!(denied(&claims(10_061, 10_100)), Some("invalid_grant"));
        assert_eq!(denied(&claims(6_000, 9_939)), Some("invalid_grant"));
        let google = Claims {
            aud: GOOGLE_AUDIENCE.into(),
            ..claims(10_000, 13_600)
        };
        assert_eq!(denied(&google), None);
        let wrong = Claims {
            scope: "email".into(),
            ..claims(10_000, 13_600)
        };
        assert_eq!(denied(&wrong), Some("invalid_scope"));
        let wrong = Claims {
            iss: "other".into(),
            ..claims(10_000, 13_600)
        };
        assert_eq!(denied(&wrong), Some("invalid_grant"));
        let wrong = Claims {
            aud: "https://there/token".into(),
            ..claims(10_000, 13_600)
        };
        assert_eq!(denied(&wrong), Some("invalid_grant"));
    }
}
