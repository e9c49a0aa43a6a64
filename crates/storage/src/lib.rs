//! Logins, devices, messages and cooldowns, in SQLite or PostgreSQL with one behaviour.
//!
//! In comes a batch's [`Scope`], out comes a [`Folded`]: everything about its users is read once,
//! changed in memory by the rules of [`Users`], and written once, so the number of SQL statements
//! does not grow with the batch. Messages come from the [`Catalogue`], which follows the database.
//! Pushkin's "Database API" for tools and people stands in `administration.rs`, with a table from
//! Pushkin's names to ours. This is the only crate that names diesel; what is different between the two databases stands
//! in `fold/sqlite.rs` and `fold/postgres.rs` under the same names.
#![forbid(unsafe_code)]

mod config;

mod error;

mod outage;

#[macro_use]
mod connection;

mod migrate;

mod copy;

mod storage;

mod catalogue;

mod users;

mod fold;

mod cooldown;

mod feedback;

mod administration;

mod api_keys;

mod schema;

pub use administration::{
    Attribute, Blacklist, Canonical, Device, DeviceRecord, LocalizedMessage, LoginRecord,
    MessageAttributes, MessageDraft, RawMessage, RawText, StoredMessages, UnregisteredDevice,
};
pub use api_keys::{ApiKey, NewApiKey, Organisation};
pub use catalogue::{Catalogue, Localization, MAX_LOCALIZATIONS, Message, POLL_INTERVAL};
pub use config::DatabaseConfig;
pub use cooldown::Won;
pub use copy::{CopiedTable, CopyError, CopyStep, copy_database};
pub use error::{DatabaseUrlError, StorageError, UpgradeError};
pub use feedback::FeedbackCounts;
pub use fold::{Folded, Scope};
pub use migrate::Upgrade;
pub use storage::{OpenOptions, Storage};
pub use users::{Login, MAX_TOKEN_BYTES, Refused, Users};
