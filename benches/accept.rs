//! Accepting at the door: the servlet beside a minimal hyper server that parses the same body
//! into the same structs.
//!
//! The bench runs itself again as both servers and as the client, so that each is a process of
//! its own. What counts is the server's CPU time, user and system, as the operating system says:
//! it holds on a busy machine, wall time does not. On our side that includes what the plain
//! server does not do: limits, time-outs, item-by-item checks, metrics, the request queue and the
//! thread that empties it. `ratio` is ours to plain in one round's time; the median of the rounds
//! is shown, with the lowest and the highest ratio. The bar is 2.5 at 100 events per POST.
//!
//! Run with `cargo bench --bench accept`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a bench's output is its purpose")]

#[path = "accept/plain.rs"]
mod plain;

use std::{
    convert::Infallible,
    env, fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use journal::NoJournal;
use model::{Clock, QueueName, UnixMs};
use prometheus_client::registry::Registry;
use servlet::{Depths, Doors, Intake, Metrics, PathsConfig, Server, ServerConfig};
use tokio::{net::TcpListener, runtime::Runtime};

use self::plain::Format;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The client's threads, and the connections that each of them keeps busy at the same time.
const CLIENT_THREADS: usize = 4;
const CONNECTIONS_PER_THREAD: usize = 4;
/// Different bodies that are posted in turn.
const BODIES: usize = 64;
/// Rounds per case; in each of them both servers have their turn.
const ROUNDS: usize = 11;
/// Items that our consumer takes at once, as the processor does.
const CONSUMER_ITEMS: usize = 500;
/// Clock ticks per second of /proc's CPU times: Linux shows 100 to every process.
const TICKS_PER_SECOND: f64 = 100.0;

/// What is posted: format, events per POST, POSTs per round.
const CASES: [(Format, usize, usize); 4] = [
    (Format::Json, 1, 40_000),
    (Format::Protobuf, 1, 40_000),
    (Format::Json, 100, 16_000),
    (Format::Protobuf, 100, 16_000),
];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["serve", "ours"] => serve_ours(),
        ["serve", "plain"] => serve_plain(),
        ["load", address, path, events, posts] => load(
            address.parse().expect("an address"),
            path.parse().expect("a door's path"),
            events.parse().expect("a number"),
            posts.parse().expect("a number"),
        ),
        // Cargo's own arguments.
        _ => measure(),
    }
}

// The measurement.

fn measure() {
    let ours = ServerProcess::start("ours");
    let plain = ServerProcess::start("plain");
    println!(
        "CPU us per POST, {} connections, medians of {ROUNDS} rounds",
        CLIENT_THREADS * CONNECTIONS_PER_THREAD
    );
    println!(
        "{:<10} {:>6} {:>7} {:>9} {:>9} {:>7} {:>15} {:>16}",
        "format", "events", "bytes", "ours", "plain", "ratio", "lowest, highest", "ours per event"
    );
    for (format, events, posts) in CASES {
        // The first round warms allocators and caches up.
        let rounds: Vec<(f64, f64)> = (0..=ROUNDS)
            .map(|_| {
                (
                    ours.cpu_us_per_post(format, events, posts),
                    plain.cpu_us_per_post(format, events, posts),
                )
            })
            .skip(1)
            .collect();
        let ours_us = median(rounds.iter().map(|(ours, _)| *ours).collect());
        let plain_us = median(rounds.iter().map(|(_, plain)| *plain).collect());
        let mut ratios: Vec<f64> = rounds.iter().map(|(ours, plain)| ours / plain).collect();
        ratios.sort_by(f64::total_cmp);
        #[allow(clippy::cast_precision_loss, reason = "at most a hundred")]
        let per_event = ours_us / events as f64;
        println!(
            "{format:<10} {events:>6} {:>7} {ours_us:>9.1} {plain_us:>9.1} {:>7.2} {:>15} {per_event:>16.2}",
            plain::body(format, events, 0).len(),
            median(ratios.clone()),
            format!("{:.2}, {:.2}", ratios[0], ratios[ROUNDS - 1]),
        );
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// This program again, as a server. It ends when its input does, so also with the bench.
struct ServerProcess {
    child: Child,
    address: String,
}

impl ServerProcess {
    fn start(which: &str) -> Self {
        let mut child = Command::new(env::current_exe().expect("we run"))
            .args(["serve", which])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut address = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut address)
            .expect("the server says where it listens");
        Self {
            child,
            address: address.trim().to_owned(),
        }
    }

    /// Runs a client and says what it cost this server.
    fn cpu_us_per_post(&self, format: Format, events: usize, posts: usize) -> f64 {
        let before = self.cpu_seconds();
        let client = Command::new(env::current_exe().expect("we run"))
            .args(["load", &self.address, format.path()])
            .args([events.to_string(), posts.to_string()])
            .status()
            .expect("the client starts");
        assert!(client.success(), "the client was not served");
        #[allow(clippy::cast_precision_loss, reason = "some ten thousand")]
        let posts = posts as f64;
        (self.cpu_seconds() - before) / posts * 1e6
    }

    /// CPU seconds so far, user and system (proc(5), fields 14 and 15 of stat).
    fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.expect("the server runs");
        let after_name = stat.rsplit_once(')').expect("proc(5)").1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |field: usize| fields[field].parse::<f64>().expect("a number");
        (ticks(11) + ticks(12)) / TICKS_PER_SECOND
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // Nobody is left to be told of a failure.
        drop(self.child.wait());
    }
}

// The client.

/// Posts `posts` bodies: each thread writes to all its connections, then reads all answers.
fn load(address: SocketAddr, format: Format, events: usize, posts: usize) {
    let requests: Vec<Vec<u8>> = (0..BODIES)
        .map(|number| {
            let body = plain::body(format, events, number);
            let (path, length) = (format.path(), body.len());
            let head =
                format!("POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {length}\r\n\r\n");
            [head.into_bytes(), body].concat()
        })
        .collect();
    thread::scope(|scope| {
        for _ in 0..CLIENT_THREADS {
            scope.spawn(|| {
                let mut connections: Vec<Connection> = (0..CONNECTIONS_PER_THREAD)
                    .map(|_| Connection::open(address))
                    .collect();
                let mut requests = requests.iter().cycle();
                for _ in 0..posts / CLIENT_THREADS / CONNECTIONS_PER_THREAD {
                    for (connection, request) in connections.iter_mut().zip(&mut requests) {
                        connection.send(request);
                    }
                    for connection in &mut connections {
                        connection.receive_empty_ok();
                    }
                }
            });
        }
    });
}

struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        Self {
            stream,
            answer: Vec::new(),
        }
    }

    fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).expect("the server reads");
    }

    /// Reads one answer: 200, without a body.
    fn receive_empty_ok(&mut self) {
        self.answer.clear();
        while !self.answer.ends_with(b"\r\n\r\n") {
            let mut bytes = [0; 1024];
            let length = self.stream.read(&mut bytes).expect("the server answers");
            assert!(length > 0, "the server has closed the connection");
            self.answer.extend_from_slice(&bytes[..length]);
        }
        assert!(
            self.answer.starts_with(b"HTTP/1.1 200 "),
            "{}",
            String::from_utf8_lossy(&self.answer)
        );
    }
}

// The servers.

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
fn serve_ours() {
    let (queue, consumer) = queue::bounded(QueueName::Request, queue::Limits::items(1_000_000));
    thread::spawn(move || {
        let mut batch = Vec::new();
        while consumer.take(&mut batch, CONSUMER_ITEMS) {
            batch.clear();
        }
    });
    let monitor = queue.monitor();
    let doors = Doors {
        intake: Intake {
            queue,
            journal: Arc::new(NoJournal),
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
