//! Pushkin's examples, posted by Pushkin's kinds of clients, arrive as pipeline payloads.

use std::process::Command;

use model::Priority;
use serde_json::{Value, json};
use simulator::Service;
use storage::MessageAttributes;

use crate::{
    app::{LIMIT, TestApp, event, eventually, login, triggered_by, turn_off},
    database::{Database, skipped},
};

const IPHONE: &str = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0";

/// The message of Pushkin's golden samples.
fn golden_message(app: &TestApp) {
    let attributes = MessageAttributes {
        screen: "scr1".to_owned(),
        ..triggered_by("hello", 100)
    };
    app.message(attributes, &[(1, "T", "Hello, world")]);
}

/// An FCM message without its device, whose time to live depends on the clock.
fn fcm_message(received: &simulator::Received) -> Value {
    let mut body = received.json();
    let ttl = body["message"]["android"]["ttl"].take();
    let seconds = ttl.as_str().and_then(|ttl| ttl.strip_suffix('s')).unwrap();
    let seconds: i64 = seconds.parse().unwrap();
    assert!((21_500..=21_600).contains(&seconds), "6 h, not {seconds} s");
    body
}

/// A CSV row with the two times, which depend on the clock, checked and cut out.
fn row_without_times(line: &str) -> String {
    let mut columns: Vec<&str> = line.split(',').collect();
    // `Hello\, world` is one column in two pieces.
    let time = columns
        .iter()
        .position(|column| column.len() == 13)
        .unwrap();
    let created: i64 = columns.remove(time).parse().unwrap();
    let expires: i64 = columns.remove(time).parse().unwrap();
    assert_eq!(expires - created, 6 * 60 * 60 * 1000);
    columns.join(",")
}

on_each_database! {
    fn the_golden_event_arrives_on_android_and_iphone(database) {
        let mut app = TestApp::start(database);
        golden_message(&app);
        app.post_events(&[login(1, 1, "tokA", 1), login(1, 2, IPHONE, 1)]);
        app.finish();
        app.post_events(&[event(1, 100, json!({}))]);
        app.finish();

        let android = app.simulator.fcm().delivered();
        assert_eq!(android.len(), 1);
        assert_eq!(
            fcm_message(&android[0]),
            json!({"message": {
                "token": "tokA",
                "data": {
                    "title": "T",
                    "message": "Hello, world",
                    "url": "application_name.com://scr1?utm_source=pushnotification&utm_campaign=1&utm_medium=1",
                    "notifid": "1"
                },
                "android": {"priority": "NORMAL", "ttl": null}
            }})
        );
        let iphone = app.simulator.apns().delivered();
        assert_eq!(iphone.len(), 1);
        assert_eq!(iphone[0].token, IPHONE);
        assert_eq!(
            iphone[0].json(),
            json!({
                "aps": {
                    "alert": {"title": "T", "body": "Hello, world"},
                    "badge": 1,
                    "sound": "default"
                },
                "path": "scr1",
                "source": "pushnotification",
                "campaign": "1",
                "medium": "1"
            })
        );
        assert_eq!(iphone[0].header("apns-push-type"), Some("alert"));
        assert_eq!(iphone[0].header("apns-priority"), Some("5"));
        assert_eq!(iphone[0].header("apns-topic"), Some("com.example.onegin"));

        let mut rows: Vec<String> = app.csv().iter().map(|line| row_without_times(line)).collect();
        rows.sort();
        assert_eq!(
            rows,
            [
                "0,1,Hello\\, world,1,1,0,GameName,1,scr1,1,tokA".to_owned(),
                format!("0,1,Hello\\, world,1,1,0,GameName,1,scr1,2,{IPHONE}"),
            ]
        );
    }

    fn a_direct_notification_carries_its_screen_and_no_message(database) {
        let mut app = TestApp::start(database);
        app.post_events(&[login(7, 1, "tokA", 1)]);
        app.finish();
        app.post_notifications(&[
            json!({"login_id": 7, "title": "T", "content": "C", "screen": "mail/7"}),
            json!({"login_id": 7, "title": "T", "content": "no screen"}),
        ]);
        app.finish();
        let mut urls: Vec<Value> = app
            .simulator
            .fcm()
            .delivered()
            .iter()
            .map(|received| received.json()["message"]["data"]["url"].clone())
            .collect();
        urls.sort_by_key(ToString::to_string);
        assert_eq!(
            urls,
            [
                "application_name.com://?utm_source=pushnotification&utm_campaign=1&utm_medium=0",
                "application_name.com://mail/7?utm_source=pushnotification&utm_campaign=1&utm_medium=0"
            ]
        );
    }

    fn high_priority_wakes_the_device(database) {
        let mut app = TestApp::start(database);
        let attributes = MessageAttributes {
            priority: Priority::High,
            ..triggered_by("raid", 100)
        };
        app.message(attributes, &[(1, "T", "C")]);
        app.post_events(&[login(1, 6, "tablet", 1), login(1, 5, IPHONE, 1), event(1, 100, json!({}))]);
        app.finish();
        let android = &app.simulator.fcm().delivered()[0];
        assert_eq!(android.json()["message"]["android"]["priority"], "HIGH");
        let ipad = &app.simulator.apns().delivered()[0];
        assert_eq!(ipad.header("apns-priority"), Some("10"));
    }

    fn users_read_their_language_or_else_language_1(database) {
        let mut app = TestApp::start(database);
        let texts = [(1, "Hi {name}", "english"), (2, "Hallo {name}", "deutsch")];
        app.message(triggered_by("hello", 100), &texts);
        app.post_events(&[
            login(1, 1, "english", 1),
            login(2, 1, "german", 2),
            login(3, 1, "french", 3),
        ]);
        app.finish();
        let name = json!({"name": "Ana"});
        app.post_events(&[1, 2, 3, 4].map(|user| event(user, 100, name.clone())));
        app.finish();
        let mut seen: Vec<(String, String)> = app
            .simulator
            .fcm()
            .delivered()
            .iter()
            .map(|received| {
                let data = &received.json()["message"]["data"];
                (received.token.clone(), format!("{}: {}", data["title"], data["message"]))
            })
            .collect();
        seen.sort();
        let english = "\"Hi Ana\": \"english\"".to_owned();
        assert_eq!(
            seen,
            [
                ("english".to_owned(), english.clone()),
                ("french".to_owned(), english),
                ("german".to_owned(), "\"Hallo Ana\": \"deutsch\"".to_owned()),
            ]
        );
        assert_eq!(app.metric("onegin_items_ended_total{reason=\"unknown_user\"}"), 1);
    }

    fn a_turned_off_message_is_not_sent_until_it_is_turned_on_again(database) {
        let mut app = TestApp::start(database);
        let message = app.message(triggered_by("hello", 100), &[(1, "T", "C")]);
        app.post_events(&[login(1, 1, "tokA", 1), turn_off(1, &[message.0])]);
        app.finish();
        app.post_events(&[event(1, 100, json!({}))]);
        app.finish();
        assert_eq!(app.simulator.fcm().delivered().len(), 0);
        app.post_events(&[turn_off(1, &[]), event(1, 100, json!({}))]);
        app.finish();
        assert_eq!(app.simulator.fcm().delivered().len(), 1);
    }

    fn a_bad_item_is_told_and_the_rest_is_taken(database) {
        let mut app = TestApp::start(database);
        golden_message(&app);
        app.post_events(&[login(1, 1, "tokA", 1)]);
        app.finish();
        let body = json!({"events": [{"user_id": 1}, event(1, 100, json!({})), 5]}).to_string();
        let headers = "Accept: application/json\r\n";
        let answer = app.client().post("/post_events_json", headers, body.as_bytes());
        app.expect_requests(1);
        assert_eq!(answer.status, 200);
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(answer["accepted"], 1);
        let rejected: Vec<&Value> =
            answer["rejected"].as_array().unwrap().iter().map(|item| &item["index"]).collect();
        assert_eq!(rejected, [0, 2]);
        app.finish();
        assert_eq!(app.simulator.fcm().delivered().len(), 1);
    }

    fn the_device_filter_reaches_exactly_that_device(database) {
        let mut app = TestApp::start(database);
        golden_message(&app);
        app.post_events(&[login(1, 1, "registered", 1)]);
        app.finish();
        let filter = json!({"platform_id": 6, "device_token": "789"});
        app.post_events(&[event(1, 100, filter)]);
        app.finish();
        let tokens: Vec<String> =
            app.simulator.fcm().delivered().into_iter().map(|received| received.token).collect();
        assert_eq!(tokens, ["789"]);
    }

    fn a_dead_token_gets_nothing_more_until_its_next_login(database) {
        let mut app = TestApp::start(database);
        golden_message(&app);
        let gone = simulator::Refusal::new(410, "Unregistered");
        app.simulator.script().add(
            simulator::Rule::new(simulator::Action::Refuse(gone)).service(Service::Apns).times(1),
        );
        app.post_events(&[login(1, 2, IPHONE, 1)]);
        app.finish();
        app.post_events(&[event(1, 100, json!({}))]);
        app.finish();
        assert!(app.csv()[0].starts_with("201,1,"), "{:?}", app.csv());
        app.eventually("the token is dead", || app.is_unregistered(1));
        app.post_events(&[event(1, 100, json!({}))]);
        app.finish();
        assert_eq!(app.simulator.apns().received().len(), 1);
        app.post_events(&[login(1, 2, IPHONE, 1)]);
        app.finish();
        app.post_events(&[event(1, 100, json!({}))]);
        app.finish();
        assert_eq!(app.simulator.apns().delivered().len(), 1);
    }

    fn an_unknown_platform_ends_with_status_4(database) {
        let mut app = TestApp::start(database);
        golden_message(&app);
        app.post_events(&[login(1, 99, "fridge", 1), event(1, 100, json!({}))]);
        app.finish();
        assert!(app.csv()[0].starts_with("4,1,"), "{:?}", app.csv());
        let ended = "onegin_notifications_ended_total{provider=\"none\",outcome=\"unknown_platform\"}";
        assert_eq!(app.metric(ended), 1);
    }
}

#[test]
fn curl_posts_pushkins_json_example() {
    let app = TestApp::start(Database::Sqlite);
    golden_message(&app);
    let mut app = app;
    app.post_events(&[login(1, 1, "tokA", 1)]);
    app.finish();
    let url = format!("http://{}/post_events_json", app.pipeline.address());
    let body =
        r#"{"events": [{"user_id": 1, "event_id": 100, "timestamp": 1795293388117, "pairs": {}}]}"#;
    // curl's own Content-Type for -d is a form; nobody looks at it.
    let curl = Command::new("curl")
        .args(["-sS", "-w", "%{http_code}", "-d", body, &url])
        .output();
    let Ok(output) = curl else {
        skipped("posting with curl, there is none on this machine");
        return;
    };
    assert_eq!(String::from_utf8_lossy(&output.stdout), "200");
    app.expect_requests(1);
    app.finish();
    assert_eq!(app.simulator.fcm().delivered().len(), 1);
    let rows: Vec<String> = app
        .csv()
        .iter()
        .map(|line| row_without_times(line))
        .collect();
    assert_eq!(rows, [r"0,1,Hello\, world,1,1,0,GameName,1,scr1,1,tokA"]);
}

#[test]
fn a_python_protobuf_client_posts_both_batches() {
    let Ok(python) = std::env::var("ONEGIN_TEST_PYTHON") else {
        skipped(
            "posting with Python, ONEGIN_TEST_PYTHON does not name a Python with protobuf and grpcio-tools",
        );
        return;
    };
    let app = TestApp::start(Database::Sqlite);
    app.message(
        triggered_by("raid", 100),
        &[(1, "Raid in {world_name}", "Hurry, {world_name} burns!")],
    );
    let root = env!("CARGO_MANIFEST_DIR");
    let output = Command::new(python)
        .arg(format!("{root}/tests/python/pushkin_client.py"))
        .arg(format!("http://{}", app.pipeline.address()))
        .arg(format!("{root}/crates/proto/proto"))
        .arg("1338")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    app.simulator.fcm().wait_for_delivered(2, LIMIT).unwrap();
    let mut seen: Vec<Value> = app
        .simulator
        .fcm()
        .delivered()
        .iter()
        .map(|received| received.json()["message"]["data"]["message"].clone())
        .collect();
    seen.sort_by_key(ToString::to_string);
    assert_eq!(seen, ["From Python, ćao", "Hurry, Šumadija burns!"]);
    eventually("both rows are written", || app.csv().len() == 2);
    let mut rows: Vec<String> = app
        .csv()
        .iter()
        .map(|line| row_without_times(line))
        .collect();
    rows.sort();
    assert_eq!(
        rows,
        [
            r"0,1338,From Python\, ćao,0,1,0,GameName,1,mail,1,tokP",
            r"0,1338,Hurry\, Šumadija burns!,1,1,0,GameName,1,,1,tokP",
        ]
    );
}
