//! Requests that get no answer: the stream is reset, the connection breaks, nobody speaks. Where
//! nobody knows what became of a request it is sent again under the same `apns-id`, and that
//! counts as a try; a request that was not processed costs none.

use std::time::Duration;

use simulator::{Action, Service};

use crate::{
    answer_case::{Case, ends_with_status_2_while_others_get_through, lines, refuse},
    apns_answers::case,
};

const REFUSED_STREAM: u32 = 7;
const INTERNAL_ERROR: u32 = 2;
const CANCEL: u32 = 8;

const DROPPED: Action = Action::DropConnection {
    after_reading: true,
};

fn delivered_after(answers: Vec<Action>, sent: &[&str], counted: [&'static str; 2]) -> Case {
    let [request, retry] = counted;
    Case {
        sent: lines(sent),
        counted: vec![request, retry, "requests success 1", "ended delivered 1"],
        ..case(answers)
    }
}

const BROKEN: [&str; 2] = ["requests broken 1", "retries broken 1"];

each_case_holds! {
    fn a_refused_stream_is_sent_again_and_costs_no_try() = Case {
        tries: 1,
        ..delivered_after(
            vec![Action::Reset { code: REFUSED_STREAM }; 2],
            &["reset 7", "reset 7", "200"],
            ["requests not_processed 2", "retries not_processed 2"],
        )
    };
    fn a_reset_by_an_internal_error_is_sent_again() =
        delivered_after(vec![Action::Reset { code: INTERNAL_ERROR }], &["reset 2", "200"], BROKEN);
    fn a_cancelled_stream_is_sent_again() =
        delivered_after(vec![Action::Reset { code: CANCEL }], &["reset 8", "200"], BROKEN);
    fn resets_on_all_tries_end_with_status_2() = Case {
        sent: lines(&["reset 2", "reset 2", "reset 2"]),
        csv: 2,
        reason: "stream reset",
        counted: vec!["requests broken 3", "retries broken 2", "ended connection_failed 1"],
        ..case(vec![Action::Reset { code: INTERNAL_ERROR }; 3])
    };
    fn a_connection_lost_after_the_request_was_read_is_followed_by_another() =
        delivered_after(vec![DROPPED], &["dropped", "200 on connection 2"], BROKEN);
    fn a_connection_lost_before_the_request_was_read_is_followed_by_another() = delivered_after(
        vec![Action::DropConnection { after_reading: false }],
        &["200"],
        BROKEN,
    );
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
            "breaker opened apns 1",
            "requests success 1",
            "ended delivered 1",
        ],
        ..case(vec![DROPPED; 3])
    };
    fn a_request_without_an_answer_is_given_up_and_sent_again() = Case {
        settings: |settings| settings.request_timeout = Duration::from_millis(700),
        ..delivered_after(
            vec![Action::Silence],
            &["silence", "200 on connection 2"],
            ["requests timed_out 1", "retries timed_out 1"],
        )
    };
    fn an_answer_after_one_that_broke_still_counts_as_its_kind() = Case {
        sent: lines(&["reset 2", "503 ServiceUnavailable", "503 ServiceUnavailable"]),
        csv: 202,
        reason: "ServiceUnavailable",
        counted: vec![
            "requests broken 1",
            "retries broken 1",
            "requests server_error 2",
            "retries server_error 1",
            "ended unavailable 1",
        ],
        ..case(vec![
            Action::Reset { code: INTERNAL_ERROR },
            refuse(503, "ServiceUnavailable"),
            refuse(503, "ServiceUnavailable"),
        ])
    };
}

mod several {
    use super::*;

    on_each_database! {
        fn connections_lost_on_all_tries_while_others_get_through_end_with_status_2(database) {
            ends_with_status_2_while_others_get_through(database, Service::Apns);
        }
    }
}
