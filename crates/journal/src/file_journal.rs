//! The journal in a folder of its own: opening, the handle, stopping.

use std::{
    cell::RefCell,
    fmt,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError, bounded};
use model::{Ended, Request, RequestId};
use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;
use tracing::{error, warn};

use crate::{
    AppendError, Journal, JournalConfig, Marks, Metrics, OpenError, ReadError, Unfinished,
    committer::{Committer, Reopen, to_i64},
    error::StoreError,
    folder::Folder,
    inbox::{self, Inbox},
    index::Index,
    journal::{Append, Enqueue},
    row,
    store::Store,
};

/// The journal on disk. Closed when dropped, which waits for the last commit.
pub struct FileJournal {
    shared: Arc<Shared>,
    /// Disconnected when the commit thread has ended; nothing is ever sent.
    ended: Receiver<()>,
}

/// Memory that each thread keeps for the stored form of the next request.
const STORED_BYTES: usize = 256 << 10;

thread_local! {
    /// The stored form of a request on its way into a row. Encoded outside of the inbox's lock,
    /// copied within.
    static STORED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What handles, the commit thread and [`Unfinished`] share.
pub(crate) struct Shared {
    pub(crate) inbox: Inbox,
    /// Written by the commit thread; read by whoever reads requests back.
    pub(crate) index: Mutex<Index>,
    /// `None` after a failed write until it is opened again, and at the end. Replaced by the
    /// commit thread.
    pub(crate) store: RwLock<Option<Store>>,
    pub(crate) metrics: Metrics,
}

impl FileJournal {
    /// Opens or creates the journal, and gives what an earlier run has left unfinished. That is
    /// to be processed before the first [`Journal::append`], to keep the order.
    ///
    /// A file whose checksums are wrong is kept under another name and an empty one begun: the
    /// daemon starts, and an error in the log says where the damaged file is.
    ///
    /// # Errors
    /// When another daemon uses the folder, or it cannot be written or read.
    pub fn open(config: &JournalConfig, metrics: Metrics) -> Result<(Self, Unfinished), OpenError> {
        let folder = Folder::lock(&config.journal_path)?;
        let store = match folder.open() {
            Err(cause) if cause.is_damage() => {
                put_aside(&folder, &cause)?;
                folder.open()
            }
            opened => opened,
        };
        let failed = |cause| OpenError::Store {
            path: folder.store_path(),
            cause,
        };
        let store = store.map_err(failed)?;
        metrics.kept_aside.set(to_i64(folder.aside() as u64));
        // The lock goes with the closure into the thread: the folder is free when that has ended.
        let path = folder.store_path();
        let reopen: Reopen = Box::new(move || folder.open());
        Self::start(config, metrics, store, reopen)
            .map_err(|cause| OpenError::Store { path, cause })
    }

    /// Reads what `store` holds and starts the commit thread.
    pub(crate) fn start(
        config: &JournalConfig,
        metrics: Metrics,
        store: Store,
        reopen: Reopen,
    ) -> Result<(Self, Unfinished), StoreError> {
        let (index, damaged) = store.index()?;
        for row in damaged {
            warn!(row, "a row of the journal cannot be read, it is kept aside");
            metrics.kept_aside.inc();
        }
        let limit = u64::from(config.journal_limit_mb.get()) << 20;
        let charged = index.charged();
        metrics.requests.set(to_i64(index.len() as u64));
        metrics.bytes.set(to_i64(charged));
        let rows = index.rows();
        let shared = Arc::new(Shared {
            inbox: Inbox::new(limit, charged),
            index: Mutex::new(index),
            store: RwLock::new(Some(store)),
            metrics,
        });
        let interval = Duration::from_millis(config.journal_commit_interval_ms.into());
        let committer = Committer::new(Arc::clone(&shared), reopen, interval);
        let (ending, ended) = bounded::<()>(0);
        thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                committer.run();
                drop(ending);
            })
            .expect("the operating system gives a thread at start");
        let unfinished = Unfinished::new(Arc::clone(&shared), rows);
        Ok((Self { shared, ended }, unfinished))
    }

    /// Unfinished requests.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.shared.index.lock().len()
    }

    /// Whether the store can be written, as far as is known.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.shared.store.read().is_some()
    }

    /// Whether the commit thread runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.ended.try_recv() == Err(TryRecvError::Empty)
    }

    /// Disk space that stored and arriving requests are charged with.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.inbox.charged()
    }

    /// Takes nothing more, writes what has arrived, and closes the file. Returns false when
    /// `deadline` comes first.
    #[must_use]
    pub fn stop(&self, deadline: Instant) -> bool {
        self.shared.inbox.stop();
        self.ended.recv_deadline(deadline) != Err(RecvTimeoutError::Timeout)
    }
}

/// Puts a damaged store aside, and says so.
fn put_aside(folder: &Folder, cause: &StoreError) -> Result<(), OpenError> {
    let to = folder.put_aside().map_err(|cause| OpenError::File {
        path: folder.store_path(),
        cause,
    })?;
    error!(
        error = cause as &dyn std::error::Error,
        kept_as = %to.display(),
        "the journal is damaged and kept aside; what it held is not processed"
    );
    Ok(())
}

impl Journal for FileJournal {
    fn enter(&self, request: Request, enqueue: Enqueue) -> Append {
        let (answer, waiting) = oneshot::channel();
        let entered = STORED.with_borrow_mut(|stored| {
            request.write_to(stored);
            let append = inbox::Append {
                request,
                enqueue,
                answer,
            };
            let entered = self.shared.inbox.append(append, stored);
            stored.clear();
            stored.shrink_to(STORED_BYTES);
            entered
        });
        match entered {
            Ok(()) => Append::waiting(waiting),
            Err(refused) => {
                if matches!(refused, AppendError::Full) {
                    self.shared.metrics.refused_full.inc();
                }
                Append::known(Err(refused))
            }
        }
    }

    fn record(&self, marks: Marks) {
        if !marks.is_empty() {
            self.shared.inbox.record(marks);
        }
    }

    fn read(&self, id: RequestId) -> Result<Option<Request>, ReadError> {
        let Some(position) = self.shared.index.lock().position(id) else {
            return Ok(None);
        };
        let (mut stored, mut ended) = (None, Ended::default());
        let key = position.row;
        let store = self.shared.store.read();
        store
            .as_ref()
            .ok_or(StoreError::Closed)
            .and_then(|store| {
                store.read(key..=key, |_, row| {
                    let mut requests = row::requests(row).unwrap_or_default();
                    let slot = usize::from(position.slot);
                    stored = (slot < requests.len()).then(|| requests.swap_remove(slot).1.to_vec());
                    false
                })?;
                ended = store.ended(position)?;
                Ok(())
            })
            .map_err(ReadError::Store)?;
        drop(store);
        // Finished since it was looked up: gone is gone.
        let Some(bytes) = stored else {
            return Ok(None);
        };
        match Request::from_bytes(&bytes) {
            Ok(request) => Ok(Some(Request { ended, ..request })),
            Err(cause) => Err(ReadError::Request { id, cause }),
        }
    }
}

impl Drop for FileJournal {
    fn drop(&mut self) {
        self.shared.inbox.stop();
        // Disconnects when the thread has ended.
        let _disconnected = self.ended.recv();
    }
}

impl fmt::Debug for FileJournal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FileJournal")
            .field("depth", &self.depth())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl FileJournal {
    /// Writes that failed so far.
    pub(crate) fn failed_writes(&self) -> u64 {
        self.shared.metrics.errors.get()
    }
}
