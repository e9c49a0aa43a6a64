//! What a test sees of a daemon from outside: its database by plain SQL, its log, its counters,
//! what arrived at the phones.

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection, sql_query, sql_types::BigInt,
};
use notification_log::{Row, parse_line};
use processor::EndReason;
use prost::Message;
use proto::pushkin::{BatchEventRequest, Event, event::Pair};
use serde_json::{Value, json};

use crate::{app::TestApp, database::Database};

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    cell: i64,
}

/// A connection of the test's own, beside the daemon's.
enum Beside {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

fn beside(app: &TestApp) -> Beside {
    let url = app.config.database.db_url.as_deref().unwrap();
    if let Some(path) = url.strip_prefix("sqlite:") {
        let mut connection = SqliteConnection::establish(path).unwrap();
        let settings = "PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = ON";
        connection.batch_execute(settings).unwrap();
        Beside::Sqlite(connection)
    } else {
        Beside::Postgres(PgConnection::establish(url).unwrap())
    }
}

/// Executes statements as an operator would, with the database's own client.
#[track_caller]
pub(crate) fn execute(app: &TestApp, sql: &str) {
    match beside(app) {
        Beside::Sqlite(mut connection) => connection.batch_execute(sql),
        Beside::Postgres(mut connection) => connection.batch_execute(sql),
    }
    .unwrap();
}

/// The one number that `sql` selects as `cell`.
#[track_caller]
pub(crate) fn number(app: &TestApp, sql: &str) -> i64 {
    let number: Number = match beside(app) {
        Beside::Sqlite(mut connection) => sql_query(sql).get_result(&mut connection),
        Beside::Postgres(mut connection) => sql_query(sql).get_result(&mut connection),
    }
    .unwrap();
    number.cell
}

/// A list of message ids as SQL for `message_blacklist.blacklist`.
pub(crate) fn blacklist_literal(database: Database, ids: &[&str]) -> String {
    let ids = ids.join(",");
    match database {
        Database::Sqlite => format!("'[{ids}]'"),
        Database::Postgres => format!("'{{{ids}}}'"),
    }
}

/// The notification log's rows, in its order.
#[track_caller]
pub(crate) fn rows(app: &TestApp) -> Vec<Row<'static>> {
    let lines = app.csv();
    lines.iter().map(|line| parse_line(line).unwrap()).collect()
}

/// How many items or messages have ended without a notification for this reason.
pub(crate) fn ended(app: &TestApp, reason: EndReason) -> u64 {
    let reason = reason.as_str();
    app.metric(&format!("onegin_items_ended_total{{reason=\"{reason}\"}}"))
}

/// Posts events together and waits; what Android devices then have: "token: title|text", sorted.
#[track_caller]
pub(crate) fn sent(app: &mut TestApp, events: &[Value]) -> Vec<String> {
    app.simulator.fcm().forget();
    app.post_events(events);
    app.finish();
    delivered(app)
}

/// What Android devices have since the simulator last forgot: "token: title|text", sorted.
pub(crate) fn delivered(app: &TestApp) -> Vec<String> {
    let deliveries = app.simulator.fcm().delivered();
    let mut deliveries: Vec<String> = deliveries
        .iter()
        .map(|received| {
            let data = &received.json()["message"]["data"];
            let text = |key: &str| data[key].as_str().unwrap().to_owned();
            format!("{}: {}|{}", received.token, text("title"), text("message"))
        })
        .collect();
    deliveries.sort();
    deliveries
}

/// Posts items as JSON and asks what became of them: how many were taken, and why others were not.
#[track_caller]
pub(crate) fn post_and_ask(app: &mut TestApp, key: &str, items: &[Value]) -> (u64, Vec<String>) {
    let path = match key {
        "events" => "/post_events_json",
        _ => "/post_notification_json",
    };
    let body = json!({ key: items }).to_string();
    let mut client = app.client();
    let answer = client.post(path, "Accept: application/json\r\n", body.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer: Value = serde_json::from_str(&answer.body).unwrap();
    let accepted = answer["accepted"].as_u64().unwrap();
    // Of nothing no request is made.
    app.expect_requests(accepted.min(1));
    let rejected = answer["rejected"].as_array().unwrap().iter();
    let reasons = rejected
        .map(|rejected| {
            let reason = rejected["reason"].as_str().unwrap();
            format!("{}: {reason}", rejected["index"])
        })
        .collect();
    (accepted, reasons)
}

/// Posts one event as protobuf, in which all values are texts.
#[track_caller]
pub(crate) fn post_protobuf_event(
    app: &mut TestApp,
    user: i64,
    event_id: i32,
    pairs: &[(&str, &str)],
) {
    let pairs = pairs
        .iter()
        .map(|(key, value)| Pair {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        })
        .collect();
    let event = Event {
        user_id: Some(user),
        event_id: Some(event_id),
        event_type: None,
        timestamp: Some(1),
        pairs,
    };
    let body = BatchEventRequest {
        events: vec![event],
    }
    .encode_to_vec();
    app.post("/post_events_proto", &body).accepted();
}
