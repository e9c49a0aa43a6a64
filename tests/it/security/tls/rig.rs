//! Certificates for the doors, and a client that looks at them.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SigningKey};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

use crate::http::{Client, tcp};

/// Signs the doors' certificates, by way of another certificate as public authorities do.
pub(crate) struct Authority {
    root: CertificateDer<'static>,
    intermediate: Issuer<'static, KeyPair>,
    intermediate_pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let authority = |name: &str| {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, name);
            params
        };
        let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let root = authority("Root").self_signed(&root_key).unwrap();
        let root_der = root.der().clone();
        let root = Issuer::new(authority("Root"), root_key);
        let intermediate = authority("Between").signed_by(&key, &root).unwrap();
        Self {
            root: root_der,
            intermediate: Issuer::new(authority("Between"), key),
            intermediate_pem: intermediate.pem(),
        }
    }

    /// A chain for 127.0.0.1, as PEM; `change` may change the certificate.
    pub(crate) fn chain(
        &self,
        key: &impl SigningKey,
        change: impl FnOnce(&mut CertificateParams),
    ) -> String {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(key, &self.intermediate).unwrap();
        certificate.pem() + &self.intermediate_pem
    }

    /// A client's settings that trust this authority alone.
    pub(crate) fn client(&self, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }
}

/// The files that the configuration names, in a folder.
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Files {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            certificate: folder.join("tls.pem"),
            key: folder.join("tls.key"),
        }
    }

    pub(crate) fn write(&self, chain: &str, key: &str) {
        fs::write(&self.certificate, chain).unwrap();
        fs::write(&self.key, key).unwrap();
    }

    /// A new certificate and its key; the certificate.
    pub(crate) fn renew(&self, authority: &Authority) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let chain = authority.chain(&key, |_| {});
        self.write(&chain, &key.serialize_pem());
        CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()
    }

    /// The lines of the ini file.
    pub(crate) fn keys(&self) -> String {
        format!(
            "tls_certificate_path = {}\ntls_key_path = {}\n",
            self.certificate.display(),
            self.key.display()
        )
    }
}

type Secured = StreamOwned<ClientConnection, TcpStream>;

/// Shakes hands; how that failed.
pub(crate) fn secured(address: SocketAddr, config: Arc<ClientConfig>) -> Result<Secured, String> {
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connection = ClientConnection::new(config, name).unwrap();
    let mut stream = StreamOwned::new(connection, tcp(address));
    while stream.conn.is_handshaking() {
        stream
            .conn
            .complete_io(&mut stream.sock)
            .map_err(|error| error.to_string())?;
    }
    Ok(stream)
}

/// A client on a new connection, and the certificate it was shown.
pub(crate) fn connect(
    address: SocketAddr,
    authority: &Authority,
) -> (Client, CertificateDer<'static>) {
    let stream = secured(address, authority.client(&[])).unwrap();
    let certificate = stream.conn.peer_certificates().unwrap()[0].clone();
    (Client::over(stream), certificate.into_owned())
}
