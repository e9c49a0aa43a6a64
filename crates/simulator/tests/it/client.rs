//! Clients that know nothing of the simulator but what Apple and Google publish.

use std::{future::Future, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request, Response, StatusCode};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, pem::PemObject},
};
use serde_json::{Value, json};
use simulator::Simulator;
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Long enough for a busy machine; nothing waits that long unless it fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A result within the limit, or a loud failure.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(LIMIT, future)
        .await
        .expect("nothing happened within the limit")
}

/// A client certificate and its key.
pub(crate) type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// A TLS connection that offers `alpn` and shows `identity`; the server's certificate must be good for 127.0.0.1.
pub(crate) async fn connect(
    simulator: &Simulator,
    url: &str,
    alpn: &[&str],
    identity: Option<Identity>,
) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(simulator.ca_pem().as_bytes()).unwrap())
        .unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        Some((certificate, key)) => builder
            .with_client_auth_cert(vec![certificate], key)
            .unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let socket = TcpStream::connect(url.strip_prefix("https://").unwrap())
        .await
        .unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    soon(connector.connect(name, socket)).await.unwrap()
}

/// An HTTP/2 connection driven by a task of its own.
pub(crate) struct Http2 {
    pub(crate) sender: SendRequest<Bytes>,
    /// Ends with the connection.
    pub(crate) driver: JoinHandle<Result<(), h2::Error>>,
    authority: String,
}

pub(crate) async fn http2(simulator: &Simulator, url: &str, alpn: &[&str]) -> Http2 {
    http2_over(connect(simulator, url, alpn, None).await, url).await
}

pub(crate) async fn http2_over(stream: TlsStream<TcpStream>, url: &str) -> Http2 {
    let (sender, connection) = soon(h2::client::handshake(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let authority = url.strip_prefix("https://").unwrap().to_owned();
    Http2 {
        sender,
        driver,
        authority,
    }
}

/// What came back: an answer, or how the stream or connection failed.
pub(crate) type Answer = Result<Response<Bytes>, h2::Error>;

impl Http2 {
    /// Sends a request; a GET has no body. Headers given twice are sent twice.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<ResponseFuture, h2::Error> {
        std::future::poll_fn(|cx| self.sender.poll_ready(cx)).await?;
        let uri = format!("https://{}{path}", self.authority);
        let mut request = Request::builder().method(method).uri(uri).body(()).unwrap();
        for (name, value) in headers {
            let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let (response, mut stream) = self.sender.send_request(request, body.is_empty())?;
        if !body.is_empty() {
            stream.send_data(Bytes::copy_from_slice(body), true)?;
        }
        Ok(response)
    }
}

/// The whole answer to a request that was sent.
pub(crate) async fn answer(response: ResponseFuture) -> Answer {
    soon(async {
        let (head, mut body) = response.await?.into_parts();
        let mut collected = Vec::new();
        while let Some(data) = body.data().await {
            collected.extend_from_slice(&data?);
        }
        Ok(Response::from_parts(head, collected.into()))
    })
    .await
}

/// Status and JSON body of an answer.
pub(crate) fn parts(answer: &Answer) -> (StatusCode, Value) {
    let response = answer.as_ref().expect("an answer");
    let json = serde_json::from_slice(response.body()).unwrap_or_default();
    (response.status(), json)
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

/// Seconds since 1970.
#[allow(
    clippy::disallowed_methods,
    reason = "a client outside has the machine's clock"
)]
pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap().as_secs()).unwrap()
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// An ES256 token signed with a `.p8` key.
pub(crate) fn es256(p8_pem: &str, header: &Value, claims: &Value) -> String {
    let key = PrivatePkcs8KeyDer::from_pem_slice(p8_pem.as_bytes()).unwrap();
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, key.secret_pkcs8_der(), &random).unwrap();
    let text = unsigned(header, claims);
    let signature = pair.sign(&random, text.as_bytes()).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// An RS256 token signed with a service account's key.
pub(crate) fn rs256(pem: &str, header: &Value, claims: &Value) -> String {
    let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    let pair = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
    let text = unsigned(header, claims);
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        text.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A good provider token, issued `age_sec` ago.
pub(crate) fn provider_token(simulator: &Simulator, age_sec: i64) -> String {
    let key = simulator.apns_key();
    let header = json!({ "alg": "ES256", "kid": key.key_id });
    let claims = json!({ "iss": key.team_id, "iat": now() - age_sec });
    format!("bearer {}", es256(&key.p8_pem, &header, &claims))
}
