//! The `[Log]` section: both logs, under Pushkin's keys.
//!
//! Every field is a type that cannot hold a bad value, so a wrong entry is refused while the
//! file is read, by a message that names section, key, value and what is allowed.

use std::{fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Suffix, When};

/// `[Log]`: where the logs are, how much they say, and when they rotate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogConfig {
    /// Pushkin's internal name of the main log; read for old files' sake, it changes nothing.
    pub main_logger_name: String,
    /// Folder of `pushkin.log`, created at start. Empty: the main log goes to standard error.
    pub main_log_path: PathBuf,
    /// How much the main log says: notset, debug, info, warning, error or critical, in any case.
    pub main_log_level: LogLevel,
    /// Form of the main log's lines: text (Pushkin's) or json.
    pub log_format: LogFormat,
    /// Pushkin's internal name of the notification log; read for old files' sake, it changes nothing.
    pub notifications_logger_name: String,
    /// Folder of `notifications.csv`, with or without a slash at its end; created at start.
    pub notification_log_path: PathBuf,
    /// When `notifications.csv` is put aside: S, M, H, D (each second, minute, hour, 24 hours of
    /// writing), midnight, or W0 to W6 (at the midnight that ends Monday to Sunday), in any case.
    pub notification_log_when_to_rotate: When,
    /// What a rotated file's name ends with: strftime of the local time its period began at.
    pub notification_log_rotate_suffix: Suffix,
    /// Mode of `notifications.csv`, octal, whatever the process's umask is.
    pub notification_log_mode: FileMode,
    /// Days after which rotated files of both logs are deleted; 0 keeps them all.
    pub keep_log_days: u32,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            main_logger_name: "pushkin".to_owned(),
            main_log_path: "log/".into(),
            main_log_level: LogLevel::Info,
            log_format: LogFormat::Text,
            notifications_logger_name: "notifications".to_owned(),
            notification_log_path: "log/notification/".into(),
            notification_log_when_to_rotate: When::Hour,
            notification_log_rotate_suffix: Suffix::hourly(),
            notification_log_mode: FileMode::default(),
            keep_log_days: 7,
        }
    }
}

/// A value that its key in `[Log]` does not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[Log] {key} = `{value}` is not allowed; it takes {allowed}")]
pub struct LogConfigError {
    /// The key.
    pub key: &'static str,
    /// The value as it stands in the file.
    pub value: String,
    /// What the key takes.
    pub allowed: &'static str,
}

/// How much the main log says; the names are Python's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LogLevel {
    /// Everything.
    NotSet,
    /// Detail for finding faults.
    Debug,
    /// Start, stop, reload.
    #[default]
    Info,
    /// Something is not as it should be, and goes on.
    Warning,
    /// Someone must act.
    Error,
    /// As [`LogLevel::Error`]: nothing is worse here than what someone must act on.
    Critical,
}

impl LogLevel {
    const ALL: [Self; 6] = [
        Self::NotSet,
        Self::Debug,
        Self::Info,
        Self::Warning,
        Self::Error,
        Self::Critical,
    ];

    /// The level's name in upper case, as in the log's lines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotSet => "NOTSET",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
        }
    }
}

impl FromStr for LogLevel {
    type Err = LogConfigError;

    fn from_str(text: &str) -> Result<Self, LogConfigError> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| LogConfigError {
                key: "main_log_level",
                value: text.to_owned(),
                allowed: "notset, debug, info, warning, error or critical",
            })
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The form of the main log's lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LogFormat {
    /// Pushkin's: local time, level, message, fields.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = LogConfigError;

    fn from_str(text: &str) -> Result<Self, LogConfigError> {
        if text.eq_ignore_ascii_case("text") {
            Ok(Self::Text)
        } else if text.eq_ignore_ascii_case("json") {
            Ok(Self::Json)
        } else {
            Err(LogConfigError {
                key: "log_format",
                value: text.to_owned(),
                allowed: "text or json",
            })
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// Who may read a log file. The owner always may read and write, or the log could not be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileMode(u32);

impl FileMode {
    /// The mode's nine bits.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl Default for FileMode {
    /// The owner writes, the group reads: log shippers run in the group.
    fn default() -> Self {
        Self(0o640)
    }
}

impl FromStr for FileMode {
    type Err = LogConfigError;

    fn from_str(text: &str) -> Result<Self, LogConfigError> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        // Checked here because the parser would also take a sign.
        let octal = digits.bytes().all(|digit| digit.is_ascii_digit());
        u32::from_str_radix(digits, 8)
            .ok()
            .filter(|bits| octal && *bits <= 0o777 && bits & 0o600 == 0o600)
            .map(Self)
            .ok_or_else(|| LogConfigError {
                key: "notification_log_mode",
                value: text.to_owned(),
                allowed: "an octal file mode from 0600 to 0777 that lets the owner read and write",
            })
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04o}", self.0)
    }
}

/// Lets a type be read from and shown as the text that stands in the file.
macro_rules! text_in_the_file {
    ($($value:ty),+) => {$(
        impl TryFrom<String> for $value {
            type Error = LogConfigError;

            fn try_from(text: String) -> Result<Self, LogConfigError> {
                text.parse()
            }
        }

        impl From<$value> for String {
            fn from(value: $value) -> Self {
                value.to_string()
            }
        }
    )+};
}

text_in_the_file!(LogLevel, LogFormat, FileMode, When, Suffix);

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(section: serde_json::Value) -> String {
        serde_json::from_value::<LogConfig>(section)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn an_empty_section_is_the_default_and_the_default_survives_its_text() {
        let empty: LogConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(empty, LogConfig::default());
        let text = serde_json::to_value(&empty).unwrap();
        assert_eq!(text["notification_log_when_to_rotate"], "H");
        assert_eq!(text["notification_log_rotate_suffix"], "%Y-%m-%d_%H");
        assert_eq!(text["notification_log_mode"], "0640");
        assert_eq!(text["main_log_level"], "INFO");
        assert_eq!(text["log_format"], "text");
        assert_eq!(serde_json::from_value::<LogConfig>(text).unwrap(), empty);
    }

    #[test]
    fn levels_and_modes_are_taken_in_every_spelling_pushkin_took() {
        assert_eq!("deBUG".parse(), Ok(LogLevel::Debug));
        assert_eq!("notset".parse(), Ok(LogLevel::NotSet));
        for text in ["0640", "640", "0o640"] {
            assert_eq!(text.parse(), Ok(FileMode::default()));
        }
    }

    #[test]
    fn a_bad_value_is_refused_by_section_key_value_and_what_is_allowed() {
        assert_eq!(
            refused(serde_json::json!({"main_log_level": "loud"})),
            "[Log] main_log_level = `loud` is not allowed; \
             it takes notset, debug, info, warning, error or critical"
        );
        for (key, value) in [
            ("log_format", "xml"),
            ("notification_log_mode", "0440"),
            ("notification_log_mode", "1777"),
            ("notification_log_mode", "+640"),
            ("notification_log_mode", ""),
            ("notification_log_when_to_rotate", "W7"),
            ("notification_log_when_to_rotate", "hourly"),
            ("notification_log_rotate_suffix", ""),
            ("notification_log_rotate_suffix", "%Y/%m"),
            ("notification_log_rotate_suffix", "%!"),
            ("notification_log_rotate_suffix", "%D"),
            ("notification_log_rotate_suffix", "%.f"),
            ("notification_log_rotate_suffix", "%Y%n"),
        ] {
            let message = refused(serde_json::json!({key: value}));
            let expected = format!("[Log] {key} = `{value}` is not allowed; it takes ");
            assert!(message.starts_with(&expected), "{message}");
        }
    }
}
