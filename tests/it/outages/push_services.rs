//! One push service is away, the other is not; what waits is far more than its queue holds.

use std::{
    cell::RefCell,
    net::{TcpListener, TcpStream},
};

use model::MessageId;
use serde_json::{Value, json};
use simulator::{Action, Rule, Service};
use storage::MessageAttributes;

use super::{TestClock, impatient};
use crate::{
    app::{LIMIT, TestApp, event, login, triggered_by},
    observed::rows,
};

const QUEUE_LIMIT: usize = 100;
const IPHONES: i64 = 300;
const PHONES: i64 = 100;
/// Of so many iPhone users one gets a message that does not live long.
const EVERY: i64 = 5;
const SHORT_LIFE_MS: i64 = 2_000;

/// An event for each user, a few in a POST; those of `short` users are about the short message.
fn post_to(app: &mut TestApp, users: std::ops::Range<i64>, now_ms: i64) {
    let events: Vec<Value> = users
        .map(|user| {
            let id = if user < IPHONES && user % EVERY == 0 {
                101
            } else {
                100
            };
            let mut event = event(user, id, json!({}));
            event["timestamp"] = json!(now_ms);
            event
        })
        .collect();
    for some in events.chunks(20) {
        app.post_events(some);
    }
}

fn log_in(app: &mut TestApp) {
    let iphones = (0..IPHONES).map(|user| login(user, 2, &format!("{user:064x}"), 1));
    let phones = (IPHONES..IPHONES + PHONES).map(|user| login(user, 1, &format!("tok{user}"), 1));
    let logins: Vec<Value> = iphones.chain(phones).collect();
    app.post_events(&logins);
    app.finish();
}

/// The other push service's share of the load, delivered while this one is away.
fn post_and_deliver_the_others(app: &mut TestApp, users: std::ops::Range<i64>, now_ms: i64) {
    let before = app.simulator.fcm().delivered().len() as u64;
    let more = users.clone().count() as u64;
    post_to(app, users, now_ms);
    let fcm = app.simulator.fcm();
    fcm.wait_for_delivered(before + more, LIMIT).unwrap();
    assert_eq!(app.simulator.apns().delivered().len(), 0);
    // One app may hold half.
    let queued: usize = app
        .client()
        .get("/get_apn_sender_queue")
        .body
        .parse()
        .unwrap();
    assert!(queued <= QUEUE_LIMIT / 2, "{queued} in the queue");
}

/// Takes connections where APNs was, and never says a word.
struct BlackHole {
    listener: TcpListener,
    swallowed: RefCell<Vec<TcpStream>>,
}

impl BlackHole {
    fn in_place_of_apns(app: &TestApp) -> Self {
        let url = app.simulator.apns_url();
        let address = url.strip_prefix("https://").unwrap();
        let mut listener = None;
        // The simulator lets go of the port in its own time.
        app.eventually("the port is free", || {
            listener = TcpListener::bind(address).ok();
            listener.is_some()
        });
        let listener = listener.unwrap();
        listener.set_nonblocking(true).unwrap();
        Self {
            listener,
            swallowed: RefCell::default(),
        }
    }

    fn has_swallowed(&self) -> bool {
        let mut swallowed = self.swallowed.borrow_mut();
        swallowed.extend(self.listener.accept().map(|(stream, _)| stream));
        !swallowed.is_empty()
    }
}

on_each_database! {
    fn while_apns_is_away_fcm_goes_on_and_afterwards_each_notification_ends_once(database) {
        let mut app = TestApp::start_with(database, |setting| {
            setting.config.sender.sender_queue_limit = QUEUE_LIMIT.try_into().unwrap();
            setting.config.messenger.request_timeout_sec = 1.try_into().unwrap();
            impatient(setting);
        });
        app.message(triggered_by("lasting", 100), &[(1, "T", "C")]);
        let short = MessageAttributes {
            expiry_millis: Some(SHORT_LIFE_MS),
            ..triggered_by("short", 101)
        };
        let short: MessageId = app.message(short, &[(1, "T", "C")]);
        log_in(&mut app);

        let clock = TestClock::new();
        app.simulator.apns().set_online(false);
        post_to(&mut app, 0..IPHONES, clock.now_ms());
        let over_ms = clock.now_ms() + SHORT_LIFE_MS + 1_000;
        app.eventually("items are parked", || {
            app.metric("onegin_parked_items") > 0
        });
        post_and_deliver_the_others(&mut app, IPHONES..IPHONES + PHONES / 2, clock.now_ms());

        // Connections are made and nothing comes of them.
        let black_hole = BlackHole::in_place_of_apns(&app);
        app.eventually("the daemon has tried it", || black_hole.has_swallowed());
        post_and_deliver_the_others(
            &mut app,
            IPHONES + PHONES / 2..IPHONES + PHONES,
            clock.now_ms(),
        );
        drop(black_hole);

        // It is there again, and answers nothing.
        app.simulator
            .script()
            .add(Rule::new(Action::Silence).service(Service::Apns));
        app.simulator.apns().set_online(true);
        app.simulator.apns().wait_for(1, LIMIT).unwrap();
        app.eventually("the short ones are over", || clock.now_ms() > over_ms);
        assert_eq!(app.simulator.apns().delivered().len(), 0);

        app.simulator.script().clear();
        app.finish();
        assert_eq!(app.metric("onegin_parked_items"), 0);
        let mut tokens: Vec<String> = app
            .simulator
            .apns()
            .delivered()
            .into_iter()
            .map(|received| received.token)
            .collect();
        tokens.sort();
        let lasting = (0..IPHONES).filter(|user| user % EVERY != 0);
        let expected: Vec<String> = lasting.map(|user| format!("{user:064x}")).collect();
        assert_eq!(tokens, expected);
        let rows = rows(&app);
        let ended = |status: i32, of: MessageId| {
            let those = rows.iter().filter(|row| row.message_id == of.0);
            those.filter(|row| row.status == status).count() as i64
        };
        assert_eq!(ended(3, short), IPHONES / EVERY);
        assert_eq!(rows.len() as i64, IPHONES + PHONES);
        let delivered = rows.iter().filter(|row| row.status == 0).count() as i64;
        assert_eq!(delivered, IPHONES - IPHONES / EVERY + PHONES);
    }
}
