//! A push service's own thread for what is parked: reads requests back, hands their items to
//! be processed, as many as there is room for.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use model::{Lane, Notification, Provider, Request, RequestId};
use queue::Producer;
use tracing::error;

use crate::{
    order::{Order, Part},
    parking::{Parked, Parking},
    processor::{BATCH_ITEMS, Worker},
};

/// Between looks for room. Nobody announces room to those who do not block.
const ROOM_PAUSE: Duration = Duration::from_millis(20);
/// Between tries to read from a journal that does not give.
const JOURNAL_PAUSE: Duration = Duration::from_secs(1);
/// A batch is worth its statements when this part of the queue is free.
const WORTHWHILE_PART: usize = 8;

/// See the module's text.
pub(crate) struct Parker {
    pub(crate) provider: Provider,
    pub(crate) queue: Producer<Notification>,
    pub(crate) parking: Arc<Parking>,
    pub(crate) worker: Worker,
    /// The last batch's last request: a large one is read once and not once per batch.
    pub(crate) last: Option<Request>,
}

impl Parker {
    /// Works until the stop.
    pub(crate) fn run(mut self) {
        let parking = Arc::clone(&self.parking);
        let room = {
            let queue = self.queue.clone();
            move |lane, waiting| room(&queue, lane, waiting)
        };
        while let Some((lane, items)) = parking.take(self.provider, ROOM_PAUSE, &room) {
            let left = items.len();
            // Unwind safety: what it had in hand is dropped unsettled, so the journal brings it
            // again, and `last` is only a spared reading.
            let handled = catch_unwind(AssertUnwindSafe(|| self.handle(lane, items)));
            match handled {
                Ok(true) => {}
                Ok(false) => return,
                Err(_) => {
                    error!(
                        provider = %self.provider,
                        left,
                        "processing parked items panicked, they are left to the next start"
                    );
                    self.worker.count_panic();
                    self.last = None;
                }
            }
        }
    }

    /// False at the stop.
    fn handle(&mut self, lane: Lane, items: Vec<Parked>) -> bool {
        let mut requests: HashMap<RequestId, Option<Request>> = HashMap::new();
        for parked in &items {
            let id = parked.receipt.request();
            if requests.contains_key(&id) {
                continue;
            }
            match self.read(id) {
                Ok(request) => requests.insert(id, request),
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    error!(error, "parked items cannot be read back, trying again");
                    self.parking.put_back(self.provider, lane, items);
                    return self.parking.pause(self.provider, JOURNAL_PAUSE);
                }
            };
        }
        let parts = by_request(&items);
        let orders: Vec<Order<'_>> = parts
            .iter()
            .filter_map(|(first, places)| {
                let request = requests.get(&first.receipt.request())?.as_ref()?;
                let part = Part {
                    items: places,
                    provider: self.provider,
                    receipt: &first.receipt,
                };
                Some(Order {
                    request,
                    part: Some(part),
                })
            })
            .collect();
        let done = self.worker.process_all(&orders);
        drop(orders);
        drop(parts);
        let last = items.last().map(|parked| parked.receipt.request());
        if done {
            for parked in items {
                parked.receipt.settle();
            }
        }
        self.last = last.and_then(|last| requests.remove(&last)?);
        done
    }

    fn read(&mut self, id: RequestId) -> Result<Option<Request>, journal::ReadError> {
        match self.last.take() {
            Some(request) if request.id == id => Ok(Some(request)),
            _ => self.parking.journal().read(id),
        }
    }
}

/// Items that are worth taking out now: no more than fit, and not one by one.
fn room(queue: &Producer<Notification>, lane: Lane, waiting: usize) -> usize {
    let free = queue.free(lane).min(BATCH_ITEMS);
    let worthwhile = (queue.limit() / WORTHWHILE_PART)
        .clamp(1, BATCH_ITEMS)
        .min(waiting);
    if free >= worthwhile { free } else { 0 }
}

/// The first parked item of each request, and the places of all, ascending.
fn by_request(items: &[Parked]) -> Vec<(&Parked, Vec<u32>)> {
    let mut places: HashMap<RequestId, usize> = HashMap::new();
    let mut parts: Vec<(&Parked, Vec<u32>)> = Vec::new();
    for parked in items {
        let place = *places.entry(parked.receipt.request()).or_insert_with(|| {
            parts.push((parked, Vec::new()));
            parts.len() - 1
        });
        parts[place].1.push(parked.index);
    }
    for (_, places) in &mut parts {
        places.sort_unstable();
    }
    parts
}
