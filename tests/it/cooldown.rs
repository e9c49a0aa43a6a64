//! A message with a cooldown reaches a user once, however many ask at the same time.

use std::thread;

use serde_json::json;
use storage::MessageAttributes;

use crate::{
    app::{TestApp, event, login, triggered_by},
    http::Client,
};

const HOUR_MS: i64 = 60 * 60 * 1000;

fn cooled_down(app: &TestApp) {
    let attributes = MessageAttributes {
        cooldown_ms: Some(HOUR_MS),
        ..triggered_by("raid", 100)
    };
    app.message(attributes, &[(1, "T", "C")]);
}

/// Posts the same event from `count` threads at once to each of `addresses` in turn.
fn post_in_parallel(addresses: &[std::net::SocketAddr], count: usize) {
    let body = json!({"events": [event(1, 100, json!({}))]}).to_string();
    thread::scope(|scope| {
        for number in 0..count {
            let (address, body) = (addresses[number % addresses.len()], &body);
            scope.spawn(move || {
                Client::connect(address)
                    .post("/post_events_json", "", body.as_bytes())
                    .accepted();
            });
        }
    });
}

on_each_database! {
    fn of_64_parallel_posts_exactly_one_is_delivered(database) {
        let mut app = TestApp::start(database);
        cooled_down(&app);
        app.post_events(&[login(1, 1, "tokA", 1)]);
        app.finish();
        post_in_parallel(&[app.pipeline.address()], 64);
        app.expect_requests(64);
        app.finish();
        assert_eq!(app.simulator.fcm().delivered().len(), 1);
        assert_eq!(app.metric("onegin_items_ended_total{reason=\"cooling_down\"}"), 63);
    }

    fn twice_in_one_post_is_sent_once_and_other_users_are_not_held_back(database) {
        let mut app = TestApp::start(database);
        cooled_down(&app);
        app.post_events(&[login(1, 1, "one", 1), login(2, 1, "two", 1)]);
        app.finish();
        let raid = |user| event(user, 100, json!({}));
        app.post_events(&[raid(1), raid(2), raid(1), raid(2)]);
        app.post_events(&[raid(1), raid(2)]);
        app.finish();
        let mut tokens: Vec<String> =
            app.simulator.fcm().delivered().into_iter().map(|received| received.token).collect();
        tokens.sort();
        assert_eq!(tokens, ["one", "two"]);
    }
}

#[test]
fn two_daemons_on_one_postgres_deliver_once_together() {
    let Some(database) = crate::database::postgres() else {
        return;
    };
    let mut app = TestApp::start(database);
    cooled_down(&app);
    app.post_events(&[login(1, 1, "tokA", 1)]);
    app.finish();
    let second = app.second_daemon();
    post_in_parallel(&[app.pipeline.address(), second.address()], 64);
    app.expect_requests(32);
    app.finish();
    assert!(second.stop(crate::app::LIMIT));
    assert_eq!(app.simulator.fcm().delivered().len(), 1);
}
