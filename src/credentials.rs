//! Credential files: read here, and nowhere else.
//!
//! A credential that is set but unusable stops the start with a message that names section, key
//! and file; one that is not set turns its push service off with one warning.

use std::{fs, path::Path};

use sender::{MessengerConfig, apns, fcm};

/// What the senders authenticate with; `None` is off.
#[derive(Debug, Default)]
pub struct Credentials {
    /// For APNs.
    pub apns: Option<apns::Credentials>,
    /// For FCM.
    pub fcm: Option<fcm::Credentials>,
    /// Extra certificate authority for APNs, PEM.
    pub apns_ca: Option<Vec<u8>>,
    /// Extra certificate authority for FCM, PEM.
    pub fcm_ca: Option<Vec<u8>>,
}

/// Why a credential cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file is not there, or not readable.
    #[error("[Messenger] {key} = {file}: the file cannot be read: {cause}")]
    Read {
        /// Option name.
        key: &'static str,
        /// Its value.
        file: String,
        /// The operating system's words.
        cause: std::io::Error,
    },
    /// The file is not what the key takes.
    #[error("[Messenger] {key} = {file}: {cause}")]
    Form {
        /// Option name.
        key: &'static str,
        /// Its value.
        file: String,
        /// What is wrong.
        cause: sender::CredentialError,
    },
    /// A key that another one needs.
    #[error("[Messenger] {missing} is not set, but {key} needs it")]
    Incomplete {
        /// The key that is set.
        key: &'static str,
        /// The key that is not.
        missing: &'static str,
    },
}

/// The credentials that `[Messenger]` names, and a warning for each push service that is off.
///
/// # Errors
/// The first credential that is set but cannot be used.
pub fn read(config: &MessengerConfig) -> Result<(Credentials, Vec<String>), CredentialsError> {
    let mut warnings = Vec::new();
    let apns = apns(config)?;
    if apns.is_none() {
        warnings.push(
            "APNs is off: neither [Messenger] apns_key_path nor apns_certificate_path is set; \
             notifications for iPhones and iPads end with status 203"
                .to_owned(),
        );
    }
    let fcm = fcm(config)?;
    if fcm.is_none() {
        warnings.push(match config.gcm_access_key {
            None => "FCM is off: [Messenger] fcm_service_account_path is not set; \
                     notifications for Android devices end with status 104"
                .to_owned(),
            Some(_) => "FCM is off: Google switched GCM and its gcm_access_key off in 2024; \
                        set [Messenger] fcm_service_account_path to the service-account file of \
                        the Firebase project; notifications for Android devices end with status 104"
                .to_owned(),
        });
    }
    let ca = |key, path: &Option<String>| path.as_ref().map(|path| file(key, path)).transpose();
    let credentials = Credentials {
        apns,
        fcm,
        apns_ca: ca("apns_ca_path", &config.apns_ca_path)?,
        fcm_ca: ca("fcm_ca_path", &config.fcm_ca_path)?,
    };
    Ok((credentials, warnings))
}

/// The token key is preferred: it does not expire every year.
fn apns(config: &MessengerConfig) -> Result<Option<apns::Credentials>, CredentialsError> {
    if let Some(path) = &config.apns_key_path {
        let key = "apns_key_path";
        let need = |missing, value: &'_ Option<String>| {
            value
                .clone()
                .ok_or(CredentialsError::Incomplete { key, missing })
        };
        let key_id = need("apns_key_id", &config.apns_key_id)?;
        let team_id = need("apns_team_id", &config.apns_team_id)?;
        need("apns_topic", &config.apns_topic)?;
        let pem = file(key, path)?;
        return apns::Credentials::from_p8(&pem, &key_id, &team_id)
            .map(Some)
            .map_err(|cause| form(key, path, cause));
    }
    if let Some(path) = &config.apns_certificate_path {
        let key = "apns_certificate_path";
        let pem = file(key, path)?;
        return apns::Credentials::from_certificate(&pem)
            .map(Some)
            .map_err(|cause| form(key, path, cause));
    }
    Ok(None)
}

fn fcm(config: &MessengerConfig) -> Result<Option<fcm::Credentials>, CredentialsError> {
    let Some(path) = &config.fcm_service_account_path else {
        return Ok(None);
    };
    let key = "fcm_service_account_path";
    let json = file(key, path)?;
    fcm::Credentials::from_service_account(&json)
        .map(Some)
        .map_err(|cause| form(key, path, cause))
}

fn file(key: &'static str, path: &str) -> Result<Vec<u8>, CredentialsError> {
    fs::read(Path::new(path)).map_err(|cause| CredentialsError::Read {
        key,
        file: path.to_owned(),
        cause,
    })
}

fn form(key: &'static str, path: &str, cause: sender::CredentialError) -> CredentialsError {
    CredentialsError::Form {
        key,
        file: path.to_owned(),
        cause,
    }
}
