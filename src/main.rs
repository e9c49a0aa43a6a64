//! `onegin`: parse the command line, do it, answer with an exit code.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::{CommandFactory, Parser, error::ErrorKind};
use onegin::cli::{self, Arguments, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[allow(
    clippy::print_stderr,
    reason = "an error that ends the program belongs on the terminal, the log may not be open"
)]
fn main() -> ExitCode {
    onegin::install_crypto_provider();
    match execute(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("onegin: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let configuration = || {
        arguments.configuration.clone().unwrap_or_else(|| {
            Arguments::command()
                .error(
                    ErrorKind::MissingRequiredArgument,
                    "the configuration is missing: --configuration FILE\n\nTo see Onegin work without one: onegin demo",
                )
                .exit()
        })
    };
    match arguments.command {
        Some(Command::CheckConfig(check)) => {
            Ok(cli::check_config::check_config(&configuration(), &check))
        }
        Some(Command::Demo(arguments)) => cli::demo::demo(&arguments),
        Some(Command::Simulator(arguments)) => cli::simulator::simulator(&arguments),
        Some(Command::Message(message)) => cli::message::message(&configuration(), &message),
        Some(Command::Login(login)) => cli::login::login(&configuration(), &login),
        Some(Command::Device(device)) => cli::device::device(&configuration(), &device),
        Some(Command::Key(key)) => cli::key::key(&configuration(), &key),
        Some(Command::CopyDb(arguments)) => cli::copy_db::copy_db(&arguments),
        Some(Command::Run) | None if arguments.upgrade_db => cli::run::upgrade(&configuration()),
        Some(Command::Run) | None => cli::run::run(&configuration()),
    }
}
