//! SIGHUP: what can be replaced while everything runs.
//!
//! Each credential is read again on its own. One that cannot be used leaves what was there in
//! force and is told with section, key and file; it keeps nobody else from being replaced. One
//! that has not changed is left alone.

use sender::{MessengerConfig, Replaceable, apns::Apns, fcm::Fcm};
use servlet::{ServerConfig, Tls};
use tracing::{error, info, warn};

use super::{
    Pipeline,
    senders::{apns_provider, fcm_provider},
};
use crate::{
    config::Config,
    credentials::{self, CredentialsError, Inspected, Version},
    telemetry, tls,
};

/// What SIGHUP replaces; `None` is off, and is switched on by a restart only.
pub(super) struct Reloadable {
    pub(super) tls: Option<Tls>,
    pub(super) apns: Option<Replaceable<Apns>>,
    pub(super) apns_version: Version,
    pub(super) fcm: Option<Replaceable<Fcm>>,
    pub(super) fcm_version: Version,
}

impl Pipeline {
    /// Takes over the certificate, the credentials, and the messages, that `config` and the
    /// database have now. What went wrong is in the log.
    pub fn reload(&mut self, config: &Config) {
        self.reloadable.tls(&config.server);
        self.reloadable.credentials(&config.messenger);
        match self.storage.reload_catalogue() {
            Ok(()) => info!("messages are reloaded"),
            Err(error) => {
                let error = anyhow::Error::from(error);
                warn!("{error:#}: going on with the messages that were there");
            }
        }
    }
}

impl Reloadable {
    fn tls(&self, config: &ServerConfig) {
        match (&self.tls, tls::read(config)) {
            (None, Ok(None)) => {}
            (Some(tls), Ok(Some(identity))) => {
                let now = telemetry::system_clock().now();
                if let Some(doubt) = tls::doubt(config, &identity, now) {
                    warn!("{doubt}");
                }
                tls.replace(identity);
                info!("the TLS certificate is reloaded, new connections get it");
            }
            (None, Ok(Some(_))) | (Some(_), Ok(None)) => warn!(
                "[ServerSpecific] tls_certificate_path and tls_key_path: TLS is switched on and \
                 off by a restart only, going on as before"
            ),
            (Some(_), Err(error)) => {
                error!("{error}; going on with the certificate that was there");
            }
            (None, Err(error)) => error!("{error}; going on without TLS"),
        }
    }

    fn credentials(&mut self, config: &MessengerConfig) {
        let Inspected {
            credentials: new,
            warnings: _,
            errors,
        } = credentials::inspect(config);
        let is_right = |service: &str| told(&errors, service);
        if is_right("apns") && new.apns_version != self.apns_version {
            let provider = apns_provider(config, new.apns, new.apns_ca, None);
            if replace("APNs", "apns_", self.apns.as_ref(), provider) {
                self.apns_version = new.apns_version;
            }
        }
        if is_right("fcm") && new.fcm_version != self.fcm_version {
            let provider = fcm_provider(config, new.fcm, new.fcm_ca);
            if replace("FCM", "fcm_", self.fcm.as_ref(), provider) {
                self.fcm_version = new.fcm_version;
            }
        }
    }
}

/// Tells what is wrong with the keys of one push service; whether nothing is.
fn told(errors: &[CredentialsError], service: &str) -> bool {
    let mut is_right = true;
    for error in errors {
        if error.key().starts_with(service) {
            error!("{error}; going on with the credential that was there");
            is_right = false;
        }
    }
    is_right
}

/// Hands the new credential to its sender; whether that is done.
fn replace<P>(
    service: &str,
    keys: &str,
    current: Option<&Replaceable<P>>,
    new: anyhow::Result<Option<P>>,
) -> bool {
    match (current, new) {
        (Some(current), Ok(Some(provider))) => {
            current.replace(provider);
            info!("the {service} credential is reloaded");
            true
        }
        (None, Ok(None)) => true,
        (Some(_), Ok(None)) | (None, Ok(Some(_))) => {
            warn!(
                "[Messenger] {keys}…: {service} is switched on and off by a restart only, going \
                 on as before"
            );
            false
        }
        (_, Err(error)) => {
            error!("{error:#}; going on with the credential that was there");
            false
        }
    }
}
