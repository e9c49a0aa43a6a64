//! Full disks, one at a time: the journal's, the notification log's, SQLite's.

use std::{collections::BTreeSet, process::Command};

use serde_json::json;
use simulator::{Action, Refusal, Rule, Service};

use super::{
    Disk, assert_unharmed, body_of, delivered_once, direct, impatient, log_phones_in, readiness,
};
use crate::{
    answer_case::feedback_entered,
    app::{TestApp, event, eventually, login, triggered_by},
    database::{Database, TestDatabase},
    observed::{number, rows},
    pushkin_http::texts,
};

#[test]
fn a_full_journal_disk_is_told_and_what_was_accepted_is_delivered() {
    let Some(disk) = Disk::new(8) else {
        return;
    };
    let mut app = TestApp::start_with(Database::Sqlite, |setting| {
        setting.config.request_processor.journal.journal_path = disk.path().join("journal");
        impatient(setting);
    });
    log_phones_in(&mut app, 0..1);
    app.simulator.fcm().set_online(false);
    let text = |number: usize| format!("{number:06}{}", "x".repeat(2_000));
    let mut accepted = BTreeSet::new();
    let mut next = 0;
    let mut post = |app: &mut TestApp, accepted: &mut BTreeSet<String>| {
        let texts: Vec<String> = (next..next + 10).map(text).collect();
        next += 10;
        let notifications: Vec<_> = texts.iter().map(|text| direct(0, text)).collect();
        let answer = app.post("/post_notification_json", &body_of(&notifications));
        if answer.status == 200 {
            accepted.extend(texts);
        }
        answer
    };
    let refused = loop {
        let answer = post(&mut app, &mut accepted);
        if answer.status != 200 {
            break answer;
        }
        assert!(accepted.len() < 10_000, "the disk does not get full");
    };
    assert_eq!((refused.status, &*refused.body), (503, ""));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(accepted.len() >= 100, "{} were taken", accepted.len());
    assert_eq!(
        readiness(&app),
        (503, "the journal cannot be written".to_owned())
    );
    assert!(app.metric("onegin_journal_errors_total") > 0);
    assert_eq!(texts(&app), [""; 0]);

    let larger = ["-o", "remount,size=256m"];
    let mut mount = Command::new("mount");
    assert!(
        mount
            .args(larger)
            .arg(disk.path())
            .status()
            .unwrap()
            .success()
    );
    let before = accepted.len();
    app.eventually("posts are taken again", || {
        let mut some = BTreeSet::new();
        post_one(&app, &mut some);
        !some.is_empty()
    });
    app.expect_requests(1);
    accepted.insert("again".to_owned());
    assert_eq!(accepted.len(), before + 1);
    assert_eq!(readiness(&app).0, 200);
    app.simulator.fcm().set_online(true);
    app.finish();
    assert_eq!(delivered_once(&app), accepted);
    assert_unharmed(&app);
}

fn post_one(app: &TestApp, accepted: &mut BTreeSet<String>) {
    let body = body_of(&[direct(0, "again")]);
    let answer = app.client().post("/post_notification_json", "", &body);
    if answer.status == 200 {
        accepted.insert("again".to_owned());
    }
}

#[test]
fn a_full_notification_log_disk_keeps_every_row_and_holds_nobody_up() {
    const COUNT: usize = 1_000;
    let Some(disk) = Disk::new(1) else {
        return;
    };
    let mut app = TestApp::start_with(Database::Sqlite, |setting| {
        setting.config.log.notification_log_path = disk.path();
    });
    log_phones_in(&mut app, 0..1);
    app.post_notifications(&[direct(0, "before")]);
    app.finish();
    disk.fill();
    let finished = app.pipeline.finished().count();
    let texts: Vec<String> = (0..COUNT).map(|number| format!("text {number}")).collect();
    for some in texts.chunks(100) {
        let notifications: Vec<_> = some.iter().map(|text| direct(0, text)).collect();
        app.post_notifications(&notifications);
    }
    app.eventually("the log cannot be written", || {
        app.metric("onegin_notification_log_errors_total") > 0
    });
    let all = COUNT as u64 + 1;
    app.simulator
        .fcm()
        .wait_for_delivered(all, crate::app::LIMIT)
        .unwrap();
    assert!(
        app.pipeline.finished().count() < finished + 10,
        "a request is finished before its rows are written"
    );
    disk.free();
    app.finish();
    let mut expected: BTreeSet<String> = texts.into_iter().collect();
    expected.insert("before".to_owned());
    let rows = rows(&app);
    assert_eq!(rows.len(), expected.len());
    let written: BTreeSet<String> = rows.iter().map(|row| row.content.to_string()).collect();
    assert_eq!(written, expected);
    assert_eq!(delivered_once(&app), expected);
    assert_unharmed(&app);
}

/// A daemon whose SQLite file is on the disk.
fn app_on(disk: &Disk) -> TestApp {
    let directory = tempfile::tempdir().unwrap();
    let database = TestDatabase::new(Database::Sqlite, &disk.path());
    let app = TestApp::start_on(database, directory, |setting| {
        impatient(setting);
        // The watcher of the idle time must not free what the test has used up.
        setting.hooks.last_sent_interval = Some(std::time::Duration::from_secs(3600));
    });
    app.message(triggered_by("hello", 100), &[(1, "T", "{name}")]);
    app
}

/// Logs new users in, 100 with each POST, until one of them waits for the database; how many.
fn log_in_until_it_is_full(app: &mut TestApp, from: i64) -> i64 {
    let mut users = 0;
    eventually("a batch waits for the database", || {
        let finished = app.pipeline.finished().count();
        let new: Vec<_> = (from + users..from + users + 100)
            .map(|user| login(user, 1, &format!("tok{user}"), 1))
            .collect();
        app.post_events(&new);
        users += 100;
        let mut held_up = false;
        eventually("it is finished or waits", || {
            held_up = app.metric("onegin_batches_held_up") > 0;
            held_up || app.pipeline.finished().count() > finished
        });
        held_up
    });
    users
}

#[test]
fn a_full_sqlite_disk_is_waited_for_and_costs_nothing() {
    let Some(disk) = Disk::new(16) else {
        return;
    };
    let mut app = app_on(&disk);
    log_phones_in(&mut app, 0..1);
    disk.fill();
    let new_users = log_in_until_it_is_full(&mut app, 1);
    assert_eq!(
        readiness(&app),
        (503, "the database cannot be written".to_owned())
    );
    // Who only reads goes on.
    app.post_notifications(&[direct(0, "meanwhile")]);
    app.eventually("it is delivered", || texts(&app) == ["meanwhile"]);

    disk.free();
    app.finish();
    app.eventually("it is ready again", || readiness(&app).0 == 200);
    let logins = number(&app, "SELECT count(*) AS cell FROM login");
    assert_eq!(logins, new_users + 1);
    app.post_events(&[event(new_users, 100, json!({"name": "to the last"}))]);
    app.finish();
    assert!(delivered_once(&app).contains("to the last"));
    assert_unharmed(&app);
}

#[test]
fn feedback_waits_for_a_full_sqlite_disk_one_place_for_each_device() {
    let Some(disk) = Disk::new(16) else {
        return;
    };
    let app = app_on(&disk);
    feedback_waits_for(
        app,
        |app| {
            disk.fill();
            log_in_until_it_is_full(app, 1_000);
        },
        |_| disk.free(),
    );
}

/// Logs 20 users in whose tokens are dead, and has three notifications for each wait for a push
/// service that will say so.
pub(super) fn wait_for_the_word_about_dead_tokens(app: &mut TestApp) {
    log_phones_in(app, 1..21);
    let dead = Refusal::new(404, "UNREGISTERED");
    let rule = Rule::new(Action::Refuse(dead)).service(Service::Fcm);
    app.simulator.script().add(rule);
    app.simulator.fcm().set_online(false);
    for _ in 0..3 {
        let all: Vec<_> = (1..21).map(|user| direct(user, "to a dead one")).collect();
        app.post_notifications(&all);
    }
    app.eventually("they wait for their push service", || {
        app.client().get("/get_gcm_sender_queue").body == "60"
    });
}

/// The push service tells of each of 20 dead tokens three times while the database is away.
pub(super) fn feedback_waits_for(
    mut app: TestApp,
    take_away: impl FnOnce(&mut TestApp),
    give_back: impl FnOnce(&mut TestApp),
) {
    wait_for_the_word_about_dead_tokens(&mut app);
    take_away(&mut app);
    app.simulator.fcm().set_online(true);
    app.eventually("all has been told", || feedback_entered(&app) == 60);
    app.eventually("each device has one place", || {
        app.client()
            .get("/get_notification_post_processor_queue")
            .body
            == "20"
    });
    give_back(&mut app);
    app.eventually("the devices are unregistered", || {
        (1..21).all(|user| app.is_unregistered(user))
    });
    app.eventually("nothing waits", || {
        app.client()
            .get("/get_notification_post_processor_queue")
            .body
            == "0"
    });
    assert_eq!(
        app.metric("onegin_feedback_applied_total{kind=\"unregistered\"}"),
        20
    );
    app.finish();
    assert_unharmed(&app);
}
