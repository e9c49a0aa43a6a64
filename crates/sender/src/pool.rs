//! The connections to one push service, all on the sender's thread.
//!
//! In: how much is waiting, what the connections say. Out: a stream for the next request.
//! The pool grows while everything it has is full and shrinks slowly when it is idle. The one
//! rule: no stream is opened beyond what the peer allows at that moment, and none on a
//! connection that is on its way out.

mod frame_watch;

mod connection;

mod exchange;

mod member;

mod noticed;

#[cfg(fuzzing)]
pub(crate) mod fuzzing {
    //! What the fuzz targets reach of this module's inside.

    pub(crate) use super::frame_watch::goaway;
}

use std::{future, panic::resume_unwind, sync::Arc, task::Context, time::Duration};

use bytes::Bytes;
use http::Request;
use model::Lane;
use tokio::{sync::Notify, task::JoinSet, time::Instant};
use tracing::{info, warn};

use crate::{
    metrics::ProviderMetrics,
    provider::{Provider, Reason},
    retry::BackOff,
};
pub(crate) use connection::PingTimes;
use connection::{ConnectError, Loss, Opened};
use exchange::Place;
pub(crate) use exchange::{Ended, Exchange, Lost};
use member::{Connection, State};
pub(crate) use noticed::Noticed;
use noticed::{CLOSED, SENT_AWAY, SILENT, with_causes};

/// Surplus connections are closed one at a time, with this part of the time in which they are
/// idle between them.
const SURPLUS_CHECK_PART: u32 = 4;

/// Which connection; never used twice.
pub(crate) type ConnectionId = u64;

/// How the pool behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolLimits {
    /// Open connections at most; those on their way out do not count.
    pub(crate) connections_at_most: usize,
    /// An unanswered connection is given up after so long.
    pub(crate) request_timeout: Duration,
    /// Between attempts to connect.
    pub(crate) reconnect: BackOff,
    /// Signs of life.
    pub(crate) pings: PingTimes,
    /// A surplus connection is closed when it has been idle for so long.
    pub(crate) surplus_idle: Duration,
}

/// Something that happened to a connection.
pub(crate) enum Event {
    Opened(ConnectionId, Result<Box<Opened>, ConnectError>),
    Closed(ConnectionId, Result<(), Loss>),
}

/// What an ended exchange says about its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// It answers, and takes our credential.
    Good,
    /// Nothing can be said.
    Unclear,
    /// It broke.
    Broken,
    /// It did not answer in time.
    Silent,
    /// It said that it is on its way out.
    Leaving,
}

/// See the module's text.
pub(crate) struct Pool<P> {
    provider: Arc<P>,
    limits: PoolLimits,
    connections: Vec<Connection>,
    tasks: JoinSet<Event>,
    /// Signalled by connections that were told something.
    pub(crate) news: Arc<Notify>,
    next_id: ConnectionId,
    /// Connections in a row that were of no use.
    failures: u32,
    /// No attempt to connect before this.
    not_before: Instant,
    next_surplus_check: Instant,
    noticed: Noticed,
    metrics: ProviderMetrics,
}

impl<P: Provider> Pool<P> {
    pub(crate) fn new(provider: Arc<P>, limits: PoolLimits, metrics: ProviderMetrics) -> Self {
        let now = Instant::now();
        Self {
            provider,
            limits,
            connections: Vec::new(),
            tasks: JoinSet::new(),
            news: Arc::default(),
            next_id: 1,
            failures: 0,
            not_before: now,
            next_surplus_check: now,
            noticed: Noticed::default(),
            metrics,
        }
    }

    /// The next thing that happens to a connection. Cancelling it loses nothing.
    pub(crate) async fn event(&mut self) -> Event {
        match self.tasks.join_next().await {
            Some(Ok(event)) => event,
            Some(Err(error)) => resume_unwind(error.into_panic()),
            None => future::pending().await,
        }
    }

    /// Takes note of `event`.
    pub(crate) fn happened(&mut self, event: Event) {
        match event {
            Event::Opened(id, Ok(opened)) => self.opened(id, *opened),
            // Begun for another credential; nobody waits for it.
            Event::Opened(id, Err(_)) if self.place_of(id).is_none() => {}
            Event::Opened(id, Err(error)) => {
                self.connections.retain(|connection| connection.id != id);
                let error: &dyn std::error::Error = &error;
                if self.failures == 0 {
                    warn!(provider = %self.provider.provider(), error, "the push service cannot be reached, notifications wait");
                }
                self.failed(with_causes(error).into());
            }
            Event::Closed(id, result) => {
                self.hear_goaways();
                if let Some(place) = self.place_of(id) {
                    if let State::Open { .. } = self.connections[place].state {
                        self.lost(place, result.as_ref().err());
                    }
                    self.connections.swap_remove(place);
                }
            }
        }
        self.count();
    }

    /// Looks for connections that were told to go.
    pub(crate) fn hear_goaways(&mut self) {
        for place in 0..self.connections.len() {
            let State::Open { shared, .. } = &self.connections[place].state else {
                continue;
            };
            let Some(goaway) = shared.heard.goaway() else {
                continue;
            };
            let provider = self.provider.provider();
            let says = String::from_utf8_lossy(&goaway.debug_data);
            info!(%provider, code = goaway.code, says = %says.escape_debug(), "the push service asks for another connection");
            let word = self.provider.credential_in_goaway(&goaway.debug_data);
            let useless = !self.connections[place].proven;
            self.leave(place);
            if word.is_some() {
                self.noticed.credential = word;
                self.put_off();
            } else if useless {
                self.failed(SENT_AWAY);
            }
        }
    }

    /// What was told since the last call.
    pub(crate) fn take_noticed(&mut self) -> Option<Noticed> {
        self.noticed.take()
    }

    /// Opens no stream on the connections that are there; each ends with its last answer.
    pub(crate) fn leave_all(&mut self) {
        for place in 0..self.connections.len() {
            if let State::Open { .. } = self.connections[place].state {
                self.leave(place);
            }
        }
    }

    /// Opens new connections with `provider`; those that are there end with their last answer.
    pub(crate) fn replace_provider(&mut self, provider: Arc<P>) {
        self.leave_all();
        let connections = &mut self.connections;
        connections.retain(|connection| !matches!(connection.state, State::Opening));
        self.provider = provider;
        self.failures = 0;
        self.not_before = Instant::now();
        self.noticed = Noticed::default();
    }

    /// The connection on which `lane` may open a stream now.
    pub(crate) fn pick(&mut self, context: &mut Context<'_>, lane: Lane) -> Option<usize> {
        let gated = self.provider.first_request_alone();
        self.connections
            .iter_mut()
            .position(|connection| connection.room(gated, lane) && connection.is_ready(context))
    }

    /// Sends a request on the connection that [`Pool::pick`] gave.
    ///
    /// # Errors
    /// With the subject, when the connection is lost: nothing has left.
    pub(crate) fn send<T>(
        &mut self,
        place: usize,
        lane: Lane,
        now: Instant,
        request: Request<()>,
        body: Bytes,
        subject: T,
    ) -> Result<Exchange<T>, T> {
        let deadline = now + self.limits.request_timeout;
        let connection = &mut self.connections[place];
        let State::Open { requests, shared } = &mut connection.state else {
            return Err(subject);
        };
        let place_of_exchange = Place {
            connection: connection.id,
            lane,
            shared: Arc::clone(shared),
            deadline,
        };
        match Exchange::start(requests, place_of_exchange, request, body, subject) {
            Ok(exchange) => {
                if connection.in_flight == 0 {
                    // An idle connection owes no answer; its silence counts from here.
                    connection.last_answer = now;
                }
                connection.change_in_flight(lane, |count| count + 1);
                Ok(exchange)
            }
            Err(subject) => {
                self.lost(place, None);
                Err(subject)
            }
        }
    }

    /// A stream has ended.
    pub(crate) fn ended(&mut self, id: ConnectionId, lane: Lane, health: Health, now: Instant) {
        let Some(place) = self.place_of(id) else {
            return;
        };
        let connection = &mut self.connections[place];
        connection.change_in_flight(lane, |count| count.saturating_sub(1));
        match health {
            Health::Good => {
                connection.last_answer = now;
                if !connection.proven {
                    connection.proven = true;
                    self.proven();
                }
            }
            Health::Unclear => connection.last_answer = now,
            Health::Broken => connection.broken = true,
            Health::Silent => {
                let silent = now.duration_since(connection.last_answer);
                let open = matches!(connection.state, State::Open { .. });
                if open && (!connection.proven || silent >= self.limits.request_timeout) {
                    warn!(provider = %self.provider.provider(), "a connection no longer answers, replacing it");
                    let proven = connection.proven;
                    self.leave(place);
                    if proven {
                        self.noticed.failure(SILENT);
                    } else {
                        self.failed(SILENT);
                    }
                }
            }
            Health::Leaving => {
                let proven = connection.proven;
                self.leave(place);
                if !proven {
                    // A service that sends everybody away at once is not asked in a tight loop.
                    self.failed(SENT_AWAY);
                }
            }
        }
    }

    /// Opens a connection if those there are cannot take more, for requests that wait.
    pub(crate) fn grow(&mut self, now: Instant) {
        // A farewell that has arrived but was not looked at may forbid it.
        self.hear_goaways();
        let usable = self.usable();
        // A connection whose first request is under way may have a thousand streams in a moment.
        let undecided = self
            .connections
            .iter()
            .any(|connection| !connection.is_leaving() && !connection.proven);
        if now < self.not_before || undecided || usable >= self.limits.connections_at_most {
            return;
        }
        let id = self.next_id;
        self.next_id += 1;
        self.connections.push(Connection::opening(id, now));
        let (provider, news, pings) = (
            Arc::clone(&self.provider),
            Arc::clone(&self.news),
            self.limits.pings,
        );
        self.tasks.spawn(async move {
            let tls = Arc::clone(provider.tls());
            let opened = connection::open(provider.endpoint(), tls, news, pings).await;
            Event::Opened(id, opened.map(Box::new))
        });
    }

    /// When [`Pool::grow`] is worth calling again, if it has to wait.
    pub(crate) fn next_attempt(&self, now: Instant) -> Option<Instant> {
        (self.not_before > now && self.usable() == 0).then_some(self.not_before)
    }

    /// Closes one connection that has not been needed for a while, but never the last one.
    pub(crate) fn close_surplus(&mut self, now: Instant) {
        if now < self.next_surplus_check {
            return;
        }
        self.next_surplus_check = now + self.limits.surplus_idle / SURPLUS_CHECK_PART;
        if self.usable() < 2 {
            return;
        }
        let idle = self.connections.iter().rposition(|connection| {
            matches!(connection.state, State::Open { .. })
                && connection.in_flight == 0
                && now.duration_since(connection.last_answer) >= self.limits.surplus_idle
        });
        if let Some(place) = idle {
            info!(provider = %self.provider.provider(), "closing a surplus connection");
            self.leave(place);
        }
    }

    /// When [`Pool::close_surplus`] is worth calling again.
    pub(crate) fn next_surplus_check(&self) -> Option<Instant> {
        (self.usable() > 1).then_some(self.next_surplus_check)
    }

    fn opened(&mut self, id: ConnectionId, opened: Opened) {
        let Some(place) = self.place_of(id) else {
            return;
        };
        info!(provider = %self.provider.provider(), connection = id, "connected to the push service");
        let connection = &mut self.connections[place];
        connection.last_answer = Instant::now();
        connection.state = State::Open {
            requests: opened.requests,
            shared: opened.shared,
        };
        let driver = opened.driver;
        self.tasks
            .spawn(async move { Event::Closed(id, driver.run().await) });
    }

    /// An open connection has ended without having been asked to.
    fn lost(&mut self, place: usize, loss: Option<&Loss>) {
        let provider = self.provider.provider();
        match loss {
            Some(error) => {
                let error: &dyn std::error::Error = error;
                info!(%provider, error, "a connection to the push service was lost");
            }
            None => info!(%provider, "the push service closed a connection"),
        }
        let reason = loss.map_or(CLOSED, |error| with_causes(error).into());
        let connection = &self.connections[place];
        let (proven, broken) = (
            connection.proven,
            connection.broken || connection.in_flight > 0,
        );
        self.leave(place);
        if !proven {
            self.failed(reason);
        } else if broken {
            self.noticed.failure(reason);
        }
    }

    fn leave(&mut self, place: usize) {
        // Dropping the handle for new streams is what lets h2 close it after the last one.
        self.connections[place].state = State::Leaving;
        self.count();
    }

    /// A connection was of no use: the next one waits, and the breaker hears of it.
    fn failed(&mut self, reason: Reason) {
        self.noticed.failure(reason);
        self.put_off();
    }

    fn put_off(&mut self) {
        // At least half of the time, so that a service that is down is left in peace.
        let random = 0.5 + fastrand::f64() / 2.0;
        self.not_before = Instant::now() + self.limits.reconnect.wait(self.failures, random);
        self.failures = self.failures.saturating_add(1);
    }

    fn proven(&mut self) {
        if self.failures > 0 {
            info!(provider = %self.provider.provider(), "the push service can be reached again");
        }
        self.failures = 0;
    }

    fn usable(&self) -> usize {
        let usable = self.connections.iter();
        usable.filter(|connection| !connection.is_leaving()).count()
    }

    fn place_of(&self, id: ConnectionId) -> Option<usize> {
        self.connections
            .iter()
            .position(|connection| connection.id == id)
    }

    fn count(&self) {
        let open = self.connections.iter();
        let open = open.filter(|connection| matches!(connection.state, State::Open { .. }));
        let open = i64::try_from(open.count()).unwrap_or(i64::MAX);
        self.metrics.connections.set(open);
    }
}
