//! How late this machine is. From an answer to its mark six threads wake up one after the other
//! (push service, sender, log, finisher twice, journal), and three fsyncs are waited for (the log's,
//! the journal's before ours, ours): the promised 100 ms hold where each takes a few. So the test
//! measures it beside the daemon: it wakes up and makes a small file durable, all the time.

use std::{
    fs::File,
    io::{Seek, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::pause;

/// Between two measurements, if the machine is quick.
const PAUSE: Duration = Duration::from_millis(10);
/// A mark may have been late for what happened so long before a kill.
const BEFORE: Duration = Duration::from_secs(2);
/// A mark needs so many steps, each as late as the measured ones at most.
const STEPS: u32 = 6;

/// The thread that measures.
pub(super) struct Lateness {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Measured>,
}

/// When each measurement was over, and how much longer than its pause it took.
pub(super) struct Measured(Vec<(Instant, Duration)>);

impl Lateness {
    pub(super) fn measure(folder: &Path) -> Self {
        let mut file = File::create(folder.join("lateness")).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let mut measured = Vec::new();
            while !over.load(Ordering::SeqCst) {
                let began = Instant::now();
                pause(PAUSE);
                file.rewind().unwrap();
                file.write_all(b"late?").unwrap();
                file.sync_data().unwrap();
                let now = Instant::now();
                measured.push((now, (now - began).saturating_sub(PAUSE)));
            }
            Measured(measured)
        });
        Self { is_over, thread }
    }

    pub(super) fn stop(self) -> Measured {
        self.is_over.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

impl Measured {
    /// How much later than promised a mark may be that was to come before `at`.
    pub(super) fn allowance(&self, at: Instant) -> Duration {
        let before = |ended: Instant| ended > at - BEFORE;
        let worst = self
            .0
            .iter()
            // The one that was under way at that time counts.
            .filter(|(ended, late)| before(*ended) && *ended - *late <= at)
            .map(|(_, late)| *late)
            .max();
        STEPS * worst.unwrap_or_default()
    }
}
