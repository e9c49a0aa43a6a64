//! The gate: how much is inside, and whether more may come in. It knows nothing of the values.

use std::sync::Arc;

use model::{Lane, QueueName};
use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// How much a queue holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Items. Something larger than this is let in alone, when nothing else is inside.
    pub items: usize,
    /// Bytes of memory, near enough; the same exception.
    pub bytes: usize,
}

impl Limits {
    /// A bound on items only.
    #[must_use]
    pub fn items(items: usize) -> Self {
        Self {
            items,
            bytes: usize::MAX,
        }
    }
}

/// What a stage does when the next stage's queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenFull {
    /// Wait for room: nothing is lost, and the stages before it slow down.
    #[default]
    Block,
    /// Give the rest up: what does not fit is recorded as dropped (Pushkin's behaviour).
    Drop,
}

/// There is no room.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {0} is full")]
pub struct Full(pub QueueName);

/// The queue's state without its values; shared by producers, consumers, slots and monitors.
pub(crate) struct Gate {
    pub(crate) name: QueueName,
    pub(crate) limits: Limits,
    /// Written by whoever reserves and by whoever drops a slot.
    counts: Mutex<Counts>,
    /// Signalled when room appears or the queue closes; producers that block wait here.
    room: Condvar,
    /// Signalled when a value arrives or the last producer leaves; async consumers wait here.
    pub(crate) arrived: Notify,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    urgent: usize,
    bulk: usize,
    bytes: usize,
    blocked_producers: usize,
    pub(crate) closed: bool,
    pub(crate) entered: u64,
    pub(crate) left: u64,
    pub(crate) refused: u64,
}

impl Counts {
    pub(crate) fn items(&self) -> usize {
        self.urgent + self.bulk
    }

    pub(crate) fn items_in(&self, lane: Lane) -> usize {
        match lane {
            Lane::Urgent => self.urgent,
            Lane::Bulk => self.bulk,
        }
    }

    fn lane_mut(&mut self, lane: Lane) -> &mut usize {
        match lane {
            Lane::Urgent => &mut self.urgent,
            Lane::Bulk => &mut self.bulk,
        }
    }
}

impl Gate {
    pub(crate) fn new(name: QueueName, limits: Limits) -> Self {
        Self {
            name,
            limits,
            counts: Mutex::default(),
            room: Condvar::new(),
            arrived: Notify::new(),
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.counts.lock()
    }

    /// Room for all of it, or none of it.
    pub(crate) fn enter(&self, lane: Lane, items: usize, bytes: usize) -> Result<(), Full> {
        let mut counts = self.counts.lock();
        if counts.closed || !self.fits(&counts, lane, items, bytes) {
            counts.refused += items as u64;
            return Err(Full(self.name));
        }
        self.record_entry(&mut counts, lane, items, bytes);
        Ok(())
    }

    /// Room for all of it, after waiting if need be; an error means that nobody will ever take
    /// anything out again.
    pub(crate) fn enter_waiting(&self, lane: Lane, items: usize, bytes: usize) -> Result<(), Full> {
        let mut counts = self.counts.lock();
        loop {
            if counts.closed {
                return Err(Full(self.name));
            }
            if self.fits(&counts, lane, items, bytes) {
                self.record_entry(&mut counts, lane, items, bytes);
                return Ok(());
            }
            counts.blocked_producers += 1;
            self.room.wait(&mut counts);
            counts.blocked_producers -= 1;
        }
    }

    fn fits(&self, counts: &Counts, lane: Lane, items: usize, bytes: usize) -> bool {
        let fits = items <= self.free_items(counts, lane)
            && bytes <= self.limits.bytes.saturating_sub(counts.bytes);
        // An oversized value would otherwise never get in at all.
        fits || (counts.items() == 0 && counts.bytes == 0)
    }

    /// Items that would fit into a lane now.
    pub(crate) fn free(&self, lane: Lane) -> usize {
        self.free_items(&self.counts.lock(), lane)
    }

    /// Room for as much of `wanted` as fits. With [`WhenFull::Block`] at least one, after waiting
    /// if need be; zero then means that nobody will ever take anything out again.
    pub(crate) fn enter_some(&self, lane: Lane, wanted: usize, when_full: WhenFull) -> usize {
        let mut counts = self.counts.lock();
        loop {
            let granted = wanted.min(self.free_items(&counts, lane));
            if counts.closed {
                return 0;
            }
            if granted > 0 || wanted == 0 {
                self.record_entry(&mut counts, lane, granted, 0);
                return granted;
            }
            match when_full {
                WhenFull::Drop => {
                    counts.refused += wanted as u64;
                    return 0;
                }
                WhenFull::Block => {
                    counts.blocked_producers += 1;
                    self.room.wait(&mut counts);
                    counts.blocked_producers -= 1;
                }
            }
        }
    }

    /// Room without asking; for values whose number is bounded by a slot they already hold.
    pub(crate) fn enter_regardless(&self, lane: Lane, items: usize) {
        self.record_entry(&mut self.counts.lock(), lane, items, 0);
    }

    /// No consumer is left: blocked producers give up, later ones are refused.
    pub(crate) fn close(&self) {
        self.counts.lock().closed = true;
        self.room.notify_all();
    }

    fn free_items(&self, counts: &Counts, lane: Lane) -> usize {
        let free = self.limits.items.saturating_sub(counts.items());
        match lane {
            Lane::Urgent => free,
            // Bulk may fill at most half of a queue: a broadcast does not delay a player.
            Lane::Bulk => free.min((self.limits.items / 2).max(1).saturating_sub(counts.bulk)),
        }
    }

    fn record_entry(&self, counts: &mut Counts, lane: Lane, items: usize, bytes: usize) {
        *counts.lane_mut(lane) += items;
        counts.bytes += bytes;
        counts.entered += items as u64;
    }

    fn leave(&self, lane: Lane, items: usize, bytes: usize) {
        let mut counts = self.counts.lock();
        *counts.lane_mut(lane) -= items;
        counts.bytes -= bytes;
        counts.left += items as u64;
        if counts.blocked_producers > 0 {
            self.room.notify_all();
        }
    }
}

/// Room in a queue, held by what fills it; dropping it gives the room back.
pub struct Slot {
    pub(crate) gate: Arc<Gate>,
    pub(crate) lane: Lane,
    pub(crate) items: usize,
    pub(crate) bytes: usize,
}

impl Slot {
    /// Splits `items` and `bytes` off into a slot of their own.
    pub(crate) fn split(&mut self, items: usize, bytes: usize) -> Self {
        debug_assert!(items <= self.items && bytes <= self.bytes);
        self.items -= items;
        self.bytes -= bytes;
        Self {
            gate: Arc::clone(&self.gate),
            lane: self.lane,
            items,
            bytes,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.items > 0 || self.bytes > 0 {
            self.gate.leave(self.lane, self.items, self.bytes);
        }
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Slot({}, {} items)", self.gate.name, self.items)
    }
}
