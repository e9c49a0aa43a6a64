//! What makes "accepted" mean "kept": the journal behind the doors, and the marks behind the
//! notification log.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use anyhow::Context;
use journal::{Durability, FileJournal, Finisher, Journal, JournalConfig, NoJournal, Unfinished};
use model::{MetricName, Request};
use processor::Parking;
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};
use queue::Producer;
use servlet::Admission;
use tracing::{error, info, warn};

use crate::telemetry;

/// The journal, or nothing in its place.
pub(super) struct Keeping {
    pub(super) journal: Arc<dyn Journal>,
    file: Option<FileKeeping>,
}

struct FileKeeping {
    journal: Arc<FileJournal>,
    finisher: Arc<Finisher>,
    /// While what an earlier run left is fed to the processor.
    replaying: Arc<AtomicBool>,
    /// Set at the stop.
    stopping: Arc<AtomicBool>,
    unfinished: Option<Unfinished>,
    replay: Option<JoinHandle<()>>,
    replayed: Counter,
}

impl Keeping {
    /// Opens the journal if there is to be one. `flush_log` makes the notification log durable.
    pub(super) fn open(
        config: &JournalConfig,
        registry: &mut Registry,
        flush_log: impl FnMut() -> io::Result<()> + Send + 'static,
    ) -> anyhow::Result<Self> {
        if config.durability == Durability::Memory {
            return Ok(Self {
                journal: Arc::new(NoJournal),
                file: None,
            });
        }
        let metrics = journal::Metrics::register(registry);
        let (journal, unfinished) = FileJournal::open(config, metrics)
            .context("cannot open the journal, see journal_path in section [RequestProcessor]")?;
        let journal = Arc::new(journal);
        let replayed = Counter::default();
        telemetry::register(registry, MetricName::RequestsReplayed, replayed.clone());
        let finisher = Finisher::start(Arc::<FileJournal>::clone(&journal), flush_log);
        Ok(Self {
            journal: Arc::<FileJournal>::clone(&journal),
            file: Some(FileKeeping {
                journal,
                finisher: Arc::new(finisher),
                replaying: Arc::new(AtomicBool::new(unfinished.requests() > 0)),
                stopping: Arc::new(AtomicBool::new(false)),
                unfinished: Some(unfinished),
                replay: None,
                replayed,
            }),
        })
    }

    /// Whether requests survive a crash.
    pub(super) fn is_durable(&self) -> bool {
        self.file.is_some()
    }

    /// Who passes finished requests on to the journal.
    pub(super) fn finisher(&self) -> Option<Arc<Finisher>> {
        self.file.as_ref().map(|file| Arc::clone(&file.finisher))
    }

    /// Where items are parked that find a sender queue full.
    pub(super) fn parking(&self, limit: usize, registry: &mut Registry) -> Option<Arc<Parking>> {
        self.file.as_ref()?;
        let gauge = Gauge::default();
        telemetry::register(registry, MetricName::ParkedItems, gauge.clone());
        let journal = Arc::clone(&self.journal);
        Some(Arc::new(Parking::new(journal, limit, gauge)))
    }

    /// Feeds what an earlier run left unfinished to the processor, in order, on a thread of its
    /// own. Until then nothing new is admitted.
    pub(super) fn replay(&mut self, requests: &Producer<Request>) {
        let Some(file) = &mut self.file else {
            return;
        };
        let Some(unfinished) = file.unfinished.take().filter(|left| left.requests() > 0) else {
            return;
        };
        info!(
            requests = unfinished.requests(),
            "processing what the last run had not finished"
        );
        let feed = Feed {
            requests: requests.clone(),
            stopping: Arc::clone(&file.stopping),
            replaying: Arc::clone(&file.replaying),
            replayed: file.replayed.clone(),
        };
        let thread = thread::Builder::new()
            .name("replay".to_owned())
            .spawn(move || feed.run(unfinished))
            .expect("the operating system gives a thread at start");
        file.replay = Some(thread);
    }

    /// Whether the doors may take requests.
    pub(super) fn admission(&self, parking: Option<Arc<Parking>>) -> Admission {
        let replaying = self.replaying();
        Arc::new(move || {
            if replaying.load(Ordering::Relaxed) {
                return Err("what the last run has left is processed first");
            }
            if parking.as_ref().is_some_and(|parking| parking.is_full()) {
                return Err("too many notifications wait for their push service");
            }
            Ok(())
        })
    }

    /// What keeps the doors from taking requests, for whoever asks whether they are ready.
    pub(super) fn obstacle(&self) -> Arc<dyn Fn() -> Option<&'static str> + Send + Sync> {
        let replaying = self.replaying();
        let journal = self.file.as_ref().map(|file| Arc::clone(&file.journal));
        Arc::new(move || {
            if replaying.load(Ordering::Relaxed) {
                return Some("replaying the journal");
            }
            let is_open = journal.as_ref().is_none_or(|journal| journal.is_open());
            (!is_open).then_some("the journal cannot be written")
        })
    }

    fn replaying(&self) -> Arc<AtomicBool> {
        match &self.file {
            Some(file) => Arc::clone(&file.replaying),
            None => Arc::default(),
        }
    }

    /// Whether the threads run; `None` where there are none.
    pub(super) fn pulse(&self) -> Option<impl Fn() -> bool + Send + Sync + use<>> {
        let file = self.file.as_ref()?;
        // Weak: whoever asks keeps nothing open.
        let journal = Arc::downgrade(&file.journal);
        let finisher = Arc::downgrade(&file.finisher);
        Some(move || {
            journal.upgrade().is_none_or(|journal| journal.is_running())
                && finisher
                    .upgrade()
                    .is_none_or(|finisher| finisher.is_running())
        })
    }

    /// To be called before the stages are stopped: a replay ends with the request it is at.
    pub(super) fn stop_replay(&self) {
        if let Some(file) = &self.file {
            file.stopping.store(true, Ordering::Relaxed);
        }
    }

    /// Writes the last marks and closes the journal; whether all is written in time.
    pub(super) fn stop(self, deadline: Instant) -> bool {
        let Some(file) = self.file else {
            return true;
        };
        // Closed in any case, and half of the time is for that: a journal that was not closed is
        // repaired at the next start.
        let time_left = deadline.saturating_duration_since(Instant::now());
        let marked = file.finisher.stop(deadline - time_left / 2);
        let closed = file.journal.stop(deadline);
        let in_time = marked && closed;
        let left = file.journal.depth();
        if left > 0 {
            info!(
                requests = left,
                "unfinished requests are in the journal, the next start goes on with them"
            );
        }
        if !in_time {
            warn!(
                "the journal's last marks were not written in time: the next start may send some notifications again"
            );
        }
        in_time
    }
}

/// The thread that feeds the processor.
struct Feed {
    requests: Producer<Request>,
    stopping: Arc<AtomicBool>,
    replaying: Arc<AtomicBool>,
    replayed: Counter,
}

impl Feed {
    fn run(self, unfinished: Unfinished) {
        for batch in unfinished {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    error!(error, "the rest of the journal waits for the next start");
                    break;
                }
            };
            for request in batch {
                let (lane, items, bytes) = (request.lane, request.items.len(), request.bytes());
                let Ok(permit) = self.requests.reserve(lane, items, bytes) else {
                    return;
                };
                if self.stopping.load(Ordering::Relaxed) {
                    return;
                }
                permit.send(request);
                self.replayed.inc();
            }
        }
        self.replaying.store(false, Ordering::Relaxed);
        info!("the doors take requests");
    }
}
