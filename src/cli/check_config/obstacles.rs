//! What would stop a start, found without starting anything.

use std::{
    io::ErrorKind,
    net::TcpListener,
    path::{Path, PathBuf},
};

use notification_log::LogConfig;
use servlet::ServerConfig;

use crate::{
    config::Loaded,
    credentials::{self, Inspected},
    enabled_senders, pipeline, telemetry, tls,
};

/// All that is to be said, each a full sentence that names section and key.
pub(super) struct Findings {
    /// These stop a start.
    pub(super) errors: Vec<String>,
    /// A daemon says these at its start and goes on.
    pub(super) warnings: Vec<String>,
}

/// Looks at everything that a start looks at before it connects to anybody.
pub(super) fn find(loaded: Loaded) -> Findings {
    let Loaded {
        config,
        origins: _,
        unusable,
        mut warnings,
        mut errors,
    } = loaded;
    let Inspected {
        credentials,
        warnings: off,
        errors: wrong,
    } = credentials::inspect(&config.messenger);
    warnings.extend(off);
    errors.extend(wrong.iter().map(ToString::to_string));
    let refused = pipeline::refused_settings(&config.messenger, credentials);
    errors.extend(refused.iter().map(|error| format!("{error:#}")));
    if let Err(error) = enabled_senders::parse(&config.sender.enabled_senders) {
        errors.push(format!("[Sender] enabled_senders: {error}"));
    }
    errors.extend(config.database.check().err().map(|error| error.to_string()));
    match tls::read(&config.server) {
        Ok(None) => {}
        Ok(Some(identity)) => {
            let now = telemetry::system_clock().now();
            warnings.extend(tls::doubt(&config.server, &identity, now));
        }
        Err(error) => errors.push(error.to_string()),
    }
    warnings.extend(tls::exposure(&config.server));
    errors.extend(config.paths.check().err().map(|error| error.to_string()));
    errors.extend(folders(&config.log));
    let is_known = |key: &str| !unusable.contains(&("serverspecific".to_owned(), key.to_owned()));
    if is_known("port") && is_known("bind_address") {
        match listening(&config.server) {
            Ok(warning) => warnings.extend(warning),
            Err(error) => errors.push(error),
        }
    }
    Findings { errors, warnings }
}

/// Folders that could not be made, because something else stands in their way.
fn folders(config: &LogConfig) -> Vec<String> {
    let folders = [
        ("main_log_path", &config.main_log_path),
        ("notification_log_path", &config.notification_log_path),
    ];
    let in_the_way = |folder: &PathBuf| {
        let existing = folder.ancestors().find(|ancestor| ancestor.exists())?;
        (!existing.is_dir()).then(|| Path::display(existing).to_string())
    };
    folders
        .into_iter()
        .filter_map(|(key, folder)| {
            let file = in_the_way(folder)?;
            let folder = folder.display();
            Some(format!("[Log] {key} = {folder}: {file} is not a folder"))
        })
        .collect()
}

/// Tries the address for a moment. A port in use is most often the running daemon's.
fn listening(config: &ServerConfig) -> Result<Option<String>, String> {
    let address = config.address();
    match TcpListener::bind(address) {
        Ok(_) => Ok(None),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(Some(format!(
            "[ServerSpecific] port = {}: somebody listens on {address} already; if that is not \
             the daemon that this configuration is for, choose another port",
            config.port
        ))),
        Err(error) => Err(format!(
            "[ServerSpecific] bind_address = {}, port = {}: cannot listen there: {error}",
            config.bind_address, config.port
        )),
    }
}
