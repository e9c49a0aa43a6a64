//! What Pushkin did before it asked Google, as it is done now: times to live, dry run, the form
//! of a message, a full queue.

use std::time::UNIX_EPOCH;

use model::Priority;
use serde_json::{Value, json};
use simulator::{Action, Received, Refusal, RetryAfter, Rule, Service};
use storage::MessageAttributes;

use crate::{
    answer_case::{Ends, csv_of, each_user_has_a_device, quick},
    app::{TestApp, event, triggered_by},
    database::Database,
};

const FOUR_WEEKS_SEC: i64 = 2_419_200;

/// A daemon that knows the time by Google's clock, in ms, and has posted one event that came
/// `age_ms` ago of a message that lives for `life_ms`.
fn posted(database: Database, life_ms: i64, age_ms: i64, ends: &Ends) -> (TestApp, Vec<Received>) {
    let mut app = TestApp::start_with(database, |setting| {
        quick(setting, |_| {});
        ends.watch(setting);
    });
    each_user_has_a_device(&mut app, Service::Fcm, 0..=1);
    let mortal = MessageAttributes {
        expiry_millis: Some(life_ms),
        ..triggered_by("mortal", 200)
    };
    app.message(mortal, &[(1, "T", "C")]);
    app.post_events(&[event(0, 100, json!({}))]);
    app.finish();
    let now = now_ms(&app.simulator.fcm().received()[0]);
    app.post_events(&[json!({
        "user_id": 1, "event_id": 200, "timestamp": now - age_ms, "pairs": {}
    })]);
    app.finish();
    let received = app.simulator.fcm().received_from(1);
    (app, received)
}

fn now_ms(received: &Received) -> i64 {
    let since_1970 = received.wall.duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since_1970.as_millis()).unwrap()
}

fn ttl_sec(received: &Received) -> i64 {
    let ttl = received.json()["message"]["android"]["ttl"].clone();
    let seconds = ttl.as_str().and_then(|ttl| ttl.strip_suffix('s')).unwrap();
    seconds.parse().unwrap()
}

on_each_database! {
    fn the_time_to_live_counts_from_the_event_in_whole_seconds_rounded_down(database) {
        // 100.5 s of life, 40 s of which are over: never more than 60, and little less.
        let (app, received) = posted(database, 100_500, 40_000, &Ends::default());
        assert_eq!(received.len(), 1);
        let ttl_sec = ttl_sec(&received[0]);
        assert!((50..=60).contains(&ttl_sec), "{ttl_sec}");
        assert!(csv_of(&app, 1)[0].starts_with("0,"));
    }

    fn what_is_over_ends_with_status_3_and_asks_nobody(database) {
        let (app, received) = posted(database, 1_000, 2_001, &Ends::default());
        assert_eq!(received.len(), 0);
        assert!(csv_of(&app, 1)[0].starts_with("3,1,C,"));
        let ended = "onegin_notifications_ended_total{provider=\"fcm\",outcome=\"expired\"}";
        assert_eq!(app.metric(ended), 1);
    }

    fn four_weeks_are_sent(database) {
        let (app, received) = posted(database, FOUR_WEEKS_SEC * 1000, 0, &Ends::default());
        let ttl_sec = ttl_sec(&received[0]);
        assert!((FOUR_WEEKS_SEC - 10..=FOUR_WEEKS_SEC).contains(&ttl_sec), "{ttl_sec}");
        assert!(csv_of(&app, 1)[0].starts_with("0,"));
    }

    fn more_than_four_weeks_end_with_status_100_and_ask_nobody(database) {
        let ends = Ends::default();
        let life_ms = (FOUR_WEEKS_SEC + 60) * 1000;
        let (app, received) = posted(database, life_ms, 0, &ends);
        assert_eq!(received.len(), 0);
        assert!(csv_of(&app, 1)[0].starts_with("100,1,C,"));
        assert_eq!(ends.of(1)[0].1, "TimeToLiveOutOfRange");
    }

    fn a_wait_beyond_the_expiry_ends_with_status_3_at_once(database) {
        let mut app = TestApp::start_with(database, |setting| quick(setting, |_| {}));
        each_user_has_a_device(&mut app, Service::Fcm, 0..=1);
        let mortal = MessageAttributes {
            expiry_millis: Some(30 * 60 * 1000),
            ..triggered_by("mortal", 200)
        };
        app.message(mortal, &[(1, "T", "C")]);
        app.post_events(&[event(0, 100, json!({}))]);
        app.finish();
        let now = now_ms(&app.simulator.fcm().received()[0]);
        let refusal = Refusal::new(503, "UNAVAILABLE").retry_after(RetryAfter::Seconds(3000));
        app.simulator.script().add(Rule::new(Action::Refuse(refusal)).times(1));
        app.post_events(&[json!({"user_id": 1, "event_id": 200, "timestamp": now, "pairs": {}})]);
        app.finish();
        assert_eq!(app.simulator.fcm().received_from(1).len(), 1, "it is not sent again");
        assert!(csv_of(&app, 1)[0].starts_with("3,1,C,"));
    }

    fn with_dry_run_google_checks_and_no_device_gets_anything(database) {
        let mut app = TestApp::start_with(database, |setting| {
            quick(setting, |_| {});
            setting.config.messenger.dry_run = true;
        });
        each_user_has_a_device(&mut app, Service::Fcm, 1..=1);
        app.post_events(&[event(1, 100, json!({}))]);
        app.finish();
        let received = app.simulator.fcm().received();
        assert_eq!(received.len(), 1, "the request is made");
        assert_eq!(received[0].json()["validate_only"], Value::Bool(true));
        assert_eq!(app.simulator.fcm().delivered().len(), 0);
        assert!(csv_of(&app, 1)[0].starts_with("0,"), "statuses are as usual");
    }

    fn the_request_is_googles_http_v1_with_pushkins_keys(database) {
        let mut app = TestApp::start_with(database, |setting| {
            setting.config.messenger.base_deeplink_url = "mygame".to_owned();
        });
        each_user_has_a_device(&mut app, Service::Fcm, 1..=1);
        let urgent = MessageAttributes {
            screen: "a b/ü?&".to_owned(),
            priority: Priority::High,
            ..triggered_by("urgent", 200)
        };
        app.message(urgent, &[(1, "Tü", "C \"quoted\"")]);
        app.post_events(&[event(1, 200, json!({}))]);
        app.finish();
        let received = app.simulator.fcm().received().remove(0);
        assert_eq!(received.header("content-type"), Some("application/json"));
        let mut body = received.json();
        body["message"]["android"]["ttl"].take();
        assert_eq!(
            body,
            json!({"message": {
                "token": "token-of-000001",
                "data": {
                    "title": "Tü",
                    "message": "C \"quoted\"",
                    "url": "mygame://a b/ü?&?utm_source=pushnotification&utm_campaign=1&utm_medium=2",
                    "notifid": "1"
                },
                "android": {"priority": "HIGH", "ttl": null}
            }}),
            "one token, no collapse key, no notification block, no dry run"
        );
    }

    fn with_drop_what_a_full_sender_queue_turns_away_ends_with_status_5(database) {
        let mut app = TestApp::start_with(database, |setting| {
            quick(setting, |_| {});
            setting.config.sender.sender_queue_limit = 3.try_into().unwrap();
            setting.config.sender.when_full = queue::WhenFull::Drop;
        });
        each_user_has_a_device(&mut app, Service::Fcm, 1..=5);
        app.simulator.fcm().set_online(false);
        let events: Vec<_> = (1..=5).map(|user| event(user, 100, json!({}))).collect();
        app.post_events(&events);
        app.eventually("the overflow is written", || app.csv().len() == 2);
        assert!(app.csv().iter().all(|line| line.starts_with("5,")));
        app.simulator.fcm().set_online(true);
        app.finish();
        assert_eq!(app.simulator.fcm().delivered().len(), 3);
        let line = "onegin_notifications_ended_total{provider=\"fcm\",outcome=\"queue_full\"}";
        assert_eq!(app.metric(line), 2);
    }
}
