//! Answers that may pass: the notification is sent again, after the wait that Google asks for or
//! after our own. An exceeded quota is the project's trouble and costs no try, unless it is that
//! of one device.

use std::time::Duration;

use serde_json::{Value, json};
use simulator::{Action, Refusal, RetryAfter, Rule, Service};

use crate::{
    answer_case::{
        Case, each_user_has_a_device, ends_with_status_2_while_others_get_through, lines, quick,
        refuse,
    },
    app::{TestApp, event},
    fcm_answers::{case, error, fcm_error},
};

const SERVER_ERROR: [&str; 2] = ["requests server_error 1", "retries server_error 1"];
const SERVER_ERRORS: [&str; 2] = ["requests server_error 3", "retries server_error 2"];
const THROTTLED: [&str; 2] = ["requests throttled 1", "retries throttled 1"];

/// Refused once, then taken.
fn later(status: u16, code: &str, counted: [&'static str; 2]) -> Case {
    let [request, retry] = counted;
    Case {
        sent: vec![
            format!("{status} {code}").trim_end().to_owned(),
            "200".to_owned(),
        ],
        counted: vec![request, retry, "requests success 1", "ended delivered 1"],
        ..case(vec![refuse(status, code)])
    }
}

/// The same with a body of its own.
fn later_with_body(status: u16, body: &str, counted: [&'static str; 2]) -> Case {
    Case {
        answers: vec![Action::Refuse(Refusal::new(status, "").body(body))],
        ..later(status, "", counted)
    }
}

/// Refused on each of three tries.
fn given_up(status: u16, code: &'static str, counted: [&'static str; 2]) -> Case {
    let [requests, retries] = counted;
    Case {
        sent: vec![format!("{status} {code}"); 3],
        csv: 101,
        reason: code,
        counted: vec![requests, retries, "ended unavailable 1"],
        ..case(vec![refuse(status, code); 3])
    }
}

/// Google names no time for an exceeded quota: a minute, which the tests do not have.
fn without_the_minute(case: Case) -> Case {
    Case {
        settings: |settings| settings.longest_pause = Duration::from_millis(50),
        ..case
    }
}

/// Sent again after the second that Google asks for; a date may be cut to whole seconds.
fn waited_for(refusal: Refusal, case: Case) -> Case {
    Case {
        answers: vec![Action::Refuse(refusal)],
        pause: Duration::from_secs(1),
        ..case
    }
}

fn quota(subject: &str) -> Value {
    json!({
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"subject": subject, "description": "message rate exceeded"}],
    })
}

fn quota_exceeded(subject: &str) -> String {
    let details = [fcm_error("QUOTA_EXCEEDED"), quota(subject)];
    error("RESOURCE_EXHAUSTED", "quota", &details)
}

const REFUSED_STREAM: u32 = 7;
const INTERNAL_ERROR: u32 = 2;

each_case_holds! {
    fn internal_is_sent_again() = later(500, "INTERNAL", SERVER_ERROR);
    fn internal_three_times_ends_with_101() = given_up(500, "INTERNAL", SERVER_ERRORS);
    fn unavailable_is_sent_again() = later(503, "UNAVAILABLE", SERVER_ERROR);
    fn unavailable_three_times_ends_with_101() = given_up(503, "UNAVAILABLE", SERVER_ERRORS);
    fn unspecified_error_is_sent_again() = later(500, "UNSPECIFIED_ERROR", SERVER_ERROR);
    fn unspecified_error_three_times_ends_with_101() =
        given_up(500, "UNSPECIFIED_ERROR", SERVER_ERRORS);
    fn an_unknown_code_beside_500_is_sent_again() = later(500, "SOMETHING_NEW", SERVER_ERROR);
    fn a_500_without_a_code_is_sent_again() = later(500, "", SERVER_ERROR);
    fn a_502_that_is_a_page_of_html_is_sent_again() =
        later_with_body(502, "<html>Bad Gateway</html>", SERVER_ERROR);
    fn a_504_of_a_proxy_is_sent_again() = later_with_body(504, "", SERVER_ERROR);

    fn quota_exceeded_is_sent_again_and_costs_no_try() = Case {
        tries: 1,
        ..without_the_minute(later(429, "QUOTA_EXCEEDED", THROTTLED))
    };
    fn resource_exhausted_without_a_code_costs_no_try() = Case {
        tries: 1,
        ..without_the_minute(later_with_body(
            429,
            &error("RESOURCE_EXHAUSTED", "quota", &[]),
            THROTTLED,
        ))
    };
    fn the_quota_of_one_device_costs_a_try() = Case {
        tries: 1,
        sent: lines(&["429"]),
        csv: 101,
        reason: "QUOTA_EXCEEDED",
        counted: vec!["requests throttled 1", "ended unavailable 1"],
        ..later_with_body(429, &quota_exceeded("device:x"), THROTTLED)
    };
    fn the_quota_of_the_project_costs_none() = Case {
        tries: 1,
        ..without_the_minute(later_with_body(429, &quota_exceeded("project:x"), THROTTLED))
    };
    fn a_429_that_is_a_page_of_html_is_sent_again() =
        without_the_minute(later_with_body(429, "<html>slow down</html>", THROTTLED));
    fn an_unknown_code_beside_429_is_sent_again() =
        without_the_minute(later(429, "SOMETHING_NEW", THROTTLED));

    fn a_refused_stream_is_sent_again_and_costs_no_try() = Case {
        tries: 1,
        sent: lines(&["reset 7", "200"]),
        counted: vec![
            "requests not_processed 1",
            "retries not_processed 1",
            "requests success 1",
            "ended delivered 1",
        ],
        ..case(vec![Action::Reset { code: REFUSED_STREAM }])
    };
    fn resets_on_all_tries_end_with_status_2() = Case {
        sent: lines(&["reset 2", "reset 2", "reset 2"]),
        csv: 2,
        reason: "stream reset",
        counted: vec!["requests broken 3", "retries broken 2", "ended connection_failed 1"],
        ..case(vec![Action::Reset { code: INTERNAL_ERROR }; 3])
    };
    fn connections_lost_while_nobody_gets_through_cost_no_try() = Case {
        tries: 1,
        sent: lines(&[
            "dropped",
            "dropped on connection 2",
            "dropped on connection 3",
            "200 on connection 4",
        ]),
        counted: vec![
            "requests broken 3",
            "retries broken 3",
            "breaker opened fcm 1",
            "requests success 1",
            "ended delivered 1",
        ],
        ..case(vec![Action::DropConnection { after_reading: true }; 3])
    };

    fn retry_after_in_seconds_beside_unavailable() = waited_for(
        Refusal::new(503, "UNAVAILABLE").retry_after(RetryAfter::Seconds(1)),
        later(503, "UNAVAILABLE", SERVER_ERROR),
    );
    fn retry_after_as_a_date_beside_unavailable() = waited_for(
        Refusal::new(503, "UNAVAILABLE").retry_after(RetryAfter::Date(2)),
        later(503, "UNAVAILABLE", SERVER_ERROR),
    );
    fn retry_after_in_seconds_beside_an_exceeded_quota() = waited_for(
        Refusal::new(429, "QUOTA_EXCEEDED").retry_after(RetryAfter::Seconds(1)),
        later(429, "QUOTA_EXCEEDED", THROTTLED),
    );
    fn retry_after_as_a_date_beside_an_exceeded_quota() = waited_for(
        Refusal::new(429, "QUOTA_EXCEEDED").retry_after(RetryAfter::Date(2)),
        later(429, "QUOTA_EXCEEDED", THROTTLED),
    );
}

mod several {
    use super::*;

    on_each_database! {
        fn connections_lost_on_all_tries_while_others_get_through_end_with_status_2(database) {
            ends_with_status_2_while_others_get_through(database, Service::Fcm);
        }

        fn an_exceeded_quota_holds_the_whole_project_for_as_long_as_google_says(database) {
            let mut app = TestApp::start_with(database, |setting| quick(setting, |_| {}));
            each_user_has_a_device(&mut app, Service::Fcm, 0..=4);
            app.post_events(&[event(0, 100, json!({}))]);
            app.finish();
            let refusal = Refusal::new(429, "QUOTA_EXCEEDED").retry_after(RetryAfter::Seconds(1));
            app.simulator.script().add(Rule::new(Action::Refuse(refusal)).times(1));
            app.post_events(&[event(1, 100, json!({}))]);
            let retries = "onegin_sender_retries_total{provider=\"fcm\",result=\"throttled\"}";
            app.eventually("the refusal was heard", || app.metric(retries) == 1);
            let others: Vec<_> = (2..=4).map(|user| event(user, 100, json!({}))).collect();
            app.post_events(&others);
            app.finish();
            let received = app.simulator.fcm().received_from(1);
            assert_eq!(received.len(), 1 + 4);
            for later in &received[1..] {
                let after = later.at.duration_since(received[0].at);
                assert!(after >= Duration::from_secs(1), "{after:?} after the refusal");
            }
        }
    }
}
