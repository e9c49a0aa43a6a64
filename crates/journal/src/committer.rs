//! The thread that writes: takes what has gathered, writes it as one change with one fsync,
//! answers whoever waits for it.
//!
//! When a write fails (a full disk), the store is closed, its requests are refused, and it is
//! opened again no sooner than [`RETRY`] later: opening repairs, which reads the whole file. So
//! the journal recovers by itself, and a door hears "no" at once in between.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::{error, info};

use crate::{
    AppendError,
    error::StoreError,
    file_journal::Shared,
    inbox::Batch,
    store::{Change, Store},
};

/// Between two tries to open a store that failed.
const RETRY: Duration = Duration::from_secs(1);

/// Opens the store again.
pub(crate) type Reopen = Box<dyn FnMut() -> Result<Store, StoreError> + Send>;

pub(crate) struct Committer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) reopen: Reopen,
    /// How long concurrent requests are gathered.
    pub(crate) interval: Duration,
    /// The end of the last commit that had more than one request.
    crowd: Option<Instant>,
    trouble: Option<Trouble>,
}

/// The store is closed.
struct Trouble {
    cause: Arc<StoreError>,
    retry_at: Instant,
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>, reopen: Reopen, interval: Duration) -> Self {
        Self {
            shared,
            reopen,
            interval,
            crowd: None,
            trouble: None,
        }
    }

    /// Writes until the inbox is stopped and empty.
    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            let (interval, crowd) = (self.interval, self.crowd);
            let marks_from = self.trouble.as_ref().map(|trouble| trouble.retry_at);
            let gather_until = |requests: usize| {
                // A request is in company if another is here, or was a moment ago. The interval
                // begins now: whoever came during the last commit is the beginning of a crowd,
                // and a commit costs much the same for ten requests and for fifty.
                let lately = crowd.is_some_and(|crowd| crowd.elapsed() < interval);
                (requests > 1 || lately).then(|| Instant::now() + interval)
            };
            let Some(batch) = shared.inbox.next(gather_until, marks_from) else {
                break;
            };
            self.turn(batch);
            if self.trouble.is_some() && shared.inbox.is_stopped() {
                break;
            }
        }
        // Closes the file in order, which spares the next start the repair.
        shared.store.write().take();
        shared.inbox.close();
    }

    fn turn(&mut self, mut batch: Batch) {
        let requests = batch.appends.len();
        match self.ready().and_then(|()| self.write(&mut batch)) {
            Ok(()) => {
                for append in batch.appends {
                    (append.enqueue)(append.request);
                    // Whoever waited may be gone; the request is kept all the same.
                    drop(append.answer.send(Ok(())));
                }
                self.crowd = (requests > 1).then(Instant::now);
            }
            Err(cause) => self.refuse(batch, &cause),
        }
    }

    /// Sees to it that the store is open.
    fn ready(&mut self) -> Result<(), Arc<StoreError>> {
        let Some(trouble) = &self.trouble else {
            return Ok(());
        };
        if Instant::now() < trouble.retry_at {
            return Err(Arc::clone(&trouble.cause));
        }
        match self.open_again() {
            Ok(store) => {
                *self.shared.store.write() = Some(store);
                self.trouble = None;
                info!("the journal can be written again");
                Ok(())
            }
            Err(cause) => Err(self.close(cause)),
        }
    }

    fn open_again(&mut self) -> Result<Store, StoreError> {
        let next_row = self.shared.index.lock().next_row();
        catch_unwind(AssertUnwindSafe(|| {
            let store = (self.reopen)()?;
            store.cut(next_row)?;
            Ok(store)
        }))
        .unwrap_or(Err(StoreError::Panicked))
    }

    fn close(&mut self, cause: StoreError) -> Arc<StoreError> {
        self.shared.metrics.errors.inc();
        if self.trouble.is_none() {
            error!(
                error = &cause as &dyn std::error::Error,
                "the journal cannot be written, requests are refused until it can"
            );
        }
        self.shared.store.write().take();
        let cause = Arc::new(cause);
        self.trouble = Some(Trouble {
            cause: Arc::clone(&cause),
            retry_at: Instant::now() + RETRY,
        });
        cause
    }

    fn write(&mut self, batch: &mut Batch) -> Result<(), Arc<StoreError>> {
        let shared = Arc::clone(&self.shared);
        let (finishing, next_row) = {
            let index = shared.index.lock();
            (index.finishing(&batch.marks), index.next_row())
        };
        let mut change = Change {
            rows: (next_row..).zip(mem::take(&mut batch.rows)).collect(),
            ..Change::default()
        };
        finishing.write_to(&mut change);
        if change.rows.is_empty() && finishing.is_empty() {
            return Ok(());
        }
        let written = catch_unwind(AssertUnwindSafe(|| match &*shared.store.read() {
            Some(store) => store.commit(&change),
            None => Err(StoreError::Closed),
        }));
        written
            .unwrap_or(Err(StoreError::Panicked))
            .map_err(|cause| self.close(cause))?;
        shared.metrics.commits.inc();
        let mut index = shared.index.lock();
        for (key, row) in &change.rows {
            index.added(*key, row.ids(), row.charge());
        }
        let freed = index.finished(&finishing);
        shared.metrics.requests.set(to_i64(index.len() as u64));
        drop(index);
        shared.inbox.free(freed);
        shared
            .inbox
            .recycle(change.rows.into_iter().map(|(_, row)| row));
        shared.metrics.bytes.set(to_i64(shared.inbox.charged()));
        Ok(())
    }

    fn refuse(&self, batch: Batch, cause: &Arc<StoreError>) {
        self.shared.inbox.free(batch.charge);
        self.shared.inbox.put_back(batch.marks);
        let refused = batch.appends.len() as u64;
        self.shared.metrics.refused_write.inc_by(refused);
        for append in batch.appends {
            drop(append.enqueue);
            let refusal = AppendError::Write(Arc::clone(cause));
            drop(append.answer.send(Err(refusal)));
        }
    }
}

pub(crate) fn to_i64(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
