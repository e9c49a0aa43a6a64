//! What a request did to its users is done once, and its notifications' lives begin once, however
//! often it is processed: because it was parked, or because it came back after a restart.

use model::{LoginId, MessageId, UnixMs};
use onegin::pipeline::Hooks;
use serde_json::{Value, json};
use storage::Storage;

use super::{HOUR_MS, TestClock, be_impatient, body_of, direct, log_phones_in};
use crate::{
    app::{TestApp, event, eventually, login, triggered_by, turn_off},
    database::Database,
    http::Answer,
    observed::rows,
    pushkin_http::texts,
};

/// What makes the requests come back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    Parked,
    Restarted,
}

fn hooks(clock: Option<&TestClock>) -> Hooks {
    Hooks {
        sender_settings: Some(Box::new(be_impatient)),
        clock: clock.map(TestClock::handle),
        ..Hooks::default()
    }
}

/// A daemon with one user, number 0. Behind a queue with room for one, where items are to be
/// parked.
fn start(database: Database, again: Again, clock: Option<&TestClock>) -> TestApp {
    let mut app = TestApp::start_with(database, |setting| {
        if again == Again::Parked {
            setting.config.sender.sender_queue_limit = 2.try_into().unwrap();
        }
        setting.hooks = hooks(clock);
    });
    log_phones_in(&mut app, 0..1);
    app.simulator.fcm().set_online(false);
    if again == Again::Parked {
        app.post_notifications(&[direct(0, "in the way")]);
        app.eventually("the queue is full", || {
            app.client().get("/get_gcm_sender_queue").body == "1"
        });
    }
    app
}

/// Posts an event and sees what it did to its user. That is stored in the transaction that also
/// decides about its notifications.
fn post(app: &mut TestApp, event: Value, is_stored: impl Fn(&Storage) -> bool) {
    app.post_events(&[event]);
    app.eventually("its effect is stored", || is_stored(app.pipeline.storage()));
}

fn speaks(user: i64, language: i16) -> impl Fn(&Storage) -> bool {
    move |storage| {
        let login = storage.login(LoginId(user)).unwrap();
        login.is_some_and(|login| login.language == Some(language))
    }
}

fn has_turned_off(user: i64, messages: Vec<MessageId>) -> impl Fn(&Storage) -> bool {
    move |storage| {
        let blacklist = storage.blacklist(LoginId(user)).unwrap();
        blacklist.is_some_and(|blacklist| blacklist.messages == messages)
    }
}

/// Lets the push service come back, after a restart if that is what is to happen.
fn go_on(mut app: TestApp, again: Again, clock: Option<&TestClock>) -> TestApp {
    if again == Again::Restarted {
        app = app.restart(hooks(clock));
    }
    app.simulator.fcm().set_online(true);
    eventually("nothing is left", || {
        app.metric("onegin_journal_requests") == 0
    });
    app
}

fn effects_are_applied_once(database: Database, again: Again) {
    let mut app = start(database, again, None);
    let welcome = app.message(
        triggered_by("welcome", 4001),
        &[(1, "T", "welcome"), (2, "T", "willkommen")],
    );
    let bye = app.message(triggered_by("bye", 4006), &[(1, "T", "bye")]);
    let hello = app.message(triggered_by("hello", 100), &[(1, "T", "hello")]);

    // A login with its welcome; later the user wants no more of those, and no answer to that, and
    // speaks German.
    post(&mut app, login(2, 1, "tok2", 1), speaks(2, 1));
    let off = turn_off(2, &[welcome.0, bye.0]);
    post(&mut app, off, has_turned_off(2, vec![welcome, bye]));
    post(&mut app, login(2, 1, "tok2", 2), speaks(2, 2));
    // An opt-out with its answer; later the user wants the message back, and no answers.
    post(&mut app, login(3, 1, "tok3", 1), speaks(3, 1));
    let off = turn_off(3, &[hello.0]);
    post(&mut app, off, has_turned_off(3, vec![hello]));
    let off = turn_off(3, &[bye.0]);
    post(&mut app, off, has_turned_off(3, vec![bye]));

    let mut app = go_on(app, again, None);
    let storage = app.pipeline.storage();
    let language = |user| storage.login(LoginId(user)).unwrap().unwrap().language;
    assert_eq!((language(2), language(3)), (Some(2), Some(1)));
    let blacklist = |user| storage.blacklist(LoginId(user)).unwrap().unwrap().messages;
    assert_eq!(
        (blacklist(2), blacklist(3)),
        (vec![welcome, bye], vec![bye])
    );
    // What the users have turned off meanwhile is not sent either.
    let mut expected = vec!["welcome"];
    if again == Again::Parked {
        expected.insert(0, "in the way");
    }
    assert_eq!(texts(&app), expected);
    app.post_events(&[event(3, 100, json!({}))]);
    app.eventually("user 3 hears it again", || {
        texts(&app).contains(&"hello".to_owned())
    });
}

/// Two notifications wait while the clock goes on; how many hours decides what becomes of them.
fn lives_begin_once(database: Database, again: Again) {
    let clock = TestClock::new();
    let mut app = start(database, again, Some(&clock));
    let accept = |app: &mut TestApp, content: &str| -> (UnixMs, UnixMs) {
        let before = UnixMs(clock.now_ms());
        let answer: Answer = app.post("/post_notification_json", &body_of(&[direct(0, content)]));
        answer.accepted();
        (before, UnixMs(clock.now_ms()))
    };
    let old = accept(&mut app, "old");
    clock.set_ahead_ms(3 * HOUR_MS);
    let young = accept(&mut app, "young");
    let waiting = if again == Again::Parked { 3 } else { 2 };
    app.eventually("both wait", || {
        app.metric("onegin_journal_requests") == waiting
            && app.client().get("/get_request_queue").body == "0"
    });
    // Past the life of the first, within that of the second.
    clock.set_ahead_ms(7 * HOUR_MS);
    app.simulator.set_clock_offset_sec(7 * HOUR_MS / 1000);
    let app = go_on(app, again, Some(&clock));
    let rows = rows(&app);
    for (content, status, (from, to)) in [("old", 3, old), ("young", 0, young)] {
        let of_it: Vec<_> = rows.iter().filter(|row| row.content == content).collect();
        assert_eq!(of_it.len(), 1, "{rows:?}");
        assert_eq!(of_it[0].status, status, "{content}");
        assert!((from.0..=to.0).contains(&of_it[0].time), "{content}");
        let expires = of_it[0].time_to_live_ts_bigint;
        assert_eq!(expires - of_it[0].time, 6 * HOUR_MS, "{content}");
    }
    assert_eq!(texts(&app), ["young"]);
}

on_each_database! {
    fn a_parked_login_or_opt_out_does_not_undo_what_came_after_it(database) {
        effects_are_applied_once(database, Again::Parked);
    }

    fn a_login_or_opt_out_that_a_restart_brings_back_does_not_undo_what_came_after_it(database) {
        effects_are_applied_once(database, Again::Restarted);
    }

    fn a_parked_notification_lives_from_its_acceptance(database) {
        lives_begin_once(database, Again::Parked);
    }

    fn a_notification_that_a_restart_brings_back_lives_from_its_acceptance(database) {
        lives_begin_once(database, Again::Restarted);
    }
}
