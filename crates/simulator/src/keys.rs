//! Every key and certificate of one simulator, made at its start.
//!
//! Out come a certificate authority with one server certificate, Apple's kind
//! of signing key (`.p8`) and Google's kind of service account, each in the
//! file form that the real providers hand out. The certificate is also valid
//! for Apple's and Google's host names, so that a client which cannot be given
//! another URL can be pointed here by name resolution.

mod rsa;

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;

use crate::options::Options;

const HOST_NAMES: [&str; 6] = [
    "127.0.0.1",
    "localhost",
    "api.push.apple.com",
    "api.sandbox.push.apple.com",
    "fcm.googleapis.com",
    "oauth2.googleapis.com",
];

/// A token-signing key as Apple's developer portal gives it out, with what belongs to it.
#[derive(Clone, Debug)]
pub struct ApnsKey {
    /// The `.p8` file: PKCS#8 PEM of a P-256 key.
    pub p8_pem: String,
    /// The key's id, the `kid` of a provider token.
    pub key_id: String,
    /// The team's id, the `iss` of a provider token.
    pub team_id: String,
    /// A bundle id that the key may push to.
    pub topic: String,
}

/// Where [`Simulator::write_files`](crate::Simulator::write_files) has put the credentials.
#[derive(Clone, Debug)]
pub struct Files {
    /// PEM of the certificate authority to trust.
    pub ca: PathBuf,
    /// `AuthKey_<key id>.p8`.
    pub apns_key: PathBuf,
    /// `service-account.json`.
    pub service_account: PathBuf,
}

/// The service account: what Google knows of it, and the file the customer has.
#[derive(Debug)]
pub(crate) struct ServiceAccount {
    pub(crate) client_email: String,
    pub(crate) private_key_id: String,
    pub(crate) token_uri: String,
    /// Big-endian modulus and exponent of the public key.
    pub(crate) modulus: &'static [u8],
    pub(crate) exponent: &'static [u8],
    pub(crate) json: String,
}

/// All keys of one simulator.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) ca_pem: String,
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) certificate_key: PrivateKeyDer<'static>,
    pub(crate) apns: ApnsKey,
    /// The public half of `apns`: an uncompressed point of 65 bytes.
    pub(crate) apns_public: Vec<u8>,
    pub(crate) service_account: ServiceAccount,
}

impl Keys {
    /// Makes everything; `token_uri` goes into the service account.
    pub(crate) fn generate(options: &Options, token_uri: String) -> Result<Self, rcgen::Error> {
        let (issuer, ca_pem) = certificate_authority()?;
        let leaf_key = KeyPair::generate()?;
        let mut leaf = CertificateParams::new(HOST_NAMES.map(String::from))?;
        leaf.distinguished_name
            .push(DnType::CommonName, "Onegin simulator");
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // Python 3.13 and OpenSSL in strict mode refuse a certificate without it.
        leaf.use_authority_key_identifier_extension = true;
        let leaf = leaf.signed_by(&leaf_key, &issuer)?;

        let signing = KeyPair::generate()?;
        Ok(Self {
            ca_pem,
            certificate: leaf.der().clone(),
            certificate_key: PrivatePkcs8KeyDer::from(leaf_key.serialize_der()).into(),
            apns: ApnsKey {
                p8_pem: signing.serialize_pem(),
                key_id: options.key_id.clone(),
                team_id: options.team_id.clone(),
                topic: options.topics.first().cloned().unwrap_or_default(),
            },
            apns_public: signing.public_key_raw().to_vec(),
            service_account: service_account(&options.project_id, token_uri),
        })
    }

    /// Writes the three credential files into `dir`, readable by the owner only.
    pub(crate) fn write_files(&self, dir: &Path) -> io::Result<Files> {
        let files = Files {
            ca: dir.join("ca.pem"),
            apns_key: dir.join(format!("AuthKey_{}.p8", self.apns.key_id)),
            service_account: dir.join("service-account.json"),
        };
        write_private(&files.ca, &self.ca_pem)?;
        write_private(&files.apns_key, &self.apns.p8_pem)?;
        write_private(&files.service_account, &self.service_account.json)?;
        Ok(files)
    }
}

fn certificate_authority() -> Result<(Issuer<'static, KeyPair>, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
        .distinguished_name
        .push(DnType::CommonName, "Onegin simulator CA");
    let pem = params.self_signed(&key)?.pem();
    Ok((Issuer::new(params, key), pem))
}

fn service_account(project_id: &str, token_uri: String) -> ServiceAccount {
    let key = rsa::process_key();
    let client_email = format!("onegin-sender@{project_id}.iam.gserviceaccount.com");
    let private_key_id = "5117a7e05117a7e05117a7e05117a7e05117a7e0".to_owned();
    let json = json!({
        "type": "service_account",
        "project_id": project_id,
        "private_key_id": private_key_id,
        "private_key": key.pkcs8_pem,
        "client_email": client_email,
        "client_id": "100000000000000000001",
        "token_uri": token_uri,
        "universe_domain": "googleapis.com",
    });
    ServiceAccount {
        client_email,
        private_key_id,
        token_uri,
        modulus: &key.modulus,
        exponent: &key.exponent,
        json: format!("{json:#}\n"),
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}
