//! Feedback on its way to storage: one statement for each device, and the room it fills.
//!
//! While the database is away a few devices can be told of again and again. Each fills one place
//! of the queue, whatever was said about it, so the queue bounds the devices and not the words.

use model::Feedback;
use queue::{Slot, Taken};

use crate::coalesce::coalesce;

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// In the order of their first mention.
    feedback: Vec<Feedback>,
    /// For each of them.
    shares: Vec<Share>,
}

#[derive(Debug)]
struct Share {
    /// How often the push service has said it.
    told: u64,
    _slot: Slot,
}

impl Waiting {
    /// Takes more; who repeats what is here gives its place in the queue back.
    pub(crate) fn add(&mut self, more: impl IntoIterator<Item = Taken<Feedback>>) {
        let here = self.feedback.drain(..).zip(self.shares.drain(..));
        let more = more.into_iter().map(|taken| {
            let share = Share {
                told: 1,
                _slot: taken.slot,
            };
            (taken.value, share)
        });
        let joined = coalesce(here.chain(more), |earlier, later| {
            earlier.told += later.told
        });
        (self.feedback, self.shares) = joined.into_iter().unzip();
    }

    /// The first of them, at most `count`.
    pub(crate) fn first(&self, count: usize) -> &[Feedback] {
        &self.feedback[..count.min(self.feedback.len())]
    }

    /// The first `count` are written or given up; how often they were said.
    pub(crate) fn remove(&mut self, count: usize) -> u64 {
        let count = count.min(self.feedback.len());
        self.feedback.drain(..count);
        self.shares.drain(..count).map(|share| share.told).sum()
    }

    pub(crate) fn len(&self) -> usize {
        self.feedback.len()
    }
}
