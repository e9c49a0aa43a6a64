//! `onegin message`: the messages that events trigger, from the command line.
//!
//! A running daemon sees every change within two seconds.

use std::{
    io::{ErrorKind, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use model::Priority;
use processor::Template;
use serde_json::{Value, json};
use storage::{Message, MessageAttributes, OpenOptions, Storage};

use crate::telemetry;

/// Options of `onegin message`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  onegin message add raided --trigger 1002 --cooldown-ms 600000 --language 1 --title 'Raid!' --text 'Hurry, {name}!' --configuration config.ini\n  onegin message add raided --language 2 --title 'Überfall!' --text 'Schnell, {name}!' --configuration config.ini\n  onegin message list --configuration config.ini"
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
    List,
    /// Everything about one message.
    Show {
        /// The message's name.
        name: String,
    },
    /// Add a message, a language to one, or change what is named.
    ///
    /// Attributes that are not named stay as they are; a new message has the defaults.
    Add(AddArguments),
    /// Delete a message with its texts, or one language of it.
    Delete {
        /// The message's name.
        name: String,
        /// Only the text in this language.
        #[arg(long, value_name = "ID")]
        language: Option<i16>,
    },
}

#[derive(Debug, Args)]
struct AddArguments {
    /// The message's name; unique.
    name: String,
    /// Event id that triggers it.
    #[arg(long, value_name = "EVENT")]
    trigger: Option<i32>,
    /// Nobody gets it twice within this many milliseconds.
    #[arg(long, value_name = "MS")]
    cooldown_ms: Option<i64>,
    /// Deep link.
    #[arg(long)]
    screen: Option<String>,
    /// Not delivered later than this many milliseconds after its event.
    #[arg(long, value_name = "MS")]
    expiry_ms: Option<i64>,
    /// How urgently devices are woken.
    #[arg(long)]
    priority: Option<PriorityName>,
    /// Language of the text below; 1 is what users of other languages get.
    #[arg(long, value_name = "ID", requires = "title", requires = "text")]
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
/// When the database cannot be used, a name is unknown, or a template cannot work.
pub fn message(configuration: &Path, arguments: &MessageArguments) -> anyhow::Result<ExitCode> {
    let storage = open(configuration)?;
    match &arguments.command {
        MessageCommand::List => answer(&list(&storage, arguments.json))?,
        MessageCommand::Show { name } => {
            answer(&show(&existing(&storage, name)?, arguments.json))?;
        }
        MessageCommand::Add(add) => {
            let message = add_message(&storage, add)?;
            answer(&show(&message, arguments.json))?;
        }
        MessageCommand::Delete { name, language } => {
            let message = existing(&storage, name)?;
            match language {
                None => {
                    storage.delete_message(name)?;
                }
                Some(language) => {
                    if !storage.delete_localization(message.id, *language)? {
                        bail!("the message {name} has no text in language {language}");
                    }
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn open(configuration: &Path) -> anyhow::Result<Storage> {
    let loaded = super::run::load(configuration)?;
    let options = OpenOptions {
        processor_threads: 0,
        durable: true,
        clock: telemetry::system_clock(),
    };
    Ok(Storage::open(&loaded.config.database, options)?)
}

fn existing(storage: &Storage, name: &str) -> anyhow::Result<Message> {
    named(storage, name)
        .with_context(|| format!("there is no message named {name}; see onegin message list"))
}

fn named(storage: &Storage, name: &str) -> Option<Message> {
    let catalogue = storage.catalogue();
    catalogue.named(name).map(|message| Message::clone(message))
}

fn add_message(storage: &Storage, add: &AddArguments) -> anyhow::Result<Message> {
    for (option, template) in [("--title", &add.title), ("--text", &add.text)] {
        if let Some(template) = template {
            Template::parse_strict(template).with_context(|| format!("{option} cannot work"))?;
        }
    }
    let before = named(storage, &add.name);
    let before = before.as_ref();
    let priority = add.priority.map(|priority| match priority {
        PriorityName::Normal => Priority::Normal,
        PriorityName::High => Priority::High,
    });
    let id = storage.upsert_message(&MessageAttributes {
        name: add.name.clone(),
        trigger_event_id: add.trigger.or(before.and_then(|old| old.trigger_event_id)),
        cooldown_ms: add.cooldown_ms.or(before.and_then(|old| old.cooldown_ms)),
        screen: add
            .screen
            .clone()
            .or_else(|| before.map(|old| old.screen.clone()))
            .unwrap_or_default(),
        expiry_millis: add.expiry_ms.or(before.and_then(|old| old.expiry_millis)),
        priority: priority
            .or(before.map(|old| old.priority))
            .unwrap_or_default(),
    })?;
    if let (Some(language), Some(title), Some(text)) = (add.language, &add.title, &add.text) {
        storage.upsert_localization(id, language, title, text)?;
    }
    existing(storage, &add.name)
}

/// Prints the command's answer. Whoever reads only its beginning (`| head`) is not an error.
fn answer(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => Ok(outcome?),
    }
}

fn list(storage: &Storage, as_json: bool) -> String {
    let catalogue = storage.catalogue();
    if as_json {
        let all: Vec<Value> = catalogue
            .messages()
            .map(|message| to_json(message))
            .collect();
        return format!("{}\n", Value::Array(all));
    }
    let row = |id: &str, name: &str, trigger: &str, cooldown: &str, languages: &str| {
        format!("{id:>6}  {name:<24} {trigger:>8}  {cooldown:>12}  {languages}\n")
    };
    let mut table = row("id", "name", "trigger", "cooldown ms", "languages");
    for message in catalogue.messages() {
        let optional = |number: Option<i64>| number.map_or("-".to_owned(), |n| n.to_string());
        let languages: Vec<String> = message
            .localizations
            .iter()
            .map(|text| text.language.to_string())
            .collect();
        table += &row(
            &message.id.to_string(),
            &message.name,
            &optional(message.trigger_event_id.map(i64::from)),
            &optional(message.cooldown_ms),
            &languages.join(" "),
        );
    }
    table
}

fn show(message: &Message, as_json: bool) -> String {
    let json = to_json(message);
    if as_json {
        format!("{json}\n")
    } else {
        format!("{json:#}\n")
    }
}

fn to_json(message: &Message) -> Value {
    let localizations: Vec<Value> = message
        .localizations
        .iter()
        .map(|text| json!({"language": text.language, "title": text.title, "text": text.text}))
        .collect();
    json!({
        "id": message.id.0,
        "name": message.name,
        "trigger_event_id": message.trigger_event_id,
        "cooldown_ms": message.cooldown_ms,
        "screen": message.screen,
        "expiry_ms": message.expiry_millis,
        "priority": message.priority.as_str(),
        "localizations": localizations,
    })
}
