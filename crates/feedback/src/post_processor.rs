//! The stage: takes feedback out of its queue until all senders are gone.
//!
//! A database that is away is asked again for as long as it is; what comes meanwhile is joined to
//! what waits, so that the queue fills with devices and not with repetitions. When it is full all
//! the same, senders drop and count what does not fit. What a living database refuses is dropped
//! and counted after half a minute.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use model::Feedback;
use queue::{Consumer, Pulse, Taken, Workers};
use storage::{FeedbackCounts, Storage};
use tracing::{error, info, warn};

use crate::{Metrics, waiting::Waiting};

/// Feedback written together.
const BATCH: usize = 500;

/// How often a failing database is asked again, and after what time.
#[derive(Clone, Copy)]
struct Patience {
    /// Doubled after each try.
    first_wait: Duration,
    longest_wait: Duration,
    /// Of what a living database refuses.
    tries: u32,
}

/// 31 seconds in all.
const PATIENCE: Patience = Patience {
    first_wait: Duration::from_millis(100),
    longest_wait: Duration::from_secs(5),
    tries: 12,
};

/// Why feedback was not written.
#[derive(Debug)]
enum Unwritten {
    /// The database cannot be used now, whatever for.
    Away(Box<dyn Error>),
    /// It can, and will not do this.
    Refused(Box<dyn Error>),
}

/// The running post-processor.
#[derive(Debug)]
pub struct PostProcessor {
    worker: Workers,
    /// Never sent to; held so that the worker knows that somebody waits for it.
    owner: Sender<()>,
}

/// Starts the thread that writes feedback to `storage`.
#[must_use]
pub fn start(queue: &Consumer<Feedback>, storage: Storage, metrics: &Metrics) -> PostProcessor {
    start_writing(queue, metrics, PATIENCE, move |feedback| {
        storage.apply_feedback(feedback).map_err(|error| {
            if storage.is_away(&error) {
                Unwritten::Away(error.into())
            } else {
                Unwritten::Refused(error.into())
            }
        })
    })
}

fn start_writing(
    queue: &Consumer<Feedback>,
    metrics: &Metrics,
    patience: Patience,
    write: impl Fn(&[Feedback]) -> Result<FeedbackCounts, Unwritten> + Clone + Send + 'static,
) -> PostProcessor {
    let (owner, ownership) = bounded(0);
    let (counters, arrivals) = (metrics.clone(), queue.clone());
    let make_work = move || {
        let post = Post {
            write: write.clone(),
            arrivals: arrivals.clone(),
            metrics: counters.clone(),
            patience,
            owner: ownership.clone(),
        };
        move |batch: &mut Vec<_>| post.apply(batch)
    };
    // One thread: batches about one device must not overtake each other.
    let worker = Workers::spawn(
        "post-processor",
        1,
        queue,
        BATCH,
        &metrics.panics,
        make_work,
    );
    PostProcessor { worker, owner }
}

impl PostProcessor {
    /// Whether the thread runs.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.worker.pulse()
    }

    /// Waits until all feedback is written or given up, which ends when all senders are gone.
    /// Returns false when `deadline` comes first.
    #[must_use]
    pub fn join_until(self, deadline: Instant) -> bool {
        let ended = self.worker.join_until(deadline);
        drop(self.owner);
        ended
    }
}

/// The work of the thread.
struct Post<W> {
    /// Writes to storage.
    write: W,
    /// The queue, for what comes while the database is away.
    arrivals: Consumer<Feedback>,
    metrics: Metrics,
    patience: Patience,
    /// Disconnected when nobody waits for the work any more: then a failed try is not repeated.
    owner: Receiver<()>,
}

impl<W> Post<W>
where
    W: Fn(&[Feedback]) -> Result<FeedbackCounts, Unwritten>,
{
    /// Writes what is in the batch, and what comes while that cannot be done, or gives it up. Its
    /// slots are held until then: it counts as queued.
    fn apply(&self, batch: &mut Vec<Taken<Feedback>>) {
        let mut waiting = Waiting::default();
        waiting.add(batch.drain(..));
        let mut trouble = Trouble::new(self.patience);
        while waiting.len() > 0 {
            match (self.write)(waiting.first(BATCH)) {
                Ok(counts) => {
                    waiting.remove(BATCH);
                    self.metrics.count(counts);
                    trouble.is_over();
                    continue;
                }
                Err(Unwritten::Away(error)) => trouble.away(&*error, waiting.len()),
                Err(Unwritten::Refused(error)) => {
                    if trouble.refused(&*error, waiting.first(BATCH).len()) {
                        self.metrics.dropped.inc_by(waiting.remove(BATCH));
                        trouble = Trouble::new(self.patience);
                        continue;
                    }
                }
            }
            let waited = self.owner.recv_timeout(trouble.next_wait());
            self.arrivals.take_available(batch, usize::MAX);
            waiting.add(batch.drain(..));
            if waited != Err(RecvTimeoutError::Timeout) {
                let devices = waiting.len();
                warn!(devices, "stopped with feedback about tokens unwritten");
                self.metrics.dropped.inc_by(waiting.remove(devices));
            }
        }
    }
}

/// How long it has been going wrong.
struct Trouble {
    patience: Patience,
    wait: Duration,
    refusals: u32,
    told: bool,
}

impl Trouble {
    fn new(patience: Patience) -> Self {
        Self {
            patience,
            wait: patience.first_wait,
            refusals: 0,
            told: false,
        }
    }

    fn away(&mut self, error: &(dyn Error + 'static), devices: usize) {
        if !self.told {
            warn!(
                error,
                devices, "feedback about tokens waits for the database"
            );
            self.told = true;
        }
    }

    /// Whether this was once too often.
    fn refused(&mut self, error: &(dyn Error + 'static), devices: usize) -> bool {
        self.refusals += 1;
        if self.refusals >= self.patience.tries {
            error!(
                error,
                devices, "gave up feedback about tokens, the next push to each repairs it"
            );
            return true;
        }
        if self.refusals == 1 {
            warn!(
                error,
                devices, "cannot write feedback about tokens, trying again"
            );
            self.told = true;
        }
        false
    }

    fn next_wait(&mut self) -> Duration {
        let wait = self.wait;
        self.wait = (wait * 2).min(self.patience.longest_wait);
        wait
    }

    fn is_over(&mut self) {
        if self.told {
            info!("feedback about tokens is written again");
        }
        *self = Self::new(self.patience);
    }
}

#[cfg(test)]
mod tests;
