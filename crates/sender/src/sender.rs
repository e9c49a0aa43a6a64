//! One push service's sender: a thread, a runtime on it, a loop in that.
//!
//! Everything of a provider happens on one thread: connections, streams, retries. No lock is
//! waited for and no work hops between cores; providers do not share a thread, so the trouble
//! of one stays its own.

mod delivery;

mod ledger;

mod run;

use std::{
    num::{NonZeroU32, NonZeroUsize},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use model::{Clock, Feedback, Notification, Report};
use queue::{Consumer, Producer, Pulse};
use tokio::sync::watch;
use tracing::error;

use crate::{
    Metrics, SenderError,
    breaker::BreakerSettings,
    metrics::ProviderMetrics,
    pool::{PingTimes, PoolLimits},
    provider::Provider,
    replaceable::Replaceable,
    retry::BackOff,
};
use run::Run;

/// Until when a sender that is to end may do what. What it has not done by then is dropped
/// unreported, its receipts unsettled: a journal brings it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopTimes {
    /// Nothing is sent after this; what is in flight is waited for.
    pub sending: Instant,
    /// No answer is waited for after this.
    pub answers: Instant,
}

/// How a sender behaves.
#[derive(Clone, Copy, Debug)]
pub struct PoolSettings {
    /// Connections at most.
    pub connections_at_most: NonZeroUsize,
    /// Notifications that are taken and sent together.
    pub batch_size: NonZeroUsize,
    /// How long a batch is gathered; zero sends at once what is there.
    pub interval: Duration,
    /// How long one try may take.
    pub request_timeout: Duration,
    /// Tries for one notification, the first one included.
    pub tries: NonZeroU32,
    /// Between tries.
    pub back_off: BackOff,
    /// A push service's wish for silence (`Retry-After`, a quota, too many token updates) is
    /// followed for so long at most.
    pub longest_pause: Duration,
    /// When the push service is left alone, and for how long.
    pub breaker: BreakerSettings,
    /// Between attempts to connect; the first one after a good connection is made at once.
    pub reconnect: BackOff,
    /// Between PINGs on a connection with open streams.
    pub ping_busy: Duration,
    /// Between PINGs on an idle connection; Apple asks for about one an hour.
    pub ping_idle: Duration,
    /// A connection beside others is closed when it has been idle for so long.
    pub surplus_idle: Duration,
    /// Whether, once the queue's producers are gone, what waits for a later try or a closed
    /// breaker is dropped unreported at once: a journal brings it again.
    pub leaves_what_waits: bool,
}

impl Default for PoolSettings {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connections_at_most: NonZeroUsize::new(4).expect("4 is not 0"),
            batch_size: NonZeroUsize::new(500).expect("500 is not 0"),
            interval: Duration::ZERO,
            request_timeout: seconds(20),
            tries: NonZeroU32::new(3).expect("3 is not 0"),
            back_off: BackOff {
                base: seconds(1),
                cap: seconds(15 * 60),
            },
            longest_pause: seconds(60 * 60),
            reconnect: BackOff {
                base: seconds(1),
                cap: seconds(60),
            },
            breaker: BreakerSettings::default(),
            ping_busy: seconds(60),
            ping_idle: seconds(60 * 60),
            surplus_idle: seconds(60),
            leaves_what_waits: false,
        }
    }
}

impl PoolSettings {
    fn limits(&self) -> PoolLimits {
        PoolLimits {
            connections_at_most: self.connections_at_most.get(),
            request_timeout: self.request_timeout,
            reconnect: self.reconnect,
            surplus_idle: self.surplus_idle,
            pings: PingTimes {
                busy: self.ping_busy,
                idle: self.ping_idle,
            },
        }
    }
}

/// What every loop of a sender works with; a loop that panicked is followed by another one.
struct Parts<P> {
    provider: Replaceable<P>,
    queue: Consumer<Notification>,
    reports: Producer<Report>,
    feedback: Producer<Feedback>,
    settings: PoolSettings,
    clock: Clock,
    metrics: ProviderMetrics,
    /// Set once, when the sender is to end.
    stop: watch::Receiver<Option<StopTimes>>,
}

/// Starts the sender of `provider`, which holds one app's credential: `queue` must bring that
/// app's notifications only. Whoever keeps a clone of it can replace the credential.
///
/// # Errors
/// When the operating system has no thread to give.
#[allow(
    clippy::too_many_arguments,
    reason = "the ends of three queues and what the root configures: a list of parts to wire"
)]
pub fn start<P: Provider>(
    provider: Replaceable<P>,
    queue: Consumer<Notification>,
    reports: Producer<Report>,
    feedback: Producer<Feedback>,
    settings: PoolSettings,
    clock: Clock,
    metrics: &Metrics,
) -> Result<SenderThread, SenderError> {
    let name = provider.current().provider();
    let (stop, stopped) = watch::channel(None);
    let parts = Parts {
        provider,
        queue,
        reports,
        feedback,
        settings,
        clock,
        metrics: metrics.of(name),
        stop: stopped,
    };
    let (ending, ended) = mpsc::channel::<()>();
    let (pulse, beat) = Pulse::of(1);
    let thread = thread::Builder::new()
        .name(format!("{name}-sender"))
        .spawn(move || {
            let left = supervise(&parts);
            drop(parts);
            drop((ending, beat));
            left
        })
        .map_err(SenderError::Thread)?;
    Ok(SenderThread {
        provider: name,
        thread,
        ended,
        stop,
        pulse,
    })
}

/// Runs the loop until it ends by itself; a panic costs what it had in hand. The number of
/// notifications that were left when it was stopped.
fn supervise<P: Provider>(parts: &Parts<P>) -> usize {
    loop {
        // Unwind safety: a new loop starts with nothing of the old one but the queues' ends.
        if let Ok(left) = catch_unwind(AssertUnwindSafe(|| run_once(parts))) {
            return left;
        }
        error!(
            provider = %parts.provider.current().provider(),
            "the sender panicked; what it had taken is unfinished, it goes on with the rest"
        );
        parts.metrics.panics.inc();
    }
}

fn run_once<P: Provider>(parts: &Parts<P>) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the operating system gives an event queue at start");
    let left = runtime.block_on(Run::new(parts).until_done());
    // Not by dropping it: that would wait for a name server that does not answer.
    runtime.shutdown_background();
    left
}

/// A running sender.
#[derive(Debug)]
pub struct SenderThread {
    provider: model::Provider,
    /// Gives the number of notifications that were left.
    thread: JoinHandle<usize>,
    /// Disconnected when the thread has ended; nothing is ever sent.
    ended: Receiver<()>,
    stop: watch::Sender<Option<StopTimes>>,
    pulse: Pulse,
}

impl SenderThread {
    /// Whose sender this is.
    #[must_use]
    pub fn provider(&self) -> model::Provider {
        self.provider
    }

    /// Whether the thread runs.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Tells the sender when it is to end. It ends earlier, once its queue's producers are gone
    /// and all it held has been reported.
    pub fn stop_at(&self, times: StopTimes) {
        self.stop.send_replace(Some(times));
    }

    /// Waits for the end. Returns false when notifications were left, whose number is logged, or
    /// when the thread has not ended at `deadline`.
    #[must_use]
    pub fn join_until(self, deadline: Instant) -> bool {
        let time_left = deadline.saturating_duration_since(Instant::now());
        if self.ended.recv_timeout(time_left) == Err(RecvTimeoutError::Timeout) {
            return false;
        }
        self.thread.join().map_or_else(
            |_| {
                error!("a sender's thread ended by a panic outside its loop");
                false
            },
            |left| left == 0,
        )
    }
}

/// A notification to `token`, alive for an hour, for the tests of this crate.
#[cfg(test)]
pub(crate) fn test_notification(platform: model::Platform, token: &str) -> Notification {
    use std::sync::Arc;

    use model::{
        AppId, Content, DeviceToken, FinishedRequests, ItemId, Lane, LoginId, MessageId,
        NotificationId, Priority, Receipt, RequestId, UnixMs,
    };

    struct Nobody;
    impl FinishedRequests for Nobody {
        fn ended(&self, _request: RequestId, _notification: NotificationId) {}

        fn finished(&self, _request: RequestId) {}
    }

    let request = RequestId::generate();
    let item = ItemId { request, index: 0 };
    let token = DeviceToken::new(token);
    Notification {
        id: NotificationId::derive(item, MessageId(1), &token),
        item,
        app: AppId::LEGACY,
        lane: Lane::Urgent,
        accepted_at: UnixMs(0),
        created_at: UnixMs(0),
        expires_at: UnixMs(0),
        login: LoginId(1),
        platform,
        token,
        content: Arc::new(Content::pushkin(
            MessageId(1),
            "T",
            "Hello, world",
            "scr1",
            Priority::Normal,
        )),
        receipt: Receipt::open(request, Arc::new(Nobody)),
    }
}
