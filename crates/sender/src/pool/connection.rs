//! One connection to a push service: made, kept alive, and driven by a task of its own.
//!
//! In: an address. Out: a handle that opens streams, and what the connection said when it ended.
//! The name is looked up anew for every connection: a draining server's address must not be
//! met again because it was remembered.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use h2::{Ping, PingPong, client::SendRequest};
use rustls::ClientConfig;
use tokio::{
    net::TcpStream,
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::frame_watch::{FrameWatch, Heard};
use crate::{endpoint::Endpoint, tls::ALPN_H2};

/// Name, TCP, TLS and the first frames together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that answers no PING for so long is gone.
const PONG_TIMEOUT: Duration = Duration::from_secs(20);
/// Receive window of the connection; answers are small.
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Size of an answer's headers at most.
const HEADER_LIMIT: u32 = 16 * 1024;
/// h2 ends a connection with `ENHANCE_YOUR_CALM` when too many small DATA frames wait to be read:
/// by default some 130 error bodies, which arrive in one read when a batch is refused. This is
/// room for one small frame on each of some thousand streams.
const SMALL_FRAME_BUDGET: usize = 2 << 20;
/// Streams that timed out and may still be answered.
const RESET_STREAMS_REMEMBERED: usize = 4096;

type Wire = FrameWatch<TlsStream<TcpStream>>;

/// When a connection proves that it is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PingTimes {
    /// Between PINGs while streams are open.
    pub(crate) busy: Duration,
    /// Between PINGs while none is.
    pub(crate) idle: Duration,
}

/// Shared by a connection's task and the pool.
#[derive(Debug)]
pub(crate) struct Shared {
    /// What has come in; written by the task.
    pub(crate) heard: Heard,
    /// Requests that are not answered yet; written by the pool.
    pub(crate) in_flight: AtomicUsize,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("failed to connect")]
    Tcp(#[source] io::Error),
    #[error("failed to secure the connection")]
    Tls(#[source] io::Error),
    #[error("the server does not speak HTTP/2")]
    NoHttp2,
    #[error("failed to open HTTP/2")]
    Http2(#[source] h2::Error),
    #[error("not connected within {} s", CONNECT_TIMEOUT.as_secs())]
    TimedOut,
}

/// Why an open connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Loss {
    #[error("the connection broke")]
    Http2(#[source] h2::Error),
    #[error("no answer to a PING within {} s", PONG_TIMEOUT.as_secs())]
    NoPong,
}

/// A connection that has just been made; its task is still to be started.
pub(crate) struct Opened {
    pub(crate) requests: SendRequest<Bytes>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) driver: Driver,
}

/// Connects, or says why not.
pub(crate) async fn open(
    endpoint: &Endpoint,
    tls: Arc<ClientConfig>,
    news: Arc<Notify>,
    pings: PingTimes,
) -> Result<Opened, ConnectError> {
    timeout(
        CONNECT_TIMEOUT,
        open_without_limit(endpoint, tls, news, pings),
    )
    .await
    .unwrap_or(Err(ConnectError::TimedOut))
}

async fn open_without_limit(
    endpoint: &Endpoint,
    tls: Arc<ClientConfig>,
    news: Arc<Notify>,
    pings: PingTimes,
) -> Result<Opened, ConnectError> {
    let tcp = TcpStream::connect((endpoint.host.as_str(), endpoint.port))
        .await
        .map_err(ConnectError::Tcp)?;
    // A push is a few hundred bytes that somebody waits for.
    tcp.set_nodelay(true).map_err(ConnectError::Tcp)?;
    let stream = TlsConnector::from(tls)
        .connect(endpoint.server_name.clone(), tcp)
        .await
        .map_err(ConnectError::Tls)?;
    if stream.get_ref().1.alpn_protocol() != Some(ALPN_H2) {
        return Err(ConnectError::NoHttp2);
    }
    let shared = Arc::new(Shared {
        heard: Heard::new(news),
        in_flight: AtomicUsize::new(0),
    });
    let wire = FrameWatch::new(stream, Arc::clone(&shared));
    let (requests, mut connection) = settings()
        .handshake(wire)
        .await
        .map_err(ConnectError::Http2)?;
    let ping_pong = connection
        .ping_pong()
        .expect("nobody has taken a new connection's pings");
    Ok(Opened {
        requests,
        driver: Driver {
            connection,
            ping_pong,
            pings,
            shared: Arc::clone(&shared),
        },
        shared,
    })
}

fn settings() -> h2::client::Builder {
    let mut builder = h2::client::Builder::new();
    builder
        // Until the peer's SETTINGS are there, one stream: Apple allows no more.
        .initial_max_send_streams(1)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEADER_LIMIT)
        .max_concurrent_reset_streams(RESET_STREAMS_REMEMBERED)
        .data_frame_budget(SMALL_FRAME_BUDGET)
        .enable_push(false);
    builder
}

/// Moves the bytes of one connection until it ends.
pub(crate) struct Driver {
    connection: h2::client::Connection<Wire, Bytes>,
    ping_pong: PingPong,
    pings: PingTimes,
    shared: Arc<Shared>,
}

impl Driver {
    /// Ends when the peer closes, the connection breaks, or the pool has let go of it.
    pub(crate) async fn run(self) -> Result<(), Loss> {
        let Self {
            connection,
            mut ping_pong,
            pings,
            shared,
        } = self;
        tokio::select! {
            ended = connection => ended.map_err(Loss::Http2),
            lost = keep_alive(&mut ping_pong, pings, &shared) => Err(lost),
        }
    }
}

/// PINGs in time; returns when one is not answered.
async fn keep_alive(ping_pong: &mut PingPong, pings: PingTimes, shared: &Shared) -> Loss {
    let mut quiet_since = Instant::now();
    loop {
        sleep_until(Instant::now() + pings.busy).await;
        let busy = shared.in_flight.load(Ordering::Relaxed) > 0;
        if !busy && quiet_since.elapsed() < pings.idle {
            continue;
        }
        quiet_since = Instant::now();
        match timeout(PONG_TIMEOUT, ping_pong.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Loss::Http2(error),
            Err(_) => return Loss::NoPong,
        }
    }
}
