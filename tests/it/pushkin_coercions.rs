//! What careless clients send in JSON, form by form: what Pushkin made of it by accident, and
//! what is made of it here on purpose. `tests/it/pushkin_http.rs` has what is no JSON at all.

use prost::Message;
use proto::pushkin::{BatchNotificationRequest, PushNotification};
use serde_json::{Value, json};
use storage::MessageAttributes;

use crate::{
    app::{TestApp, event, login, triggered_by, turn_off},
    pushkin_http::texts,
};

const HOUR_MS: i64 = 60 * 60 * 1000;
const IPHONE: &str = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0";

/// User 1 on an Android phone, and message 1 with this text for event 100.
fn app_with_text(database: crate::database::Database, text: &str) -> TestApp {
    let mut app = TestApp::start(database);
    app.message(triggered_by("hello", 100), &[(1, "T", text)]);
    app.post_events(&[login(1, 1, "tokA", 1)]);
    app.finish();
    app
}

/// Event 100 with `user_id` and `timestamp` as they are written.
fn written(user_id: &str, event_id: &str, timestamp: &str, name: &str) -> String {
    format!(
        r#"{{"user_id": {user_id}, "event_id": {event_id}, "timestamp": {timestamp}, "pairs": {{"name": "{name}"}}}}"#
    )
}

/// Posts events as they are written, one request, which must be taken.
fn post_written(app: &mut TestApp, events: &[String]) {
    let body = format!("{{\"events\": [{}]}}", events.join(","));
    app.client()
        .post("/post_events_json", "", body.as_bytes())
        .accepted();
}

fn rejected(app: &TestApp) -> u64 {
    app.metric("onegin_items_rejected_total")
}

fn ended(app: &TestApp, reason: &str) -> u64 {
    app.metric(&format!("onegin_items_ended_total{{reason=\"{reason}\"}}"))
}

/// The times of a CSV row without commas in its text: creation and expiry.
fn times(row: &str) -> (i64, i64) {
    let columns: Vec<&str> = row.split(',').collect();
    (columns[9].parse().unwrap(), columns[10].parse().unwrap())
}

on_each_database! {
    fn digits_in_a_string_are_the_user_and_bypass_neither_cooldown_nor_blacklist(database) {
        let mut app = TestApp::start(database);
        let cooled_down = MessageAttributes {
            cooldown_ms: Some(HOUR_MS),
            ..triggered_by("cooled_down", 100)
        };
        app.message(cooled_down, &[(1, "T", "cooled down")]);
        let turned_off = app.message(triggered_by("turned_off", 100), &[(1, "T", "turned off")]);
        let with_text_id = |mut event: Value| {
            let user = event["user_id"].as_i64().unwrap();
            event["user_id"] = json!(user.to_string());
            event
        };
        app.post_events(&[with_text_id(login(1, 1, "tokA", 1))]);
        app.finish();
        let raid = event(1, 100, json!({}));
        app.post_events(&[raid.clone(), with_text_id(raid.clone()), with_text_id(turn_off(1, &[turned_off.0]))]);
        app.finish();
        // The two events of the batch ask for "turned off" before it is turned off.
        assert_eq!(texts(&app), ["cooled down", "turned off", "turned off"]);
        app.post_events(&[with_text_id(raid.clone()), raid]);
        app.finish();
        assert_eq!(texts(&app).len(), 3);
        assert_eq!(ended(&app, "cooling_down"), 3);
        assert_eq!(ended(&app, "blacklisted"), 2);
        app.post_notifications(&[json!({"login_id": " 1 ", "title": "T", "content": "direct"})]);
        app.finish();
        assert_eq!(texts(&app).len(), 4);
        assert_eq!(rejected(&app), 0);
    }

    fn a_user_id_without_a_fraction_is_taken_and_what_is_no_id_costs_its_item(database) {
        let mut app = app_with_text(database, "{name}");
        let good = ["1", "1.0", "1e0", "\"1\"", "\"+1\"", "\"\\u0031\""];
        let bad = ["null", "\"\"", "\"x\"", "1.5", "\"1.0\"", "true", "[1]", "{}", "4611686018427387904", "1e300"];
        let events: Vec<String> = bad
            .iter()
            .chain(&good)
            .enumerate()
            .map(|(place, user_id)| written(user_id, "100", "1", &format!("{place:02}")))
            .collect();
        post_written(&mut app, &events);
        app.expect_requests(1);
        app.finish();
        assert_eq!(texts(&app), ["10", "11", "12", "13", "14", "15"]);
        assert_eq!(rejected(&app), 10);
        // The same for the built-in events, and at the other URL.
        let logins = ["null", "\"\"", "[]"].map(|user_id| {
            let event = login(2, 1, "tokB", 1).to_string();
            event.replace("\"user_id\":2", &format!("\"user_id\":{user_id}"))
        });
        post_written(&mut app, &logins);
        let notifications = ["null", "\"\"", "1.5"].map(|login_id| {
            format!(r#"{{"login_id": {login_id}, "title": "T", "content": "C"}}"#)
        });
        let body = format!("{{\"notifications\": [{}]}}", notifications.join(","));
        app.client().post("/post_notification_json", "", body.as_bytes()).accepted();
        assert_eq!(rejected(&app), 16);
        assert_eq!(app.metric("onegin_requests_finished_total"), 2, "the login's and the events'");
    }

    fn an_event_id_is_a_number_without_a_fraction(database) {
        let mut app = app_with_text(database, "{name}");
        app.message(triggered_by("one", 1), &[(1, "T", "true is not 1")]);
        let ids = ["100", "100.0", "1e2", "\"100\"", "true", "null", "[100]", "{}", "100.5", "2147483648"];
        let events: Vec<String> = ids
            .iter()
            .enumerate()
            .map(|(place, event_id)| written("1", event_id, "1", &place.to_string()))
            .collect();
        post_written(&mut app, &events);
        app.expect_requests(1);
        app.finish();
        assert_eq!(texts(&app), ["0", "1", "2"]);
        assert_eq!(rejected(&app), 7);
        // A number that nobody handles is taken, and nothing comes of it.
        app.post_events(&[event(1, 4999, json!({})), event(1, -1, json!({}))]);
        app.finish();
        assert_eq!(ended(&app, "no_handler"), 2);
        assert_eq!(texts(&app).len(), 3);
    }

    fn a_timestamp_in_any_form_counts_where_the_message_has_an_expiry(database) {
        let mut app = TestApp::start(database);
        let expiring = MessageAttributes {
            expiry_millis: Some(60_000),
            ..triggered_by("expiring", 100)
        };
        app.message(expiring, &[(1, "T", "{name}")]);
        // An iPhone: FCM keeps nothing for so long.
        app.post_events(&[login(1, 2, IPHONE, 1)]);
        app.finish();
        // Far enough in the future to be delivered; the year is 2255.
        let forms = [
            ("9000000000001", 9_000_000_060_001),
            ("9000000000002.9", 9_000_000_060_002),
            ("9.000000000003e12", 9_000_000_060_003),
            ("\"9000000000004\"", 9_000_000_060_004),
        ];
        for (timestamp, _) in forms {
            post_written(&mut app, &[written("1", "100", timestamp, "n")]);
            app.expect_requests(1);
            app.finish();
        }
        post_written(&mut app, &[written("1", "100", "null", "n")]);
        app.expect_requests(1);
        app.finish();
        let rows = app.csv();
        let expiries: Vec<i64> = rows.iter().take(4).map(|row| times(row).1).collect();
        assert_eq!(expiries, forms.map(|(_, expiry)| expiry));
        // Null is no time: the default life counts from now.
        let (created, expires) = times(&rows[4]);
        assert_eq!(expires - created, 6 * HOUR_MS);
        assert!(rows.iter().all(|row| row.starts_with("0,")), "{rows:?}");
    }

    fn a_timestamp_that_is_no_time_costs_its_item_and_null_only_the_built_in_events(database) {
        let mut app = app_with_text(database, "{name}");
        let forms = ["\"\"", "\"now\"", "true", "[]", "{}", "1e30", "null"];
        let events: Vec<String> = forms
            .iter()
            .enumerate()
            .map(|(place, timestamp)| written("1", "100", timestamp, &place.to_string()))
            .collect();
        post_written(&mut app, &events);
        app.expect_requests(1);
        app.finish();
        assert_eq!(texts(&app), ["6"]);
        assert_eq!(rejected(&app), 6);
        let mut timeless = [login(2, 1, "tokB", 1), turn_off(1, &[1])];
        timeless.iter_mut().for_each(|event| event["timestamp"] = Value::Null);
        app.post_events(&timeless);
        app.finish();
        assert_eq!(ended(&app, "invalid_event"), 2);
        assert_eq!(app.pipeline.storage().login(model::LoginId(2)).unwrap(), None);
    }

    fn pairs_that_are_no_object_cost_their_item_and_absent_ones_are_none(database) {
        let mut app = app_with_text(database, "no parameter");
        for pairs in [Value::Null, json!([]), json!([["name", "x"]]), json!(5), json!("name")] {
            app.client()
                .post("/post_events_json", "", json!({"events": [event(1, 100, pairs)]}).to_string().as_bytes())
                .accepted();
        }
        assert_eq!(rejected(&app), 5);
        app.post_events(&[json!({"user_id": 1, "event_id": 100, "timestamp": 1})]);
        app.finish();
        assert_eq!(texts(&app), ["no parameter"]);
    }

    fn pair_values_look_as_pushkin_wrote_them(database) {
        let mut app = app_with_text(database, "<{name}>");
        let shown = [
            ("5", "<5>"),
            ("1.50", "<1.5>"),
            ("7.0", "<7.0>"),
            ("18446744073709551615", "<18446744073709551615>"),
            ("true", "<True>"),
            ("false", "<False>"),
            ("\"\"", "<>"),
            ("\"{name} {{}}\"", "<{name} {{}}>"),
            ("\"\\u017e\\ud83d\\ude00\\u0000\"", "<ž😀\0>"),
            ("[ \"\\u017e\", 1 ]", "<[u'\\u017e', 1]>"),
            ("{ \"a\": null }", "<{u'a': None}>"),
        ];
        for (place, (value, expected)) in shown.into_iter().enumerate() {
            let event = format!(
                r#"{{"user_id": 1, "event_id": 100, "timestamp": 1, "pairs": {{"name": {value}}}}}"#
            );
            post_written(&mut app, &[event]);
            app.expect_requests(1);
            app.finish();
            let delivered = app.simulator.fcm().delivered();
            assert_eq!(delivered[place].json()["message"]["data"]["message"], expected, "{value}");
        }
        assert_eq!(app.csv().len(), shown.len());
        // Null counts as missing.
        app.post_events(&[event(1, 100, json!({"name": null})), event(1, 100, json!({}))]);
        app.finish();
        assert_eq!(ended(&app, "missing_parameter"), 2);
    }

    fn titles_and_contents_that_are_numbers_are_their_text_and_keep_their_row(database) {
        let mut app = app_with_text(database, "");
        for (title, content, text) in [("5", "1.50", "1.5"), ("true", "7", "7"), ("\"T\"", "false", "False")] {
            let body = format!(
                r#"{{"notifications": [{{"login_id": 1, "title": {title}, "content": {content}}}]}}"#
            );
            app.post("/post_notification_json", body.as_bytes()).accepted();
            app.finish();
            let delivered = app.simulator.fcm().delivered();
            let data = &delivered.last().unwrap().json()["message"]["data"];
            let title = title.trim_matches('"').replace("true", "True");
            assert_eq!((&data["title"], &data["message"]), (&json!(title), &json!(text)));
            let row = app.csv().pop().unwrap();
            assert!(row.starts_with(&format!("0,1,{text},0,1,0,")), "{row}");
        }
    }

    fn titles_and_contents_that_are_empty_or_no_text_cost_their_item(database) {
        let mut app = app_with_text(database, "");
        let bad = ["null", "\"\"", "[]", "{\"a\": 1}"];
        let items: Vec<String> = bad
            .iter()
            .flat_map(|bad| {
                [(*bad, "\"C\""), ("\"T\"", *bad)].map(|(title, content)| {
                    format!(r#"{{"login_id": 1, "title": {title}, "content": {content}}}"#)
                })
            })
            .chain([r#"{"login_id": 1, "title": "T", "content": "good"}"#.to_owned()])
            .collect();
        let body = format!("{{\"notifications\": [{}]}}", items.join(","));
        app.post("/post_notification_json", body.as_bytes()).accepted();
        app.finish();
        assert_eq!(texts(&app), ["good"]);
        assert_eq!(rejected(&app), 8);
    }

    fn the_screen_of_a_notification_reaches_both_push_services_from_both_formats(database) {
        let mut app = app_with_text(database, "");
        app.post_events(&[login(1, 2, IPHONE, 1)]);
        app.finish();
        let notification = |screen: Option<&str>| PushNotification {
            login_id: Some(1),
            title: Some("T".to_owned()),
            content: Some("C".to_owned()),
            screen: screen.map(str::to_owned),
        };
        let batch = BatchNotificationRequest {
            notifications: vec![notification(Some("wire")), notification(None), notification(Some(""))],
        };
        app.post("/post_notification_proto", &batch.encode_to_vec()).accepted();
        app.post_notifications(&[
            json!({"login_id": 1, "title": "T", "content": "C", "screen": "json"}),
            json!({"login_id": 1, "title": "T", "content": "C", "screen": null}),
            json!({"login_id": 1, "title": "T", "content": "C"}),
        ]);
        app.finish();
        let mut screens: Vec<String> = app
            .simulator
            .fcm()
            .delivered()
            .iter()
            .map(|received| received.json()["message"]["data"]["url"].as_str().unwrap().to_owned())
            .collect();
        screens.sort();
        let url = |screen: &str| {
            format!("application_name.com://{screen}?utm_source=pushnotification&utm_campaign=1&utm_medium=0")
        };
        let mut expected = ["", "", "", "", "json", "wire"].map(url).to_vec();
        expected.sort();
        assert_eq!(screens, expected);
        let mut paths: Vec<String> = app
            .simulator
            .apns()
            .delivered()
            .iter()
            .map(|received| received.json()["path"].as_str().unwrap().to_owned())
            .collect();
        paths.sort();
        assert_eq!(paths, ["", "", "", "", "json", "wire"]);
    }
}
