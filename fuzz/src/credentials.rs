//! Credential files. Input: fields; what is changed in the file, a kind, two ids, the file.
//!
//! Keys are made when the target starts, so that none is stored: `@EC@`, `@RSA@`, `@CERTIFICATE@`
//! and `@ACCOUNT@` in the file stand for a P-256 key, the RSA key of a service account, a
//! certificate for the P-256 key, and the whole service account.
//! What is changed are triples of bytes: a place (two bytes) and what is put there.
//!
//! * Any file is a credential or is refused; no error and no Debug output repeats key material.

use std::sync::LazyLock;

use sender::{CredentialError, apns, fcm};
use simulator::{Options, Simulator};

use crate::fields::Fields;

struct Keys {
    elliptic: String,
    certificate: String,
    rsa: String,
    account: String,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let names = vec!["com.example.game".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).expect("a name");
    let simulator = Simulator::start(Options::default()).expect("room for three sockets");
    let account = simulator.service_account_json();
    let fields: serde_json::Value = serde_json::from_str(&account).expect("it is JSON");
    Keys {
        certificate: certificate.self_signed(&key).expect("a certificate").pem(),
        elliptic: key.serialize_pem(),
        rsa: fields["private_key"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        account,
    }
});

/// Checks one input.
pub fn check(input: &[u8]) {
    let mut fields = Fields::of(input);
    let (changes, kind) = (fields.bytes(), fields.bytes());
    let (key_id, team_id) = (fields.text(), fields.text());
    let file = file(&fields.text(), changes);
    let outcome = match kind {
        b"p8" => shown(apns::Credentials::from_p8(&file, &key_id, &team_id)),
        b"pem" => shown(apns::Credentials::from_certificate(&file)),
        _ => shown(fcm::Credentials::from_service_account(&file)),
    };
    for line in KEYS.elliptic.lines().chain(KEYS.rsa.lines()) {
        let is_key_material = line.len() > 20 && !line.starts_with("-----");
        assert!(!is_key_material || !outcome.contains(line), "{outcome}");
    }
    let file = String::from_utf8_lossy(&file);
    if let Some(secret) = file.lines().find(|line| line.len() > 40 && line.is_ascii()) {
        let is_shown = outcome.contains(secret) && !secret.contains("project_id");
        assert!(!is_shown, "{outcome} repeats {secret}");
    }
}

fn file(template: &str, changes: &[u8]) -> Vec<u8> {
    let in_json = |pem: &str| pem.replace('\n', "\\n");
    let file = template
        .replace("@EC@", &KEYS.elliptic)
        .replace("@EC-JSON@", &in_json(&KEYS.elliptic))
        .replace("@RSA@", &KEYS.rsa)
        .replace("@RSA-JSON@", &in_json(&KEYS.rsa))
        .replace("@CERTIFICATE@", &KEYS.certificate)
        .replace("@ACCOUNT@", &KEYS.account);
    let mut file = file.into_bytes();
    for change in changes.chunks_exact(3) {
        let place = usize::from(u16::from_le_bytes([change[0], change[1]]));
        if let Some(byte) = file.get_mut(place) {
            *byte = change[2];
        }
    }
    file
}

fn shown<C: std::fmt::Debug>(credentials: Result<C, CredentialError>) -> String {
    match credentials {
        Ok(credentials) => format!("{credentials:?}"),
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            let causes = std::iter::successors(Some(error), |error| error.source());
            causes.map(|cause| format!("{cause} {cause:?}\n")).collect()
        }
    }
}
