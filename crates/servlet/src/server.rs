//! The listening socket, and how it is closed again without hurting anyone.
//!
//! One task accepts; each connection is a task of its own. Stopping has three phases, each for
//! all connections at once: no new ones and 503 for new POSTs; once no request is open, idle
//! connections are closed; what is left when the time is over is cut off.

mod handshake;

mod connection;

mod progress;

mod socket;

mod framing;

mod farewell;

#[cfg(fuzzing)]
pub(crate) mod fuzzing;

use std::{
    io::{self, Write},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use queue::Pulse;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::{JoinHandle, JoinSet},
    time::{self, Instant},
};
use tracing::{debug, info, warn};

use self::connection::OpenConnection;
use crate::{
    Doors, PathsConfig, ServerConfig, ServerError, body::BodyLimits, metrics::CutOff,
    router::Router,
};

/// How long accepting pauses when the system cannot give a socket; it needs others to close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How far the server is on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    /// Nothing new is begun.
    Stopping,
    /// Connections are closed as soon as they are idle.
    Closing,
}

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    connections: usize,
    /// From a request's first byte to its head's end.
    header_time: Duration,
    /// Between requests.
    idle_time: Duration,
    body: BodyLimits,
}

impl From<&ServerConfig> for Limits {
    fn from(config: &ServerConfig) -> Self {
        Self {
            connections: config.max_connections.get(),
            header_time: Duration::from_secs(config.header_timeout_sec.get()),
            idle_time: Duration::from_secs(config.idle_timeout_sec.get()),
            body: config.into(),
        }
    }
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    router: Router,
    limits: Limits,
    open_requests: OpenRequests,
}

/// Requests between their head's end and their answer.
#[derive(Debug, Default)]
struct OpenRequests {
    /// Written by every [`OpenRequest`].
    count: AtomicUsize,
    /// Signalled when the count falls to zero.
    none: Notify,
}

impl OpenRequests {
    fn open(&self) -> OpenRequest<'_> {
        self.count.fetch_add(1, Ordering::AcqRel);
        OpenRequest(self)
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    async fn wait_for_none(&self) {
        // Registered before looking, so that the last one's end in between is not missed.
        let mut none = std::pin::pin!(self.none.notified());
        none.as_mut().enable();
        while self.count() > 0 {
            none.as_mut().await;
            none.set(self.none.notified());
            none.as_mut().enable();
        }
    }
}

struct OpenRequest<'a>(&'a OpenRequests);

impl Drop for OpenRequest<'_> {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none.notify_waiters();
        }
    }
}

/// A server at work. Dropping it cuts every connection off; [`Server::drain`] is the kind way.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    phase: watch::Sender<Phase>,
    accepting: JoinHandle<JoinSet<()>>,
    pulse: Pulse,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Requests that were cut off, unanswered, when the time was over.
    pub unanswered: usize,
}

impl Server {
    /// Listens on `config`'s address and serves the doors there. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be listened on, or the paths make no sense.
    pub async fn bind(
        doors: Doors,
        config: &ServerConfig,
        paths: &PathsConfig,
    ) -> Result<Self, ServerError> {
        let address = config.address();
        let listener = TcpListener::bind(address)
            .await
            .map_err(|cause| ServerError::Listen { address, cause })?;
        Self::serve(listener, doors, config, paths)
    }

    /// Serves the doors on a socket that listens already.
    ///
    /// # Errors
    /// When the paths make no sense.
    pub fn serve(
        listener: TcpListener,
        doors: Doors,
        config: &ServerConfig,
        paths: &PathsConfig,
    ) -> Result<Self, ServerError> {
        Self::start(listener, doors, paths, config.into())
    }

    fn start(
        listener: TcpListener,
        doors: Doors,
        paths: &PathsConfig,
        limits: Limits,
    ) -> Result<Self, ServerError> {
        let address = listener.local_addr().map_err(ServerError::Address)?;
        let shared = Arc::new(Shared {
            router: Router::new(doors, paths, limits.body)?,
            limits,
            open_requests: OpenRequests::default(),
        });
        let (phase, phase_seen) = watch::channel(Phase::Serving);
        let (pulse, beat) = Pulse::of(1);
        let accepting = accept(listener, Arc::clone(&shared), phase_seen);
        let accepting = tokio::spawn(async move {
            let connections = accepting.await;
            drop(beat);
            connections
        });
        info!(%address, "listening");
        Ok(Self {
            address,
            shared,
            phase,
            accepting,
            pulse,
        })
    }

    /// Where the server listens; the port is a real one even where 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether connections are accepted.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Stops: no new connections, 503 for new POSTs, and up to `limit` for open requests to be
    /// answered. Afterwards nothing of this server feeds the request queue any more.
    pub async fn drain(self, limit: Duration) -> Drained {
        let deadline = Instant::now() + limit;
        self.phase.send_replace(Phase::Stopping);
        let mut connections = self.accepting.await.unwrap_or_default();
        let open_requests = &self.shared.open_requests;
        let answered = time::timeout_at(deadline, open_requests.wait_for_none()).await;
        self.phase.send_replace(Phase::Closing);
        if answered.is_ok() {
            let closed = async { while connections.join_next().await.is_some() {} };
            // What is still open when the time is over is cut off below.
            time::timeout_at(deadline, closed).await.unwrap_or_default();
        }
        let unanswered = open_requests.count();
        connections.shutdown().await;
        Drained { unanswered }
    }
}

/// Accepts until the server stops; gives back the connections that are open then.
async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut phase: watch::Receiver<Phase>,
) -> JoinSet<()> {
    let mut connections = JoinSet::new();
    let phase_of_connections = phase.clone();
    loop {
        tokio::select! {
            biased;
            _ = phase.changed() => return connections,
            Some(ended) = connections.join_next() => log_end(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) if connections.len() < shared.limits.connections => {
                    prepare(&stream, peer);
                    let shared = Arc::clone(&shared);
                    connections.spawn(attend(stream, shared, phase_of_connections.clone()));
                }
                Ok((stream, peer)) => {
                    shared.router.metrics().count_cut_off(CutOff::Limit);
                    let told = turn_away(stream);
                    debug!(%peer, ?told, "too many connections, closed a new one");
                }
                Err(error) => {
                    warn!(%error, "failed to accept a connection, going on");
                    time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// Serves a client once it says something. Until then it costs no more than its socket: hyper
/// makes its buffers, 16 KiB, before it reads.
async fn attend(stream: TcpStream, shared: Arc<Shared>, mut phase: watch::Receiver<Phase>) {
    let _open = OpenConnection::count(shared.router.metrics());
    let closing = async {
        while *phase.borrow_and_update() != Phase::Closing {
            if phase.changed().await.is_err() {
                return;
            }
        }
    };
    let mut first = [0];
    let speaks = tokio::select! {
        biased;
        // Tokio takes a new socket for readable; only a look at the bytes shows whether it is.
        seen = stream.peek(&mut first) => matches!(seen, Ok(1..)),
        () = closing => false,
        () = time::sleep(shared.limits.idle_time) => false,
    };
    if speaks {
        Box::pin(handshake::serve(stream, shared, phase)).await;
    }
}

/// Says that there are too many connections, as far as that is possible without waiting.
fn turn_away(stream: TcpStream) -> io::Result<usize> {
    stream.into_std()?.write(farewell::TOO_MANY)
}

fn prepare(stream: &TcpStream, peer: SocketAddr) {
    // An answer is one small write: Nagle's algorithm would only delay it.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%peer, %error, "failed to set TCP_NODELAY");
    }
}

fn log_end(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        warn!(%error, "a connection's task ended by a panic");
    }
}

#[cfg(test)]
mod tests;
