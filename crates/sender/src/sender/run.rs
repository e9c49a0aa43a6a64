//! The loop: take a batch, open streams, collect answers, wait for whatever comes next.
//!
//! What has been taken out of the queue is in exactly one place: gathered for a batch, ready for
//! a stream, in flight, or delayed. At most one batch is gathered and ready beyond what retries
//! bring; the rest waits in the queue, where its lanes work. There is no task per push: the loop
//! owns all exchanges and polls those that were woken.

mod settle;

mod stop;

mod trouble;

use std::{
    collections::VecDeque,
    future::poll_fn,
    num::NonZeroU32,
    panic::resume_unwind,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use model::{Lane, Notification, Outcome};
use queue::{Consumer, Room, Taken};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    Parts, PoolSettings, StopTimes,
    delivery::{Delivery, Ready},
    ledger::Ledger,
};
use crate::{
    breaker::{Allowed, Breaker},
    delay_queue::DelayQueue,
    metrics::ProviderMetrics,
    pool::{Ended, Event, Exchange, Pool},
    provider::{Prepared, Provider, Reason},
    rate::RateLimit,
    replaceable::Replaceable,
};

/// Answers that are handled before new streams are opened again.
const ANSWERS_AT_ONCE: usize = 256;

type InFlight = FuturesUnordered<Exchange<Box<Delivery>>>;

/// See the module's text.
pub(super) struct Run<P> {
    source: Replaceable<P>,
    /// What is in use of `source`.
    provider: Arc<P>,
    queue: Consumer<Notification>,
    settings: PoolSettings,
    ledger: Ledger,
    metrics: ProviderMetrics,
    stop: watch::Receiver<Option<StopTimes>>,
    pool: Pool<P>,
    rate: Option<RateLimit>,
    breaker: Breaker,
    /// Nothing is taken out of the queue any more: its producers are gone.
    closed: bool,
    /// Just taken; empty between rounds.
    taken: Vec<Taken<Notification>>,
    gathered: VecDeque<Box<Delivery>>,
    /// When the gathered batch is sent even if it is not full.
    gathered_until: Option<Instant>,
    ready: Ready,
    in_flight: InFlight,
    delayed: DelayQueue<Box<Delivery>>,
    /// Just ended; empty between rounds.
    ended: Vec<Ended<Box<Delivery>>>,
    /// The whole provider is left alone until then, because it asked for that.
    paused_until: Instant,
    /// When the rate limit lets the next request through.
    rate_opens_at: Option<Instant>,
    /// When late requests and expired notifications are looked for next.
    next_sweep: Instant,
    /// Notifications let go of because the time for the stop was over.
    left: usize,
}

/// Why the loop woke up.
enum Woken {
    Stop,
    Answers,
    Pool(Event),
    News,
    Authorized,
    Queue { open: bool },
    Replaced,
    Time,
}

/// Why the loop ended.
enum Done {
    /// There is nothing left to do.
    All,
    /// There is another credential to go on with.
    Replaced,
}

impl<P: Provider> Run<P> {
    pub(super) fn new(parts: &Parts<P>) -> Self {
        let provider = parts.provider.current();
        let metrics = parts.metrics.clone();
        let now = Instant::now();
        Self {
            source: parts.provider.clone(),
            queue: parts.queue.clone(),
            settings: parts.settings,
            ledger: Ledger::new(
                provider.provider(),
                parts.reports.clone(),
                parts.feedback.clone(),
                metrics.feedback_dropped.clone(),
                parts.clock.clone(),
            ),
            stop: parts.stop.clone(),
            pool: Pool::new(
                Arc::clone(&provider),
                parts.settings.limits(),
                metrics.clone(),
            ),
            rate: rate_limit(provider.as_ref(), now),
            breaker: Breaker::new(parts.settings.breaker),
            closed: false,
            taken: Vec::new(),
            gathered: VecDeque::new(),
            gathered_until: None,
            ready: Ready::default(),
            in_flight: InFlight::new(),
            delayed: DelayQueue::new(),
            ended: Vec::new(),
            paused_until: now,
            rate_opens_at: None,
            next_sweep: now,
            left: 0,
            provider,
            metrics,
        }
    }

    /// Works until the queue has ended and everything that came from it, too, or until the time
    /// for the stop is over; how many notifications were let go of for that.
    pub(super) async fn until_done(mut self) -> usize {
        loop {
            let (provider, clock) = (Arc::clone(&self.provider), self.ledger.clock());
            let mut keeper = tokio::spawn(provider.keep_authorized(clock, self.metrics.clone()));
            let kept = async {
                match (&mut keeper).await {
                    // With a certificate there is nothing to keep.
                    Ok(()) => std::future::pending().await,
                    Err(error) => resume_unwind(error.into_panic()),
                }
            };
            let done = tokio::select! {
                done = self.work() => done,
                never = kept => never,
            };
            keeper.abort();
            match done {
                Done::All => return self.left,
                Done::Replaced => self.take_over(),
            }
        }
    }

    async fn work(&mut self) -> Done {
        loop {
            self.look_at_the_clock(Instant::now());
            self.heed_stop(Instant::now());
            poll_fn(|context| {
                self.open_streams(context);
                Poll::Ready(())
            })
            .await;
            if self.closed && self.settings.leaves_what_waits {
                self.leave_what_waits();
            }
            self.show();
            if self.closed && self.held() == 0 {
                return Done::All;
            }
            match self.wait().await {
                Woken::Answers => self.settle_answers(),
                Woken::Pool(event) => self.pool.happened(event),
                Woken::News => self.pool.hear_goaways(),
                Woken::Queue { open } => self.gather(open),
                Woken::Authorized => self.heed_denial(),
                Woken::Replaced => return Done::Replaced,
                Woken::Stop | Woken::Time => {}
            }
            self.heed_pool();
        }
    }

    async fn wait(&mut self) -> Woken {
        let now = Instant::now();
        let wake_at = self.wake_at(now);
        let room = self.room(now);
        let authorization = self.provider.authorization();
        let news = Arc::clone(&self.pool.news);
        tokio::select! {
            biased;
            Ok(()) = self.stop.changed() => Woken::Stop,
            () = self.source.replaced() => Woken::Replaced,
            () = answers(&mut self.in_flight, &mut self.ended) => Woken::Answers,
            event = self.pool.event() => Woken::Pool(event),
            () = news.notified() => Woken::News,
            () = authorization.changed.notified() => Woken::Authorized,
            open = self.queue.take_async(&mut self.taken, room), if !room.is_none() => {
                Woken::Queue { open }
            }
            () = sleep_until(wake_at.unwrap_or(now)), if wake_at.is_some() => Woken::Time,
        }
    }

    /// Notifications that may be taken out of the queue now: a batch of each lane, so that a
    /// broadcast that waits for its share of the streams does not hold a player's back. While
    /// everything is held back, batch after batch: their slots go with them.
    fn room(&self, now: Instant) -> Room {
        let batch_size = self.settings.batch_size.get();
        let held_back = self.is_held_back(now);
        let left = |lane| {
            if held_back {
                return batch_size;
            }
            let waiting = self.gathered.len() + self.ready.len_of(lane);
            batch_size.saturating_sub(waiting)
        };
        if self.closed {
            return Room { urgent: 0, bulk: 0 };
        }
        Room {
            urgent: left(Lane::Urgent),
            bulk: left(Lane::Bulk),
        }
    }

    /// Notifications taken and not ended.
    fn held(&self) -> usize {
        self.gathered.len() + self.ready.len() + self.in_flight.len() + self.delayed.len()
    }

    /// The next time at which something is due.
    fn wake_at(&self, now: Instant) -> Option<Instant> {
        let waiting = !self.ready.is_empty();
        let while_waiting = |at: Option<Instant>| at.filter(|_| waiting);
        [
            self.gathered_until,
            self.delayed.next_due(),
            while_waiting(Some(self.paused_until).filter(|until| *until > now)),
            while_waiting(self.rate_opens_at),
            while_waiting(self.pool.next_attempt(now)),
            while_waiting(self.breaker.opens_to_a_probe_at(now)),
            (waiting || !self.in_flight.is_empty()).then_some(self.next_sweep),
            self.pool.next_surplus_check(),
            self.next_stop_time(now),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn look_at_the_clock(&mut self, now: Instant) {
        while let Some(mut delivery) = self.delayed.pop_due(now) {
            let tries = self.settings.tries.get();
            match delivery.settle_break(&self.breaker, tries) {
                Some(word) => {
                    self.ledger
                        .end(delivery, Outcome::ConnectionFailed, Reason::Borrowed(word));
                }
                // Behind the others: one that breaks every connection must not be the first on
                // each new one.
                None if delivery.broke.is_some() => self.ready.push(delivery),
                None => self.ready.push_first(delivery),
            }
        }
        let full = self.gathered.len() >= self.settings.batch_size.get();
        let due = self.gathered_until.is_some_and(|until| until <= now);
        if full || due || self.closed {
            self.gathered_until = None;
            for delivery in self.gathered.drain(..) {
                self.ready.push(delivery);
            }
        }
        if self.next_sweep <= now {
            // Coarse on purpose: one look at all of them instead of a timer for each.
            let pause = (self.settings.request_timeout / 8).min(Duration::from_secs(1));
            self.next_sweep = now + pause;
            for exchange in self.in_flight.iter_mut() {
                exchange.give_up_if_late(now);
            }
            for delivery in self.ready.take_expired(self.ledger.now()) {
                self.ledger
                    .end(delivery, Outcome::Expired, Reason::Borrowed(""));
            }
        }
        self.pool.close_surplus(now);
    }

    fn gather(&mut self, open: bool) {
        self.closed = !open;
        let at_once = self.settings.interval.is_zero();
        let wall = self.ledger.now();
        for taken in self.taken.drain(..) {
            let delivery = Delivery::new(taken);
            if delivery.is_expired(wall) {
                self.ledger
                    .end(delivery, Outcome::Expired, Reason::Borrowed(""));
            } else if at_once {
                self.ready.push(delivery);
            } else {
                self.gathered.push_back(delivery);
            }
        }
        if !self.gathered.is_empty() && self.gathered_until.is_none() {
            self.gathered_until = Some(Instant::now() + self.settings.interval);
        }
    }

    /// Sends what is ready, as far as there are streams.
    fn open_streams(&mut self, context: &mut Context<'_>) {
        let now = Instant::now();
        self.rate_opens_at = None;
        if self.ready.is_empty() || self.paused_until > now {
            return;
        }
        let Some(bearer) = self.provider.authorization().usable() else {
            return;
        };
        let mut allowed: usize = match self.breaker.allows(now) {
            Allowed::Everything => usize::MAX,
            Allowed::OneProbe => 1,
            Allowed::Nothing => return,
        };
        let wall = self.ledger.now();
        let mut bulk_is_blocked = false;
        while allowed > 0
            && let Some(lane) = self.ready.next_lane(bulk_is_blocked)
        {
            let Some(place) = self.pool.pick(context, lane) else {
                match lane {
                    Lane::Urgent => break,
                    Lane::Bulk => bulk_is_blocked = true,
                }
                continue;
            };
            if let Some(Err(opens_at)) = self.rate.as_mut().map(|rate| rate.take(now)) {
                self.rate_opens_at = Some(opens_at);
                return;
            }
            let Some(mut delivery) = self.ready.pop(lane) else {
                break;
            };
            let notification = &delivery.notification;
            match self
                .provider
                .prepare(notification, bearer.header.as_ref(), wall)
            {
                Prepared::End { outcome, reason } => {
                    self.ledger.end(delivery, outcome, Reason::Borrowed(reason));
                }
                Prepared::Send { request, body } => {
                    delivery.generation = bearer.generation;
                    delivery.stamp = self.breaker.stamp();
                    match self.pool.send(place, lane, now, request, body, delivery) {
                        Ok(exchange) => {
                            self.breaker.sent();
                            allowed -= 1;
                            self.in_flight.push(exchange);
                        }
                        Err(delivery) => self.ready.push_first(delivery),
                    }
                }
            }
        }
        if allowed > 0 && !self.ready.is_empty() {
            self.pool.grow(now);
        }
    }

    fn show(&self) {
        let number = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.in_flight.set(number(self.in_flight.len()));
        self.metrics.delayed.set(number(self.delayed.len()));
        self.metrics.breaker_state.set(self.breaker.gauge());
    }
}

fn rate_limit<P: Provider>(provider: &P, now: Instant) -> Option<RateLimit> {
    let per_sec: NonZeroU32 = provider.rate_limit_per_sec()?;
    Some(RateLimit::new(per_sec, now))
}

/// Moves ended exchanges over, waiting for the first one. Cancelling it loses nothing.
async fn answers(in_flight: &mut InFlight, ended: &mut Vec<Ended<Box<Delivery>>>) {
    poll_fn(|context| {
        while ended.len() < ANSWERS_AT_ONCE {
            match in_flight.poll_next_unpin(context) {
                Poll::Ready(Some(one)) => ended.push(one),
                // None: nothing is in flight, so nothing can end before the next round.
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        if ended.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
}
