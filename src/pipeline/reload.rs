//! SIGHUP: what can be replaced while everything runs.
//!
//! Each file is read again on its own. One that cannot be used leaves what was there in force and
//! is told with section, key and file; it keeps nobody else from being replaced.

use tracing::{error, info, warn};

use super::Pipeline;
use crate::{config::Config, telemetry, tls};

impl Pipeline {
    /// Takes over the certificate, and the messages, that `config` names now.
    pub fn reload(&self, config: &Config) {
        self.reload_tls(config);
        match self.storage.reload_catalogue() {
            Ok(()) => info!("messages are reloaded"),
            Err(error) => {
                let error = anyhow::Error::from(error);
                warn!("{error:#}: going on with the messages that were there");
            }
        }
    }

    fn reload_tls(&self, config: &Config) {
        let config = &config.server;
        match (&self.tls, tls::read(config)) {
            (None, Ok(None)) => {}
            (Some(tls), Ok(Some(identity))) => {
                if let Some(doubt) = tls::doubt(config, &identity, telemetry::system_clock().now())
                {
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
                error!("{error}; going on with the certificate that was there")
            }
            (None, Err(error)) => error!("{error}; going on without TLS"),
        }
    }
}
