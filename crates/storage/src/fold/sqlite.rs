//! A fold's statements on SQLite: lists travel as one JSON text, `json_each` makes rows of them.
//!
//! Times are texts in UTC, `YYYY-MM-DD HH:MM:SS.ffffff`, which sort together with
//! `CURRENT_TIMESTAMP`'s form; they become microseconds since 1970 on the way in and out, in SQL.
//! There is one writer at a time (`connection.rs`), so nothing needs to be locked.

use diesel::{
    query_dsl::RunQueryDsl as _,
    result::QueryResult,
    sql_types::{BigInt, Integer, Nullable, SmallInt, Text},
    sqlite::{Sqlite, SqliteConnection},
};
use model::UnixMs;
use serde::Serialize;
use tracing::warn;

use super::{Interrupted, Statements, statement::statement};
use crate::users::{Changes, Claim, DeviceRow, LoginRow};

type DeviceColumns = (
    BigInt,
    BigInt,
    SmallInt,
    Text,
    Nullable<Text>,
    Nullable<Integer>,
    Nullable<BigInt>,
    Nullable<BigInt>,
);
type DeviceValues = (
    i64,
    i64,
    i16,
    String,
    Option<String>,
    Option<i32>,
    Option<i64>,
    Option<i64>,
);

statement! {
    Logins for Sqlite, on SqliteConnection, returns (BigInt, Nullable<SmallInt>, Nullable<Text>):
    "SELECT login.id, login.language_id, message_blacklist.blacklist \
     FROM login LEFT JOIN message_blacklist ON message_blacklist.login_id = login.id \
     WHERE login.id IN (SELECT value FROM json_each(", logins: Text as &'a str, "))";
}

statement! {
    Addresses for Sqlite, on SqliteConnection, returns (BigInt, BigInt, SmallInt, Text):
    "SELECT id, login_id, platform_id, COALESCE(device_token_new, device_token) FROM device \
     WHERE login_id IN (SELECT value FROM json_each(", logins: Text as &'a str, ")) \
       AND unregistered_ts IS NULL AND app IS NULL";
}

statement! {
    /// Two halves, so that each uses its own index.
    Devices for Sqlite, on SqliteConnection, returns DeviceColumns:
    "SELECT id, login_id, platform_id, device_token, device_token_new, application_version, \
            unixepoch(substr(unregistered_ts, 1, 19)) * 1000000 \
                + CAST(substr(unregistered_ts || '.000000', 21, 6) AS INTEGER), \
            unixepoch(substr(last_login_ts, 1, 19)) * 1000000 \
                + CAST(substr(last_login_ts || '.000000', 21, 6) AS INTEGER) \
     FROM device WHERE app IS NULL AND id IN ( \
         SELECT id FROM device WHERE login_id IN (SELECT value FROM json_each(",
    logins: Text as &'a str, ")) \
         UNION \
         SELECT id FROM device \
         WHERE COALESCE(device_token_new, device_token) IN (SELECT value FROM json_each(",
    tokens: Text as &'a str, ")))";
}

statement! {
    InsertLogins for Sqlite, on SqliteConnection, returns ():
    "INSERT INTO login (id, language_id) SELECT value ->> 0, value ->> 1 FROM json_each(",
    rows: Text as &'a str, ") WHERE true ON CONFLICT (id) DO NOTHING";
}

statement! {
    UpdateLanguages for Sqlite, on SqliteConnection, returns ():
    "UPDATE login SET language_id = wanted.value ->> 1 FROM json_each(",
    rows: Text as &'a str, ") AS wanted WHERE login.id = wanted.value ->> 0";
}

statement! {
    DeleteDevices for Sqlite, on SqliteConnection, returns ():
    "DELETE FROM device WHERE id IN (SELECT value ->> 0 FROM json_each(", rows: Text as &'a str, "))";
}

statement! {
    SeeDevices for Sqlite, on SqliteConnection, returns ():
    "UPDATE device SET application_version = seen.value ->> 1, unregistered_ts = NULL, \
            last_login_ts = strftime('%Y-%m-%d %H:%M:%S', (seen.value ->> 2) / 1000000, 'unixepoch') \
                || printf('.%06d', (seen.value ->> 2) % 1000000) \
     FROM json_each(", rows: Text as &'a str, ") AS seen WHERE device.id = seen.value ->> 0";
}

statement! {
    ReplaceTokens for Sqlite, on SqliteConnection, returns ():
    "UPDATE device SET device_token_new = wanted.value ->> 1 FROM json_each(",
    rows: Text as &'a str, ") AS wanted WHERE device.id = wanted.value ->> 0";
}

statement! {
    EndDevices for Sqlite, on SqliteConnection, returns ():
    "UPDATE device SET unregistered_ts = strftime('%Y-%m-%d %H:%M:%S', ended.value ->> 1, 'unixepoch') \
            || printf('.%03d000', ended.value ->> 2) \
     FROM json_each(", rows: Text as &'a str, ") AS ended WHERE device.id = ended.value ->> 0";
}

statement! {
    /// In the list's order, so that ids ascend with the logins.
    InsertDevices for Sqlite, on SqliteConnection, returns ():
    "INSERT INTO device (login_id, platform_id, device_token, application_version, last_login_ts) \
     SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, \
            strftime('%Y-%m-%d %H:%M:%S', (value ->> 4) / 1000000, 'unixepoch') \
                || printf('.%06d', (value ->> 4) % 1000000) \
     FROM json_each(", rows: Text as &'a str, ") ORDER BY key";
}

statement! {
    WriteBlacklists for Sqlite, on SqliteConnection, returns ():
    "INSERT INTO message_blacklist (login_id, blacklist) SELECT value ->> 0, value ->> 1 FROM json_each(",
    rows: Text as &'a str, ") WHERE true \
     ON CONFLICT (login_id) DO UPDATE SET blacklist = excluded.blacklist";
}

statement! {
    /// Of a pair's claims the one that has decided before comes first (-1), else the batch's first;
    /// with one `min`, SQLite takes the bare `item` from that row (its manual, "Bare columns in an
    /// aggregate query"). Rows that are blocked are not updated, and so not returned.
    Decide for Sqlite, on SqliteConnection, returns (BigInt, Integer, Text):
    "INSERT INTO user_message_last_time_sent AS sent \
            (login_id, message_id, last_time_sent_ts_bigint, decided_by) \
     SELECT login, message, ", now: BigInt as i64, ", item \
     FROM (SELECT login.id AS login, message.id AS message, claim.value ->> 2 AS item, \
                  min(CASE WHEN mine.decided_by IS NULL THEN claim.key ELSE -1 END) AS place \
           FROM json_each(", claims: Text as &'a str, ") AS claim \
           CROSS JOIN login ON login.id = claim.value ->> 0 \
           CROSS JOIN message ON message.id = claim.value ->> 1 \
           LEFT JOIN user_message_last_time_sent AS mine ON mine.login_id = login.id \
                AND mine.message_id = message.id AND mine.decided_by = claim.value ->> 2 \
           GROUP BY login.id, message.id) \
     WHERE true ON CONFLICT (login_id, message_id) DO UPDATE \
     SET last_time_sent_ts_bigint = CASE WHEN sent.decided_by = excluded.decided_by \
             THEN sent.last_time_sent_ts_bigint ELSE excluded.last_time_sent_ts_bigint END, \
         decided_by = excluded.decided_by \
     WHERE sent.decided_by = excluded.decided_by \
        OR (SELECT COALESCE(sent.last_time_sent_ts_bigint + message.cooldown_ts \
                            <= excluded.last_time_sent_ts_bigint, true) \
            FROM message WHERE message.id = sent.message_id) \
     RETURNING login_id, message_id, decided_by";
}

statement! {
    RecordLastSent for Sqlite, on SqliteConnection, returns ():
    "INSERT INTO user_message_last_time_sent AS sent (login_id, message_id, last_time_sent_ts_bigint) \
     SELECT login.id, message.id, max(pair.value ->> 2) \
     FROM json_each(", rows: Text as &'a str, ") AS pair \
     CROSS JOIN login ON login.id = pair.value ->> 0 \
     CROSS JOIN message ON message.id = pair.value ->> 1 \
     GROUP BY login.id, message.id \
     ON CONFLICT (login_id, message_id) DO UPDATE \
     SET last_time_sent_ts_bigint = excluded.last_time_sent_ts_bigint, decided_by = NULL \
     WHERE excluded.last_time_sent_ts_bigint > sent.last_time_sent_ts_bigint";
}

impl Statements for SqliteConnection {
    fn in_transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Interrupted>,
    ) -> Result<T, Interrupted> {
        // IMMEDIATE: a transaction that reads first could not become a writer later.
        self.immediate_transaction(work)
    }

    fn lock_tokens(&mut self, _groups: &[i32]) -> QueryResult<Option<i64>> {
        Ok(None)
    }

    fn logins(&mut self, logins: &[i64]) -> QueryResult<Vec<LoginRow>> {
        let logins = json(logins);
        let rows: Vec<(i64, Option<i16>, Option<String>)> =
            Logins { logins: &logins }.load(self)?;
        Ok(rows.into_iter().map(login_row).collect())
    }

    fn lock_logins(&mut self, logins: &[i64]) -> QueryResult<Vec<LoginRow>> {
        Statements::logins(self, logins)
    }

    fn addresses(&mut self, logins: &[i64]) -> QueryResult<Vec<DeviceRow>> {
        let logins = json(logins);
        let rows: Vec<(i64, i64, i16, String)> = Addresses { logins: &logins }.load(self)?;
        Ok(rows.into_iter().map(DeviceRow::of_address).collect())
    }

    fn devices(&mut self, logins: &[i64], tokens: &[&str]) -> QueryResult<Vec<DeviceRow>> {
        let (logins, tokens) = (json(logins), json(tokens));
        let statement = Devices {
            logins: &logins,
            tokens: &tokens,
        };
        let rows: Vec<DeviceValues> = statement.load(self)?;
        Ok(rows.into_iter().map(DeviceRow::of_columns).collect())
    }

    fn insert_logins(&mut self, rows: &[(i64, Option<i16>)]) -> QueryResult<usize> {
        InsertLogins { rows: &json(rows) }.execute(self)
    }

    fn write(&mut self, changes: &Changes, now: UnixMs) -> QueryResult<()> {
        if !changes.languages.is_empty() {
            UpdateLanguages {
                rows: &json(&changes.languages),
            }
            .execute(self)?;
        }
        if !changes.deleted.is_empty() {
            DeleteDevices {
                rows: &json(&changes.deleted),
            }
            .execute(self)?;
        }
        if !changes.seen.is_empty() {
            SeeDevices {
                rows: &json(&changes.seen),
            }
            .execute(self)?;
        }
        if !changes.replaced.is_empty() {
            ReplaceTokens {
                rows: &json(&changes.replaced),
            }
            .execute(self)?;
        }
        if !changes.ended.is_empty() {
            let (seconds, milliseconds) = (now.seconds(), now.0.rem_euclid(1000));
            let rows: Vec<_> = changes
                .ended
                .iter()
                .map(|id| (id, seconds, milliseconds))
                .collect();
            EndDevices { rows: &json(&rows) }.execute(self)?;
        }
        if !changes.inserted.is_empty() {
            let rows: Vec<_> = changes
                .inserted
                .iter()
                .map(|row| {
                    (
                        row.login,
                        row.platform,
                        &row.token,
                        row.application_version,
                        row.last_login_us,
                    )
                })
                .collect();
            InsertDevices { rows: &json(&rows) }.execute(self)?;
        }
        if !changes.blacklists.is_empty() {
            WriteBlacklists {
                rows: &json(&changes.blacklists),
            }
            .execute(self)?;
        }
        Ok(())
    }

    fn decide(&mut self, claims: &[Claim], now: UnixMs) -> QueryResult<Vec<(i64, i32, String)>> {
        let rows: Vec<_> = claims
            .iter()
            .map(|claim| (claim.login, claim.message, claim.item.to_string()))
            .collect();
        Decide {
            now: now.0,
            claims: &json(&rows),
        }
        .load(self)
    }

    fn record_last_sent(&mut self, pairs: &[(i64, i32, i64)]) -> QueryResult<usize> {
        RecordLastSent { rows: &json(pairs) }.execute(self)
    }
}

fn json<T: Serialize + ?Sized>(rows: &T) -> String {
    serde_json::to_string(rows).expect("lists of numbers and texts have a JSON form")
}

/// A list may hold nulls, as on PostgreSQL. One that is no JSON array of numbers was written by
/// hand; it counts as empty, since one bad row must not stop its whole batch.
fn login_row((id, language, blacklist): (i64, Option<i16>, Option<String>)) -> LoginRow {
    let list: serde_json::Result<Vec<Option<i32>>> =
        blacklist.map_or(Ok(Vec::new()), |text| serde_json::from_str(&text));
    let list = list.unwrap_or_else(|error| {
        warn!(login.id = id, %error, "a row of message_blacklist is not a JSON array of numbers, ignoring it");
        Vec::new()
    });
    let blacklist = list.into_iter().flatten().collect();
    LoginRow {
        id,
        language,
        blacklist,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_may_hold_nulls_and_what_is_no_list_is_empty() {
        let list = |text: Option<&str>| login_row((1, None, text.map(str::to_owned))).blacklist;
        assert_eq!(list(Some("[2, null, 7]")), [2, 7]);
        for none in [
            None,
            Some("[]"),
            Some("null"),
            Some("{2,7}"),
            Some("[\"2\"]"),
        ] {
            assert_eq!(list(none), [0; 0], "{none:?}");
        }
    }
}
