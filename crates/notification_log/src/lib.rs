//! The notification log: one CSV line for every notification that has ended.
//!
//! Reports come in through a queue; lines go out to `notifications.csv`, in Pushkin's columns.
//! The one rule: a notification's receipt is settled after its line is written, never before,
//! so a crash can repeat a line but cannot lose one. Beside it stand the `[Log]` section of
//! the configuration and the file that rotates itself, which the main log uses too.
#![forbid(unsafe_code)]

mod config;

mod when;

mod row;

pub mod rotating_file;

mod writer;

mod notification_log;

mod metrics;

mod error;

pub use config::{FileMode, LogConfig, LogConfigError, LogFormat, LogLevel};
pub use error::NotificationLogError;
pub use metrics::Metrics;
pub use notification_log::{FILE_NAME, NotificationLog, start};
pub use row::{COLUMNS, Row, RowError, parse_line};
pub use when::{Suffix, When};
pub use writer::Observer;
