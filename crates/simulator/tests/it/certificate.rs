//! APNs with client certificates by a plain HTTP/2 client.

use http::StatusCode;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::json;
use simulator::{Options, Simulator};

use crate::client::{Http2, Identity, answer, connect, http2_over, parts, provider_token, soon};

const PAYLOAD: &[u8] = br#"{"aps":{"alert":"Bravo"}}"#;
const TOPIC: &str = "com.example.onegin";

/// A simulator that wants certificates, and one that it takes.
fn start() -> (Simulator, Identity) {
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let mut params = CertificateParams::default();
    let user_id = DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 1]);
    params.distinguished_name.push(user_id, TOPIC);
    let certificate = params.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    let simulator = Simulator::start(Options {
        apns_client_ca_pem: Some(ca_pem),
        ..Options::default()
    })
    .unwrap();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    (simulator, (certificate.der().clone(), key.into()))
}

async fn connected(simulator: &Simulator, identity: Identity) -> Http2 {
    let url = simulator.apns_url();
    let stream = connect(simulator, &url, &["h2"], Some(identity)).await;
    http2_over(stream, &url).await
}

#[tokio::test]
async fn a_certificate_needs_no_token_and_implies_the_topic() {
    let (simulator, identity) = start();
    let mut http2 = connected(&simulator, identity).await;
    for headers in [&[][..], &[("apns-topic", TOPIC)]] {
        let sent = http2.send("POST", "/3/device/00", headers, PAYLOAD).await;
        let answered = answer(sent.unwrap()).await;
        assert_eq!(parts(&answered).0, StatusCode::OK);
    }
    let other = [("apns-topic", "com.example.other")];
    let sent = http2.send("POST", "/3/device/00", &other, PAYLOAD).await;
    assert_eq!(
        parts(&answer(sent.unwrap()).await).1,
        json!({"reason": "TopicDisallowed"})
    );
}

#[tokio::test]
async fn a_token_on_a_connection_with_a_certificate_is_refused() {
    let (simulator, identity) = start();
    let mut http2 = connected(&simulator, identity).await;
    let token = provider_token(&simulator, 0);
    let headers = [("authorization", token.as_str()), ("apns-topic", TOPIC)];
    let sent = http2.send("POST", "/3/device/00", &headers, PAYLOAD).await;
    assert_eq!(
        parts(&answer(sent.unwrap()).await),
        (StatusCode::FORBIDDEN, json!({"reason": "Forbidden"}))
    );
}

#[tokio::test]
async fn all_streams_are_there_before_the_first_answer() {
    let (simulator, identity) = start();
    simulator
        .apns()
        .set_latency(std::time::Duration::from_millis(50));
    let mut http2 = connected(&simulator, identity).await;
    let mut sent = Vec::new();
    for _ in 0..20 {
        let one = http2.send("POST", "/3/device/00", &[], PAYLOAD).await;
        sent.push(one.unwrap());
    }
    for one in sent {
        assert_eq!(parts(&answer(one).await).0, StatusCode::OK);
    }
    assert_eq!(simulator.apns().counters().violations, 0);
}

#[tokio::test]
async fn without_a_certificate_there_is_no_connection() {
    let (simulator, _identity) = start();
    let url = simulator.apns_url();
    // TLS 1.3 tells a client only after its own handshake is done.
    let stream = connect(&simulator, &url, &["h2"], None).await;
    let (_requests, connection) = soon(h2::client::handshake(stream)).await.unwrap();
    assert!(soon(connection).await.is_err());
    assert_eq!(simulator.apns().counters().requests, 0);
}
