//! 410 says since when a token is dead. A device that has logged in after that lives.

use std::time::UNIX_EPOCH;

use serde_json::json;
use simulator::{Action, Received, Refusal, Rule, Service};

use crate::{
    answer_case::{csv_of, each_user_has_a_device, platform, quick, token},
    app::{TestApp, event, login},
    database::Database,
};

const USER: i64 = 1;

fn started(database: Database) -> TestApp {
    let mut app = TestApp::start_with(database, |setting| quick(setting, |_| {}));
    each_user_has_a_device(&mut app, Service::Apns, 0..=USER);
    app
}

fn log_in(app: &mut TestApp) {
    let token = token(Service::Apns, USER);
    app.post_events(&[login(USER, platform(Service::Apns), &token, 1)]);
    app.finish();
}

/// The time by Apple's clock at which the user's push came.
fn push_to(app: &mut TestApp, user: i64) -> u64 {
    app.post_events(&[event(user, 100, json!({}))]);
    app.finish();
    let received: Vec<Received> = app.simulator.apns().received();
    let since_1970 = received.last().unwrap().wall.duration_since(UNIX_EPOCH);
    u64::try_from(since_1970.unwrap().as_millis()).unwrap()
}

/// The user's token is dead since `timestamp_ms`, says Apple to the next push.
fn dead_since(app: &mut TestApp, reason: &str, timestamp_ms: u64) {
    let refusal = Refusal::new(410, reason).timestamp_ms(timestamp_ms);
    app.simulator
        .script()
        .add(Rule::new(Action::Refuse(refusal)).times(1));
    push_to(app, USER);
    let line = csv_of(app, USER).pop().unwrap();
    assert!(line.starts_with("201,"), "{line}");
}

#[track_caller]
fn feedback(app: &TestApp, kind: &str) {
    let line = format!("onegin_feedback_applied_total{{kind=\"{kind}\"}}");
    app.eventually("the feedback is applied", || app.metric(&line) == 1);
}

on_each_database! {
    fn a_token_that_died_after_the_last_login_is_unregistered(database) {
        for reason in ["Unregistered", "ExpiredToken", "SomethingNew"] {
            let mut app = started(database);
            let now = push_to(&mut app, USER);
            dead_since(&mut app, reason, now);
            feedback(&app, "unregistered");
            assert!(app.is_unregistered(USER), "{reason}");
            let before = app.simulator.apns().counters().requests;
            app.post_events(&[event(USER, 100, json!({}))]);
            app.finish();
            assert_eq!(app.simulator.apns().counters().requests, before, "no push any more");
        }
    }

    fn a_token_that_died_before_the_last_login_lives(database) {
        for reason in ["Unregistered", "ExpiredToken", "SomethingNew"] {
            let mut app = started(database);
            let now = push_to(&mut app, 0);
            log_in(&mut app);
            dead_since(&mut app, reason, now);
            feedback(&app, "without_effect");
            assert!(!app.is_unregistered(USER), "{reason}");
            push_to(&mut app, USER);
            let line = csv_of(&app, USER).pop().unwrap();
            assert!(line.starts_with("0,"), "the next push arrives: {line}");
        }
    }

    fn a_dead_token_lives_again_after_the_next_login(database) {
        let mut app = started(database);
        let now = push_to(&mut app, USER);
        dead_since(&mut app, "Unregistered", now);
        feedback(&app, "unregistered");
        log_in(&mut app);
        assert!(!app.is_unregistered(USER));
        push_to(&mut app, USER);
        assert!(csv_of(&app, USER).pop().unwrap().starts_with("0,"));
    }
}
