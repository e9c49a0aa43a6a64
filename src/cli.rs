//! The command line: `onegin --configuration FILE` as Pushkin, and sub-commands beside it.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

mod database;

pub mod check_config;

pub mod copy_db;

pub mod demo;

pub mod device;

pub mod key;

pub mod login;

pub mod message;

mod open_files;

mod progress;

pub mod run;

pub mod simulator;

/// A self-hosted push-notification daemon for game servers.
#[derive(Debug, Parser)]
#[command(
    name = "onegin",
    version,
    infer_long_args = true,
    subcommand_precedence_over_arg = true,
    after_help = "Examples:\n  onegin demo                                      see it work, on loopback only\n  onegin --configuration config.ini                run the daemon\n  onegin check-config --configuration config.ini   see what it would run with, and what is wrong\n  onegin --configuration config.ini --upgrade-db   bring the database up to date, then exit"
)]
pub struct Arguments {
    /// The ini file; every key can be overridden by `ONEGIN__<SECTION>__<KEY>`.
    #[arg(long, value_name = "FILE", global = true)]
    pub configuration: Option<PathBuf>,
    /// Create or upgrade the database, then exit. Takes an existing Pushkin database too.
    #[arg(long)]
    pub upgrade_db: bool,
    /// What to do; without one the daemon runs.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The sub-commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon (the same as no command).
    Run,
    /// Show the configuration that a daemon would have, and what is wrong with it.
    CheckConfig(check_config::CheckConfigArguments),
    /// Show everything working on loopback, in a temporary folder, in a few seconds.
    Demo(demo::DemoArguments),
    /// Run Apple's and Google's push services on loopback, for tests of your own.
    Simulator(simulator::SimulatorArguments),
    /// List, show, add, delete, import and export messages.
    Message(message::MessageArguments),
    /// List, show, add and delete logins.
    Login(login::LoginArguments),
    /// List, add and delete devices of logins.
    Device(device::DeviceArguments),
    /// Create, import, list, disable and enable API keys.
    Key(key::KeyArguments),

    /// Copy a whole database into an empty one, SQLite or PostgreSQL, and compare every row.
    CopyDb(copy_db::CopyArguments),
}
