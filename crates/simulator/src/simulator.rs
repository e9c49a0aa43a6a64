//! Starting and stopping: two threads, three listeners.
//!
//! APNs has a thread with a current-thread runtime to itself, because it is
//! what benches lean on; FCM, OAuth and the control API share the other.
//! Everything ends and both threads are joined when the [`Simulator`] is
//! dropped.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    path::Path,
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use rustls::ServerConfig;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    sync::{oneshot, watch},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    apns::Apns,
    client_certificate::ClientCertificate,
    clock::Clock,
    control::Control,
    endpoint::{Connected, Endpoint},
    fcm::Fcm,
    http1,
    http2::{self, Profile},
    keys::{ApnsKey, Files, Keys},
    options::Options,
    script::Script,
    service::{PushService, Service},
    tls,
};

/// How long a client may take for its TLS handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Between two tries to accept or to listen when the system refuses.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const APNS: Profile = Profile {
    one_stream_first: true,
    max_header_list: 8000,
};
const FCM: Profile = Profile {
    one_stream_first: false,
    max_header_list: 64 * 1024,
};

/// What can go wrong with a simulator.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// A port is taken or may not be used.
    #[error("failed to listen on {address}")]
    Listen {
        /// The address from the options.
        address: SocketAddr,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// Keys or certificates could not be made.
    #[error("failed to make keys and certificates")]
    Keys(#[source] rcgen::Error),
    /// The TLS library refused its configuration.
    #[error("failed to set up TLS")]
    Tls(#[source] rustls::Error),
    /// No thread or no reactor.
    #[error("failed to start a service thread")]
    Thread(#[source] io::Error),
    /// Fewer requests than waited for.
    #[error(
        "{service:?} had {requests} requests, {delivered} delivered, after {limit:?} of waiting for {wanted}"
    )]
    Deadline {
        /// Who was waited on.
        service: Service,
        /// How many were wanted.
        wanted: u64,
        /// How long was waited.
        limit: Duration,
        /// How many requests came.
        requests: u64,
        /// How many of them were delivered.
        delivered: u64,
    },
}

/// Apple's and Google's push services on loopback; they stop when it is dropped.
#[derive(Debug)]
pub struct Simulator {
    keys: Keys,
    clock: Arc<Clock>,
    apns: Endpoint,
    fcm: Endpoint,
    script: Script,
    google: Arc<Fcm>,
    apns_address: SocketAddr,
    fcm_address: SocketAddr,
    control_address: SocketAddr,
    /// Dropped in this order, which stops one after the other.
    _threads: [ServiceThread; 2],
}

impl Simulator {
    /// Makes keys, opens the ports and serves.
    ///
    /// The first call of a process also finds an RSA key, which takes a
    /// noticeable part of a second.
    ///
    /// # Errors
    /// When a port is taken or the system gives no thread; see [`SimulatorError`].
    pub fn start(options: Options) -> Result<Self, SimulatorError> {
        let (apns_listener, apns_address) = listen(&options, options.apns_port)?;
        let (fcm_listener, fcm_address) = listen(&options, options.fcm_port)?;
        let (control_listener, control_address) = listen(&options, options.control_port)?;
        let keys = Keys::generate(&options, format!("https://{fcm_address}/token"))
            .map_err(SimulatorError::Keys)?;
        let clock = Arc::new(Clock::new());
        let endpoint = |service, max_streams| {
            let clock = Arc::clone(&clock);
            Endpoint::new(
                service,
                clock,
                options.log_limit,
                options.latency,
                max_streams,
            )
        };
        let apns = endpoint(Service::Apns, options.apns_max_streams);
        let fcm = endpoint(Service::Fcm, options.fcm_max_streams);
        let script = Script::default();

        let apple = Arc::new(Apns::new(apns.clone(), script.clone(), &keys, &options));
        let google = Arc::new(Fcm::new(fcm.clone(), script.clone(), &keys, &options));
        let control = Arc::new(Control {
            apns: apns.clone(),
            fcm: fcm.clone(),
            script: script.clone(),
            addresses: json!({
                "apns": format!("https://{apns_address}"),
                "fcm": format!("https://{fcm_address}"),
                "control": format!("http://{control_address}"),
            }),
        });

        let tls = |protocols: &[&[u8]], client_ca_pem| {
            tls::server_config(&keys, protocols, client_ca_pem).map_err(SimulatorError::Tls)
        };
        let apns_tls = tls(&[tls::HTTP_2], options.apns_client_ca_pem.as_deref())?;
        let fcm_tls = tls(&[tls::HTTP_2, tls::HTTP_1_1], None)?;
        let one_stream_first = options.one_stream_first;
        let apns_thread = ServiceThread::start("simulator-apns", async move || {
            let profile = Profile {
                one_stream_first,
                ..APNS
            };
            accept(apns_listener, apns_address, apns_tls, apple, profile, false).await;
        })?;
        let google_service = Arc::clone(&google);
        let google_thread = ServiceThread::start("simulator-google", async move || {
            match TcpListener::from_std(control_listener) {
                Ok(listener) => drop(tokio::spawn(control.serve(listener))),
                Err(error) => tracing::error!(%error, "the simulator's control API is off"),
            }
            accept(
                fcm_listener,
                fcm_address,
                fcm_tls,
                google_service,
                FCM,
                true,
            )
            .await;
        })?;
        Ok(Self {
            keys,
            clock,
            apns,
            fcm,
            script,
            google,
            apns_address,
            fcm_address,
            control_address,
            _threads: [apns_thread, google_thread],
        })
    }

    /// Base URL of APNs, such as `https://127.0.0.1:2197`.
    #[must_use]
    pub fn apns_url(&self) -> String {
        format!("https://{}", self.apns_address)
    }

    /// Base URL of FCM.
    #[must_use]
    pub fn fcm_url(&self) -> String {
        format!("https://{}", self.fcm_address)
    }

    /// URL of the OAuth token endpoint; it also stands in the service account.
    #[must_use]
    pub fn token_uri(&self) -> String {
        self.keys.service_account.token_uri.clone()
    }

    /// Base URL of the control API.
    #[must_use]
    pub fn control_url(&self) -> String {
        format!("http://{}", self.control_address)
    }

    /// The certificate authority to trust, as PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.keys.ca_pem
    }

    /// The APNs signing key and what belongs to it.
    #[must_use]
    pub fn apns_key(&self) -> &ApnsKey {
        &self.keys.apns
    }

    /// The service-account file for FCM.
    #[must_use]
    pub fn service_account_json(&self) -> String {
        self.keys.service_account.json.clone()
    }

    /// Writes `ca.pem`, `AuthKey_<key id>.p8` and `service-account.json`, mode 0600, into `dir`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_files(&self, dir: &Path) -> io::Result<Files> {
        self.keys.write_files(dir)
    }

    /// Apple's side: log, figures, limits.
    #[must_use]
    pub fn apns(&self) -> &Endpoint {
        &self.apns
    }

    /// Google's side, the token endpoint included.
    #[must_use]
    pub fn fcm(&self) -> &Endpoint {
        &self.fcm
    }

    /// The rules of all services.
    #[must_use]
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// Moves the services' clock to `seconds` after the machine's, so that tokens grow old at once.
    pub fn set_clock_offset_sec(&self, seconds: i64) {
        self.clock.set_offset(seconds);
    }

    /// Makes all access tokens invalid, as if Google had revoked them.
    pub fn revoke_access_tokens(&self) {
        self.google.revoke_access_tokens();
    }
}

/// A thread with a runtime of its own, stopped and joined on drop.
#[derive(Debug)]
struct ServiceThread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ServiceThread {
    fn start(
        name: &str,
        work: impl AsyncFnOnce() + Send + 'static,
    ) -> Result<Self, SimulatorError> {
        let runtime: Runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(SimulatorError::Thread)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = work() => (),
                    // An error is the sender's end, which means stop as well.
                    _ = stopped => (),
                }
            });
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(run);
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread.map_err(SimulatorError::Thread)?),
        })
    }
}

impl Drop for ServiceThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a thread of the simulator has panicked");
        }
    }
}

fn listen(options: &Options, port: u16) -> Result<(StdListener, SocketAddr), SimulatorError> {
    let address = SocketAddr::new(options.bind_address, port);
    let listen = || {
        let listener = StdListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    listen().map_err(|cause| SimulatorError::Listen { address, cause })
}

/// Accepts connections for ever; while the service is offline, nobody listens.
async fn accept<S: PushService>(
    listener: StdListener,
    address: SocketAddr,
    tls: Arc<ServerConfig>,
    service: Arc<S>,
    profile: Profile,
    http1: bool,
) {
    let acceptor = TlsAcceptor::from(tls);
    let mut online = service.endpoint().online();
    let mut listener = TcpListener::from_std(listener);
    loop {
        let listening = match &listener {
            Ok(listening) => listening,
            Err(error) => {
                tracing::warn!(%error, %address, "the simulator cannot listen, trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                listener = TcpListener::bind(address).await;
                continue;
            }
        };
        let accepted = tokio::select! {
            accepted = listening.accept() => accepted,
            () = becomes(&mut online, false) => {
                drop(listener);
                becomes(&mut online, true).await;
                listener = TcpListener::bind(address).await;
                continue;
            }
        };
        match accepted {
            Ok((socket, _)) => {
                let connected = service.endpoint().connect();
                let (acceptor, service) = (acceptor.clone(), Arc::clone(&service));
                tokio::spawn(serve(socket, acceptor, service, profile, http1, connected));
            }
            Err(error) => {
                tracing::warn!(%error, "the simulator could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn becomes(online: &mut watch::Receiver<bool>, wanted: bool) {
    // An error would mean that the endpoint is gone, which its service holds.
    let _value = online.wait_for(|online| *online == wanted).await;
}

async fn serve<S: PushService>(
    socket: TcpStream,
    acceptor: TlsAcceptor,
    service: Arc<S>,
    profile: Profile,
    http1: bool,
    mut connected: Connected,
) {
    let number = connected.number;
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, number, "a connection is gone already");
        return;
    }
    let accepted = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(socket)).await;
    let stream = match accepted {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, number, "a TLS handshake failed");
            return;
        }
        Err(_) => return,
    };
    let certificates = stream.get_ref().1.peer_certificates();
    connected.certificate = certificates
        .and_then(<[_]>::first)
        .map(|certificate| Arc::new(ClientCertificate::read(certificate)));
    // Without ALPN: HTTP/2 where nothing else is spoken, HTTP/1.1 where it is.
    let chosen = stream.get_ref().1.alpn_protocol();
    if http1 && chosen != Some(tls::HTTP_2) {
        if let Err(error) = http1::serve(stream, service, connected).await {
            tracing::debug!(%error, number, "an HTTP/1.1 connection broke");
        }
    } else if let Err(error) = http2::serve(stream, service, profile, connected).await {
        tracing::debug!(%error, number, "an HTTP/2 connection broke");
    }
}
