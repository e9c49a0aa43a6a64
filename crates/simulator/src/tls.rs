//! TLS of the simulated services: one certificate, ALPN by service.
//!
//! A client that offers no ALPN at all is let in: Python's aioapns offers none
//! and Apple serves it. rustls gives exactly that, refusing only a client whose
//! offer has nothing in common with ours.

use std::sync::Arc;

use rustls::{ServerConfig, crypto::ring};

use crate::keys::Keys;

/// Protocol names as they stand in ALPN (RFC 7301).
pub(crate) const HTTP_2: &[u8] = b"h2";
pub(crate) const HTTP_1_1: &[u8] = b"http/1.1";

/// A server configuration that offers `protocols` in this order of preference.
pub(crate) fn server_config(
    keys: &Keys,
    protocols: &[&[u8]],
) -> Result<Arc<ServerConfig>, rustls::Error> {
    // The provider is named: a process with two of them has no default one.
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![keys.certificate.clone()],
            keys.certificate_key.clone_key(),
        )?;
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}
