//! APNs with a client certificate: every form in which its key comes, and what is refused.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use model::Outcome;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use sender::apns::Credentials;
use simulator::{Action, GoAway, Refusal, Rule, Service, Simulator};

use crate::rig::{LIMIT, Rig, Setup};

const TOPIC: &str = "com.example.onegin";

/// Who signs Apple's client certificates in one test.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "Test Worldwide Developer Relations");
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// A certificate for [`TOPIC`], as Apple makes them.
    fn certificate(&self, key: &KeyPair) -> String {
        let mut params = CertificateParams::default();
        let user_id = DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 1]);
        params.distinguished_name.push(user_id, TOPIC);
        params
            .distinguished_name
            .push(DnType::CommonName, format!("Apple Push Services: {TOPIC}"));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.signed_by(key, &self.issuer).unwrap().pem()
    }

    /// A file with the certificate and a new P-256 key.
    fn file(&self) -> String {
        let key = KeyPair::generate().unwrap();
        self.certificate(&key) + &key.serialize_pem()
    }

    /// APNs that takes this authority's certificates, and a sender with `file` for it.
    fn start(&self, mut setup: Setup, file: &str, topic: Option<&'static str>) -> Rig {
        setup.simulator.apns_client_ca_pem = Some(self.pem.clone());
        let credentials = Credentials::from_certificate(file.as_bytes()).unwrap();
        setup.apns = Box::new(move |options| {
            options.credentials = credentials;
            options.topic = topic.map(str::to_owned);
        });
        setup.start(Service::Apns)
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64);
    let lines: Vec<_> = lines.map(|line| str::from_utf8(line).unwrap()).collect();
    let lines = lines.join("\n");
    format!("-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n")
}

/// The content of the first DER element, and what follows it.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, head) = match der[1] {
        short if short < 0x80 => (usize::from(short), 2),
        0x81 => (usize::from(der[2]), 3),
        0x82 => (usize::from(u16::from_be_bytes([der[2], der[3]])), 4),
        _ => panic!("no key is so long"),
    };
    der[head..].split_at(length)
}

/// The key inside PKCS#8: `RSAPrivateKey` (PKCS#1) or `ECPrivateKey` (SEC1).
fn inner(pkcs8: &[u8]) -> &[u8] {
    let (info, _) = element(pkcs8);
    let (_version, rest) = element(info);
    let (_algorithm, rest) = element(rest);
    element(rest).0
}

/// An `ECPrivateKey` that names its curve, as it must where no PKCS#8 around it does.
fn sec1(pkcs8: &[u8]) -> Vec<u8> {
    const P256: [u8; 12] = [
        0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
    ];
    let (fields, _) = element(inner(pkcs8));
    let (_version, rest) = element(fields);
    let (_private, public) = element(rest);
    let private_ends = fields.len() - public.len();
    let content = [&fields[..private_ends], &P256, public].concat();
    let length = u8::try_from(content.len()).unwrap();
    let head: &[u8] = if length < 0x80 {
        &[0x30, length]
    } else {
        &[0x30, 0x81, length]
    };
    [head, &content].concat()
}

/// An RSA key; the service account of a simulator has one.
fn rsa_key() -> (KeyPair, Vec<u8>) {
    let simulator = Simulator::start(simulator::Options::default()).unwrap();
    let account: serde_json::Value =
        serde_json::from_str(&simulator.service_account_json()).unwrap();
    let pem = account["private_key"].as_str().unwrap();
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    let der = der.secret_pkcs8_der().to_vec();
    (KeyPair::from_pem(pem).unwrap(), der)
}

fn delivers(key: &KeyPair, key_pem: &str) {
    let authority = Authority::new();
    let certificate = authority.certificate(key);
    for file in [
        format!("{certificate}{key_pem}"),
        format!("{key_pem}{certificate}"),
    ] {
        let mut rig = authority.start(Setup::default(), &file, Some(TOPIC));
        rig.deliver_each_once(3);
    }
}

#[test]
fn a_p256_key_in_pkcs8_form_delivers() {
    let key = KeyPair::generate().unwrap();
    delivers(&key, &key.serialize_pem());
}

#[test]
fn a_p256_key_in_sec1_form_delivers() {
    let key = KeyPair::generate().unwrap();
    let sec1 = sec1(&key.serialize_der());
    delivers(&key, &pem("EC PRIVATE KEY", &sec1));
    // OpenSSL writes the curve before the key.
    let curve = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let parameters = pem("EC PARAMETERS", &curve);
    delivers(&key, &(parameters + &pem("EC PRIVATE KEY", &sec1)));
}

#[test]
fn an_rsa_key_in_pkcs8_form_delivers() {
    let (key, der) = rsa_key();
    delivers(&key, &pem("PRIVATE KEY", &der));
}

#[test]
fn an_rsa_key_in_pkcs1_form_delivers() {
    let (key, der) = rsa_key();
    delivers(&key, &pem("RSA PRIVATE KEY", inner(&der)));
}

#[test]
fn what_openssl_writes_between_the_parts_of_a_file_does_not_matter() {
    let authority = Authority::new();
    let key = KeyPair::generate().unwrap();
    let file = format!(
        "Bag Attributes\n    friendlyName: Apple Push Services: {TOPIC}\nsubject=/UID={TOPIC}\n{}Bag Attributes\n    friendlyName: Key\nKey Attributes: <No Attributes>\n{}",
        authority.certificate(&key),
        key.serialize_pem(),
    );
    let mut rig = authority.start(Setup::default(), &file, Some(TOPIC));
    rig.deliver_each_once(3);
}

#[test]
fn the_certificates_topic_is_enough() {
    let authority = Authority::new();
    let mut rig = authority.start(Setup::default(), &authority.file(), None);
    rig.deliver_each_once(3);
    assert_eq!(rig.received()[0].header("apns-topic"), None);
}

#[test]
fn all_streams_are_there_at_once() {
    let authority = Authority::new();
    let setup = Setup::default().connections(1);
    let mut rig = authority.start(setup, &authority.file(), Some(TOPIC));
    rig.script(Rule::new(Action::Silence).times(1));
    rig.send(50);
    for report in rig.reports(49) {
        assert_eq!(report.outcome, Outcome::Delivered);
    }
    assert_eq!(rig.endpoint().counters().connections_opened, 1);
    assert!(!rig.stop(Duration::from_millis(100)), "one has no answer");
}

fn opens_the_breaker(reason: &str) {
    let authority = Authority::new();
    let mut setup = Setup::default().tries(1);
    setup.settings.breaker.wait.base = Duration::from_secs(3);
    setup.settings.breaker.wait.cap = Duration::from_secs(3);
    let mut rig = authority.start(setup, &authority.file(), Some(TOPIC));
    rig.send(1);
    rig.reports(1);
    rig.script(Rule::new(Action::Refuse(Refusal::new(403, reason))));
    rig.send(10);
    let report = rig.report();
    assert_eq!(report.outcome, Outcome::CredentialRefused);
    assert_eq!(report.reason, reason);
    rig.eventually(|| rig.breaker_state() == 2);
    rig.eventually(|| rig.endpoint().counters().connections_open == 0);
    rig.simulator.script().clear();
    for report in rig.reports(9) {
        assert_eq!(report.outcome, Outcome::Delivered);
    }
    rig.finish();
    assert_eq!(rig.breaker_openings(), 1);
}

#[test]
fn a_bad_certificate_opens_the_breaker() {
    opens_the_breaker("BadCertificate");
}

#[test]
fn a_certificate_of_the_other_environment_opens_the_breaker() {
    opens_the_breaker("BadCertificateEnvironment");
}

#[test]
fn a_goaway_about_the_certificate_opens_the_breaker() {
    let authority = Authority::new();
    let mut rig = authority.start(Setup::default(), &authority.file(), Some(TOPIC));
    let goaway = GoAway::Hard {
        unprocessed: 0,
        reason: Some("BadCertificateEnvironment".to_owned()),
    };
    rig.script(Rule::new(Action::GoAway(goaway)).times(1));
    rig.send(1);
    rig.eventually(|| rig.breaker_openings() == 1);
    rig.send(5);
    for report in rig.reports(6) {
        assert_eq!(report.outcome, Outcome::Delivered);
    }
    rig.finish();
}

#[test]
fn a_certificate_that_tls_refuses_opens_the_breaker_and_costs_no_try() {
    let (apples, other) = (Authority::new(), Authority::new());
    let mut rig = apples.start(Setup::default().tries(1), &other.file(), Some(TOPIC));
    rig.send(2);
    rig.eventually(|| rig.breaker_openings() == 1);
    assert_eq!(rig.received().len(), 0);
    let mut late = rig.notification("e0");
    late.expires_at = late.created_at.plus_ms(300);
    rig.put(late);
    assert_eq!(rig.report().outcome, Outcome::Expired);
    assert!(!rig.stop(Duration::from_millis(100)));
}

#[test]
fn a_stream_limit_is_not_exceeded_without_the_gate() {
    let authority = Authority::new();
    let setup = Setup::default().connections(1).streams(7);
    let mut rig = authority.start(setup, &authority.file(), Some(TOPIC));
    rig.send(100);
    rig.endpoint().wait_for_delivered(100, LIMIT).unwrap();
    rig.each_is_delivered_once(100);
    assert!(rig.endpoint().counters().peak_streams <= 7);
}
