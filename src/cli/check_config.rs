//! `onegin check-config`: the configuration as a daemon would have it, each value with where it
//! came from, and everything that is wrong with it at once.
//!
//! It starts nothing, writes nothing and connects to nothing, so it may run beside a daemon. Its
//! one rule: no secret is ever shown.

mod obstacles;

mod shown;

#[cfg(fuzzing)]
pub(crate) mod fuzzing;

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::Args;
use serde_json::json;

use self::{obstacles::Findings, shown::Shown};
use super::run::environment;
use crate::config;

/// Options of `onegin check-config`.
#[derive(Debug, Args)]
#[command(
    after_help = "The exit code is 0 if a daemon would start, with or without warnings, and 1 if not.\nIt connects to nothing: whether the database and the push services answer is not looked at.\n\nExamples:\n  onegin check-config --configuration config.ini\n  onegin check-config --configuration config.ini --json | jq .errors\n  ONEGIN__SERVERSPECIFIC__PORT=9000 onegin check-config --configuration config.ini"
)]
pub struct CheckConfigArguments {
    /// Print JSON, for scripts.
    #[arg(long)]
    json: bool,
}

/// Prints the configuration and what was found; fails if a daemon would not start.
pub fn check_config(configuration: &Path, arguments: &CheckConfigArguments) -> ExitCode {
    let (shown, findings) = match config::inspect(configuration, environment()) {
        Ok(loaded) => (Shown::of(&loaded), obstacles::find(loaded)),
        Err(config::ConfigErrors(errors)) => {
            let warnings = Vec::new();
            (Shown::default(), Findings { errors, warnings })
        }
    };
    let output = if arguments.json {
        as_json(&shown, &findings)
    } else {
        as_text(&shown, &findings)
    };
    // A reader that has seen enough closes the pipe: that is not our failure.
    drop(io::stdout().lock().write_all(output.as_bytes()));
    if findings.errors.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn as_text(shown: &Shown, Findings { errors, warnings }: &Findings) -> String {
    let mut text = shown.to_string();
    for (title, findings) in [("Warnings", warnings), ("Errors", errors)] {
        if !findings.is_empty() {
            text += &format!("{title}:\n");
            text.extend(findings.iter().map(|finding| format!("  {finding}\n")));
            text.push('\n');
        }
    }
    text += if errors.is_empty() {
        "A daemon would start with this configuration.\n"
    } else {
        "A daemon would not start with this configuration.\n"
    };
    text
}

fn as_json(shown: &Shown, Findings { errors, warnings }: &Findings) -> String {
    let object = json!({
        "would_start": errors.is_empty(),
        "errors": errors,
        "warnings": warnings,
        "configuration": shown.as_json(),
    });
    format!("{object:#}\n")
}
