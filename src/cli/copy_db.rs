//! `onegin copy-db`: a whole database into an empty one, SQLite or PostgreSQL, and the proof.

use std::{
    fmt,
    io::{IsTerminal as _, Write as _},
    path::Path,
    process::ExitCode,
    time::Instant,
};

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use storage::{CopiedTable, CopyError, CopyStep, DatabaseConfig};

use crate::config;

/// Options of `onegin copy-db`.
#[derive(Debug, Args)]
#[command(
    after_help = "A database is named by\n  FILE          a configuration file; what its section [Database] says (environment variables\n                that override keys are not read: they would mean both sides)\n  env:NAME      the environment variable NAME, which holds a URL\n  URL           sqlite:PATH or postgres://USER@HOST:PORT/NAME\n\nWhoever can list processes sees the command line: a URL with a password belongs into a\nconfiguration file or an environment variable (or leave the password to ~/.pgpass).\n\nExamples:\n  onegin copy-db --from sqlite:data/onegin.db --to postgres-config.ini\n  TARGET=postgres://onegin:secret@db/game onegin copy-db --from config.ini --to env:TARGET"
)]
pub struct CopyArguments {
    /// The database to copy; it is only read.
    #[arg(long, value_name = "DATABASE")]
    from: Place,
    /// An empty database; its schema is made or upgraded.
    #[arg(long, value_name = "DATABASE")]
    to: Place,
}

/// Where a database is named.
#[derive(Clone, PartialEq, Eq)]
enum Place {
    Url(String),
    Variable(String),
    File(String),
}

impl std::str::FromStr for Place {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_url = ["sqlite:", "postgres://", "postgresql://"]
            .iter()
            .any(|scheme| text.starts_with(scheme));
        Ok(match text.strip_prefix("env:") {
            Some(name) => Self::Variable(name.to_owned()),
            None if is_url => Self::Url(text.to_owned()),
            None => Self::File(text.to_owned()),
        })
    }
}

/// As the operator named it, without its secrets.
impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => formatter.write_str(&masked(url)),
            Self::Variable(name) => write!(formatter, "env:{name}"),
            Self::File(path) => formatter.write_str(path),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Place {
    fn database(&self) -> anyhow::Result<DatabaseConfig> {
        let of_url = |url: &str| DatabaseConfig {
            db_url: Some(url.to_owned()),
            ..DatabaseConfig::default()
        };
        match self {
            Self::Url(url) => Ok(of_url(url)),
            Self::Variable(name) => {
                let url = std::env::var(name);
                Ok(of_url(&url.with_context(|| {
                    format!("the environment variable {name} cannot be read")
                })?))
            }
            Self::File(path) => {
                let loaded = config::load(Path::new(path), std::iter::empty())?;
                Ok(loaded.config.database)
            }
        }
    }

    /// Whether the process list shows a password.
    fn shows_password(&self) -> bool {
        matches!(self, Self::Url(url) if masked(url) != *url)
    }
}

/// A URL without its password, be it before the host or a parameter. The last `@` counts: a
/// password that was not encoded may have anything before it.
fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, rest),
    };
    let (host, query) = match rest.split_once('?') {
        Some((host, query)) => (host, Some(query)),
        None => (rest, None),
    };
    let user = user.map_or_else(String::new, |user| match user.split_once(':') {
        Some((user, _)) => format!("{user}:***@"),
        None => format!("{user}@"),
    });
    let mut text = format!("{scheme}://{user}{host}");
    for (number, pair) in query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .enumerate()
    {
        let joint = if number == 0 { '?' } else { '&' };
        let pair = match pair.split_once('=') {
            Some((key, _)) if key.contains("pass") => format!("{key}=***"),
            _ => pair.to_owned(),
        };
        text = format!("{text}{joint}{pair}");
    }
    text
}

/// Copies, compares, and shows what was found.
///
/// # Errors
/// When nothing was copied; the text says why.
#[allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the operator at the terminal waits for it"
)]
pub fn copy_db(arguments: &CopyArguments) -> anyhow::Result<ExitCode> {
    let (from, to) = (&arguments.from, &arguments.to);
    for (option, place) in [("--from", from), ("--to", to)] {
        if place.shows_password() {
            eprintln!(
                "onegin: the password in {option} is visible in the process list; see onegin copy-db --help"
            );
        }
    }
    let began = Instant::now();
    let databases = (from.database()?, to.database()?);
    let mut progress = Progress::new(std::io::stderr().is_terminal());
    let outcome =
        storage::copy_database(&databases.0, &databases.1, &mut |step| progress.show(step));
    progress.end();
    match outcome {
        Ok(tables) => {
            print!("{}", table_of(&tables));
            let rows: u64 = tables.iter().map(|table| table.target_rows).sum();
            println!(
                "copied {rows} rows from {from} to {to} in {:.1} s; every row was compared and is the same",
                began.elapsed().as_secs_f64()
            );
            Ok(ExitCode::SUCCESS)
        }
        Err(CopyError::Different { tables }) => {
            print!("{}", table_of(&tables));
            bail!("{}", CopyError::Different { tables });
        }
        Err(error) => Err(error).with_context(|| format!("cannot copy {from} to {to}")),
    }
}

fn table_of(tables: &[CopiedTable]) -> String {
    let mut text = format!("{:<28}{:>12}{:>12}  \n", "table", "source", "target");
    for table in tables {
        let found = match &table.difference {
            Some(key) => format!("different from row {key} on"),
            None => "equal".to_owned(),
        };
        text += &format!(
            "{:<28}{:>12}{:>12}  {found}\n",
            table.name, table.source_rows, table.target_rows
        );
        if table.ambiguous_times > 0 {
            text += &format!(
                "  {} rows have a time in the hour that the server's time zone has twice; it is kept without saying which\n",
                table.ambiguous_times
            );
        }
    }
    text
}

/// A bar per table on a terminal, a line per table elsewhere.
struct Progress {
    on_terminal: bool,
    bar: ProgressBar,
}

impl Progress {
    fn new(on_terminal: bool) -> Self {
        Self {
            on_terminal,
            bar: ProgressBar::hidden(),
        }
    }

    fn show(&mut self, step: CopyStep) {
        let (what, table, rows) = match step {
            CopyStep::Copying { table, rows } => ("copying", table, rows),
            CopyStep::Comparing { table, rows } => ("comparing", table, rows),
            CopyStep::Rows(rows) => {
                self.bar.inc(rows);
                return;
            }
        };
        self.end();
        if self.on_terminal {
            let style = ProgressStyle::with_template("{msg:<38} {wide_bar} {pos}/{len}");
            self.bar = ProgressBar::new(rows)
                .with_style(style.expect("the template is a constant"))
                .with_message(format!("{what} {table}"));
            self.bar.tick();
        } else {
            // Nobody to tell if it cannot be written.
            drop(writeln!(std::io::stderr(), "{what} {table}: {rows} rows"));
        }
    }

    fn end(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_of_a_url_is_shown() {
        for (url, shown) in [
            ("sqlite:data/onegin.db", "sqlite:data/onegin.db"),
            ("postgres://me@db:5432/game", "postgres://me@db:5432/game"),
            ("postgres://me:s@cr:et@db/game", "postgres://me:***@db/game"),
            ("postgres://me:a/b?c@db/game", "postgres://me:***@db/game"),
            (
                "postgresql://db/game?user=me&password=secret&sslmode=prefer&sslpassword=x",
                "postgresql://db/game?user=me&password=***&sslmode=prefer&sslpassword=***",
            ),
        ] {
            let place: Place = url.parse().unwrap();
            assert_eq!(place.to_string(), shown);
            assert_eq!(format!("{place:?}"), shown);
            assert_eq!(place.shows_password(), url != shown);
        }
    }

    #[test]
    fn a_database_is_named_by_url_variable_or_file() {
        let place = |text: &str| -> Place { text.parse().unwrap() };
        assert!(place("env:TARGET") == Place::Variable("TARGET".into()));
        assert!(place("config.ini") == Place::File("config.ini".into()));
        assert!(place("sqlite:a.db") == Place::Url("sqlite:a.db".into()));
    }
}
