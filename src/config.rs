//! The configuration: defaults, then the ini file, then `ONEGIN__<SECTION>__<KEY>` variables.
//!
//! Each stage's crate owns its section's struct; this module knows only their list. Every value
//! is checked against its field on its own, so all mistakes of a file are told at once, and each
//! value knows where it came from.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
};

use notification_log::LogConfig;
use processor::{EventConfig, RequestProcessorConfig};
use sender::{MessengerConfig, SenderConfig};
use serde::{Deserialize, Serialize};
use servlet::{PathsConfig, ServerConfig};
use storage::DatabaseConfig;

mod ini;

mod layers;

mod values;

mod differences;

pub use ini::{IniError, IniFile, IniSection, IniValue};
pub(crate) use values::nearest;
pub use values::{is_secret, known_keys};

/// Everything that can be configured: one field per ini section.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// `[ServerSpecific]`: the game, the listening socket and its limits.
    #[serde(rename = "ServerSpecific")]
    pub server: ServerConfig,
    /// `[Messenger]`: credentials and addresses of the push services.
    #[serde(rename = "Messenger")]
    pub messenger: MessengerConfig,
    /// `[RequestProcessor]`: the request queue and its threads.
    #[serde(rename = "RequestProcessor")]
    pub request_processor: RequestProcessorConfig,
    /// `[Sender]`: the sender queues and pools.
    #[serde(rename = "Sender")]
    pub sender: SenderConfig,
    /// `[Log]`: the main log and the notification log.
    #[serde(rename = "Log")]
    pub log: LogConfig,
    /// `[Database]`: where logins, devices and messages are.
    #[serde(rename = "Database")]
    pub database: DatabaseConfig,
    /// `[Event]`: the events with a built-in meaning.
    #[serde(rename = "Event")]
    pub event: EventConfig,
    /// `[RequestHandler]`: the URLs.
    #[serde(rename = "RequestHandler")]
    pub paths: PathsConfig,
}

/// A configuration and what is to be said about it.
#[derive(Debug)]
pub struct Loaded {
    /// The values; where one is wrong, its default.
    pub config: Config,
    /// Where the values that are set came from, by section in lower case and key.
    pub origins: BTreeMap<(String, String), Origin>,
    /// Those of them that have their default because what is written cannot be used.
    pub unusable: BTreeSet<(String, String)>,
    /// What an operator should know; each a full sentence.
    pub warnings: Vec<String>,
    /// What must be mended before a daemon can start; each names place, section and key.
    pub errors: Vec<String>,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The ini file.
    File {
        /// Its name.
        file: String,
        /// The line of the key, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line } => write!(formatter, "{file}:{line}"),
            Self::Environment { variable } => write!(formatter, "environment variable {variable}"),
        }
    }
}

/// Why a configuration cannot be used: every mistake in it.
#[derive(Debug)]
pub struct ConfigErrors(pub Vec<String>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the configuration cannot be used")?;
        for error in &self.0 {
            write!(formatter, "\n  {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl Loaded {
    /// Where this value came from; `None` is its default.
    #[must_use]
    pub fn origin(&self, section: &str, key: &str) -> Option<&Origin> {
        self.origins.get(&(section.to_lowercase(), key.to_owned()))
    }

    /// Whether the file or the environment sets this key.
    #[must_use]
    pub fn is_set(&self, section: &str, key: &str) -> bool {
        self.origin(section, key).is_some()
    }
}

/// Reads `path` and the given environment variables.
///
/// # Errors
/// When the file cannot be read or parsed, or any value is not what its key takes.
pub fn load(
    path: &Path,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, ConfigErrors> {
    refuse_errors(inspect(path, environment)?)
}

/// As [`load`], for a file whose text is at hand.
///
/// # Errors
/// As [`load`].
pub fn load_text(
    path: &Path,
    text: &str,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, ConfigErrors> {
    refuse_errors(inspect_text(path, text, environment))
}

fn refuse_errors(loaded: Loaded) -> Result<Loaded, ConfigErrors> {
    if loaded.errors.is_empty() {
        Ok(loaded)
    } else {
        Err(ConfigErrors(loaded.errors))
    }
}

/// As [`load`], but mistakes do not end it: they are in `errors`, beside what could be read.
///
/// # Errors
/// When the file cannot be read at all.
pub fn inspect(
    path: &Path,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, ConfigErrors> {
    let file = path.display();
    let bytes = std::fs::read(path)
        .map_err(|error| ConfigErrors(vec![format!("{file}: cannot be read: {error}")]))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let (good, _) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        ConfigErrors(vec![format!(
            "{file}:{line}: cannot be read: the file is not UTF-8, save it as such"
        )])
    })?;
    Ok(inspect_text(path, &text, environment))
}

fn inspect_text(
    path: &Path,
    text: &str,
    environment: impl Iterator<Item = (String, String)>,
) -> Loaded {
    let file = IniFile::parse(path, text);
    let unreadable: Vec<String> = file
        .errors
        .iter()
        .map(|IniError { line, problem }| format!("{}: {problem}", file.place(*line)))
        .collect();
    let mut loaded = values::put_into_defaults(&file, layers::merge(&file, environment));
    loaded.errors.splice(..0, unreadable);
    loaded.warnings.extend(differences::from_pushkin(&loaded));
    loaded
}

#[cfg(test)]
mod tests;
