//! TLS of the simulated services: one certificate, ALPN by service.
//!
//! A client that offers no ALPN at all is let in: Python's aioapns offers none
//! and Apple serves it. rustls gives exactly that, refusing only a client whose
//! offer has nothing in common with ours.

use std::sync::Arc;

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

use crate::keys::Keys;

/// Protocol names as they stand in ALPN (RFC 7301).
pub(crate) const HTTP_2: &[u8] = b"h2";
pub(crate) const HTTP_1_1: &[u8] = b"http/1.1";

/// A server configuration that offers `protocols` in this order of preference. With a CA only
/// clients with a certificate of it are let in.
pub(crate) fn server_config(
    keys: &Keys,
    protocols: &[&[u8]],
    client_ca_pem: Option<&str>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    // The provider is named: a process with two of them has no default one.
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    let builder = match client_ca_pem {
        Some(pem) => builder.with_client_cert_verifier(client_verifier(pem)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(
        vec![keys.certificate.clone()],
        keys.certificate_key.clone_key(),
    )?;
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

fn client_verifier(ca_pem: &str) -> Result<Arc<dyn ClientCertVerifier>, rustls::Error> {
    let general = |error: &dyn std::error::Error| rustls::Error::General(error.to_string());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(certificate.map_err(|error| general(&error))?)?;
    }
    let provider = Arc::new(ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| general(&error))
}
