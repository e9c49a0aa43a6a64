//! Answers that may pass: the notification is sent again under the same id, after a wait, until
//! its tries are used up.

use std::time::Duration;

use serde_json::json;
use simulator::{Action, Refusal, RetryAfter, Rule, Service};

use crate::{
    answer_case::{Case, each_user_has_a_device, quick, refuse, sent, token},
    apns_answers::case,
    app::{TestApp, event},
};

/// Refused once, then taken; `counted` is the class of the refusal.
fn later(status: u16, reason: &str, counted: [&'static str; 2]) -> Case {
    let [request, retry] = counted;
    Case {
        sent: vec![
            format!("{status} {reason}").trim_end().to_owned(),
            "200".to_owned(),
        ],
        counted: vec![request, retry, "requests success 1", "ended delivered 1"],
        ..case(vec![refuse(status, reason)])
    }
}

/// Refused on each of three tries.
fn given_up(status: u16, reason: &'static str, counted: [&'static str; 2]) -> Case {
    let [requests, retries] = counted;
    Case {
        sent: vec![format!("{status} {reason}"); 3],
        csv: 202,
        reason,
        counted: vec![requests, retries, "ended unavailable 1"],
        ..case(vec![refuse(status, reason); 3])
    }
}

const SERVER_ERROR: [&str; 2] = ["requests server_error 1", "retries server_error 1"];
const SERVER_ERRORS: [&str; 2] = ["requests server_error 3", "retries server_error 2"];

/// The server goes; another connection takes it at once.
fn elsewhere(status: u16, reason: &str, counted: [&'static str; 2]) -> Case {
    Case {
        sent: vec![
            format!("{status} {reason}"),
            "200 on connection 2".to_owned(),
        ],
        ..later(status, reason, counted)
    }
}

each_case_holds! {
    fn too_many_requests_is_sent_again() =
        later(429, "TooManyRequests", ["requests throttled 1", "retries throttled 1"]);
    fn too_many_requests_three_times_ends_with_202() =
        given_up(429, "TooManyRequests", ["requests throttled 3", "retries throttled 2"]);
    fn internal_server_error_is_sent_again() = later(500, "InternalServerError", SERVER_ERROR);
    fn internal_server_error_three_times_ends_with_202() =
        given_up(500, "InternalServerError", SERVER_ERRORS);
    fn service_unavailable_is_sent_again() = later(503, "ServiceUnavailable", SERVER_ERROR);
    fn service_unavailable_three_times_ends_with_202() =
        given_up(503, "ServiceUnavailable", SERVER_ERRORS);
    fn shutdown_is_sent_again_at_once_on_another_connection() =
        elsewhere(503, "Shutdown", SERVER_ERROR);
    fn idle_timeout_is_sent_again_at_once_on_another_connection() =
        elsewhere(400, "IdleTimeout", ["requests refused 1", "retries refused 1"]);
    fn shutdown_three_times_ends_with_202() = Case {
        sent: vec![
            "503 Shutdown".to_owned(),
            "503 Shutdown on connection 2".to_owned(),
            "503 Shutdown on connection 3".to_owned(),
        ],
        ..given_up(503, "Shutdown", SERVER_ERRORS)
    };
    fn an_unknown_reason_beside_429_is_sent_again() =
        later(429, "SomethingNew", ["requests throttled 1", "retries throttled 1"]);
    fn an_unknown_reason_beside_503_is_sent_again() = later(503, "SomethingNew", SERVER_ERROR);
    fn a_500_without_a_reason_is_sent_again() = later(500, "", SERVER_ERROR);
    fn a_502_with_a_page_of_html_is_sent_again() = Case {
        answers: vec![Action::Refuse(Refusal::new(502, "").body("<html>Bad Gateway</html>"))],
        ..later(502, "", SERVER_ERROR)
    };
    fn the_only_try_of_one_that_is_not_to_be_repeated_ends_with_202() = Case {
        tries: 1,
        answers: vec![refuse(503, "ServiceUnavailable")],
        sent: vec!["503 ServiceUnavailable".to_owned()],
        counted: vec!["requests server_error 1", "ended unavailable 1"],
        ..given_up(503, "ServiceUnavailable", SERVER_ERRORS)
    };
    fn retry_after_in_seconds_is_waited_for() = Case {
        answers: vec![Action::Refuse(
            Refusal::new(503, "ServiceUnavailable").retry_after(RetryAfter::Seconds(1)),
        )],
        pause: Duration::from_secs(1),
        ..later(503, "ServiceUnavailable", SERVER_ERROR)
    };
    fn retry_after_as_a_date_is_waited_for() = Case {
        // The date is cut to whole seconds.
        answers: vec![Action::Refuse(
            Refusal::new(429, "TooManyRequests").retry_after(RetryAfter::Date(2)),
        )],
        pause: Duration::from_secs(1),
        ..later(429, "TooManyRequests", ["requests throttled 1", "retries throttled 1"])
    };
}

mod several {
    use super::*;

    on_each_database! {
        fn too_many_requests_to_one_device_do_not_hold_the_others(database) {
            let mut app = TestApp::start_with(database, |setting| quick(setting, |_| {}));
            each_user_has_a_device(&mut app, Service::Apns, 0..=3);
            app.post_events(&[event(0, 100, json!({}))]);
            app.finish();
            let refusal = Refusal::new(429, "TooManyRequests").retry_after(RetryAfter::Seconds(2));
            let rule = Rule::new(Action::Refuse(refusal)).times(1);
            app.simulator.script().add(rule.token_prefix(&token(Service::Apns, 1)));
            let events: Vec<_> = [1, 2, 3].map(|user| event(user, 100, json!({}))).into();
            app.post_events(&events);
            app.finish();
            let received = app.simulator.apns().received_from(1);
            let users: Vec<_> = received
                .iter()
                .map(|one| i64::from_str_radix(&one.token, 16).unwrap())
                .collect();
            assert_eq!(users, [1, 2, 3, 1]);
            assert_eq!(sent(&received), ["429 TooManyRequests", "200", "200", "200"]);
        }
    }
}
