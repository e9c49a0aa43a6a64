//! What can fail here, by the operation that failed.

use std::{io, path::PathBuf};

use diesel::{
    r2d2::PoolError,
    result::{ConnectionError, DatabaseErrorKind, Error as QueryError},
};

use crate::{catalogue::MAX_LOCALIZATIONS, outage::is_outage, users::Refused};

/// Why an operation on the database failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The configuration names no database that can be used.
    #[error("section Database, key db_url: {0}")]
    Url(DatabaseUrlError),
    /// SQLite's folder or file could not be made.
    #[error("failed to create the database file {}", path.display())]
    CreateFile {
        /// The file, or its folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// No connection to the database.
    #[error("failed to connect to the database")]
    Connect(#[source] ConnectionError),
    /// A new connection did not take its settings.
    #[error("failed to set up the database connection")]
    SetUp(#[source] QueryError),
    /// No connection became free in time, or no new one could be made.
    #[error("failed to get a database connection")]
    Pool(#[source] PoolError),
    /// The schema's state could not be read.
    #[error("failed to read the database schema's version")]
    SchemaVersion(#[source] QueryError),
    /// The database is empty, Pushkin's, or of an older Onegin.
    #[error(
        "the database schema is missing or older than this program; \
         run `onegin --configuration FILE --upgrade-db` once"
    )]
    SchemaOld,
    /// The database is of a newer Onegin.
    #[error("the database schema has version {version}, which is newer than this program")]
    SchemaNewer {
        /// The migration that this program does not know.
        version: String,
    },
    /// The schema could not be brought up to date; nothing was changed.
    #[error("failed to upgrade the database")]
    Upgrade(#[source] UpgradeError),
    /// Messages and texts could not be read.
    #[error("failed to load messages")]
    LoadCatalogue(#[source] QueryError),
    /// More texts than are kept in memory.
    #[error("there are more than {MAX_LOCALIZATIONS} localizations")]
    CatalogueTooLarge,
    /// The thread that follows changes of messages could not be started.
    #[error("failed to start the thread that follows message changes")]
    Watch(#[source] io::Error),
    /// A batch's reads or writes.
    #[error("failed to read or write a batch's users")]
    Fold(#[source] QueryError),
    /// Two instances kept creating the batch's new logins before each other.
    #[error("failed to create a batch's logins: others created them at the same time")]
    Contended,
    /// Send times of messages without a cooldown.
    #[error("failed to record send times")]
    RecordLastSent(#[source] QueryError),
    /// The readiness check.
    #[error("failed to ask the database for a sign of life")]
    Ping(#[source] QueryError),
    /// A message could not be read, written or deleted.
    #[error("failed to change or read a message")]
    Message(#[source] QueryError),
    /// A login or device could not be read, written or deleted.
    #[error("failed to change or read a login")]
    Login(#[source] QueryError),
    /// An API key or an organisation could not be read, written or changed.
    #[error("failed to change or read an API key")]
    ApiKey(#[source] QueryError),
    /// A text was meant for a message that does not exist.
    #[error("message {message} does not exist")]
    UnknownMessage {
        /// The message.
        message: model::MessageId,
    },
    /// The login cannot be stored.
    #[error("the login cannot be stored")]
    Refused(#[source] Refused),
}

impl StorageError {
    /// Whether the same call can succeed later without anyone changing the configuration:
    /// the database is away, or busy.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        let had_no_turn = matches!(
            self,
            Self::Connect(_) | Self::Pool(_) | Self::SetUp(_) | Self::Contended
        );
        had_no_turn || self.answer().is_some_and(is_temporary)
    }

    /// Whether the database says that it cannot, and not that it will not: no connection, one that
    /// broke, a full or failing disk, a read-only server, a SQLite file that somebody else holds.
    /// The same call must be made again, however often. [`crate::Storage::is_away`] asks the
    /// database where its answer leaves it open.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        let has_no_connection = matches!(self, Self::Connect(_) | Self::Pool(_) | Self::SetUp(_));
        has_no_connection || self.answer().is_some_and(is_outage)
    }

    /// What the database answered to a statement.
    fn answer(&self) -> Option<&diesel::result::Error> {
        match self {
            Self::SchemaVersion(cause)
            | Self::LoadCatalogue(cause)
            | Self::Fold(cause)
            | Self::RecordLastSent(cause)
            | Self::Ping(cause)
            | Self::Message(cause)
            | Self::Login(cause)
            | Self::ApiKey(cause) => Some(cause),
            Self::Connect(_)
            | Self::Pool(_)
            | Self::SetUp(_)
            | Self::Url(_)
            | Self::CreateFile { .. }
            | Self::SchemaOld
            | Self::SchemaNewer { .. }
            | Self::Upgrade(_)
            | Self::CatalogueTooLarge
            | Self::Watch(_)
            | Self::Contended
            | Self::UnknownMessage { .. }
            | Self::Refused(_) => None,
        }
    }
}

/// Diesel gives no code for a deadlock, a full disk, a busy file or a server that is stopping:
/// all are `Unknown`, and all pass.
pub(crate) fn is_temporary(error: &QueryError) -> bool {
    match error {
        QueryError::DatabaseError(kind, _) => matches!(
            kind,
            DatabaseErrorKind::SerializationFailure
                | DatabaseErrorKind::ReadOnlyTransaction
                | DatabaseErrorKind::ClosedConnection
                | DatabaseErrorKind::ForeignKeyViolation
                | DatabaseErrorKind::Unknown
        ),
        QueryError::BrokenTransactionManager
        | QueryError::RollbackErrorOnCommit { .. }
        | QueryError::RollbackTransaction => true,
        _ => false,
    }
}

/// Why `db_url` cannot be used. Never shows the URL, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// Another kind of URL.
    #[error("expected sqlite:PATH, postgres://… or postgresql://…")]
    Scheme,
    /// SQLite without a file: every connection would have its own database.
    #[error("SQLite needs a file; expected sqlite:PATH")]
    NotAFile,
    /// TLS is demanded but not built in.
    #[error(
        "sslmode={mode} needs TLS to PostgreSQL, which this build cannot do; \
         use a release package or build with the feature postgres-tls"
    )]
    TlsNotBuilt {
        /// What the URL asks for.
        mode: String,
    },
}

/// Why a database could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// Pushkin's revision is none of those that are known.
    #[error("Pushkin's schema revision {revision} is not known")]
    UnknownRevision {
        /// What `alembic_version` says.
        revision: String,
    },
    /// The database is of a newer Onegin.
    #[error("the schema has version {version}, which is newer than this program")]
    Newer {
        /// The migration that this program does not know.
        version: String,
    },
    /// A statement around the migrations.
    #[error("failed to prepare the upgrade")]
    Query(#[from] QueryError),
    /// A migration.
    #[error("failed to run migration {name}")]
    Migration {
        /// Its folder's name.
        name: String,
        /// What the database said.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The list of migrations.
    #[error("failed to list the migrations")]
    List(#[source] Box<dyn std::error::Error + Send + Sync>),
}
