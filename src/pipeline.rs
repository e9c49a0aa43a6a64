//! The pipeline, wired: the one place that knows who is at the other end of each queue.
//!
//! ```text
//!  doors ──▶ request queue ──▶ processor threads ──▶ sender queues ──▶ senders ──▶ APNs, FCM
//!    │                           │      ▲                                │  │
//!    │ depths, metrics           ▼      │                                │  └─▶ post-processor queue ─▶ storage
//!    ▼                         storage ─┘                                ▼
//!  monitoring                                           notification log queue ─▶ notifications.csv
//! ```
//!
//! It is built from the last stage to the first, because each stage is handed the producer end
//! of the queue it feeds. It is stopped from the first to the last: a stage ends when the
//! producers of its queue are gone and the queue is empty, so ownership is the drain protocol.

mod access;

mod durability;

mod reload;

mod senders;

mod stop_plan;

mod vital_signs;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use feedback::PostProcessor;
use journal::Durability;
use model::{Clock, MetricName, QueueName, Request};
use notification_log::NotificationLog;
use processor::{LAST_SENT_INTERVAL, Observer, Outlets, Processor, Route, Stages};
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};
use queue::{Limits, Monitor, PanicCounter, QueueCollector, WhenFull, bounded};
use sender::{PoolSettings, SenderThread, apns};
use servlet::{Depth, Depths, Doors, Intake, Server};
use storage::{OpenOptions, Storage};
use tokio::runtime::Runtime;
use tracing::{error, info};

pub(crate) use self::senders::refused_settings;
pub use self::vital_signs::VitalSigns;
use self::{durability::Keeping, reload::Reloadable, senders::Wiring, stop_plan::StopPlan};
use crate::{
    Credentials, FinishedCount, config::Config, enabled_senders, finished::Finished, telemetry, tls,
};

/// Feedback that may wait; beyond it the newest is dropped and counted, the next push repairs it.
const FEEDBACK_LIMIT: usize = 100_000;
/// Ends that processor threads may have waiting for the log. Senders' reports are bounded by the
/// sender queues.
const REPORT_LIMIT: usize = 100_000;

/// The last word about settings.
pub type Change<T> = Box<dyn Fn(&mut T)>;

/// Who looks over the pipeline's shoulder, and who may not have the time that push services are
/// given otherwise: the demo and the tests.
#[derive(Default)]
pub struct Hooks {
    /// Shown every end without a notification.
    pub ended: Option<Observer>,
    /// Shown every end of a notification, after its line is in the log.
    pub reported: Option<notification_log::Observer>,
    /// Has the last word about each sender's settings.
    pub sender_settings: Option<Change<PoolSettings>>,
    /// Has the last word about what is not configured of APNs.
    pub apns_options: Option<Change<apns::Options>>,
    /// How long the time of a sending without a cooldown may stay unwritten.
    pub last_sent_interval: Option<Duration>,
    /// The time, instead of the system's.
    pub clock: Option<Clock>,
    /// Feedback about tokens that may wait, instead of 100,000.
    pub feedback_limit: Option<usize>,
}

/// A running pipeline.
pub struct Pipeline {
    /// The doors' runtime: the only place where client connections are served.
    doors: Runtime,
    server: Server,
    reloadable: Reloadable,
    processor: Processor,
    senders: Vec<SenderThread>,
    post_processor: PostProcessor,
    notification_log: NotificationLog,
    keeping: Keeping,
    storage: Storage,
    finished: Arc<FinishedCount>,
    monitors: Vec<Monitor>,
}

impl Pipeline {
    /// Starts every stage.
    ///
    /// # Errors
    /// When the database, a file, a port or a push service's address cannot be used; the text
    /// names it.
    pub fn start(config: &Config, credentials: Credentials, hooks: Hooks) -> anyhow::Result<Self> {
        let clock = hooks.clock.unwrap_or_else(telemetry::system_clock);
        let tls = tls::open(&config.server, clock.now())?;
        let mut registry = telemetry::registry();
        let panics = PanicCounter::default();
        telemetry::register(&mut registry, MetricName::WorkerPanics, panics.clone());
        let finished = Arc::new(FinishedCount::register(&mut registry));
        let durability = config.request_processor.journal.durability;
        let storage = open_storage(config, durability, &clock, &mut registry)?;

        // The last stages first: the log, and what is written back.
        let (reports, report_queue) =
            bounded(QueueName::NotificationLog, Limits::items(REPORT_LIMIT));
        let notification_log = notification_log::start(
            &report_queue,
            &config.log,
            &config.server.game,
            &config.server.world_id,
            clock.clone(),
            notification_log::Metrics::register(&mut registry, panics.clone()),
            hooks.reported,
        )
        .context("cannot start the notification log")?;
        drop(report_queue);
        let journal_config = &config.request_processor.journal;
        let mut keeping =
            Keeping::open(journal_config, &mut registry, notification_log.durability())?;
        let feedback_metrics = feedback::Metrics::register(&mut registry, panics.clone());
        let feedback_limit = Limits::items(hooks.feedback_limit.unwrap_or(FEEDBACK_LIMIT));
        let (feedback, feedback_queue) = bounded(QueueName::PostProcessor, feedback_limit);
        let post_processor = feedback::start(&feedback_queue, storage.clone(), &feedback_metrics);
        drop(feedback_queue);

        // Each push service's sender, behind its queue.
        let mut sender_metrics = sender::Metrics::new(&mut registry, panics.clone());
        sender_metrics.feedback_dropped = feedback_metrics.dropped.clone();
        let mut wiring = Wiring {
            config,
            clock: clock.clone(),
            reports: reports.clone(),
            feedback: feedback.clone(),
            metrics: sender_metrics,
            sender_settings: hooks.sender_settings,
            apns_options: hooks.apns_options,
            is_journaled: keeping.is_durable(),
            senders: Vec::new(),
        };
        let enabled = enabled_senders::parse(&config.sender.enabled_senders)
            .context("[Sender] enabled_senders")?;
        let (apns, apns_provider) =
            wiring.apns(enabled.apns, credentials.apns, credentials.apns_ca)?;
        let (fcm, fcm_provider) = wiring.fcm(enabled.fcm, credentials.fcm, credentials.fcm_ca)?;
        let senders = wiring.senders;
        let reloadable = Reloadable {
            tls: tls.clone(),
            apns: apns_provider,
            apns_version: credentials.apns_version,
            fcm: fcm_provider,
            fcm_version: credentials.fcm_version,
        };

        let parking = match config.sender.when_full {
            WhenFull::Block => {
                keeping.parking(config.request_processor.parked_limit, &mut registry)
            }
            WhenFull::Drop => None,
        };
        let outlets = Outlets {
            apns: apns.route,
            fcm: fcm.route,
            web_push: Route::NotConfigured,
            reports: reports.clone(),
            when_full: config.sender.when_full,
            parking: parking.clone(),
        };
        let processor_metrics = processor::Metrics::register(&mut registry, panics);
        let held_up = processor_metrics.held_up.clone();
        let (requests, request_queue) =
            bounded::<Request>(QueueName::Request, request_limits(config));
        let processor = Processor::start(
            &request_queue,
            &config.request_processor,
            Stages {
                storage: storage.clone(),
                outlets,
                finished: Arc::new(Finished {
                    count: Arc::clone(&finished),
                    finisher: keeping.finisher(),
                }),
                clock: clock.clone(),
                metrics: processor_metrics,
                events: config.event.clone(),
                observer: hooks.ended,
                last_sent_interval: hooks.last_sent_interval.unwrap_or(LAST_SENT_INTERVAL),
            },
        );
        drop(request_queue);
        keeping.replay(&requests);

        // The doors come last: nothing is accepted before all of it is there.
        let mut monitors = vec![requests.monitor(), feedback.monitor(), reports.monitor()];
        monitors.extend(apns.monitor.iter().chain(&fcm.monitor).cloned());
        let metrics = servlet::Metrics::register(&mut registry);
        registry.register_collector(Box::new(QueueCollector(monitors.clone())));
        let doors = Doors {
            depths: Depths {
                request: depth(requests.monitor()),
                apn_sender: apns.depth,
                gcm_sender: fcm.depth,
                post_processor: Some(depth(feedback.monitor())),
            },
            intake: Intake {
                queue: requests,
                journal: Arc::clone(&keeping.journal),
                admission: keeping.admission(parking),
                clock,
            },
            readiness: readiness(storage.clone(), held_up, keeping.obstacle()),
            metrics_text: telemetry::exposition(registry),
            metrics,
            access: access::of(&config.server, &storage)?,
            tls,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("doors")
            .enable_all()
            .build()
            .context("cannot start the doors' threads")?;
        let server = runtime
            .block_on(Server::bind(doors, &config.server, &config.paths))
            .context("cannot open the doors")?;
        Ok(Self {
            doors: runtime,
            server,
            reloadable,
            processor,
            senders,
            post_processor,
            notification_log,
            keeping,
            storage,
            finished,
            monitors,
        })
    }

    /// Where the doors listen.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Whether the doors speak TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.reloadable.tls.is_some()
    }

    /// The database.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// How many requests are finished.
    #[must_use]
    pub fn finished(&self) -> &FinishedCount {
        &self.finished
    }

    /// The queues' figures.
    #[must_use]
    pub fn monitors(&self) -> &[Monitor] {
        &self.monitors
    }

    /// Whether every stage's threads run, for whoever wants to know while the pipeline works.
    #[must_use]
    pub fn vital_signs(&self) -> VitalSigns {
        let mut signs = VitalSigns::default();
        signs.add("doors", self.server.pulse());
        for (name, pulse) in self.processor.pulses() {
            signs.add(name, pulse);
        }
        for sender in &self.senders {
            signs.add(sender.provider().as_str(), sender.pulse());
        }
        // Without a sender nobody has anything to tell it: it has ended on purpose.
        if !self.senders.is_empty() {
            signs.add("post-processor", self.post_processor.pulse());
        }
        signs.add("notification log", self.notification_log.pulse());
        if let Some(pulse) = self.keeping.pulse() {
            signs.add_asked("journal", pulse);
        }
        signs.add_asked("catalogue", self.storage.follower());
        signs
    }

    /// Stops accepting and drains the stages in the order of the path, within `limit` for all of
    /// them; `stop_plan` says what each may take of it. False when work is lost, which is logged
    /// and counted: with a journal nothing is, what could not be sent in time is there.
    #[must_use]
    pub fn stop(self, limit: Duration) -> bool {
        let plan = StopPlan::within(limit);
        info!(
            limit_sec = limit.as_secs_f64(),
            "stopping: no new requests, draining"
        );
        self.keeping.stop_replay();
        let durable = self.keeping.is_durable();
        // Told now, so that one that is late does not keep the others sending.
        for sender in &self.senders {
            sender.stop_at(plan.senders());
        }
        let drain = self.server.drain(plan.until_sent());
        let answered = self.doors.block_on(drain).unanswered == 0;
        self.doors.shutdown_background();
        // Each stage lets go of the next one's queue when it ends; every one is asked, also when
        // an earlier one was late.
        let mut drained = self.processor.join_until(plan.sent) && answered;
        for sender in self.senders {
            drained &= sender.join_until(plan.written);
        }
        drained &= self.post_processor.join_until(plan.written);
        drained &= self.notification_log.join_until(plan.written);
        for monitor in &self.monitors {
            let (queue, left) = (monitor.name(), monitor.depth());
            match left {
                0 => {}
                _ if durable => info!(%queue, left, "stopping with work left to the journal"),
                _ => error!(%queue, left, "stopping with work left"),
            }
        }
        self.keeping.stop(plan.end);
        drained || durable
    }
}

fn open_storage(
    config: &Config,
    durability: Durability,
    clock: &Clock,
    registry: &mut Registry,
) -> anyhow::Result<Storage> {
    let storage = Storage::open(
        &config.database,
        OpenOptions {
            processor_threads: config.request_processor.request_processor_num_threads.get()
                + access::look_ups_at_once(&config.server),
            // A commit that a finished request rests on must be as durable as the journal.
            durable: durability == Durability::Journal,
            clock: clock.clone(),
        },
    )?;
    storage.register_metrics(registry);
    Ok(storage)
}

/// 0 is no limit, as it was in Pushkin.
fn request_limits(config: &Config) -> Limits {
    let unless_zero = |limit: usize| if limit == 0 { usize::MAX } else { limit };
    Limits {
        items: unless_zero(config.request_processor.queue_limit),
        bytes: unless_zero(
            config
                .request_processor
                .queue_limit_mb
                .saturating_mul(1 << 20),
        ),
    }
}

/// Ready while the database answers and holds no batch up, and the journal takes requests; the
/// doors stay open meanwhile, accepted work waits.
fn readiness(
    storage: Storage,
    held_up: Gauge,
    obstacle: Arc<dyn Fn() -> Option<&'static str> + Send + Sync>,
) -> servlet::Readiness {
    Arc::new(move || {
        if !storage.is_reachable() {
            return Err("the database does not answer".to_owned());
        }
        // A full disk is no reason for it not to answer.
        if held_up.get() > 0 {
            return Err("the database cannot be written".to_owned());
        }
        obstacle().map_or(Ok(()), |obstacle| Err(obstacle.to_owned()))
    })
}

fn depth(monitor: Monitor) -> Depth {
    Arc::new(move || monitor.depth())
}
