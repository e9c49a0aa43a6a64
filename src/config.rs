//! The configuration: defaults, then the ini file, then `ONEGIN__<SECTION>__<KEY>` variables.
//!
//! Each stage's crate owns its section's struct; this module knows only their list. Every value
//! is checked against its field on its own, so all mistakes of a file are told at once.

use std::{collections::BTreeMap, fmt, path::Path};

use notification_log::LogConfig;
use processor::{EventConfig, RequestProcessorConfig};
use sender::{MessengerConfig, SenderConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use servlet::{PathsConfig, ServerConfig};
use storage::DatabaseConfig;

mod ini;

pub use ini::{IniError, IniFile};

/// Prefix of overriding environment variables.
const ENVIRONMENT_PREFIX: &str = "ONEGIN";

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
    /// The values.
    pub config: Config,
    /// Keys that were set, by `section.key` in lower case, and by what.
    pub origins: BTreeMap<(String, String), Origin>,
    /// What an operator should know; each a full sentence.
    pub warnings: Vec<String>,
}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The ini file.
    File,
    /// An environment variable.
    Environment,
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
    /// Whether the file or the environment sets this key.
    #[must_use]
    pub fn is_set(&self, section: &str, key: &str) -> bool {
        self.origins
            .contains_key(&(section.to_lowercase(), key.to_owned()))
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
    let text = std::fs::read_to_string(path).map_err(|error| {
        ConfigErrors(vec![format!("{}: cannot be read: {error}", path.display())])
    })?;
    load_text(path, &text, environment)
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
    let file = IniFile::parse(path, text)
        .map_err(|error| ConfigErrors(vec![format!("{}: {error}", path.display())]))?;
    let layers = layers(file, environment)
        .map_err(|error| ConfigErrors(vec![format!("{}: {error}", path.display())]))?;
    Builder::new(path).build(layers)
}

/// One value and where it came from, by lower-case section and key.
type Layers = BTreeMap<(String, String), (String, Origin)>;

fn layers(
    file: IniFile,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Layers, config::ConfigError> {
    let file_name = file.name.clone();
    let environment = config::Environment::with_prefix(ENVIRONMENT_PREFIX)
        .prefix_separator("__")
        .separator("__")
        .source(Some(environment.collect()));
    let merged = config::Config::builder()
        .add_source(file)
        .add_source(environment)
        .build()?;
    let mut layers = Layers::new();
    for (section, table) in config::Source::collect(&merged)? {
        for (key, value) in table.into_table()? {
            let origin = if value.origin() == Some(file_name.as_str()) {
                Origin::File
            } else {
                Origin::Environment
            };
            layers.insert((section.clone(), key), (value.into_string()?, origin));
        }
    }
    Ok(layers)
}

/// Puts the layers' values into the defaults, one by one.
struct Builder<'p> {
    path: &'p Path,
    /// The configuration as JSON: first the defaults, in the end everything.
    tree: Map<String, Value>,
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl<'p> Builder<'p> {
    fn new(path: &'p Path) -> Self {
        Self {
            path,
            tree: known_keys(),
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn build(mut self, layers: Layers) -> Result<Loaded, ConfigErrors> {
        let mut origins = BTreeMap::new();
        for ((section, key), (text, origin)) in layers {
            if self.set(&section, &key, &text, origin) {
                origins.insert((section, key), origin);
            }
        }
        if !self.errors.is_empty() {
            return Err(ConfigErrors(self.errors));
        }
        let config = serde_json::from_value(Value::Object(self.tree))
            .map_err(|error| ConfigErrors(vec![error.to_string()]))?;
        Ok(Loaded {
            config,
            origins,
            warnings: self.warnings,
        })
    }

    /// Sets one value; false, with a warning or an error said, if it cannot be set.
    fn set(&mut self, section: &str, key: &str, text: &str, origin: Origin) -> bool {
        let source = match origin {
            Origin::File => self.path.display().to_string(),
            Origin::Environment => format!(
                "environment variable {ENVIRONMENT_PREFIX}__{}__{}",
                section.to_uppercase(),
                key.to_uppercase()
            ),
        };
        let Some((name, options)) = self
            .tree
            .iter()
            .find(|(name, _)| name.to_lowercase() == section)
        else {
            let sections = self.tree.keys().map(String::as_str);
            let hint = nearest(section, sections);
            self.warnings
                .push(format!("{source}: unknown section [{section}]{hint}"));
            return false;
        };
        let name = name.clone();
        let options = options.as_object().expect("a section is a struct");
        let Some(default) = options.get(key) else {
            let hint = nearest(key, all_keys(&self.tree));
            self.warnings
                .push(format!("{source}: unknown key [{name}] {key}{hint}"));
            return false;
        };
        match typed(text, default).and_then(|value| self.check(&name, key, value)) {
            Ok(value) => {
                self.tree[&name][key] = value;
                true
            }
            Err(expected) => {
                let shown = if is_secret(key) { "(secret)" } else { text };
                self.errors
                    .push(format!("{source}: [{name}] {key} = {shown}: {expected}"));
                false
            }
        }
    }

    /// Whether the section's struct takes the value, told by making one.
    fn check(&self, section: &str, key: &str, value: Value) -> Result<Value, String> {
        let mut tree = known_keys();
        tree[section][key] = value.clone();
        match serde_json::from_value::<Config>(Value::Object(tree)) {
            Ok(_) => Ok(value),
            Err(error) => Err(in_plain_words(&error.to_string())),
        }
    }
}

/// serde names Rust's types; operators know ranges.
fn in_plain_words(error: &str) -> String {
    [
        ("a nonzero u16", "a whole number from 1 to 65535"),
        ("a nonzero u32", "a whole number from 1 to 4294967295"),
        ("a nonzero u64", "a whole number from 1"),
        ("a nonzero usize", "a whole number from 1"),
        ("u16", "a whole number from 0 to 65535"),
        ("u32", "a whole number from 0 to 4294967295"),
        ("u64", "a whole number from 0"),
        ("usize", "a whole number from 0"),
        ("i32", "a whole number from -2147483648 to 2147483647"),
    ]
    .into_iter()
    .find_map(|(rust, plain)| {
        let before = error.strip_suffix(rust)?.strip_suffix("expected ")?;
        Some(format!("{before}expected {plain}"))
    })
    .unwrap_or_else(|| error.to_owned())
}

/// Every key with its default.
#[must_use]
pub fn known_keys() -> Map<String, Value> {
    match serde_json::to_value(Config::default()) {
        Ok(Value::Object(tree)) => tree,
        other => unreachable!("a struct of structs is a JSON object: {other:?}"),
    }
}

fn all_keys(tree: &Map<String, Value>) -> impl Iterator<Item = &str> {
    tree.values()
        .filter_map(Value::as_object)
        .flat_map(|options| options.keys().map(String::as_str))
}

/// The text as what the default is: a number, a boolean in Python's words, or a text.
fn typed(text: &str, default: &Value) -> Result<Value, String> {
    match default {
        Value::Bool(_) => match text.to_lowercase().as_str() {
            "1" | "yes" | "true" | "on" => Ok(Value::Bool(true)),
            "0" | "no" | "false" | "off" => Ok(Value::Bool(false)),
            _ => Err("expected true or false (or yes, no, on, off, 1, 0)".to_owned()),
        },
        Value::Number(number) if number.is_f64() => text
            .parse::<f64>()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map(Value::Number)
            .ok_or_else(|| "expected a number".to_owned()),
        Value::Number(_) => text
            .parse::<i64>()
            .map(Value::from)
            .map_err(|_| "expected a whole number".to_owned()),
        // A key without a default is a text that may be absent; an empty one is absent.
        Value::Null if text.is_empty() => Ok(Value::Null),
        Value::Null | Value::String(_) => Ok(Value::String(text.to_owned())),
        Value::Array(_) | Value::Object(_) => {
            unreachable!("no key of the ini file is a list or a table")
        }
    }
}

/// Keys whose values are never shown.
#[must_use]
pub fn is_secret(key: &str) -> bool {
    matches!(key, "db_pass" | "db_url" | "gcm_access_key")
}

/// `, did you mean X?` for the nearest known word, if one is near.
fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> String {
    known
        .map(|candidate| {
            (
                strsim::jaro_winkler(word, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(similarity, _)| *similarity > 0.85)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map_or_else(String::new, |(_, candidate)| {
            format!(", did you mean {candidate}?")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
        let environment = environment
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        load_text(Path::new("config.ini"), text, environment)
    }

    #[test]
    fn the_environment_overrides_the_file_and_the_file_the_defaults() {
        let text = "[ServerSpecific]\nPORT = 8001\ngame = Chess\n";
        let loaded = load(text, &[("ONEGIN__SERVERSPECIFIC__PORT", "8002")]).unwrap();
        assert_eq!(loaded.config.server.port, 8002);
        assert_eq!(loaded.config.server.game, "Chess");
        assert_eq!(loaded.config.server.world_id, "1");
        assert!(loaded.is_set("ServerSpecific", "port"));
        assert!(!loaded.is_set("ServerSpecific", "bind_address"));
    }

    #[test]
    fn every_bad_value_is_named_with_section_key_value_and_what_is_allowed() {
        let text = "[ServerSpecific]\nport = 70000\n[Messenger]\ndry_run = maybe\n[Sender]\nwhen_full = explode\n";
        let ConfigErrors(errors) = load(text, &[]).unwrap_err();
        assert_eq!(errors.len(), 3, "{errors:?}");
        let errors = errors.join("\n");
        for part in [
            "config.ini: [ServerSpecific] port = 70000",
            "a whole number from 0 to 65535",
            "[Messenger] dry_run = maybe: expected true or false",
            "[Sender] when_full = explode",
            "`block` or `drop`",
        ] {
            assert!(errors.contains(part), "{part} is not in {errors}");
        }
    }

    #[test]
    fn an_unknown_key_is_a_warning_that_suggests_the_nearest() {
        let loaded = load(
            "[Database]\nmax_device_per_user = 3\n[Datbase]\na = 1\n",
            &[],
        )
        .unwrap();
        assert_eq!(
            loaded.warnings,
            [
                "config.ini: unknown key [Database] max_device_per_user, did you mean max_devices_per_user?",
                "config.ini: unknown section [datbase], did you mean Database?"
            ]
        );
    }

    #[test]
    fn a_secret_is_not_shown_in_an_error() {
        assert!(is_secret("db_pass"));
        assert!(is_secret("gcm_access_key"));
    }
}
