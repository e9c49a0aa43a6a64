//! `onegin key`: API keys, from the command line.
//!
//! A secret is shown once, when it is made, and never taken from the command line, where every
//! user of the machine could read it.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use model::{OrganisationId, UnixMs};
use serde_json::{Value, json};
use servlet::{NewKey, SecretHash, check_key};
use storage::{ApiKey, NewApiKey, Storage};

use super::database::{answer, open};

/// More than any secret; what is longer is another file.
const SECRET_FILE_LIMIT: u64 = 64 * 1024;

/// Options of `onegin key`.
#[derive(Debug, Args)]
#[command(
    after_help = "A running daemon follows every change within two seconds. Keys are asked for where\nrequire_api_key is on.\n\nExamples:\n  onegin key create --note \"match server\" --configuration config.ini\n  onegin key list --configuration config.ini\n  onegin key disable QK3V7RWM2XHTB6ZP --configuration config.ini\n  curl -u KEY:SECRET -d @events.json https://push.example.com:8887/post_events_json"
)]
pub struct KeyArguments {
    #[command(subcommand)]
    command: KeyCommand,
    /// Print JSON, for scripts.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Args)]
struct Owner {
    /// Whose key it is. Pushkin's URLs take keys of `legacy`.
    #[arg(long, value_name = "NAME", default_value = "legacy")]
    organisation: String,
    /// Make the organisation if there is none of this name.
    #[arg(long)]
    create_organisation: bool,
    /// What the key is remembered by.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key with its secret, which is shown this once.
    #[command(
        after_help = "Example:\n  onegin key create --note \"match server\" --configuration config.ini"
    )]
    Create {
        #[command(flatten)]
        owner: Owner,
    },
    /// Take over a key with its secret that clients use already.
    ///
    /// The secret is read from a file or from standard input; one line break at its end is left
    /// out.
    #[command(
        after_help = "Examples:\n  onegin key import 5d8f31-game --secret-file secret.txt --configuration config.ini\n  pass show push/secret | onegin key import 5d8f31-game --configuration config.ini"
    )]
    Import {
        /// The key, the public part.
        key: String,
        /// The file that holds the secret; without it standard input does.
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
        #[command(flatten)]
        owner: Owner,
    },
    /// One line per key, of one organisation or of all.
    #[command(after_help = "Example:\n  onegin key list --configuration config.ini")]
    List {
        /// Only this organisation's.
        #[arg(long, value_name = "NAME")]
        organisation: Option<String>,
    },
    /// Put a key out of force, within two seconds everywhere.
    #[command(
        after_help = "Example:\n  onegin key disable QK3V7RWM2XHTB6ZP --configuration config.ini"
    )]
    Disable {
        /// The key.
        key: String,
    },
    /// Put a disabled key in force again.
    #[command(
        after_help = "Example:\n  onegin key enable QK3V7RWM2XHTB6ZP --configuration config.ini"
    )]
    Enable {
        /// The key.
        key: String,
    },
}

/// Does what the arguments say.
///
/// # Errors
/// When the database cannot be used, there is no such key, organisation or file, or the key is
/// taken.
pub fn key(configuration: &Path, arguments: &KeyArguments) -> anyhow::Result<ExitCode> {
    let storage = open(configuration)?;
    let as_json = arguments.json;
    let text = match &arguments.command {
        KeyCommand::Create { owner } => create(&storage, owner, as_json)?,
        KeyCommand::Import {
            key,
            secret_file,
            owner,
        } => {
            check_key(key)?;
            let hash = SecretHash::of_imported(&secret(secret_file.as_deref())?)?;
            store(&storage, owner, key, &hash)?;
            list(&[stored(&storage, key)?], as_json)
        }
        KeyCommand::List { organisation } => {
            let mut keys = storage.api_keys()?;
            if let Some(name) = organisation {
                existing(&storage, name)?;
                keys.retain(|key| key.organisation_name == *name);
            }
            list(&keys, as_json)
        }
        KeyCommand::Disable { key } => switch(&storage, key, false, as_json)?,
        KeyCommand::Enable { key } => switch(&storage, key, true, as_json)?,
    };
    answer(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn create(storage: &Storage, owner: &Owner, as_json: bool) -> anyhow::Result<String> {
    let NewKey { key, secret } = NewKey::generate()?;
    store(storage, owner, &key, &SecretHash::of_generated(&secret))?;
    if as_json {
        let mut shown = to_json(&stored(storage, &key)?);
        shown["secret"] = json!(secret);
        return Ok(format!("{shown}\n"));
    }
    Ok(format!(
        "key     {key}\nsecret  {secret}\n\nThe secret is shown this once: only its hash is kept. \
         Clients send both by HTTP Basic.\n"
    ))
}

fn store(storage: &Storage, owner: &Owner, key: &str, hash: &SecretHash) -> anyhow::Result<()> {
    if owner.create_organisation {
        if owner.organisation.trim().is_empty() {
            bail!("an organisation needs a name");
        }
        storage.add_organisation(&owner.organisation)?;
    }
    let new = NewApiKey {
        organisation: existing(storage, &owner.organisation)?,
        key,
        algorithm: hash.algorithm(),
        hash: &hash.text(),
        note: owner.note.as_deref(),
    };
    if !storage.add_api_key(&new)? {
        bail!("there is a key {key} already; nothing was changed");
    }
    Ok(())
}

fn existing(storage: &Storage, name: &str) -> anyhow::Result<OrganisationId> {
    let organisation = storage.organisation(name)?;
    let id = organisation.map(|organisation| organisation.id);
    id.with_context(|| {
        format!("there is no organisation {name}; --create-organisation makes one with a new key")
    })
}

/// One line break at the end is an editor's or a shell's and not the secret's.
fn secret(file: Option<&Path>) -> anyhow::Result<String> {
    let mut text = String::new();
    match file {
        Some(path) => File::open(path)
            .and_then(|file| file.take(SECRET_FILE_LIMIT).read_to_string(&mut text))
            .with_context(|| format!("the secret cannot be read from {}", path.display())),
        None => io::stdin()
            .lock()
            .take(SECRET_FILE_LIMIT)
            .read_to_string(&mut text)
            .context("the secret cannot be read from standard input"),
    }?;
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    Ok(secret.strip_suffix('\r').unwrap_or(secret).to_owned())
}

fn stored(storage: &Storage, key: &str) -> anyhow::Result<ApiKey> {
    let stored = storage.api_key(key)?;
    stored.with_context(|| format!("there is no key {key}; see onegin key list"))
}

fn switch(storage: &Storage, key: &str, enabled: bool, as_json: bool) -> anyhow::Result<String> {
    storage.set_api_key_enabled(key, enabled)?;
    Ok(list(&[stored(storage, key)?], as_json))
}

fn list(keys: &[ApiKey], as_json: bool) -> String {
    if as_json {
        let all: Vec<Value> = keys.iter().map(to_json).collect();
        return format!("{}\n", Value::Array(all));
    }
    let row = |key: &str, state: &str, organisation: &str, created: &str, note: &str| {
        let line = format!("{key:<24}  {state:<8}  {organisation:<16}  {created:<24}  {note}");
        format!("{}\n", line.trim_end())
    };
    let mut table = row("key", "state", "organisation", "created", "note");
    for key in keys {
        table += &row(
            &key.key,
            key.disabled_at.map_or("enabled", |_| "disabled"),
            &key.organisation_name,
            &time(key.created_at),
            key.note.as_deref().unwrap_or_default(),
        );
    }
    table
}

fn time(at: UnixMs) -> String {
    let time = Timestamp::from_millisecond(at.0);
    time.map_or_else(|_| at.to_string(), |time| time.to_string())
}

/// A key as scripts see it; not even its hash is shown.
fn to_json(key: &ApiKey) -> Value {
    json!({
        "key": key.key,
        "organisation": key.organisation_name,
        "imported": key.algorithm == SecretHash::IMPORTED,
        "enabled": key.disabled_at.is_none(),
        "note": key.note,
        "created_at": key.created_at.0,
        "disabled_at": key.disabled_at.map(|time| time.0),
    })
}
