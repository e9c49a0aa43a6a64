//! The server over real sockets, spoken to in raw HTTP.

mod bodies;

mod client;

mod doors;

mod slow_clients;

mod stopping;

use std::{collections::HashMap, sync::Arc};

use model::{Clock, Lane, QueueName, Request, UnixMs};
use prometheus_client::{encoding::text::encode, registry::Registry};
use queue::{Consumer, Producer};

use self::client::{Client, get, post};
use super::*;
use crate::{Depth, Depths, Intake, Metrics};

const EVENT: &str = r#"{"events": [{"user_id": 1, "event_id": 2, "timestamp": 3}]}"#;

fn limits() -> Limits {
    (&ServerConfig::default()).into()
}

/// A server of its own for one test, with a queue that nobody empties but the test.
struct TestServer {
    server: Server,
    registry: Arc<Registry>,
    queue: Producer<Request>,
    requests: Consumer<Request>,
}

impl TestServer {
    async fn start() -> Self {
        Self::start_with(limits(), 1_000, |_| {}).await
    }

    async fn start_limited(limits: Limits) -> Self {
        Self::start_with(limits, 1_000, |_| {}).await
    }

    async fn start_with(
        limits: Limits,
        queue_limit: usize,
        change: impl FnOnce(&mut Doors),
    ) -> Self {
        let (queue, requests) =
            queue::bounded(QueueName::Request, queue::Limits::items(queue_limit));
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let registry = Arc::new(registry);
        let (monitor, shown) = (queue.monitor(), Arc::clone(&registry));
        let depth = |depth: usize| -> Depth { Arc::new(move || depth) };
        let mut doors = Doors {
            intake: Intake {
                queue: queue.clone(),
                journal: Arc::new(journal::NoJournal),
                admission: Arc::new(|| Ok(())),
                clock: Clock::new(|| UnixMs(1_795_293_388_117)),
            },
            depths: Depths {
                request: Arc::new(move || monitor.depth()),
                apn_sender: Some(depth(12_345)),
                gcm_sender: None,
                post_processor: Some(depth(0)),
            },
            readiness: Arc::new(|| Ok(())),
            metrics_text: Arc::new(move || metrics_text(&shown)),
            metrics,
            access: None,
            tls: None,
        };
        change(&mut doors);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server::start(listener, doors, &PathsConfig::default(), limits).unwrap();
        Self {
            server,
            registry,
            queue,
            requests,
        }
    }

    async fn connect(&self) -> Client {
        Client::connect(self.server.address()).await
    }

    /// One request on a connection of its own.
    async fn answer(&self, request: &[u8]) -> client::Response {
        self.connect().await.ask(request).await
    }

    fn taken(&self) -> Vec<Request> {
        let mut batch = Vec::new();
        self.requests.take_available(&mut batch, usize::MAX);
        batch.into_iter().map(|taken| taken.value).collect()
    }

    /// A metric's value, by its line's beginning.
    fn metric(&self, name: &str) -> u64 {
        let text = metrics_text(&self.registry);
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value
            .unwrap_or_else(|| panic!("no {name} in {text}"))
            .parse()
            .unwrap()
    }
}

fn metrics_text(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    text
}
