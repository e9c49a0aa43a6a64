//! What can go wrong with a log file.

use std::{io, path::PathBuf};

/// An operation on a log file that failed.
#[derive(Debug, thiserror::Error)]
pub enum NotificationLogError {
    /// The file's folder is not there and cannot be made.
    #[error("failed to create the log folder {}", path.display())]
    CreateFolder {
        /// The folder.
        path: PathBuf,
        /// The system's answer.
        #[source]
        cause: io::Error,
    },
    /// The file cannot be opened for appending.
    #[error("failed to open the log file {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        cause: io::Error,
    },
    /// The system does not say which file stands at the path, or how long it is.
    #[error("failed to inspect the log file {}", path.display())]
    Inspect {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        cause: io::Error,
    },
    /// Bytes could not be written; most often the disk is full.
    #[error("failed to write to the log file {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        cause: io::Error,
    },
}
