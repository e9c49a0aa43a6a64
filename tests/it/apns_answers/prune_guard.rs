//! A wrong environment or topic makes Apple refuse every token: no device may be lost for that.

use model::Outcome;
use serde_json::json;
use simulator::{Rule, Service};

use crate::{
    answer_case::{
        Ends, counted, each_user_has_a_device, feedback_entered, moved, quick, refuse, token,
    },
    app::{TestApp, event},
    database::Database,
};

const USERS: i64 = 200;

fn push_to(app: &mut TestApp, users: std::ops::Range<i64>) {
    let events: Vec<_> = users.map(|user| event(user, 100, json!({}))).collect();
    app.post_events(&events);
    app.finish();
}

/// Every token is refused from the start, for `reason`; then none.
fn all_are_refused(database: Database, reason: &str) {
    let ends = Ends::default();
    let mut app = TestApp::start_with(database, |setting| {
        quick(setting, |_| {});
        ends.watch(setting);
    });
    each_user_has_a_device(&mut app, Service::Apns, 0..=USERS);
    let before = counted(&app, Service::Apns);
    app.simulator.script().add(Rule::new(refuse(400, reason)));
    push_to(&mut app, 0..USERS);

    let lines = app.csv();
    assert_eq!(
        lines.iter().filter(|line| line.starts_with("200,")).count(),
        200
    );
    assert_eq!(
        moved(&before, &app, Service::Apns),
        ["ended invalid_token 200", "requests refused 200"],
        "each asked once, none unregistered"
    );
    assert_eq!(feedback_entered(&app), 0);
    assert!((0..USERS).all(|user| !app.is_unregistered(user)));

    // The environment is put right: everybody is still there.
    app.simulator.script().clear();
    push_to(&mut app, 0..USERS);
    assert_eq!(ends.of(0).last().unwrap().0, Outcome::Delivered);
    assert_eq!(app.simulator.apns().delivered().len(), 200);
}

on_each_database! {
    fn the_wrong_environment_from_the_start_unregisters_nobody(database) {
        all_are_refused(database, "BadDeviceToken");
    }

    fn the_wrong_topic_from_the_start_unregisters_nobody(database) {
        all_are_refused(database, "DeviceTokenNotForTopic");
    }

    fn a_wrong_environment_later_unregisters_no_more_than_is_plausible(database) {
        let mut app = TestApp::start_with(database, |setting| quick(setting, |_| {}));
        each_user_has_a_device(&mut app, Service::Apns, 0..=USERS);
        push_to(&mut app, 0..USERS);
        app.simulator.script().add(Rule::new(refuse(400, "BadDeviceToken")));
        push_to(&mut app, 0..USERS);
        // 50 of 250 are a fifth, and from the 51st on nothing is believed.
        assert_eq!(feedback_entered(&app), 50);
        let applied = "onegin_feedback_applied_total{kind=\"unregistered\"}";
        app.eventually("the feedback is applied", || app.metric(applied) == 50);
        let lost = (0..USERS).filter(|user| app.is_unregistered(*user)).count();
        assert_eq!(lost, 50);
    }

    fn bad_tokens_among_good_ones_are_unregistered(database) {
        let mut app = TestApp::start_with(database, |setting| quick(setting, |_| {}));
        each_user_has_a_device(&mut app, Service::Apns, 0..=100);
        push_to(&mut app, 0..100);
        for user in [3, 7] {
            let bad = Rule::new(refuse(400, "BadDeviceToken"));
            app.simulator.script().add(bad.token_prefix(&token(Service::Apns, user)));
        }
        push_to(&mut app, 0..100);
        let applied = "onegin_feedback_applied_total{kind=\"unregistered\"}";
        app.eventually("the feedback is applied", || app.metric(applied) == 2);
        let lost: Vec<_> = (0..100).filter(|user| app.is_unregistered(*user)).collect();
        assert_eq!(lost, [3, 7]);
    }
}
