//! The thread that gives signs of life, and withholds them when a stage is dead: the service
//! manager then kills and restarts the daemon, which is what helps.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

use tracing::error;

/// Gives signs of life until it is dropped.
#[derive(Debug)]
pub(crate) struct Watchdog {
    stages_end: Arc<AtomicBool>,
    /// Never sent to; its end ends the thread.
    _end: Sender<()>,
}

impl Watchdog {
    /// Calls `give` at once and then every `period`, unless `dead_stage` names one.
    pub(super) fn start(
        period: Duration,
        dead_stage: impl Fn() -> Option<&'static str> + Send + 'static,
        give: impl Fn() + Send + 'static,
    ) -> Self {
        let (end, ended) = mpsc::channel();
        let stages_end = Arc::new(AtomicBool::new(false));
        let ending = Arc::clone(&stages_end);
        thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || {
                let mut said = false;
                loop {
                    // Asked first: what has ended after that has ended on purpose.
                    let dead = dead_stage();
                    match dead {
                        Some(stage) if !ending.load(Ordering::SeqCst) => {
                            if !said {
                                said = true;
                                error!(
                                    stage,
                                    "a thread has died: the service manager gets no more signs of life, so that it restarts the daemon"
                                );
                            }
                        }
                        _ => give(),
                    }
                    if ended.recv_timeout(period) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                }
            })
            .expect("the operating system gives a thread at start");
        Self {
            stages_end,
            _end: end,
        }
    }

    /// From now on stages end because they are told to. To be called before they are.
    pub(crate) fn stages_end_now(&self) {
        self.stages_end.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicUsize, time::Instant};

    use super::*;

    /// What the thread has asked and given so far.
    #[derive(Default)]
    struct Seen {
        dead: AtomicBool,
        asked: AtomicUsize,
        given: AtomicUsize,
    }

    impl Seen {
        fn given(&self) -> usize {
            self.given.load(Ordering::SeqCst)
        }

        /// Waits for three more questions; what the first of them led to is over by then.
        fn three_more_rounds(&self) {
            let until = self.asked.load(Ordering::SeqCst) + 3;
            let limit = Instant::now() + Duration::from_secs(60);
            while self.asked.load(Ordering::SeqCst) < until {
                assert!(Instant::now() < limit, "the watchdog's thread has stopped");
                thread::yield_now();
            }
        }
    }

    #[test]
    fn a_dead_stage_gives_no_sign_of_life_before_the_stop() {
        let seen = Arc::new(Seen::default());
        let (asked, given) = (Arc::clone(&seen), Arc::clone(&seen));
        let watchdog = Watchdog::start(
            Duration::from_millis(1),
            move || {
                asked.asked.fetch_add(1, Ordering::SeqCst);
                asked.dead.load(Ordering::SeqCst).then_some("processor")
            },
            move || {
                given.given.fetch_add(1, Ordering::SeqCst);
            },
        );
        seen.three_more_rounds();
        assert!(seen.given() >= 2);
        seen.dead.store(true, Ordering::SeqCst);
        seen.three_more_rounds();
        let before = seen.given();
        seen.three_more_rounds();
        assert_eq!(seen.given(), before);
        watchdog.stages_end_now();
        seen.three_more_rounds();
        assert!(seen.given() > before, "at the stop stages end on purpose");
    }
}
