//! Whether threads (or tasks) that are to run until the stop still do.
//!
//! A thread that has ended by a panic tells nobody; it only takes its [`Beat`] along.

use std::sync::{Arc, Weak};

/// Held by each thread as long as it runs. Its end is the thread's end, however that comes.
#[derive(Clone, Debug)]
pub struct Beat(#[expect(dead_code, reason = "held, not read")] Arc<()>);

/// A view of some threads that can be asked from anywhere.
#[derive(Clone, Debug)]
pub struct Pulse {
    threads: usize,
    beats: Weak<()>,
}

impl Pulse {
    /// The pulse of `threads` threads, each of which holds a clone of the beat.
    #[must_use]
    pub fn of(threads: usize) -> (Self, Beat) {
        let beat = Arc::new(());
        let beats = Arc::downgrade(&beat);
        (Self { threads, beats }, Beat(beat))
    }

    /// Whether all of them still run.
    #[must_use]
    pub fn is_steady(&self) -> bool {
        self.beats.strong_count() >= self.threads
    }
}
