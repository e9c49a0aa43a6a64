//! `onegin message export`: all messages in a file that can be imported.

use std::path::PathBuf;

use clap::Args;
use storage::Storage;

use super::{
    csv_file,
    file::{self, Format},
    json_file,
};
use crate::cli::progress::Progress;

/// Options of `onegin message export`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  onegin message export messages.csv --configuration config.ini\n  onegin message export - --format json --configuration config.ini > messages.json"
)]
pub(super) struct ExportArguments {
    /// The file; `-` is standard output.
    file: PathBuf,
    /// Its form, where its name does not say.
    #[arg(long)]
    format: Option<Format>,
}

/// Writes all messages.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn export(storage: &Storage, arguments: &ExportArguments) -> anyhow::Result<()> {
    let format = Format::of(&arguments.file, arguments.format)?;
    let catalogue = storage.catalogue();
    let progress = if file::is_standard(&arguments.file) {
        Progress::hidden()
    } else {
        Progress::new("exporting", catalogue.messages().count())
    };
    let messages = catalogue.messages().enumerate().map(|(done, message)| {
        progress.at(done + 1);
        message.as_ref()
    });
    let bytes = match format {
        Format::Csv => csv_file::write(messages)?,
        Format::Json => json_file::write(messages)?,
    };
    file::write(&arguments.file, &bytes)
}
