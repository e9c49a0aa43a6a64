//! What the commands about the database share: opening it, and answering.

use std::{
    io::{ErrorKind, Write},
    path::Path,
};

use storage::{OpenOptions, Storage};

use crate::telemetry;

/// Opens the configuration's database.
///
/// # Errors
/// When the configuration or the database cannot be used.
pub(super) fn open(configuration: &Path) -> anyhow::Result<Storage> {
    let loaded = super::run::load(configuration)?;
    let options = OpenOptions {
        processor_threads: 0,
        durable: true,
        clock: telemetry::system_clock(),
    };
    Ok(Storage::open(&loaded.config.database, options)?)
}

/// Prints the command's answer. Whoever reads only its beginning (`| head`) is not an error.
///
/// # Errors
/// When standard output cannot be written.
pub(super) fn answer(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => Ok(outcome?),
    }
}
