//! One simulated service as tests and the control API see it.
//!
//! Holds what all connections of a service share: log, counters, latency, the
//! advertised stream limit, and a way to reach each connection. It knows
//! nothing of Apple's or Google's rules.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{mpsc, watch};

use crate::{
    client_certificate::ClientCertificate,
    clock::Clock,
    received::{Log, Logged, Received},
    script::GoAway,
    service::Service,
    simulator::SimulatorError,
};

/// What the test or the control API wants of a live connection.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    GoAway(GoAway),
    MaxStreams(u32),
    Drop,
}

/// Figures of one service since its start, or since [`Endpoint::forget`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Push requests read to their end, whatever became of them.
    pub requests: u64,
    /// Of these, answered 200 and no dry run.
    pub delivered: u64,
    /// Log entries pushed out by the log's bound.
    pub forgotten: u64,
    /// TCP connections accepted.
    pub connections_opened: u64,
    /// Connections open now.
    pub connections_open: u64,
    /// Most streams that were open at once on one HTTP/2 connection.
    pub peak_streams: u32,
    /// Streams opened beyond the advertised limit or before the gate was open.
    pub violations: u64,
    /// Access tokens issued by the OAuth endpoint.
    pub tokens_issued: u64,
}

/// One simulated service; clones are handles on the same.
#[derive(Clone, Debug)]
pub struct Endpoint {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    service: Service,
    log: Log,
    clock: Arc<Clock>,
    /// Written by tests and the control API, read for every request.
    latency_us: AtomicU64,
    max_streams: AtomicU32,
    /// The rest is written by the service's own thread only.
    connections_opened: AtomicU64,
    /// Numbers connections; never set back, unlike the count.
    last_connection: AtomicU64,
    peak_streams: AtomicU32,
    violations: AtomicU64,
    tokens_issued: AtomicU64,
    /// Connections add and remove themselves.
    connections: Mutex<HashMap<u64, mpsc::UnboundedSender<Command>>>,
    /// False while the service pretends to be down.
    online: watch::Sender<bool>,
}

impl Endpoint {
    pub(crate) fn new(
        service: Service,
        clock: Arc<Clock>,
        log_limit: usize,
        latency: Duration,
        max_streams: u32,
    ) -> Self {
        let shared = Shared {
            service,
            log: Log::new(log_limit),
            clock,
            latency_us: AtomicU64::default(),
            max_streams: AtomicU32::new(max_streams),
            connections_opened: AtomicU64::default(),
            last_connection: AtomicU64::default(),
            peak_streams: AtomicU32::default(),
            violations: AtomicU64::default(),
            tokens_issued: AtomicU64::default(),
            connections: Mutex::default(),
            online: watch::Sender::new(true),
        };
        let endpoint = Self {
            shared: Arc::new(shared),
        };
        endpoint.set_latency(latency);
        endpoint
    }

    /// The requests that are still remembered, in the order of their coming.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.received_from(0)
    }

    /// The remembered requests from log position `number` on.
    #[must_use]
    pub fn received_from(&self, number: u64) -> Vec<Received> {
        self.shared.log.from(number)
    }

    /// The remembered requests that reached a device, in the order of their coming.
    #[must_use]
    pub fn delivered(&self) -> Vec<Received> {
        let mut received = self.received();
        received.retain(Received::is_delivered);
        received
    }

    /// Blocks until `count` requests have come, for `limit` at most.
    ///
    /// # Errors
    /// [`SimulatorError::Deadline`] when fewer came. Not for async code: see [`Self::until_received`].
    pub fn wait_for(&self, count: u64, limit: Duration) -> Result<(), SimulatorError> {
        let enough = self.shared.log.wait(limit, |tally| tally.requests >= count);
        self.in_time(enough, count, limit)
    }

    /// Blocks until `count` requests have been delivered, for `limit` at most.
    ///
    /// # Errors
    /// [`SimulatorError::Deadline`] when fewer were. Not for async code: see [`Self::until_delivered`].
    pub fn wait_for_delivered(&self, count: u64, limit: Duration) -> Result<(), SimulatorError> {
        let enough = self
            .shared
            .log
            .wait(limit, |tally| tally.delivered >= count);
        self.in_time(enough, count, limit)
    }

    /// [`Self::wait_for`] for async code.
    ///
    /// # Errors
    /// [`SimulatorError::Deadline`] when fewer came.
    pub async fn until_received(&self, count: u64, limit: Duration) -> Result<(), SimulatorError> {
        let log = &self.shared.log;
        let enough = log.wait_async(limit, |tally| tally.requests >= count).await;
        self.in_time(enough, count, limit)
    }

    /// [`Self::wait_for_delivered`] for async code.
    ///
    /// # Errors
    /// [`SimulatorError::Deadline`] when fewer were.
    pub async fn until_delivered(&self, count: u64, limit: Duration) -> Result<(), SimulatorError> {
        let log = &self.shared.log;
        let enough = log
            .wait_async(limit, |tally| tally.delivered >= count)
            .await;
        self.in_time(enough, count, limit)
    }

    fn in_time(&self, enough: bool, wanted: u64, limit: Duration) -> Result<(), SimulatorError> {
        if enough {
            return Ok(());
        }
        let tally = self.shared.log.tally();
        Err(SimulatorError::Deadline {
            service: self.shared.service,
            wanted,
            limit,
            requests: tally.requests,
            delivered: tally.delivered,
        })
    }

    /// All figures now.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let shared = &self.shared;
        let tally = shared.log.tally();
        Counters {
            requests: tally.requests,
            delivered: tally.delivered,
            forgotten: tally.forgotten,
            connections_opened: shared.connections_opened.load(Ordering::Relaxed),
            connections_open: shared.connections.lock().len() as u64,
            peak_streams: shared.peak_streams.load(Ordering::Relaxed),
            violations: shared.violations.load(Ordering::Relaxed),
            tokens_issued: shared.tokens_issued.load(Ordering::Relaxed),
        }
    }

    /// Empties the log and sets the counts back to 0; connections stay.
    pub fn forget(&self) {
        self.shared.log.clear();
        self.shared.connections_opened.store(0, Ordering::Relaxed);
        self.shared.peak_streams.store(0, Ordering::Relaxed);
        self.shared.violations.store(0, Ordering::Relaxed);
        self.shared.tokens_issued.store(0, Ordering::Relaxed);
    }

    /// Time between a request and its answer when no rule says otherwise.
    #[must_use]
    pub fn latency(&self) -> Duration {
        Duration::from_micros(self.shared.latency_us.load(Ordering::Relaxed))
    }

    /// Sets [`Self::latency`] for the requests from now on.
    pub fn set_latency(&self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.shared.latency_us.store(us, Ordering::Relaxed);
    }

    /// Advertises another `MAX_CONCURRENT_STREAMS`, on open connections by a
    /// SETTINGS frame. A lower limit is enforced from its acknowledgement on.
    pub fn set_max_streams(&self, max_streams: u32) {
        self.shared
            .max_streams
            .store(max_streams, Ordering::Relaxed);
        self.tell_all(&Command::MaxStreams(max_streams));
    }

    /// Drains every open HTTP/2 connection; HTTP/1.1 connections are closed
    /// after the answer that is under way.
    pub fn go_away(&self, go_away: &GoAway) {
        self.tell_all(&Command::GoAway(go_away.clone()));
    }

    /// Drops every open connection without a word.
    pub fn drop_connections(&self) {
        self.tell_all(&Command::Drop);
    }

    /// Takes the service down (connections dropped, new ones refused by the
    /// operating system) or up again, on the same port.
    pub fn set_online(&self, online: bool) {
        self.shared.online.send_replace(online);
        if !online {
            self.drop_connections();
        }
    }

    fn tell_all(&self, command: &Command) {
        for connection in self.shared.connections.lock().values() {
            // A connection that has just ended needs no telling.
            let _ended = connection.send(command.clone());
        }
    }
}

// === what the transports and services use ===

impl Endpoint {
    pub(crate) fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    pub(crate) fn online(&self) -> watch::Receiver<bool> {
        self.shared.online.subscribe()
    }

    pub(crate) fn max_streams(&self) -> u32 {
        self.shared.max_streams.load(Ordering::Relaxed)
    }

    /// Whether log entries are kept, so that making one is worth its cost.
    pub(crate) fn remembers(&self) -> bool {
        self.shared.log.remembers()
    }

    pub(crate) fn log(&self, entry: Received) -> Logged {
        self.shared.log.add(entry)
    }

    pub(crate) fn was_not_processed(&self, logged: Logged) {
        self.shared.log.was_not_processed(logged);
    }

    pub(crate) fn count_peak(&self, streams: u32) {
        self.shared
            .peak_streams
            .fetch_max(streams, Ordering::Relaxed);
    }

    pub(crate) fn count_violation(&self) {
        self.shared.violations.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_token(&self) {
        self.shared.tokens_issued.fetch_add(1, Ordering::Relaxed);
    }

    /// Registers a new connection; it is open until the result is dropped.
    pub(crate) fn connect(&self) -> Connected {
        self.shared
            .connections_opened
            .fetch_add(1, Ordering::Relaxed);
        let number = self.shared.last_connection.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, commands) = mpsc::unbounded_channel();
        self.shared.connections.lock().insert(number, sender);
        Connected {
            endpoint: self.clone(),
            number,
            certificate: None,
            commands,
        }
    }
}

/// An open connection's place in the register.
#[derive(Debug)]
pub(crate) struct Connected {
    endpoint: Endpoint,
    pub(crate) number: u64,
    /// What the client showed in its TLS handshake.
    pub(crate) certificate: Option<Arc<ClientCertificate>>,
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.endpoint.shared.connections.lock().remove(&self.number);
    }
}
