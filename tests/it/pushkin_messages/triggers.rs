//! Which messages an event triggers. Messages are live: nothing needs a restart.

use model::Priority;
use processor::EndReason;
use serde_json::{Value, json};
use storage::MessageAttributes;

use crate::{
    app::{TestApp, event, login, triggered_by, turn_off},
    observed::{ended, execute, post_and_ask, sent},
};

fn user_1(app: &mut TestApp) {
    app.post_events(&[login(1, 1, "a", 1)]);
    app.finish();
}

/// What user 1 gets of one event.
fn sent_by(app: &mut TestApp, event_id: i32) -> Vec<String> {
    sent(app, &[event(1, event_id, json!({}))])
}

on_each_database! {
    fn an_event_that_triggers_nothing_is_taken_and_ends_quietly(database) {
        let mut app = TestApp::start(database);
        user_1(&mut app);
        for event_id in [100, 0, -1, 4_500, i32::MAX, i32::MIN] {
            assert_eq!(sent_by(&mut app, event_id), [""; 0]);
        }
        assert_eq!(ended(&app, EndReason::NoHandler), 6);
        app.message(triggered_by("hello", 1), &[(1, "T", "C")]);
        assert_eq!(sent_by(&mut app, -1), [""; 0]);
        assert_eq!(ended(&app, EndReason::NoHandler), 7);
    }

    fn an_event_triggers_its_one_message_or_all_of_its_messages_by_id(database) {
        let mut app = TestApp::start(database);
        user_1(&mut app);
        app.message(triggered_by("first", 1), &[(1, "T", "1")]);
        app.message(triggered_by("other", 2), &[(1, "T", "2")]);
        app.message(triggered_by("second", 1), &[(1, "T", "3")]);
        app.message(
            MessageAttributes {
                trigger_event_id: None,
                ..triggered_by("none", 0)
            },
            &[(1, "T", "4")],
        );
        assert_eq!(sent_by(&mut app, 2), ["a: T|2"]);
        assert_eq!(sent_by(&mut app, 1), ["a: T|1", "a: T|3"]);
        assert_eq!(sent_by(&mut app, 0), [""; 0]);
        // The second message's drop is its own.
        app.message(triggered_by("second", 1), &[(1, "T", "{missing}")]);
        app.message(triggered_by("third", 1), &[(1, "T", "5")]);
        assert_eq!(sent_by(&mut app, 1), ["a: T|1", "a: T|5"]);
        assert_eq!(ended(&app, EndReason::MissingParameter), 1);
    }

    fn event_ids_of_the_reserved_range_and_below_zero_trigger_messages_too(database) {
        let mut app = TestApp::start(database);
        user_1(&mut app);
        for event_id in [0, -5, 4_500] {
            app.message(
                triggered_by(&format!("on {event_id}"), event_id),
                &[(1, "T", "C")],
            );
            assert_eq!(sent_by(&mut app, event_id), ["a: T|C"], "{event_id}");
        }
    }

    fn event_ids_are_numbers_and_whole_floats_and_nothing_else(database) {
        let mut app = TestApp::start(database);
        user_1(&mut app);
        app.message(triggered_by("hello", 100), &[(1, "T", "C")]);
        app.message(triggered_by("one", 1), &[(1, "T", "one")]);
        let posted = |event_id: Value| json!({"user_id": 1, "event_id": event_id, "timestamp": 1});
        let (accepted, rejected) = post_and_ask(
            &mut app,
            "events",
            &[
                json!(100.0),
                json!("100"),
                json!(true),
                json!([100]),
                json!(100.5),
                json!(null),
            ]
            .map(posted),
        );
        app.finish();
        assert_eq!((accepted, rejected.len()), (1, 5), "{rejected:?}");
        assert_eq!(crate::observed::delivered(&app), ["a: T|C"]);
    }

    fn a_new_a_changed_and_a_deleted_message_are_in_force_at_once(database) {
        let mut app = TestApp::start(database);
        user_1(&mut app);
        assert_eq!(sent_by(&mut app, 100), [""; 0]);
        app.message(triggered_by("hello", 100), &[(1, "T", "C")]);
        assert_eq!(sent_by(&mut app, 100), ["a: T|C"]);
        app.message(triggered_by("hello", 200), &[]);
        assert_eq!(sent_by(&mut app, 100), [""; 0]);
        assert_eq!(sent_by(&mut app, 200), ["a: T|C"]);
        assert!(app.pipeline.storage().delete_message("hello").unwrap());
        assert_eq!(sent_by(&mut app, 200), [""; 0]);
    }

    fn changed_texts_screens_priorities_and_lives_are_in_force_at_once(database) {
        let mut app = TestApp::start(database);
        user_1(&mut app);
        app.message(triggered_by("hello", 100), &[(1, "T", "C")]);
        assert_eq!(sent_by(&mut app, 100), ["a: T|C"]);
        let changed = MessageAttributes {
            screen: "scr2".to_owned(),
            priority: Priority::High,
            expiry_millis: Some(1_000),
            ..triggered_by("hello", 100)
        };
        app.message(changed, &[(1, "New", "words")]);
        assert_eq!(sent_by(&mut app, 100), [""; 0], "it has expired in 1970");
        let row = crate::observed::rows(&app).pop().unwrap();
        assert_eq!(
            (row.status, &*row.content, &*row.screen),
            (3, "words", "scr2")
        );
        app.message(
            MessageAttributes {
                priority: Priority::High,
                ..triggered_by("hello", 100)
            },
            &[],
        );
        assert_eq!(sent_by(&mut app, 100), ["a: New|words"]);
        let received = app.simulator.fcm().delivered();
        assert_eq!(received[0].json()["message"]["android"]["priority"], "HIGH");
    }

    fn messages_changed_by_plain_sql_come_into_force_without_a_restart(database) {
        let mut app = TestApp::start(database);
        user_1(&mut app);
        let texts = |app: &TestApp, event_id: i32| -> Vec<String> {
            let catalogue = app.pipeline.storage().catalogue();
            let messages = catalogue.triggered_by(event_id).iter();
            messages
                .flat_map(|message| &message.localizations)
                .map(|text| text.text.clone())
                .collect()
        };
        execute(
            &app,
            "INSERT INTO message (name, trigger_event_id) VALUES ('hello', 100)",
        );
        execute(
            &app,
            "INSERT INTO message_localization (message_id, language_id, message_title, message_text) \
            SELECT id, 1, 'T', 'C' FROM message WHERE name = 'hello'",
        );
        app.eventually("the new message is in force", || texts(&app, 100) == ["C"]);
        assert_eq!(sent_by(&mut app, 100), ["a: T|C"]);
        execute(&app, "UPDATE message SET trigger_event_id = 200");
        execute(&app, "UPDATE message_localization SET message_text = 'D'");
        app.eventually("the change is in force", || texts(&app, 200) == ["D"]);
        assert_eq!(sent_by(&mut app, 100), [""; 0]);
        assert_eq!(sent_by(&mut app, 200), ["a: T|D"]);
        execute(&app, "DELETE FROM message");
        app.eventually("it is gone", || texts(&app, 200).is_empty());
        assert_eq!(sent_by(&mut app, 200), [""; 0]);
    }

    fn the_built_in_events_have_the_configured_ids(database) {
        let mut app = TestApp::start_with(database, |setting| {
            setting.config.event.login_event_id = 1;
            setting.config.event.turn_off_notification_event_id = 2;
        });
        let message = app.message(triggered_by("hello", 4001), &[(1, "T", "C")]);
        let mut login = login(1, 1, "a", 1);
        login["event_id"] = json!(1);
        assert_eq!(
            sent(&mut app, &[login, event(1, 4001, json!({}))]),
            ["a: T|C"]
        );
        let mut turn_off = turn_off(1, &[message.0]);
        turn_off["event_id"] = json!(2);
        assert_eq!(
            sent(&mut app, &[turn_off, event(1, 4001, json!({}))]),
            [""; 0]
        );
    }
}
