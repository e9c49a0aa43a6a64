//! Parked items: what did not fit into a sender queue, and is done again when there is room.
//!
//! A processor thread never waits for one push service. Of an item whose notifications do not
//! fit only its place in the journal is kept here; the push service's own thread reads the
//! requests back in order, when there is room, and processes just these items again. The
//! decisions come out the same, because they stand in the database under the item's id, and so
//! do the notifications' ids.
//!
//! The order is kept within a lane: what comes later goes behind what is parked.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use journal::Journal;
use model::{Lane, Notification, Provider, Receipt};
use parking_lot::{Condvar, Mutex, MutexGuard};
use prometheus_client::metrics::gauge::Gauge;

/// Of this many turns one belongs to the bulk lane first, as in the queues.
const TURNS_PER_BULK: usize = 8;

/// Everything that is parked; shared by the processor threads, the doors and the parkers.
pub struct Parking {
    journal: Arc<dyn Journal>,
    /// Beyond so many items the doors are told to take nothing.
    limit: usize,
    /// Items in all lots; written with every lot's change.
    count: AtomicUsize,
    gauge: Gauge,
    /// One for each provider, in the order of [`Provider::ALL`].
    lots: [Lot; Provider::ALL.len()],
}

/// What is parked for one push service.
#[derive(Default)]
struct Lot {
    waiting: Mutex<Waiting>,
    /// Rung when something is parked, and at the stop.
    bell: Condvar,
}

#[derive(Default)]
struct Waiting {
    urgent: VecDeque<Parked>,
    bulk: VecDeque<Parked>,
    turns: usize,
    stopped: bool,
}

impl Waiting {
    fn lane(&mut self, lane: Lane) -> &mut VecDeque<Parked> {
        match lane {
            Lane::Urgent => &mut self.urgent,
            Lane::Bulk => &mut self.bulk,
        }
    }

    /// The lane whose turn it is, if anything is parked.
    fn next_lane(&mut self) -> Option<Lane> {
        if self.urgent.is_empty() && self.bulk.is_empty() {
            return None;
        }
        self.turns += 1;
        let bulk_first = self.turns.is_multiple_of(TURNS_PER_BULK);
        let bulk = !self.bulk.is_empty() && (bulk_first || self.urgent.is_empty());
        Some(if bulk { Lane::Bulk } else { Lane::Urgent })
    }
}

/// One item's notifications through one push service.
pub(crate) struct Parked {
    /// Its request, and a share in it.
    pub(crate) receipt: Receipt,
    /// Its place in the request.
    pub(crate) index: u32,
}

/// Where the newly parked go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Behind the others.
    Back,
    /// Before the others: they had their turn already.
    Front,
}

impl Parking {
    /// Room for `limit` items, which are read back from `journal`.
    #[must_use]
    pub fn new(journal: Arc<dyn Journal>, limit: usize, gauge: Gauge) -> Self {
        Self {
            journal,
            limit,
            count: AtomicUsize::new(0),
            gauge,
            lots: Default::default(),
        }
    }

    /// Whether so much is parked that nothing more should be accepted. What is accepted already
    /// is parked all the same; the request queue bounds it.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.count.load(Ordering::Relaxed) >= self.limit
    }

    /// Lets the parkers end; what is parked stays in the journal.
    pub(crate) fn stop(&self) {
        for lot in &self.lots {
            lot.waiting.lock().stopped = true;
            lot.bell.notify_all();
        }
    }

    pub(crate) fn journal(&self) -> &dyn Journal {
        &*self.journal
    }

    /// Whether something is parked that later notifications must stay behind.
    pub(crate) fn is_waiting(&self, provider: Provider, lane: Lane) -> bool {
        !self.lot(provider).waiting.lock().lane(lane).is_empty()
    }

    /// Parks what did not fit, item by item; the notifications themselves are given up.
    pub(crate) fn park(&self, provider: Provider, left: Vec<Notification>, end: End) {
        let mut parked: Vec<(Lane, Parked)> = Vec::new();
        let mut last = None;
        for notification in left {
            let Notification {
                item,
                lane,
                receipt,
                ..
            } = notification;
            if last == Some(item) {
                // The item's first notification keeps the share.
                receipt.settle();
                continue;
            }
            last = Some(item);
            let index = item.index;
            parked.push((lane, Parked { receipt, index }));
        }
        let lot = self.lot(provider);
        let mut waiting = lot.waiting.lock();
        self.changed(parked.len(), usize::saturating_add);
        match end {
            End::Back => {
                for (lane, parked) in parked {
                    waiting.lane(lane).push_back(parked);
                }
            }
            End::Front => {
                for (lane, parked) in parked.into_iter().rev() {
                    waiting.lane(lane).push_front(parked);
                }
            }
        }
        drop(waiting);
        lot.bell.notify_one();
    }

    /// Puts items back that could not be handled.
    pub(crate) fn put_back(&self, provider: Provider, lane: Lane, items: Vec<Parked>) {
        let mut waiting = self.lot(provider).waiting.lock();
        self.changed(items.len(), usize::saturating_add);
        for parked in items.into_iter().rev() {
            waiting.lane(lane).push_front(parked);
        }
    }

    /// The next items of a lane, as many as `room` says that there is room for; `None` at the
    /// stop. While there is no room it is asked again every `pause`.
    pub(crate) fn take(
        &self,
        provider: Provider,
        pause: Duration,
        room: impl Fn(Lane, usize) -> usize,
    ) -> Option<(Lane, Vec<Parked>)> {
        let lot = self.lot(provider);
        let mut waiting = lot.waiting.lock();
        loop {
            if waiting.stopped {
                return None;
            }
            let Some(lane) = waiting.next_lane() else {
                lot.bell.wait(&mut waiting);
                continue;
            };
            let room = room(lane, waiting.lane(lane).len());
            if room > 0 {
                return Some((lane, self.take_out(waiting, lane, room)));
            }
            Self::wait(lot, &mut waiting, pause);
        }
    }

    /// Waits for `pause`, or for the stop; false at the stop.
    pub(crate) fn pause(&self, provider: Provider, pause: Duration) -> bool {
        let lot = self.lot(provider);
        let mut waiting = lot.waiting.lock();
        Self::wait(lot, &mut waiting, pause);
        !waiting.stopped
    }

    fn wait(lot: &Lot, waiting: &mut MutexGuard<'_, Waiting>, pause: Duration) {
        let until = Instant::now() + pause;
        lot.bell
            .wait_while_until(waiting, |waiting| !waiting.stopped, until);
    }

    fn take_out(
        &self,
        mut waiting: MutexGuard<'_, Waiting>,
        lane: Lane,
        room: usize,
    ) -> Vec<Parked> {
        let lane = waiting.lane(lane);
        let taken: Vec<Parked> = lane.drain(..room.min(lane.len())).collect();
        if lane.is_empty() {
            // What an outage of hours had filled is given back.
            lane.shrink_to(1024);
        }
        self.changed(taken.len(), usize::saturating_sub);
        taken
    }

    fn changed(&self, items: usize, change: fn(usize, usize) -> usize) {
        let update = |count| Some(change(count, items));
        let before = self
            .count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, update)
            .unwrap_or_default();
        let now = change(before, items);
        self.gauge.set(i64::try_from(now).unwrap_or(i64::MAX));
    }

    fn lot(&self, provider: Provider) -> &Lot {
        let place = Provider::ALL.iter().position(|known| *known == provider);
        &self.lots[place.expect("ALL has every provider")]
    }
}

impl fmt::Debug for Parking {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Parking({} items)",
            self.count.load(Ordering::Relaxed)
        )
    }
}
