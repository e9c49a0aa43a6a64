//! What the fuzz targets reach of this crate's inside; compiled for them only.

use crate::{config::Loaded, enabled_senders};

pub use crate::cli::message::fuzzing::{
    read_messages_csv, read_messages_json, write_messages_csv, write_messages_json,
};

/// The effective configuration as `check-config` shows it.
#[must_use]
pub fn shown(loaded: &Loaded) -> String {
    crate::cli::check_config::fuzzing::shown(loaded)
}

/// Whether a list of senders is one.
///
/// # Errors
/// What is wrong with it.
pub fn enabled_senders(text: &str) -> Result<(), String> {
    let parsed = enabled_senders::parse(text);
    parsed.map(drop).map_err(|error| error.to_string())
}
