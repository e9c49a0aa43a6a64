//! What only FCM has: access tokens, dry run, quotas.

use std::{num::NonZeroU32, time::Duration};

use model::Outcome;
use serde_json::json;
use simulator::{Action, Refusal, RetryAfter, Rule, Service};

use crate::{
    breaker::breaker_suite,
    replacement::replacement_suite,
    rig::{LIMIT, Setup},
    suite::{provider_suite, tests_for},
};

provider_suite!(Service::Fcm);

breaker_suite!(Service::Fcm);

replacement_suite!(Service::Fcm);

#[test]
fn the_message_on_the_wire_is_the_documented_one() {
    let mut rig = Setup::default().start(Service::Fcm);
    let notification = rig.notification("a0");
    rig.put(notification.clone());
    rig.reports(1);
    rig.finish();
    let mut body = rig.received().remove(0).json();
    let ttl = body["message"]["android"]["ttl"].take();
    assert!(ttl == "3599s" || ttl == "3600s", "{ttl}");
    assert_eq!(
        body,
        json!({
            "message": {
                "token": notification.token.as_str(),
                "data": {
                    "title": "T",
                    "message": "Hello, world",
                    "url": "application_name.com://scr1?utm_source=pushnotification&utm_campaign=1&utm_medium=7",
                    "notifid": "1",
                },
                "android": {"priority": "HIGH", "ttl": null},
            },
        })
    );
}

#[test]
fn one_access_token_serves_all() {
    let mut rig = Setup::default().start(Service::Fcm);
    rig.deliver_each_once(300);
    assert_eq!(rig.endpoint().counters().tokens_issued, 1);
}

#[test]
fn a_revoked_access_token_is_renewed_once_and_nothing_is_lost() {
    let mut rig = Setup::default().tries(1).start(Service::Fcm);
    rig.send(100);
    rig.reports(100);
    rig.simulator.revoke_access_tokens();
    rig.send(100);
    for report in rig.reports(100) {
        assert_eq!(report.outcome, Outcome::Delivered);
    }
    rig.finish();
    assert_eq!(rig.endpoint().counters().tokens_issued, 2);
}

#[test]
fn an_access_token_is_renewed_without_being_asked_for() {
    let mut setup = Setup::default();
    setup.simulator.access_token_life = Duration::from_secs(2);
    let mut rig = setup.start(Service::Fcm);
    rig.eventually(|| rig.endpoint().counters().tokens_issued >= 2);
    assert_eq!(rig.received().len(), 0);
    rig.deliver_each_once(10);
}

#[test]
fn a_credential_that_stays_refused_is_renewed_only_once() {
    let mut rig = Setup::default().start(Service::Fcm);
    rig.script(Rule::new(Action::Refuse(Refusal::new(401, ""))).token_prefix("c0"));
    rig.put(rig.notification("c0"));
    assert_eq!(rig.report().outcome, Outcome::CredentialRefused);
    rig.finish();
    let counters = rig.endpoint().counters();
    assert_eq!(
        rig.received()
            .iter()
            .filter(|one| one.token.starts_with("c0"))
            .count(),
        2
    );
    assert!(counters.tokens_issued <= 3, "{}", counters.tokens_issued);
}

#[test]
fn a_refused_service_account_opens_the_breaker_and_loses_nothing() {
    let rule = Rule::new(Action::Refuse(Refusal::new(400, "invalid_grant")));
    let mut setup = Setup::default().tries(1);
    setup.simulator.access_token_life = Duration::from_secs(1);
    let mut rig = setup.start(Service::Fcm);
    rig.send(1);
    rig.reports(1);
    rig.simulator.script().add(rule.service(Service::Oauth));
    rig.simulator.revoke_access_tokens();
    rig.send(5);
    rig.eventually(|| rig.breaker_state() == 2);
    let mut late = rig.notification("a0");
    late.expires_at = late.created_at.plus_ms(300);
    rig.put(late);
    assert_eq!(rig.report().outcome, Outcome::Expired);
    rig.simulator.script().clear();
    for report in rig.reports(5) {
        assert_eq!(report.outcome, Outcome::Delivered);
    }
    rig.finish();
    assert_eq!((rig.breaker_state(), rig.breaker_openings()), (0, 1));
}

#[test]
fn dry_run_validates_and_delivers_nothing() {
    let mut rig = Setup {
        fcm: |options| options.dry_run = true,
        ..Setup::default()
    }
    .start(Service::Fcm);
    rig.send(3);
    for report in rig.reports(3) {
        assert_eq!(report.outcome, Outcome::Delivered);
    }
    rig.finish();
    assert!(rig.received().iter().all(|received| received.validate_only));
    assert_eq!(rig.endpoint().delivered().len(), 0);
}

#[test]
fn an_exceeded_quota_slows_everybody_down_and_costs_no_try() {
    let mut rig = Setup::default().tries(1).start(Service::Fcm);
    rig.send(1);
    rig.reports(1);
    let refusal = Refusal::new(429, "QUOTA_EXCEEDED").retry_after(RetryAfter::Seconds(1));
    rig.script(Rule::new(Action::Refuse(refusal)).times(1));
    rig.send(1);
    rig.endpoint().wait_for(2, LIMIT).unwrap();
    rig.send(5);
    for report in rig.reports(6) {
        assert_eq!(report.outcome, Outcome::Delivered);
    }
    rig.finish();
    let received = rig.received();
    assert_eq!(received.len(), 8);
    // The answer to the second request may cross with the first of the five.
    let after: Vec<_> = received[2..]
        .iter()
        .filter(|later| later.at.duration_since(received[1].at) >= Duration::from_secs(1))
        .collect();
    assert!(!after.is_empty());
}

#[test]
fn the_rate_limit_holds() {
    let mut rig = Setup {
        fcm: |options| options.rate_limit_per_sec = NonZeroU32::new(100),
        ..Setup::default()
    }
    .start(Service::Fcm);
    rig.deliver_each_once(60);
    let received = rig.received();
    let took = received[59].at.duration_since(received[0].at);
    assert!(took >= Duration::from_millis(400), "{took:?}");
}
