//! The `[Database]` section, and which database it means.
//!
//! Pushkin pasted user and password into a URL, where `@ : / %` broke it; here the separate keys
//! become a libpq connection string with every value quoted.

use std::{
    fmt::{self, Write as _},
    num::NonZeroU32,
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use crate::error::{DatabaseUrlError, StorageError};

/// The section `[Database]`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatabaseConfig {
    /// `sqlite:PATH`, or `postgres://…` as libpq reads it. Wins over the other `db_` keys.
    /// With neither this nor `db_name`: SQLite at `data/onegin.db`.
    pub db_url: Option<String>,
    /// PostgreSQL's host; a leading `/` names the folder of a Unix socket.
    pub db_host: String,
    /// PostgreSQL's port.
    pub db_port: u16,
    /// PostgreSQL's user.
    pub db_user: String,
    /// PostgreSQL's database.
    pub db_name: Option<String>,
    /// The user's password; left out, libpq looks where it always looks.
    pub db_pass: Option<String>,
    /// Connections at most; raised to the processor threads + 2 where it is less.
    pub db_pool_size: NonZeroU32,
    /// Devices one user keeps; inactive ones go first, then the oldest.
    pub max_devices_per_user: NonZeroU32,
    /// Users that one device's token may belong to; the latest logins stay.
    pub max_users_per_device: NonZeroU32,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self {
            db_url: None,
            db_host: "localhost".into(),
            db_port: 5432,
            db_user: "pushkin".into(),
            db_name: None,
            db_pass: None,
            db_pool_size: const { NonZeroU32::new(20).expect("not zero") },
            max_devices_per_user: const { NonZeroU32::new(10).expect("not zero") },
            max_users_per_device: NonZeroU32::MIN,
        }
    }
}

/// Shows neither the password nor the URL, which may hold one.
impl fmt::Debug for DatabaseConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DatabaseConfig")
            .field("db_url", &self.db_url.as_ref().map(|_| "…"))
            .field("db_host", &self.db_host)
            .field("db_port", &self.db_port)
            .field("db_user", &self.db_user)
            .field("db_name", &self.db_name)
            .field("db_pass", &self.db_pass.as_ref().map(|_| "…"))
            .field("db_pool_size", &self.db_pool_size)
            .field("max_devices_per_user", &self.max_devices_per_user)
            .field("max_users_per_device", &self.max_users_per_device)
            .finish()
    }
}

/// Which database is meant.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// This file.
    Sqlite(PathBuf),
    /// What libpq reads from this text, which may hold a password.
    Postgres(String),
}

/// Where SQLite's file is when nothing is configured.
const DEFAULT_SQLITE_PATH: &str = "data/onegin.db";

/// What every PostgreSQL connection gets unless the URL says otherwise: without them a dead
/// network would hold a processor thread for hours (libpq, "Parameter Key Words").
const POSTGRES_DEFAULTS: [(&str, &str); 4] = [
    ("application_name", "onegin"),
    ("connect_timeout", "5"),
    ("keepalives_idle", "30"),
    ("tcp_user_timeout", "30000"),
];

impl DatabaseConfig {
    /// Whether these keys name a database that this build can use; connects to nothing.
    ///
    /// # Errors
    /// As [`Storage::open`](crate::Storage::open) would fail before it connects.
    pub fn check(&self) -> Result<(), StorageError> {
        self.target().map(drop).map_err(StorageError::Url)
    }

    /// The database these keys name.
    pub(crate) fn target(&self) -> Result<Target, DatabaseUrlError> {
        match (&self.db_url, &self.db_name) {
            (Some(url), _) => target_of_url(url),
            (None, Some(name)) => Ok(Target::Postgres(self.connection_string(name))),
            (None, None) => Ok(Target::Sqlite(DEFAULT_SQLITE_PATH.into())),
        }
    }

    fn connection_string(&self, name: &str) -> String {
        let port = self.db_port.to_string();
        let keys = [
            ("host", self.db_host.as_str()),
            ("port", port.as_str()),
            ("user", self.db_user.as_str()),
            ("dbname", name),
        ];
        let password = self.db_pass.as_deref().filter(|text| !text.is_empty());
        let password = password.map(|text| ("password", text));
        let mut text = String::new();
        for (key, value) in keys.into_iter().chain(password).chain(POSTGRES_DEFAULTS) {
            let value = value.replace('\\', "\\\\").replace('\'', "\\'");
            write!(text, "{key}='{value}' ").expect("a String takes any text");
        }
        text
    }
}

fn target_of_url(url: &str) -> Result<Target, DatabaseUrlError> {
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return match path {
            "" | ":memory:" => Err(DatabaseUrlError::NotAFile),
            path => Ok(Target::Sqlite(path.into())),
        };
    }
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(DatabaseUrlError::Scheme);
    }
    let mut text = url.to_owned();
    let mut parameters: Vec<(&str, &str)> = Vec::new();
    if let Some((_, query)) = url.split_once('?') {
        parameters.extend(query.split('&').filter_map(|pair| pair.split_once('=')));
    }
    let sslmode = parameters.iter().find(|(key, _)| *key == "sslmode");
    if let Some((_, mode @ ("require" | "verify-ca" | "verify-full"))) = sslmode
        && !cfg!(feature = "postgres-tls")
    {
        return Err(DatabaseUrlError::TlsNotBuilt {
            mode: (*mode).to_owned(),
        });
    }
    for (key, value) in POSTGRES_DEFAULTS {
        if !parameters.iter().any(|(present, _)| *present == key) {
            let joint = if text.contains('?') { '&' } else { '?' };
            write!(text, "{joint}{key}={value}").expect("a String takes any text");
        }
    }
    Ok(Target::Postgres(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, DatabaseUrlError> {
        let config = DatabaseConfig {
            db_url: Some(url.into()),
            ..DatabaseConfig::default()
        };
        config.target()
    }

    #[test]
    fn nothing_configured_is_sqlite_under_data() {
        let target = DatabaseConfig::default().target();
        assert!(target == Ok(Target::Sqlite("data/onegin.db".into())));
    }

    #[test]
    fn a_password_may_have_any_character() {
        let config = DatabaseConfig {
            db_name: Some("game".into()),
            db_pass: Some(r"a@b:c/d%e'f\g h".into()),
            ..DatabaseConfig::default()
        };
        let Ok(Target::Postgres(text)) = config.target() else {
            panic!("db_name means PostgreSQL");
        };
        assert!(text.contains(r"password='a@b:c/d%e\'f\\g h' "), "{text}");
        assert!(text.contains("dbname='game' "), "{text}");
    }

    #[test]
    fn a_host_with_a_leading_slash_is_the_folder_of_a_socket() {
        let config = DatabaseConfig {
            db_host: "/run/postgresql".into(),
            db_port: 5433,
            db_name: Some("game".into()),
            ..DatabaseConfig::default()
        };
        let Ok(Target::Postgres(text)) = config.target() else {
            panic!("db_name means PostgreSQL");
        };
        // libpq takes it for one, and the port for a part of the socket's name.
        assert!(
            text.starts_with("host='/run/postgresql' port='5433' "),
            "{text}"
        );
    }

    #[test]
    fn urls_name_either_database() {
        assert!(target("sqlite:a/b.db") == Ok(Target::Sqlite("a/b.db".into())));
        assert!(target("sqlite:///a/b.db") == Ok(Target::Sqlite("/a/b.db".into())));
        let Ok(Target::Postgres(text)) = target("postgres://me@db/game?connect_timeout=9") else {
            panic!("a postgres URL means PostgreSQL");
        };
        assert!(text.starts_with("postgres://me@db/game?connect_timeout=9&application_name="));
        assert!(target("mysql://x") == Err(DatabaseUrlError::Scheme));
        assert!(target("sqlite::memory:") == Err(DatabaseUrlError::NotAFile));
    }

    #[cfg(not(feature = "postgres-tls"))]
    #[test]
    fn a_build_without_tls_refuses_a_url_that_demands_it() {
        let refused = target("postgresql://db/game?sslmode=verify-full");
        let mode = "verify-full".to_owned();
        assert!(refused == Err(DatabaseUrlError::TlsNotBuilt { mode }));
        assert!(target("postgresql://db/game?sslmode=prefer").is_ok());
    }

    #[test]
    fn debug_output_keeps_the_secrets() {
        let config = DatabaseConfig {
            db_url: Some("postgres://me:hunter2@db/game".into()),
            db_pass: Some("hunter2".into()),
            ..DatabaseConfig::default()
        };
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
