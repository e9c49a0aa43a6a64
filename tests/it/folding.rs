//! A batch is folded: as if its items were handled one by one, in a constant number of statements.

use std::{collections::BTreeMap, num::NonZeroU32};

use model::LoginId;
use proptest::{
    prelude::*,
    test_runner::{Config as ProptestConfig, TestRunner},
};
use serde_json::{Value, json};
use storage::MessageAttributes;

use crate::{
    app::{LIMIT, TestApp, event, login, triggered_by, turn_off},
    database::Database,
};

const USERS: i64 = 12;

/// Five messages in up to three languages, two of them with a cooldown, one with a parameter.
fn messages(app: &TestApp) {
    let hour_ms = Some(60 * 60 * 1000);
    let texts = [
        (1, "one", "english"),
        (2, "zwei", "deutsch"),
        (3, "tri", "srpski"),
    ];
    app.message(triggered_by("plain", 101), &texts);
    app.message(triggered_by("two_languages", 102), &texts[..2]);
    app.message(
        MessageAttributes {
            cooldown_ms: hour_ms,
            ..triggered_by("cooled_down", 103)
        },
        &texts,
    );
    app.message(
        MessageAttributes {
            cooldown_ms: hour_ms,
            ..triggered_by("also_cooled_down", 103)
        },
        &texts[1..],
    );
    app.message(
        triggered_by("with_parameter", 104),
        &[(1, "Hi {name}", "Bravo, {name}!")],
    );
}

/// Any item that a game might post about a few users with a few devices that they share.
fn item() -> impl Strategy<Value = Value> {
    let user = 0..USERS;
    prop_oneof![
        2 => (user.clone(), prop::sample::select(vec![1_i16, 2, 5, 6, 9]), 0..8_u8, 1..4_i16)
            .prop_map(|(user, platform, token, language)| {
                login(user, platform, &format!("{token:02x}"), language)
            }),
        1 => (user.clone(), prop::collection::vec(1..6_i32, 0..3))
            .prop_map(|(user, messages)| turn_off(user, &messages)),
        5 => (user.clone(), 101..106_i32)
            .prop_map(|(user, event_id)| event(user, event_id, json!({"name": user}))),
        1 => user.clone().prop_map(|user| event(user, 104, json!({}))),
        1 => (user.clone(), 0..8_u8).prop_map(|(user, token)| {
            event(user, 101, json!({"platform_id": 1, "device_token": format!("{token:02x}")}))
        }),
    ]
}

/// The first items give most users a device, so that there is something to send.
fn mix(count: usize) -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(item(), count)
}

/// 50 alternating events of one user at the end: logins on two devices and a cooled-down event.
fn alternating() -> Vec<Value> {
    (0..50)
        .map(|step| match step % 2 {
            0 => login(
                0,
                1,
                if step % 4 == 0 { "phone" } else { "tablet" },
                1 + step % 3,
            ),
            _ => event(0, 103, json!({})),
        })
        .collect()
}

/// Everything that came of the items: what devices got, what the database holds, what was counted.
fn result(app: &TestApp) -> BTreeMap<String, usize> {
    let mut result: BTreeMap<String, usize> = BTreeMap::new();
    let mut count = |line: String| *result.entry(line).or_default() += 1;
    for received in app.simulator.apns().delivered() {
        count(format!("{} {}", received.token, received.json()));
    }
    for received in app.simulator.fcm().delivered() {
        let data = &received.json()["message"]["data"];
        count(format!("{} {data}", received.token));
    }
    for user in 0..USERS {
        let storage = app.pipeline.storage();
        let login = storage.login(LoginId(user)).unwrap();
        count(format!(
            "user {user}: {:?}",
            login.map(|login| login.language)
        ));
        for device in storage.devices(LoginId(user)).unwrap() {
            count(format!(
                "user {user}: {} {}",
                device.platform,
                device.token.as_str()
            ));
        }
    }
    let metrics = app.client().get("/metrics").body;
    let counted = metrics
        .lines()
        .filter(|line| line.starts_with("onegin_items_ended_total"));
    counted.for_each(|line| count(line.to_owned()));
    result
}

/// What one has and the other has not.
fn difference(one: &BTreeMap<String, usize>, other: &BTreeMap<String, usize>) -> Vec<String> {
    one.iter()
        .filter(|(line, count)| other.get(*line) != Some(*count))
        .map(|(line, count)| format!("{count} x {line}"))
        .collect()
}

/// One processor thread takes requests in order, so 1,000 POSTs have an order at all.
fn start(database: Database) -> TestApp {
    let app = TestApp::start_with(database, |setting| {
        setting
            .config
            .request_processor
            .request_processor_num_threads = NonZeroU32::MIN;
        setting.hooks.last_sent_interval = Some(2 * LIMIT);
    });
    messages(&app);
    app
}

on_each_database! {
    fn one_post_of_1_000_items_does_what_1_000_posts_of_one_do(database) {
        let config = ProptestConfig { cases: 2, failure_persistence: None, max_shrink_iters: 8, ..ProptestConfig::default() };
        TestRunner::new(config)
            .run(&mix(950), |mut items| {
                items.extend(alternating());
                let mut together = start(database);
                together.post_events(&items);
                together.finish();
                let mut one_by_one = start(database);
                for item in &items {
                    one_by_one.post_events(std::slice::from_ref(item));
                    one_by_one.finish();
                }
                let (together, one_by_one) = (result(&together), result(&one_by_one));
                prop_assert_eq!(difference(&together, &one_by_one), difference(&one_by_one, &together));
                let sent = together.keys().filter(|line| line.contains("utm_source"));
                prop_assert!(sent.count() > 50, "hardly anything was sent");
                Ok(())
            })
            .unwrap();
    }

    fn the_number_of_statements_does_not_grow_with_the_batch(database) {
        let kinds = |user: i64| {
            [
                login(user, 1, &format!("{user:02x}"), 1 + i16::try_from(user % 3).unwrap()),
                turn_off(user, &[5]),
                event(user, 101, json!({})),
                event(user, 103, json!({})),
                event(user, 104, json!({"name": "Ana"})),
            ]
        };
        // A login, a turn-off, three events; then logins on two devices in other languages.
        let small: Vec<Value> = kinds(0).into_iter().chain(alternating().split_off(45)).collect();
        let mut large: Vec<Value> = (0..190).flat_map(kinds).collect();
        large.extend(alternating());
        assert_eq!((small.len(), large.len()), (10, 1_000));
        for round in 0..3 {
            let few = statements(database, &small, round);
            let many = statements(database, &large, round);
            println!("{database:?}: round {round}: 10 items in {few} statements, 1,000 in {many}");
            assert!(many <= few, "10 items cost {few} statements, 1,000 cost {many}");
            assert!((3..=20).contains(&few), "{few} statements");
        }
    }
}

/// Statements of the items' batch after `rounds` of the same items: first everything is new, then
/// everything changes. Sending times are recorded by another thread, which has no turn here.
fn statements(database: Database, items: &[Value], rounds: usize) -> u64 {
    let mut app = start(database);
    for _ in 0..rounds {
        app.post_events(items);
        app.finish();
    }
    let before = app.pipeline.storage().statements();
    app.post_events(items);
    app.finish();
    app.pipeline.storage().statements() - before
}
