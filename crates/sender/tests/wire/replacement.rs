//! A credential that is replaced while the sender is at work.

use std::time::Duration;

use model::Outcome;
use simulator::Service;

use crate::{
    breaker::never_probes,
    rig::{Kind, LIMIT, Setup},
};

pub(crate) fn in_flight_requests_end_on_the_old_connections_and_the_next_go_on_new_ones(
    service: Service,
) {
    let mut rig = Setup::default()
        .connections(1)
        .latency(Duration::from_millis(500))
        .start(service);
    rig.send(1);
    assert_eq!(rig.report().outcome, Outcome::Delivered);
    rig.send(10);
    rig.eventually(|| rig.in_flight() == 10);
    rig.replace_credential();
    rig.send(10);
    for report in rig.reports(20) {
        assert_eq!(report.outcome, Outcome::Delivered);
    }
    rig.finish();
    let received = rig.received();
    assert_eq!(received.len(), 21, "nothing is sent twice");
    let old = received[0].connection;
    let on_the_old_one = received.iter().filter(|one| one.connection == old);
    assert_eq!(on_the_old_one.count(), 11);
    assert_eq!(rig.connections_used(), 2);
}

pub(crate) fn what_a_refused_credential_held_back_goes_out_at_once(service: Service) {
    let mut rig = never_probes().start(service);
    rig.refuse(Kind::Misconfigured, |rule| rule);
    rig.send(1);
    assert_eq!(rig.report().outcome, Outcome::CredentialRefused);
    rig.eventually(|| rig.breaker_state() == 2);
    rig.send(20);
    rig.simulator.script().clear();
    rig.replace_credential();
    for report in rig.reports(20) {
        assert_eq!(report.outcome, Outcome::Delivered);
    }
    rig.eventually(|| rig.breaker_state() == 0);
    // A new one that is refused as well is told like the first.
    rig.refuse(Kind::Misconfigured, |rule| rule);
    rig.send(1);
    assert_eq!(rig.report().outcome, Outcome::CredentialRefused);
    rig.eventually(|| rig.breaker_state() == 2);
    rig.replace_credential();
    rig.send(1);
    assert_eq!(rig.report().outcome, Outcome::CredentialRefused);
    rig.finish();
    assert_eq!(rig.breaker_openings(), 2);
}

pub(crate) fn a_service_that_could_not_be_reached_is_tried_at_once(service: Service) {
    let mut rig = never_probes().start(service);
    rig.go_offline();
    rig.send(5);
    rig.eventually(|| rig.breaker_state() == 2);
    rig.go_online();
    rig.replace_credential();
    for report in rig.reports(5) {
        assert_eq!(report.outcome, Outcome::Delivered);
    }
    rig.finish();
}

pub(crate) fn many_replacements_in_the_midst_of_things_lose_and_double_nothing(service: Service) {
    let mut rig = Setup::default()
        .latency(Duration::from_millis(5))
        .start(service);
    for round in 1..=20 {
        rig.send(50);
        // Some of the round's are there, the others on their way or still waiting.
        rig.endpoint().wait_for(round * 25, LIMIT).unwrap();
        rig.replace_credential();
    }
    rig.each_is_delivered_once(1000);
}

macro_rules! replacement_suite {
    ($service:expr) => {
        tests_for! { $service, replacement,
            in_flight_requests_end_on_the_old_connections_and_the_next_go_on_new_ones,
            what_a_refused_credential_held_back_goes_out_at_once,
            a_service_that_could_not_be_reached_is_tried_at_once,
            many_replacements_in_the_midst_of_things_lose_and_double_nothing,
        }
    };
}

pub(crate) use replacement_suite;
