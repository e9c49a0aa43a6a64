//! Is it the database's trouble, or is it what the database was given?
//!
//! An outage is waited for, however long it lasts; what a living database refuses is given up
//! after a few tries. Diesel tells neither SQLite's result code nor PostgreSQL's SQLSTATE for
//! what is no broken constraint, so the text has to do. SQLite's texts are always the same
//! (`sqlite3ErrStr`, <https://www.sqlite.org/rescode.html>). PostgreSQL's may be translated, so
//! where the text says nothing a write of our own is tried: a server that takes nothing from
//! anybody is away.

use diesel::{
    QueryableByName, RunQueryDsl as _,
    connection::SimpleConnection as _,
    pg::PgConnection,
    result::{DatabaseErrorKind, Error as QueryError, QueryResult},
    sql_query,
    sql_types::Bool,
};

/// How texts begin that speak of the database's own state. At the beginning only: what comes
/// later in a text may be quoted from a request.
const TEXTS: [&str; 22] = [
    // SQLite: FULL, IOERR, READONLY, CANTOPEN, NOLFS, PERM, NOMEM.
    "database or disk is full",
    "disk I/O error",
    "attempt to write a readonly database",
    "unable to open database file",
    "large file support is disabled",
    "access permission denied",
    "out of memory",
    // SQLite: BUSY, LOCKED, PROTOCOL. It has waited as long as it was told to.
    "database is locked",
    "database table is locked",
    "database schema is locked",
    "locking protocol",
    // SQLite: CORRUPT, NOTADB. No request can help it, and each can wait for the operator.
    "database disk image is malformed",
    "file is not a database",
    // SQLite, after it has rolled a transaction back by itself, as it does on most of these.
    "cannot rollback - no transaction is active",
    "cannot commit - no transaction is active",
    // PostgreSQL, classes 53 (no disk, no memory, no connection left) and 58 (the disk fails):
    // all of them, but for memory and connections, begin with "could not", such as "could not
    // extend file".
    "could not ",
    "out of shared memory",
    "sorry, too many clients",
    "remaining connection slots",
    "too many connections for",
    // PostgreSQL, 57P01 to 57P03: it stops, has crashed, or is not there yet.
    "terminating connection",
    "the database system is",
];

/// Whether the error itself says that the database cannot.
pub(crate) fn is_outage(error: &QueryError) -> bool {
    match error {
        QueryError::DatabaseError(kind, information) => {
            is_broken(*kind)
                || matches!(kind, DatabaseErrorKind::ReadOnlyTransaction)
                || matches!(kind, DatabaseErrorKind::Unknown) && says_so(information.message())
        }
        QueryError::RollbackErrorOnCommit {
            rollback_error,
            commit_error,
        } => is_outage(rollback_error) || is_outage(commit_error),
        QueryError::BrokenTransactionManager => true,
        _ => false,
    }
}

/// Whether another connection, now, may do better: the server has been restarted, say.
pub(crate) fn is_worth_another_connection(error: &QueryError) -> bool {
    match error {
        QueryError::DatabaseError(kind, _) => is_broken(*kind),
        QueryError::BrokenTransactionManager => true,
        _ => false,
    }
}

fn is_broken(kind: DatabaseErrorKind) -> bool {
    matches!(
        kind,
        DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand
    )
}

fn says_so(text: &str) -> bool {
    TEXTS.iter().any(|beginning| text.starts_with(beginning))
}

#[derive(QueryableByName)]
struct Permission {
    #[diesel(sql_type = Bool)]
    granted: bool,
}

/// Writes 700 kB that are gone with the transaction: more than fits into free space of pages that
/// are there, so a full disk shows, and the commit has to reach the log. A temporary table stands
/// in nobody's way. Whoever may make none (the default is that everybody may) is only asked for a
/// sign of life.
pub(crate) fn try_to_write(connection: &mut PgConnection) -> QueryResult<()> {
    let may = "SELECT has_database_privilege(current_database(), 'TEMPORARY') AS granted";
    let may: Permission = sql_query(may).get_result(connection)?;
    if may.granted {
        // One message is one transaction, which the server ends by itself in either case.
        connection.batch_execute(
            "CREATE TEMPORARY TABLE onegin_sign_of_life (number int) ON COMMIT DROP; \
             INSERT INTO onegin_sign_of_life SELECT generate_series(1, 20000)",
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StorageError;

    fn refused(kind: DatabaseErrorKind, message: &str) -> QueryError {
        QueryError::DatabaseError(kind, Box::new(message.to_owned()))
    }

    fn unknown(message: &str) -> QueryError {
        refused(DatabaseErrorKind::Unknown, message)
    }

    #[test]
    fn a_database_that_cannot_is_an_outage_and_one_that_will_not_is_none() {
        let closed = || refused(DatabaseErrorKind::ClosedConnection, "");
        let duplicate = || refused(DatabaseErrorKind::UniqueViolation, "duplicate key");
        let on_commit = |commit_error| QueryError::RollbackErrorOnCommit {
            rollback_error: Box::new(duplicate()),
            commit_error: Box::new(commit_error),
        };
        for outage in [
            closed(),
            refused(DatabaseErrorKind::UnableToSendCommand, "no connection"),
            refused(DatabaseErrorKind::ReadOnlyTransaction, "schreibgeschützt"),
            unknown("database is locked"),
            unknown("database or disk is full"),
            unknown("could not extend file \"base/5/16\": No space left on device"),
            unknown("the database system is shutting down"),
            on_commit(closed()),
            on_commit(unknown("disk I/O error")),
        ] {
            assert!(is_outage(&outage), "{outage:?}");
            assert!(StorageError::Fold(outage).is_outage());
        }
        for answer in [
            duplicate(),
            unknown("smallint out of range"),
            unknown("invalid input syntax: \"could not extend file\""),
            refused(DatabaseErrorKind::CheckViolation, "could not be worse"),
            on_commit(duplicate()),
        ] {
            assert!(!is_outage(&answer), "{answer:?}");
        }
    }
}
