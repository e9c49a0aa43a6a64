//! Batches of events: their items work in order, and each for itself.

use processor::EndReason;
use serde_json::{Value, json};

use crate::{
    app::{TestApp, event, login, triggered_by, turn_off},
    database::Database,
    observed::{delivered, ended, execute, post_and_ask, rows, sent},
};

on_each_database! {
    fn the_items_of_a_batch_work_in_their_order(database) {
        let mut app = TestApp::start(database);
        app.message(
            triggered_by("hello", 100),
            &[(1, "T", "one"), (2, "T", "two")],
        );
        let hello = event(1, 100, json!({}));
        let batch = [
            hello.clone(),
            login(1, 1, "a", 1),
            hello.clone(),
            turn_off(1, &[1]),
            hello.clone(),
            turn_off(1, &[]),
            login(1, 1, "b", 2),
            hello,
        ];
        assert_eq!(sent(&mut app, &batch), ["a: T|one", "a: T|two", "b: T|two"]);
        assert_eq!(ended(&app, EndReason::UnknownUser), 1);
        assert_eq!(ended(&app, EndReason::Blacklisted), 1);
    }

    fn an_item_that_ends_early_does_not_hold_the_others_up(database) {
        let mut app = TestApp::start(database);
        app.message(triggered_by("hello", 100), &[(1, "T", "{name}")]);
        app.post_events(&[login(1, 1, "a", 1)]);
        app.finish();
        let hello = |user: i64, pairs: Value| event(user, 100, pairs);
        let batch = [
            hello(1, json!({"name": "first"})),
            hello(1, json!({})),
            hello(7, json!({"name": "x"})),
            event(1, 4001, json!({"platformId": "asd"})),
            event(1, 4006, json!({"a": "x"})),
            event(1, 999, json!({})),
            hello(1, json!({"name": "last"})),
        ];
        assert_eq!(sent(&mut app, &batch), ["a: T|first", "a: T|last"]);
        for (reason, count) in [
            (EndReason::MissingParameter, 1),
            (EndReason::UnknownUser, 1),
            (EndReason::InvalidEvent, 2),
            (EndReason::NoHandler, 1),
        ] {
            assert_eq!(ended(&app, reason), count, "{}", reason.as_str());
        }
    }

    fn a_request_that_the_database_refuses_is_given_up_alone_and_work_goes_on(database) {
        let mut app = TestApp::start(database);
        app.message(triggered_by("hello", 100), &[(1, "T", "C")]);
        execute(
            &app,
            match database {
                Database::Sqlite => {
                    "CREATE TRIGGER poisonous BEFORE INSERT ON device WHEN NEW.device_token = 'poison' \
                     BEGIN SELECT RAISE(ABORT, 'poisonous'); END"
                }
                Database::Postgres => {
                    "ALTER TABLE device ADD CONSTRAINT poisonous CHECK (device_token <> 'poison')"
                }
            },
        );
        app.post_events(&[login(1, 1, "before", 1)]);
        app.post_events(&[login(2, 1, "poison", 1), login(3, 1, "beside", 1)]);
        app.post_events(&[login(4, 1, "after", 1)]);
        app.finish();
        assert_eq!(ended(&app, EndReason::StorageFailed), 2);
        let everybody = [1, 2, 3, 4].map(|user| event(user, 100, json!({})));
        assert_eq!(sent(&mut app, &everybody), ["after: T|C", "before: T|C"]);
    }

    fn events_without_a_user_or_with_one_that_is_no_number_are_bad_items(database) {
        let mut app = TestApp::start(database);
        app.message(triggered_by("hello", 100), &[(1, "T", "C")]);
        app.post_events(&[login(1, 1, "a", 1)]);
        app.finish();
        let of_user = |user: Value| json!({"user_id": user, "event_id": 100, "timestamp": 1});
        let users = [
            json!(null),
            json!(""),
            json!("x"),
            json!("1; DROP TABLE login"),
            json!(1.5),
            json!(true),
            json!([1]),
            json!(1_u64 << 62),
            json!(1),
        ];
        let (accepted, rejected) = post_and_ask(&mut app, "events", &users.map(of_user));
        app.finish();
        assert_eq!((accepted, rejected.len()), (1, 8), "{rejected:?}");
        assert!(
            rejected[7].starts_with("7: user_id is reserved"),
            "{rejected:?}"
        );
        assert_eq!(delivered(&app), ["a: T|C"]);
    }

    fn a_user_without_messages_gets_one_or_two_as_the_event_says(database) {
        let mut app = TestApp::start(database);
        app.message(triggered_by("m1", 1), &[(1, "T", "1")]);
        app.message(triggered_by("m2", 1), &[(1, "T", "2")]);
        app.message(triggered_by("m3", 2), &[(1, "T", "3")]);
        app.post_events(&[login(1, 1, "a", 1)]);
        app.finish();
        let of = |user: i64, event_id: i32| event(user, event_id, json!({}));
        assert_eq!(sent(&mut app, &[of(77, 1)]), [""; 0]);
        assert_eq!(sent(&mut app, &[of(1, 0)]), [""; 0]);
        assert_eq!(sent(&mut app, &[of(1, 2)]), ["a: T|3"]);
        assert_eq!(sent(&mut app, &[of(1, 1)]), ["a: T|1", "a: T|2"]);
        let ids: Vec<i32> = rows(&app).iter().map(|row| row.message_id).collect();
        assert_eq!(ids[0], 3);
        assert!(ids[1..] == [1, 2] || ids[1..] == [2, 1], "{ids:?}");
    }

    fn title_and_text_are_filled_in_from_the_events_pairs(database) {
        let mut app = TestApp::start(database);
        app.message(
            triggered_by("hello", 1),
            &[(1, "Hi {world_name}", "{user} attacks {world_name}")],
        );
        app.post_events(&[login(1, 1, "a", 1)]);
        app.finish();
        let pairs = json!({"world_name": "Terra", "user": "Ana"});
        assert_eq!(
            sent(&mut app, &[event(1, 1, pairs.clone())]),
            ["a: Hi Terra|Ana attacks Terra"]
        );
        assert_eq!(sent(&mut app, &[event(1, -1, pairs)]), [""; 0]);
        let null = json!({"user_id": 1, "event_id": 1, "timestamp": 1, "pairs": null});
        let (accepted, rejected) = post_and_ask(&mut app, "events", &[null]);
        app.finish();
        assert_eq!(
            (accepted, rejected),
            (0, vec!["0: pairs is not an object".to_owned()])
        );
    }
}
