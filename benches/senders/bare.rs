//! The other side of the comparison: `h2` and as little around it as possible.
//!
//! One thread with a runtime of its own. Requests are built before the time is taken; then they
//! are sent as fast as the streams allow, and each answer is read to its end.

mod authorization;

use std::{
    future::poll_fn,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, future::join_all, stream::FuturesUnordered};
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderValue, Request, StatusCode};
use model::Notification;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use sender::{Prepared, Provider};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{
    cpu_time,
    notifications::now,
    simulator::{Service, Simulator},
};

const LIMIT: Duration = Duration::from_secs(300);

type Prebuilt = Vec<(Request<()>, Bytes)>;

/// A running bare client.
pub(crate) struct Bare {
    jobs: mpsc::Sender<Vec<Notification>>,
    cpu_times: mpsc::Receiver<Duration>,
    thread: JoinHandle<()>,
}

impl Bare {
    /// `builder` builds the requests, and does nothing else.
    pub(crate) fn start<P: Provider>(
        simulator: &Simulator,
        service: Service,
        builder: P,
        connections: usize,
    ) -> Self {
        let (jobs, to_do) = mpsc::channel::<Vec<Notification>>();
        let (done, cpu_times) = mpsc::channel();
        let (address, ca) = match service {
            Service::Apns => ("apns_endpoint", "apns_ca_path"),
            Service::Fcm => ("fcm_endpoint", "fcm_ca_path"),
        };
        let address = simulator.setting(address).replace("https://", "");
        let tls = tls(&simulator.file(ca));
        let authorization = authorization::header(simulator, service);
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            let opening = (0..connections).map(|_| connect(&address, Arc::clone(&tls)));
            let connections = runtime.block_on(join_all(opening));
            let mut streams = 1;
            for notifications in to_do {
                let mut shares: Vec<Prebuilt> = Vec::new();
                shares.resize_with(connections.len(), Vec::new);
                for (number, notification) in notifications.into_iter().enumerate() {
                    let prebuilt = build(&builder, &notification, &authorization);
                    shares[number % connections.len()].push(prebuilt);
                }
                let sending = connections
                    .iter()
                    .zip(shares)
                    .map(|(connection, share)| send(connection.clone(), streams, share));
                let before = cpu_time("/proc/thread-self");
                runtime.block_on(join_all(sending));
                let cpu_time = cpu_time("/proc/thread-self") - before;
                done.send(cpu_time).expect("the bench waits");
                // The first job went out one by one, which APNs wants of a new connection.
                streams = service.streams();
            }
        };
        let thread = thread::Builder::new().name("bare".to_owned());
        let thread = thread.spawn(work).expect("a thread");
        Self {
            jobs,
            cpu_times,
            thread,
        }
    }

    /// Delivers them all; the CPU time that sending took.
    pub(crate) fn deliver(&self, notifications: Vec<Notification>) -> Duration {
        self.jobs.send(notifications).expect("the thread runs");
        self.cpu_times
            .recv_timeout(LIMIT)
            .expect("all are delivered in time")
    }

    pub(crate) fn end(self) {
        drop(self.jobs);
        self.thread.join().expect("the thread has not panicked");
    }
}

fn build<P: Provider>(
    builder: &P,
    notification: &Notification,
    authorization: &HeaderValue,
) -> (Request<()>, Bytes) {
    match builder.prepare(notification, Some(authorization), now()) {
        Prepared::Send { request, body } => (request, body),
        Prepared::End { outcome, reason } => panic!("{outcome:?} {reason}"),
    }
}

/// The only CA to trust.
fn tls(ca_pem: &[u8]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem) {
        roots.add(certificate.expect("PEM")).expect("a CA");
    }
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

async fn connect(address: &str, tls: Arc<ClientConfig>) -> SendRequest<Bytes> {
    let (host, _) = address.rsplit_once(':').expect("a port");
    let name = ServerName::try_from(host.to_owned()).expect("a host");
    let tcp = TcpStream::connect(address).await.expect("it listens");
    tcp.set_nodelay(true).expect("a TCP socket");
    let stream = TlsConnector::from(tls)
        .connect(name, tcp)
        .await
        .expect("it is trusted");
    let (requests, connection) = h2::client::Builder::new()
        .initial_connection_window_size(1 << 20)
        // Else h2 ends a connection on which many small answers wait to be read.
        .data_frame_budget(2 << 20)
        .enable_push(false)
        .handshake(stream)
        .await
        .expect("it speaks HTTP/2");
    tokio::spawn(connection);
    requests
}

/// Sends `share` with at most `streams` unanswered at a time.
async fn send(mut requests: SendRequest<Bytes>, streams: usize, share: Prebuilt) {
    let mut in_flight = FuturesUnordered::new();
    for (request, body) in share {
        if in_flight.len() == streams {
            in_flight.next().await;
        }
        poll_fn(|context| requests.poll_ready(context))
            .await
            .expect("the connection lives");
        let (response, mut stream) = requests
            .send_request(request, false)
            .expect("a stream is free");
        stream.send_data(body, true).expect("the stream is open");
        in_flight.push(read(response));
    }
    while in_flight.next().await.is_some() {}
}

async fn read(response: ResponseFuture) {
    let response = response.await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    while let Some(chunk) = body.data().await {
        let length = chunk.expect("the whole answer").len();
        body.flow_control()
            .release_capacity(length)
            .expect("no more than came");
    }
}
