//! In whose language a message speaks: the user's, else language 1, else not at all.

use processor::EndReason;
use serde_json::json;

use crate::{
    app::{TestApp, event, login, triggered_by},
    observed::{ended, execute, sent},
};

on_each_database! {
    fn users_get_the_text_in_their_language_whatever_its_number(database) {
        let mut app = TestApp::start(database);
        let texts = [
            (1, "T", "one"),
            (0, "T", "zero"),
            (-3, "T", "minus"),
            (32_767, "T", "last"),
        ];
        app.message(triggered_by("hello", 100), &texts);
        app.post_events(&[
            login(1, 1, "a", 0),
            login(2, 1, "b", -3),
            login(3, 1, "c", 32_767),
            login(4, 1, "d", 1),
        ]);
        app.finish();
        let events = [1, 2, 3, 4].map(|user| event(user, 100, json!({})));
        assert_eq!(
            sent(&mut app, &events),
            ["a: T|zero", "b: T|minus", "c: T|last", "d: T|one"]
        );
    }

    fn a_message_without_the_users_language_speaks_language_1_and_without_that_not_at_all(database) {
        let mut app = TestApp::start(database);
        app.message(
            triggered_by("both", 100),
            &[(1, "T", "one"), (2, "T", "two")],
        );
        app.message(triggered_by("only 2", 200), &[(2, "T", "two")]);
        app.message(triggered_by("wordless", 300), &[]);
        app.post_events(&[login(1, 1, "a", 3)]);
        app.finish();
        assert_eq!(sent(&mut app, &[event(1, 100, json!({}))]), ["a: T|one"]);
        assert_eq!(
            sent(
                &mut app,
                &[event(1, 200, json!({})), event(1, 300, json!({}))]
            ),
            [""; 0]
        );
        assert_eq!(ended(&app, EndReason::NoText), 2);
    }

    fn an_unknown_user_and_one_without_a_language_get_no_message(database) {
        let mut app = TestApp::start(database);
        app.message(triggered_by("hello", 100), &[(1, "T", "C")]);
        app.post_events(&[login(1, 1, "a", 1)]);
        app.finish();
        execute(&app, "UPDATE login SET language_id = NULL");
        assert_eq!(
            sent(
                &mut app,
                &[event(1, 100, json!({})), event(2, 100, json!({}))]
            ),
            [""; 0]
        );
        assert_eq!(ended(&app, EndReason::UnknownUser), 2);
        // Direct notifications have their words already.
        app.post_notifications(&[json!({"login_id": 1, "title": "T", "content": "C"})]);
        app.finish();
        assert_eq!(app.simulator.fcm().delivered().len(), 1);
    }

    fn a_new_language_counts_from_the_next_event_on_also_within_a_batch(database) {
        let mut app = TestApp::start(database);
        app.message(
            triggered_by("hello", 100),
            &[(1, "T", "one"), (2, "T", "two")],
        );
        let hello = event(1, 100, json!({}));
        let events = [
            login(1, 1, "a", 1),
            hello.clone(),
            login(1, 1, "a", 2),
            hello,
        ];
        assert_eq!(sent(&mut app, &events), ["a: T|one", "a: T|two"]);
    }
}
