//! GOAWAY in its forms: announced with the highest id and then meant, with streams left behind,
//! with Apple's reason in its debug data.

use std::{collections::BTreeSet, num::NonZeroU32, time::Duration};

use serde_json::json;
use simulator::{Action, GoAway, Received, Rule, Service};

use crate::{
    answer_case::{Case, each_user_has_a_device, hard_goaway, lines, quick, sent},
    apns_answers::case,
    app::{TestApp, event},
};

/// Announced with 2^31-1; the real id comes after a round trip.
fn graceful(reason: Option<&str>) -> Action {
    Action::GoAway(GoAway::Graceful {
        reason: reason.map(str::to_owned),
    })
}

/// The stream was opened before the connection was drained, and is answered on it.
fn answered_on_the_way_out(goaway: Action) -> Case {
    Case {
        tries: 1,
        sent: lines(&["200"]),
        counted: vec!["requests success 1", "ended delivered 1"],
        ..case(vec![goaway])
    }
}

/// The stream was left behind, and goes to another connection without costing a try.
fn left_behind(goaway: Action) -> Case {
    Case {
        tries: 1,
        sent: lines(&["unprocessed", "200 on connection 2"]),
        counted: vec![
            "requests not_processed 1",
            "retries not_processed 1",
            "requests success 1",
            "ended delivered 1",
        ],
        ..case(vec![goaway])
    }
}

/// The same, and Apple says that our credential is why.
fn refused_in_parting(reason: &str) -> Case {
    let mut case = left_behind(hard_goaway(1, Some(reason)));
    case.counted.push("breaker opened apns 1");
    case
}

each_case_holds! {
    fn what_is_in_flight_at_a_graceful_goaway_is_answered() = answered_on_the_way_out(graceful(None));
    fn a_graceful_goaway_may_say_why() = answered_on_the_way_out(graceful(Some("Shutdown")));
    fn what_a_hard_goaway_includes_is_answered() = answered_on_the_way_out(hard_goaway(0, None));
    fn what_a_hard_goaway_leaves_behind_is_sent_elsewhere() = left_behind(hard_goaway(1, None));
    fn a_shutdown_in_the_debug_data_is_a_restart_of_theirs() =
        left_behind(hard_goaway(1, Some("Shutdown")));
    fn an_idle_timeout_in_the_debug_data_is_a_restart_of_theirs() =
        left_behind(hard_goaway(1, Some("IdleTimeout")));
    fn an_unknown_reason_in_the_debug_data_is_a_restart_of_theirs() =
        left_behind(hard_goaway(1, Some("SomethingNew")));
    fn a_refused_certificate_in_the_debug_data_opens_the_breaker_and_ends_nothing() =
        refused_in_parting("BadCertificate");
    fn a_refused_provider_token_in_the_debug_data_opens_the_breaker_and_ends_nothing() =
        refused_in_parting("InvalidProviderToken");
    fn a_refused_key_id_in_the_debug_data_opens_the_breaker_and_ends_nothing() =
        refused_in_parting("UnrelatedKeyIdInToken");
}

mod several {
    use super::*;

    on_each_database! {
        fn of_eight_in_flight_only_those_beyond_the_last_id_are_sent_elsewhere(database) {
            let mut app = TestApp::start_with(database, |setting| {
                quick(setting, |settings| settings.tries = NonZeroU32::MIN);
                // All eight are in flight when the last of them brings the GOAWAY about.
                setting.simulator.latency = Duration::from_millis(200);
            });
            each_user_has_a_device(&mut app, Service::Apns, 0..=8);
            app.post_events(&[event(0, 100, json!({}))]);
            app.finish();
            let goaway = Rule::new(hard_goaway(3, Some("Shutdown"))).skip(7).times(1);
            app.simulator.script().add(goaway.after(Duration::ZERO));
            let events: Vec<_> = (1..=8).map(|user| event(user, 100, json!({}))).collect();
            app.post_events(&events);
            app.finish();

            let received = app.simulator.apns().received_from(1);
            let mut expected = vec!["200"; 5];
            expected.extend(["unprocessed"; 3]);
            expected.extend(["200 on connection 2"; 3]);
            assert_eq!(sent(&received), expected);
            let tokens = |some: &[Received]| {
                let tokens = some.iter().map(|one| (one.token.clone(), one.id.clone()));
                tokens.collect::<BTreeSet<_>>()
            };
            assert_eq!(tokens(&received[5..8]), tokens(&received[8..]), "the same, same ids");
            assert_eq!(app.csv().len(), 9);
            assert!(app.csv().iter().all(|line| line.starts_with("0,")));
        }

        fn what_is_in_flight_at_a_graceful_goaway_stays_and_what_comes_goes_elsewhere(database) {
            let mut app = TestApp::start_with(database, |setting| {
                quick(setting, |settings| settings.tries = NonZeroU32::MIN);
                setting.simulator.latency = Duration::from_millis(200);
            });
            each_user_has_a_device(&mut app, Service::Apns, 0..=8);
            app.post_events(&[event(0, 100, json!({}))]);
            app.finish();
            let rule = Rule::new(graceful(Some("Shutdown"))).skip(3).times(1);
            app.simulator.script().add(rule.after(Duration::ZERO));
            let some = |users: std::ops::RangeInclusive<i64>| -> Vec<_> {
                users.map(|user| event(user, 100, json!({}))).collect()
            };
            app.post_events(&some(1..=4));
            app.finish();
            app.post_events(&some(5..=8));
            app.finish();
            let received = app.simulator.apns().received_from(1);
            let mut expected = vec!["200"; 4];
            expected.extend(["200 on connection 2"; 4]);
            assert_eq!(sent(&received), expected, "each once");
        }
    }
}
