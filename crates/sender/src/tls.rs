//! TLS settings: ring, the chosen roots, an optional client certificate.
//!
//! The crypto provider is named here and not taken from the process, so that a second provider
//! somewhere in the dependency graph cannot change or break it.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::SenderError;

/// HTTP/2's name in ALPN (RFC 9113 section 3.1).
pub(crate) const ALPN_H2: &[u8] = b"h2";

/// A client certificate chain and its key.
pub(crate) struct Identity {
    /// The certificate first, then what signed it.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// The certificate's key.
    pub(crate) key: PrivateKeyDer<'static>,
}

/// The one crypto provider of this program.
pub(crate) fn crypto_provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Settings for connections to one push service. `ca_pem` replaces Mozilla's roots.
pub(crate) fn client_config(
    ca_pem: Option<&[u8]>,
    identity: Option<&Identity>,
    alpn: &[&[u8]],
) -> Result<ClientConfig, SenderError> {
    let builder = ClientConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()
        .map_err(SenderError::Tls)?
        .with_root_certificates(roots(ca_pem)?);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder
            .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
            .map_err(SenderError::Tls)?,
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

fn roots(ca_pem: Option<&[u8]>) -> Result<RootCertStore, SenderError> {
    let Some(pem) = ca_pem else {
        return Ok(RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        });
    };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(SenderError::CaCertificates)?;
        store.add(certificate).map_err(SenderError::Tls)?;
    }
    if store.is_empty() {
        return Err(SenderError::NoCaCertificate);
    }
    Ok(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_without_a_certificate_is_refused() {
        assert!(matches!(
            client_config(Some(b"no pem here"), None, &[ALPN_H2]),
            Err(SenderError::NoCaCertificate)
        ));
    }

    #[test]
    fn without_a_ca_file_the_public_roots_are_trusted() {
        let config = client_config(None, None, &[ALPN_H2]).unwrap();
        assert_eq!(config.alpn_protocols, [ALPN_H2]);
    }
}
