//! What can go wrong with the journal.

use std::{
    io::{self, ErrorKind},
    path::PathBuf,
    sync::Arc,
};

use model::RequestId;

/// The journal cannot be used; the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder is not there and cannot be made.
    #[error("failed to create the journal's folder {}", path.display())]
    CreateFolder {
        /// The folder.
        path: PathBuf,
        /// The system's answer.
        #[source]
        cause: io::Error,
    },
    /// Another daemon has this journal.
    #[error("the journal {} is in use by another daemon; give each its own journal_path", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A file in the folder cannot be opened, locked or renamed.
    #[error("failed to open the journal's file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        cause: io::Error,
    },
    /// The store does not open.
    #[error("failed to open the journal {}", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// The store's answer.
        #[source]
        cause: StoreError,
    },
}

/// An operation of the store underneath that failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Opening, and repairing after a crash.
    #[error("the store does not open")]
    Open(#[source] Box<redb::Error>),
    /// Writing one group of requests and marks.
    #[error("the store does not write")]
    Commit(#[source] Box<redb::Error>),
    /// Reading requests back.
    #[error("the store does not read")]
    Read(#[source] Box<redb::Error>),
    /// It failed a moment ago and has not been opened again yet.
    #[error("the store is closed after a failure")]
    Closed,
    /// A bug, in the store or in its use.
    #[error("the store panicked")]
    Panicked,
}

impl StoreError {
    /// The file's bytes are not what was written to it: opening it again will not help.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Open(cause) | Self::Commit(cause) | Self::Read(cause) => match &**cause {
                redb::Error::Corrupted(_) | redb::Error::RepairAborted => true,
                // Not the store's format at all, or shorter than it has to be.
                redb::Error::Io(cause) => {
                    matches!(
                        cause.kind(),
                        ErrorKind::InvalidData | ErrorKind::UnexpectedEof
                    )
                }
                _ => false,
            },
            Self::Panicked => true,
            Self::Closed => false,
        }
    }
}

/// A request has not been taken. Nothing of it comes back after a restart.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// Unfinished requests take all the space that the journal may have.
    #[error("the journal is full (journal_limit_mb)")]
    Full,
    /// The disk does not take it; most often it is full. Tried anew about every second.
    #[error("failed to write the journal")]
    Write(#[source] Arc<StoreError>),
    /// The daemon is stopping.
    #[error("the journal is closed")]
    Stopped,
}

/// A request cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store does not give it.
    #[error("failed to read requests from the journal")]
    Store(#[source] StoreError),
    /// What is stored is not a request that this program reads.
    #[error("failed to read the request {id} from the journal")]
    Request {
        /// Which request.
        id: RequestId,
        /// What is wrong with it.
        #[source]
        cause: model::DecodeRequestError,
    },
}
