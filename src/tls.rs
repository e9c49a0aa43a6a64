//! The doors' certificate and key: read here, and nowhere else.

use std::{fs, io};

use jiff::Timestamp;
use model::UnixMs;
use servlet::{Identity, ServerConfig, Tls, TlsError};
use tracing::warn;

/// Why the certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsFileError {
    /// The file is not there, or not readable.
    #[error("[ServerSpecific] {key} = {file}: the file cannot be read: {cause}")]
    Read {
        key: &'static str,
        file: String,
        cause: io::Error,
    },
    /// The file is not what the key takes.
    #[error("[ServerSpecific] {key} = {file}: {cause}")]
    Form {
        key: &'static str,
        file: String,
        cause: TlsError,
    },
    /// One without the other.
    #[error("[ServerSpecific] {missing} is not set, but {key} needs it")]
    Incomplete {
        key: &'static str,
        missing: &'static str,
    },
}

/// What the doors begin with; says in the log what is strange about it.
pub(crate) fn open(config: &ServerConfig, now: UnixMs) -> Result<Option<Tls>, TlsFileError> {
    let Some(identity) = read(config)? else {
        return Ok(None);
    };
    if let Some(warning) = doubt(config, &identity, now) {
        warn!("{warning}");
    }
    Ok(Some(Tls::new(identity)))
}

/// The certificate and key that the configuration names; `None` is plain HTTP.
pub(crate) fn read(config: &ServerConfig) -> Result<Option<Identity>, TlsFileError> {
    let (certificate, key) = ("tls_certificate_path", "tls_key_path");
    let incomplete = |key, missing| Err(TlsFileError::Incomplete { key, missing });
    let (certificate_path, key_path) = match (&config.tls_certificate_path, &config.tls_key_path) {
        (None, None) => return Ok(None),
        (Some(_), None) => return incomplete(certificate, key),
        (None, Some(_)) => return incomplete(key, certificate),
        (Some(certificate), Some(key)) => (certificate, key),
    };
    let file = |key, path: &String| {
        fs::read(path).map_err(|cause| TlsFileError::Read {
            key,
            file: path.clone(),
            cause,
        })
    };
    let pem = (file(certificate, certificate_path)?, file(key, key_path)?);
    let identity = Identity::from_pem(&pem.0, &pem.1).map_err(|cause| TlsFileError::Form {
        key: cause.key(),
        file: match cause.key() {
            "tls_key_path" => key_path.clone(),
            _ => certificate_path.clone(),
        },
        cause,
    })?;
    Ok(Some(identity))
}

/// A full sentence if clients will refuse the certificate for its time.
pub(crate) fn doubt(config: &ServerConfig, identity: &Identity, now: UnixMs) -> Option<String> {
    let (from, until) = identity.valid()?;
    let (what, at) = if now < from {
        ("is not valid before", from)
    } else if now > until {
        ("has expired on", until)
    } else {
        return None;
    };
    let file = config.tls_certificate_path.as_deref().unwrap_or_default();
    let at = Timestamp::from_millisecond(at.0).map_or_else(|_| at.to_string(), |at| at.to_string());
    Some(format!(
        "[ServerSpecific] tls_certificate_path = {file}: the certificate {what} {at}, clients refuse it"
    ))
}

/// A full sentence if whoever reaches the port may send notifications to everybody.
pub(crate) fn exposure(config: &ServerConfig) -> Option<String> {
    let is_guarded = config.require_api_key || config.tls_certificate_path.is_some();
    if is_guarded || config.bind_address.is_loopback() {
        return None;
    }
    Some(format!(
        "[ServerSpecific] bind_address = {}: whoever reaches port {} can send notifications to \
         every user: set require_api_key, and tls_certificate_path with tls_key_path",
        config.bind_address, config.port
    ))
}
