//! Direct notifications: a text for one user, sent as it is.

use processor::EndReason;
use prost::Message;
use proto::pushkin::{BatchNotificationRequest, PushNotification};
use serde_json::{Value, json};

use crate::{
    app::{TestApp, event, login, triggered_by, turn_off},
    observed::{delivered, ended, post_and_ask, rows},
};

fn direct(user: i64) -> Value {
    json!({"login_id": user, "title": "T", "content": "C"})
}

/// The same without a key, or with another value.
fn direct_but(key: &str, value: Option<Value>) -> Value {
    let mut item = direct(1);
    match value {
        Some(value) => item[key] = value,
        None => drop(item.as_object_mut().unwrap().remove(key)),
    }
    item
}

on_each_database! {
    fn a_direct_notification_without_user_title_or_text_is_a_bad_item(database) {
        let mut app = TestApp::start(database);
        app.post_events(&[login(1, 1, "a", 1)]);
        app.finish();
        let items = [
            direct_but("login_id", None),
            direct_but("login_id", Some(json!(null))),
            direct_but("title", None),
            direct_but("title", Some(json!(""))),
            direct_but("title", Some(json!(null))),
            direct_but("content", None),
            direct_but("content", Some(json!(""))),
            direct(1),
        ];
        let (accepted, rejected) = post_and_ask(&mut app, "notifications", &items);
        app.finish();
        assert_eq!(accepted, 1);
        assert_eq!(
            rejected,
            [
                "0: login_id is missing",
                "1: login_id is not a 64-bit integer",
                "2: title is missing",
                "3: title is empty",
                "4: title is empty",
                "5: content is missing",
                "6: content is empty",
            ]
        );
        assert_eq!(delivered(&app), ["a: T|C"]);
    }

    fn a_direct_notification_without_a_screen_has_an_empty_one(database) {
        let mut app = TestApp::start(database);
        app.post_events(&[login(1, 1, "a", 1)]);
        app.finish();
        let with_screen = |screen: Value| direct_but("screen", Some(screen));
        app.post_notifications(&[
            direct(1),
            with_screen(json!("")),
            with_screen(json!(null)),
            with_screen(json!("s")),
        ]);
        app.finish();
        let mut screens: Vec<String> = rows(&app)
            .iter()
            .map(|row| row.screen.to_string())
            .collect();
        screens.sort();
        assert_eq!(screens, ["", "", "", "s"]);
    }

    fn a_direct_notification_is_sent_as_it_is_to_each_device_of_its_user(database) {
        let mut app = TestApp::start_with(database, |setting| {
            setting.config.server.game = "Chess".to_owned();
            setting.config.server.world_id = "world 7".to_owned();
        });
        app.message(triggered_by("hello", 100), &[(1, "T", "C")]);
        let no_language = event(1, 4001, json!({"platformId": 6, "deviceToken": "b"}));
        app.post_events(&[
            event(1, 4001, json!({"platformId": 1, "deviceToken": "a"})),
            no_language,
            turn_off(1, &[0, 1]),
        ]);
        app.finish();
        // No language, no list of unwanted messages and no braces concern it; a bad one in between
        // and one for nobody do not hold it up.
        let braces =
            json!({"login_id": 1, "title": "{name}", "content": "{{C}} {}", "screen": "mail"});
        app.post_notifications(&[
            direct_but("title", None),
            direct(77),
            braces.clone(),
            braces,
        ]);
        app.finish();
        let expected = [
            "a: {name}|{{C}} {}",
            "a: {name}|{{C}} {}",
            "b: {name}|{{C}} {}",
            "b: {name}|{{C}} {}",
        ];
        assert_eq!(delivered(&app), expected);
        assert_eq!(ended(&app, EndReason::NoDevice), 1);
        for row in rows(&app) {
            assert_eq!((row.status, row.login_id, row.message_id), (0, 1, 0));
            assert_eq!((row.campaign_id, &*row.sending_id), (1, "0"));
            assert_eq!((&*row.game, &*row.world_id), ("Chess", "world 7"));
            assert_eq!((&*row.content, &*row.screen), ("{{C}} {}", "mail"));
            assert_eq!(row.time_to_live_ts_bigint - row.time, 6 * 60 * 60 * 1000);
        }
    }

    fn a_dry_run_is_checked_by_fcm_and_logged_but_delivered_to_nobody(database) {
        let mut app = TestApp::start_with(database, |setting| {
            setting.config.messenger.dry_run = true;
        });
        app.post_events(&[login(1, 1, "a", 1)]);
        app.finish();
        app.post_notifications(&[direct_but("screen", Some(json!("mail")))]);
        app.finish();
        assert_eq!(app.simulator.fcm().delivered().len(), 0);
        let received = app.simulator.fcm().received();
        assert!(received[0].validate_only);
        let data = received[0].json()["message"]["data"].clone();
        assert_eq!(
            (&data["title"], &data["message"]),
            (&json!("T"), &json!("C"))
        );
        let url = data["url"].as_str().unwrap();
        assert!(
            url.contains("://mail?") && url.ends_with("&utm_medium=0"),
            "{url}"
        );
        let row = rows(&app).remove(0);
        assert_eq!(
            (row.status, &*row.receiver_id, &*row.screen),
            (0, "a", "mail")
        );
    }

    fn protobuf_notifications_without_user_title_or_text_are_left_out_alone(database) {
        let mut app = TestApp::start(database);
        app.post_events(&[login(1, 1, "a", 1)]);
        app.finish();
        let good = || PushNotification {
            login_id: Some(1),
            title: Some("T".to_owned()),
            content: Some("C".to_owned()),
            screen: None,
        };
        let with = |title: &str, content: &str| PushNotification {
            title: Some(title.to_owned()),
            content: Some(content.to_owned()),
            ..good()
        };
        let notifications = vec![
            PushNotification {
                login_id: None,
                ..good()
            },
            PushNotification {
                title: None,
                ..good()
            },
            PushNotification {
                content: None,
                ..good()
            },
            with("", "C"),
            with("T", ""),
            with("T", "the good one"),
            PushNotification {
                screen: Some(String::new()),
                ..with("T", "the other one")
            },
        ];
        let body = BatchNotificationRequest { notifications }.encode_to_vec();
        app.post("/post_notification_proto", &body).accepted();
        app.finish();
        assert_eq!(delivered(&app), ["a: T|the good one", "a: T|the other one"]);
    }
}
