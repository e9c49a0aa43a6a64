//! Answers about the provider token: it is renewed once and never in a hurry.

use std::time::Duration;

use model::Outcome;
use serde_json::json;
use simulator::{Rule, Service};

use crate::{
    answer_case::{Case, Ends, counted, each_user_has_a_device, lines, moved, quick, refuse, sent},
    apns_answers::case,
    app::{LIMIT, TestApp, event},
};

/// The token is old enough to be replaced.
fn renewable(case: Case) -> Case {
    Case {
        apns_options: |options| options.token_life_at_least = Duration::ZERO,
        ..case
    }
}

fn expired(times: usize) -> Case {
    case(vec![refuse(403, "ExpiredProviderToken"); times])
}

each_case_holds! {
    fn an_expired_provider_token_is_renewed_once_and_the_notification_sent_once_more() =
        renewable(Case {
            tries: 1,
            sent: lines(&["403 ExpiredProviderToken", "200"]),
            counted: vec![
                "requests refused 1",
                "retries refused 1",
                "renewals ok 1",
                "requests success 1",
                "ended delivered 1",
            ],
            ..expired(1)
        });
    fn a_new_provider_token_that_has_expired_too_means_a_wrong_clock_and_ends_with_203() =
        renewable(Case {
            sent: lines(&["403 ExpiredProviderToken", "403 ExpiredProviderToken"]),
            csv: 203,
            reason: "ExpiredProviderToken",
            counted: vec![
                "requests refused 2",
                "retries refused 1",
                "renewals ok 2",
                "ended credential_refused 1",
                "breaker opened apns 1",
            ],
            ..expired(2)
        });
    fn a_provider_token_of_less_than_20_minutes_is_not_renewed_and_ends_with_203() = Case {
        sent: lines(&["403 ExpiredProviderToken"]),
        csv: 203,
        reason: "ExpiredProviderToken",
        counted: vec!["requests refused 1", "ended credential_refused 1", "breaker opened apns 1"],
        ..expired(1)
    };
    fn too_many_provider_token_updates_keep_the_token_and_cost_no_try() = Case {
        tries: 1,
        settings: |settings| settings.longest_pause = Duration::from_millis(50),
        sent: lines(&["429 TooManyProviderTokenUpdates", "429 TooManyProviderTokenUpdates", "200"]),
        counted: vec![
            "requests throttled 2",
            "retries throttled 2",
            "requests success 1",
            "ended delivered 1",
        ],
        ..case(vec![refuse(429, "TooManyProviderTokenUpdates"); 2])
    };
}

mod several {
    use super::*;

    on_each_database! {
        fn twenty_in_flight_with_an_expired_token_cause_one_renewal(database) {
            let ends = Ends::default();
            let mut app = TestApp::start_with(database, |setting| {
                quick(setting, |_| {});
                setting.hooks.apns_options =
                    Some(Box::new(|options| options.token_life_at_least = Duration::ZERO));
                // All are refused before the first is sent again.
                setting.simulator.latency = Duration::from_millis(100);
                ends.watch(setting);
            });
            each_user_has_a_device(&mut app, Service::Apns, 0..=20);
            app.post_events(&[event(0, 100, json!({}))]);
            app.finish();
            let before = counted(&app, Service::Apns);
            let expired = Rule::new(refuse(403, "ExpiredProviderToken"));
            app.simulator.script().add(expired.times(20));
            let events: Vec<_> = (1..=20).map(|user| event(user, 100, json!({}))).collect();
            app.post_events(&events);
            app.finish();

            let mut expected = vec!["403 ExpiredProviderToken"; 20];
            expected.extend(["200"; 20]);
            let received = app.simulator.apns().received_from(1);
            assert_eq!(sent(&received), expected, "all refused, then all sent once more");
            assert_eq!(
                moved(&before, &app, Service::Apns),
                [
                    "ended delivered 20",
                    "renewals ok 1",
                    "requests refused 20",
                    "requests success 20",
                    "retries refused 20",
                ]
            );
        }

        fn a_renewal_that_apple_finds_too_early_is_waited_for_with_the_same_token(database) {
            let ends = Ends::default();
            let mut app = TestApp::start_with(database, |setting| {
                quick(setting, |settings| {
                    settings.longest_pause = Duration::from_millis(400);
                    settings.tries = std::num::NonZeroU32::MIN;
                });
                setting.hooks.apns_options =
                    Some(Box::new(|options| options.token_life_at_least = Duration::ZERO));
                setting.simulator.min_token_update_interval = Some(Duration::from_secs(1));
                ends.watch(setting);
            });
            each_user_has_a_device(&mut app, Service::Apns, 0..=1);
            app.post_events(&[event(0, 100, json!({}))]);
            app.finish();
            let before = counted(&app, Service::Apns);
            let expired = Rule::new(refuse(403, "ExpiredProviderToken"));
            app.simulator.script().add(expired.times(1));
            app.post_events(&[event(1, 100, json!({}))]);
            app.finish();

            let sent = sent(&app.simulator.apns().received_from(1));
            let [first, waits @ .., last] = &sent[..] else {
                panic!("too few requests: {sent:?}");
            };
            assert_eq!((first.as_str(), last.as_str()), ("403 ExpiredProviderToken", "200"));
            assert!(waits.iter().all(|wait| wait == "429 TooManyProviderTokenUpdates"));
            assert!(!waits.is_empty(), "the simulator never found it too early");
            assert_eq!(ends.of(1), [(Outcome::Delivered, String::new())]);
            let moved = moved(&before, &app, Service::Apns);
            assert!(moved.contains(&"renewals ok 1".to_owned()), "one new token: {moved:?}");
        }

        fn too_many_token_updates_leave_the_whole_provider_alone(database) {
            let pause = Duration::from_millis(800);
            let mut app = TestApp::start_with(database, |setting| {
                quick(setting, |settings| settings.longest_pause = Duration::from_millis(800));
            });
            each_user_has_a_device(&mut app, Service::Apns, 0..=5);
            app.post_events(&[event(0, 100, json!({}))]);
            app.finish();
            let many = Rule::new(refuse(429, "TooManyProviderTokenUpdates"));
            app.simulator.script().add(many.times(1));
            app.post_events(&[event(1, 100, json!({}))]);
            app.simulator.apns().wait_for(2, LIMIT).unwrap();
            let line = "onegin_sender_retries_total{provider=\"apns\",result=\"throttled\"}";
            app.eventually("the refusal was heard", || app.metric(line) == 1);
            let others: Vec<_> = (2..=5).map(|user| event(user, 100, json!({}))).collect();
            app.post_events(&others);
            app.finish();

            let received = app.simulator.apns().received();
            assert_eq!(received.len(), 1 + 1 + 5);
            for later in &received[2..] {
                let after = later.at.duration_since(received[1].at);
                assert!(after >= pause, "{after:?} after the wish for silence");
            }
        }
    }
}
