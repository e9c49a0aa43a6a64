//! What only APNs has: one stream first, provider tokens, suspect tokens.

use std::time::Duration;

use model::{Feedback, Outcome, UnixMs};
use serde_json::json;
use simulator::{Action, GoAway, Refusal, Rule, Service};

use crate::{
    breaker::breaker_suite,
    replacement::replacement_suite,
    rig::{LIMIT, Setup},
    suite::{provider_suite, tests_for},
};

provider_suite!(Service::Apns);

breaker_suite!(Service::Apns);

replacement_suite!(Service::Apns);

#[test]
fn the_payload_on_the_wire_is_the_documented_one() {
    let mut rig = Setup::default().start(Service::Apns);
    let notification = rig.notification("a0");
    rig.put(notification.clone());
    rig.reports(1);
    rig.finish();
    let received = rig.received().remove(0);
    assert_eq!(
        received.json(),
        json!({
            "aps": {
                "alert": {"title": "T", "body": "Hello, world"},
                "badge": 1,
                "sound": "default",
            },
            "path": "scr1",
            "source": "pushnotification",
            "campaign": "1",
            "medium": "7",
        })
    );
    assert_eq!(received.token, notification.token.as_str());
    assert_eq!(
        received.header("apns-id"),
        Some(&*notification.id.to_string())
    );
    assert_eq!(received.header("apns-push-type"), Some("alert"));
    assert_eq!(received.header("apns-priority"), Some("10"));
    assert_eq!(
        received.header("apns-expiration"),
        Some(&*notification.expires_at.seconds().to_string())
    );
}

#[test]
fn a_repetition_has_the_same_apns_id() {
    let mut rig = Setup::default().start(Service::Apns);
    rig.script(Rule::new(Action::Reset { code: 2 }).times(1));
    rig.send(1);
    rig.reports(1);
    rig.finish();
    let ids: Vec<_> = rig
        .received()
        .iter()
        .map(|received| received.header("apns-id").unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn one_request_goes_alone_until_it_is_answered() {
    let mut rig = Setup::default()
        .connections(1)
        .latency(Duration::from_millis(20))
        .start(Service::Apns);
    rig.deliver_each_once(200);
    let received = rig.received();
    let wait = received[1].at.duration_since(received[0].at);
    assert!(wait >= Duration::from_millis(20), "{wait:?}");
    assert!(rig.endpoint().counters().peak_streams > 100);
}

#[test]
fn unregistered_keeps_apples_time() {
    let mut rig = Setup::default().start(Service::Apns);
    let refusal = Refusal::new(410, "Unregistered").timestamp_ms(1_629_000_000_123);
    rig.script(Rule::new(Action::Refuse(refusal)));
    rig.send(1);
    rig.reports(1);
    rig.finish();
    assert!(matches!(
        &rig.feedback()[..],
        [Feedback::Unregistered {
            since: Some(UnixMs(1_629_000_000_123)),
            ..
        }]
    ));
}

#[test]
fn a_bad_token_prunes_only_while_such_answers_are_rare() {
    let mut rig = Setup::default().start(Service::Apns);
    let bad = Action::Refuse(Refusal::new(400, "BadDeviceToken"));
    rig.script(Rule::new(bad).token_prefix("bad"));
    rig.send(100);
    rig.reports(100);
    rig.put(rig.notification("bad"));
    assert_eq!(rig.report().outcome, Outcome::InvalidToken);
    assert_eq!(rig.feedback().len(), 1, "one among many is believed");
    for _ in 0..200 {
        rig.put(rig.notification("bad"));
    }
    rig.reports(200);
    rig.finish();
    assert!(rig.feedback().len() < 30, "many are not");
}

#[test]
fn a_young_token_that_is_called_expired_is_not_replaced() {
    let mut rig = Setup::default().start(Service::Apns);
    rig.simulator.set_clock_offset_sec(2 * 3600);
    rig.send(3);
    for report in rig.reports(3) {
        assert_eq!(report.outcome, Outcome::CredentialRefused);
        assert_eq!(report.reason, "ExpiredProviderToken");
    }
    rig.finish();
    let counters = rig.endpoint().counters();
    assert_eq!((counters.requests, counters.peak_streams), (3, 1));
    assert!(
        rig.metrics()
            .contains("credential_renewals_total{provider=\"apns\",result=\"ok\"} 1")
    );
}

#[test]
fn a_key_that_apple_does_not_know_is_no_reason_to_hurry() {
    let mut rig = Setup {
        apns: Box::new(|options| {
            let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
            let pem = key.serialize_pem();
            options.credentials =
                sender::apns::Credentials::from_p8(pem.as_bytes(), "SIMKEY0001", "SIMTEAM001")
                    .unwrap();
        }),
        ..Setup::default()
    }
    .start(Service::Apns);
    rig.send(5);
    for report in rig.reports(5) {
        assert_eq!(report.outcome, Outcome::CredentialRefused);
        assert_eq!(report.reason, "InvalidProviderToken");
    }
    rig.finish();
    let counters = rig.endpoint().counters();
    assert_eq!((counters.peak_streams, counters.violations), (1, 0));
}

#[test]
fn a_refused_key_closes_all_connections() {
    let mut setup = Setup::default()
        .connections(3)
        .streams(2)
        .latency(Duration::from_millis(5));
    setup.settings.breaker.wait.base = Duration::from_secs(3600);
    setup.settings.breaker.wait.cap = Duration::from_secs(3600);
    let mut rig = setup.start(Service::Apns);
    rig.send(200);
    rig.reports(200);
    assert_eq!(rig.endpoint().counters().connections_open, 3);
    let refusal = Refusal::new(403, "InvalidProviderToken");
    rig.script(Rule::new(Action::Refuse(refusal)));
    rig.send(1);
    assert_eq!(rig.report().outcome, Outcome::CredentialRefused);
    rig.eventually(|| rig.endpoint().counters().connections_open == 0);
    rig.finish();
}

#[test]
fn a_goaway_about_the_credential_causes_no_reconnect_loop() {
    let mut setup = Setup::default();
    setup.settings.reconnect.base = Duration::from_secs(3600);
    setup.settings.reconnect.cap = Duration::from_secs(3600);
    let mut rig = setup.start(Service::Apns);
    rig.send(1);
    rig.reports(1);
    let goaway = GoAway::Hard {
        unprocessed: 1,
        reason: Some("BadCertificate".to_owned()),
    };
    rig.script(Rule::new(Action::GoAway(goaway)));
    rig.send(2);
    rig.endpoint().wait_for(2, LIMIT).unwrap();
    rig.eventually(|| rig.breaker_state() == 2);
    assert!(!rig.stop(Duration::from_millis(200)));
    assert_eq!(rig.endpoint().counters().connections_opened, 1);
}

#[test]
fn a_draining_server_is_left_at_once() {
    let mut rig = Setup::default().start(Service::Apns);
    rig.send(1);
    rig.reports(1);
    let shutdown = Action::Refuse(Refusal::new(503, "Shutdown"));
    rig.script(Rule::new(shutdown).times(1));
    rig.send(1);
    assert_eq!(rig.report().outcome, Outcome::Delivered);
    rig.finish();
    let connections: Vec<_> = rig
        .received()
        .iter()
        .map(|received| received.connection)
        .collect();
    assert_eq!(connections, [1, 1, 2]);
}

#[test]
fn too_many_token_updates_pause_everything_and_keep_the_token() {
    let mut rig = Setup::default().start(Service::Apns);
    let many = Action::Refuse(Refusal::new(429, "TooManyProviderTokenUpdates"));
    rig.script(Rule::new(many));
    rig.send(5);
    rig.endpoint().wait_for(1, LIMIT).unwrap();
    assert!(!rig.stop(Duration::from_millis(200)));
    assert_eq!(rig.received().len(), 1, "a minute of silence");
    assert!(
        rig.metrics()
            .contains("credential_renewals_total{provider=\"apns\",result=\"ok\"} 1")
    );
}
