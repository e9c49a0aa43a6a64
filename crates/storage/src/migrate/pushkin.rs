//! What a Pushkin database says of itself, before the first migration adopts it.

use diesel::{pg::PgConnection, prelude::*, sql_query, sql_types::BigInt};

use super::{TextRow, has_table};
use crate::UpgradeError;

/// Pushkin's Alembic revisions, oldest first; the last one is its master's.
const PUSHKIN_REVISIONS: [&str; 11] = [
    "e2a42bcd4c02",
    "866d344d7b5d",
    "61e52d26ebea",
    "9ea5d4d49609",
    "822b8de2c260",
    "50db531bbf54",
    "70ad8e4607cd",
    "ba3a6442af2b",
    "67b14b57d9e4",
    "8b6104b8b8c0",
    "34dd0bf00472",
];

/// Where its history forked: an upgrade that stopped between the branches and their merge leaves
/// a row for each. Alembic takes no other pair, because one would be the other's ancestor.
const PUSHKIN_FORKS: [[&str; 2]; 2] = [
    ["61e52d26ebea", "9ea5d4d49609"],
    ["50db531bbf54", "70ad8e4607cd"],
];

/// The revision of a Pushkin database; none where there is no Pushkin.
pub(super) fn revision(connection: &mut PgConnection) -> Result<Option<String>, UpgradeError> {
    let mut rows: Vec<TextRow> = Vec::new();
    if has_table(connection, "alembic_version")? {
        let query = "SELECT version_num AS text FROM alembic_version ORDER BY 1";
        rows = sql_query(query).load(connection)?;
    }
    let revisions: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
    let is_known = match revisions[..] {
        [] if has_table(connection, "login")? => return Ok(Some("unstamped".into())),
        [] => return Ok(None),
        [one] => PUSHKIN_REVISIONS.contains(&one),
        [one, other] => PUSHKIN_FORKS.contains(&[one, other]),
        _ => false,
    };
    let revision = revisions.join(" + ");
    if is_known {
        Ok(Some(revision))
    } else {
        Err(UpgradeError::UnknownRevision { revision })
    }
}

/// How many of a Pushkin database's opt-out lists the migration will drop.
pub(super) fn superseded_blacklists(connection: &mut PgConnection) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    if !has_table(connection, "message_blacklist")? {
        return Ok(0);
    }
    let query = "SELECT count(*) - count(DISTINCT login_id) AS count FROM message_blacklist";
    let row: Count = sql_query(query).get_result(connection)?;
    Ok(row.count)
}
