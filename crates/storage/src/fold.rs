//! A batch is folded: read everything about its users, apply the items in memory, write once.
//!
//! A batch that changes no login and no blacklist only reads, and lets one conditional upsert
//! decide its cooldowns; no transaction, so a slow plan holds no lock. A batch that changes some
//! runs in one transaction: tokens are locked first, then logins in ascending order, so that two
//! batches about the same user or device follow each other. Whatever the number of items, each
//! step is one statement.

mod keys;
mod postgres;
mod sqlite;
mod statement;

use std::panic::{self, AssertUnwindSafe};

use diesel::result::{DatabaseErrorKind, Error as QueryError, QueryResult};
use model::{DeviceToken, LoginId, Platform, UnixMs};

use self::keys::Keys;
use crate::{
    Storage, StorageError,
    connection::Connections,
    cooldown::Won,
    error, outage,
    users::{Changes, Claim, DeviceRow, LoginRow, Start, Users},
};

/// How often a batch is tried that the database breaks off: two batches that wanted the same rows
/// settle it in one or two rounds.
const TRIES: u32 = 6;

/// Whose rows a batch needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// All its logins, sorted, each once.
    pub logins: Vec<LoginId>,
    /// The tokens that its login events bring.
    pub tokens: Vec<(Platform, DeviceToken)>,
    /// Whether it has login or blacklist events.
    pub writes: bool,
}

/// A batch that has been written.
#[derive(Clone, Debug)]
pub struct Folded<T> {
    /// What the plan returned the last time it ran.
    pub result: T,
    /// Which items may send.
    pub won: Won,
}

/// The statements of a fold, each one round trip; the same effects on either database.
///
/// Times are microseconds since 1970. Ids come sorted.
pub(crate) trait Statements: Sized {
    /// Runs `work` in a transaction that may write.
    fn in_transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Interrupted>,
    ) -> Result<T, Interrupted>;
    /// Waits until no other batch works on tokens of these groups; the database's time.
    fn lock_tokens(&mut self, groups: &[i32]) -> QueryResult<Option<i64>>;
    fn logins(&mut self, logins: &[i64]) -> QueryResult<Vec<LoginRow>>;
    /// Like `logins`, and nobody else changes them until the transaction's end.
    fn lock_logins(&mut self, logins: &[i64]) -> QueryResult<Vec<LoginRow>>;
    /// Active devices with their current tokens.
    fn addresses(&mut self, logins: &[i64]) -> QueryResult<Vec<DeviceRow>>;
    /// All devices of `logins`, and whoever's device has one of `tokens` now.
    fn devices(&mut self, logins: &[i64], tokens: &[&str]) -> QueryResult<Vec<DeviceRow>>;
    /// Returns how many were new.
    fn insert_logins(&mut self, rows: &[(i64, Option<i16>)]) -> QueryResult<usize>;
    /// Writes the rest; lists that are empty cost nothing.
    fn write(&mut self, changes: &Changes, now: UnixMs) -> QueryResult<()>;
    /// Decides which claims win and records it: (login, message, the winner's item id).
    fn decide(&mut self, claims: &[Claim], now: UnixMs) -> QueryResult<Vec<(i64, i32, String)>>;
    /// Records sends without a cooldown: (login, message, unix ms).
    fn record_last_sent(&mut self, pairs: &[(i64, i32, i64)]) -> QueryResult<usize>;
}

/// Why a fold stopped in the middle.
pub(crate) enum Interrupted {
    Query(QueryError),
    /// There was no connection.
    Unconnected(StorageError),
    /// A login that did not exist when it was read does now; what was decided may be wrong.
    LoginAppeared,
    /// The plan panicked; to go on after the rollback.
    Panicked(Box<dyn std::any::Any + Send>),
}

impl From<QueryError> for Interrupted {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}

impl From<StorageError> for Interrupted {
    fn from(error: StorageError) -> Self {
        Self::Unconnected(error)
    }
}

impl Interrupted {
    /// Whether the same batch, read again, can do better at once.
    fn is_worth_another_try(&self, connections: &Connections) -> bool {
        match self {
            Self::LoginAppeared => true,
            Self::Unconnected(_) | Self::Panicked(_) => false,
            // A row was deleted between the statement's look and its write.
            Self::Query(QueryError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)) => {
                true
            }
            // SQLite has waited for the file already, as long as it should.
            Self::Query(error) => match connections {
                Connections::Sqlite { .. } => false,
                Connections::Postgres(_) if outage::is_outage(error) => {
                    outage::is_worth_another_connection(error)
                }
                Connections::Postgres(_) => error::is_temporary(error),
            },
        }
    }
}

impl From<Interrupted> for StorageError {
    fn from(interrupted: Interrupted) -> Self {
        match interrupted {
            Interrupted::Query(error) => Self::Fold(error),
            Interrupted::Unconnected(error) => error,
            Interrupted::LoginAppeared => Self::Contended,
            Interrupted::Panicked(panic) => panic::resume_unwind(panic),
        }
    }
}

impl Storage {
    /// Reads the scope's users, lets `plan` ask and change them, and writes the changes.
    ///
    /// `plan` may be called again where the database breaks a batch off, so it must start afresh
    /// each time. Folding the same items again gives the same [`Won`].
    ///
    /// # Errors
    /// When the database cannot be reached or does not do it; then nothing is written, or (the
    /// connection broke during the commit) everything, and folding again is right in both cases.
    ///
    /// # Panics
    /// When `plan` does; nothing is written then.
    pub fn fold<T>(
        &self,
        scope: &Scope,
        mut plan: impl FnMut(&mut Users) -> T,
    ) -> Result<Folded<T>, StorageError> {
        let keys = Keys::of(scope);
        let mut tries = 1;
        loop {
            match self.try_fold(scope, &keys, &mut plan) {
                Ok(folded) => return Ok(folded),
                Err(interrupted)
                    if tries < TRIES && interrupted.is_worth_another_try(self.connections()) =>
                {
                    tries += 1;
                    self.count_retry();
                }
                Err(interrupted) => return Err(interrupted.into()),
            }
        }
    }

    fn try_fold<T>(
        &self,
        scope: &Scope,
        keys: &Keys,
        plan: &mut impl FnMut(&mut Users) -> T,
    ) -> Result<Folded<T>, Interrupted> {
        if scope.writes {
            return on_connection!(self.connections().writer()?, connection => {
                self.fold_writing(connection, scope, keys, plan)
            });
        }
        let (result, users) = on_connection!(self.connections().reader()?, connection => {
            self.plan_reading(connection, scope, keys, plan)
        })?;
        if users.claims().is_empty() {
            return Ok(Folded {
                result,
                won: Won::default(),
            });
        }
        let won =
            on_connection!(self.connections().writer()?, connection => decide(connection, &users))?;
        Ok(Folded { result, won })
    }

    fn start<'a>(
        &self,
        scope: &'a Scope,
        keys: &'a Keys,
        database_time_us: Option<i64>,
    ) -> Start<'a> {
        let now = self.clock().now();
        Start {
            now,
            login_time_us: database_time_us.unwrap_or(now.0.saturating_mul(1000)),
            limits: self.limits(),
            writes: scope.writes,
            logins: &scope.logins,
            tokens: &keys.tokens,
        }
    }

    /// The part of a reading fold before the cooldowns are decided.
    fn plan_reading<C: Statements, T>(
        &self,
        connection: &mut C,
        scope: &Scope,
        keys: &Keys,
        plan: &mut impl FnMut(&mut Users) -> T,
    ) -> Result<(T, Users), Interrupted> {
        let start = self.start(scope, keys, None);
        if keys.logins.is_empty() {
            let mut users = Users::new(&start, Vec::new(), Vec::new());
            return Ok((plan(&mut users), users));
        }
        let logins = connection.logins(&keys.logins)?;
        let devices = connection.addresses(&keys.logins)?;
        let mut users = Users::new(&start, logins, devices);
        let result = plan(&mut users);
        Ok((result, users))
    }

    fn fold_writing<C: Statements, T>(
        &self,
        connection: &mut C,
        scope: &Scope,
        keys: &Keys,
        plan: &mut impl FnMut(&mut Users) -> T,
    ) -> Result<Folded<T>, Interrupted> {
        connection.in_transaction(|connection| {
            let database_time_us = if keys.groups.is_empty() {
                None
            } else {
                connection.lock_tokens(&keys.groups)?
            };
            let start = self.start(scope, keys, database_time_us);
            let logins = connection.lock_logins(&keys.logins)?;
            let spellings: Vec<&str> = keys.spellings.iter().map(String::as_str).collect();
            let devices = connection.devices(&keys.logins, &spellings)?;
            let mut users = Users::new(&start, logins, devices);
            // A panic must not leave the connection inside the transaction.
            let planned = panic::catch_unwind(AssertUnwindSafe(|| plan(&mut users)));
            let result = planned.map_err(Interrupted::Panicked)?;
            let changes = users.changes();
            if !changes.new_logins.is_empty()
                && connection.insert_logins(&changes.new_logins)? < changes.new_logins.len()
            {
                return Err(Interrupted::LoginAppeared);
            }
            connection.write(&changes, users.now())?;
            let won = decide(connection, &users)?;
            Ok(Folded { result, won })
        })
    }
}

fn decide<C: Statements>(connection: &mut C, users: &Users) -> Result<Won, Interrupted> {
    if users.claims().is_empty() {
        return Ok(Won::default());
    }
    Ok(Won::of_rows(
        connection.decide(users.claims(), users.now())?,
    ))
}
