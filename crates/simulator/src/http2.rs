//! One HTTP/2 connection of a simulated service.
//!
//! In comes a TLS stream; out go requests to the [`PushService`] and its
//! answers back, until either side closes. The whole connection is one future:
//! requests cost no task, no channel and no timer of their own, because the
//! simulator must be faster than what is measured against it. Everything that
//! has arrived is read before anything is answered, so that answers leave in
//! large writes.
//!
//! `h2` does the protocol; [`wire`] adds what it cannot do.

mod closing;
mod exchange;
mod frames;
mod streams;
mod wire;

use std::{
    collections::{BinaryHeap, HashMap},
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::{Reason, server};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Sleep,
};

use crate::{
    endpoint::{Command, Connected},
    http2::{
        exchange::{Due, Exchange, Incoming},
        frames::LAST_ID,
        streams::Gate,
        wire::{Wire, WireState},
    },
    service::{Fate, PushService, Served},
};

/// How long a closed connection waits for the peer to close too.
const LINGER: Duration = Duration::from_secs(1);

/// What a service's connections are like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Profile {
    /// One stream until a good credential has been answered.
    pub(crate) one_stream_first: bool,
    /// `MAX_HEADER_LIST_SIZE`.
    pub(crate) max_header_list: u32,
}

/// Serves one connection to its end.
pub(crate) async fn serve<T, S>(
    io: T,
    service: Arc<S>,
    profile: Profile,
    connected: Connected,
) -> Result<(), h2::Error>
where
    T: AsyncRead + AsyncWrite + Unpin,
    S: PushService,
{
    // A client certificate is a credential that every request has.
    let gate = if profile.one_stream_first && connected.certificate.is_none() {
        Gate::Closed
    } else {
        Gate::Open
    };
    let limit = service.endpoint().max_streams();
    let state = Arc::new(Mutex::new(WireState::new(limit, gate)));
    let wire = Wire::new(io, Arc::clone(&state), limit);
    let h2 = server::Builder::new()
        .header_table_size(4096)
        .initial_window_size(65_535)
        .initial_connection_window_size(16 * 1024 * 1024)
        .max_header_list_size(profile.max_header_list)
        // The stream table judges the limit, and the wire writes the real one.
        .max_concurrent_streams(LAST_ID)
        // Clients that give up on many requests at once are under test, not an attack.
        .max_concurrent_reset_streams(10_000)
        .max_pending_accept_reset_streams(10_000)
        .max_local_error_reset_streams(None)
        .handshake(wire)
        .await?;
    let mut connection = Connection {
        h2,
        service,
        connected,
        state,
        incoming: Vec::new(),
        due: BinaryHeap::new(),
        sequence: 0,
        held: HashMap::new(),
        timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
        winding: Winding::No,
        drop_now: false,
        counted_violations: 0,
    };
    poll_fn(|cx| connection.poll(cx)).await
}

/// How far the connection has come in closing.
#[derive(Debug)]
enum Winding {
    No,
    /// The announcement is sent; the real GOAWAY follows the answer to our PING.
    Announced(Vec<u8>),
    /// Streams up to this id are answered, later ones never.
    Draining(u32),
    /// All is said; waiting for the peer to close until the timer fires.
    Closed,
}

struct Connection<T, S> {
    h2: server::Connection<Wire<T>, Bytes>,
    service: Arc<S>,
    connected: Connected,
    state: Arc<Mutex<WireState>>,
    /// Requests whose body is not complete; few, as a rule.
    incoming: Vec<Incoming>,
    /// Answers that wait for their latency, the earliest on top.
    due: BinaryHeap<Due>,
    /// Keeps answers of the same instant in order.
    sequence: u64,
    /// Never to be answered; dropping one would make `h2` reset it.
    held: HashMap<u32, Exchange>,
    timer: Pin<Box<Sleep>>,
    winding: Winding,
    drop_now: bool,
    counted_violations: u64,
}

impl<T, S> Connection<T, S>
where
    T: AsyncRead + AsyncWrite + Unpin,
    S: PushService,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        loop {
            let obeyed = self.obey(cx);
            let (accepted, open) = self.accept(cx)?;
            if !open {
                return Poll::Ready(Ok(()));
            }
            let read = self.read_bodies(cx);
            let answered = self.answer_due(cx);
            self.count();
            if self.drop_now {
                // Answers given before the drop still leave.
                let _last = self.h2.poll_accept(cx);
                return Poll::Ready(Ok(()));
            }
            let wound = self.wind();
            if let Winding::Closed = self.winding
                && !wound
                && self.due.is_empty()
            {
                ready!(self.timer.as_mut().poll(cx));
                return Poll::Ready(Ok(()));
            }
            if !(obeyed || accepted || read || answered || wound) {
                return Poll::Pending;
            }
        }
    }

    fn obey(&mut self, cx: &mut Context<'_>) -> bool {
        let mut obeyed = false;
        while let Poll::Ready(Some(command)) = self.connected.commands.poll_recv(cx) {
            obeyed = true;
            match command {
                Command::GoAway(go_away) => self.go_away(&go_away),
                Command::MaxStreams(limit) => self.state.lock().send_max_streams(limit),
                Command::Drop => self.drop_now = true,
            }
        }
        obeyed
    }

    /// Takes in all new requests; tells whether there were any and whether the connection lives.
    fn accept(&mut self, cx: &mut Context<'_>) -> Result<(bool, bool), h2::Error> {
        let before = self.incoming.len();
        loop {
            match self.h2.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    let exchange = Exchange::new(respond);
                    let id = exchange.id();
                    if self.state.lock().streams.take_refused(id) {
                        exchange.reset(Reason::REFUSED_STREAM);
                    } else if self.is_past_last(id) {
                        self.held.insert(id, exchange);
                    } else {
                        self.incoming.push(Incoming::new(request, exchange));
                    }
                }
                Poll::Ready(Some(Err(error))) => return Err(error),
                Poll::Ready(None) => return Ok((false, false)),
                Poll::Pending => return Ok((self.incoming.len() > before, true)),
            }
        }
    }

    /// Serves every request whose body has come.
    fn read_bodies(&mut self, cx: &mut Context<'_>) -> bool {
        let limit = self.service.body_limit();
        let mut progress = false;
        // In order: answers and the log follow the order of the requests.
        for mut incoming in std::mem::take(&mut self.incoming) {
            if self.drop_now || self.is_past_last(incoming.exchange.id()) {
                // An earlier one of this round has ended the connection.
                let exchange = incoming.abandon();
                self.held.insert(exchange.id(), exchange);
                continue;
            }
            match incoming.poll_body(cx, limit) {
                Poll::Pending => self.incoming.push(incoming),
                Poll::Ready(Err(_)) => progress = true, // Reset by the peer.
                Poll::Ready(Ok(())) => {
                    progress = true;
                    let (request, exchange) = incoming.complete(&self.connected);
                    let served = self.service.serve(request);
                    self.take(exchange, served);
                }
            }
        }
        progress
    }

    /// Lets a verdict take its course, now or when its latency is over.
    fn take(&mut self, exchange: Exchange, served: Served) {
        if self.is_past_last(exchange.id()) {
            self.leave_unprocessed(exchange, &served);
        } else if served.latency.is_zero() {
            self.finish(exchange, served);
        } else {
            self.sequence += 1;
            let at = Instant::now() + served.latency;
            self.due.push(Due {
                at,
                sequence: self.sequence,
                exchange,
                served,
            });
        }
    }

    fn answer_due(&mut self, cx: &mut Context<'_>) -> bool {
        let mut answered = false;
        while let Some(next) = self.due.peek().filter(|_| !self.drop_now) {
            if next.at > Instant::now() {
                if self.timer.deadline().into_std() != next.at {
                    self.timer.as_mut().reset(next.at.into());
                }
                if self.timer.as_mut().poll(cx).is_pending() {
                    break;
                }
                continue;
            }
            if let Some(due) = self.due.pop() {
                answered = true;
                self.finish(due.exchange, due.served);
            }
        }
        answered
    }

    fn finish(&mut self, exchange: Exchange, served: Served) {
        let id = exchange.id();
        if served.authenticated && matches!(served.fate, Fate::Answer(_) | Fate::GoAway(..)) {
            self.state.lock().streams.open_gate_after(id);
        }
        match served.fate {
            Fate::Answer(response) => exchange.answer(response),
            Fate::Reset(code) => exchange.reset(Reason::from(code)),
            Fate::DropConnection => {
                self.drop_now = true;
                self.held.insert(id, exchange);
            }
            Fate::Silence => {
                self.held.insert(id, exchange);
            }
            Fate::GoAway(go_away, response) => {
                // Put back first: the request that caused it is in flight too.
                self.due.push(Due {
                    at: Instant::now(),
                    sequence: 0,
                    exchange,
                    served: Served {
                        fate: Fate::Answer(response),
                        ..served
                    },
                });
                self.go_away(&go_away);
            }
        }
    }

    /// Carries what the wire has seen over to the endpoint's figures.
    fn count(&mut self) {
        let state = self.state.lock();
        let endpoint = self.service.endpoint();
        endpoint.count_peak(state.peak);
        for _ in self.counted_violations..state.violations {
            endpoint.count_violation();
        }
        self.counted_violations = state.violations;
    }
}
