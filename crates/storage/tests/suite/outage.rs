//! What happens when the database goes away, and what can be seen from outside.

use prometheus_client::{encoding::text::encode, registry::Registry};

use crate::database::{ANDROID, Database, eventually, log_in, message, tokens};

pub(crate) fn the_database_answers_a_ping(database: &Database) {
    let storage = database.open();
    storage.clone().ping().unwrap();
    storage.reload_catalogue().unwrap();
}

pub(crate) fn metrics_count_statements(database: &Database) {
    let storage = database.open();
    let mut registry = Registry::default();
    storage.register_metrics(&mut registry);
    storage.ping().unwrap();
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    assert!(text.contains("sql_statements_total 1"), "{text}");
    assert!(text.contains("sql_retries_total 0"), "{text}");
}

/// A restart seen from here: every connection is gone at once.
#[test]
fn broken_connections_are_replaced_and_changes_followed_again() {
    let Some(database) = Database::postgres() else {
        return;
    };
    let storage = database.open();
    log_in(&storage, 1, ANDROID, "a");
    database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    log_in(&storage, 1, ANDROID, "b");
    assert_eq!(tokens(&storage, 1), ["a", "b"]);
    message(&storage, "m", None);
    database.execute("UPDATE message SET screen = 'sql'");
    eventually("the change", || {
        storage
            .catalogue()
            .named("m")
            .is_some_and(|message| message.screen == "sql")
    });
}

/// Diesel sets UTC on every connection; Pushkin's columns are in the server's zone.
#[test]
fn times_of_login_are_in_the_servers_zone() {
    let Some(database) = Database::postgres() else {
        return;
    };
    let name = database.cells("SELECT current_database()::text AS cell")[0]
        .clone()
        .unwrap();
    database.execute(&format!(
        "ALTER DATABASE {name} SET timezone = 'Asia/Tokyo'"
    ));
    let storage = database.open();
    log_in(&storage, 1, ANDROID, "a");
    let age = "SELECT abs(extract(epoch FROM (now() AT TIME ZONE 'Asia/Tokyo') - last_login_ts))::int8 AS cell FROM device";
    assert!(database.number(age) < 600);
    log_in(&storage, 1, ANDROID, "a");
    assert!(database.number(age) < 600);
}
