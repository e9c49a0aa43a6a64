//! A message's cooldown: who is held back, what is remembered, and what has none.
//!
//! `cooldown.rs` has the races; here are the rules.

use model::{LoginId, MessageId, UnixMs};
use processor::EndReason;
use queue::WhenFull;
use serde_json::{Value, json};
use simulator::{Action, Refusal, Rule, Service};
use storage::MessageAttributes;

use crate::{
    app::{TestApp, event, login, triggered_by},
    database::Database,
    observed::{ended, execute, number, rows, sent},
};

const HOUR_MS: i64 = 60 * 60 * 1000;

fn with_cooldown(name: &str, trigger: i32, cooldown_ms: i64) -> MessageAttributes {
    MessageAttributes {
        cooldown_ms: Some(cooldown_ms),
        ..triggered_by(name, trigger)
    }
}

/// Message 1 "raid" on event 100, at most once an hour, and user 1 on "a".
fn prepared(database: Database) -> TestApp {
    let mut app = TestApp::start(database);
    app.message(with_cooldown("raid", 100, HOUR_MS), &[(1, "T", "raid")]);
    app.post_events(&[login(1, 1, "a", 1)]);
    app.finish();
    app
}

fn raid(user: i64) -> Value {
    event(user, 100, json!({}))
}

fn last_sent(app: &TestApp, user: i64, message: MessageId) -> Option<UnixMs> {
    app.pipeline
        .storage()
        .last_sent(LoginId(user), message)
        .unwrap()
}

/// Moves all recorded times into the past.
fn age(app: &TestApp, by_ms: i64) {
    let sql = "UPDATE user_message_last_time_sent SET last_time_sent_ts_bigint = last_time_sent_ts_bigint";
    execute(app, &format!("{sql} - {by_ms}"));
}

/// Makes every further decision fall exactly this long after the last sending.
fn decide_after(app: &TestApp, database: Database, interval_ms: i64) {
    execute(
        app,
        &match database {
            Database::Sqlite => format!(
                "DROP TRIGGER IF EXISTS exactly; \
             CREATE TRIGGER exactly BEFORE INSERT ON user_message_last_time_sent BEGIN \
                 UPDATE user_message_last_time_sent \
                 SET last_time_sent_ts_bigint = NEW.last_time_sent_ts_bigint - {interval_ms} \
                 WHERE login_id = NEW.login_id AND message_id = NEW.message_id; \
             END"
            ),
            Database::Postgres => format!(
                "CREATE OR REPLACE FUNCTION exactly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 NEW.last_time_sent_ts_bigint := {interval_ms} + ( \
                     SELECT last_time_sent_ts_bigint FROM user_message_last_time_sent \
                     WHERE login_id = NEW.login_id AND message_id = NEW.message_id); \
                 RETURN NEW; \
             END $$; \
             CREATE OR REPLACE TRIGGER exactly BEFORE INSERT ON user_message_last_time_sent \
                 FOR EACH ROW EXECUTE FUNCTION exactly()"
            ),
        },
    );
}

on_each_database! {
    fn a_message_is_held_back_for_its_interval_in_milliseconds_and_then_sent_again(database) {
        let mut app = prepared(database);
        assert_eq!(sent(&mut app, &[raid(1)]), ["a: T|raid"]);
        let first = last_sent(&app, 1, MessageId(1)).unwrap();
        assert_eq!(sent(&mut app, &[raid(1)]), [""; 0]);
        age(&app, HOUR_MS - 60_000);
        assert_eq!(sent(&mut app, &[raid(1)]), [""; 0]);
        assert_eq!(ended(&app, EndReason::CoolingDown), 2);
        age(&app, 60_000);
        assert_eq!(sent(&mut app, &[raid(1)]), ["a: T|raid"]);
        let second = last_sent(&app, 1, MessageId(1)).unwrap();
        assert!(
            (0..60_000).contains(&second.since_ms(first)),
            "the time of the decision is recorded"
        );
    }

    fn a_millisecond_before_the_end_is_blocked_and_the_end_itself_is_not(database) {
        let mut app = prepared(database);
        assert_eq!(sent(&mut app, &[raid(1)]), ["a: T|raid"]);
        decide_after(&app, database, HOUR_MS - 1);
        assert_eq!(sent(&mut app, &[raid(1)]), [""; 0]);
        decide_after(&app, database, HOUR_MS);
        assert_eq!(sent(&mut app, &[raid(1)]), ["a: T|raid"]);
    }

    fn a_message_without_a_cooldown_is_sent_every_time_also_twice_in_one_post(database) {
        let mut app = prepared(database);
        app.message(triggered_by("chat", 200), &[(1, "T", "chat")]);
        app.message(with_cooldown("zero", 300, 0), &[(1, "T", "zero")]);
        for event_id in [200, 300] {
            let event = event(1, event_id, json!({}));
            assert_eq!(sent(&mut app, &[event.clone(), event.clone()]).len(), 2);
            assert_eq!(sent(&mut app, &[event]).len(), 1);
        }
        let app = &app;
        app.eventually("their times are recorded too", || {
            last_sent(app, 1, MessageId(2)).is_some() && last_sent(app, 1, MessageId(3)).is_some()
        });
    }

    fn a_cooldown_that_is_set_later_counts_from_the_recorded_time(database) {
        let mut app = prepared(database);
        app.message(triggered_by("chat", 200), &[(1, "T", "chat")]);
        let chat = event(1, 200, json!({}));
        assert_eq!(sent(&mut app, std::slice::from_ref(&chat)).len(), 1);
        app.eventually("the time is recorded", || {
            last_sent(&app, 1, MessageId(2)).is_some()
        });
        app.message(with_cooldown("chat", 200, HOUR_MS), &[]);
        assert_eq!(sent(&mut app, std::slice::from_ref(&chat)), [""; 0]);
        app.message(with_cooldown("chat", 200, 1), &[]);
        age(&app, 1);
        assert_eq!(
            sent(&mut app, &[chat]).len(),
            1,
            "and one that is shortened later ends earlier"
        );
    }

    fn four_users_in_cooldown_in_one_post_are_all_held_back(database) {
        let mut app = prepared(database);
        app.post_events(&[
            login(2, 1, "b", 1),
            login(3, 1, "c", 1),
            login(4, 1, "d", 1),
            login(5, 1, "e", 1),
        ]);
        app.finish();
        assert_eq!(sent(&mut app, &[1, 2, 3, 4].map(raid)).len(), 4);
        assert_eq!(sent(&mut app, &[1, 2, 3, 4, 5].map(raid)), ["e: T|raid"]);
        assert_eq!(ended(&app, EndReason::CoolingDown), 4);
    }

    fn both_messages_of_one_user_are_held_back(database) {
        let mut app = prepared(database);
        app.message(with_cooldown("siege", 100, HOUR_MS), &[(1, "T", "siege")]);
        app.message(triggered_by("horn", 100), &[(1, "T", "horn")]);
        assert_eq!(
            sent(&mut app, &[raid(1)]),
            ["a: T|horn", "a: T|raid", "a: T|siege"]
        );
        assert_eq!(sent(&mut app, &[raid(1)]), ["a: T|horn"]);
        // Each pair by itself: the other message's cooldown says nothing about this one.
        app.message(with_cooldown("siege", 200, HOUR_MS), &[]);
        execute(
            &app,
            "DELETE FROM user_message_last_time_sent WHERE message_id = 2",
        );
        assert_eq!(sent(&mut app, &[event(1, 200, json!({}))]), ["a: T|siege"]);
    }

    fn all_devices_of_a_user_get_the_message_together(database) {
        let mut app = prepared(database);
        app.post_events(&[login(1, 1, "b", 1), login(1, 6, "c", 1)]);
        app.finish();
        assert_eq!(
            sent(&mut app, &[raid(1)]),
            ["a: T|raid", "b: T|raid", "c: T|raid"]
        );
        app.post_events(&[login(1, 1, "later", 1)]);
        app.finish();
        assert_eq!(
            sent(&mut app, &[raid(1)]),
            [""; 0],
            "the cooldown is the user's, not the device's"
        );
    }

    fn direct_notifications_know_no_cooldown_and_start_none(database) {
        let mut app = prepared(database);
        let direct = json!({"login_id": 1, "title": "T", "content": "raid"});
        app.post_notifications(&[direct.clone(), direct.clone()]);
        app.post_notifications(&[direct]);
        app.finish();
        assert_eq!(app.simulator.fcm().delivered().len(), 3);
        assert_eq!(sent(&mut app, &[raid(1)]), ["a: T|raid"]);
        assert_eq!(
            number(
                &app,
                "SELECT count(*) AS cell FROM user_message_last_time_sent"
            ),
            1
        );
    }

    fn what_ends_before_it_is_sent_starts_no_cooldown(database) {
        let mut app = prepared(database);
        app.message(
            with_cooldown("raid", 100, HOUR_MS),
            &[(1, "T", "raid {name}")],
        );
        app.post_events(&[event(2, 4001, json!({"platformId": 1, "languageId": 1}))]);
        app.finish();
        let by_ana = |user: i64| event(user, 100, json!({"name": "by Ana"}));
        assert_eq!(sent(&mut app, &[raid(1), by_ana(2), by_ana(3)]), [""; 0]);
        assert_eq!(ended(&app, EndReason::MissingParameter), 1);
        assert_eq!(ended(&app, EndReason::NoDevice), 1);
        assert_eq!(ended(&app, EndReason::UnknownUser), 1);
        assert_eq!(
            number(
                &app,
                "SELECT count(*) AS cell FROM user_message_last_time_sent"
            ),
            0
        );
        app.post_events(&[login(2, 1, "b", 1)]);
        app.finish();
        let both = [by_ana(1), by_ana(2)];
        assert_eq!(
            sent(&mut app, &both),
            ["a: T|raid by Ana", "b: T|raid by Ana"]
        );
    }

    fn the_cooldown_stays_when_sending_fails(database) {
        let mut app = prepared(database);
        let refusal = Refusal::new(400, "INVALID_ARGUMENT");
        app.simulator.script().add(
            Rule::new(Action::Refuse(refusal))
                .service(Service::Fcm)
                .times(1),
        );
        assert_eq!(sent(&mut app, &[raid(1)]), [""; 0]);
        let row = rows(&app).pop().unwrap();
        assert_ne!(row.status, 0);
        assert!(last_sent(&app, 1, MessageId(1)).is_some());
        assert_eq!(sent(&mut app, &[raid(1)]), [""; 0]);
        assert_eq!(ended(&app, EndReason::CoolingDown), 1);
    }

    fn the_cooldown_stays_when_the_sender_queue_is_full(database) {
        let mut app = TestApp::start_with(database, |setting| {
            setting.config.sender.sender_queue_limit = 1.try_into().unwrap();
            setting.config.sender.when_full = WhenFull::Drop;
        });
        app.message(with_cooldown("raid", 100, HOUR_MS), &[(1, "T", "raid")]);
        app.post_events(&[login(1, 1, "a", 1), login(2, 1, "b", 1)]);
        app.finish();
        app.simulator.fcm().set_online(false);
        app.post_events(&[raid(1), raid(2)]);
        app.eventually("one does not fit", || rows(&app).len() == 1);
        let row = rows(&app).pop().unwrap();
        assert_eq!((row.status, row.login_id), (5, 2));
        app.simulator.fcm().set_online(true);
        app.finish();
        assert!(last_sent(&app, 2, MessageId(1)).is_some());
        assert_eq!(sent(&mut app, &[raid(2)]), [""; 0]);
        assert_eq!(ended(&app, EndReason::CoolingDown), 1);
    }

    fn a_user_id_in_digits_has_the_same_cooldown(database) {
        let mut app = prepared(database);
        let in_digits = json!({"user_id": "1", "event_id": 100, "timestamp": 1});
        let as_float = json!({"user_id": 1.0, "event_id": 100, "timestamp": 1});
        assert_eq!(
            sent(&mut app, std::slice::from_ref(&in_digits)),
            ["a: T|raid"]
        );
        assert_eq!(sent(&mut app, &[raid(1), in_digits, as_float]), [""; 0]);
        assert_eq!(ended(&app, EndReason::CoolingDown), 3);
    }

    fn first_times_of_many_users_in_parallel_posts_are_each_sent_once(database) {
        let mut app = prepared(database);
        let logins: Vec<Value> = (2..22)
            .map(|user| login(user, 1, &format!("t{user}"), 1))
            .collect();
        app.post_events(&logins);
        app.finish();
        app.simulator.fcm().forget();
        let raids: Vec<Value> = (2..22).map(raid).collect();
        let (forward, backward) = (raids.clone(), raids.into_iter().rev().collect::<Vec<_>>());
        let address = app.pipeline.address();
        std::thread::scope(|scope| {
            for events in [&forward, &backward, &forward, &backward] {
                scope.spawn(move || {
                    let body = json!({ "events": events }).to_string();
                    let mut client = crate::http::Client::connect(address);
                    client
                        .post("/post_events_json", "", body.as_bytes())
                        .accepted();
                });
            }
        });
        app.expect_requests(4);
        app.finish();
        assert_eq!(app.simulator.fcm().delivered().len(), 20);
        assert_eq!(ended(&app, EndReason::CoolingDown), 60);
    }
}
