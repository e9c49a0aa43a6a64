//! The statements of administration that diesel's own language has not, on either database.
//!
//! Lists travel as one JSON text, which both databases make rows of. None of these is hot, so
//! they are plain queries and not prepared ones.

mod postgres;
mod sqlite;

use diesel::{Connection as _, QueryResult, prelude::*, sql_query, sql_types};
use diesel::{pg::PgConnection, sqlite::SqliteConnection};
use serde::Serialize;

use super::store_messages::Stop;
use crate::schema::{message, message_localization};

/// A row of `message`, as diesel reads it.
pub(super) type MessageValues = (
    i32,
    String,
    Option<i64>,
    Option<i32>,
    String,
    Option<i64>,
    String,
);

/// A row of `message`; without an id it is to be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct MessageRow {
    pub(super) id: Option<i32>,
    pub(super) name: String,
    pub(super) trigger_event_id: Option<i32>,
    pub(super) cooldown_ts: Option<i64>,
    pub(super) screen: String,
    pub(super) expiry_millis: Option<i64>,
    pub(super) priority: String,
}

impl MessageRow {
    pub(super) fn of_columns(
        (id, name, cooldown_ts, trigger_event_id, screen, expiry_millis, priority): MessageValues,
    ) -> Self {
        Self {
            id: Some(id),
            name,
            trigger_event_id,
            cooldown_ts,
            screen,
            expiry_millis,
            priority,
        }
    }
}

/// A row of `message_localization`.
#[derive(Debug, Serialize)]
pub(super) struct TextRow<'a> {
    pub(super) message_id: i32,
    pub(super) language_id: i16,
    pub(super) title: &'a str,
    pub(super) text: &'a str,
}

/// What an added message got.
#[derive(Debug, QueryableByName)]
pub(super) struct Inserted {
    #[diesel(sql_type = sql_types::Integer)]
    pub(super) id: i32,
    #[diesel(sql_type = sql_types::Text)]
    pub(super) name: String,
}

/// A row of `device`; without an id it is to be added.
#[derive(Debug, Serialize)]
pub(super) struct DeviceValues<'a> {
    pub(super) id: Option<i64>,
    pub(super) login_id: i64,
    pub(super) platform_id: i16,
    pub(super) device_token: &'a str,
    pub(super) application_version: Option<i32>,
    pub(super) unregistered_ms: Option<i64>,
    /// The time of a new device's login, where it is not the database's.
    pub(super) now_ms: i64,
}

/// A connection as administration uses it, to either database.
pub(super) trait AdministrationRows: Sized {
    /// Runs `work` in a transaction in which nobody else writes messages.
    fn exclusively<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Stop>,
    ) -> Result<T, Stop>;
    fn messages_named(&mut self, names: &[&str]) -> QueryResult<Vec<MessageValues>>;
    fn insert_messages(&mut self, rows: &[MessageRow]) -> QueryResult<Vec<Inserted>>;
    fn update_messages(&mut self, rows: &[MessageRow]) -> QueryResult<usize>;
    fn texts_of(&mut self, messages: &[i32]) -> QueryResult<Vec<(i32, i16, String, String)>>;
    fn insert_texts(&mut self, rows: &[TextRow<'_>]) -> QueryResult<usize>;
    fn update_texts(&mut self, rows: &[TextRow<'_>]) -> QueryResult<usize>;
    fn count_texts(&mut self) -> QueryResult<i64>;
    fn insert_device(&mut self, row: &DeviceValues<'_>) -> QueryResult<usize>;
    fn update_device(&mut self, row: &DeviceValues<'_>) -> QueryResult<usize>;
}

macro_rules! administration_rows {
    ($connection:ty, $sql:ident, $exclusively:item) => {
        impl AdministrationRows for $connection {
            $exclusively

            fn messages_named(&mut self, names: &[&str]) -> QueryResult<Vec<MessageValues>> {
                message::table.filter(message::name.eq_any(names)).load(self)
            }

            fn insert_messages(&mut self, rows: &[MessageRow]) -> QueryResult<Vec<Inserted>> {
                sql_query($sql::INSERT_MESSAGES)
                    .bind::<sql_types::Text, _>(json(rows))
                    .load(self)
            }

            fn update_messages(&mut self, rows: &[MessageRow]) -> QueryResult<usize> {
                sql_query($sql::UPDATE_MESSAGES)
                    .bind::<sql_types::Text, _>(json(rows))
                    .execute(self)
            }

            fn texts_of(
                &mut self,
                messages: &[i32],
            ) -> QueryResult<Vec<(i32, i16, String, String)>> {
                message_localization::table
                    .filter(message_localization::message_id.eq_any(messages))
                    .load(self)
            }

            fn insert_texts(&mut self, rows: &[TextRow<'_>]) -> QueryResult<usize> {
                sql_query($sql::INSERT_TEXTS)
                    .bind::<sql_types::Text, _>(json(rows))
                    .execute(self)
            }

            fn update_texts(&mut self, rows: &[TextRow<'_>]) -> QueryResult<usize> {
                sql_query($sql::UPDATE_TEXTS)
                    .bind::<sql_types::Text, _>(json(rows))
                    .execute(self)
            }

            fn count_texts(&mut self) -> QueryResult<i64> {
                message_localization::table.count().get_result(self)
            }

            fn insert_device(&mut self, row: &DeviceValues<'_>) -> QueryResult<usize> {
                sql_query($sql::INSERT_DEVICE)
                    .bind::<sql_types::Text, _>(json(&[row]))
                    .execute(self)
            }

            fn update_device(&mut self, row: &DeviceValues<'_>) -> QueryResult<usize> {
                sql_query($sql::UPDATE_DEVICE)
                    .bind::<sql_types::Text, _>(json(&[row]))
                    .execute(self)
            }
        }
    };
}

administration_rows!(
    SqliteConnection,
    sqlite,
    fn exclusively<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        self.immediate_transaction(work)
    }
);

administration_rows!(
    PgConnection,
    postgres,
    fn exclusively<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        self.transaction(|connection| {
            // Rows could not be locked in one order: those to come have none. Readers, and sends
            // that refer to a message, go on.
            sql_query("LOCK TABLE message, message_localization IN SHARE ROW EXCLUSIVE MODE")
                .execute(connection)?;
            work(connection)
        })
    }
);

fn json<T: Serialize + ?Sized>(rows: &T) -> String {
    serde_json::to_string(rows).expect("lists of numbers and texts have a JSON form")
}
