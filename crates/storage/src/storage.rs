//! The open database: what everyone holds who reads or writes it.
//!
//! A [`Storage`] is cheap to clone; the last one that is dropped ends the thread that follows
//! message changes and closes the connections.

use std::{
    sync::{Arc, OnceLock},
    thread::JoinHandle,
};

use crossbeam_channel::Sender;
use diesel::{RunQueryDsl as _, sql_query};
use model::{Clock, MetricName};
use prometheus_client::{metrics::counter::Counter, registry::Registry};
use tracing::{error, info};

use crate::{
    Catalogue, DatabaseConfig, StorageError,
    catalogue::{self, Current},
    config::Target,
    connection::{self, Connections, Lease, Role},
    migrate, outage,
    users::Limits,
};

/// Logins, devices, messages and cooldowns.
#[derive(Clone)]
pub struct Storage(Arc<Inner>);

struct Inner {
    connections: Connections,
    clock: Clock,
    limits: Limits,
    catalogue: Arc<Current>,
    statements: Counter,
    retries: Counter,
    /// Dropped first, which tells the watcher to end.
    stop_watcher: OnceLock<Sender<()>>,
    watcher: OnceLock<JoinHandle<()>>,
}

/// How a database is opened, beside its configuration.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// How many processor threads there are; each may hold a connection.
    pub processor_threads: u32,
    /// Whether a commit must survive a power loss.
    pub durable: bool,
    /// The time, where it is not the database's.
    pub clock: Clock,
}

impl Storage {
    /// Connects. A SQLite file is made and brought up to date by itself; a PostgreSQL schema is
    /// changed only by [`Storage::upgrade`].
    ///
    /// # Errors
    /// When the database cannot be reached or used as it is; the text says what to do.
    pub fn open(config: &DatabaseConfig, options: OpenOptions) -> Result<Self, StorageError> {
        let target = config.target().map_err(StorageError::Url)?;
        let mut first: Box<dyn catalogue::CatalogueRows> = match &target {
            Target::Sqlite(path) => {
                let upgrade = migrate::upgrade_sqlite(path)?;
                if !upgrade.applied.is_empty() {
                    info!(path = %path.display(), migrations = upgrade.applied.len(), "database upgraded");
                }
                Box::new(connection::connect_sqlite(path, Role::SqliteReader)?)
            }
            Target::Postgres(url) => {
                let mut connection = connection::connect_postgres(url)?;
                migrate::check_postgres(&mut connection)?;
                Box::new(connection)
            }
        };
        let catalogue = Arc::new(Current::new(catalogue::load(first.as_mut())?));
        drop(first);
        let statements = Counter::default();
        let size = pool_size(config, options.processor_threads);
        let connections = Connections::open(&target, size, options.durable, &statements)?;
        let (stop_watcher, stop) = crossbeam_channel::bounded(0);
        let watcher = catalogue::watch(target, Arc::clone(&catalogue), stop)?;
        Ok(Self(Arc::new(Inner {
            connections,
            clock: options.clock,
            limits: limits(config),
            catalogue,
            statements,
            retries: Counter::default(),
            stop_watcher: stop_watcher.into(),
            watcher: watcher.into(),
        })))
    }

    /// The messages in force; never waits.
    #[must_use]
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.0.catalogue.get()
    }

    /// Puts the database's messages in force now.
    ///
    /// # Errors
    /// When they cannot be read; the old ones stay in force then.
    pub fn reload_catalogue(&self) -> Result<(), StorageError> {
        let catalogue = &self.0.catalogue;
        on_connection!(self.0.connections.reader()?, connection => catalogue.reload(connection))
    }

    /// Whether the database answered when it was last looked at, a second ago or less; never
    /// waits, so that it can be asked from anywhere.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        !self.0.catalogue.is_failing()
    }

    /// Whether the thread that follows message changes runs, for whoever asks later; keeps
    /// nothing open.
    pub fn follower(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let inner = Arc::downgrade(&self.0);
        move || {
            inner.upgrade().is_none_or(|inner| {
                let watcher = inner.watcher.get();
                watcher.is_some_and(|watcher| !watcher.is_finished())
            })
        }
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// When it does not, after at most a few seconds.
    pub fn ping(&self) -> Result<(), StorageError> {
        on_connection!(self.0.connections.reader()?, connection => sql_query("SELECT 1").execute(connection))
            .map_err(StorageError::Ping)?;
        Ok(())
    }

    /// Whether an operation failed because the database cannot work now, whoever asks and whatever
    /// for, so that the same operation must be tried again for as long as that lasts. Where the
    /// error leaves it open, PostgreSQL is asked for a small write; blocks for a few seconds then
    /// at most.
    #[must_use]
    pub fn is_away(&self, error: &StorageError) -> bool {
        error.is_outage() || self.try_to_write().is_err()
    }

    fn try_to_write(&self) -> Result<(), StorageError> {
        match self.0.connections.reader()? {
            // Its texts are always the same: what they do not say is not so.
            Lease::Sqlite(_) => self.ping(),
            Lease::Postgres(mut lease) => {
                outage::try_to_write(&mut lease).map_err(StorageError::Ping)
            }
        }
    }

    /// SQL statements that callers have caused since the opening, `BEGIN` and `COMMIT` too; not
    /// those of the thread that follows message changes.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.0.statements.get()
    }

    /// Exports the counts of statements and of repeated batches.
    pub fn register_metrics(&self, registry: &mut Registry) {
        for (name, counter) in [
            (MetricName::SqlStatements, &self.0.statements),
            (MetricName::SqlRetries, &self.0.retries),
        ] {
            registry.register(name.as_str(), name.help(), counter.clone());
        }
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.0.connections
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(crate) fn limits(&self) -> Limits {
        self.0.limits
    }

    pub(crate) fn count_retry(&self) {
        self.0.retries.inc();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.stop_watcher.take());
        if let Some(Err(_)) = self.watcher.take().map(JoinHandle::join) {
            error!("the thread that followed message changes had panicked");
        }
    }
}

/// A processor thread must never wait for another one's connection; readiness and feedback have
/// one each.
fn pool_size(config: &DatabaseConfig, processor_threads: u32) -> u32 {
    let configured = config.db_pool_size.get();
    let needed = processor_threads.saturating_add(2);
    if configured < needed {
        info!(
            configured,
            raised_to = needed,
            "db_pool_size is too small for the processor threads"
        );
    }
    configured.max(needed)
}

fn limits(config: &DatabaseConfig) -> Limits {
    let count = |limit: std::num::NonZeroU32| usize::try_from(limit.get()).unwrap_or(usize::MAX);
    Limits {
        devices_per_user: count(config.max_devices_per_user),
        users_per_device: count(config.max_users_per_device),
    }
}
