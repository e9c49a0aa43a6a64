//! Keys whose effect shows only in what is delivered.

use model::LoginId;
use serde_json::{Value, json};

use crate::app::{TestApp, event, login, triggered_by};

/// Logs user 7 in on an Android phone and posts an event that triggers a message.
fn raid(app: &mut TestApp) {
    app.message(triggered_by("raid", 100), &[(1, "T", "C")]);
    app.post_events(&[login(7, 1, "phone", 1)]);
    app.finish();
    app.post_events(&[event(7, 100, json!({}))]);
    app.finish();
}

fn with_event_id(mut event: Value, id: i32) -> Value {
    event["event_id"] = id.into();
    event
}

on_each_database! {
    fn dry_run_asks_fcm_to_check_and_to_deliver_nothing(database) {
        let mut app = TestApp::start_with(database, |setting| {
            setting.config.messenger.dry_run = true;
        });
        raid(&mut app);
        let received = app.simulator.fcm().received();
        assert_eq!(received.len(), 1);
        assert!(received[0].validate_only);
        assert_eq!(app.simulator.fcm().counters().delivered, 0);
        assert!(app.csv()[0].starts_with("0,7,C,"), "{:?}", app.csv());
    }

    fn the_events_of_login_and_turning_off_are_the_configured_ones(database) {
        let mut app = TestApp::start_with(database, |setting| {
            setting.config.event.login_event_id = 11;
            setting.config.event.turn_off_notification_event_id = 12;
        });
        let id = app.message(triggered_by("raid", 100), &[(1, "T", "C")]);
        let usual = login(1, 1, "usual", 1);
        let configured = with_event_id(login(2, 1, "configured", 1), 11);
        app.post_events(&[usual, configured]);
        app.finish();
        let everybody = [1, 2].map(|user| event(user, 100, json!({})));
        app.post_events(&everybody);
        app.finish();
        let tokens = |app: &TestApp| -> Vec<String> {
            let delivered = app.simulator.fcm().delivered().into_iter();
            delivered.map(|received| received.token).collect()
        };
        assert_eq!(tokens(&app), ["configured"]);
        app.post_events(&[crate::app::turn_off(2, &[id.0])]);
        app.finish();
        app.post_events(&everybody);
        app.finish();
        assert_eq!(tokens(&app).len(), 2, "the usual event turns nothing off");
        app.post_events(&[with_event_id(crate::app::turn_off(2, &[id.0]), 12)]);
        app.finish();
        app.post_events(&everybody);
        app.finish();
        assert_eq!(tokens(&app).len(), 2);
    }

    fn users_keep_as_many_devices_and_devices_as_many_users_as_configured(database) {
        let mut app = TestApp::start_with(database, |setting| {
            setting.config.database.max_devices_per_user = 2.try_into().unwrap();
            setting.config.database.max_users_per_device = 2.try_into().unwrap();
        });
        for (user, token) in [
            (1, "a"), (1, "b"), (1, "c"), // a is one too many
            (2, "shared"), (3, "shared"), (4, "shared"), // so is user 2
        ] {
            app.post_events(&[login(user, 1, token, 1)]);
            app.finish();
        }
        let tokens = |user| -> Vec<String> {
            let devices = app.pipeline.storage().devices(LoginId(user)).unwrap();
            devices.iter().map(|device| device.token.as_str().to_owned()).collect()
        };
        assert_eq!(tokens(1), ["b", "c"]);
        assert_eq!(tokens(2), [""; 0]);
        assert_eq!((tokens(3), tokens(4)), (vec!["shared".to_owned()], vec!["shared".to_owned()]));
    }
}
