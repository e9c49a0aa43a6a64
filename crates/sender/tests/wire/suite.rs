//! What every push service's sender must do.

use std::{num::NonZeroU64, time::Duration};

use model::{Feedback, Lane, Outcome};
use simulator::{Action, GoAway, RetryAfter, Rule, Service};

use crate::rig::{Kind, LIMIT, Setup};

fn every(nth: u64) -> NonZeroU64 {
    NonZeroU64::new(nth).unwrap()
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn each_notification_is_delivered_and_reported_once(service: Service) {
    let mut rig = Setup::default().start(service);
    rig.deliver_each_once(500);
    let metrics = rig.metrics();
    assert!(metrics.contains("result=\"success\"} 500"), "{metrics}");
}

pub(crate) fn room_in_the_queue_is_given_back_with_the_report(service: Service) {
    let mut rig = Setup::default().start(service);
    let monitor = rig.queue().monitor();
    rig.script(Rule::new(Action::Silence).times(1));
    rig.send(1);
    rig.endpoint().wait_for(1, LIMIT).unwrap();
    assert_eq!(monitor.depth(), 1, "in flight still counts");
    rig.simulator.script().clear();
    rig.endpoint().drop_connections();
    rig.reports(1);
    rig.finish();
    assert_eq!(monitor.depth(), 0);
}

pub(crate) fn a_dead_token_is_told_once_and_not_tried_again(service: Service) {
    let mut rig = Setup::default().start(service);
    rig.refuse(Kind::Unregistered, |rule| rule.token_prefix("dead"));
    let dead = rig.notification("dead");
    rig.put(dead.clone());
    let report = rig.report();
    rig.finish();
    assert_eq!(report.outcome, Outcome::Unregistered);
    assert_eq!(report.notification.id, dead.id);
    assert_eq!(rig.received().len(), 1);
    let feedback = rig.feedback();
    assert!(
        matches!(
            &feedback[..],
            [Feedback::Unregistered { login, token, .. }]
                if *login == dead.login && *token == dead.token
        ),
        "{feedback:?}"
    );
}

pub(crate) fn a_rejected_payload_is_not_tried_again_and_prunes_nothing(service: Service) {
    let mut rig = Setup::default().start(service);
    rig.refuse(Kind::Rejected, |rule| rule);
    rig.send(1);
    let report = rig.report();
    rig.finish();
    assert_eq!(report.outcome, Outcome::Rejected);
    assert_eq!(rig.received().len(), 1);
    assert_eq!(rig.feedback(), []);
}

pub(crate) fn a_passing_failure_is_tried_again(service: Service) {
    let mut rig = Setup::default().start(service);
    rig.refuse(Kind::Unavailable, |rule| rule.times(2));
    rig.send(1);
    assert_eq!(rig.report().outcome, Outcome::Delivered);
    rig.finish();
    let received = rig.received();
    assert_eq!(received.len(), 3);
    assert_eq!(received[0].payload, received[2].payload);
    assert!(rig.metrics().contains("result=\"server_error\"} 2"));
}

pub(crate) fn tries_come_to_an_end(service: Service) {
    let mut rig = Setup::default().tries(4).start(service);
    rig.refuse(Kind::Unavailable, |rule| rule);
    rig.send(1);
    let report = rig.report();
    rig.finish();
    assert_eq!(report.outcome, Outcome::Unavailable);
    assert_eq!(rig.received().len(), 4);
}

pub(crate) fn retry_after_is_waited_for_in_both_forms(service: Service) {
    for retry_after in [RetryAfter::Seconds(1), RetryAfter::Date(2)] {
        let mut rig = Setup::default().start(service);
        let refusal = rig.refusal(Kind::Unavailable).retry_after(retry_after);
        rig.script(Rule::new(Action::Refuse(refusal)).times(1));
        rig.send(1);
        assert_eq!(rig.report().outcome, Outcome::Delivered);
        rig.finish();
        let received = rig.received();
        let wait = received[1].at.duration_since(received[0].at);
        // A date has whole seconds only.
        assert!(wait >= millis(990), "{retry_after:?}: {wait:?}");
    }
}

pub(crate) fn what_is_expired_is_not_sent(service: Service) {
    let mut rig = Setup::default().start(service);
    let mut late = rig.notification("a0");
    late.expires_at = late.created_at.plus_ms(-1001);
    rig.put(late);
    assert_eq!(rig.report().outcome, Outcome::Expired);
    rig.finish();
    assert_eq!(rig.received().len(), 0);
}

pub(crate) fn no_try_is_planned_beyond_the_expiry(service: Service) {
    let mut rig = Setup::default().start(service);
    let refusal = rig
        .refusal(Kind::Unavailable)
        .retry_after(RetryAfter::Seconds(1800));
    rig.script(Rule::new(Action::Refuse(refusal)));
    let mut notification = rig.notification("a0");
    notification.expires_at = notification.created_at.plus_ms(600_000);
    rig.put(notification);
    assert_eq!(rig.report().outcome, Outcome::Expired);
    rig.finish();
    assert_eq!(rig.received().len(), 1);
}

pub(crate) fn graceful_goaways_in_the_midst_of_10_000_lose_and_double_nothing(service: Service) {
    let mut rig = Setup::default().tries(1).latency(millis(2)).start(service);
    let goaway = GoAway::Graceful { reason: None };
    rig.script(Rule::new(Action::GoAway(goaway)).every(every(1500)));
    rig.deliver_each_once(10_000);
    assert!(rig.connections_used() > 4);
}

pub(crate) fn hard_goaways_cost_no_try_and_double_nothing(service: Service) {
    let mut rig = Setup::default().tries(1).latency(millis(5)).start(service);
    let goaway = GoAway::Hard {
        unprocessed: 20,
        reason: Some("Shutdown".to_owned()),
    };
    rig.script(Rule::new(Action::GoAway(goaway)).every(every(300)));
    rig.deliver_each_once(2000);
    let metrics = rig.metrics();
    let line = metrics
        .lines()
        .find(|line| line.starts_with("sender_requests_total") && line.contains("not_processed"));
    let repeated: u32 = line.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(repeated >= 20, "the script was played: {repeated}");
}

pub(crate) fn refused_streams_cost_no_try(service: Service) {
    let mut rig = Setup::default().tries(1).start(service);
    rig.script(Rule::new(Action::Reset { code: 7 }).every(every(3)));
    rig.deliver_each_once(300);
}

pub(crate) fn a_service_that_refuses_every_stream_is_not_asked_in_a_tight_loop(service: Service) {
    let mut setup = Setup::default();
    setup.settings.back_off.base = Duration::from_secs(3600);
    setup.settings.back_off.cap = Duration::from_secs(3600);
    let mut rig = setup.start(service);
    rig.script(Rule::new(Action::Reset { code: 7 }));
    rig.send(1);
    // The first try and three repetitions; the next one is an hour away.
    rig.endpoint().wait_for(4, LIMIT).unwrap();
    assert!(!rig.stop(millis(100)));
    assert_eq!(rig.received().len(), 4);
}

pub(crate) fn other_resets_count_and_come_to_an_end(service: Service) {
    let mut rig = Setup::default().start(service);
    rig.script(Rule::new(Action::Reset { code: 2 }));
    rig.send(1);
    assert_eq!(rig.report().outcome, Outcome::ConnectionFailed);
    rig.finish();
    assert_eq!(rig.received().len(), 3);
}

pub(crate) fn a_dropped_connection_is_replaced_and_everything_arrives(service: Service) {
    let mut rig = Setup::default().latency(millis(2)).start(service);
    let drop = Action::DropConnection {
        after_reading: true,
    };
    rig.script(Rule::new(drop).skip(100).times(1));
    rig.send(400);
    for report in rig.reports(400) {
        assert_eq!(report.outcome, Outcome::Delivered);
    }
    rig.finish();
    let mut tokens: Vec<_> = rig.endpoint().delivered();
    tokens.sort_by(|a, b| a.token.cmp(&b.token));
    tokens.dedup_by(|a, b| a.token == b.token);
    assert_eq!(tokens.len(), 400);
}

pub(crate) fn the_peers_stream_limit_is_respected(service: Service) {
    let mut rig = Setup::default()
        .connections(2)
        .streams(7)
        .latency(millis(2))
        .start(service);
    rig.deliver_each_once(300);
    let counters = rig.endpoint().counters();
    assert_eq!(counters.peak_streams, 7, "as many as allowed, not more");
    assert_eq!(rig.connections_used(), 2);
}

pub(crate) fn a_lowered_stream_limit_is_respected(service: Service) {
    let mut rig = Setup::default()
        .connections(1)
        .streams(60)
        .latency(millis(3))
        .start(service);
    rig.send(500);
    rig.endpoint().wait_for_delivered(100, LIMIT).unwrap();
    rig.endpoint().set_max_streams(3);
    rig.endpoint().wait_for_delivered(200, LIMIT).unwrap();
    rig.endpoint().set_max_streams(1);
    rig.endpoint().wait_for_delivered(230, LIMIT).unwrap();
    rig.endpoint().set_max_streams(60);
    rig.each_is_delivered_once(500);
}

pub(crate) fn one_stream_for_all_is_enough(service: Service) {
    let mut rig = Setup::default().connections(1).streams(1).start(service);
    rig.deliver_each_once(100);
    assert_eq!(rig.endpoint().counters().peak_streams, 1);
}

pub(crate) fn the_pool_grows_with_demand_and_not_beyond_its_limit(service: Service) {
    let mut rig = Setup::default()
        .connections(3)
        .streams(2)
        .latency(millis(5))
        .start(service);
    rig.send(1);
    rig.reports(1);
    assert_eq!(rig.connections_used(), 1);
    rig.send(200);
    rig.reports(200);
    assert_eq!(rig.connections_used(), 3);
    rig.finish();
}

pub(crate) fn a_service_that_is_down_costs_no_try(service: Service) {
    let mut rig = Setup::default().tries(1).start(service);
    rig.go_offline();
    rig.send(20);
    rig.endpoint().set_online(true);
    rig.each_is_delivered_once(20);
}

pub(crate) fn what_waits_for_a_service_that_is_down_expires(service: Service) {
    let mut rig = Setup::default().start(service);
    rig.go_offline();
    let mut notification = rig.notification("a0");
    notification.expires_at = notification.created_at.plus_ms(500);
    rig.put(notification);
    assert_eq!(rig.report().outcome, Outcome::Expired);
    rig.finish();
}

pub(crate) fn an_unanswered_request_is_tried_again_after_its_time(service: Service) {
    let mut setup = Setup::default();
    setup.settings.request_timeout = millis(300);
    let mut rig = setup.start(service);
    rig.script(Rule::new(Action::Silence).skip(5).times(1));
    rig.send(20);
    for report in rig.reports(20) {
        assert_eq!(report.outcome, Outcome::Delivered);
    }
    rig.finish();
    assert_eq!(rig.received().len(), 21);
    assert!(rig.metrics().contains("result=\"timed_out\"} 1"));
}

pub(crate) fn unanswered_tries_come_to_an_end_while_others_get_through(service: Service) {
    let mut setup = Setup::default().tries(2);
    setup.settings.request_timeout = millis(200);
    let mut rig = setup.start(service);
    rig.send(1);
    rig.reports(1);
    rig.script(Rule::new(Action::Silence).token_prefix("c0"));
    rig.put(rig.notification("c0"));
    let report = rig.send_others_until_reported("c0");
    assert_eq!(report.outcome, Outcome::ConnectionFailed);
    rig.finish();
    let received = rig.received();
    let tries = received.iter().filter(|one| one.token.starts_with("c0"));
    assert!(tries.count() >= 2);
}

pub(crate) fn a_batch_is_sent_when_it_is_full(service: Service) {
    let mut setup = Setup::default();
    setup.settings.interval = Duration::from_secs(3600);
    setup.settings.batch_size = std::num::NonZeroUsize::new(5).unwrap();
    let mut rig = setup.start(service);
    rig.send(4);
    assert_eq!(rig.received().len(), 0);
    rig.send(1);
    rig.reports(5);
    rig.finish();
}

pub(crate) fn a_batch_is_sent_when_its_time_is_over(service: Service) {
    let mut setup = Setup::default();
    setup.settings.interval = millis(100);
    let mut rig = setup.start(service);
    rig.deliver_each_once(3);
}

pub(crate) fn a_gathering_batch_is_sent_when_the_queue_ends(service: Service) {
    let mut setup = Setup::default();
    setup.settings.interval = Duration::from_secs(3600);
    let mut rig = setup.start(service);
    rig.send(3);
    assert!(rig.stop(LIMIT), "it does not wait for the batch");
    assert_eq!(rig.endpoint().delivered().len(), 3);
}

pub(crate) fn a_stuck_broadcast_leaves_a_quarter_of_the_streams_to_players(service: Service) {
    let mut setup = Setup::default().connections(1).streams(8);
    // More of the broadcast waits than a batch holds.
    setup.settings.batch_size = std::num::NonZeroUsize::new(10).unwrap();
    let mut rig = setup.start(service);
    rig.send(1);
    rig.reports(1);
    rig.script(Rule::new(Action::Silence).token_prefix("b0"));
    for _ in 0..30 {
        let mut notification = rig.notification("b0");
        notification.lane = Lane::Bulk;
        rig.put(notification);
    }
    rig.endpoint().wait_for(7, LIMIT).unwrap();
    rig.send(20);
    for report in rig.reports(20) {
        assert_eq!(report.outcome, Outcome::Delivered);
    }
    let stuck = rig.received();
    let stuck = stuck
        .iter()
        .filter(|received| received.token.starts_with("b0"));
    assert_eq!(stuck.count(), 6, "three quarters of eight");
    assert!(!rig.stop(millis(100)));
}

pub(crate) fn a_deadline_ends_the_sender_with_work_left_unreported(service: Service) {
    let mut rig = Setup::default().start(service);
    rig.script(Rule::new(Action::Silence));
    rig.send(2);
    rig.endpoint().wait_for(1, LIMIT).unwrap();
    assert!(!rig.stop(millis(50)));
}

pub(crate) fn near_the_end_nothing_is_sent_and_what_is_in_flight_gets_its_answer(service: Service) {
    // 200 would take eight seconds.
    let setup = Setup::default().connections(1).streams(8);
    let mut rig = setup.latency(millis(300)).start(service);
    rig.send(200);
    rig.endpoint().wait_for(1, LIMIT).unwrap();
    assert!(!rig.stop_sending(millis(100), LIMIT), "most are left");
    let sent = rig.received().len();
    assert!((1..200).contains(&sent), "{sent} were sent");
    for report in rig.reports(sent) {
        assert_eq!(report.outcome, Outcome::Delivered);
    }
}

pub(crate) fn whatever_happens_each_notification_is_reported_exactly_once(service: Service) {
    let mut setup = Setup::default().latency(millis(2));
    setup.settings.request_timeout = millis(500);
    let mut rig = setup.start(service);
    let graceful = GoAway::Graceful { reason: None };
    let hard = GoAway::Hard {
        unprocessed: 5,
        reason: None,
    };
    let drop = Action::DropConnection {
        after_reading: true,
    };
    let unavailable = Action::Refuse(rig.refusal(Kind::Unavailable));
    for (nth, action) in [
        (397, Action::GoAway(graceful)),
        (331, Action::GoAway(hard)),
        (499, drop),
        (101, Action::Silence),
        (53, Action::Reset { code: 7 }),
        (47, Action::Reset { code: 2 }),
        (41, unavailable),
    ] {
        rig.script(Rule::new(action).every(every(nth)));
    }
    rig.send(2000);
    let reports = rig.reports(2000);
    rig.finish();
    let mut ids: Vec<_> = reports.iter().map(|one| one.notification.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 2000);
    let counters = rig.endpoint().counters();
    assert_eq!(counters.violations, 0);
    for report in reports {
        let expected = matches!(
            report.outcome,
            Outcome::Delivered | Outcome::ConnectionFailed | Outcome::Unavailable
        );
        assert!(expected, "{:?} {}", report.outcome, report.reason);
    }
}

pub(crate) fn pings_do_not_disturb(service: Service) {
    let mut setup = Setup::default().latency(millis(100));
    setup.settings.ping_busy = millis(5);
    setup.settings.ping_idle = millis(5);
    let mut rig = setup.start(service);
    rig.deliver_each_once(100);
    assert_eq!(rig.connections_used(), 1);
}

pub(crate) fn surplus_connections_are_closed_when_they_idle(service: Service) {
    let mut setup = Setup::default()
        .connections(3)
        .streams(2)
        .latency(millis(5));
    setup.settings.surplus_idle = millis(500);
    let mut rig = setup.start(service);
    rig.send(200);
    rig.reports(200);
    assert!(rig.connections_used() >= 3);
    let open = format!("sender_connections{{provider=\"{}\"}} 1", rig.provider());
    rig.eventually(|| rig.metrics().lines().any(|line| line == open));
    rig.send(10);
    rig.reports(10);
    rig.finish();
}

/// The tests of this file for one push service.
macro_rules! provider_suite {
    ($service:expr) => {
        tests_for! { $service, suite,
            each_notification_is_delivered_and_reported_once,
            room_in_the_queue_is_given_back_with_the_report,
            a_dead_token_is_told_once_and_not_tried_again,
            a_rejected_payload_is_not_tried_again_and_prunes_nothing,
            a_passing_failure_is_tried_again,
            tries_come_to_an_end,
            retry_after_is_waited_for_in_both_forms,
            what_is_expired_is_not_sent,
            no_try_is_planned_beyond_the_expiry,
            graceful_goaways_in_the_midst_of_10_000_lose_and_double_nothing,
            hard_goaways_cost_no_try_and_double_nothing,
            refused_streams_cost_no_try,
            a_service_that_refuses_every_stream_is_not_asked_in_a_tight_loop,
            other_resets_count_and_come_to_an_end,
            a_dropped_connection_is_replaced_and_everything_arrives,
            the_peers_stream_limit_is_respected,
            a_lowered_stream_limit_is_respected,
            one_stream_for_all_is_enough,
            the_pool_grows_with_demand_and_not_beyond_its_limit,
            a_service_that_is_down_costs_no_try,
            what_waits_for_a_service_that_is_down_expires,
            an_unanswered_request_is_tried_again_after_its_time,
            unanswered_tries_come_to_an_end_while_others_get_through,
            a_batch_is_sent_when_it_is_full,
            a_batch_is_sent_when_its_time_is_over,
            a_gathering_batch_is_sent_when_the_queue_ends,
            a_stuck_broadcast_leaves_a_quarter_of_the_streams_to_players,
            a_deadline_ends_the_sender_with_work_left_unreported,
            near_the_end_nothing_is_sent_and_what_is_in_flight_gets_its_answer,
            whatever_happens_each_notification_is_reported_exactly_once,
            pings_do_not_disturb,
            surplus_connections_are_closed_when_they_idle,
        }
    };
}

/// One test of each name, from the module, for one push service.
macro_rules! tests_for {
    ($service:expr, $module:ident, $($test:ident),+ $(,)?) => {$(
        #[test]
        fn $test() {
            crate::$module::$test($service);
        }
    )+};
}

pub(crate) use {provider_suite, tests_for};
