//! TLS on the doors: a certificate chain and its key, which can be replaced while they are open.
//!
//! In: PEM bytes; who reads the files is somebody else. Out: the settings for the next
//! handshake. Connections that are open keep what they began with. The provider is named here
//! and not taken from the process.

mod validity;

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use model::UnixMs;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};
use tokio_rustls::TlsAcceptor;

/// What the doors speak inside (RFC 7301's registry).
const ALPN_HTTP1: &[u8] = b"http/1.1";

/// Why a certificate and its key cannot be used. Never shows the key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate in the certificate file.
    #[error("the file has no certificate in PEM form")]
    NoCertificate,
    /// A damaged one.
    #[error("a certificate in the file is damaged: {0}")]
    Certificate(pem::Error),
    /// No key in the key file.
    #[error("the file has no private key in PEM form (PKCS#8, PKCS#1 or SEC1)")]
    NoKey,
    /// A damaged one.
    #[error("the private key in the file is damaged: {0}")]
    Key(pem::Error),
    /// Nobody is there to type the password.
    #[error("the private key is encrypted, decrypt it first")]
    EncryptedKey,
    /// The two cannot be used together.
    #[error("the key cannot be used with the first certificate of tls_certificate_path: {0}")]
    Pair(rustls::Error),
}

impl TlsError {
    /// The configuration key of the file at fault.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::NoCertificate | Self::Certificate(_) => "tls_certificate_path",
            Self::NoKey | Self::Key(_) | Self::EncryptedKey | Self::Pair(_) => "tls_key_path",
        }
    }
}

/// A certificate with its key. `Debug` shows until when it is valid.
#[derive(Clone)]
pub struct Identity {
    config: Arc<ServerConfig>,
    valid: Option<(UnixMs, UnixMs)>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Identity valid {:?}", self.valid)
    }
}

impl Identity {
    /// The certificate first, then what signed it; and the certificate's key, unencrypted. Both
    /// may stand in one file.
    ///
    /// # Errors
    /// When one of the two is missing, damaged or encrypted, or they do not belong together.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(TlsError::Certificate)?;
        let leaf = chain.first().ok_or(TlsError::NoCertificate)?;
        let valid = validity::of(leaf);
        let key = private_key(key)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(TlsError::Pair)?;
        config.alpn_protocols = vec![ALPN_HTTP1.to_vec()];
        Ok(Self {
            config: Arc::new(config),
            valid,
        })
    }

    /// From when until when the certificate is valid; `None` if it does not say so in a way that
    /// is understood.
    #[must_use]
    pub fn valid(&self) -> Option<(UnixMs, UnixMs)> {
        self.valid
    }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    // Both PEM forms of an encrypted key say so in plain text (RFC 5958, RFC 1421).
    let says = |words: &[u8]| pem.windows(words.len()).any(|window| window == words);
    if says(b"BEGIN ENCRYPTED PRIVATE KEY") || says(b"Proc-Type: 4,ENCRYPTED") {
        return Err(TlsError::EncryptedKey);
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey,
        damaged => TlsError::Key(damaged),
    })
}

/// What new connections are secured with. Clones share it.
#[derive(Clone)]
pub struct Tls {
    /// Written by [`Tls::replace`].
    current: Arc<ArcSwap<ServerConfig>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Tls")
    }
}

impl Tls {
    /// Begins with `identity`.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self {
            current: Arc::new(ArcSwap::new(identity.config)),
        }
    }

    /// From the next connection on.
    pub fn replace(&self, identity: Identity) {
        self.current.store(identity.config);
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.current.load_full().into()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn pair() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn refused(certificate: &str, key: &str) -> (&'static str, String) {
        let error = Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap_err();
        (error.key(), error.to_string())
    }

    #[test]
    fn a_certificate_and_its_key_are_taken_from_two_files_or_one() {
        let (certificate, key) = pair();
        Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        let both = key + &certificate;
        Identity::from_pem(both.as_bytes(), both.as_bytes()).unwrap();
    }

    #[test]
    fn what_cannot_be_used_names_the_key_of_its_file_and_shows_no_secret() {
        let (certificate, key) = pair();
        let (_, other) = pair();
        let broken = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
        let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let broken_key = "-----BEGIN PRIVATE KEY-----\n!!!\n-----END PRIVATE KEY-----\n";
        let no_key = "-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5\n-----END PRIVATE KEY-----\n";
        for (certificate, key, file, words) in [
            ("", key.as_str(), "tls_certificate_path", "no certificate"),
            (&key, &key, "tls_certificate_path", "no certificate"),
            (broken, &key, "tls_certificate_path", "damaged"),
            (&certificate, "", "tls_key_path", "no private key"),
            (&certificate, &certificate, "tls_key_path", "no private key"),
            (&certificate, &encrypted, "tls_key_path", "decrypt it first"),
            (&certificate, broken_key, "tls_key_path", "damaged"),
            (&certificate, no_key, "tls_key_path", "cannot be used"),
            (&certificate, &other, "tls_key_path", "cannot be used"),
        ] {
            let (named, said) = refused(certificate, key);
            assert_eq!(named, file, "{said}");
            assert!(said.contains(words), "{said}");
            let secret = other.lines().nth(1).unwrap();
            assert!(!said.contains(secret) && !said.contains("bm90"), "{said}");
        }
    }
}
