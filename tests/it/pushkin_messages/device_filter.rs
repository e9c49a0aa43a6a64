//! An event whose pairs name a device: `platform_id` and `device_token`.

use processor::EndReason;
use serde_json::{Value, json};
use storage::MessageAttributes;

use crate::{
    app::{TestApp, event, login, triggered_by, turn_off},
    database::Database,
    observed::{delivered, ended, execute, post_protobuf_event, sent},
};

/// Message "hello" on event 100; user 1 on devices "own" and "other", user 2 on "theirs".
fn prepared(database: Database) -> TestApp {
    let mut app = TestApp::start(database);
    app.message(triggered_by("hello", 100), &[(1, "T", "C")]);
    app.post_events(&[
        login(1, 1, "own", 1),
        login(1, 1, "other", 1),
        login(2, 1, "theirs", 1),
    ]);
    app.finish();
    app
}

/// The devices that user 1's event reaches.
fn reached(app: &mut TestApp, pairs: Value) -> Vec<String> {
    let sent = sent(app, &[event(1, 100, pairs)]);
    sent.into_iter()
        .map(|line| line.replace(": T|C", ""))
        .collect()
}

on_each_database! {
    fn exactly_the_named_device_is_reached_whoever_has_it(database) {
        let mut app = prepared(database);
        let on =
            |platform: Value, token: &str| json!({"platform_id": platform, "device_token": token});
        assert_eq!(reached(&mut app, on(json!(1), "own")), ["own"]);
        assert_eq!(
            reached(&mut app, on(json!(6), "789")),
            ["789"],
            "not in the database"
        );
        assert_eq!(
            reached(&mut app, on(json!(1), "theirs")),
            ["theirs"],
            "someone else's"
        );
        execute(
            &app,
            "UPDATE device SET unregistered_ts = CURRENT_TIMESTAMP WHERE device_token = 'own'",
        );
        assert_eq!(
            reached(&mut app, on(json!("1"), "own")),
            ["own"],
            "unregistered"
        );
        assert_eq!(reached(&mut app, json!({})), ["other"]);
        let row = crate::observed::rows(&app).swap_remove(1);
        assert_eq!(
            (row.login_id, row.platform, &*row.receiver_id),
            (1, 6, "789")
        );
    }

    fn protobuf_clients_name_devices_too(database) {
        let mut app = prepared(database);
        app.simulator.fcm().forget();
        post_protobuf_event(
            &mut app,
            1,
            100,
            &[("platform_id", "6"), ("device_token", "789")],
        );
        app.finish();
        assert_eq!(delivered(&app), ["789: T|C"]);
    }

    fn one_of_the_two_pairs_is_no_filter(database) {
        let mut app = prepared(database);
        for pairs in [
            json!({"platform_id": 6}),
            json!({"platform_id": "x"}),
            json!({"device_token": "789"}),
            json!({"platform_id": null, "device_token": "789"}),
            json!({"platform_id": 6, "device_token": null}),
            // A login's names are others.
            json!({"platformId": 6, "deviceToken": "789"}),
        ] {
            assert_eq!(
                reached(&mut app, pairs.clone()),
                ["other", "own"],
                "{pairs}"
            );
        }
    }

    fn a_filter_that_names_no_device_drops_the_whole_event(database) {
        let mut app = prepared(database);
        app.message(triggered_by("second", 100), &[(1, "T", "C")]);
        let filters = [
            json!({"platform_id": "x", "device_token": "789"}),
            json!({"platform_id": "", "device_token": "789"}),
            json!({"platform_id": [6], "device_token": "789"}),
            json!({"platform_id": true, "device_token": "789"}),
            json!({"platform_id": 40_000, "device_token": "789"}),
            json!({"platform_id": 6, "device_token": 789}),
            json!({"platform_id": 6, "device_token": ""}),
        ];
        for pairs in &filters {
            assert_eq!(reached(&mut app, pairs.clone()), [""; 0], "{pairs}");
        }
        assert_eq!(
            ended(&app, EndReason::InvalidEvent),
            7,
            "once an event, not once a message"
        );
    }

    fn an_unknown_platform_in_a_filter_ends_with_status_4(database) {
        let mut app = prepared(database);
        assert_eq!(
            reached(
                &mut app,
                json!({"platform_id": 99, "device_token": "fridge"})
            ),
            [""; 0]
        );
        let row = crate::observed::rows(&app).remove(0);
        assert_eq!(
            (row.status, row.platform, &*row.receiver_id),
            (4, 99, "fridge")
        );
    }

    fn a_filter_changes_devices_and_nothing_else(database) {
        let mut app = prepared(database);
        let filter = json!({"platform_id": 6, "device_token": "789"});
        let for_user = |user: i64| event(user, 100, filter.clone());
        assert_eq!(
            sent(&mut app, &[for_user(77)]),
            [""; 0],
            "an unknown user has no language"
        );
        assert_eq!(ended(&app, EndReason::UnknownUser), 1);
        assert_eq!(sent(&mut app, &[turn_off(1, &[1]), for_user(1)]), [""; 0]);
        assert_eq!(ended(&app, EndReason::Blacklisted), 1);
        let cooled_down = MessageAttributes {
            cooldown_ms: Some(3_600_000),
            ..triggered_by("hello", 100)
        };
        app.message(cooled_down, &[]);
        assert_eq!(
            sent(&mut app, &[turn_off(1, &[]), for_user(1), for_user(1)]),
            ["789: T|C"]
        );
        assert_eq!(ended(&app, EndReason::CoolingDown), 1);
    }
}
