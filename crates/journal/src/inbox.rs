//! What waits for the commit thread: a lock, two lists and a bell. The bell is rung only when
//! the thread sleeps without having gathered anything, or has gathered enough: while it gathers,
//! a wake-up for every request would cost more than the request.

use std::{mem, time::Instant};

use model::Request;
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::oneshot;

use crate::{
    AppendError, Enqueue, Marks,
    row::{self, Row, Rows},
};

/// So much is not gathered further: the fsync is no longer what the commit costs.
const GATHERED_BYTES: usize = 1 << 20;

/// A request on its way to the store.
pub(crate) struct Append {
    /// For the next stage.
    pub(crate) request: Request,
    /// Takes it to the next stage. Dropped before the answer is given where it was refused: the
    /// room that it holds is free by then.
    pub(crate) enqueue: Enqueue,
    /// Gone if nobody waits any more; the request is stored all the same.
    pub(crate) answer: oneshot::Sender<Result<(), AppendError>>,
}

/// One turn of the commit thread.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) appends: Vec<Append>,
    /// The stored form of `appends`, in the same order.
    pub(crate) rows: Vec<Row>,
    /// Disk space of `appends`, taken from the limit already.
    pub(crate) charge: u64,
    pub(crate) marks: Marks,
}

/// Shared by the doors, who finishes requests, and the commit thread.
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    bell: Condvar,
    limit: u64,
}

#[derive(Default)]
struct Waiting {
    appends: Vec<Append>,
    rows: Rows,
    append_bytes: usize,
    marks: Marks,
    /// Disk space of everything stored or waiting. Doors add to it, the commit thread takes
    /// from it.
    charged: u64,
    /// Set by the commit thread: whether a first request has to ring.
    asleep: bool,
    /// Set by `stop`, and at the end of the commit thread, however it ends.
    stopped: bool,
}

impl Inbox {
    pub(crate) fn new(limit: u64, charged: u64) -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                charged,
                ..Waiting::default()
            }),
            bell: Condvar::new(),
            limit,
        }
    }

    /// Puts a request and its stored form in, if the limit allows.
    pub(crate) fn append(&self, append: Append, stored: &[u8]) -> Result<(), AppendError> {
        let charge = row::charge(stored.len());
        let mut waiting = self.waiting.lock();
        if waiting.stopped {
            return Err(AppendError::Stopped);
        }
        if waiting.charged + charge > self.limit {
            return Err(AppendError::Full);
        }
        waiting.charged += charge;
        let enough_before = waiting.append_bytes >= GATHERED_BYTES;
        waiting.append_bytes += stored.len();
        waiting.rows.push(append.request.id, stored);
        waiting.appends.push(append);
        let enough = !enough_before && waiting.append_bytes >= GATHERED_BYTES;
        self.ring_if(enough, waiting);
        Ok(())
    }

    /// Puts marks in.
    pub(crate) fn record(&self, mut marks: Marks) {
        let mut waiting = self.waiting.lock();
        marks.put_before(mem::take(&mut waiting.marks));
        waiting.marks = marks;
        self.ring_if(false, waiting);
    }

    fn ring_if(&self, enough: bool, mut waiting: MutexGuard<'_, Waiting>) {
        if mem::take(&mut waiting.asleep) || enough {
            drop(waiting);
            self.bell.notify_one();
        }
    }

    /// The commit thread's next turn; `None` when it is to end. `crowd_until` tells from how many
    /// requests there are until when others may join them, or that it is alone. Marks alone
    /// wait until `marks_from`, where a write has failed and is tried anew only then.
    pub(crate) fn next(
        &self,
        crowd_until: impl FnOnce(usize) -> Option<Instant>,
        marks_from: Option<Instant>,
    ) -> Option<Batch> {
        let mut waiting = self.waiting.lock();
        while waiting.appends.is_empty() {
            let marks_wait = marks_from.filter(|from| Instant::now() < *from);
            let has_marks = !waiting.marks.is_empty();
            if has_marks && (marks_wait.is_none() || waiting.stopped) {
                break;
            }
            if waiting.stopped {
                return None;
            }
            waiting.asleep = true;
            match marks_wait.filter(|_| has_marks) {
                Some(until) => drop(self.bell.wait_until(&mut waiting, until)),
                None => self.bell.wait(&mut waiting),
            }
            waiting.asleep = false;
        }
        let requests = waiting.appends.len();
        if requests > 0
            && let Some(until) = crowd_until(requests)
        {
            let gathering =
                |waiting: &mut Waiting| waiting.append_bytes < GATHERED_BYTES && !waiting.stopped;
            self.bell.wait_while_until(&mut waiting, gathering, until);
        }
        waiting.append_bytes = 0;
        let rows = waiting.rows.take();
        Some(Batch {
            appends: mem::take(&mut waiting.appends),
            charge: rows.iter().map(Row::charge).sum(),
            rows,
            marks: mem::take(&mut waiting.marks),
        })
    }

    /// Marks that could not be written wait for the next turn.
    pub(crate) fn put_back(&self, marks: Marks) {
        self.waiting.lock().marks.put_before(marks);
    }

    /// Gives disk space back.
    pub(crate) fn free(&self, bytes: u64) {
        self.waiting.lock().charged -= bytes;
    }

    /// Gives the memory of rows back.
    pub(crate) fn recycle(&self, rows: impl IntoIterator<Item = Row>) {
        self.waiting.lock().rows.recycle(rows);
    }

    /// Disk space of everything stored or waiting.
    pub(crate) fn charged(&self) -> u64 {
        self.waiting.lock().charged
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.waiting.lock().stopped
    }

    /// Takes nothing more; what is in is still written.
    pub(crate) fn stop(&self) {
        self.waiting.lock().stopped = true;
        self.bell.notify_one();
    }

    /// The commit thread is over: nobody writes any more, whoever waits hears it.
    pub(crate) fn close(&self) {
        let mut waiting = self.waiting.lock();
        waiting.stopped = true;
        waiting.appends.clear();
    }
}
