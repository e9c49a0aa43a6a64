//! A fold's statements on PostgreSQL: lists travel as arrays, `unnest` makes rows of them.
//!
//! `timestamp` columns are in the session's zone, which is the server's (`connection.rs`);
//! they become microseconds since 1970 on the way in and out, in SQL.

use diesel::{
    Connection as _,
    pg::{Pg, PgConnection},
    query_dsl::RunQueryDsl as _,
    result::QueryResult,
    sql_types::{Array, BigInt, Integer, Nullable, SmallInt, Text},
};
use model::UnixMs;

use super::{Interrupted, Statements, statement::statement};
use crate::users::{Changes, Claim, DeviceRow, InsertedDevice, LoginRow};

/// A row of `login` and its list; a list may hold NULLs, and be NULL.
type LoginColumns = (
    BigInt,
    Nullable<SmallInt>,
    Nullable<Array<Nullable<Integer>>>,
);
type LoginValues = (i64, Option<i16>, Option<Vec<Option<i32>>>);

/// A row of `device`.
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
    /// The class (first key) is ours alone; the rows come in the array's order.
    LockTokens for Pg, on PgConnection, returns (Text, BigInt):
    "SELECT pg_advisory_xact_lock(1869505895, token_group)::text, \
            (extract(epoch FROM clock_timestamp()) * 1000000)::int8 \
     FROM unnest(", groups: Array<Integer> as &'a [i32], ") AS token_group";
}

statement! {
    Logins for Pg, on PgConnection, returns LoginColumns:
    "SELECT login.id, login.language_id, message_blacklist.blacklist \
     FROM login LEFT JOIN message_blacklist ON message_blacklist.login_id = login.id \
     WHERE login.id = ANY(", logins: Array<BigInt> as &'a [i64], ")";
}

statement! {
    /// NO KEY: other batches may record send times for these logins meanwhile.
    LockLogins for Pg, on PgConnection, returns LoginColumns:
    "SELECT login.id, login.language_id, message_blacklist.blacklist \
     FROM login LEFT JOIN message_blacklist ON message_blacklist.login_id = login.id \
     WHERE login.id = ANY(", logins: Array<BigInt> as &'a [i64], ") \
     ORDER BY login.id FOR NO KEY UPDATE OF login";
}

statement! {
    Addresses for Pg, on PgConnection, returns (BigInt, BigInt, SmallInt, Text):
    "SELECT id::int8, login_id, platform_id, COALESCE(device_token_new, device_token) \
     FROM device WHERE login_id = ANY(", logins: Array<BigInt> as &'a [i64], ") \
     AND unregistered_ts IS NULL AND app IS NULL";
}

statement! {
    /// Two halves, so that each uses its own index.
    Devices for Pg, on PgConnection, returns DeviceColumns:
    "SELECT id::int8, login_id, platform_id, device_token, device_token_new, application_version, \
            CASE WHEN isfinite(unregistered_ts) \
                 THEN (extract(epoch FROM unregistered_ts::timestamptz) * 1000000)::int8 END, \
            CASE WHEN isfinite(last_login_ts) \
                 THEN (extract(epoch FROM last_login_ts::timestamptz) * 1000000)::int8 END \
     FROM (SELECT * FROM device \
           WHERE login_id = ANY(", logins: Array<BigInt> as &'a [i64], ") \
           UNION ALL \
           SELECT * FROM device \
           WHERE COALESCE(device_token_new, device_token) = ANY(", tokens: Array<Text> as &'a [&'a str], ") \
             AND NOT login_id = ANY(", again: Array<BigInt> as &'a [i64], ")) AS wanted \
     WHERE app IS NULL";
}

statement! {
    InsertLogins for Pg, on PgConnection, returns ():
    "INSERT INTO login (id, language_id) SELECT * FROM unnest(",
    logins: Array<BigInt> as Vec<i64>, ", ",
    languages: Array<Nullable<SmallInt>> as &'a [Option<i16>], ") ON CONFLICT (id) DO NOTHING";
}

statement! {
    UpdateLanguages for Pg, on PgConnection, returns ():
    "UPDATE login SET language_id = wanted.language FROM unnest(",
    logins: Array<BigInt> as &'a [i64], ", ",
    languages: Array<SmallInt> as Vec<i16>, ") AS wanted (login, language) WHERE id = wanted.login";
}

statement! {
    DeleteDevices for Pg, on PgConnection, returns ():
    "DELETE FROM device USING unnest(",
    ids: Array<BigInt> as Vec<i64>, ", ",
    tokens: Array<Text> as &'a [&'a str], ") AS gone (device, token) \
     WHERE id = gone.device AND COALESCE(device_token_new, device_token) = gone.token";
}

statement! {
    SeeDevices for Pg, on PgConnection, returns ():
    "UPDATE device SET application_version = seen.version, unregistered_ts = NULL, \
            last_login_ts = to_timestamp(seen.at_us / 1000000.0)::timestamp \
     FROM unnest(", ids: Array<BigInt> as &'a [i64], ", ",
    versions: Array<Nullable<Integer>> as Vec<Option<i32>>, ", ",
    times: Array<BigInt> as Vec<i64>, ") AS seen (device, version, at_us) WHERE id = seen.device";
}

statement! {
    ReplaceTokens for Pg, on PgConnection, returns ():
    "UPDATE device SET device_token_new = wanted.token FROM unnest(",
    ids: Array<BigInt> as Vec<i64>, ", ",
    tokens: Array<Text> as &'a [&'a str], ") AS wanted (device, token) WHERE id = wanted.device";
}

statement! {
    EndDevices for Pg, on PgConnection, returns ():
    "UPDATE device SET unregistered_ts = localtimestamp WHERE id = ANY(",
    ids: Array<BigInt> as &'a [i64], ")";
}

statement! {
    /// In the list's order, so that ids ascend with the logins.
    InsertDevices for Pg, on PgConnection, returns ():
    "INSERT INTO device (login_id, platform_id, device_token, application_version, last_login_ts) \
     SELECT login, platform, token, version, to_timestamp(at_us / 1000000.0)::timestamp FROM unnest(",
    logins: Array<BigInt> as Vec<i64>, ", ",
    platforms: Array<SmallInt> as Vec<i16>, ", ",
    tokens: Array<Text> as &'a [&'a str], ", ",
    versions: Array<Nullable<Integer>> as Vec<Option<i32>>, ", ",
    times: Array<BigInt> as Vec<i64>, ") WITH ORDINALITY \
     AS brought (login, platform, token, version, at_us, place) ORDER BY place";
}

statement! {
    /// Lists of different lengths do not make one array; each is sent as its text.
    WriteBlacklists for Pg, on PgConnection, returns ():
    "INSERT INTO message_blacklist (login_id, blacklist) SELECT login, list::int4[] FROM unnest(",
    logins: Array<BigInt> as &'a [i64], ", ",
    lists: Array<Text> as Vec<String>, ") AS wanted (login, list) \
     ON CONFLICT (login_id) DO UPDATE SET blacklist = excluded.blacklist";
}

statement! {
    /// Of a pair's claims the one that has decided before comes first, else the batch's first.
    /// Rows that are blocked are not updated, and so not returned. `numeric`: no interval in the
    /// table can overflow the sum.
    Decide for Pg, on PgConnection, returns (BigInt, Integer, Text):
    "INSERT INTO user_message_last_time_sent AS sent \
            (login_id, message_id, last_time_sent_ts_bigint, decided_by) \
     SELECT login, message, floor(extract(epoch FROM statement_timestamp()) * 1000)::int8, item \
     FROM (SELECT DISTINCT ON (claim.login, claim.message) claim.login, claim.message, claim.item \
           FROM unnest(", logins: Array<BigInt> as &'a [i64], ", ",
    messages: Array<Integer> as Vec<i32>, ", ",
    items: Array<Text> as Vec<String>, ") WITH ORDINALITY AS claim (login, message, item, place) \
           JOIN login ON login.id = claim.login \
           JOIN message ON message.id = claim.message \
           LEFT JOIN user_message_last_time_sent mine ON mine.login_id = claim.login \
                AND mine.message_id = claim.message AND mine.decided_by = claim.item \
           ORDER BY claim.login, claim.message, mine.decided_by IS NULL, claim.place) AS candidate \
     ON CONFLICT (login_id, message_id) DO UPDATE \
     SET last_time_sent_ts_bigint = CASE WHEN sent.decided_by = excluded.decided_by \
             THEN sent.last_time_sent_ts_bigint ELSE excluded.last_time_sent_ts_bigint END, \
         decided_by = excluded.decided_by \
     WHERE sent.decided_by = excluded.decided_by \
        OR (SELECT COALESCE(sent.last_time_sent_ts_bigint::numeric + message.cooldown_ts \
                            <= excluded.last_time_sent_ts_bigint, true) \
            FROM message WHERE message.id = sent.message_id) \
     RETURNING login_id, message_id, decided_by";
}

statement! {
    RecordLastSent for Pg, on PgConnection, returns ():
    "INSERT INTO user_message_last_time_sent AS sent (login_id, message_id, last_time_sent_ts_bigint) \
     SELECT pair.login, pair.message, max(pair.at_ms) FROM unnest(",
    logins: Array<BigInt> as &'a [i64], ", ",
    messages: Array<Integer> as Vec<i32>, ", ",
    times: Array<BigInt> as Vec<i64>, ") AS pair (login, message, at_ms) \
     JOIN login ON login.id = pair.login JOIN message ON message.id = pair.message \
     GROUP BY pair.login, pair.message ORDER BY pair.login, pair.message \
     ON CONFLICT (login_id, message_id) DO UPDATE \
     SET last_time_sent_ts_bigint = excluded.last_time_sent_ts_bigint, decided_by = NULL \
     WHERE excluded.last_time_sent_ts_bigint > sent.last_time_sent_ts_bigint";
}

impl Statements for PgConnection {
    fn in_transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Interrupted>,
    ) -> Result<T, Interrupted> {
        self.transaction(work)
    }

    fn lock_tokens(&mut self, groups: &[i32]) -> QueryResult<Option<i64>> {
        let rows: Vec<(String, i64)> = LockTokens { groups }.load(self)?;
        Ok(rows.last().map(|(_, time_us)| *time_us))
    }

    fn logins(&mut self, logins: &[i64]) -> QueryResult<Vec<LoginRow>> {
        let rows: Vec<LoginValues> = Logins { logins }.load(self)?;
        Ok(rows.into_iter().map(login_row).collect())
    }

    fn lock_logins(&mut self, logins: &[i64]) -> QueryResult<Vec<LoginRow>> {
        let rows: Vec<LoginValues> = LockLogins { logins }.load(self)?;
        Ok(rows.into_iter().map(login_row).collect())
    }

    fn addresses(&mut self, logins: &[i64]) -> QueryResult<Vec<DeviceRow>> {
        let rows: Vec<(i64, i64, i16, String)> = Addresses { logins }.load(self)?;
        Ok(rows.into_iter().map(DeviceRow::of_address).collect())
    }

    fn devices(&mut self, logins: &[i64], tokens: &[&str]) -> QueryResult<Vec<DeviceRow>> {
        let rows: Vec<DeviceValues> = Devices {
            logins,
            tokens,
            again: logins,
        }
        .load(self)?;
        Ok(rows.into_iter().map(DeviceRow::of_columns).collect())
    }

    fn insert_logins(&mut self, rows: &[(i64, Option<i16>)]) -> QueryResult<usize> {
        let (logins, languages): (Vec<_>, Vec<_>) = rows.iter().copied().unzip();
        InsertLogins {
            logins,
            languages: &languages,
        }
        .execute(self)
    }

    fn write(&mut self, changes: &Changes, _now: UnixMs) -> QueryResult<()> {
        if !changes.languages.is_empty() {
            let (logins, languages): (Vec<_>, Vec<_>) = changes.languages.iter().copied().unzip();
            UpdateLanguages {
                logins: &logins,
                languages,
            }
            .execute(self)?;
        }
        if !changes.deleted.is_empty() {
            let (ids, tokens) = unzip_tokens(&changes.deleted);
            DeleteDevices {
                ids,
                tokens: &tokens,
            }
            .execute(self)?;
        }
        if !changes.seen.is_empty() {
            let ids: Vec<i64> = changes.seen.iter().map(|(id, _, _)| *id).collect();
            let versions = changes
                .seen
                .iter()
                .map(|(_, version, _)| *version)
                .collect();
            let times = changes.seen.iter().map(|(_, _, at_us)| *at_us).collect();
            SeeDevices {
                ids: &ids,
                versions,
                times,
            }
            .execute(self)?;
        }
        if !changes.replaced.is_empty() {
            let (ids, tokens) = unzip_tokens(&changes.replaced);
            ReplaceTokens {
                ids,
                tokens: &tokens,
            }
            .execute(self)?;
        }
        if !changes.ended.is_empty() {
            EndDevices {
                ids: &changes.ended,
            }
            .execute(self)?;
        }
        if !changes.inserted.is_empty() {
            insert_devices(self, &changes.inserted)?;
        }
        if !changes.blacklists.is_empty() {
            let logins: Vec<i64> = changes.blacklists.iter().map(|(login, _)| *login).collect();
            let lists = changes
                .blacklists
                .iter()
                .map(|(_, list)| array_text(list))
                .collect();
            WriteBlacklists {
                logins: &logins,
                lists,
            }
            .execute(self)?;
        }
        Ok(())
    }

    fn decide(&mut self, claims: &[Claim], _now: UnixMs) -> QueryResult<Vec<(i64, i32, String)>> {
        let logins: Vec<i64> = claims.iter().map(|claim| claim.login.0).collect();
        let messages = claims.iter().map(|claim| claim.message.0).collect();
        let items = claims.iter().map(|claim| claim.item.to_string()).collect();
        Decide {
            logins: &logins,
            messages,
            items,
        }
        .load(self)
    }

    fn record_last_sent(&mut self, pairs: &[(i64, i32, i64)]) -> QueryResult<usize> {
        let logins: Vec<i64> = pairs.iter().map(|(login, _, _)| *login).collect();
        let messages = pairs.iter().map(|(_, message, _)| *message).collect();
        let times = pairs.iter().map(|(_, _, at_ms)| *at_ms).collect();
        RecordLastSent {
            logins: &logins,
            messages,
            times,
        }
        .execute(self)
    }
}

fn insert_devices(connection: &mut PgConnection, devices: &[InsertedDevice]) -> QueryResult<usize> {
    let tokens: Vec<&str> = devices.iter().map(|device| device.token.as_str()).collect();
    InsertDevices {
        logins: devices.iter().map(|device| device.login).collect(),
        platforms: devices.iter().map(|device| device.platform).collect(),
        tokens: &tokens,
        versions: devices
            .iter()
            .map(|device| device.application_version)
            .collect(),
        times: devices.iter().map(|device| device.last_login_us).collect(),
    }
    .execute(connection)
}

fn login_row((id, language, blacklist): LoginValues) -> LoginRow {
    let blacklist = blacklist
        .unwrap_or_default()
        .into_iter()
        .flatten()
        .collect();
    LoginRow {
        id,
        language,
        blacklist,
    }
}

fn unzip_tokens(rows: &[(i64, String)]) -> (Vec<i64>, Vec<&str>) {
    rows.iter().map(|(id, token)| (*id, token.as_str())).unzip()
}

/// PostgreSQL's text form of an array (its manual, 8.15.6).
fn array_text(list: &[i32]) -> String {
    let numbers: Vec<String> = list.iter().map(i32::to_string).collect();
    format!("{{{}}}", numbers.join(","))
}
