//! The threads that empty a queue. A panic costs one batch, not a thread.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread::{self, JoinHandle},
    time::Instant,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use prometheus_client::metrics::counter::Counter;
use tracing::error;

use crate::{Consumer, Load, Pulse, Taken};

/// Counts panics caught in worker threads.
pub type PanicCounter = Counter;

/// A stage's threads, which end by themselves; usually those that empty one queue until all its
/// producers are gone.
#[derive(Debug)]
pub struct Workers {
    name: String,
    threads: Vec<JoinHandle<()>>,
    /// Disconnected once every thread has ended; nothing is ever sent.
    ended: Receiver<()>,
    pulse: Pulse,
}

impl Workers {
    /// Starts `count` threads. Each makes its own `work` and gives it batches of whole values of
    /// together about `max_items` items; `work` empties the batch. A panic in it is logged and
    /// counted, what is left of the batch is dropped, and the thread goes on with a new `work`.
    ///
    /// # Panics
    /// When the operating system has no thread to give.
    #[must_use]
    pub fn spawn<T, W>(
        name: &str,
        count: usize,
        consumer: &Consumer<T>,
        max_items: usize,
        panics: &PanicCounter,
        make_work: impl Fn() -> W + Clone + Send + 'static,
    ) -> Self
    where
        T: Load + Send + 'static,
        W: FnMut(&mut Vec<Taken<T>>),
    {
        let works = (0..count).map(|number| {
            let (consumer, panics) = (consumer.clone(), panics.clone());
            let make_work = make_work.clone();
            let work = move || empty(&consumer, max_items, &panics, &make_work);
            (format!("{name}-{number}"), work)
        });
        Self::start(name, works.collect())
    }

    /// Starts a thread for each of `works`: its name, and what it does until it ends by itself.
    ///
    /// # Panics
    /// When the operating system has no thread to give.
    #[must_use]
    pub fn start<W: FnOnce() + Send + 'static>(name: &str, works: Vec<(String, W)>) -> Self {
        let (ending, ended) = bounded::<()>(0);
        let (pulse, beat) = Pulse::of(works.len());
        let threads = works
            .into_iter()
            .map(|(name, work)| {
                let (ending, beat) = (ending.clone(), beat.clone());
                thread::Builder::new()
                    .name(name)
                    .spawn(move || {
                        work();
                        drop((ending, beat));
                    })
                    .expect("the operating system gives a thread at start")
            })
            .collect();
        Self {
            name: name.to_owned(),
            threads,
            ended,
            pulse,
        }
    }

    /// Whether all threads run. They are to do so until they are to end.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Waits until every thread has ended, which they do once the queue is empty and its
    /// producers are gone. Returns false when `deadline` comes first; the threads then go on.
    #[must_use]
    pub fn join_until(self, deadline: Instant) -> bool {
        if self.ended.recv_deadline(deadline) == Err(RecvTimeoutError::Timeout) {
            return false;
        }
        for thread in self.threads {
            if thread.join().is_err() {
                error!(
                    workers = self.name,
                    "a worker thread ended by a panic outside its work"
                );
            }
        }
        true
    }
}

fn empty<T: Load, W: FnMut(&mut Vec<Taken<T>>)>(
    consumer: &Consumer<T>,
    max_items: usize,
    panics: &PanicCounter,
    make_work: &impl Fn() -> W,
) {
    let mut work = make_work();
    let mut batch = Vec::new();
    while consumer.take(&mut batch, max_items) {
        // Unwind safety: the batch is emptied and the work is made anew after a panic.
        if catch_unwind(AssertUnwindSafe(|| work(&mut batch))).is_err() {
            error!(
                left = batch.len(),
                "a worker panicked, its batch is dropped"
            );
            panics.inc();
            work = make_work();
        }
        batch.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use model::{Lane, QueueName};

    use super::*;
    use crate::Limits;

    struct Job(&'static str);

    impl Load for Job {
        fn items(&self) -> usize {
            1
        }

        fn bytes(&self) -> usize {
            0
        }
    }

    #[test]
    fn a_thread_that_ends_before_its_time_is_felt_in_the_pulse() {
        let (end, ended) = bounded::<()>(0);
        let (end_too, ended_too) = bounded::<()>(0);
        let wait = |end: Receiver<()>| move || assert!(end.recv().is_err());
        let works = vec![
            ("one".to_owned(), wait(ended)),
            ("other".to_owned(), wait(ended_too)),
        ];
        let workers = Workers::start("test", works);
        let pulse = workers.pulse();
        assert!(pulse.is_steady());
        drop(end);
        let limit = Instant::now() + Duration::from_secs(30);
        while pulse.is_steady() {
            assert!(Instant::now() < limit, "one of two has ended");
            thread::yield_now();
        }
        assert!(!workers.join_until(Instant::now()), "the other one runs");
        drop(end_too);
    }

    #[test]
    fn a_panic_costs_one_batch_and_is_counted() {
        let (producer, consumer) = crate::bounded(QueueName::Request, Limits::items(10));
        let panics = PanicCounter::default();
        let (done, seen) = mpsc::channel();
        let workers = Workers::spawn("test", 1, &consumer, 1, &panics, move || {
            let done = done.clone();
            move |batch: &mut Vec<Taken<Job>>| {
                for taken in batch.drain(..) {
                    assert_ne!(taken.value.0, "bad", "this panic is part of the test");
                    done.send(taken.value.0).unwrap();
                }
            }
        });
        for name in ["first", "bad", "last"] {
            producer
                .try_reserve(Lane::Urgent, 1, 0)
                .unwrap()
                .send(Job(name));
        }
        drop(producer);
        assert!(workers.join_until(Instant::now() + Duration::from_secs(30)));
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), ["first", "last"]);
        assert_eq!(panics.get(), 1);
    }
}
