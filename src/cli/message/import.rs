//! `onegin message import`: the messages of a file, all or none.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::json;
use storage::StoredMessages;

use super::{
    csv_file,
    file::{self, Format},
    json_file,
};
use crate::cli::{
    database::{answer, open},
    progress::Progress,
};

/// Options of `onegin message import`.
#[derive(Debug, Args)]
#[command(
    after_help = "Columns of a CSV file, one row per message and language: name, trigger_event_id, cooldown_ms, screen, expiry_ms, priority, language, title, text. Attributes whose column is missing stay as they are; an empty cell is the default. JSON files have what `message export` writes.\n\nExamples:\n  onegin message import messages.csv --dry-run --configuration config.ini\n  onegin message import - --format json --configuration config.ini < messages.json"
)]
pub(super) struct ImportArguments {
    /// The file; `-` is standard input.
    file: PathBuf,
    /// Its form, where its name does not say.
    #[arg(long)]
    format: Option<Format>,
    /// Check everything and say what would change, but change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Stores the file's messages and says what changed.
///
/// # Errors
/// When the file cannot be read, or something in it cannot be stored; nothing is stored then.
pub(super) fn import(
    configuration: &Path,
    arguments: &ImportArguments,
    as_json: bool,
) -> anyhow::Result<()> {
    let format = Format::of(&arguments.file, arguments.format)?;
    let name = arguments.file.display();
    let bytes = file::read(&arguments.file)?;
    let drafts = match format {
        Format::Csv => csv_file::read(&bytes),
        Format::Json => json_file::read(&bytes),
    }
    .with_context(|| name.to_string())?;
    drop(bytes);
    let storage = open(configuration)?;
    let progress = Progress::new("importing", drafts.len());
    let mut at = |done| progress.at(done);
    let stored = if arguments.dry_run {
        storage.rehearse_messages(&drafts, &mut at)
    } else {
        storage.store_messages(&drafts, &mut at)
    }
    .with_context(|| format!("{name}: nothing was imported"))?;
    drop(progress);
    if as_json {
        answer(&to_json(&stored, arguments.dry_run))
    } else {
        answer(&summary(&stored, arguments.dry_run))
    }
}

fn to_json(stored: &StoredMessages, is_rehearsal: bool) -> String {
    let json = json!({
        "messages": stored.ids.len(),
        "added": stored.added,
        "changed": stored.changed,
        "texts_added": stored.texts_added,
        "texts_changed": stored.texts_changed,
        "dry_run": is_rehearsal,
    });
    format!("{json}\n")
}

fn summary(stored: &StoredMessages, is_rehearsal: bool) -> String {
    let StoredMessages {
        ids,
        added,
        changed,
        texts_added,
        texts_changed,
    } = stored;
    let begin = if is_rehearsal {
        "nothing is changed; an import would be of"
    } else {
        "imported"
    };
    format!(
        "{begin} {} messages: {added} new, {changed} changed; {texts_added} texts new, {texts_changed} changed\n",
        ids.len()
    )
}
