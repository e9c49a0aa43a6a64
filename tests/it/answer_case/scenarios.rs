//! What both push services do alike and takes more than one answer.

use std::{num::NonZeroU32, time::Duration};

use model::Outcome;
use sender::BackOff;
use serde_json::json;
use simulator::{Action, Rule, Service, Verdict};

use super::{
    each_user_has_a_device,
    observed::{Ends, breaker, csv_of, endpoint, provider},
    quick, refuse, token,
};
use crate::{
    app::{TestApp, event, eventually},
    database::Database,
};

const SUBJECT: i64 = 1;

/// Before a probe of the breaker; half of it at least.
const WAIT: Duration = Duration::from_secs(2);

/// A connection that breaks again and again under one notification, and under no other, is that
/// notification's own affair.
pub(crate) fn ends_with_status_2_while_others_get_through(database: Database, service: Service) {
    let ends = Ends::default();
    let mut app = TestApp::start_with(database, |setting| {
        quick(setting, |_| {});
        ends.watch(setting);
    });
    each_user_has_a_device(&mut app, service, 0..=SUBJECT);
    let drop = Action::DropConnection {
        after_reading: true,
    };
    let subject = token(service, SUBJECT);
    let rule = Rule::new(drop).service(service);
    app.simulator.script().add(rule.token_prefix(&subject));
    app.post_events(&[event(SUBJECT, 100, json!({}))]);
    let mut others = 0;
    eventually("the subject has ended", || {
        app.post_events(&[event(0, 100, json!({}))]);
        others += 1;
        eventually("another got through", || ends.of(0).len() == others);
        !ends.of(SUBJECT).is_empty()
    });
    app.finish();
    assert_eq!(
        ends.of(SUBJECT),
        [(Outcome::ConnectionFailed, "connection lost".to_owned())]
    );
    assert!(csv_of(&app, SUBJECT)[0].starts_with("2,"));
    assert!(
        ends.of(0)
            .iter()
            .all(|(outcome, _)| *outcome == Outcome::Delivered)
    );
    let service_log = endpoint(&app, service);
    let mut of_subject = service_log.received();
    of_subject.retain(|one| one.token == subject);
    assert!(of_subject.len() >= 3, "{} tries", of_subject.len());
    assert!(of_subject.iter().all(|one| one.verdict == Verdict::Dropped));
}

/// A refused credential or configuration ends the notification that heard it. What comes after
/// it waits until a probe gets through, and loses nothing.
pub(crate) fn one_refusal_holds_the_rest(
    database: Database,
    service: Service,
    status: u16,
    reason: &str,
    csv: i32,
) {
    let ends = Ends::default();
    let mut app = TestApp::start_with(database, |setting| {
        quick(setting, |settings| {
            settings.breaker.wait = BackOff {
                base: WAIT,
                cap: WAIT,
            };
        });
        setting.config.messenger.connection_error_retries = NonZeroU32::MIN;
        ends.watch(setting);
    });
    each_user_has_a_device(&mut app, service, 0..=5);
    app.post_events(&[event(0, 100, json!({}))]);
    app.finish();
    app.simulator
        .script()
        .add(Rule::new(refuse(status, reason)).service(service).times(1));
    app.post_events(&[event(1, 100, json!({}))]);
    eventually("the refusal has ended its notification", || {
        !ends.of(1).is_empty()
    });
    app.eventually("the breaker is open", || breaker(&app, service) == 2);
    let rest: Vec<_> = (2..=5).map(|user| event(user, 100, json!({}))).collect();
    app.post_events(&rest);
    app.finish();

    assert!(csv_of(&app, 1)[0].starts_with(&format!("{csv},")));
    assert!((2..=5).all(|user| csv_of(&app, user)[0].starts_with("0,")));
    assert!((0..=5).all(|user| !app.is_unregistered(user)));
    let service_log = endpoint(&app, service);
    let received = service_log.received_from(1);
    assert_eq!(received.len(), 1 + 4, "each is asked once");
    for later in &received[1..] {
        let after = later.at.duration_since(received[0].at);
        assert!(after >= WAIT / 2, "{after:?} after the refusal");
    }
    assert_eq!(breaker(&app, service), 0, "closed");
    let openings = "onegin_sender_breaker_openings_total";
    assert_eq!(
        app.metric(&format!("{openings}{{{}}}", provider(service))),
        1
    );
}
