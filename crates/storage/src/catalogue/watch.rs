//! The catalogue in force, and the thread that keeps it so.
//!
//! The thread asks for the version on a connection of its own and puts a new [`Catalogue`] in the
//! old one's place; readers never wait. A database that is away leaves the last one in force.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use parking_lot::Mutex;
use tracing::{info, warn};

use super::{Catalogue, CatalogueRows, load};
use crate::{
    StorageError,
    config::Target,
    connection::{self, Role},
};

/// How often changes of messages are looked for. A change is in force within two seconds: one to
/// be seen, and what is left to be read.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The catalogue in force.
pub(crate) struct Current {
    catalogue: ArcSwap<Catalogue>,
    /// Held while one is read and put in place, so that an older one never replaces a newer one.
    loading: Mutex<()>,
    /// Whether the last look at the version failed; written by the watcher.
    is_failing: AtomicBool,
}

impl Current {
    pub(crate) fn new(catalogue: Catalogue) -> Self {
        Self {
            catalogue: ArcSwap::from_pointee(catalogue),
            loading: Mutex::new(()),
            is_failing: AtomicBool::new(false),
        }
    }

    /// Whether the last look at the database failed; never waits.
    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    pub(crate) fn get(&self) -> Arc<Catalogue> {
        self.catalogue.load_full()
    }

    pub(crate) fn reload(&self, connection: &mut dyn CatalogueRows) -> Result<(), StorageError> {
        let _loading = self.loading.lock();
        self.catalogue.store(Arc::new(load(connection)?));
        Ok(())
    }
}

/// Starts the thread that follows changes until `stop`'s sender is dropped.
pub(crate) fn watch(
    target: Target,
    current: Arc<Current>,
    stop: Receiver<()>,
) -> Result<thread::JoinHandle<()>, StorageError> {
    let watcher = Watcher {
        target,
        current,
        connection: None,
    };
    thread::Builder::new()
        .name("catalogue".into())
        .spawn(move || watcher.run(&stop))
        .map_err(StorageError::Watch)
}

struct Watcher {
    target: Target,
    current: Arc<Current>,
    /// Its own, outside the pools: readers that wait for a connection do not make messages late.
    connection: Option<Box<dyn CatalogueRows + Send>>,
}

impl Watcher {
    fn run(mut self, stop: &Receiver<()>) {
        while let Err(RecvTimeoutError::Timeout) = stop.recv_timeout(POLL_INTERVAL) {
            let look = self.look();
            let is_failing = &self.current.is_failing;
            let was_failing = is_failing.swap(look.is_err(), Ordering::Relaxed);
            match look {
                Ok(()) if was_failing => info!("message changes are followed again"),
                Ok(()) => {}
                Err(error) => {
                    if !was_failing {
                        warn!(
                            error = &error as &dyn std::error::Error,
                            "cannot follow message changes, trying on"
                        );
                    }
                    self.connection = None;
                }
            }
        }
    }

    fn look(&mut self) -> Result<(), StorageError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(connect(&self.target)?),
        };
        let version = connection.version().map_err(StorageError::LoadCatalogue)?;
        if version != self.current.get().version() {
            self.current.reload(connection.as_mut())?;
            info!(version, "messages have changed and are in force");
        }
        Ok(())
    }
}

fn connect(target: &Target) -> Result<Box<dyn CatalogueRows + Send>, StorageError> {
    Ok(match target {
        Target::Sqlite(path) => Box::new(connection::connect_sqlite(path, Role::SqliteReader)?),
        Target::Postgres(url) => Box::new(connection::connect_postgres(url)?),
    })
}
