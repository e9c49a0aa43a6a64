//! What a notification carries, and to which devices of its user it goes.

use model::Priority;
use notification_log::Row;
use serde_json::{Value, json};
use storage::MessageAttributes;

use crate::{
    app::{TestApp, event, login, triggered_by},
    database::Database,
    observed::{execute, rows, sent},
};

const SIX_HOURS_MS: i64 = 6 * 60 * 60 * 1000;
/// A device token as Apple's are.
const HEX: &str = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0";

/// User 1 on Android "a"; messages "forever" on 100 and "a minute" on 200.
fn prepared(database: Database) -> TestApp {
    let mut app = TestApp::start(database);
    app.message(triggered_by("forever", 100), &[(1, "T", "C")]);
    let minute = MessageAttributes {
        expiry_millis: Some(60_000),
        ..triggered_by("a minute", 200)
    };
    app.message(minute, &[(1, "T", "C")]);
    app.post_events(&[login(1, 1, "a", 1)]);
    app.finish();
    app
}

/// The time by the daemon's clock, taken from a notification that it made.
fn daemons_time(app: &mut TestApp) -> i64 {
    app.post_notifications(&[json!({"login_id": 1, "title": "T", "content": "C"})]);
    app.finish();
    rows(app).pop().unwrap().time
}

/// The newest row after an event at a time.
fn row_of(app: &mut TestApp, event_id: i32, timestamp: Value) -> Row<'static> {
    let event = json!({"user_id": 1, "event_id": event_id, "timestamp": timestamp});
    sent(app, &[event]);
    rows(app).pop().unwrap()
}

on_each_database! {
    fn an_events_notification_has_all_of_pushkins_fields(database) {
        let mut app = TestApp::start_with(database, |setting| {
            setting.config.server.game = "Chess, 3D".to_owned();
            setting.config.server.world_id = "7".to_owned();
        });
        let attributes = MessageAttributes {
            screen: "scr,1".to_owned(),
            priority: Priority::High,
            ..triggered_by("hello", 100)
        };
        app.message(attributes, &[(1, "T", "Hello, {name}")]);
        app.post_events(&[login(1, 1, "a", 1), event(1, 100, json!({"name": "Ana"}))]);
        app.finish();
        let row = rows(&app).remove(0);
        let expected = Row {
            status: 0,
            login_id: 1,
            content: "Hello, Ana".into(),
            message_id: 1,
            campaign_id: 1,
            sending_id: "0".into(),
            game: "Chess, 3D".into(),
            world_id: "7".into(),
            screen: "scr,1".into(),
            time: row.time,
            time_to_live_ts_bigint: row.time + SIX_HOURS_MS,
            platform: 1,
            receiver_id: "a".into(),
        };
        assert_eq!(row, expected);
        let message = &app.simulator.fcm().delivered()[0].json()["message"];
        assert_eq!(message["data"]["title"], "T");
        assert_eq!(message["data"]["notifid"], "1");
        assert_eq!(message["android"]["priority"], "HIGH");
    }

    fn a_message_lives_from_its_events_time_on(database) {
        let mut app = prepared(database);
        app.post_events(&[login(1, 2, HEX, 1)]);
        app.finish();
        let time = daemons_time(&mut app) + 5_000;
        app.simulator.apns().forget();
        let row = row_of(&mut app, 200, json!(time));
        assert_eq!((row.status, row.time_to_live_ts_bigint), (0, time + 60_000));
        assert!(
            (time - 60_000..time + 60_000).contains(&row.time),
            "made now, not then: {row:?}"
        );
        let expiration = ((time + 60_000) / 1000).to_string();
        let iphone = app.simulator.apns().delivered();
        assert_eq!(
            iphone[0].header("apns-expiration"),
            Some(expiration.as_str())
        );
        let android = app.simulator.fcm().delivered()[0].json();
        let ttl = android["message"]["android"]["ttl"].as_str().unwrap();
        let ttl_sec: i64 = ttl.strip_suffix('s').unwrap().parse().unwrap();
        let life_sec = (time + 60_000 - row.time) / 1000;
        assert!((0..=life_sec).contains(&ttl_sec), "{ttl} of {life_sec} s");
        // Digits and floats are times too.
        let row = row_of(&mut app, 200, json!(time.to_string()));
        assert_eq!(row.time_to_live_ts_bigint, time + 60_000);
        let as_float: f64 = format!("{time}.75").parse().unwrap();
        let row = row_of(&mut app, 200, json!(as_float));
        assert_eq!(row.time_to_live_ts_bigint, time + 60_000);
    }

    fn without_an_expiry_or_a_time_it_lives_for_6_hours_from_now(database) {
        let mut app = prepared(database);
        for (event_id, timestamp) in [(100, json!(1)), (100, json!(null)), (200, json!(null))] {
            let row = row_of(&mut app, event_id, timestamp);
            assert_eq!(
                (row.status, row.time_to_live_ts_bigint),
                (0, row.time + SIX_HOURS_MS),
                "{event_id}"
            );
        }
        daemons_time(&mut app);
        let direct = rows(&app).pop().unwrap();
        assert_eq!(
            (direct.message_id, direct.time_to_live_ts_bigint),
            (0, direct.time + SIX_HOURS_MS)
        );
    }

    fn an_event_older_than_its_messages_expiry_ends_with_status_3_and_is_not_sent(database) {
        let mut app = prepared(database);
        let time = daemons_time(&mut app) - 60_001;
        let row = row_of(&mut app, 200, json!(time));
        assert_eq!((row.status, row.time_to_live_ts_bigint), (3, time + 60_000));
        assert_eq!(app.simulator.fcm().received().len(), 0);
    }

    fn a_messages_priority_is_normal_or_high_and_a_direct_ones_normal(database) {
        let mut app = prepared(database);
        app.post_events(&[login(1, 2, HEX, 1)]);
        app.finish();
        let priorities = |app: &mut TestApp, event_id: i32| -> (String, String) {
            app.simulator.apns().forget();
            sent(app, &[event(1, event_id, json!({}))]);
            let android = app.simulator.fcm().delivered()[0].json();
            let iphone = app.simulator.apns().delivered();
            let android = android["message"]["android"]["priority"]
                .as_str()
                .unwrap()
                .to_owned();
            (
                android,
                iphone[0].header("apns-priority").unwrap().to_owned(),
            )
        };
        let normal = ("NORMAL".to_owned(), "5".to_owned());
        assert_eq!(priorities(&mut app, 100), normal);
        app.message(
            MessageAttributes {
                priority: Priority::High,
                ..triggered_by("forever", 100)
            },
            &[],
        );
        assert_eq!(
            priorities(&mut app, 100),
            ("HIGH".to_owned(), "10".to_owned())
        );
        app.message(triggered_by("forever", 100), &[]);
        assert_eq!(priorities(&mut app, 100), normal, "changed back");
        // Pushkin passed any word on; one that nobody knows is normal here.
        execute(&app, "UPDATE message SET priority = 'urgent'");
        app.pipeline.storage().reload_catalogue().unwrap();
        assert_eq!(priorities(&mut app, 100), normal);
        app.simulator.fcm().forget();
        daemons_time(&mut app);
        let direct = app.simulator.fcm().delivered()[0].json();
        assert_eq!(direct["message"]["android"]["priority"], "NORMAL");
    }

    fn a_token_is_reached_once_per_push_service_on_its_lowest_platform(database) {
        let mut app = prepared(database);
        execute(&app, "DELETE FROM device");
        let devices = [
            (6, "tok"),
            (1, "tok"),
            (5, HEX),
            (2, HEX),
            (99, "tok"),
            (98, "tok"),
            (6, "more"),
        ];
        let logins: Vec<Value> = devices
            .iter()
            .map(|(platform, token)| login(1, *platform, token, 1))
            .collect();
        app.post_events(&logins);
        app.finish();
        app.post_events(&[event(1, 100, json!({}))]);
        app.finish();
        let mut reached: Vec<String> = rows(&app)
            .iter()
            .map(|row| format!("{} {} {}", row.status, row.platform, row.receiver_id))
            .collect();
        reached.sort();
        let iphone = format!("0 2 {HEX}");
        assert_eq!(
            reached,
            ["0 1 tok", &iphone, "0 6 more", "4 98 tok", "4 99 tok"]
        );
    }

    fn a_replaced_token_counts_instead_of_its_old_one(database) {
        let mut app = prepared(database);
        execute(&app, "DELETE FROM device");
        app.post_events(&[
            login(1, 1, "old", 1),
            login(1, 1, "00ab", 1),
            login(1, 2, "000c", 1),
            login(1, 5, "000d", 1),
            login(1, 1, "dead", 1),
        ]);
        app.finish();
        execute(
            &app,
            "UPDATE device SET device_token_new = '00ab' WHERE device_token IN ('old', '000c', '000d')",
        );
        execute(
            &app,
            "UPDATE device SET unregistered_ts = CURRENT_TIMESTAMP WHERE device_token = 'dead'",
        );
        app.post_events(&[event(1, 100, json!({}))]);
        app.finish();
        let mut reached: Vec<String> = rows(&app)
            .iter()
            .map(|row| format!("{} {} {}", row.status, row.platform, row.receiver_id))
            .collect();
        reached.sort();
        assert_eq!(reached, ["0 1 00ab", "0 2 00ab"]);
    }
}
