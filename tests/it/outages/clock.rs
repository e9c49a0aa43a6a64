//! The machine's clock is set an hour forward and back under load. Time-outs and waits do not
//! depend on it; what is counted in wall-clock time (expiry, cooldown on SQLite, the CSV's
//! columns) follows it, and nothing is lost by that.

use std::{collections::BTreeSet, fs};

use serde_json::json;
use storage::MessageAttributes;

use super::{
    HOUR_MS, TestClock, assert_unharmed, delivered_once, direct, impatient, log_phones_in,
};
use crate::{
    app::{TestApp, event, triggered_by},
    database::Database,
    observed::rows,
    pushkin_http::texts,
};

fn start(database: Database, clock: &TestClock) -> TestApp {
    let mut app = TestApp::start_with(database, |setting| {
        impatient(setting);
        setting.hooks.clock = Some(clock.handle());
    });
    log_phones_in(&mut app, 0..1);
    app
}

/// All lines of the notification log, rotated files' too.
fn lines_in_all_files(app: &TestApp) -> usize {
    let folder = app.csv_path().parent().unwrap().to_owned();
    let files = fs::read_dir(folder).unwrap();
    files
        .map(|file| {
            fs::read_to_string(file.unwrap().path())
                .unwrap()
                .lines()
                .count()
        })
        .sum()
}

on_each_database! {
    fn a_clock_that_jumps_under_load_loses_and_hangs_nothing(database) {
        let clock = TestClock::new();
        let mut app = start(database, &clock);
        app.message(triggered_by("hello", 100), &[(1, "T", "{name}")]);
        let mut expected = BTreeSet::new();
        for (round, hours) in [1, -1, 0, 2, 0].into_iter().enumerate() {
            for number in 0..40 {
                if number == 20 {
                    clock.set_ahead_ms(hours * HOUR_MS);
                }
                let (a, b) = (format!("{round} {number}"), format!("{round} {number} direct"));
                app.post_events(&[event(0, 100, json!({"name": a}))]);
                app.post_notifications(&[direct(0, &b)]);
                expected.extend([a, b]);
            }
        }
        app.finish();
        assert_eq!(delivered_once(&app), expected);
        assert_eq!(lines_in_all_files(&app), expected.len());
        assert_unharmed(&app);
    }

    fn what_waits_expires_by_the_clock_as_it_stands_when_it_is_sent(database) {
        let clock = TestClock::new();
        let mut app = start(database, &clock);
        let half_an_hour = MessageAttributes {
            expiry_millis: Some(HOUR_MS / 2),
            ..triggered_by("half an hour", 100)
        };
        let half_an_hour = app.message(half_an_hour, &[(1, "T", "{name}")]);
        let of_now = |name: &str| {
            let mut event = event(0, 100, json!({"name": name}));
            event["timestamp"] = json!(clock.now_ms());
            event
        };
        app.simulator.fcm().set_online(false);
        app.post_events(&[of_now("before the jump")]);
        app.post_notifications(&[direct(0, "6 h")]);
        app.eventually("they wait", || {
            app.client().get("/get_gcm_sender_queue").body == "2"
        });
        clock.set_ahead_ms(HOUR_MS);
        app.simulator.fcm().set_online(true);
        app.finish();
        assert_eq!(texts(&app), ["6 h"]);
        // From the future, by now: it has longer to live.
        app.simulator.fcm().set_online(false);
        let of_the_future = of_now("from the future");
        clock.set_ahead_ms(0);
        app.post_events(&[of_the_future]);
        app.simulator.fcm().set_online(true);
        app.finish();
        assert_eq!(texts(&app), ["6 h", "from the future"]);
        let mut ended: Vec<_> = rows(&app)
            .iter()
            .filter(|row| row.message_id == half_an_hour.0)
            .map(|row| (row.content.to_string(), row.status))
            .collect();
        ended.sort();
        assert_eq!(
            ended,
            [("before the jump".to_owned(), 3), ("from the future".to_owned(), 0)]
        );
    }

    // On PostgreSQL the server's clock decides, which all daemons share.
    fn a_cooldown_follows_the_clock_that_decides_it(database) {
        let clock = TestClock::new();
        let mut app = start(database, &clock);
        let half_an_hour = MessageAttributes {
            cooldown_ms: Some(HOUR_MS / 2),
            ..triggered_by("half an hour", 100)
        };
        app.message(half_an_hour, &[(1, "T", "{name}")]);
        for (name, hours) in [
            ("first", 0),
            ("an hour forward", 1),
            ("still there", 1),
            ("an hour back", 0),
            ("two hours forward", 2),
        ] {
            clock.set_ahead_ms(hours * HOUR_MS);
            app.post_events(&[event(0, 100, json!({"name": name}))]);
            app.finish();
        }
        let expected: &[&str] = match database {
            Database::Sqlite => &["an hour forward", "first", "two hours forward"],
            Database::Postgres => &["first"],
        };
        assert_eq!(texts(&app), expected);
    }
}
