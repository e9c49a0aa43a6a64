//! The journal's keys of `[RequestProcessor]`.

use std::{num::NonZeroU32, path::PathBuf};

use serde::{Deserialize, Serialize};

/// What a client's 200 means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The request is on stable storage: it survives a crash and a power cut.
    #[default]
    Journal,
    /// The request is in memory, as with Pushkin: a crash loses it.
    Memory,
}

/// `[RequestProcessor]`: where accepted requests are kept until all that came of them has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JournalConfig {
    /// Whether accepted requests survive a crash: journal or memory.
    pub durability: Durability,
    /// The journal's folder, created at start; one daemon per folder.
    pub journal_path: PathBuf,
    /// Disk space for unfinished requests, MiB; POSTs are answered 503 when it is used up.
    pub journal_limit_mb: NonZeroU32,
    /// So long at most are concurrent requests gathered to share one fsync, milliseconds. A lone
    /// request never waits.
    pub journal_commit_interval_ms: u32,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            durability: Durability::Journal,
            journal_path: "data/journal".into(),
            journal_limit_mb: const { NonZeroU32::new(1024).expect("not zero") },
            journal_commit_interval_ms: 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_section_is_the_default_and_words_are_lower_case() {
        let read: JournalConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(read, JournalConfig::default());
        let read: JournalConfig = serde_json::from_str(r#"{"durability":"memory"}"#).unwrap();
        assert_eq!(read.durability, Durability::Memory);
        assert!(serde_json::from_str::<JournalConfig>(r#"{"journal_limit_mb":0}"#).is_err());
    }
}
