//! What breaks in the middle, and what is lost by it: nothing that was accepted.
//!
//! Pushkin lost the login, the message or the batch, and had answered 200. Full queues are in
//! `tests/it/back_pressure.rs`, push services in trouble in `tests/it/delivery.rs`.

pub(crate) mod cable;

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use diesel::{Connection, SqliteConnection, connection::SimpleConnection};
use model::LoginId;
use onegin::pipeline::{Hooks, Pipeline};
use serde_json::{Value, json};
use storage::MessageAttributes;

use self::cable::Cable;
use crate::{
    app::{LIMIT, TestApp, event, login, triggered_by},
    database::Database,
    pushkin_http::texts,
};

fn direct(user: i64, content: &str) -> Value {
    json!({"login_id": user, "title": "T", "content": content})
}

/// User 1 on an Android phone, a message for event 100 and one with a cooldown for 101.
fn prepare(app: &mut TestApp) {
    app.message(triggered_by("hello", 100), &[(1, "T", "{name}")]);
    let cooled_down = MessageAttributes {
        cooldown_ms: Some(60 * 60 * 1000),
        ..triggered_by("cooled_down", 101)
    };
    app.message(cooled_down, &[(1, "T", "cooled down")]);
    app.post_events(&[login(1, 1, "tokA", 1)]);
    app.finish();
}

/// A daemon whose PostgreSQL is at the other end of a cable.
fn app_on_a_cable() -> Option<(TestApp, Cable)> {
    let database = crate::database::postgres()?;
    let mut cable = None;
    let mut app = TestApp::start_with(database, |setting| {
        let url = setting.config.database.db_url.as_deref().unwrap();
        let (made, url) = Cable::url(url);
        setting.config.database.db_url = Some(url);
        cable = Some(made);
    });
    prepare(&mut app);
    Some((app, cable.unwrap()))
}

#[test]
fn while_postgres_is_away_posts_are_taken_and_afterwards_all_of_it_happens() {
    let Some((mut app, cable)) = app_on_a_cable() else {
        return;
    };
    cable.pull_out();
    app.eventually("readiness says so", || {
        let answer = app.client().get("/readyz");
        (answer.status, &*answer.body) == (503, "the database does not answer")
    });
    assert_eq!(app.client().get("/healthz").status, 200);
    let finished = app.pipeline.finished().count();
    app.post_events(&[login(2, 1, "tokB", 1)]);
    app.post_events(&[event(1, 100, json!({"name": "an event"}))]);
    app.post_events(&[event(1, 101, json!({}))]);
    app.post_events(&[event(1, 101, json!({}))]);
    app.post_notifications(&[direct(1, "a direct notification")]);
    // Four threads wait for the database, each with a request at least.
    app.eventually("the processor has taken them", || {
        ["0", "1"].contains(&&*app.client().get("/get_request_queue").body)
    });
    assert_eq!(
        app.pipeline.finished().count(),
        finished,
        "nothing has been given up"
    );
    assert_eq!(texts(&app), [""; 0]);

    cable.put_back();
    app.finish();
    assert_eq!(
        texts(&app),
        ["a direct notification", "an event", "cooled down"]
    );
    app.post_notifications(&[direct(2, "the login was kept")]);
    app.finish();
    assert_eq!(texts(&app).last().unwrap(), "the login was kept");
    app.eventually("it is ready again", || {
        app.client().get("/readyz").status == 200
    });
    assert_eq!(
        app.metric("onegin_items_ended_total{reason=\"storage_failed\"}"),
        0
    );
}

#[test]
fn connections_that_break_under_load_lose_nothing_and_double_nothing() {
    let Some((mut app, cable)) = app_on_a_cable() else {
        return;
    };
    let mut expected = Vec::new();
    for round in 0..5 {
        for number in 0..20 {
            let name = format!("{round}-{number:02}");
            // Reading batches and writing ones.
            app.post_events(&[login(1, 1, "tokA", 1), event(1, 100, json!({"name": name}))]);
            app.post_events(&[event(1, 100, json!({"name": format!("{name}r")}))]);
            expected.extend([name.clone(), format!("{name}r")]);
        }
        cable.cut();
    }
    app.finish();
    assert_eq!(texts(&app), expected);
    assert_eq!(
        app.metric("onegin_items_ended_total{reason=\"storage_failed\"}"),
        0
    );
}

#[test]
fn a_connection_that_breaks_again_and_again_is_no_reason_to_give_a_request_up() {
    let Some((mut app, cable)) = app_on_a_cable() else {
        return;
    };
    let (steady, until) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(|| {
            let until = until;
            // Often enough that a batch meets it several times, between two signs of life.
            while until.recv_timeout(Duration::from_millis(30)) == Err(RecvTimeoutError::Timeout) {
                cable.cut();
            }
        });
        for number in 0..100 {
            app.post_events(&[login(1, 1, "tokA", 1)]);
            app.post_events(&[event(1, 100, json!({"name": format!("{number:03}")}))]);
        }
        app.eventually("a batch was tried again many times", || {
            app.pipeline.finished().count() > 101
        });
        drop(steady);
    });
    app.finish();
    assert_eq!(
        app.metric("onegin_items_ended_total{reason=\"storage_failed\"}"),
        0
    );
    assert_eq!(texts(&app).len(), 100);
}

#[test]
fn a_sqlite_file_that_somebody_else_locks_delays_writes_and_not_the_rest() {
    let mut app = TestApp::start(Database::Sqlite);
    prepare(&mut app);
    let url = app.config.database.db_url.clone().unwrap();
    let path = url.strip_prefix("sqlite:").unwrap();
    let mut other = SqliteConnection::establish(path).unwrap();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let finished = app.pipeline.finished().count();
    app.post_events(&[login(2, 1, "tokB", 1)]);
    app.eventually("a thread waits with the login", || {
        app.client().get("/get_request_queue").body == "0"
    });
    app.post_notifications(&[direct(1, "nobody waits for the login")]);
    app.eventually("the notification arrives", || !texts(&app).is_empty());
    assert!(app.pipeline.finished().count() <= finished + 1);
    assert_eq!(app.pipeline.storage().login(LoginId(2)).unwrap(), None);
    other.batch_execute("ROLLBACK").unwrap();
    app.finish();
    app.post_notifications(&[direct(2, "the login was kept")]);
    app.finish();
    assert_eq!(
        texts(&app),
        ["nobody waits for the login", "the login was kept"]
    );
}

on_each_database! {
    fn a_worker_that_panics_is_counted_and_goes_on_with_the_next_batch(database) {
        let mut app = TestApp::start_with(database, |setting| {
            setting.config.request_processor.request_processor_num_threads = NonZeroU32::MIN;
        });
        prepare(&mut app);
        // The daemon again, this time with an observer that cannot bear user 13.
        assert!(app.pipeline.stop(LIMIT));
        let (credentials, _) = onegin::read_credentials(&app.config.messenger).unwrap();
        let hooks = Hooks {
            ended: Some(Arc::new(|ended| assert_ne!(ended.login, LoginId(13)))),
            ..Hooks::default()
        };
        app.pipeline = Pipeline::start(&app.config, credentials, hooks).unwrap();
        for count in 1..=3 {
            let body = json!({"notifications": [direct(13, "nobody's")]}).to_string();
            app.client().post("/post_notification_json", "", body.as_bytes()).accepted();
            app.eventually("the panic is counted", || app.metric("onegin_worker_panics_total") == count);
        }
        let body = json!({"notifications": [direct(1, "still at work")]}).to_string();
        app.client().post("/post_notification_json", "", body.as_bytes()).accepted();
        app.eventually("the only thread is still there", || texts(&app) == ["still at work"]);
        assert_eq!(app.client().get("/healthz").status, 200);
    }

    fn a_panic_at_parked_items_is_counted_and_later_ones_are_still_sent(database) {
        let bears_nobody = Arc::new(AtomicBool::new(false));
        let unbearable = Arc::clone(&bears_nobody);
        let mut app = TestApp::start_with(database, |setting| {
            // Half of it for one app.
            setting.config.sender.sender_queue_limit = 10.try_into().unwrap();
            setting.hooks.ended = Some(Arc::new(move |ended| {
                assert!(!unbearable.load(Ordering::SeqCst), "{ended:?}");
            }));
        });
        prepare(&mut app);
        app.post_events(&[login(13, 1, "tokM", 1)]);
        app.finish();
        // Fills the queue of a push service that is away; the last one is parked.
        let park = |app: &TestApp, user: i64, content: &str| {
            app.simulator.fcm().set_online(false);
            let fill: Vec<Value> = (0..5).map(|_| direct(1, "fills the queue")).collect();
            for notifications in [fill, vec![direct(user, content)]] {
                let body = json!({ "notifications": notifications }).to_string();
                app.client().post("/post_notification_json", "", body.as_bytes()).accepted();
                app.eventually("the queue is full", || {
                    app.client().get("/get_gcm_sender_queue").body == "5"
                });
            }
            app.eventually("it is parked", || app.metric("onegin_parked_items") == 1);
        };
        park(&app, 13, "nobody's");
        // When its turn comes, it has no device any more, which nobody bears.
        let devices = app.pipeline.storage().devices(LoginId(13)).unwrap();
        assert!(app.pipeline.storage().delete_device(devices[0].id).unwrap());
        bears_nobody.store(true, Ordering::SeqCst);
        app.simulator.fcm().set_online(true);
        app.eventually("the panic is counted", || app.metric("onegin_worker_panics_total") == 1);
        bears_nobody.store(false, Ordering::SeqCst);
        app.eventually("the queue is empty", || {
            app.client().get("/get_gcm_sender_queue").body == "0"
        });
        park(&app, 1, "still at work");
        assert_eq!(app.pipeline.vital_signs().dead_stage(), None);
        app.simulator.fcm().set_online(true);
        app.eventually("the parked one arrives", || texts(&app).contains(&"still at work".to_owned()));
        assert_eq!(app.metric("onegin_worker_panics_total"), 1);
        app.eventually("only what panicked is left to the next start", || {
            app.metric("onegin_journal_requests") == 1
        });
    }

    fn who_has_no_device_or_is_unknown_gets_nothing_and_no_row(database) {
        let mut app = TestApp::start(database);
        prepare(&mut app);
        let mut without_token = login(2, 1, "", 1);
        without_token["pairs"].as_object_mut().unwrap().remove("deviceToken");
        app.post_events(&[without_token]);
        app.finish();
        app.post_events(&[event(2, 100, json!({"name": "n"})), event(3, 100, json!({"name": "n"}))]);
        app.post_notifications(&[direct(2, "C"), direct(3, "C")]);
        app.finish();
        assert_eq!(texts(&app), [""; 0]);
        assert_eq!(app.csv(), [""; 0]);
        let ended = |reason: &str| app.metric(&format!("onegin_items_ended_total{{reason=\"{reason}\"}}"));
        assert_eq!((ended("no_device"), ended("unknown_user")), (3, 1));
    }

    fn a_platform_without_a_push_service_ends_with_status_4_and_the_others_get_theirs(database) {
        let mut app = TestApp::start(database);
        prepare(&mut app);
        app.post_events(&[login(1, 99, "fridge", 1)]);
        app.finish();
        app.post_notifications(&[direct(1, "C")]);
        app.finish();
        assert_eq!(texts(&app), ["C"]);
        let mut rows = app.csv();
        rows.sort();
        assert!(rows[0].starts_with("0,1,C,") && rows[0].ends_with(",1,tokA"), "{rows:?}");
        assert!(rows[1].starts_with("4,1,C,") && rows[1].ends_with(",99,fridge"), "{rows:?}");
    }
}
