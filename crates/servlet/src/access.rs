//! Who may come in: HTTP Basic with an API key and its secret.
//!
//! In: a request's head. Out: the organisation whose key it is, or one and the same refusal for
//! a missing, malformed, unknown, wrong or disabled one. The database is asked at most every two
//! seconds for each key; while it is away, who was known lately is still known. The one rule:
//! whoever has no key can neither fill anything here, nor keep a known client waiting, nor learn
//! from the time an answer takes whether a key exists.

mod basic;

mod secret;

mod verified;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use http::HeaderMap;
use model::OrganisationId;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task,
    time::{Instant, timeout},
};
use tracing::{error, info, warn};

pub use self::secret::{NewKey, SecretError, SecretHash, check_key};
use self::{
    basic::Credentials,
    verified::{Entry, Fingerprint, Verified},
};

/// Look-ups in the database at the same time, of clients that were known a moment ago and of all
/// others: strangers wait for each other, and for nobody else.
const LOOK_UPS_AT_ONCE: u16 = 2;
/// Slow comparisons at the same time at most, 19 MiB each; fewer on small machines.
const SLOW_AT_ONCE: usize = 4;
/// How long a client waits for its turn, and then for the database.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a look-up that failed nobody looks for so long.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What is stored of a key.
#[derive(Clone, Debug)]
pub struct StoredKey {
    /// Whose.
    pub organisation: OrganisationId,
    /// What is kept of its secret.
    pub hash: SecretHash,
    /// Whether it is in force.
    pub is_enabled: bool,
}

/// What a look-up finds.
#[derive(Clone, Debug)]
pub enum Found {
    /// The key.
    Key(StoredKey),
    /// No such key.
    Unknown {
        /// Whether any other key's secret is imported, so that comparing may take long.
        imported_exist: bool,
    },
}

/// The database did not answer; why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LookUpFailed(pub String);

/// Looks a key up; may block.
pub type KeyLookUp = Arc<dyn Fn(&str) -> Result<Found, LookUpFailed> + Send + Sync>;

/// Why somebody does not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// It may be anything; nobody is told what.
    Unknown,
    /// It cannot be found out now.
    NotNow,
}

/// See the module's text. Clones share everything.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    look_up: KeyLookUp,
    verified: Verified,
    known: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    /// When the last look-up failed, until one succeeds; written by whoever looked.
    failed_at: Mutex<Option<Instant>>,
}

impl fmt::Debug for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Access")
    }
}

impl Access {
    /// How many look-ups there are at the same time, at most.
    pub const LOOK_UPS_AT_ONCE: u32 = 2 * LOOK_UPS_AT_ONCE as u32;

    /// Keys are found by `look_up`.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn new(look_up: KeyLookUp) -> Result<Self, SecretError> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Ok(Self(Arc::new(Inner {
            look_up,
            verified: Verified::new()?,
            known: Arc::new(Semaphore::new(LOOK_UPS_AT_ONCE.into())),
            strangers: Arc::new(Semaphore::new(LOOK_UPS_AT_ONCE.into())),
            slow: Arc::new(Semaphore::new((cores / 2).clamp(1, SLOW_AT_ONCE))),
            failed_at: Mutex::new(None),
        })))
    }

    /// Whose key the request has.
    pub(crate) async fn organisation(&self, headers: &HeaderMap) -> Result<OrganisationId, Denied> {
        let credentials = Credentials::of(headers).ok_or(Denied::Unknown)?;
        let fingerprint = self.0.verified.fingerprint(&credentials);
        if let Some(organisation) = self.fresh(&fingerprint) {
            return Ok(organisation);
        }
        let answer = self.ask(credentials, fingerprint).await;
        answer.or_else(|denied| match denied {
            Denied::Unknown => Err(Denied::Unknown),
            Denied::NotNow => self.known_before_the_outage(&fingerprint),
        })
    }

    fn fresh(&self, fingerprint: &Fingerprint) -> Option<OrganisationId> {
        let entry = self.0.verified.get(fingerprint)?;
        entry.is_fresh(Instant::now()).then_some(entry.organisation)
    }

    fn known_before_the_outage(&self, fingerprint: &Fingerprint) -> Result<OrganisationId, Denied> {
        let entry = self.0.verified.get(fingerprint);
        entry
            .filter(|entry| entry.outlives_an_outage(Instant::now()))
            .map(|entry| entry.organisation)
            .ok_or(Denied::NotNow)
    }

    /// Asks the database, when it is this client's turn.
    async fn ask(
        &self,
        credentials: Credentials,
        fingerprint: Fingerprint,
    ) -> Result<OrganisationId, Denied> {
        let turns = match self.0.verified.get(&fingerprint) {
            Some(_) => &self.0.known,
            None => &self.0.strangers,
        };
        let turn = turn(turns).await?;
        // Another request with the same key may have been quicker.
        if let Some(organisation) = self.fresh(&fingerprint) {
            return Ok(organisation);
        }
        let asked_at = Instant::now();
        let found = self.look_up(&credentials.key, turn).await?;
        let (key, imported_exist) = match found {
            Found::Key(key) => (Some(key), false),
            Found::Unknown { imported_exist } => (None, imported_exist),
        };
        let is_right = match &key {
            None => {
                self.compare_with_nothing(credentials, imported_exist)
                    .await?
            }
            Some(key) => {
                let before = self.0.verified.get(&fingerprint);
                // The fingerprint says that it is the secret that was right for this hash.
                before.is_some_and(|entry| entry.hash == key.hash)
                    || self.compare(credentials, &key.hash).await?
            }
        };
        match key {
            Some(key) if is_right && key.is_enabled => {
                let entry = Entry {
                    organisation: key.organisation,
                    hash: key.hash,
                    asked_at,
                };
                self.0.verified.insert(fingerprint, entry);
                Ok(key.organisation)
            }
            Some(_) | None => {
                self.0.verified.remove(&fingerprint);
                Err(Denied::Unknown)
            }
        }
    }

    async fn look_up(&self, key: &str, turn: OwnedSemaphorePermit) -> Result<Found, Denied> {
        let failed_at = *self.failed_at();
        if failed_at.is_some_and(|at| at.elapsed() < ASK_AGAIN_AFTER) {
            return Err(Denied::NotNow);
        }
        let (look_up, key) = (Arc::clone(&self.0.look_up), key.to_owned());
        let answer = task::spawn_blocking(move || {
            // Held here and not by the connection, which may end before this does.
            let _turn = turn;
            look_up(&key)
        });
        let failure = match timeout(PATIENCE, answer).await {
            Ok(Ok(Ok(found))) => {
                if self.failed_at().take().is_some() {
                    info!("API keys can be looked up again");
                }
                return Ok(found);
            }
            Ok(Ok(Err(LookUpFailed(reason)))) => reason,
            Ok(Err(failure)) => {
                error!(%failure, "looking an API key up failed");
                return Err(Denied::NotNow);
            }
            Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        if self.failed_at().replace(Instant::now()).is_none() {
            warn!(
                reason = failure,
                "API keys cannot be looked up: those that were used in the last hour go on working, others get 503"
            );
        }
        Err(Denied::NotNow)
    }

    async fn compare(&self, credentials: Credentials, hash: &SecretHash) -> Result<bool, Denied> {
        if !hash.is_slow() {
            return Ok(hash.is_of(&credentials.secret));
        }
        let hash = hash.clone();
        self.slowly(move || hash.is_of(&credentials.secret)).await
    }

    /// The work that the comparison would be if there were such a key; never right.
    async fn compare_with_nothing(
        &self,
        credentials: Credentials,
        imported_exist: bool,
    ) -> Result<bool, Denied> {
        let Credentials { key, secret } = credentials;
        if !imported_exist || secret::looks_generated(&key) {
            secret::compare_with_nothing(&secret);
            return Ok(false);
        }
        self.slowly(move || secret::compare_slowly_with_nothing(&secret))
            .await?;
        Ok(false)
    }

    async fn slowly<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Denied> {
        let turn = turn(&self.0.slow).await?;
        let done = task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.map_err(|failure| {
            error!(%failure, "comparing a secret failed");
            Denied::NotNow
        })
    }

    fn failed_at(&self) -> MutexGuard<'_, Option<Instant>> {
        let failed_at = &self.0.failed_at;
        failed_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn turn(turns: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Denied> {
    match timeout(PATIENCE, Arc::clone(turns).acquire_owned()).await {
        Ok(Ok(turn)) => Ok(turn),
        // Nobody closes it; what is left is that it took too long.
        Ok(Err(_)) | Err(_) => Err(Denied::NotNow),
    }
}

#[cfg(test)]
mod tests;
