//! The client: connections that post, wait for the answer, and post again.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::plain::{self, Format};

/// Different bodies that are posted in turn.
const BODIES: usize = 64;

/// What is posted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) format: Format,
    pub(crate) events: usize,
    pub(crate) posts: usize,
    /// Connections that are busy at the same time.
    pub(crate) clients: usize,
}

impl Load {
    /// For the command line; [`run`] reads them.
    pub(crate) fn arguments(self) -> [String; 4] {
        [
            self.format.path().to_owned(),
            self.events.to_string(),
            self.posts.to_string(),
            self.clients.to_string(),
        ]
    }
}

/// Posts, and prints the median and the 99th percentile of the time to the answer, in nanoseconds.
pub(crate) fn run(arguments: &[&str]) {
    let &[address, path, events, posts, clients] = arguments else {
        panic!("address, path, events, posts, clients: {arguments:?}");
    };
    let number = |text: &str| text.parse::<usize>().expect("a number");
    let load = Load {
        format: path.parse().expect("a door's path"),
        events: number(events),
        posts: number(posts),
        clients: number(clients),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the client starts");
    let address = address.parse().expect("an address");
    let mut waited = runtime.block_on(post_all(address, load));
    waited.sort();
    let percentile = |percent: usize| waited[(waited.len() - 1) * percent / 100].as_nanos();
    println!("{} {}", percentile(50), percentile(99));
}

async fn post_all(address: SocketAddr, load: Load) -> Vec<Duration> {
    let requests: Arc<Vec<Vec<u8>>> =
        Arc::new((0..BODIES).map(|body| request(load, body)).collect());
    let mut connections = Vec::new();
    for _ in 0..load.clients {
        let stream = TcpStream::connect(address).await;
        let stream = stream.expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        connections.push(stream);
    }
    let clients: Vec<_> = connections
        .into_iter()
        .enumerate()
        .map(|(number, stream)| {
            let requests = Arc::clone(&requests);
            tokio::spawn(post(stream, requests, number, load.posts / load.clients))
        })
        .collect();
    let mut waited = Vec::with_capacity(load.posts);
    for client in clients {
        waited.extend(client.await.expect("a client ends"));
    }
    waited
}

fn request(load: Load, body: usize) -> Vec<u8> {
    let body = plain::body(load.format, load.events, body);
    let (path, length) = (load.format.path(), body.len());
    let head = format!("POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {length}\r\n\r\n");
    [head.into_bytes(), body].concat()
}

async fn post(
    mut stream: TcpStream,
    requests: Arc<Vec<Vec<u8>>>,
    first: usize,
    posts: usize,
) -> Vec<Duration> {
    let mut waited = Vec::with_capacity(posts);
    let mut answer = Vec::new();
    for request in requests.iter().cycle().skip(first % BODIES).take(posts) {
        let asked = Instant::now();
        let written = stream.write_all(request).await;
        written.expect("the server reads");
        answer.clear();
        while !answer.ends_with(b"\r\n\r\n") {
            let read = stream.read_buf(&mut answer).await;
            let length = read.expect("the server answers");
            assert!(length > 0, "the server has closed the connection");
        }
        waited.push(asked.elapsed());
        assert!(
            answer.starts_with(b"HTTP/1.1 200 "),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    waited
}
