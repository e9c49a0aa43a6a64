//! The processor threads: take a batch, fold it through storage, send what comes of it.
//!
//! A database that is away, or cannot be written, is waited for: what was accepted is not given
//! up. A batch that the database refuses while it serves others is taken apart, so that one
//! poisonous request costs itself only.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use model::{
    Clock, FinishedRequests, ItemId, MessageId, Notification, NotificationId, Provider, Receipt,
    Request, RequestId, UnixMs,
};
use queue::{Consumer, Pulse, Taken, Workers};
use storage::{Storage, StorageError};
use tracing::{error, info, warn};

use crate::{
    EndReason, Ended, EventConfig, Metrics, Observer, Outlets, Parking, RequestProcessorConfig,
    Route,
    dispatch::From,
    last_sent::{LastSent, Sending},
    order::Order,
    outage::Outage,
    parker::Parker,
    plan::{self, Draft, Recording},
    playbook::Playbooks,
    scope,
};

/// Items of a batch, more or less: whole requests are taken until there are as many.
pub(crate) const BATCH_ITEMS: usize = 500;
/// Tries of a batch that a living database refuses.
const TRIES: u32 = 3;
/// Waits between tries double from the first to the last.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// What the processor works with; everything is passed in.
#[derive(Clone)]
pub struct Stages {
    /// Users, devices, messages, cooldowns.
    pub storage: Storage,
    /// Where notifications go.
    pub outlets: Outlets,
    /// Told when everything that came of a request has ended.
    pub finished: Arc<dyn FinishedRequests>,
    /// The time.
    pub clock: Clock,
    /// Counters.
    pub metrics: Metrics,
    /// The events with a built-in meaning.
    pub events: EventConfig,
    /// Shown every end without a notification.
    pub observer: Option<Observer>,
    /// How long the time of a sending without a cooldown may stay unwritten.
    pub last_sent_interval: Duration,
}

/// The running threads.
pub struct Processor {
    workers: Workers,
    recorder: Workers,
    parking: Option<Arc<Parking>>,
    parkers: Workers,
    /// Dropped to make threads take nothing more, and give up waiting for the database.
    stop: Sender<()>,
}

impl Processor {
    /// Starts the threads. They end when the queue's producers are gone and it is empty.
    #[must_use]
    pub fn start(
        queue: &Consumer<Request>,
        config: &RequestProcessorConfig,
        stages: Stages,
    ) -> Self {
        let (last_sent, recorder) =
            LastSent::start(stages.storage.clone(), stages.last_sent_interval);
        let (stop, stopped) = bounded(0);
        let panics = stages.metrics.panics.clone();
        let playbooks = Arc::new(Playbooks::new(stages.storage.clone()));
        let parking = stages.outlets.parking.clone();
        let worker = Worker {
            stages,
            playbooks,
            last_sent,
            stopped,
        };
        let parkers = start_parkers(&worker);
        let workers = Workers::spawn(
            "processor",
            usize::try_from(config.request_processor_num_threads.get()).unwrap_or(usize::MAX),
            queue,
            BATCH_ITEMS,
            &panics,
            move || {
                let worker = worker.clone();
                move |batch: &mut Vec<Taken<Request>>| worker.process(batch)
            },
        );
        Self {
            workers,
            recorder,
            parking,
            parkers,
            stop,
        }
    }

    /// Whether the threads run, by what they do.
    #[must_use]
    pub fn pulses(&self) -> [(&'static str, Pulse); 3] {
        [
            ("processor", self.workers.pulse()),
            ("parked items", self.parkers.pulse()),
            ("last-sent", self.recorder.pulse()),
        ]
    }

    /// Waits until the queue is empty and all of it is processed; what is parked is left to the
    /// journal at once. At `deadline` nothing more is taken, threads that wait for the database
    /// give up, and the answer is false: work was left.
    #[must_use]
    pub fn join_until(self, deadline: Instant) -> bool {
        if let Some(parking) = &self.parking {
            parking.stop();
        }
        let drained = self.workers.join_until(deadline);
        drop(self.stop);
        // What a database that hangs keeps is left: these times and decisions are no loss.
        let parked = self.parkers.join_until(deadline);
        let recorded = self.recorder.join_until(deadline);
        drained && parked && recorded
    }
}

/// Starts a thread for each push service that items may be parked for.
fn start_parkers(worker: &Worker) -> Workers {
    let outlets = &worker.stages.outlets;
    let routes = [
        (Provider::Apns, &outlets.apns),
        (Provider::Fcm, &outlets.fcm),
        (Provider::WebPush, &outlets.web_push),
    ];
    let mut parkers = Vec::new();
    for (provider, route) in routes {
        if let (Route::Queue(queue), Some(parking)) = (route, &outlets.parking) {
            let parker = Parker {
                provider,
                queue: queue.clone(),
                parking: Arc::clone(parking),
                worker: worker.clone(),
                last: None,
            };
            parkers.push((format!("parked-{provider}"), move || parker.run()));
        }
    }
    Workers::start("parked items", parkers)
}

/// What every thread that processes works with.
#[derive(Clone)]
pub(crate) struct Worker {
    stages: Stages,
    playbooks: Arc<Playbooks>,
    last_sent: LastSent,
    stopped: Receiver<()>,
}

impl Worker {
    fn process(&self, batch: &mut Vec<Taken<Request>>) {
        if self.stopped.try_recv() == Err(TryRecvError::Disconnected) {
            // The time is over: their receipts were never opened, a journal brings them again.
            info!(requests = batch.len(), "stopping, requests are left");
            return;
        }
        // The slots go at once: the queue's depth is what waits, not what is worked on.
        let requests: Vec<Request> = batch.drain(..).map(|taken| taken.value).collect();
        let all: Vec<Order<'_>> = requests.iter().map(Order::whole).collect();
        self.process_all(&all);
    }

    /// Processes the orders, as one batch if the database takes it. False when the program stops
    /// before they are done.
    pub(crate) fn process_all(&self, all: &[Order<'_>]) -> bool {
        self.stages.metrics.batches.inc();
        match self.process_together(all) {
            Processed::Done => return true,
            Processed::Stopped => return false,
            Processed::Refused => {}
        }
        if let [order] = all {
            self.give_up(order);
            return true;
        }
        warn!(
            requests = all.len(),
            "the database refuses a batch, processing its requests one by one"
        );
        for order in all {
            match self.process_together(std::slice::from_ref(order)) {
                Processed::Done => {}
                Processed::Stopped => return false,
                Processed::Refused => self.give_up(order),
            }
        }
        true
    }

    /// Processes the orders as one batch. An outage is waited for, however long it lasts.
    fn process_together(&self, orders: &[Order<'_>]) -> Processed {
        let mut wait = FIRST_WAIT;
        let mut refusals = 0;
        let mut outage = None;
        loop {
            let Err(error) = self.try_together(orders) else {
                return Processed::Done;
            };
            if self.stages.storage.is_away(&error) {
                let held_up = &self.stages.metrics.held_up;
                outage
                    .get_or_insert_with(|| Outage::begin(held_up))
                    .warn(&error, wait);
            } else {
                refusals += 1;
                let error: &dyn std::error::Error = &error;
                if refusals == TRIES {
                    error!(error, "the database refuses a batch");
                    return Processed::Refused;
                }
                warn!(error, "the database refuses a batch, trying again");
            }
            // Only disconnection ends the wait early: the program stops and leaves the work.
            if self.stopped.recv_timeout(wait)
                == Err(crossbeam_channel::RecvTimeoutError::Disconnected)
            {
                info!(
                    requests = orders.len(),
                    "stopping without the database, requests are left"
                );
                return Processed::Stopped;
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    fn try_together(&self, orders: &[Order<'_>]) -> Result<(), StorageError> {
        let now = self.stages.clock.now();
        let playbook = self.playbooks.newest();
        let prepared = scope::prepare(orders, &playbook, &self.stages.events);
        let applied = prepared.requests_with_effects();
        let mut ended = prepared.ended;
        let mut drafts = Vec::new();
        if !prepared.work.is_empty() {
            let folded = self
                .stages
                .storage
                .fold(&prepared.scope, |users| plan::plan(&prepared.work, users))?;
            ended.extend(folded.result.ended);
            for draft in folded.result.drafts {
                let message = draft.content.message;
                let won = draft.recording != Recording::Claimed
                    || folded.won.contains(draft.login, message, draft.item);
                if won {
                    drafts.push(draft);
                } else {
                    ended.push(Ended {
                        item: draft.item,
                        login: draft.login,
                        message,
                        reason: EndReason::CoolingDown,
                    });
                }
            }
        }
        // From here on nothing can fail: what the database has decided is carried out.
        if orders.iter().any(|order| order.part.is_some()) {
            // What ended beside a parked notification was shown when it was parked.
            let sent: HashSet<ItemId> = drafts.iter().map(|draft| draft.item).collect();
            ended.retain(|ended| !sent.contains(&ended.item));
        }
        self.show(&ended);
        self.mark_effects(&applied, &drafts);
        self.send(orders, drafts, now);
        Ok(())
    }

    /// What sends nothing is finished at once. The rest may be in the journal for hours, and must
    /// not be applied again when it comes back.
    fn mark_effects(&self, applied: &[RequestId], drafts: &[Draft<'_>]) {
        if applied.is_empty() {
            return;
        }
        let sending: HashSet<RequestId> = drafts.iter().map(|draft| draft.item.request).collect();
        for request in applied.iter().filter(|request| sending.contains(request)) {
            let effects = NotificationId::of_effects(*request);
            self.stages.finished.ended(*request, effects);
        }
    }

    /// Makes the notifications and sends them, one receipt per request.
    fn send(&self, orders: &[Order<'_>], drafts: Vec<Draft<'_>>, now: UnixMs) {
        let receipts: Vec<Receipt> = orders
            .iter()
            .map(|order| order.receipt(&self.stages.finished))
            .collect();
        let mut sendings: Vec<Sending> = Vec::new();
        let mut notifications = Vec::with_capacity(drafts.len());
        // Drafts stand in the order of their requests, so the receipts are walked along.
        let mut position = 0;
        for draft in drafts {
            while orders[position].request.id != draft.item.request {
                position += 1;
            }
            if draft.recording == Recording::Afterwards {
                sendings.push((draft.login, draft.content.message, now));
            }
            address(
                draft,
                &orders[position],
                &receipts[position],
                &mut notifications,
            );
        }
        self.last_sent.record(sendings);
        let from = if orders.iter().any(|order| order.part.is_some()) {
            From::Parking
        } else {
            From::Doors
        };
        let made = notifications.len();
        let parked = self.stages.outlets.dispatch(notifications, from, now);
        let metrics = &self.stages.metrics;
        metrics.notifications.inc_by((made - parked) as u64);
        for receipt in receipts {
            receipt.settle();
        }
    }

    /// The request is lost to the pipeline; it is counted item by item and settled.
    fn give_up(&self, order: &Order<'_>) {
        let request = order.request;
        error!(request = %request.id, items = request.items.len(), "giving a request up");
        let ended: Vec<Ended> = request
            .items
            .iter()
            .enumerate()
            .filter(|(index, _)| order.has_item(*index))
            .map(|(index, item)| Ended {
                item: request.item_id(index),
                login: match item {
                    model::Item::Event(event) => event.login,
                    model::Item::Notification(direct) => direct.login,
                },
                message: MessageId::DIRECT,
                reason: EndReason::StorageFailed,
            })
            .collect();
        self.show(&ended);
        order.receipt(&self.stages.finished).settle();
    }

    pub(crate) fn count_panic(&self) {
        self.stages.metrics.panics.inc();
    }

    fn show(&self, ended: &[Ended]) {
        for end in ended {
            self.stages.metrics.count(end);
            if let Some(observer) = &self.stages.observer {
                observer(end);
            }
        }
    }
}

/// Adds one notification per device, but none that has ended before.
fn address(
    draft: Draft<'_>,
    order: &Order<'_>,
    receipt: &Receipt,
    notifications: &mut Vec<Notification>,
) {
    let Draft {
        item,
        request,
        login,
        content,
        addresses,
        expires_at,
        recording: _,
    } = draft;
    for (platform, token) in addresses {
        let id = NotificationId::derive(item, content.message, &token);
        if !order.sends(id, platform) {
            continue;
        }
        notifications.push(Notification {
            id,
            item,
            app: request.app,
            lane: request.lane,
            accepted_at: request.accepted_at,
            created_at: request.accepted_at,
            expires_at,
            login,
            platform,
            token,
            content: Arc::clone(&content),
            receipt: receipt.clone(),
        });
    }
}

/// How a batch ended.
enum Processed {
    /// All of it is done.
    Done,
    /// The program stops; nothing of it is done.
    Stopped,
    /// The database refuses it for good.
    Refused,
}
