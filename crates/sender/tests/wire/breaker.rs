//! A push service that fails for all: what waits for it costs no try, and what ends it is told.

use std::{num::NonZeroU32, time::Duration};

use model::{Notification, Outcome};
use sender::BackOff;
use simulator::{Action, Rule, Service};

use crate::rig::{Kind, LIMIT, Rig, Setup};

const OPEN: i64 = 2;
const CLOSED: i64 = 0;

/// Probes come after half of `wait` to `wait`.
fn probes_after(wait: Duration) -> Setup {
    let mut setup = Setup::default();
    setup.settings.breaker.wait = BackOff {
        base: wait,
        cap: wait,
    };
    setup
}

pub(crate) fn never_probes() -> Setup {
    probes_after(Duration::from_secs(3600))
}

/// Opens the breaker by a refusal, which ends one notification.
fn open_by_refusal(rig: &Rig) {
    rig.refuse(Kind::Misconfigured, |rule| rule);
    rig.send(1);
    assert_eq!(rig.report().outcome, Outcome::CredentialRefused);
    rig.eventually(|| rig.breaker_state() == OPEN);
}

fn expiring(rig: &Rig, after_ms: i64) -> Notification {
    let mut notification = rig.notification("e0");
    notification.expires_at = notification.created_at.plus_ms(after_ms);
    notification
}

pub(crate) fn one_refusal_ends_one_notification_and_holds_the_rest(service: Service) {
    let mut rig = probes_after(Duration::from_secs(3)).tries(1).start(service);
    rig.send(1);
    rig.reports(1);
    rig.refuse(Kind::Misconfigured, |rule| rule);
    rig.send(50);
    let refused = rig.report();
    assert_eq!(refused.outcome, Outcome::CredentialRefused);
    assert_eq!(refused.reason, rig.refusal(Kind::Misconfigured).reason);
    // Whatever was on its way is refused too: a success that came late would end one without a
    // probe.
    rig.eventually(|| rig.breaker_state() == OPEN && rig.in_flight() == 0);
    rig.simulator.script().clear();
    for report in rig.reports(49) {
        assert_eq!(report.outcome, Outcome::Delivered);
    }
    rig.finish();
    assert_eq!(rig.breaker_state(), CLOSED);
    assert_eq!(rig.breaker_openings(), 1);
}

pub(crate) fn a_probe_that_is_refused_again_ends_too(service: Service) {
    let mut rig = Setup::default().start(service);
    rig.refuse(Kind::Misconfigured, |rule| rule);
    rig.send(5);
    for report in rig.reports(5) {
        assert_eq!(report.outcome, Outcome::CredentialRefused);
    }
    rig.finish();
    assert_eq!(rig.breaker_openings(), 1, "it was never closed between");
}

pub(crate) fn while_it_is_open_nothing_is_sent(service: Service) {
    let mut rig = never_probes().start(service);
    open_by_refusal(&rig);
    let before = rig.received().len();
    rig.send(20);
    rig.put(expiring(&rig, 500));
    assert_eq!(rig.report().outcome, Outcome::Expired);
    assert_eq!(rig.received().len(), before);
    assert!(!rig.stop(Duration::from_millis(100)), "20 are left");
}

pub(crate) fn what_expires_behind_many_that_wait_ends_in_time(service: Service) {
    let mut setup = never_probes();
    setup.settings.batch_size = std::num::NonZeroUsize::new(5).unwrap();
    let mut rig = setup.start(service);
    open_by_refusal(&rig);
    rig.send(100);
    let late = expiring(&rig, 500);
    rig.put(late.clone());
    let report = rig.report();
    assert_eq!(report.outcome, Outcome::Expired);
    assert_eq!(report.notification.id, late.id);
    assert!(!rig.stop(Duration::from_millis(100)));
}

pub(crate) fn what_waits_counts_towards_the_queues_limit(service: Service) {
    let mut rig = never_probes().start(service);
    open_by_refusal(&rig);
    let monitor = rig.queue().monitor();
    rig.eventually(|| monitor.depth() == 0);
    rig.send(20);
    rig.put(expiring(&rig, 500));
    assert_eq!(rig.report().outcome, Outcome::Expired);
    assert_eq!(monitor.depth(), 20);
    assert!(!rig.stop(Duration::from_millis(100)));
}

pub(crate) fn refused_connections_open_it_and_cost_no_try(service: Service) {
    let mut rig = Setup::default().tries(1).start(service);
    rig.send(1);
    rig.reports(1);
    rig.go_offline();
    rig.send(20);
    rig.eventually(|| rig.breaker_openings() == 1);
    rig.endpoint().set_online(true);
    for report in rig.reports(20) {
        assert_eq!(report.outcome, Outcome::Delivered);
    }
    rig.finish();
    assert_eq!(rig.breaker_state(), CLOSED);
}

pub(crate) fn time_outs_of_everything_open_it_and_cost_no_try(service: Service) {
    let mut setup = Setup::default().tries(1);
    setup.settings.request_timeout = Duration::from_millis(200);
    let mut rig = setup.start(service);
    rig.script(Rule::new(Action::Silence));
    rig.send(10);
    rig.eventually(|| rig.breaker_openings() == 1);
    rig.simulator.script().clear();
    for report in rig.reports(10) {
        assert_eq!(report.outcome, Outcome::Delivered);
    }
    rig.finish();
}

pub(crate) fn connections_that_break_for_all_open_it_and_cost_no_try(service: Service) {
    let mut rig = Setup::default().tries(1).start(service);
    let drop = Action::DropConnection {
        after_reading: true,
    };
    rig.script(Rule::new(drop));
    rig.send(10);
    rig.eventually(|| rig.breaker_openings() == 1);
    rig.simulator.script().clear();
    for report in rig.reports(10) {
        assert_eq!(report.outcome, Outcome::Delivered);
    }
    rig.finish();
}

pub(crate) fn a_connection_that_breaks_for_one_ends_it_when_others_get_through(service: Service) {
    let mut rig = Setup::default().start(service);
    let drop = Action::DropConnection {
        after_reading: true,
    };
    rig.script(Rule::new(drop).token_prefix("c0"));
    rig.put(rig.notification("c0"));
    let report = rig.send_others_until_reported("c0");
    assert_eq!(report.outcome, Outcome::ConnectionFailed);
    rig.finish();
}

pub(crate) fn nothing_but_bad_answers_open_it_and_the_rest_is_kept(service: Service) {
    let mut setup = probes_after(Duration::from_secs(1)).tries(1);
    setup.settings.breaker.bad_answers = NonZeroU32::new(4).unwrap();
    let mut rig = setup.connections(1).streams(1).start(service);
    rig.send(1);
    rig.reports(1);
    rig.refuse(Kind::Unavailable, |rule| rule.times(4));
    rig.send(20);
    let reports = rig.reports(20);
    rig.finish();
    let ended = |outcome| {
        let of = reports.iter().filter(|report| report.outcome == outcome);
        of.count()
    };
    assert_eq!(
        (ended(Outcome::Unavailable), ended(Outcome::Delivered)),
        (3, 17),
        "the one whose answer opened it is kept"
    );
    assert_eq!(rig.breaker_openings(), 1);
}

pub(crate) fn a_few_bad_answers_leave_it_closed(service: Service) {
    let mut rig = Setup::default().start(service);
    rig.refuse(Kind::Unavailable, |rule| rule);
    rig.send(10);
    for report in rig.reports(10) {
        assert_eq!(report.outcome, Outcome::Unavailable);
    }
    rig.finish();
    assert_eq!(rig.breaker_openings(), 0);
}

pub(crate) fn one_that_ruins_its_probe_does_not_keep_the_others(service: Service) {
    let mut setup = Setup::default().tries(1);
    setup.settings.request_timeout = Duration::from_millis(100);
    let mut rig = setup.start(service);
    rig.script(Rule::new(Action::Silence).token_prefix("c0"));
    rig.put(rig.notification("c0"));
    rig.eventually(|| rig.breaker_openings() == 1);
    rig.send(5);
    let mut outcomes: Vec<_> = rig.reports(5).iter().map(|report| report.outcome).collect();
    outcomes.dedup();
    assert_eq!(outcomes, [Outcome::Delivered]);
    rig.simulator.script().clear();
    rig.endpoint().wait_for(1, LIMIT).unwrap();
    rig.reports(1);
    rig.finish();
}

/// The tests of this file for one push service.
macro_rules! breaker_suite {
    ($service:expr) => {
        tests_for! { $service, breaker,
            one_refusal_ends_one_notification_and_holds_the_rest,
            a_probe_that_is_refused_again_ends_too,
            while_it_is_open_nothing_is_sent,
            what_expires_behind_many_that_wait_ends_in_time,
            what_waits_counts_towards_the_queues_limit,
            refused_connections_open_it_and_cost_no_try,
            time_outs_of_everything_open_it_and_cost_no_try,
            connections_that_break_for_all_open_it_and_cost_no_try,
            a_connection_that_breaks_for_one_ends_it_when_others_get_through,
            nothing_but_bad_answers_open_it_and_the_rest_is_kept,
            a_few_bad_answers_leave_it_closed,
            one_that_ruins_its_probe_does_not_keep_the_others,
        }
    };
}

pub(crate) use breaker_suite;
