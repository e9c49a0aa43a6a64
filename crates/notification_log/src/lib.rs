//! The notification log: one CSV line for every notification that has ended.
//!
//! Reports come in through a queue; lines go out to `notifications.csv`, in Pushkin's columns.
//! The one rule: a notification's receipt is settled after its line is written, never before,
//! so a crash can repeat a line but cannot lose one. Beside it stand the `[Log]` section of
//! the configuration and the file that rotates itself, which the main log uses too.
//!
//! # The lines
//!
//! A line is 13 columns ([`COLUMNS`]), separated by commas, without quotes, ended by a line feed.
//! The file has no header row. In every text column
//!
//! | character | is written |
//! |---|---|
//! | comma | `\,` (as Pushkin wrote it in `content`) |
//! | backslash | `\\` |
//! | line feed, carriage return | `\n`, `\r` |
//! | any other control character (U+0000 to U+001F, U+007F to U+009F), U+2028, U+2029 | `\u{x}`, x its number in hexadecimal |
//!
//! and every other character stands as it is, in UTF-8. So whatever a notification says, its row
//! is one line, also for readers that end lines at Unicode's other separators.
//!
//! To read a line back, go through it from left to right: a backslash and what follows it is the
//! character that the table says; any other comma ends a column; everything else is itself.
//! [`parse_line`] does that.
//!
//! A build for the fuzz targets (`cfg(fuzzing)`) has the module `fuzzing` beside all this.
#![forbid(unsafe_code)]

mod config;

mod when;

mod row;

pub mod rotating_file;

mod writer;

mod notification_log;

mod metrics;

mod error;

#[cfg(fuzzing)]
pub mod fuzzing;

pub use config::{FileMode, LogConfig, LogConfigError, LogFormat, LogLevel};
pub use error::NotificationLogError;
pub use metrics::Metrics;
pub use notification_log::{FILE_NAME, NotificationLog, start};
pub use row::{COLUMNS, Row, RowError, parse_line};
pub use when::{Suffix, When};
pub use writer::Observer;
