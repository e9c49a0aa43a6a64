//! The processor threads: take a batch, fold it through storage, send what comes of it.
//!
//! A database that does not answer is waited for: what was accepted is not given up. A batch
//! that the database refuses while it serves others is taken apart, so that one poisonous
//! request costs itself only.

use std::{
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, bounded};
use model::{
    AppId, Clock, FinishedRequests, MessageId, Notification, NotificationId, Receipt, Request,
    UnixMs,
};
use queue::{Consumer, Taken, Workers};
use storage::{Storage, StorageError};
use tracing::{error, info, warn};

use crate::{
    EndReason, Ended, EventConfig, Metrics, Observer, Outlets, RequestProcessorConfig,
    last_sent::{LastSent, Sending},
    plan::{self, Draft, Recording},
    playbook::Playbooks,
    scope,
};

/// Items of a batch, more or less: whole requests are taken until there are as many.
const BATCH_ITEMS: usize = 500;
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
}

/// The running threads.
pub struct Processor {
    workers: Workers,
    recorder: JoinHandle<()>,
    /// Dropped to make threads that wait for the database give up.
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
        let (last_sent, recorder) = LastSent::start(stages.storage.clone());
        let (stop, stopped) = bounded(0);
        let panics = stages.metrics.panics.clone();
        let playbooks = Arc::new(Playbooks::new(stages.storage.clone()));
        let workers = Workers::spawn(
            "processor",
            usize::try_from(config.request_processor_num_threads.get()).unwrap_or(usize::MAX),
            queue,
            BATCH_ITEMS,
            &panics,
            move || {
                let worker = Worker {
                    stages: stages.clone(),
                    playbooks: Arc::clone(&playbooks),
                    last_sent: last_sent.clone(),
                    stopped: stopped.clone(),
                };
                move |batch: &mut Vec<Taken<Request>>| worker.process(batch)
            },
        );
        Self {
            workers,
            recorder,
            stop,
        }
    }

    /// Waits until the queue is empty and all of it is processed. At `deadline`, threads that
    /// wait for the database give up, and the answer is false: work was left.
    #[must_use]
    pub fn join_until(self, deadline: Instant) -> bool {
        let drained = self.workers.join_until(deadline);
        drop(self.stop);
        if drained && self.recorder.join().is_err() {
            error!("the recorder of sending times ended by a panic");
        }
        drained
    }
}

struct Worker {
    stages: Stages,
    playbooks: Arc<Playbooks>,
    last_sent: LastSent,
    stopped: Receiver<()>,
}

impl Worker {
    fn process(&self, batch: &mut Vec<Taken<Request>>) {
        // The slots go at once: the queue's depth is what waits, not what is worked on.
        let requests: Vec<Request> = batch.drain(..).map(|taken| taken.value).collect();
        let all: Vec<&Request> = requests.iter().collect();
        self.stages.metrics.batches.inc();
        if self.process_together(&all) {
            return;
        }
        if all.len() == 1 {
            return self.give_up(all[0]);
        }
        warn!(
            requests = all.len(),
            "the database refuses a batch, processing its requests one by one"
        );
        for request in all {
            if !self.process_together(&[request]) {
                self.give_up(request);
            }
        }
    }

    /// Processes the requests as one batch. False when the database refuses it for good.
    fn process_together(&self, requests: &[&Request]) -> bool {
        let mut wait = FIRST_WAIT;
        let mut refusals = 0;
        loop {
            match self.try_together(requests) {
                Ok(()) => return true,
                Err(error) => {
                    let alive = self.stages.storage.ping().is_ok();
                    refusals += u32::from(alive);
                    if refusals == TRIES {
                        error!(%error, "the database refuses a batch");
                        return false;
                    }
                    warn!(%error, alive, wait_ms = wait.as_millis(), "a batch failed, trying again");
                }
            }
            // Only disconnection ends the wait early: the program stops and leaves the work.
            if self.stopped.recv_timeout(wait)
                == Err(crossbeam_channel::RecvTimeoutError::Disconnected)
            {
                info!(
                    requests = requests.len(),
                    "stopping without the database, requests are left"
                );
                return true;
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    fn try_together(&self, requests: &[&Request]) -> Result<(), StorageError> {
        let now = self.stages.clock.now();
        let playbook = self.playbooks.newest();
        let prepared = scope::prepare(requests, &playbook, &self.stages.events);
        let mut ended = prepared.ended;
        let mut drafts = Vec::new();
        if !prepared.work.is_empty() {
            let folded = self.stages.storage.fold(&prepared.scope, |users| {
                plan::plan(&prepared.work, users, now)
            })?;
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
        self.show(&ended);
        self.send(requests, drafts, now);
        Ok(())
    }

    /// Makes the notifications and sends them, one receipt per request.
    fn send(&self, requests: &[&Request], drafts: Vec<Draft<'_>>, now: UnixMs) {
        let receipts: Vec<Receipt> = requests
            .iter()
            .map(|request| Receipt::open(request.id, Arc::clone(&self.stages.finished)))
            .collect();
        let mut sendings: Vec<Sending> = Vec::new();
        let mut notifications = Vec::with_capacity(drafts.len());
        // Drafts stand in the order of their requests, so the receipts are walked along.
        let mut position = 0;
        for draft in drafts {
            while requests[position].id != draft.item.request {
                position += 1;
            }
            if draft.recording == Recording::Afterwards {
                sendings.push((draft.login, draft.content.message, now));
            }
            notifications.extend(address(draft, &receipts[position], now));
        }
        self.stages
            .metrics
            .notifications
            .inc_by(notifications.len() as u64);
        self.last_sent.record(sendings);
        self.stages.outlets.dispatch(notifications, now);
        for receipt in receipts {
            receipt.settle();
        }
    }

    /// The request is lost to the pipeline; it is counted item by item and settled.
    fn give_up(&self, request: &Request) {
        error!(request = %request.id, items = request.items.len(), "giving a request up");
        let ended: Vec<Ended> = request
            .items
            .iter()
            .enumerate()
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
        Receipt::open(request.id, Arc::clone(&self.stages.finished)).settle();
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

/// One notification per device.
fn address<'d>(
    draft: Draft<'d>,
    receipt: &'d Receipt,
    now: UnixMs,
) -> impl Iterator<Item = Notification> + 'd {
    let Draft {
        item,
        request,
        login,
        content,
        addresses,
        expires_at,
        recording: _,
    } = draft;
    let app: AppId = request.app;
    addresses
        .into_iter()
        .map(move |(platform, token)| Notification {
            id: NotificationId::derive(item, content.message, &token),
            item,
            app,
            lane: request.lane,
            accepted_at: request.accepted_at,
            created_at: now,
            expires_at,
            login,
            platform,
            token,
            content: Arc::clone(&content),
            receipt: receipt.clone(),
        })
}
