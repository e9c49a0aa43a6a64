//! The stage: takes feedback out of its queue until all senders are gone.
//!
//! A database that fails is asked again with back-off, for about half a minute; then the batch
//! is dropped and counted. Meanwhile the queue fills, and senders drop and count what does not fit.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use model::Feedback;
use queue::{Consumer, Pulse, Taken, Workers};
use storage::{FeedbackCounts, Storage};
use tracing::{error, info, warn};

use crate::{Metrics, coalesce::coalesce};

/// Feedback written together.
const BATCH: usize = 500;

/// How often a failing database is asked again, and after what time.
#[derive(Clone, Copy)]
struct Patience {
    /// Doubled after each try.
    first_wait: Duration,
    longest_wait: Duration,
    tries: u32,
}

/// 31 seconds in all.
const PATIENCE: Patience = Patience {
    first_wait: Duration::from_millis(100),
    longest_wait: Duration::from_secs(5),
    tries: 12,
};

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
        storage.apply_feedback(feedback)
    })
}

fn start_writing<E: Error + 'static>(
    queue: &Consumer<Feedback>,
    metrics: &Metrics,
    patience: Patience,
    write: impl Fn(&[Feedback]) -> Result<FeedbackCounts, E> + Clone + Send + 'static,
) -> PostProcessor {
    let (owner, ownership) = bounded(0);
    let counters = metrics.clone();
    let make_work = move || {
        let post = Post {
            write: write.clone(),
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
    metrics: Metrics,
    patience: Patience,
    /// Disconnected when nobody waits for the work any more: then a failed try is not repeated.
    owner: Receiver<()>,
}

impl<W, E> Post<W>
where
    W: Fn(&[Feedback]) -> Result<FeedbackCounts, E>,
    E: Error + 'static,
{
    /// Writes one batch, or gives it up. Its slots are held until then: it counts as queued.
    fn apply(&self, batch: &mut Vec<Taken<Feedback>>) {
        let (feedback, slots): (Vec<_>, Vec<_>) = batch
            .drain(..)
            .map(|taken| (taken.value, taken.slot))
            .unzip();
        let told = feedback.len();
        let feedback = coalesce(feedback);
        match self.write_patiently(&feedback) {
            Some(counts) => self.metrics.count(counts),
            None => {
                self.metrics.dropped.inc_by(told as u64);
            }
        }
        drop(slots);
    }

    /// Returns `None` when all tries failed, or one did and nobody waits for the result any more.
    fn write_patiently(&self, feedback: &[Feedback]) -> Option<FeedbackCounts> {
        let devices = feedback.len();
        let mut wait = self.patience.first_wait;
        let mut tried = 0;
        loop {
            tried += 1;
            let error = match (self.write)(feedback) {
                Ok(counts) => {
                    if tried > 1 {
                        info!("feedback about tokens is written again");
                    }
                    return Some(counts);
                }
                Err(error) => error,
            };
            let error = &error as &(dyn Error + 'static);
            if tried >= self.patience.tries {
                error!(
                    error,
                    devices, "gave up feedback about tokens, the next push to each repairs it"
                );
                return None;
            }
            if tried == 1 {
                warn!(
                    error,
                    devices, "cannot write feedback about tokens, trying again"
                );
            }
            match self.owner.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => {
                    wait = (wait * 2).min(self.patience.longest_wait);
                }
                Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                    warn!(devices, "stopped with feedback about tokens unwritten");
                    return None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
