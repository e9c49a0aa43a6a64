//! The thread that writes: takes what has gathered, writes it as one change with one fsync,
//! answers whoever waits for it.
//!
//! When a write fails (a full disk), the store is closed, its requests are refused, and it is
//! opened again no sooner than [`RETRY`] later: opening repairs, which reads the whole file. So
//! the journal recovers by itself, and a door hears "no" at once in between.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use model::RequestId;
use tracing::{error, info};

use crate::{
    AppendError,
    error::StoreError,
    file_journal::Shared,
    inbox::{Append, Batch},
    row::Row,
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

/// Requests of one row, to be entered into the index once it is written.
struct Entered {
    ids: Vec<RequestId>,
    charge: u64,
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
            let gather_until = |requests: usize, since: Instant| {
                // A request is in company if another is here, or was a moment ago.
                let lately = crowd.is_some_and(|crowd| crowd.elapsed() < interval);
                (requests > 1 || lately).then(|| since + interval)
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

    fn turn(&mut self, batch: Batch) {
        let requests = batch.appends.len();
        match self.ready().and_then(|()| self.write(&batch)) {
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

    fn write(&mut self, batch: &Batch) -> Result<(), Arc<StoreError>> {
        let shared = Arc::clone(&self.shared);
        let (finishing, next_row) = {
            let index = shared.index.lock();
            (index.finishing(&batch.marks), index.next_row())
        };
        let (mut change, entered) = pack(&batch.appends, next_row);
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
        for ((key, _), entered) in change.rows.iter().zip(&entered) {
            index.added(*key, &entered.ids, entered.charge);
        }
        let freed = index.finished(&finishing);
        shared.metrics.requests.set(to_i64(index.len() as u64));
        drop(index);
        shared.inbox.free(freed);
        shared.metrics.bytes.set(to_i64(shared.inbox.charged()));
        Ok(())
    }

    fn refuse(&self, batch: Batch, cause: &Arc<StoreError>) {
        let charged = batch.appends.iter().map(|append| append.charge).sum();
        self.shared.inbox.free(charged);
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

/// Puts requests into rows, in order.
fn pack(appends: &[Append], first_row: u64) -> (Change, Vec<Entered>) {
    let mut change = Change::default();
    let mut entered: Vec<Entered> = Vec::new();
    for append in appends {
        match (change.rows.last_mut(), entered.last_mut()) {
            (Some((_, row)), Some(entered)) if row.has_room_for(append.bytes.len()) => {
                row.push(append.id, &append.bytes);
                entered.ids.push(append.id);
                entered.charge += append.charge;
            }
            _ => {
                let key = first_row + change.rows.len() as u64;
                change.rows.push((key, Row::new(append.id, &append.bytes)));
                entered.push(Entered {
                    ids: vec![append.id],
                    charge: append.charge,
                });
            }
        }
    }
    (change, entered)
}

pub(crate) fn to_i64(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
