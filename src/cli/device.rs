//! `onegin device`: users' devices, from the command line.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use model::{DeviceToken, LoginId, Platform, UnixMs};
use serde_json::{Value, json};
use storage::{Device, DeviceRecord, Storage};

use super::{
    database::{answer, open},
    login,
};

/// Options of `onegin device`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  onegin device list 1338 --configuration config.ini\n  onegin device add 1338 --platform 1 --token dE4dB33f --configuration config.ini\n  onegin device delete 17 --configuration config.ini"
)]
pub struct DeviceArguments {
    #[command(subcommand)]
    command: DeviceCommand,
    /// Print JSON, for scripts.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum DeviceCommand {
    /// One line per device of a login.
    #[command(after_help = "Example:\n  onegin device list 1338 --configuration config.ini")]
    List {
        /// The login's id.
        #[arg(allow_negative_numbers = true)]
        login: i64,
    },
    /// Add a device to a login, or make one active again.
    ///
    /// The limits of devices per user and of users per device are applied by the next login event.
    #[command(
        after_help = "Example:\n  onegin device add 1338 --platform 1 --token dE4dB33f --configuration config.ini"
    )]
    Add {
        /// The login's id.
        #[arg(allow_negative_numbers = true)]
        login: i64,
        /// 1 Android phone, 2 iPhone, 5 iPad, 6 Android tablet, 7 web browser.
        #[arg(long, value_name = "ID", value_parser = platform)]
        platform: Platform,
        /// The device token as the app got it from its push service.
        #[arg(long)]
        token: String,
        /// The game's version on it; a known device keeps its own.
        #[arg(long, value_name = "NUMBER")]
        application_version: Option<i32>,
    },
    /// Delete a device.
    #[command(after_help = "Example:\n  onegin device delete 17 --configuration config.ini")]
    Delete {
        /// The device's id, as the list shows it.
        id: i64,
    },
}

/// Does what the arguments say.
///
/// # Errors
/// When the database cannot be used, or there is no such login or device.
pub fn device(configuration: &Path, arguments: &DeviceArguments) -> anyhow::Result<ExitCode> {
    let storage = open(configuration)?;
    let as_json = arguments.json;
    let text = match &arguments.command {
        DeviceCommand::List { login } => {
            login::existing(&storage, *login)?;
            list(&storage.devices(LoginId(*login))?, as_json)
        }
        DeviceCommand::Add {
            login,
            platform,
            token,
            application_version,
        } => {
            login::existing(&storage, *login)?;
            let wanted = DeviceRecord {
                login: LoginId(*login),
                platform: *platform,
                token: DeviceToken::new(token.as_str()),
                application_version: *application_version,
                unregistered_at: None,
            };
            let device = add(&storage, wanted)?;
            list(&[device], as_json)
        }
        DeviceCommand::Delete { id } => {
            if !storage.delete_device(*id)? {
                bail!("there is no device {id}; see onegin device list");
            }
            if as_json {
                format!("{}\n", json!({"deleted": {"id": id}}))
            } else {
                format!("deleted the device {id}\n")
            }
        }
    };
    answer(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn platform(text: &str) -> Result<Platform, String> {
    let platform = text.parse().ok().map(Platform);
    platform
        .filter(|platform| platform.provider().is_some())
        .ok_or_else(|| "expected 1, 2, 5, 6 or 7".to_owned())
}

fn add(storage: &Storage, mut wanted: DeviceRecord) -> anyhow::Result<Device> {
    if wanted.application_version.is_none() {
        let devices = storage.devices(wanted.login)?;
        let known = devices.iter().find(|device| {
            device.platform == wanted.platform
                && device
                    .current_token()
                    .same_as(&wanted.token, wanted.platform)
        });
        wanted.application_version = known.and_then(|device| device.application_version);
    }
    storage
        .upsert_device(&wanted)
        .context("the device cannot be added")
}

fn list(devices: &[Device], as_json: bool) -> String {
    if as_json {
        let all: Vec<Value> = devices.iter().map(to_json).collect();
        return format!("{}\n", Value::Array(all));
    }
    let row = |id: &str, platform: &str, version: &str, state: &str, token: &str| {
        format!("{id:>10}  {platform:>8}  {version:>8}  {state:<36}  {token}\n")
    };
    let mut table = row("id", "platform", "version", "last login", "token");
    for device in devices {
        let optional = |number: Option<i32>| number.map_or("-".to_owned(), |n| n.to_string());
        let state = match device.unregistered_at {
            Some(since) => format!("unregistered {}", time(since)),
            None => device.last_login_at.map_or("-".to_owned(), time),
        };
        table += &row(
            &device.id.to_string(),
            &device.platform.to_string(),
            &optional(device.application_version),
            &state,
            device.current_token().as_str(),
        );
    }
    table
}

fn time(at: UnixMs) -> String {
    let time = Timestamp::from_millisecond(at.0);
    time.map_or_else(|_| at.to_string(), |time| time.to_string())
}

/// A device as scripts see it.
pub(super) fn to_json(device: &Device) -> Value {
    json!({
        "id": device.id,
        "login": device.login.0,
        "platform": device.platform.0,
        "token": device.current_token().as_str(),
        "first_token": device.token.as_str(),
        "application_version": device.application_version,
        "active": device.is_active,
        "unregistered_at": device.unregistered_at.map(|time| time.0),
        "last_login_at": device.last_login_at.map(|time| time.0),
    })
}
