//! The servers.

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
    thread,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use journal::{FileJournal, Finisher, Journal, JournalConfig, NoJournal};
use model::{Clock, FinishedRequests, QueueName, RequestId, UnixMs};
use prometheus_client::registry::Registry;
use servlet::{Depths, Doors, Intake, Metrics, PathsConfig, Server, ServerConfig};
use tokio::{net::TcpListener, runtime::Runtime};

use crate::plain::{self, Format};

/// Items that our consumer takes at once, as the processor does.
const CONSUMER_ITEMS: usize = 500;

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The servlet with `durability = journal`.
    Journal,
    /// The servlet with `durability = memory`.
    Memory,
    /// Hyper, a parser, and nothing else.
    Plain,
}

impl Which {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Memory => "memory",
            Self::Plain => "plain",
        }
    }
}

impl FromStr for Which {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        [Self::Journal, Self::Memory, Self::Plain]
            .into_iter()
            .find(|which| which.name() == name)
            .ok_or_else(|| format!("no server is called {name}"))
    }
}

/// Serves until the bench closes our input.
pub(crate) fn serve(which: Which) {
    match which {
        Which::Plain => serve_plain(),
        Which::Memory => serve_ours(Arc::new(NoJournal), |_request| {}),
        Which::Journal => {
            let folder = tempfile::tempdir_in("target").expect("a folder under target");
            let config = JournalConfig {
                journal_path: folder.path().join("journal"),
                ..JournalConfig::default()
            };
            let opened = FileJournal::open(&config, journal::Metrics::default());
            let (journal, _nothing) = opened.expect("a fresh folder");
            let journal: Arc<dyn Journal> = Arc::new(journal);
            let finisher = Finisher::start(Arc::clone(&journal), || Ok(()));
            serve_ours(journal, move |request| finisher.finished(request));
        }
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("the threads start")
}

/// Says where the server listens, and lives until the bench closes our input.
fn until_input_ends(address: SocketAddr) {
    println!("{address}");
    io::copy(&mut io::stdin(), &mut io::sink()).expect("the input ends");
}

/// The servlet as the daemon has it, with a consumer that throws requests away.
fn serve_ours(journal: Arc<dyn Journal>, finish: impl Fn(RequestId) + Send + 'static) {
    let (queue, consumer) =
        queue::bounded::<model::Request>(QueueName::Request, queue::Limits::items(1_000_000));
    thread::spawn(move || {
        let mut batch = Vec::new();
        while consumer.take(&mut batch, CONSUMER_ITEMS) {
            batch.drain(..).for_each(|taken| finish(taken.value.id));
        }
    });
    let monitor = queue.monitor();
    let doors = Doors {
        intake: Intake {
            queue,
            journal,
            admission: Arc::new(|| Ok(())),
            clock: Clock::new(|| {
                #[allow(clippy::disallowed_methods, reason = "the daemon's clock does so too")]
                let since_1970 = std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .expect("after 1970");
                UnixMs(i64::try_from(since_1970.as_millis()).expect("before the year 292 million"))
            }),
        },
        depths: Depths {
            request: Arc::new(move || monitor.depth()),
            apn_sender: None,
            gcm_sender: None,
            post_processor: None,
        },
        readiness: Arc::new(|| Ok(())),
        metrics_text: Arc::new(String::new),
        metrics: Metrics::register(&mut Registry::default()),
        access: None,
        tls: None,
    };
    let config = ServerConfig {
        port: 0,
        ..ServerConfig::default()
    };
    let runtime = runtime();
    let server = runtime
        .block_on(Server::bind(doors, &config, &PathsConfig::default()))
        .expect("a free port");
    until_input_ends(server.address());
}

/// Hyper, a parser, and nothing else.
fn serve_plain() {
    let runtime = runtime();
    let listener = runtime
        .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .expect("a free port");
    let address = listener.local_addr().expect("it listens");
    runtime.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("a TCP socket");
            tokio::spawn(
                http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(answer_plainly)),
            );
        }
    });
    until_input_ends(address);
}

async fn answer_plainly(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let format = request.uri().path().parse::<Format>();
    let body = request.into_body().collect().await;
    let items = match (format, body) {
        (Ok(format), Ok(body)) => plain::parse(format, &body.to_bytes()),
        (Err(_), _) | (_, Err(_)) => None,
    };
    let mut response = Response::default();
    if items.is_none_or(|items| items.is_empty()) {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    Ok(response)
}
