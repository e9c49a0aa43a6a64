//! Parameters in braces: what a message's text becomes with an event's pairs.

use processor::EndReason;
use serde_json::{Value, json};

use crate::{
    app::{TestApp, event, login, triggered_by},
    database::Database,
    observed::{delivered, ended, post_protobuf_event, sent},
};

/// User 1 on device "a".
fn prepared(database: Database) -> TestApp {
    let mut app = TestApp::start(database);
    app.post_events(&[login(1, 1, "a", 1)]);
    app.finish();
    app
}

/// The one message's title and text as "title|text", or nothing where it is not sent.
fn filled_in(app: &mut TestApp, title: &str, text: &str, pairs: Value) -> String {
    app.message(triggered_by("hello", 100), &[(1, title, text)]);
    let sent = sent(app, &[event(1, 100, pairs)]);
    sent.concat()
        .strip_prefix("a: ")
        .unwrap_or_default()
        .to_owned()
}

/// Checks the text alone.
#[track_caller]
fn check(app: &mut TestApp, text: &str, pairs: Value, expected: &str) {
    let pairs_text = pairs.to_string();
    assert_eq!(
        filled_in(app, "T", text, pairs),
        format!("T|{expected}"),
        "{text} with {pairs_text}"
    );
}

#[track_caller]
fn check_dropped(app: &mut TestApp, title: &str, text: &str, pairs: Value) {
    let before = ended(app, EndReason::MissingParameter);
    let pairs_text = pairs.to_string();
    assert_eq!(
        filled_in(app, title, text, pairs),
        "",
        "{text} with {pairs_text}"
    );
    assert_eq!(ended(app, EndReason::MissingParameter), before + 1);
}

on_each_database! {
    fn values_are_put_in_as_they_are_and_braces_in_them_are_not_looked_at(database) {
        let mut app = prepared(database);
        let pairs =
            json!({"name": "{other} {{x}} }{", "other": "ćao 😀\n\"", "Name_2": "N", "extra": 1});
        check(&mut app, "{name}", pairs.clone(), "{other} {{x}} }{");
        check(
            &mut app,
            "{other}, {Name_2}{Name_2}!",
            pairs.clone(),
            "ćao 😀\n\", NN!",
        );
        assert_eq!(filled_in(&mut app, "{Name_2}", "plain", pairs), "N|plain");
    }

    fn a_missing_or_null_parameter_drops_the_message(database) {
        let mut app = prepared(database);
        check_dropped(&mut app, "T", "{name}", json!({}));
        check_dropped(&mut app, "T", "{name}", json!({"name": null}));
        check_dropped(&mut app, "T", "{name} {n}", json!({"name": "x"}));
        check_dropped(
            &mut app,
            "T",
            "{name}",
            json!({"Name": "names have a case"}),
        );
        check_dropped(&mut app, "{name}", "T", json!({"other": 1}));
        check(&mut app, "{name}", json!({"name": ""}), "");
    }

    fn a_missing_parameter_in_a_language_that_is_not_used_drops_nothing(database) {
        let mut app = prepared(database);
        app.message(
            triggered_by("hello", 100),
            &[(1, "T", "C"), (2, "{x}", "{y}")],
        );
        assert_eq!(sent(&mut app, &[event(1, 100, json!({}))]), ["a: T|C"]);
    }

    fn doubled_braces_are_literal_and_demand_no_pair(database) {
        let mut app = prepared(database);
        check(&mut app, "{{lit}}", json!({}), "{lit}");
        check(&mut app, "{{lit}}", json!({"lit": "x"}), "{lit}");
        check(&mut app, "{{ }}", json!({}), "{ }");
        check(&mut app, "{{{name}}}", json!({"name": "x"}), "{x}");
    }

    fn other_braces_stand_for_themselves_and_drop_nothing(database) {
        let mut app = prepared(database);
        let pairs = json!({"n": 7, "a b": "x"});
        for text in [
            "{}",
            "{",
            "}",
            "a { b",
            "a } b",
            "{a b}",
            "{n:>5}",
            "{n.__class__}",
            "{n!r}",
            "{n[0]}",
            "{š}",
        ] {
            check(&mut app, text, pairs.clone(), text);
        }
        check(&mut app, "{n} {n:>5}", pairs.clone(), "7 {n:>5}");
        check(&mut app, "{n} {n.__class__}", pairs, "7 {n.__class__}");
    }

    fn a_number_is_a_name_like_any_other(database) {
        let mut app = prepared(database);
        check(
            &mut app,
            "{0} {01}",
            json!({"0": "zero", "01": "one"}),
            "zero one",
        );
        check_dropped(&mut app, "T", "{0}", json!({"1": "x"}));
    }

    fn an_empty_title_and_an_empty_text_are_sent_empty(database) {
        let mut app = prepared(database);
        assert_eq!(filled_in(&mut app, "", "", json!({})), "|");
        assert_eq!(filled_in(&mut app, "", "C", json!({})), "|C");
    }

    fn json_values_look_as_they_did_in_pushkins_texts(database) {
        let mut app = prepared(database);
        for (value, expected) in [
            ("5", "5"),
            ("-5", "-5"),
            ("1.50", "1.5"),
            ("7.0", "7.0"),
            ("0.30000000000000004", "0.3"),
            ("1e16", "1e+16"),
            ("true", "True"),
            ("false", "False"),
            (r#"["\u017e", 1]"#, r"[u'\u017e', 1]"),
            (
                r#"{"a": [true, null, 1.50], "b": "it's"}"#,
                r#"{u'a': [True, None, 1.5], u'b': u"it's"}"#,
            ),
            ("[]", "[]"),
            (r#""[u]""#, "[u]"),
        ] {
            let pairs: Value = serde_json::from_str(&format!("{{\"x\": {value}}}")).unwrap();
            check(&mut app, "{x}", pairs, expected);
        }
    }

    fn of_equal_keys_the_last_value_counts(database) {
        let mut app = prepared(database);
        app.message(triggered_by("hello", 100), &[(1, "T", "{x}")]);
        app.simulator.fcm().forget();
        let body = br#"{"events": [{"user_id": 1, "event_id": 100, "timestamp": 1, "pairs": {"x": "1", "x": "2"}}]}"#;
        app.post("/post_events_json", body).accepted();
        post_protobuf_event(&mut app, 1, 100, &[("x", "3"), ("x", "4")]);
        app.finish();
        assert_eq!(delivered(&app), ["a: T|2", "a: T|4"]);
    }

    fn pairs_that_are_null_or_a_list_make_a_bad_item(database) {
        let mut app = prepared(database);
        app.message(triggered_by("hello", 100), &[(1, "T", "C")]);
        app.simulator.fcm().forget();
        let posted =
            |pairs: Value| json!({"user_id": 1, "event_id": 100, "timestamp": 1, "pairs": pairs});
        let items = [posted(json!(null)), posted(json!(["x"])), posted(json!({}))];
        let (accepted, rejected) = crate::observed::post_and_ask(&mut app, "events", &items);
        app.finish();
        assert_eq!(accepted, 1);
        assert_eq!(
            rejected,
            ["0: pairs is not an object", "1: pairs is not an object"]
        );
        assert_eq!(delivered(&app), ["a: T|C"]);
    }
}
