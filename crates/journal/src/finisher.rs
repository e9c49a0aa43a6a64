//! From the receipts to the journal: what has ended is gathered for a moment, the notification
//! log is made durable, then the journal is told. Most requests finish within that moment as a
//! whole; of the others the ended notifications are marked.
//!
//! In this order, because a request that leaves the journal is never processed again: its lines
//! have to be on stable storage by then.

use std::{
    collections::HashSet,
    fmt, io, mem,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError, bounded};
use model::{FinishedRequests, NotificationId, RequestId};
use parking_lot::{Condvar, Mutex};
use tracing::error;

use crate::{Journal, Marks};

/// Finished requests are gathered for so long. A mark has to reach the operating system within
/// 100 ms; two fsyncs come after this.
const GATHER: Duration = Duration::from_millis(50);

/// Between two tries to make the notification log durable.
const RETRY: Duration = Duration::from_secs(1);

/// Takes finished requests from any thread and passes them on in batches.
pub struct Finisher {
    shared: Arc<Shared>,
    /// Disconnected when the thread has ended; nothing is ever sent.
    ended: Receiver<()>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    bell: Condvar,
}

#[derive(Default)]
struct Waiting {
    marks: Marks,
    /// Set by the thread: whether the next mark has to ring.
    asleep: bool,
    stopped: bool,
}

impl Finisher {
    /// Starts the thread. `flush_log` makes every line of the notification log that was written
    /// before the call durable; where it fails, requests wait for its next success.
    ///
    /// # Panics
    /// When the operating system has no thread to give.
    pub fn start(
        journal: Arc<dyn Journal>,
        flush_log: impl FnMut() -> io::Result<()> + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let (ending, ended) = bounded::<()>(0);
        let thread_shared = Arc::clone(&shared);
        thread::Builder::new()
            .name("journal-marks".to_owned())
            .spawn(move || {
                thread_shared.run(&*journal, flush_log);
                drop((journal, ending));
            })
            .expect("the operating system gives a thread at start");
        Self { shared, ended }
    }

    /// Whether the thread runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.ended.try_recv() == Err(TryRecvError::Empty)
    }

    /// Passes on what has come, and ends. To be called when no receipt is left that can finish,
    /// and before the journal is stopped. Returns false when `deadline` comes first.
    #[must_use]
    pub fn stop(&self, deadline: Instant) -> bool {
        self.shared.waiting.lock().stopped = true;
        self.shared.bell.notify_one();
        self.ended.recv_deadline(deadline) != Err(RecvTimeoutError::Timeout)
    }
}

impl Shared {
    fn run(&self, journal: &dyn Journal, mut flush_log: impl FnMut() -> io::Result<()>) {
        let mut failing = false;
        while let Some(batch) = self.next(if failing { RETRY } else { GATHER }) {
            match flush_log() {
                Ok(()) => {
                    journal.record(batch);
                    failing = false;
                }
                Err(error) => {
                    if !failing {
                        error!(
                            error = &error as &dyn std::error::Error,
                            "the notification log cannot be made durable, its requests stay in the journal"
                        );
                    }
                    failing = true;
                    let mut waiting = self.waiting.lock();
                    if waiting.stopped {
                        // They are brought again by the next start.
                        return;
                    }
                    waiting.marks.put_before(batch);
                }
            }
        }
    }

    /// Waits for a mark, then `gather` for more; `None` when stopped and empty.
    fn next(&self, gather: Duration) -> Option<Marks> {
        let mut waiting = self.waiting.lock();
        while waiting.marks.is_empty() {
            if waiting.stopped {
                return None;
            }
            waiting.asleep = true;
            self.bell.wait(&mut waiting);
            waiting.asleep = false;
        }
        let until = Instant::now() + gather;
        self.bell
            .wait_while_until(&mut waiting, |waiting| !waiting.stopped, until);
        let mut marks = mem::take(&mut waiting.marks);
        drop(waiting);
        let finished: HashSet<RequestId> = marks.finished.iter().copied().collect();
        marks
            .ended
            .retain(|(request, _)| !finished.contains(request));
        Some(marks)
    }

    fn gather(&self, put: impl FnOnce(&mut Marks)) {
        let mut waiting = self.waiting.lock();
        put(&mut waiting.marks);
        if mem::take(&mut waiting.asleep) {
            drop(waiting);
            self.bell.notify_one();
        }
    }
}

impl FinishedRequests for Finisher {
    fn finished(&self, request: RequestId) {
        self.shared.gather(|marks| marks.finished.push(request));
    }

    fn ended(&self, request: RequestId, notification: NotificationId) {
        self.shared
            .gather(|marks| marks.ended.push((request, notification)));
    }
}

impl Drop for Finisher {
    fn drop(&mut self) {
        self.shared.waiting.lock().stopped = true;
        self.shared.bell.notify_one();
    }
}

impl fmt::Debug for Finisher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Finisher")
    }
}
