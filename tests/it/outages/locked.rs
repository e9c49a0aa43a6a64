//! A SQLite file that another program locks for longer than anybody waits for it.

use diesel::{Connection, SqliteConnection, connection::SimpleConnection};
use serde_json::json;

use super::{
    assert_unharmed, delivered_once, direct, disk::wait_for_the_word_about_dead_tokens, impatient,
    log_phones_in, readiness,
};
use crate::{
    answer_case::feedback_entered,
    app::{TestApp, event, login, triggered_by},
    database::Database,
};

fn lock(app: &TestApp) -> SqliteConnection {
    let url = app.config.database.db_url.as_deref().unwrap();
    let path = url.strip_prefix("sqlite:").unwrap();
    let mut other = SqliteConnection::establish(path).unwrap();
    other.batch_execute("BEGIN EXCLUSIVE").unwrap();
    other
}

/// A writer waits for 10 s, then it is told that the file is locked; then it counts as an outage.
#[test]
fn a_sqlite_file_that_stays_locked_costs_nothing() {
    let mut app = TestApp::start(Database::Sqlite);
    app.message(triggered_by("hello", 100), &[(1, "T", "{name}")]);
    log_phones_in(&mut app, 0..1);
    let mut other = lock(&app);
    for user in 1..=20 {
        app.post_events(&[
            login(user, 1, &format!("tok{user}"), 1),
            event(user, 100, json!({"name": format!("to {user}")})),
        ]);
    }
    app.eventually("a batch waits for the database", || {
        app.metric("onegin_batches_held_up") > 0
    });
    let (status, text) = readiness(&app);
    assert_eq!((status, &*text), (503, "the database cannot be written"));
    other.batch_execute("ROLLBACK").unwrap();
    app.finish();
    assert_eq!(readiness(&app).0, 200);
    app.post_notifications(&[direct(0, "to 0")]);
    app.finish();
    let expected = (0..=20).map(|user| format!("to {user}")).collect();
    assert_eq!(delivered_once(&app), expected);
    assert_unharmed(&app);
}

#[test]
fn feedback_beyond_the_queues_limit_is_dropped_and_counted_and_the_next_push_repairs_it() {
    let mut app = TestApp::start_with(Database::Sqlite, |setting| {
        impatient(setting);
        setting.hooks.feedback_limit = Some(10);
    });
    wait_for_the_word_about_dead_tokens(&mut app);
    let mut other = lock(&app);
    app.simulator.fcm().set_online(true);
    let dropped = |app: &TestApp| app.metric("onegin_feedback_dropped_total");
    app.eventually("all has been told", || {
        feedback_entered(&app) + dropped(&app) == 60
    });
    other.batch_execute("ROLLBACK").unwrap();
    app.eventually("what was kept is written", || {
        app.client()
            .get("/get_notification_post_processor_queue")
            .body
            == "0"
    });
    // A place is a device, at most.
    let gone = |app: &TestApp| (1..21).filter(|user| app.is_unregistered(*user)).count();
    let kept = gone(&app);
    assert!((1..=10).contains(&kept), "{kept} devices");
    assert!(dropped(&app) > 0);
    app.finish();
    // In three parts: they fit.
    for some in [1..8, 8..15, 15..21] {
        let again: Vec<_> = some.clone().map(|user| direct(user, "again")).collect();
        app.post_notifications(&again);
        app.eventually("they are unregistered", || {
            some.clone().all(|user| app.is_unregistered(user))
        });
    }
    app.finish();
    assert_eq!(gone(&app), 20);
}
