//! One side of the comparison: a sender's thread between a queue that is fed at once and a
//! thread that takes its reports, as the notification log would.

use std::{
    fs,
    num::NonZeroUsize,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use model::{Clock, Feedback, Lane, Notification, Outcome, QueueName, Report};
use prometheus_client::registry::Registry;
use queue::{Consumer, Limits, PanicCounter, Producer, bounded};
use sender::{Metrics, PoolSettings, Provider, Replaceable, SenderThread};

use crate::{cpu_time, notifications::now, simulator::Service};

const LIMIT: Duration = Duration::from_secs(300);
/// Reports that are taken together.
const REPORTS_AT_ONCE: usize = 1000;

/// A running sender.
pub(crate) struct Ours {
    service: Service,
    queue: Producer<Notification>,
    sender: SenderThread,
    log: JoinHandle<()>,
    /// How many reports the log is to take next.
    expect: mpsc::Sender<usize>,
    /// Said when it has them.
    all_there: mpsc::Receiver<()>,
    /// Kept open; nothing comes here.
    _feedback: Consumer<Feedback>,
}

impl Ours {
    pub(crate) fn start<P: Provider>(provider: P, service: Service, connections: usize) -> Self {
        let name = match service {
            Service::Apns => QueueName::ApnSender,
            Service::Fcm => QueueName::GcmSender,
        };
        let (queue, notifications) = bounded(name, Limits::items(1_000_000));
        let (reports_in, reports) = bounded(QueueName::NotificationLog, Limits::items(100_000));
        let (feedback_in, feedback) = bounded(QueueName::PostProcessor, Limits::items(100_000));
        let settings = PoolSettings {
            connections_at_most: NonZeroUsize::new(connections).expect("at least one"),
            ..PoolSettings::default()
        };
        let sender = sender::start(
            Replaceable::new(provider),
            notifications,
            reports_in,
            feedback_in,
            settings,
            Clock::new(now),
            &Metrics::new(&mut Registry::default(), PanicCounter::default()),
        )
        .expect("a thread");
        let (expect, expected) = mpsc::channel();
        let (say, all_there) = mpsc::channel();
        let log = thread::spawn(move || {
            for count in expected {
                take(&reports, count);
                say.send(()).expect("the bench waits");
            }
        });
        Self {
            service,
            queue,
            sender,
            log,
            expect,
            all_there,
            _feedback: feedback,
        }
    }

    /// Delivers them all; the CPU time that the sender's thread took for that.
    pub(crate) fn deliver(&self, notifications: Vec<Notification>) -> Duration {
        let count = notifications.len();
        let permit = self.queue.try_reserve(Lane::Urgent, count, 0);
        let mut permit = permit.expect("room for a million");
        for notification in notifications {
            permit.send_one(notification);
        }
        self.expect.send(count).expect("the log's thread runs");
        let before = self.cpu_time();
        // The sender is woken now, and only now.
        drop(permit);
        self.all_there
            .recv_timeout(LIMIT)
            .expect("all are delivered in time");
        self.cpu_time() - before
    }

    pub(crate) fn end(self) {
        drop((self.queue, self.expect));
        assert!(self.sender.join_until(Instant::now() + LIMIT), "it ends");
        self.log.join().expect("the log's thread has not panicked");
    }

    /// The CPU time so far of the sender's thread, which is found by its name: none before it
    /// has given itself one.
    fn cpu_time(&self) -> Duration {
        let name = match self.service {
            Service::Apns => "apns-sender",
            Service::Fcm => "fcm-sender",
        };
        fs::read_dir("/proc/self/task")
            .expect("Linux lists a process's threads")
            .filter_map(|entry| Some(entry.ok()?.path().to_str()?.to_owned()))
            .find(|task| {
                fs::read_to_string(format!("{task}/comm")).is_ok_and(|comm| comm.trim() == name)
            })
            .map_or(Duration::ZERO, |task| cpu_time(&task))
    }
}

fn take(reports: &Consumer<Report>, count: usize) {
    let (mut left, mut taken) = (count, Vec::new());
    while left > 0 {
        assert!(
            reports.take(&mut taken, left.min(REPORTS_AT_ONCE)),
            "the sender runs"
        );
        left -= taken.len();
        for report in taken.drain(..) {
            assert_eq!(report.value.outcome, Outcome::Delivered);
            report.value.notification.receipt.settle();
        }
    }
}
