//! `onegin login`: users, from the command line.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use model::{CUSTOMER_LOGIN_FLOOR, LoginId};
use serde_json::{Value, json};
use storage::{LoginRecord, Storage};

use super::{
    database::{answer, open},
    device,
};

/// Options of `onegin login`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  onegin login list --from 1000 --limit 50 --configuration config.ini\n  onegin login show 1338 --configuration config.ini\n  onegin login add 1338 --language 1 --configuration config.ini"
)]
pub struct LoginArguments {
    #[command(subcommand)]
    command: LoginCommand,
    /// Print JSON, for scripts.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum LoginCommand {
    /// One line per login, by ascending id, a page at a time.
    #[command(
        after_help = "Example:\n  onegin login list --from 1000 --limit 50 --configuration config.ini"
    )]
    List {
        /// The first id to show.
        #[arg(long, value_name = "ID", default_value_t = i64::MIN, hide_default_value = true, allow_negative_numbers = true)]
        from: i64,
        /// How many to show at most.
        #[arg(long, value_name = "COUNT", default_value_t = 1000)]
        limit: u32,
    },
    /// A login with its devices and what it has turned off.
    #[command(after_help = "Example:\n  onegin login show 1338 --configuration config.ini")]
    Show {
        /// The login's id.
        #[arg(allow_negative_numbers = true)]
        id: i64,
    },
    /// Add a login, or change its language.
    #[command(
        after_help = "Example:\n  onegin login add 1338 --language 1 --configuration config.ini"
    )]
    Add {
        /// The login's id.
        #[arg(allow_negative_numbers = true)]
        id: i64,
        /// Its language; without one a new login gets no event's messages, and an old one keeps its.
        #[arg(long, value_name = "ID", allow_negative_numbers = true)]
        language: Option<i16>,
    },
    /// Delete a login with its devices, what it has turned off, and when it was sent what.
    #[command(after_help = "Example:\n  onegin login delete 1338 --configuration config.ini")]
    Delete {
        /// The login's id.
        #[arg(allow_negative_numbers = true)]
        id: i64,
    },
}

/// Does what the arguments say.
///
/// # Errors
/// When the database cannot be used, or there is no such login.
pub fn login(configuration: &Path, arguments: &LoginArguments) -> anyhow::Result<ExitCode> {
    let storage = open(configuration)?;
    let as_json = arguments.json;
    let text = match arguments.command {
        LoginCommand::List { from, limit } => list(&storage.logins(LoginId(from), limit)?, as_json),
        LoginCommand::Show { id } => show(&storage, existing(&storage, id)?, as_json)?,
        LoginCommand::Add { id, language } => {
            let login = add(&storage, id, language)?;
            show(&storage, login, as_json)?
        }
        LoginCommand::Delete { id } => delete(&storage, id, as_json)?,
    };
    answer(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The login, or an error that says what to do.
pub(super) fn existing(storage: &Storage, id: i64) -> anyhow::Result<LoginRecord> {
    storage
        .login(LoginId(id))?
        .with_context(|| format!("there is no login {id}; see onegin login add"))
}

fn add(storage: &Storage, id: i64, language: Option<i16>) -> anyhow::Result<LoginRecord> {
    if id >= CUSTOMER_LOGIN_FLOOR {
        bail!("ids from {CUSTOMER_LOGIN_FLOOR} (2^62) are given to customers, {id} is one of them");
    }
    let before = storage.login(LoginId(id))?;
    let login = LoginRecord {
        login: LoginId(id),
        language: language.or(before.and_then(|login| login.language)),
    };
    storage.upsert_login(login)?;
    Ok(login)
}

fn list(logins: &[LoginRecord], as_json: bool) -> String {
    if as_json {
        let all: Vec<Value> = logins.iter().map(to_json).collect();
        return format!("{}\n", Value::Array(all));
    }
    let row = |id: &str, language: &str| format!("{id:>20}  {language:>8}\n");
    let mut table = row("login", "language");
    for login in logins {
        let language = login.language.map_or("-".to_owned(), |id| id.to_string());
        table += &row(&login.login.to_string(), &language);
    }
    table
}

fn show(storage: &Storage, login: LoginRecord, as_json: bool) -> anyhow::Result<String> {
    let mut shown = to_json(&login);
    let blacklist = storage.blacklist(login.login)?;
    let off: Vec<i32> = blacklist.map_or(Vec::new(), |list| {
        list.messages.iter().map(|message| message.0).collect()
    });
    shown["turned_off"] = json!(off);
    let devices = storage.devices(login.login)?;
    shown["devices"] = devices.iter().map(device::to_json).collect();
    Ok(if as_json {
        format!("{shown}\n")
    } else {
        format!("{shown:#}\n")
    })
}

fn delete(storage: &Storage, id: i64, as_json: bool) -> anyhow::Result<String> {
    existing(storage, id)?;
    let devices = storage.devices(LoginId(id))?.len();
    if !storage.delete_login(LoginId(id))? {
        bail!("there is no login {id} any more");
    }
    Ok(if as_json {
        let deleted = json!({"login": id, "devices": devices});
        format!("{}\n", json!({ "deleted": deleted }))
    } else {
        format!("deleted the login {id} with {devices} devices\n")
    })
}

fn to_json(login: &LoginRecord) -> Value {
    json!({"login": login.login.0, "language": login.language})
}
