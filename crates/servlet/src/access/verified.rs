//! Who has lately proved who he is.
//!
//! Only what has been verified comes in, so strangers cannot fill it. Credentials are kept as a
//! message authentication code under a key that is drawn at the start: not even their plain hash
//! is in memory.

use std::{collections::HashMap, time::Duration};

use model::OrganisationId;
use ring::{digest, hmac, rand::SystemRandom};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

use super::{
    basic::Credentials,
    secret::{SecretError, SecretHash},
};

/// For so long nobody is asked again: within it a disabled key stops working.
pub(super) const LIFE: Duration = Duration::from_secs(2);
/// For so long a key goes on working while the database is away: an outage must not turn into
/// refused requests, which the journal could have kept.
pub(super) const LIFE_IN_AN_OUTAGE: Duration = Duration::from_secs(60 * 60);
/// Credentials that are remembered.
const LIMIT: usize = 1024;

/// Stands for a key with its secret.
pub(super) type Fingerprint = [u8; digest::SHA256_OUTPUT_LEN];

/// See the module's text.
pub(super) struct Verified {
    fingerprinting: hmac::Key,
    /// Written by whoever has verified somebody.
    entries: Mutex<HashMap<Fingerprint, Entry>>,
}

/// What was found out about one pair of key and secret.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) organisation: OrganisationId,
    /// What the secret was compared with: while the database has the same, it is right.
    pub(super) hash: SecretHash,
    /// When the database was asked; before its answer, so that no change falls in between.
    pub(super) asked_at: Instant,
}

impl Entry {
    /// Whether nobody need be asked.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.asked_at) < LIFE
    }

    /// Whether it may be believed while nobody can be asked.
    pub(super) fn outlives_an_outage(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.asked_at) < LIFE_IN_AN_OUTAGE
    }
}

impl Verified {
    pub(super) fn new() -> Result<Self, SecretError> {
        let random = SystemRandom::new();
        Ok(Self {
            fingerprinting: hmac::Key::generate(hmac::HMAC_SHA256, &random)
                .map_err(|_| SecretError::Random)?,
            entries: Mutex::default(),
        })
    }

    pub(super) fn fingerprint(&self, credentials: &Credentials) -> Fingerprint {
        let mut context = hmac::Context::with_key(&self.fingerprinting);
        // A key has no colon, so no two pairs are the same bytes.
        for part in [&credentials.key, ":", &credentials.secret] {
            context.update(part.as_bytes());
        }
        let mut fingerprint = [0; digest::SHA256_OUTPUT_LEN];
        fingerprint.copy_from_slice(context.sign().as_ref());
        fingerprint
    }

    pub(super) fn get(&self, fingerprint: &Fingerprint) -> Option<Entry> {
        self.entries().get(fingerprint).cloned()
    }

    pub(super) fn insert(&self, fingerprint: Fingerprint, entry: Entry) {
        let mut entries = self.entries();
        if entries.len() >= LIMIT && !entries.contains_key(&fingerprint) {
            let oldest = entries.iter().min_by_key(|(_, entry)| entry.asked_at);
            if let Some(oldest) = oldest.map(|(fingerprint, _)| *fingerprint) {
                entries.remove(&oldest);
            }
        }
        entries.insert(fingerprint, entry);
    }

    pub(super) fn remove(&self, fingerprint: &Fingerprint) {
        self.entries().remove(fingerprint);
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Fingerprint, Entry>> {
        // Single calls of a map, so a panic elsewhere leaves nothing half done.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(key: &str, secret: &str) -> Credentials {
        Credentials {
            key: key.to_owned(),
            secret: secret.to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_holds_so_many_and_forgets_the_oldest() {
        let verified = Verified::new().unwrap();
        let entry = || Entry {
            organisation: OrganisationId::LEGACY,
            hash: SecretHash::of_generated("secret"),
            asked_at: Instant::now(),
        };
        let name = |number: usize| {
            let name = number.to_string();
            verified.fingerprint(&credentials(&name, "secret"))
        };
        for number in 0..LIMIT + 10 {
            verified.insert(name(number), entry());
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(verified.entries().len(), LIMIT);
        assert!(verified.get(&name(9)).is_none());
        assert!(verified.get(&name(10)).is_some());
        // One that is there already takes nobody's place.
        verified.insert(name(10), entry());
        assert!(verified.get(&name(11)).is_some());
    }

    #[test]
    fn fingerprints_are_of_the_whole_pair_and_of_this_process() {
        let verified = Verified::new().unwrap();
        let one = verified.fingerprint(&credentials("ab", "c"));
        assert_eq!(one, verified.fingerprint(&credentials("ab", "c")));
        for (key, secret) in [("a", "bc"), ("abc", ""), ("ab", "C"), ("a", "b:c")] {
            assert_ne!(one, verified.fingerprint(&credentials(key, secret)));
        }
        let other = Verified::new().unwrap();
        assert_ne!(one, other.fingerprint(&credentials("ab", "c")));
    }
}
