//! A sender with its three queues and a simulator of its own.

use std::{
    future::Future,
    num::{NonZeroU32, NonZeroUsize},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use model::{
    AppId, Clock, Content, DeviceToken, Feedback, FinishedRequests, ItemId, Lane, LoginId,
    MessageId, Notification, NotificationId, Outcome, Platform, Priority, QueueName, Receipt,
    Report, RequestId, UnixMs,
};
use prometheus_client::registry::Registry;
use queue::{Consumer, Limits, Load, PanicCounter, Producer, Taken};
use sender::{BackOff, BreakerSettings, Metrics, PoolSettings, Replaceable, SenderThread};
use simulator::{Action, Endpoint, Received, Refusal, Rule, Service, Simulator};
use tokio::runtime::Runtime;

/// Nothing here takes that long; whatever does has gone wrong.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

struct Nobody;

impl FinishedRequests for Nobody {
    fn ended(&self, _request: RequestId, _notification: NotificationId) {}

    fn finished(&self, _request: RequestId) {}
}

/// See the module's text.
pub(crate) struct Rig {
    pub(crate) simulator: Simulator,
    service: Service,
    queue: Option<Producer<Notification>>,
    reports: Consumer<Report>,
    feedback: Consumer<Feedback>,
    thread: Option<SenderThread>,
    replace: Box<dyn Fn()>,
    metrics: Registry,
    runtime: Runtime,
    next: AtomicU64,
}

/// What a test may change before the start.
pub(crate) struct Setup {
    pub(crate) simulator: simulator::Options,
    pub(crate) settings: PoolSettings,
    pub(crate) apns: Box<dyn FnOnce(&mut sender::apns::Options)>,
    pub(crate) fcm: fn(&mut sender::fcm::Options),
}

impl Default for Setup {
    fn default() -> Self {
        let quick = BackOff {
            base: Duration::from_millis(20),
            cap: Duration::from_millis(100),
        };
        Self {
            simulator: simulator::Options::default(),
            settings: PoolSettings {
                back_off: quick,
                reconnect: quick,
                breaker: BreakerSettings {
                    wait: quick,
                    ..BreakerSettings::default()
                },
                ..PoolSettings::default()
            },
            apns: Box::new(|_| {}),
            fcm: |_| {},
        }
    }
}

impl Setup {
    pub(crate) fn tries(mut self, tries: u32) -> Self {
        self.settings.tries = NonZeroU32::new(tries).unwrap();
        self
    }

    pub(crate) fn connections(mut self, connections: usize) -> Self {
        self.settings.connections_at_most = NonZeroUsize::new(connections).unwrap();
        self
    }

    pub(crate) fn streams(mut self, streams: u32) -> Self {
        self.simulator.apns_max_streams = streams;
        self.simulator.fcm_max_streams = streams;
        self
    }

    pub(crate) fn latency(mut self, latency: Duration) -> Self {
        self.simulator.latency = latency;
        self
    }

    pub(crate) fn start(self, service: Service) -> Rig {
        let simulator = Simulator::start(self.simulator.clone()).unwrap();
        let (queue, notifications) = queue::bounded(QueueName::ApnSender, Limits::items(100_000));
        let (reports_in, reports) = queue::bounded(QueueName::NotificationLog, Limits::items(1));
        let (feedback_in, feedback) =
            queue::bounded(QueueName::PostProcessor, Limits::items(100_000));
        let mut metrics = Registry::default();
        let counters = Metrics::new(&mut metrics, PanicCounter::default());
        let clock = Clock::new(now);
        let ca_pem = Some(simulator.ca_pem().as_bytes().to_vec());
        let replace: Box<dyn Fn()>;
        let thread = match service {
            Service::Apns => {
                let key = simulator.apns_key();
                let mut options = sender::apns::Options {
                    credentials: sender::apns::Credentials::from_p8(
                        key.p8_pem.as_bytes(),
                        &key.key_id,
                        &key.team_id,
                    )
                    .unwrap(),
                    topic: Some(key.topic.clone()),
                    sandbox: false,
                    endpoint: Some(simulator.apns_url()),
                    ca_pem,
                    token_life_at_least: sender::apns::TOKEN_LIFE_AT_LEAST,
                };
                (self.apns)(&mut options);
                let apns = sender::apns::Apns::new(options).unwrap();
                let apns = Replaceable::new(apns);
                let (replaced, key) = (apns.clone(), key.clone());
                let (endpoint, ca_pem) = (simulator.apns_url(), simulator.ca_pem().to_owned());
                replace = Box::new(move || {
                    let again = sender::apns::Options {
                        credentials: sender::apns::Credentials::from_p8(
                            key.p8_pem.as_bytes(),
                            &key.key_id,
                            &key.team_id,
                        )
                        .unwrap(),
                        topic: Some(key.topic.clone()),
                        sandbox: false,
                        endpoint: Some(endpoint.clone()),
                        ca_pem: Some(ca_pem.as_bytes().to_vec()),
                        token_life_at_least: sender::apns::TOKEN_LIFE_AT_LEAST,
                    };
                    replaced.replace(sender::apns::Apns::new(again).unwrap());
                });
                let (reports, feedback) = (reports_in, feedback_in);
                sender::start(
                    apns,
                    notifications,
                    reports,
                    feedback,
                    self.settings,
                    clock,
                    &counters,
                )
            }
            Service::Fcm => {
                let json = simulator.service_account_json();
                let mut options = sender::fcm::Options {
                    credentials: sender::fcm::Credentials::from_service_account(json.as_bytes())
                        .unwrap(),
                    endpoint: Some(simulator.fcm_url()),
                    ca_pem,
                    dry_run: false,
                    base_deeplink_url: "application_name.com".to_owned(),
                    rate_limit_per_sec: None,
                };
                (self.fcm)(&mut options);
                let fcm = sender::fcm::Fcm::new(options).unwrap();
                let fcm = Replaceable::new(fcm);
                let replaced = fcm.clone();
                let (endpoint, ca_pem) = (simulator.fcm_url(), simulator.ca_pem().to_owned());
                replace = Box::new(move || {
                    let again = sender::fcm::Options {
                        credentials: sender::fcm::Credentials::from_service_account(
                            json.as_bytes(),
                        )
                        .unwrap(),
                        endpoint: Some(endpoint.clone()),
                        ca_pem: Some(ca_pem.as_bytes().to_vec()),
                        dry_run: false,
                        base_deeplink_url: "application_name.com".to_owned(),
                        rate_limit_per_sec: None,
                    };
                    replaced.replace(sender::fcm::Fcm::new(again).unwrap());
                });
                let (reports, feedback) = (reports_in, feedback_in);
                sender::start(
                    fcm,
                    notifications,
                    reports,
                    feedback,
                    self.settings,
                    clock,
                    &counters,
                )
            }
            other => panic!("no sender for {other:?}"),
        };
        Rig {
            simulator,
            service,
            queue: Some(queue),
            reports,
            feedback,
            thread: Some(thread.unwrap()),
            replace,
            metrics,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            next: AtomicU64::new(1),
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the test's root: its clock is the system's, because the simulator's is"
)]
fn now() -> UnixMs {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixMs(i64::try_from(since_1970.as_millis()).unwrap())
}

impl Rig {
    pub(crate) fn endpoint(&self) -> &Endpoint {
        match self.service {
            Service::Apns => self.simulator.apns(),
            Service::Fcm => self.simulator.fcm(),
            other => panic!("no endpoint for {other:?}"),
        }
    }

    pub(crate) fn script(&self, rule: Rule) {
        self.simulator.script().add(rule.service(self.service));
    }

    /// Refuses what `rule` says with the service's own words for `refusal`.
    pub(crate) fn refuse(&self, refusal: Kind, change: impl FnOnce(Rule) -> Rule) {
        let refusal = self.refusal(refusal);
        self.script(change(Rule::new(Action::Refuse(refusal))));
    }

    pub(crate) fn refusal(&self, kind: Kind) -> Refusal {
        let (status, reason) = match (self.service, kind) {
            (Service::Apns, Kind::Unregistered) => (410, "Unregistered"),
            (Service::Apns, Kind::Unavailable) => (503, "ServiceUnavailable"),
            (Service::Apns, Kind::Rejected) => (400, "BadMessageId"),
            (Service::Apns, Kind::Misconfigured) => (400, "TopicDisallowed"),
            (_, Kind::Unregistered) => (404, "UNREGISTERED"),
            (_, Kind::Unavailable) => (503, "UNAVAILABLE"),
            (_, Kind::Rejected) => (400, "INVALID_ARGUMENT"),
            (_, Kind::Misconfigured) => (403, "PERMISSION_DENIED"),
        };
        Refusal::new(status, reason)
    }

    /// A notification to a token of 64 hexadecimal digits that begins with `prefix`.
    pub(crate) fn notification(&self, prefix: &str) -> Notification {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let request = RequestId::generate();
        let item = ItemId { request, index: 0 };
        let token = DeviceToken::new(format!(
            "{prefix}{number:0width$x}",
            width = 64 - prefix.len()
        ));
        Notification {
            id: NotificationId::derive(item, MessageId(1), &token),
            item,
            app: AppId::LEGACY,
            lane: Lane::Urgent,
            accepted_at: now(),
            created_at: now(),
            expires_at: now().plus_ms(3_600_000),
            login: LoginId(i64::try_from(number).unwrap()),
            platform: match self.service {
                Service::Apns => Platform::IPHONE,
                _ => Platform::ANDROID,
            },
            token,
            content: Arc::new(Content::pushkin(
                MessageId(7),
                "T",
                "Hello, world",
                "scr1",
                Priority::High,
            )),
            receipt: Receipt::open(request, Arc::new(Nobody)),
        }
    }

    pub(crate) fn queue(&self) -> &Producer<Notification> {
        self.queue.as_ref().expect("the queue is open")
    }

    pub(crate) fn put(&self, notification: Notification) {
        self.queue()
            .try_reserve(notification.lane, 1, 0)
            .unwrap()
            .send(notification);
    }

    pub(crate) fn send(&self, count: usize) {
        for _ in 0..count {
            self.put(self.notification("a0"));
        }
    }

    /// The next `count` reports.
    pub(crate) fn reports(&self, count: usize) -> Vec<Report> {
        self.take(&self.reports, count)
    }

    /// The next report.
    pub(crate) fn report(&self) -> Report {
        self.reports(1).remove(0)
    }

    /// All feedback so far.
    pub(crate) fn feedback(&self) -> Vec<Feedback> {
        let mut taken = Vec::new();
        self.feedback.take_available(&mut taken, usize::MAX);
        taken.into_iter().map(|taken| taken.value).collect()
    }

    fn take<T: Load>(&self, consumer: &Consumer<T>, count: usize) -> Vec<T> {
        let mut all = Vec::new();
        while all.len() < count {
            let mut taken: Vec<Taken<T>> = Vec::new();
            let missing = count - all.len();
            let room = queue::Room {
                urgent: missing,
                bulk: missing,
            };
            let open = self.within(consumer.take_async(&mut taken, room));
            assert!(open, "the sender ended after {} of {count}", all.len());
            all.extend(taken.into_iter().map(|taken| taken.value));
        }
        all
    }

    fn within<T>(&self, future: impl Future<Output = T>) -> T {
        let timed = async { tokio::time::timeout(LIMIT, future).await };
        self.runtime.block_on(timed).expect("it takes too long")
    }

    /// Waits until `condition` holds.
    pub(crate) fn eventually(&self, condition: impl Fn() -> bool) {
        self.within(async {
            let mut looks = tokio::time::interval(Duration::from_millis(5));
            while !condition() {
                looks.tick().await;
            }
        });
    }

    /// Takes the service down, and waits until it refuses connections.
    pub(crate) fn go_offline(&self) {
        self.endpoint().set_online(false);
        self.eventually(|| !self.takes_connections());
    }

    /// Takes the service up again, and waits until it takes connections.
    pub(crate) fn go_online(&self) {
        self.endpoint().set_online(true);
        self.eventually(|| self.takes_connections());
    }

    fn takes_connections(&self) -> bool {
        let url = match self.service {
            Service::Apns => self.simulator.apns_url(),
            _ => self.simulator.fcm_url(),
        };
        std::net::TcpStream::connect(url.strip_prefix("https://").unwrap()).is_ok()
    }

    /// Hands the sender the usual credential as a new one.
    pub(crate) fn replace_credential(&self) {
        (self.replace)();
    }

    /// No more notifications; the sender ends by itself.
    pub(crate) fn finish(&mut self) {
        drop(self.queue.take());
        let thread = self.thread.take().expect("the sender runs");
        assert!(thread.join_until(Instant::now() + LIMIT), "the sender ends");
        let mut left = Vec::new();
        self.reports.take_available(&mut left, usize::MAX);
        assert!(left.is_empty(), "{} reports too many", left.len());
    }

    /// Ends the sender in the midst of things; whether it was done in time.
    pub(crate) fn stop(&mut self, after: Duration) -> bool {
        self.stop_sending(after, after)
    }

    /// Stops the sender, which may send for so long, and then wait for answers until so long;
    /// whether nothing was left.
    pub(crate) fn stop_sending(&mut self, sending: Duration, answers: Duration) -> bool {
        drop(self.queue.take());
        let thread = self.thread.take().expect("the sender runs");
        let now = Instant::now();
        thread.stop_at(sender::StopTimes {
            sending: now + sending,
            answers: now + answers,
        });
        thread.join_until(now + answers + LIMIT)
    }

    /// Sends `count`, and wants each delivered exactly once.
    pub(crate) fn deliver_each_once(&mut self, count: usize) {
        self.send(count);
        self.each_is_delivered_once(count);
    }

    /// Wants `count` reports of delivery, and each token delivered to exactly once.
    pub(crate) fn each_is_delivered_once(&mut self, count: usize) {
        let reports = self.reports(count);
        let lost: Vec<_> = reports
            .iter()
            .filter(|report| report.outcome != Outcome::Delivered)
            .map(|report| (report.outcome, report.reason.clone()))
            .collect();
        assert!(
            lost.is_empty(),
            "{} not delivered: {:?}",
            lost.len(),
            lost.first()
        );
        self.finish();
        let mut tokens: Vec<_> = self
            .endpoint()
            .delivered()
            .into_iter()
            .map(|received| received.token)
            .collect();
        tokens.sort();
        let deliveries = tokens.len();
        tokens.dedup();
        assert_eq!((tokens.len(), deliveries), (count, count), "each once");
        assert_eq!(self.endpoint().counters().violations, 0);
    }

    /// Sends others, one after the other, until one to a token that begins with `prefix` has
    /// ended; its report.
    pub(crate) fn send_others_until_reported(&self, prefix: &str) -> Report {
        loop {
            self.send(1);
            let report = self.report();
            if report.notification.token.as_str().starts_with(prefix) {
                // The other one that was just sent.
                self.reports(1);
                return report;
            }
            assert_eq!(report.outcome, Outcome::Delivered);
        }
    }

    /// The push service as metrics have it.
    pub(crate) fn provider(&self) -> &'static str {
        match self.service {
            Service::Apns => "apns",
            _ => "fcm",
        }
    }

    /// 0 closed, 1 half-open, 2 open.
    pub(crate) fn breaker_state(&self) -> i64 {
        self.metric("sender_breaker_state")
    }

    /// Requests without an answer.
    pub(crate) fn in_flight(&self) -> i64 {
        self.metric("sender_in_flight")
    }

    pub(crate) fn breaker_openings(&self) -> i64 {
        self.metric("sender_breaker_openings_total")
    }

    fn metric(&self, name: &str) -> i64 {
        let start = format!("{name}{{provider=\"{}\"}} ", self.provider());
        let metrics = self.metrics();
        let value = metrics.lines().find_map(|line| line.strip_prefix(&start));
        value.expect("the metric is there").parse().unwrap()
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.endpoint().received()
    }

    /// Connections on which notifications came; access tokens have one of their own.
    pub(crate) fn connections_used(&self) -> usize {
        let received = self.received();
        let mut connections: Vec<_> = received.iter().map(|one| one.connection).collect();
        connections.sort_unstable();
        connections.dedup();
        connections.len()
    }

    /// The metrics' text.
    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.metrics).unwrap();
        text
    }
}

/// A refusal that both services have, in different words.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Unregistered,
    Unavailable,
    Rejected,
    Misconfigured,
}
