//! `onegin message`: the messages that events trigger, from the command line.
//!
//! A running daemon sees every change within two seconds.

mod columns;

mod csv_file;

mod export;

mod file;

mod import;

mod json_file;

mod show;

#[cfg(fuzzing)]
pub(crate) mod fuzzing;

use std::{path::Path, process::ExitCode};

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use model::Priority;
use storage::{Attribute, Localization, Message, MessageDraft, Storage};

use super::database::{answer, open};

/// Options of `onegin message`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  onegin message add raided --trigger 1002 --cooldown-ms 600000 --language 1 --title 'Raid!' --text 'Hurry, {name}!' --configuration config.ini\n  onegin message add raided --language 2 --title 'Überfall!' --text 'Schnell, {name}!' --configuration config.ini\n  onegin message list --configuration config.ini\n  onegin message export messages.csv --configuration config.ini\n  onegin message import messages.csv --configuration config.ini"
)]
pub struct MessageArguments {
    #[command(subcommand)]
    command: MessageCommand,
    /// Print JSON, for scripts.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum MessageCommand {
    /// One line per message.
    #[command(after_help = "Example:\n  onegin message list --json --configuration config.ini")]
    List,
    /// Everything about one message.
    #[command(after_help = "Example:\n  onegin message show raided --configuration config.ini")]
    Show {
        /// The message's name.
        name: String,
    },
    /// Add a message, a language to one, or change what is named.
    ///
    /// Attributes that are not named stay as they are; a new message has the defaults.
    #[command(
        after_help = "Example:\n  onegin message add raided --trigger 1002 --language 1 --title 'Raid!' --text 'Hurry, {name}!' --configuration config.ini"
    )]
    Add(AddArguments),
    /// Delete a message with its texts, or one language of it.
    #[command(
        after_help = "Example:\n  onegin message delete raided --language 2 --configuration config.ini"
    )]
    Delete {
        /// The message's name.
        name: String,
        /// Only the text in this language.
        #[arg(long, value_name = "ID", allow_negative_numbers = true)]
        language: Option<i16>,
    },
    /// Store the messages of a file, all or none. Other messages and languages stay.
    Import(import::ImportArguments),
    /// Write all messages to a file.
    Export(export::ExportArguments),
}

#[derive(Debug, Args)]
struct AddArguments {
    /// The message's name; unique.
    name: String,
    /// Event id that triggers it.
    #[arg(long, value_name = "EVENT", allow_negative_numbers = true)]
    trigger: Option<i32>,
    /// No event triggers it any more.
    #[arg(long, conflicts_with = "trigger")]
    no_trigger: bool,
    /// Nobody gets it twice within this many milliseconds.
    #[arg(long, value_name = "MS")]
    cooldown_ms: Option<i64>,
    /// It may be sent at any time again.
    #[arg(long, conflicts_with = "cooldown_ms")]
    no_cooldown: bool,
    /// Deep link.
    #[arg(long)]
    screen: Option<String>,
    /// Not delivered later than this many milliseconds after its event.
    #[arg(long, value_name = "MS")]
    expiry_ms: Option<i64>,
    /// It is worth delivering as long as any other: 6 hours.
    #[arg(long, conflicts_with = "expiry_ms")]
    no_expiry: bool,
    /// How urgently devices are woken.
    #[arg(long)]
    priority: Option<PriorityName>,
    /// Language of the text below; 1 is what users of other languages get.
    #[arg(
        long,
        value_name = "ID",
        requires = "title",
        requires = "text",
        allow_negative_numbers = true
    )]
    language: Option<i16>,
    /// Title; parameters in braces, {{ and }} for literal ones.
    #[arg(long, requires = "language")]
    title: Option<String>,
    /// Text; parameters as in the title.
    #[arg(long, requires = "language")]
    text: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PriorityName {
    Normal,
    High,
}

/// Does what the arguments say.
///
/// # Errors
/// When the database cannot be used, a name is unknown, a template cannot work, or a file cannot
/// be read, understood or written.
pub fn message(configuration: &Path, arguments: &MessageArguments) -> anyhow::Result<ExitCode> {
    let as_json = arguments.json;
    match &arguments.command {
        MessageCommand::List => answer(&show::list(&open(configuration)?, as_json))?,
        MessageCommand::Show { name } => {
            let message = existing(&open(configuration)?, name)?;
            answer(&show::show(&message, as_json))?;
        }
        MessageCommand::Add(add) => {
            let draft = draft(add)?;
            let storage = open(configuration)?;
            storage.add_message(&draft)?;
            answer(&show::show(&existing(&storage, &add.name)?, as_json))?;
        }
        MessageCommand::Delete { name, language } => {
            let storage = open(configuration)?;
            answer(&delete(&storage, name, *language, as_json)?)?;
        }
        MessageCommand::Import(import) => import::import(configuration, import, as_json)?,
        MessageCommand::Export(export) => export::export(&open(configuration)?, export)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn existing(storage: &Storage, name: &str) -> anyhow::Result<Message> {
    let catalogue = storage.catalogue();
    let message = catalogue.named(name).map(|message| Message::clone(message));
    message.with_context(|| format!("there is no message named {name}; see onegin message list"))
}

/// What is named changes, the rest stays.
fn draft(add: &AddArguments) -> anyhow::Result<MessageDraft> {
    columns::check_name(&add.name).map_err(anyhow::Error::msg)?;
    for (option, template) in [("--title", &add.title), ("--text", &add.text)] {
        if let Some(template) = template {
            columns::check_template(template)
                .map_err(anyhow::Error::msg)
                .with_context(|| format!("{option} cannot work"))?;
        }
    }
    let localization = match (add.language, &add.title, &add.text) {
        (Some(language), Some(title), Some(text)) => Some(Localization {
            language,
            title: title.clone(),
            text: text.clone(),
        }),
        _ => None,
    };
    Ok(MessageDraft {
        name: add.name.clone(),
        trigger_event_id: attribute(add.trigger, add.no_trigger),
        cooldown_ms: attribute(add.cooldown_ms, add.no_cooldown),
        screen: add.screen.clone().map_or(Attribute::Keep, Attribute::Set),
        expiry_millis: attribute(add.expiry_ms, add.no_expiry),
        priority: match add.priority {
            None => Attribute::Keep,
            Some(PriorityName::Normal) => Attribute::Set(Priority::Normal),
            Some(PriorityName::High) => Attribute::Set(Priority::High),
        },
        localizations: localization.into_iter().collect(),
    })
}

fn attribute<T>(named: Option<T>, is_cleared: bool) -> Attribute<Option<T>> {
    if named.is_some() || is_cleared {
        Attribute::Set(named)
    } else {
        Attribute::Keep
    }
}

fn delete(
    storage: &Storage,
    name: &str,
    language: Option<i16>,
    as_json: bool,
) -> anyhow::Result<String> {
    let message = existing(storage, name)?;
    let is_deleted = match language {
        None => storage.delete_message(name)?,
        Some(language) => storage.delete_localization(message.id, language)?,
    };
    if !is_deleted {
        match language {
            None => bail!("there is no message named {name} any more"),
            Some(language) => bail!("the message {name} has no text in language {language}"),
        }
    }
    Ok(show::deleted(&message, language, as_json))
}
