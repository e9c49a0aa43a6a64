//! The queue itself: two crossbeam channels behind one gate.
//!
//! The channels are unbounded; the gate is what bounds them, because its limit is in items and
//! bytes and covers what has been taken out but not ended.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crossbeam_channel::{Receiver, Select, Sender, TryRecvError, unbounded};
use model::{Lane, QueueName};

use crate::{Full, Limits, Load, Monitor, Slot, WhenFull, gate::Gate};

/// Of this many turns one belongs to the bulk lane first.
const TURNS_PER_BULK: usize = 8;

/// A queue's two ends.
#[must_use]
pub fn bounded<T>(name: QueueName, limits: Limits) -> (Producer<T>, Consumer<T>) {
    let gate = Arc::new(Gate::new(name, limits));
    let (urgent_in, urgent_out) = unbounded();
    let (bulk_in, bulk_out) = unbounded();
    let producer = Producer {
        urgent: urgent_in,
        bulk: bulk_in,
        leave: Arc::new(LastProducer(Arc::clone(&gate))),
        gate: Arc::clone(&gate),
    };
    let consumer = Consumer {
        urgent: urgent_out,
        bulk: bulk_out,
        turns: Arc::default(),
        close: Arc::new(LastConsumer(Arc::clone(&gate))),
        gate,
    };
    (producer, consumer)
}

/// A value and the room it fills.
#[derive(Debug)]
pub struct Taken<T> {
    /// What was sent.
    pub value: T,
    /// Its room; keep it as long as the value should count.
    pub slot: Slot,
    /// Room in an earlier queue that the value still fills, see [`Producer::send_holding`].
    pub held: Option<Slot>,
}

/// The end that a stage feeds.
pub struct Producer<T> {
    // Before `leave`: the channels must be closed when the last producer wakes the consumers.
    urgent: Sender<Taken<T>>,
    bulk: Sender<Taken<T>>,
    leave: Arc<LastProducer>,
    gate: Arc<Gate>,
}

impl<T> Clone for Producer<T> {
    fn clone(&self) -> Self {
        Self {
            urgent: self.urgent.clone(),
            bulk: self.bulk.clone(),
            leave: Arc::clone(&self.leave),
            gate: Arc::clone(&self.gate),
        }
    }
}

impl<T> Producer<T> {
    /// Room for one value of so many items and bytes, without waiting.
    ///
    /// # Errors
    /// When it does not fit, or when no consumer is left.
    pub fn try_reserve(&self, lane: Lane, items: usize, bytes: usize) -> Result<Permit<T>, Full> {
        self.gate.enter(lane, items, bytes)?;
        Ok(self.permit(lane, items, bytes))
    }

    /// Room for one value of so many items and bytes; blocks the thread until there is.
    ///
    /// # Errors
    /// When no consumer is left.
    pub fn reserve(&self, lane: Lane, items: usize, bytes: usize) -> Result<Permit<T>, Full> {
        self.gate.enter_waiting(lane, items, bytes)?;
        Ok(self.permit(lane, items, bytes))
    }

    /// Items that would fit into a lane now; others may be faster.
    #[must_use]
    pub fn free(&self, lane: Lane) -> usize {
        self.gate.free(lane)
    }

    /// Room for up to `wanted` values of one item each.
    ///
    /// With [`WhenFull::Block`] this blocks the thread until there is room for at least one, and
    /// an empty permit means that no consumer is left; with [`WhenFull::Drop`] it never waits.
    #[must_use]
    pub fn reserve_some(&self, lane: Lane, wanted: usize, when_full: WhenFull) -> Permit<T> {
        let granted = self.gate.enter_some(lane, wanted, when_full);
        self.permit(lane, granted, 0)
    }

    /// Sends without asking for room, because the value goes on filling `held`, room in an earlier
    /// queue: that queue's limit is then this one's bound too, and nothing piles up between them.
    pub fn send_holding(&self, lane: Lane, value: T, held: Slot) {
        self.gate.enter_regardless(lane, 1);
        let mut permit = self.permit(lane, 1, 0);
        let slot = permit.slot.split(1, 0);
        permit.push(Taken {
            value,
            slot,
            held: Some(held),
        });
    }

    /// Items that the queue holds at most.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.gate.limits.items
    }

    /// Items inside, taken ones included while their slots are held.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.gate.counts().items()
    }

    /// Whether no consumer is left: nothing that is sent will ever be taken out.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.gate.counts().closed
    }

    /// A view of the queue's figures that does not keep it open.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        Monitor::new(Arc::clone(&self.gate))
    }

    fn permit(&self, lane: Lane, items: usize, bytes: usize) -> Permit<T> {
        Permit {
            channel: match lane {
                Lane::Urgent => self.urgent.clone(),
                Lane::Bulk => self.bulk.clone(),
            },
            slot: Slot {
                gate: Arc::clone(&self.gate),
                lane,
                items,
                bytes,
            },
            sent: false,
        }
    }
}

/// Reserved room. What is sent into it cannot fail; what is not used is given back on drop.
pub struct Permit<T> {
    channel: Sender<Taken<T>>,
    slot: Slot,
    sent: bool,
}

impl<T> Permit<T> {
    /// Items there is still room for.
    #[must_use]
    pub fn places(&self) -> usize {
        self.slot.items
    }

    /// Sends one value that fills all the room.
    pub fn send(mut self, value: T) {
        let (items, bytes) = (self.slot.items, self.slot.bytes);
        let slot = self.slot.split(items, bytes);
        self.push(Taken {
            value,
            slot,
            held: None,
        });
    }

    /// Sends one value into one of the places. Consumers are woken once, when the permit is dropped.
    ///
    /// # Panics
    /// When [`Permit::places`] is zero.
    pub fn send_one(&mut self, value: T) {
        assert!(self.slot.items > 0, "the permit has no place left");
        let slot = self.slot.split(1, 0);
        self.push(Taken {
            value,
            slot,
            held: None,
        });
    }

    fn push(&mut self, taken: Taken<T>) {
        // Fails only when no consumer is left; then nobody will miss the value, and its slots
        // give the room back.
        self.sent |= self.channel.send(taken).is_ok();
    }
}

impl<T> Drop for Permit<T> {
    fn drop(&mut self) {
        if self.sent {
            self.slot.gate.arrived.notify_one();
        }
    }
}

/// How many items of each lane a consumer has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Of the urgent lane.
    pub urgent: usize,
    /// Of the bulk lane.
    pub bulk: usize,
}

impl Room {
    const UNLIMITED: Self = Self {
        urgent: usize::MAX,
        bulk: usize::MAX,
    };

    /// Whether there is room at all.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.urgent == 0 && self.bulk == 0
    }

    fn of_mut(&mut self, lane: Lane) -> &mut usize {
        match lane {
            Lane::Urgent => &mut self.urgent,
            Lane::Bulk => &mut self.bulk,
        }
    }
}

/// The end that a stage empties. Clones share the work: each value goes to one of them.
pub struct Consumer<T> {
    // Before the channels: what is dropped with them gives room back, which nobody may enter.
    close: Arc<LastConsumer>,
    urgent: Receiver<Taken<T>>,
    bulk: Receiver<Taken<T>>,
    turns: Arc<AtomicUsize>,
    gate: Arc<Gate>,
}

impl<T> Clone for Consumer<T> {
    fn clone(&self) -> Self {
        Self {
            urgent: self.urgent.clone(),
            bulk: self.bulk.clone(),
            turns: Arc::clone(&self.turns),
            close: Arc::clone(&self.close),
            gate: Arc::clone(&self.gate),
        }
    }
}

enum Pick<T> {
    Value(Taken<T>),
    Nothing,
    Closed,
}

impl<T> Consumer<T> {
    /// Appends what is there, waiting for the first value: whole values until `max_items` items
    /// are reached. Returns false when all producers are gone and the queue is empty.
    pub fn take(&self, batch: &mut Vec<Taken<T>>, max_items: usize) -> bool
    where
        T: Load,
    {
        loop {
            if !self.take_available(batch, max_items) {
                return !batch.is_empty();
            }
            if !batch.is_empty() {
                return true;
            }
            let mut select = Select::new();
            select.recv(&self.urgent);
            select.recv(&self.bulk);
            select.ready();
        }
    }

    /// As [`Consumer::take`], for an async stage that has so much room for each lane: what waits
    /// in a lane without room does not keep the other lane's values from coming. Cancelling it
    /// loses nothing.
    pub async fn take_async(&self, batch: &mut Vec<Taken<T>>, room: Room) -> bool
    where
        T: Load,
    {
        loop {
            // Registered before looking, so that an arrival in between is not missed.
            let arrived = self.gate.arrived.notified();
            if !self.take_within(batch, room) {
                // Siblings that wait on the same notification must learn of the end too.
                self.gate.arrived.notify_one();
                return !batch.is_empty();
            }
            if !batch.is_empty() {
                if !(self.urgent.is_empty() && self.bulk.is_empty()) {
                    self.gate.arrived.notify_one();
                }
                return true;
            }
            arrived.await;
        }
    }

    /// Appends what is there now, without waiting. Returns false when nothing can come any more.
    pub fn take_available(&self, batch: &mut Vec<Taken<T>>, max_items: usize) -> bool
    where
        T: Load,
    {
        let mut items = 0;
        while items < max_items {
            match self.pick(Room::UNLIMITED) {
                Pick::Value(taken) => {
                    items += taken.value.items().max(1);
                    batch.push(taken);
                }
                Pick::Nothing => return true,
                Pick::Closed => return false,
            }
        }
        true
    }

    fn take_within(&self, batch: &mut Vec<Taken<T>>, mut room: Room) -> bool
    where
        T: Load,
    {
        loop {
            match self.pick(room) {
                Pick::Value(taken) => {
                    let left = room.of_mut(taken.slot.lane);
                    *left = left.saturating_sub(taken.value.items().max(1));
                    batch.push(taken);
                }
                Pick::Nothing => return true,
                Pick::Closed => return false,
            }
        }
    }

    fn pick(&self, mut room: Room) -> Pick<T> {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed) % TURNS_PER_BULK;
        let lanes = if turn == TURNS_PER_BULK - 1 {
            [Lane::Bulk, Lane::Urgent]
        } else {
            [Lane::Urgent, Lane::Bulk]
        };
        let mut closed = true;
        for lane in lanes {
            let channel = match lane {
                Lane::Urgent => &self.urgent,
                Lane::Bulk => &self.bulk,
            };
            if *room.of_mut(lane) == 0 {
                closed = false;
                continue;
            }
            match channel.try_recv() {
                Ok(taken) => return Pick::Value(taken),
                Err(TryRecvError::Empty) => closed = false,
                Err(TryRecvError::Disconnected) => {}
            }
        }
        if closed { Pick::Closed } else { Pick::Nothing }
    }
}

/// Wakes async consumers when the last producer leaves, so that they see the end.
struct LastProducer(Arc<Gate>);

impl Drop for LastProducer {
    fn drop(&mut self) {
        self.0.arrived.notify_one();
    }
}

/// Closes the gate when the last consumer leaves, so that no producer waits for ever.
struct LastConsumer(Arc<Gate>);

impl Drop for LastConsumer {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests;
