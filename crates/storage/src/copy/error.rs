//! Why a copy failed.

use std::path::PathBuf;

use diesel::result::Error as QueryError;

use super::{CopiedTable, tables::Table};
use crate::{DatabaseUrlError, StorageError};

/// Why nothing was copied. The target has no rows then, or those that it had before.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source is none.
    #[error("the source cannot be used")]
    SourceUrl(#[source] DatabaseUrlError),
    /// The target is none.
    #[error("the target cannot be used")]
    TargetUrl(#[source] DatabaseUrlError),
    /// Opening the file would make it.
    #[error("there is no database {} to copy", path.display())]
    NoSource {
        /// The source's file.
        path: PathBuf,
    },
    /// No connection to the source, or it is of another version.
    #[error("failed to open the source")]
    Source(#[source] StorageError),
    /// No connection to the target, or its schema could not be made.
    #[error("failed to open the target")]
    Target(#[source] StorageError),
    /// The source's snapshot.
    #[error("failed to begin reading the source")]
    BeginSource(#[source] QueryError),
    /// The target's transaction.
    #[error("failed to lock the target")]
    LockTarget(#[source] QueryError),
    /// Copies are never mixed with what is there.
    #[error("the target is not empty: its table {table} has rows; nothing was copied")]
    TargetNotEmpty {
        /// The first table with rows.
        table: &'static str,
    },
    /// A table could not be read.
    #[error("failed to read the table {table}; nothing was copied")]
    Read {
        /// Its name.
        table: &'static str,
        /// What the database said.
        #[source]
        cause: QueryError,
    },
    /// A row was not what it is read as.
    #[error("failed to understand a row of the table {table}; nothing was copied")]
    Row {
        /// The table's name.
        table: &'static str,
        /// What is wrong with it.
        #[source]
        cause: serde_json::Error,
    },
    /// The target did not take a table's rows.
    #[error("failed to write the table {table}; nothing was copied")]
    Write {
        /// Its name.
        table: &'static str,
        /// What the database said.
        #[source]
        cause: QueryError,
    },
    /// The comparison found rows that are not the same.
    #[error("source and target are different after copying; nothing was kept")]
    Different {
        /// What was found in each table.
        tables: Vec<CopiedTable>,
    },
    /// The end of the target's transaction.
    #[error("failed to commit the copy")]
    Commit(#[source] QueryError),
}

impl CopyError {
    pub(super) fn read(table: &Table) -> impl FnOnce(QueryError) -> Self + use<> {
        let table = table.name;
        move |cause| Self::Read { table, cause }
    }

    pub(super) fn write(table: &Table) -> impl FnOnce(QueryError) -> Self + use<> {
        let table = table.name;
        move |cause| Self::Write { table, cause }
    }
}
