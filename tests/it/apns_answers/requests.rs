//! What Pushkin did before it asked Apple, as it is done now: expiry, headers, payload.

use std::time::UNIX_EPOCH;

use model::Priority;
use serde_json::json;
use simulator::{Received, Service};
use storage::MessageAttributes;

use crate::{
    answer_case::{csv_of, each_user_has_a_device, quick, token},
    app::{TestApp, event, login, triggered_by},
    database::Database,
};

fn now_ms(received: &Received) -> i64 {
    let since_1970 = received.wall.duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since_1970.as_millis()).unwrap()
}

/// One event that came `age_ms` ago, of a message that lives for `life_ms`; the time at which
/// that is over, and what Apple saw of it.
fn posted(database: Database, life_ms: i64, age_ms: i64) -> (TestApp, i64, Vec<Received>) {
    let mut app = TestApp::start_with(database, |setting| quick(setting, |_| {}));
    each_user_has_a_device(&mut app, Service::Apns, 0..=1);
    let mortal = MessageAttributes {
        expiry_millis: Some(life_ms),
        ..triggered_by("mortal", 200)
    };
    app.message(mortal, &[(1, "T", "C")]);
    app.post_events(&[event(0, 100, json!({}))]);
    app.finish();
    let timestamp = now_ms(&app.simulator.apns().received()[0]) - age_ms;
    app.post_events(&[json!({
        "user_id": 1, "event_id": 200, "timestamp": timestamp, "pairs": {}
    })]);
    app.finish();
    let received = app.simulator.apns().received_from(1);
    (app, timestamp + life_ms, received)
}

on_each_database! {
    fn apns_expiration_is_the_second_in_which_the_message_expires(database) {
        let (app, expires_at_ms, received) = posted(database, 100_500, 40_000);
        let expiration = (expires_at_ms / 1000).to_string();
        assert_eq!(received[0].header("apns-expiration"), Some(&*expiration));
        assert!(csv_of(&app, 1)[0].starts_with("0,"));
    }

    fn what_is_over_ends_with_status_3_and_asks_nobody(database) {
        let (app, _, received) = posted(database, 1_000, 2_001);
        assert_eq!(received.len(), 0);
        assert!(csv_of(&app, 1)[0].starts_with("3,1,C,"));
        let ended = "onegin_notifications_ended_total{provider=\"apns\",outcome=\"expired\"}";
        assert_eq!(app.metric(ended), 1);
    }

    fn apple_is_asked_about_a_message_that_lives_for_a_year(database) {
        let year_ms = 365 * 86_400_000;
        let (app, expires_at_ms, received) = posted(database, year_ms, 0);
        let expiration = (expires_at_ms / 1000).to_string();
        assert_eq!(received[0].header("apns-expiration"), Some(&*expiration));
        assert!(csv_of(&app, 1)[0].starts_with("0,"));
    }

    fn dry_run_does_not_change_what_apple_gets(database) {
        let mut app = TestApp::start_with(database, |setting| {
            setting.config.messenger.dry_run = true;
        });
        each_user_has_a_device(&mut app, Service::Apns, 1..=1);
        app.post_events(&[event(1, 100, json!({}))]);
        app.finish();
        assert_eq!(app.simulator.apns().delivered().len(), 1);
    }

    fn the_request_has_pushkins_keys_and_the_headers_of_today(database) {
        let mut app = TestApp::start(database);
        each_user_has_a_device(&mut app, Service::Apns, 1..=1);
        // An iPad is Apple's, too.
        app.post_events(&[login(2, 5, &token(Service::Apns, 2), 1)]);
        app.finish();
        let urgent = MessageAttributes {
            screen: "mail/7".to_owned(),
            priority: Priority::High,
            ..triggered_by("urgent", 200)
        };
        app.message(urgent, &[(1, "Tü", "C \"quoted\"")]);
        app.post_events(&[event(1, 200, json!({})), event(2, 200, json!({}))]);
        app.finish();
        let received = app.simulator.apns().received();
        assert_eq!(received.len(), 2);
        for received in &received {
            assert_eq!(
                received.json(),
                json!({
                    "aps": {
                        "alert": {"title": "Tü", "body": "C \"quoted\""},
                        "badge": 1,
                        "sound": "default"
                    },
                    "path": "mail/7",
                    "source": "pushnotification",
                    "campaign": "1",
                    "medium": "2"
                })
            );
            assert_eq!(received.header("apns-priority"), Some("10"));
            assert_eq!(received.header("apns-push-type"), Some("alert"));
            assert_eq!(received.header("apns-topic"), Some("com.example.onegin"));
            assert_eq!(received.header("apns-collapse-id"), None);
            assert_eq!(received.header("apns-id").map(str::len), Some(36));
        }
    }
}
