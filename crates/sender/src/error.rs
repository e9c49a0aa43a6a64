//! What can be wrong with credentials and settings before the first notification is sent.
//!
//! No text here contains key material or anything else that was inside a credential file. The
//! root adds section, key and file name.

use std::io;

use rustls::pki_types::pem;

/// Why a credential cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The file has no private key.
    #[error("the file has no private key in PEM form; it must hold the certificate and its key")]
    NoPrivateKey,
    /// The private key is damaged.
    #[error("failed to read a private key in PEM form")]
    PrivateKey(#[source] pem::Error),
    /// The private key needs a passphrase.
    #[error(
        "the private key is encrypted; decrypt it first (openssl pkcs8 -in encrypted.pem -out plain.pem, and keep the certificate in the file)"
    )]
    EncryptedKey,
    /// The private key is not of the kind that is needed.
    #[error("the private key is not {expected}: {reason}")]
    KeyKind {
        /// What is needed.
        expected: &'static str,
        /// Why this is not it.
        reason: String,
    },
    /// Apple's key ids and team ids have ten letters and digits.
    #[error("the {what} must be 10 letters and digits")]
    AppleId {
        /// Which id.
        what: &'static str,
    },
    /// The file has no certificate, or a damaged one.
    #[error("failed to read a certificate in PEM form")]
    Certificate(#[source] pem::Error),
    /// There is a private key and no certificate.
    #[error("the file has no certificate")]
    NoCertificate,
    /// Certificate and key do not work together.
    #[error("failed to use the certificate with its key")]
    Identity(#[source] rustls::Error),
    /// The service-account file is not JSON of the expected form. The parser's own words could
    /// quote the file, so only the place is kept.
    #[error(
        "the service account is not valid JSON of the expected form, at line {line}, column {column}"
    )]
    ServiceAccountForm {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// The JSON is another kind of credential.
    #[error("the file is not a service account: its \"type\" must be \"service_account\"")]
    NotServiceAccount,
    /// A field is absent or empty.
    #[error("the service account has no \"{0}\"")]
    ServiceAccountField(&'static str),
    /// The address for access tokens is not a URL.
    #[error("the service account's \"token_uri\" is not a URL")]
    TokenUri,
}

/// Why a sender cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    /// The push service's address is not usable.
    #[error("\"{url}\" is not an address of the form https://host or https://host:port")]
    Endpoint {
        /// The address as configured.
        url: String,
    },
    /// The CA file is damaged.
    #[error("failed to read the CA certificates in PEM form")]
    CaCertificates(#[source] pem::Error),
    /// The CA file has no certificate.
    #[error("the CA file has no certificate")]
    NoCaCertificate,
    /// TLS refuses the settings.
    #[error("failed to set up TLS")]
    Tls(#[source] rustls::Error),
    /// Apple wants a topic with token authentication.
    #[error("apns_topic is needed with token authentication")]
    TopicMissing,
    /// The topic has characters that no header can carry.
    #[error("apns_topic is not a bundle id")]
    Topic,
    /// Access tokens would be fetched without TLS.
    #[error(
        "the service account's \"token_uri\" must be https (http only on 127.0.0.1 and with fcm_endpoint set)"
    )]
    TokenUri,
    /// The project's id has characters that no URL can carry.
    #[error("the service account's \"project_id\" is not a project id")]
    ProjectId,
    /// The HTTP client for access tokens cannot be made.
    #[error("failed to set up the client for access tokens")]
    TokenClient(#[source] reqwest::Error),
    /// The operating system has no thread to give.
    #[error("failed to start the sender's thread")]
    Thread(#[source] io::Error),
}
