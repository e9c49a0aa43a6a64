//! Event 4006: which messages a user does not want.

use model::MessageId;
use processor::EndReason;
use serde_json::{Value, json};

use crate::{
    app::{LIMIT, TestApp, event, login, triggered_by, turn_off},
    http::Client,
    observed::{
        blacklist_literal, ended, execute, number, post_and_ask, post_protobuf_event, sent,
    },
};

/// Messages 1 to 4, all on event 100, and user 1 on device "a".
fn prepared(database: crate::database::Database) -> TestApp {
    let mut app = TestApp::start(database);
    for name in ["m1", "m2", "m3", "m4"] {
        app.message(triggered_by(name, 100), &[(1, "T", name)]);
    }
    app.post_events(&[login(1, 1, "a", 1)]);
    app.finish();
    app
}

/// What user 1 then gets of the four messages.
fn wanted(app: &mut TestApp) -> String {
    let sent = sent(app, &[event(1, 100, json!({}))]);
    let names: Vec<&str> = sent
        .iter()
        .filter_map(|line| line.strip_prefix("a: T|m"))
        .collect();
    names.concat()
}

fn post_turn_off(app: &mut TestApp, pairs: Value) {
    app.post_events(&[event(1, 4006, pairs)]);
    app.finish();
}

on_each_database! {
    fn a_turn_off_event_replaces_the_list_in_the_users_one_row(database) {
        let mut app = prepared(database);
        post_turn_off(&mut app, json!({"a": 1, "b": 2}));
        assert_eq!(wanted(&mut app), "34");
        // The keys mean nothing.
        post_turn_off(&mut app, json!({"a": 3, "message": 4, "": 3}));
        assert_eq!(wanted(&mut app), "12");
        assert_eq!(
            number(&app, "SELECT count(*) AS cell FROM message_blacklist"),
            1
        );
        assert_eq!(ended(&app, EndReason::Blacklisted), 4);
    }

    fn a_turn_off_event_without_pairs_turns_everything_on_again(database) {
        let mut app = prepared(database);
        post_turn_off(&mut app, json!({"a": 1, "b": 2}));
        post_turn_off(&mut app, json!({}));
        assert_eq!(wanted(&mut app), "1234");
        post_turn_off(&mut app, json!({"a": 1}));
        app.post_events(&[json!({"user_id": 1, "event_id": 4006, "timestamp": 1})]);
        app.finish();
        assert_eq!(wanted(&mut app), "1234");
    }

    fn ids_given_as_texts_numbers_and_floats_all_block(database) {
        let mut app = prepared(database);
        for (pairs, left) in [
            (json!({"a": "1"}), "234"),
            (json!({"a": 2, "b": "3"}), "14"),
            (json!({"a": 3.7, "b": 1.0}), "23"),
            (json!({"a": " +2 ", "b": "2", "c": 2}), "134"),
            (json!({"a": 77, "b": -1}), "1234"),
        ] {
            post_turn_off(&mut app, pairs.clone());
            assert_eq!(wanted(&mut app), left, "{pairs}");
        }
    }

    fn protobuf_clients_turn_messages_off_too(database) {
        let mut app = prepared(database);
        post_protobuf_event(&mut app, 1, 4006, &[("a", "1"), ("b", "4")]);
        app.finish();
        assert_eq!(wanted(&mut app), "23");
        // Of equal keys the last one counts.
        post_protobuf_event(&mut app, 1, 4006, &[("a", "1"), ("a", "x"), ("a", "2")]);
        app.finish();
        assert_eq!(wanted(&mut app), "134");
    }

    fn a_turn_off_event_with_a_value_that_is_no_id_changes_nothing(database) {
        let mut app = prepared(database);
        post_turn_off(&mut app, json!({"a": 1}));
        let no_ids = [
            json!("x"),
            json!(""),
            json!("1.5"),
            json!(null),
            json!(true),
            json!([2]),
            json!({"a": 2}),
            json!(3_000_000_000_i64),
        ];
        let events: Vec<Value> = no_ids
            .iter()
            .map(|value| event(1, 4006, json!({"good": 2, "bad": value})))
            .collect();
        app.post_events(&events);
        app.finish();
        assert_eq!(ended(&app, EndReason::InvalidEvent), 8);
        assert_eq!(wanted(&mut app), "234");
    }

    fn a_turn_off_event_says_who_and_when(database) {
        let mut app = prepared(database);
        let items = [
            json!({"event_id": 4006, "timestamp": 1, "pairs": {"a": 1}}),
            json!({"user_id": 1, "event_id": 4006, "pairs": {"a": 1}}),
            json!({"user_id": 1, "event_id": 4006, "timestamp": null, "pairs": {"a": 1}}),
        ];
        let (accepted, rejected) = post_and_ask(&mut app, "events", &items);
        app.finish();
        assert_eq!(accepted, 1);
        assert_eq!(
            rejected,
            ["0: user_id is missing", "1: timestamp is missing"]
        );
        assert_eq!(ended(&app, EndReason::InvalidEvent), 1);
        assert_eq!(wanted(&mut app), "1234");
    }

    fn a_turn_off_event_of_a_user_who_never_logged_in_is_dropped_alone(database) {
        let mut app = prepared(database);
        app.post_events(&[turn_off(7, &[1]), turn_off(1, &[1])]);
        app.finish();
        assert_eq!(ended(&app, EndReason::InvalidEvent), 1);
        assert_eq!(
            number(&app, "SELECT count(*) AS cell FROM login WHERE id = 7"),
            0
        );
        assert_eq!(wanted(&mut app), "234");
    }

    fn direct_notifications_ignore_what_is_turned_off(database) {
        let mut app = prepared(database);
        post_turn_off(&mut app, json!({"a": 0, "b": 1, "c": 2, "d": 3, "e": 4}));
        assert_eq!(wanted(&mut app), "");
        app.post_notifications(&[json!({"login_id": 1, "title": "T", "content": "direct"})]);
        app.finish();
        assert_eq!(app.simulator.fcm().delivered().len(), 1);
    }

    fn a_message_on_the_turn_off_event_obeys_the_list_that_it_brings(database) {
        let mut app = prepared(database);
        let goodbye = app.message(triggered_by("goodbye", 4006), &[(1, "T", "goodbye")]);
        assert_eq!(sent(&mut app, &[turn_off(1, &[1])]), ["a: T|goodbye"]);
        assert_eq!(sent(&mut app, &[turn_off(1, &[goodbye.0])]), [""; 0]);
    }

    fn a_user_id_in_digits_is_the_same_user(database) {
        let mut app = prepared(database);
        let off =
            json!({"user_id": "1", "event_id": 4006, "timestamp": 1, "pairs": {"a": 1, "b": 2}});
        app.post_events(&[off]);
        app.finish();
        let trigger = json!({"user_id": "1", "event_id": 100, "timestamp": 1});
        assert_eq!(sent(&mut app, &[trigger]), ["a: T|m3", "a: T|m4"]);
    }

    fn a_list_is_in_force_at_once_for_every_worker(database) {
        let mut app = prepared(database);
        post_turn_off(&mut app, json!({"a": 1, "b": 2, "c": 3, "d": 4}));
        // Posts of their own, all at once, so that each of the threads takes some.
        let body = json!({"events": [event(1, 100, json!({}))]}).to_string();
        let address = app.pipeline.address();
        std::thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| {
                    let mut client = Client::connect(address);
                    client
                        .post("/post_events_json", "", body.as_bytes())
                        .accepted();
                });
            }
        });
        app.expect_requests(32);
        app.finish();
        assert_eq!(app.simulator.fcm().received().len(), 0);
        assert_eq!(ended(&app, EndReason::Blacklisted), 32 * 4);
    }

    fn a_list_written_by_plain_sql_is_in_force_at_once(database) {
        let mut app = prepared(database);
        let list = blacklist_literal(database, &["1", "4"]);
        execute(
            &app,
            &format!("INSERT INTO message_blacklist (login_id, blacklist) VALUES (1, {list})"),
        );
        assert_eq!(wanted(&mut app), "23");
        let list = blacklist_literal(database, &["2", "null"]);
        execute(
            &app,
            &format!("UPDATE message_blacklist SET blacklist = {list}"),
        );
        assert_eq!(wanted(&mut app), "134");
    }

    fn a_list_that_is_null_blocks_nothing_and_can_be_replaced(database) {
        let mut app = prepared(database);
        execute(
            &app,
            "INSERT INTO message_blacklist (login_id, blacklist) VALUES (1, NULL)",
        );
        assert_eq!(wanted(&mut app), "1234");
        // Pushkin did not start with such a row.
        let second = app.second_daemon();
        assert!(second.stop(LIMIT));
        app.post_events(&[turn_off(1, &[3])]);
        app.finish();
        assert_eq!(wanted(&mut app), "124");
        assert_eq!(
            number(&app, "SELECT count(*) AS cell FROM message_blacklist"),
            1
        );
    }

    fn only_the_listed_messages_of_only_this_user_are_off(database) {
        let mut app = prepared(database);
        app.post_events(&[login(2, 1, "b", 1), turn_off(1, &[2])]);
        app.finish();
        let both = [event(1, 100, json!({})), event(2, 100, json!({}))];
        assert_eq!(
            sent(&mut app, &both),
            [
                "a: T|m1", "a: T|m3", "a: T|m4", "b: T|m1", "b: T|m2", "b: T|m3", "b: T|m4"
            ]
        );
        let storage = app.pipeline.storage();
        let blocked = storage.last_sent(model::LoginId(1), MessageId(2)).unwrap();
        assert_eq!(
            blocked, None,
            "what is turned off is not remembered as sent"
        );
    }
}

#[test]
fn a_second_daemon_on_one_postgres_learns_of_a_list_at_once() {
    let Some(database) = crate::database::postgres() else {
        return;
    };
    let mut app = prepared(database);
    let second = app.second_daemon();
    post_turn_off(&mut app, json!({"a": "1", "b": "2"}));
    let body = json!({"events": [event(1, 100, json!({}))]}).to_string();
    Client::connect(second.address())
        .post("/post_events_json", "", body.as_bytes())
        .accepted();
    assert!(second.stop(LIMIT));
    assert_eq!(crate::observed::delivered(&app), ["a: T|m3", "a: T|m4"]);
}
