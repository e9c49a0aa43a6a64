//! Event 4001: who is on which device, in which language.

use model::LoginId;
use processor::EndReason;
use serde_json::{Value, json};

use crate::{
    app::{TestApp, event, login, triggered_by},
    observed::{ended, post_and_ask, post_protobuf_event, sent},
};

/// A login event with exactly these pairs.
fn login_with(user: i64, pairs: Value) -> Value {
    event(user, 4001, pairs)
}

/// What the database has of a user: "language; platform:token:version …", or "nothing".
fn stored(app: &TestApp, user: i64) -> String {
    let storage = app.pipeline.storage();
    let Some(login) = storage.login(LoginId(user)).unwrap() else {
        return "nothing".to_owned();
    };
    let number =
        |number: Option<i32>| number.map_or("none".to_owned(), |number| number.to_string());
    let mut text = number(login.language.map(i32::from));
    text.push(';');
    for device in storage.devices(LoginId(user)).unwrap() {
        let (platform, token) = (device.platform, device.token.as_str());
        let version = number(device.application_version);
        text.push_str(&format!(" {platform}:{token}:{version}"));
    }
    text
}

/// Logs users 1, 2, … in with one list of pairs each, in one POST; what is stored of each.
fn stored_after(app: &mut TestApp, pairs: &[Value]) -> Vec<String> {
    let users = 1..=i64::try_from(pairs.len()).unwrap();
    let logins: Vec<Value> = users
        .clone()
        .zip(pairs)
        .map(|(user, pairs)| login_with(user, pairs.clone()))
        .collect();
    app.post_events(&logins);
    app.finish();
    users.map(|user| stored(app, user)).collect()
}

on_each_database! {
    fn a_login_stores_user_language_device_and_version(database) {
        let mut app = TestApp::start(database);
        let extra = json!({"platformId": 2, "deviceToken": "aB", "languageId": 3, "applicationVersion": 7,
            "deviceId": "x", "worldId": 1});
        assert_eq!(stored_after(&mut app, &[extra]), ["3; 2:aB:7"]);
        post_protobuf_event(
            &mut app,
            2,
            4001,
            &[
                ("platformId", "1"),
                ("deviceToken", "tok"),
                ("languageId", "4"),
                ("applicationVersion", "8"),
            ],
        );
        app.finish();
        assert_eq!(stored(&app, 2), "4; 1:tok:8");
        assert_eq!(ended(&app, EndReason::Recorded), 2);
    }

    fn the_same_login_twice_is_one_device(database) {
        let mut app = TestApp::start(database);
        app.post_events(&[login(1, 1, "a", 1), login(1, 1, "a", 1)]);
        app.post_events(&[login(1, 1, "a", 1)]);
        app.finish();
        assert_eq!(stored(&app, 1), "1; 1:a:1");
    }

    fn another_platform_or_another_token_is_another_device(database) {
        let mut app = TestApp::start(database);
        app.post_events(&[
            login(1, 1, "a", 1),
            login(1, 6, "a", 1),
            login(1, 1, "b", 1),
        ]);
        app.finish();
        assert_eq!(stored(&app, 1), "1; 1:a:1 6:a:1 1:b:1");
    }

    fn a_login_without_a_version_is_stored_without_one(database) {
        let mut app = TestApp::start(database);
        let pairs = [
            json!({"platformId": 1, "deviceToken": "a", "languageId": 1}),
            json!({"platformId": 1, "deviceToken": "b", "languageId": 1, "applicationVersion": null}),
        ];
        assert_eq!(
            stored_after(&mut app, &pairs),
            ["1; 1:a:none", "1; 1:b:none"]
        );
    }

    fn a_login_without_a_language_keeps_the_stored_one(database) {
        let mut app = TestApp::start(database);
        app.message(
            triggered_by("hello", 100),
            &[(1, "T", "english"), (2, "T", "deutsch")],
        );
        app.post_events(&[login(1, 1, "a", 2)]);
        app.finish();
        let silent = json!({"platformId": 1, "deviceToken": "a", "applicationVersion": 9});
        let null = json!({"platformId": 1, "deviceToken": "b", "languageId": null});
        assert_eq!(
            stored_after(&mut app, &[silent, null]),
            ["2; 1:a:9", "none; 1:b:none"]
        );
        let both = [event(1, 100, json!({})), event(2, 100, json!({}))];
        assert_eq!(sent(&mut app, &both), ["a: T|deutsch"]);
        assert_eq!(ended(&app, EndReason::UnknownUser), 1);
    }

    fn a_login_without_a_token_or_with_an_empty_one_stores_no_device(database) {
        let mut app = TestApp::start(database);
        let pairs = [
            json!({"platformId": 1, "languageId": 1, "applicationVersion": 1}),
            json!({"platformId": 1, "languageId": 2, "deviceToken": "", "applicationVersion": 1}),
            json!({"platformId": 1, "languageId": 3, "deviceToken": null, "applicationVersion": 1}),
        ];
        assert_eq!(stored_after(&mut app, &pairs), ["1;", "2;", "3;"]);
        assert_eq!(ended(&app, EndReason::InvalidEvent), 0);
    }

    fn any_platform_of_16_bits_is_stored_and_ends_with_status_4_if_nobody_knows_it(database) {
        let mut app = TestApp::start(database);
        app.message(triggered_by("hello", 100), &[(1, "T", "C")]);
        let device =
            |platform: i32| json!({"platformId": platform, "deviceToken": "a", "languageId": 1});
        let platforms = [
            device(99),
            device(-1),
            device(32_767),
            device(32_768),
            device(-32_769),
        ];
        let stored = stored_after(&mut app, &platforms);
        assert_eq!(
            stored,
            [
                "1; 99:a:none",
                "1; -1:a:none",
                "1; 32767:a:none",
                "nothing",
                "nothing"
            ]
        );
        app.post_events(&[event(1, 100, json!({}))]);
        app.finish();
        assert!(app.csv()[0].starts_with("4,1,C,1,"), "{:?}", app.csv());
    }

    fn numbers_are_read_from_every_form_that_means_one(database) {
        let mut app = TestApp::start(database);
        let pairs = [
            json!({"platformId": 1.5, "deviceToken": "a", "applicationVersion": "+5"}),
            json!({"platformId": " 2 ", "deviceToken": "b", "applicationVersion": 7.0}),
            json!({"platformId": "6", "deviceToken": "c", "applicationVersion": "-7", "languageId": "\t3\n"}),
            json!({"platformId": 1.0, "deviceToken": "d", "applicationVersion": "007", "languageId": 2.4}),
        ];
        assert_eq!(
            stored_after(&mut app, &pairs),
            ["none; 2:a:5", "none; 2:b:7", "3; 6:c:-7", "2; 1:d:7"]
        );
    }

    fn a_value_that_means_no_number_makes_the_login_invalid_and_the_rest_is_taken(database) {
        let mut app = TestApp::start(database);
        let with = |key: &str, value: Value| {
            let mut pairs = json!({"platformId": 1, "deviceToken": "a", "languageId": 1, "applicationVersion": 1});
            pairs[key] = value;
            pairs
        };
        let mut pairs = vec![json!({}), json!({"deviceToken": "a", "languageId": 1})];
        let no_numbers = [
            json!(""),
            json!("asd"),
            json!("1.5"),
            json!("0x1"),
            json!("1 2"),
            json!(true),
            json!([1]),
            json!({"a": 1}),
            json!("1e3"),
            json!(1e300),
        ];
        for key in ["platformId", "languageId", "applicationVersion"] {
            pairs.extend(no_numbers.iter().map(|value| with(key, value.clone())));
        }
        pairs.push(with("platformId", Value::Null));
        pairs.push(with("languageId", json!("en")));
        pairs.push(with("languageId", json!(40_000)));
        pairs.push(with("languageId", json!("-32769")));
        pairs.push(with("applicationVersion", json!(3_000_000_000_i64)));
        let invalid = pairs.len();
        pairs.push(with("platformId", json!(1)));
        let stored = stored_after(&mut app, &pairs);
        assert!(
            stored[..invalid].iter().all(|stored| stored == "nothing"),
            "{stored:?}"
        );
        assert_eq!(stored[invalid], "1; 1:a:1");
        assert_eq!(
            ended(&app, EndReason::InvalidEvent),
            u64::try_from(invalid).unwrap()
        );
    }

    fn a_token_that_is_no_text_or_cannot_be_stored_makes_the_login_invalid(database) {
        let mut app = TestApp::start(database);
        let tokens = [
            json!(123),
            json!(1.5),
            json!(true),
            json!(["a"]),
            json!({"a": 1}),
            json!("a\u{0}b"),
            json!("a".repeat(2_049)),
        ];
        let mut pairs: Vec<Value> = tokens
            .iter()
            .map(|token| json!({"platformId": 1, "deviceToken": token}))
            .collect();
        pairs.push(json!({"platformId": 1, "deviceToken": "good"}));
        let stored = stored_after(&mut app, &pairs);
        assert!(
            stored[..7].iter().all(|stored| stored == "nothing"),
            "{stored:?}"
        );
        assert_eq!(stored[7], "none; 1:good:none");
        assert_eq!(ended(&app, EndReason::InvalidEvent), 7);
    }

    fn a_login_says_who_and_when(database) {
        let mut app = TestApp::start(database);
        let pairs = json!({"platformId": 1, "deviceToken": "a"});
        let items = [
            json!({"event_id": 4001, "timestamp": 1, "pairs": pairs}),
            json!({"user_id": null, "event_id": 4001, "timestamp": 1, "pairs": pairs}),
            json!({"user_id": 3, "event_id": 4001, "pairs": pairs}),
            json!({"user_id": 4, "event_id": 4001, "timestamp": null, "pairs": pairs}),
            json!({"user_id": 5, "event_id": 4001, "timestamp": 0, "pairs": pairs}),
        ];
        let (accepted, rejected) = post_and_ask(&mut app, "events", &items);
        app.finish();
        assert_eq!(accepted, 2);
        assert_eq!(
            rejected,
            [
                "0: user_id is missing",
                "1: user_id is not a 64-bit integer",
                "2: timestamp is missing"
            ]
        );
        assert_eq!(
            [3, 4, 5].map(|user| stored(&app, user)),
            ["nothing", "nothing", "none; 1:a:none"]
        );
        assert_eq!(ended(&app, EndReason::InvalidEvent), 1);
    }

    fn the_configured_limits_hold_for_logins(database) {
        let mut app = TestApp::start_with(database, |setting| {
            setting.config.database.max_devices_per_user = 2.try_into().unwrap();
            setting.config.database.max_users_per_device = 1.try_into().unwrap();
        });
        app.post_events(&[
            login(1, 1, "a", 1),
            login(1, 1, "b", 1),
            login(1, 1, "c", 1),
            login(2, 1, "c", 1),
        ]);
        app.finish();
        assert_eq!([stored(&app, 1), stored(&app, 2)], ["1; 1:b:1", "1; 1:c:1"]);
    }

    fn a_message_on_the_login_event_reaches_the_device_that_just_logged_in(database) {
        let mut app = TestApp::start(database);
        app.message(triggered_by("welcome", 4001), &[(1, "T", "Welcome")]);
        let before = event(1, 4001, json!({"platformId": 1}));
        assert_eq!(
            sent(&mut app, &[before, login(1, 1, "new", 1)]),
            ["new: T|Welcome"]
        );
    }

    fn a_message_on_the_login_event_is_not_sent_when_the_login_is_invalid(database) {
        let mut app = TestApp::start(database);
        app.message(triggered_by("welcome", 4001), &[(1, "T", "Welcome")]);
        assert_eq!(sent(&mut app, &[login(1, 1, "a", 1)]), ["a: T|Welcome"]);
        let invalid = [
            login_with(1, json!({})),
            login_with(1, json!({"platformId": "asd"})),
            login_with(
                1,
                json!({"platformId": 1, "deviceToken": "a".repeat(2_049)}),
            ),
        ];
        assert_eq!(sent(&mut app, &invalid), [""; 0]);
        assert_eq!(ended(&app, EndReason::InvalidEvent), 3);
    }
}
