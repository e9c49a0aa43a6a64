//! Credential files: read here, and nowhere else.
//!
//! A credential that is set but unusable stops the start with a message that names section, key
//! and file; one that is not set turns its push service off with one warning.

use std::{
    fmt, fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
};

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
    /// Another one for whatever else stands in the files and keys about APNs.
    pub(crate) apns_version: Version,
    /// The same for FCM.
    pub(crate) fcm_version: Version,
}

/// Tells whether files and keys are still what they were. A credential that has not changed must
/// not be replaced: Apple refuses provider tokens that are renewed too often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Version(u64);

impl Version {
    fn of(parts: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        parts.hash(&mut hasher);
        Self(hasher.finish())
    }
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

/// Everything that is wrong with the credentials.
#[derive(Debug)]
pub struct CredentialsErrors(pub Vec<CredentialsError>);

impl fmt::Display for CredentialsErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, error) in self.0.iter().enumerate() {
            let separator = if place == 0 { "" } else { "\n  " };
            write!(formatter, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for CredentialsErrors {}

impl CredentialsError {
    /// The key at fault; its first letters name the push service.
    pub(crate) fn key(&self) -> &'static str {
        match self {
            Self::Read { key, .. } | Self::Form { key, .. } | Self::Incomplete { key, .. } => key,
        }
    }
}

/// What can be said about the credentials.
#[derive(Debug, Default)]
pub(crate) struct Inspected {
    /// Those that can be used.
    pub(crate) credentials: Credentials,
    /// A full sentence for each push service that is off.
    pub(crate) warnings: Vec<String>,
    /// What stops the start.
    pub(crate) errors: Vec<CredentialsError>,
}

/// The credentials that `[Messenger]` names, and a warning for each push service that is off.
///
/// # Errors
/// When a credential is set but cannot be used.
pub fn read(config: &MessengerConfig) -> Result<(Credentials, Vec<String>), CredentialsErrors> {
    let inspected = inspect(config);
    if inspected.errors.is_empty() {
        Ok((inspected.credentials, inspected.warnings))
    } else {
        Err(CredentialsErrors(inspected.errors))
    }
}

/// As [`read`], but what is wrong does not end it.
pub(crate) fn inspect(config: &MessengerConfig) -> Inspected {
    let mut inspected = Inspected::default();
    match apns(config) {
        Ok(None) => inspected.warnings.push(
            "APNs is off: neither [Messenger] apns_key_path nor apns_certificate_path is set; \
             notifications for iPhones and iPads end with status 203"
                .to_owned(),
        ),
        Ok(apns) => inspected.credentials.apns = apns,
        Err(errors) => inspected.errors.extend(errors),
    }
    match fcm(config) {
        Ok(None) => inspected.warnings.push(fcm_is_off(config)),
        Ok(fcm) => inspected.credentials.fcm = fcm,
        Err(error) => inspected.errors.push(error),
    }
    let mut ca = |key, path: &Option<String>| match path.as_ref().map(|path| file(key, path)) {
        None => None,
        Some(Ok(pem)) => Some(pem),
        Some(Err(error)) => {
            inspected.errors.push(error);
            None
        }
    };
    let apns_ca = ca("apns_ca_path", &config.apns_ca_path);
    let fcm_ca = ca("fcm_ca_path", &config.fcm_ca_path);
    inspected.credentials.apns_version = Version::of((
        contents(&[&config.apns_key_path, &config.apns_certificate_path]),
        &apns_ca,
        [
            &config.apns_key_id,
            &config.apns_team_id,
            &config.apns_topic,
        ],
        &config.apns_endpoint,
        config.apns_sandbox,
    ));
    inspected.credentials.fcm_version = Version::of((
        contents(&[&config.fcm_service_account_path]),
        &fcm_ca,
        &config.fcm_endpoint,
        &config.base_deeplink_url,
        (config.dry_run, config.fcm_rate_limit_per_sec),
    ));
    inspected.credentials.apns_ca = apns_ca;
    inspected.credentials.fcm_ca = fcm_ca;
    inspected
}

fn fcm_is_off(config: &MessengerConfig) -> String {
    match config.gcm_access_key {
        None => "FCM is off: [Messenger] fcm_service_account_path is not set; \
                 notifications for Android devices end with status 104"
            .to_owned(),
        Some(_) => "FCM is off: Google switched GCM and its gcm_access_key off in 2024; \
                    set [Messenger] fcm_service_account_path to the service-account file of \
                    the Firebase project; notifications for Android devices end with status 104"
            .to_owned(),
    }
}

/// The token key is preferred: it does not expire every year.
fn apns(config: &MessengerConfig) -> Result<Option<apns::Credentials>, Vec<CredentialsError>> {
    if let Some(path) = &config.apns_key_path {
        return apns_by_token(config, path).map(Some);
    }
    if let Some(path) = &config.apns_certificate_path {
        let key = "apns_certificate_path";
        let pem = file(key, path).map_err(|error| vec![error])?;
        return apns::Credentials::from_certificate(&pem)
            .map(Some)
            .map_err(|cause| vec![form(key, path, cause)]);
    }
    Ok(None)
}

fn apns_by_token(
    config: &MessengerConfig,
    path: &str,
) -> Result<apns::Credentials, Vec<CredentialsError>> {
    let key = "apns_key_path";
    let needed = [
        ("apns_key_id", &config.apns_key_id),
        ("apns_team_id", &config.apns_team_id),
        ("apns_topic", &config.apns_topic),
    ];
    let mut errors: Vec<CredentialsError> = needed
        .iter()
        .filter(|(_, value)| value.is_none())
        .map(|(missing, _)| CredentialsError::Incomplete { key, missing })
        .collect();
    match (file(key, path), &config.apns_key_id, &config.apns_team_id) {
        (Ok(pem), Some(key_id), Some(team_id)) if errors.is_empty() => {
            return apns::Credentials::from_p8(&pem, key_id, team_id)
                .map_err(|cause| vec![form(key, path, cause)]);
        }
        (Ok(_), _, _) => {}
        (Err(error), _, _) => errors.push(error),
    }
    Err(errors)
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

/// What stands in these files, as far as they can be read.
fn contents(paths: &[&Option<String>]) -> Vec<Option<Vec<u8>>> {
    let read = |path: &&Option<String>| path.as_ref().and_then(|path| fs::read(path).ok());
    paths.iter().map(read).collect()
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
