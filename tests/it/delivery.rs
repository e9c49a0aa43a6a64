//! Between the sender queue and the push service nothing is lost and nothing is doubled.

use std::collections::HashSet;

use model::LoginId;
use serde_json::{Value, json};
use simulator::{Action, GoAway, Rule, Service};

use crate::{
    app::{LIMIT, TestApp, event, login, triggered_by},
    database::Database,
};

/// Logs users 0.. in, each on an iPhone of their own.
fn iphones(app: &mut TestApp, count: i64) {
    let logins: Vec<Value> = (0..count)
        .map(|user| login(user, 2, &format!("{user:064x}"), 1))
        .collect();
    for some in logins.chunks(2_000) {
        app.post_events(some);
    }
    app.finish();
}

fn post_to_everybody(app: &mut TestApp, count: i64) {
    let events: Vec<Value> = (0..count).map(|user| event(user, 100, json!({}))).collect();
    for some in events.chunks(1_000) {
        app.post_events(some);
    }
}

#[test]
fn graceful_goaways_in_the_middle_of_10_000_lose_and_double_nothing() {
    let mut app = TestApp::start(Database::Sqlite);
    app.message(triggered_by("hello", 100), &[(1, "T", "C")]);
    iphones(&mut app, 10_000);
    // The first after 2,500 requests, then after every further 2,500 on whatever connection.
    app.simulator.script().add(
        Rule::new(Action::GoAway(GoAway::Graceful { reason: None }))
            .service(Service::Apns)
            .every(2_500.try_into().unwrap())
            .times(3),
    );
    post_to_everybody(&mut app, 10_000);
    app.simulator
        .apns()
        .wait_for_delivered(10_000, LIMIT)
        .unwrap();
    app.finish();

    let delivered = app.simulator.apns().delivered();
    assert_eq!(delivered.len(), 10_000);
    let tokens: HashSet<&str> = delivered
        .iter()
        .map(|received| received.token.as_str())
        .collect();
    assert_eq!(tokens.len(), 10_000, "somebody got it twice");
    let counters = app.simulator.apns().counters();
    assert!(
        counters.connections_opened > 1,
        "no connection was replaced"
    );
    assert_eq!(counters.violations, 0);
    assert_eq!(app.csv().len(), 10_000);
    assert!(app.csv().iter().all(|line| line.starts_with("0,")));
}

#[test]
fn hard_goaways_lose_and_double_nothing() {
    let mut app = TestApp::start(Database::Sqlite);
    app.message(triggered_by("hello", 100), &[(1, "T", "C")]);
    iphones(&mut app, 2_000);
    let hard = GoAway::Hard {
        unprocessed: 50,
        reason: Some("Shutdown".to_owned()),
    };
    app.simulator.script().add(
        Rule::new(Action::GoAway(hard))
            .service(Service::Apns)
            .every(500.try_into().unwrap())
            .times(3),
    );
    post_to_everybody(&mut app, 2_000);
    app.simulator
        .apns()
        .wait_for_delivered(2_000, LIMIT)
        .unwrap();
    app.finish();
    let tokens: Vec<String> = app
        .simulator
        .apns()
        .delivered()
        .into_iter()
        .map(|received| received.token)
        .collect();
    let distinct: HashSet<&String> = tokens.iter().collect();
    assert_eq!((tokens.len(), distinct.len()), (2_000, 2_000));
}

#[test]
fn a_stopped_daemon_has_sent_all_it_had_taken() {
    let mut app = TestApp::start(Database::Sqlite);
    app.message(triggered_by("hello", 100), &[(1, "T", "C")]);
    iphones(&mut app, 1_000);
    post_to_everybody(&mut app, 1_000);
    let simulator = app.stop();
    assert_eq!(simulator.apns().delivered().len(), 1_000);
}

#[test]
fn the_daemon_uses_the_ids_it_derived_so_a_repetition_can_be_seen() {
    let mut app = TestApp::start(Database::Sqlite);
    app.message(triggered_by("hello", 100), &[(1, "T", "C")]);
    iphones(&mut app, 1);
    assert_eq!(app.pipeline.storage().devices(LoginId(0)).unwrap().len(), 1);
    app.simulator.script().add(
        Rule::new(Action::DropConnection {
            after_reading: true,
        })
        .service(Service::Apns)
        .times(1),
    );
    post_to_everybody(&mut app, 1);
    app.finish();
    let received = app.simulator.apns().received();
    assert_eq!(received.len(), 2, "the outcome of the first was unknown");
    assert_eq!(received[0].header("apns-id"), received[1].header("apns-id"));
}
