//! Provider tokens: the ES256 JWT in `authorization`.
//!
//! In goes the header's value; out comes whether Apple would take it. A
//! signature is verified once per distinct token and remembered, as the real
//! service must do too: verifying costs more than everything else about a
//! push. The age is judged every time, so a remembered token grows old.
//!
//! Facts: Apple, "Establishing a token-based connection to APNs".

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use http::HeaderValue;
use parking_lot::Mutex;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde::Deserialize;

use super::check::Reason;
use crate::{clock::Clock, jwt, keys::ApnsKey};

/// A token older than this is refused.
const MAX_AGE_SEC: i64 = 60 * 60;
/// How far the provider's clock may be ahead; Apple names no figure.
const MAX_SKEW_SEC: i64 = 60;
/// Distinct tokens remembered; beyond it, all are forgotten and verified anew.
const REMEMBERED: usize = 1024;

/// Judges the provider tokens of one key.
#[derive(Debug)]
pub(crate) struct TokenCheck {
    public_key: UnparsedPublicKey<Vec<u8>>,
    key_id: String,
    team_id: String,
    min_update_interval: Option<Duration>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// `iat` of every token with a good signature, or why it is refused.
    verdicts: HashMap<HeaderValue, Result<i64, Reason>>,
    /// When a new good token was last accepted.
    updated: Option<Instant>,
}

#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    iat: i64,
}

impl TokenCheck {
    pub(crate) fn new(
        key: &ApnsKey,
        public_key: Vec<u8>,
        min_update_interval: Option<Duration>,
    ) -> Self {
        Self {
            public_key: UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public_key),
            key_id: key.key_id.clone(),
            team_id: key.team_id.clone(),
            min_update_interval,
            seen: Mutex::default(),
        }
    }

    /// Whether the request that carries `authorization` may push.
    pub(crate) fn check(
        &self,
        authorization: Option<&HeaderValue>,
        clock: &Clock,
    ) -> Result<(), Reason> {
        let value = authorization.ok_or(Reason::MissingProviderToken)?;
        let now = Instant::now();
        let issued_at = self.issued_at(value, now)?;
        let age = clock.unix_sec(now).saturating_sub(issued_at);
        if age > MAX_AGE_SEC {
            return Err(Reason::ExpiredProviderToken);
        }
        if age < -MAX_SKEW_SEC {
            return Err(Reason::InvalidProviderToken);
        }
        Ok(())
    }

    fn issued_at(&self, value: &HeaderValue, now: Instant) -> Result<i64, Reason> {
        let mut seen = self.seen.lock();
        if let Some(verdict) = seen.verdicts.get(value) {
            return *verdict;
        }
        let verdict = self.verify(value);
        if verdict.is_ok() {
            let too_soon = self.min_update_interval.is_some_and(|interval| {
                seen.updated
                    .is_some_and(|last| now.duration_since(last) < interval)
            });
            if too_soon {
                // Not remembered: the same token is good once the interval is over.
                return Err(Reason::TooManyProviderTokenUpdates);
            }
            seen.updated = Some(now);
        }
        if seen.verdicts.len() >= REMEMBERED {
            seen.verdicts.clear();
        }
        seen.verdicts.insert(value.clone(), verdict);
        verdict
    }

    fn verify(&self, value: &HeaderValue) -> Result<i64, Reason> {
        let text = value.to_str().map_err(|_| Reason::InvalidProviderToken)?;
        let (scheme, token) = text.split_once(' ').ok_or(Reason::InvalidProviderToken)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Reason::MissingProviderToken);
        }
        let jwt = jwt::parse::<Claims>(token).ok_or(Reason::InvalidProviderToken)?;
        let fits = jwt.header.alg == "ES256"
            && jwt.header.kid.as_deref() == Some(&self.key_id)
            && jwt.claims.iss == self.team_id
            && self.public_key.verify(jwt.signed, &jwt.signature).is_ok();
        if fits {
            Ok(jwt.claims.iat)
        } else {
            Err(Reason::InvalidProviderToken)
        }
    }
}
