//! Several daemons on one PostgreSQL: what one is told holds for all, and none needs another.
//!
//! `tests/it/cooldown.rs` has the cooldown that two daemons share.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection,
    sql_query, sql_types::BigInt,
};
use onegin::pipeline::Pipeline;
use serde_json::{Value, json};

use crate::{
    app::{LIMIT, TestApp, event, eventually, login, triggered_by, turn_off},
    commands::{Daemon, onegin},
    http::Client,
    pushkin_http::texts,
};

fn two_daemons() -> Option<(TestApp, Pipeline)> {
    let app = TestApp::start(crate::database::postgres()?);
    let second = app.second_daemon();
    Some((app, second))
}

/// Posts events to a daemon, one request, and waits for its end.
fn post_to(daemon: &Pipeline, events: &[Value]) {
    let before = daemon.finished().count();
    let body = json!({ "events": events }).to_string();
    Client::connect(daemon.address())
        .post("/post_events_json", "", body.as_bytes())
        .accepted();
    assert!(
        daemon
            .finished()
            .wait_for(before + 1, Instant::now() + LIMIT)
    );
}

fn url(app: &TestApp) -> &str {
    app.config.database.db_url.as_deref().unwrap()
}

fn connect(app: &TestApp) -> PgConnection {
    PgConnection::establish(url(app)).unwrap()
}

/// The same daemon as a program of its own: its file, in a folder of its own.
fn write_configuration(app: &TestApp, directory: &Path) -> std::path::PathBuf {
    let messenger = &app.config.messenger;
    let mut text = format!(
        "[ServerSpecific]\nport = 0\nbind_address = 127.0.0.1\n\
         [Database]\ndb_url = {}\ndb_pool_size = 2\n\
         [RequestProcessor]\nrequest_processor_num_threads = 2\n\
         [Messenger]\n",
        url(app)
    );
    for (key, value) in [
        ("apns_key_path", &messenger.apns_key_path),
        ("apns_key_id", &messenger.apns_key_id),
        ("apns_team_id", &messenger.apns_team_id),
        ("apns_topic", &messenger.apns_topic),
        ("apns_endpoint", &messenger.apns_endpoint),
        ("apns_ca_path", &messenger.apns_ca_path),
        (
            "fcm_service_account_path",
            &messenger.fcm_service_account_path,
        ),
        ("fcm_endpoint", &messenger.fcm_endpoint),
        ("fcm_ca_path", &messenger.fcm_ca_path),
    ] {
        text += &format!("{key} = {}\n", value.as_deref().unwrap());
    }
    let path = directory.join("config.ini");
    fs::write(&path, text).unwrap();
    path
}

fn start_process(app: &TestApp, directory: &Path) -> Daemon {
    let configuration = write_configuration(app, directory);
    Daemon::start(directory, &configuration, &[])
}

#[test]
fn a_message_turned_off_at_one_daemon_is_off_at_the_other_at_once() {
    let Some((mut app, second)) = two_daemons() else {
        return;
    };
    let message = app.message(triggered_by("hello", 100), &[(1, "T", "{from}")]);
    second.storage().reload_catalogue().unwrap();
    app.post_events(&[login(1, 1, "tokA", 1)]);
    app.finish();
    let from = |from: &str| event(1, 100, json!({ "from": from }));
    for round in 0..10 {
        app.post_events(&[turn_off(1, &[message.0])]);
        app.finish();
        // Neither waits for anything: the next request knows it.
        post_to(&second, &[from("turned off at the first")]);
        post_to(&second, &[turn_off(1, &[])]);
        app.post_events(&[from(&format!("on again at the second, {round}"))]);
        app.finish();
    }
    let arrived = texts(&app);
    assert_eq!(arrived.len(), 10, "{arrived:?}");
    assert!(
        arrived.iter().all(|text| text.starts_with("on again")),
        "{arrived:?}"
    );
    assert!(second.stop(LIMIT));
}

#[test]
fn a_message_changed_by_api_command_line_or_sql_is_soon_in_force_at_every_daemon() {
    // One interval to be seen and the rest to be read; that is within two seconds.
    assert!(storage::POLL_INTERVAL <= Duration::from_secs(1));
    let Some((mut app, second)) = two_daemons() else {
        return;
    };
    app.post_events(&[login(1, 1, "tokA", 1)]);
    app.finish();
    let text_at = |daemon: &Pipeline| {
        let catalogue = daemon.storage().catalogue();
        let text = catalogue.named("hello")?.localization(1)?.text.clone();
        Some(text)
    };
    let in_force = |app: &TestApp, expected: Option<&str>| {
        for daemon in [&app.pipeline, &second] {
            eventually("the change is in force", || {
                text_at(daemon).as_deref() == expected
            });
            post_to(daemon, &[event(1, 100, json!({}))]);
        }
        let arrived = texts(app);
        let count = arrived
            .iter()
            .filter(|text| Some(text.as_str()) == expected)
            .count();
        assert_eq!(count, 2 * usize::from(expected.is_some()), "{arrived:?}");
    };

    app.message(triggered_by("hello", 100), &[(1, "T", "by the API")]);
    in_force(&app, Some("by the API"));

    let directory = tempfile::tempdir().unwrap();
    let configuration = write_configuration(&app, directory.path());
    let changed = onegin()
        .current_dir(directory.path())
        .args(["message", "add", "hello", "--language", "1", "--title", "T"])
        .args(["--text", "by the command line", "--configuration"])
        .arg(&configuration)
        .output()
        .unwrap();
    assert!(changed.status.success(), "{changed:?}");
    in_force(&app, Some("by the command line"));

    let mut sql = connect(&app);
    sql.batch_execute("UPDATE message_localization SET message_text = 'by SQL'")
        .unwrap();
    in_force(&app, Some("by SQL"));

    // Another event triggers it, then it is gone; here nothing may come of event 100.
    sql.batch_execute("UPDATE message SET trigger_event_id = 101")
        .unwrap();
    for daemon in [&app.pipeline, &second] {
        eventually("the trigger is in force", || {
            daemon.storage().catalogue().triggered_by(100).is_empty()
        });
        post_to(daemon, &[event(1, 100, json!({}))]);
        post_to(daemon, &[event(1, 101, json!({}))]);
    }
    assert_eq!(texts(&app).len(), 8);
    assert!(second.storage().delete_message("hello").unwrap());
    in_force(&app, None);
    assert_eq!(texts(&app).len(), 8);
    assert!(second.stop(LIMIT));
}

#[test]
fn a_daemon_that_is_killed_under_load_leaves_the_other_at_work() {
    let Some(database) = crate::database::postgres() else {
        return;
    };
    let mut app = TestApp::start(database);
    app.message(triggered_by("hello", 100), &[(1, "T", "{name}")]);
    let directory = tempfile::tempdir().unwrap();
    let mut other = start_process(&app, directory.path());
    // The same users on the same devices at both: they wait for each other's rows.
    let logins: Vec<Value> = (0..50)
        .map(|user| login(user, 1, &format!("tok{user}"), 1))
        .collect();
    app.post_events(&logins);
    app.finish();
    let body = json!({ "events": logins }).to_string();
    let address = other.address;
    let load = thread::spawn(move || {
        let mut client = Client::connect(address);
        let mut taken = 0;
        // Until it is killed.
        while let Some(status) = client.try_post("/post_events_json", body.as_bytes()) {
            taken += usize::from(status == 200);
        }
        taken
    });
    for round in 0..20 {
        app.post_events(&logins);
        if round == 5 {
            other.process.kill().unwrap();
            other.process.wait().unwrap();
        }
    }
    assert!(load.join().unwrap() > 0, "there was no load");
    let events: Vec<Value> = (0..50)
        .map(|user| event(user, 100, json!({"name": user})))
        .collect();
    app.post_events(&events);
    app.finish();
    assert_eq!(texts(&app).len(), 50);
    assert_eq!(
        app.metric("onegin_items_ended_total{reason=\"storage_failed\"}"),
        0
    );
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Sessions of this database that wait for a lock.
fn waiting(sql: &mut PgConnection) -> i64 {
    let waiting = "SELECT count(*) AS count FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    sql_query(waiting).get_result::<Count>(sql).unwrap().count
}

#[test]
fn a_daemon_that_is_killed_with_locks_in_its_hands_gives_them_up() {
    let Some(database) = crate::database::postgres() else {
        return;
    };
    let mut app = TestApp::start(database);
    app.message(triggered_by("hello", 100), &[(1, "T", "{name}")]);
    let logins: Vec<Value> = (1..=5)
        .map(|user| login(user, 1, &format!("tok{user}"), 1))
        .collect();
    app.post_events(&logins);
    app.finish();
    let directory = tempfile::tempdir().unwrap();
    let mut other = start_process(&app, directory.path());

    // The test holds the last user; the other daemon gets the first four and waits.
    let (mut holder, mut looker) = (connect(&app), connect(&app));
    holder
        .batch_execute("BEGIN; SELECT id FROM login WHERE id = 5 FOR UPDATE")
        .unwrap();
    let body = json!({ "events": logins }).to_string();
    Client::connect(other.address)
        .post("/post_events_json", "", body.as_bytes())
        .accepted();
    eventually("the other daemon waits with locks", || {
        waiting(&mut looker) == 1
    });
    // Ours now waits behind it.
    app.post_events(&logins[..4]);
    eventually("ours waits for the other", || waiting(&mut looker) == 2);
    other.process.kill().unwrap();
    other.process.wait().unwrap();
    holder.batch_execute("ROLLBACK").unwrap();
    app.finish();
    app.post_events(&[event(1, 100, json!({"name": "went on"}))]);
    app.finish();
    assert_eq!(texts(&app), ["went on"]);
}
