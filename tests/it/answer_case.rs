//! One answer of a push service and all that must follow from it: what is sent again and when,
//! what stands in the CSV, what becomes of the device's row, what is counted.
//!
//! A case is one notification to a subject, whose first requests meet the answers of the case;
//! after them the service takes everything. Then a bystander is notified: whatever was answered,
//! the next notification must get through.

mod observed;

mod scenarios;

mod program;

use std::time::Duration;

use model::Outcome;
use sender::{BackOff, PoolSettings, apns};
use serde_json::json;
use simulator::{Action, GoAway, Received, Refusal, Rule, Service};

pub(crate) use observed::{Ends, counted, csv_of, feedback_entered, moved, sent};
pub(crate) use program::Program;
pub(crate) use scenarios::{
    ends_with_status_2_while_others_get_through, one_refusal_holds_the_rest,
};

use crate::{
    app::{Setting, TestApp, event, login, triggered_by},
    database::Database,
};
use observed::{breaker, endpoint, feedback_applied};

const SUBJECT: i64 = 1;
const BYSTANDER: i64 = 2;

/// What becomes of the subject's device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    /// Nothing was said about it.
    Untouched,
    /// It gets nothing more.
    Unregistered,
}

/// See the module's text.
pub(crate) struct Case {
    pub(crate) service: Service,
    /// What the service does to the subject's requests, one after the other.
    pub(crate) answers: Vec<Action>,
    /// `connection_error_retries`.
    pub(crate) tries: u32,
    /// Notifications to others that are delivered before; the first of them opens a connection.
    pub(crate) delivered_before: usize,
    /// Changes of the sender's settings.
    pub(crate) settings: fn(&mut PoolSettings),
    /// Changes of what is not configured of APNs.
    pub(crate) apns_options: fn(&mut apns::Options),
    /// The subject's requests as the service saw them, in their order, with the connection
    /// where it is not the first.
    pub(crate) sent: Vec<String>,
    /// At least so long is between the first two of them.
    pub(crate) pause: Duration,
    /// The status in the subject's CSV line.
    pub(crate) csv: i32,
    /// The push service's word that the notification ends with.
    pub(crate) reason: &'static str,
    pub(crate) device: Device,
    /// The counters that were moved, without those of the notifications to others.
    pub(crate) counted: Vec<&'static str>,
}

impl Case {
    /// A case of `service` with these answers; what must follow is to be filled in.
    pub(crate) fn of(service: Service, answers: Vec<Action>) -> Self {
        Self {
            service,
            answers,
            tries: 3,
            delivered_before: 1,
            settings: |_| {},
            apns_options: |_| {},
            sent: Vec::new(),
            pause: Duration::ZERO,
            csv: 0,
            reason: "",
            device: Device::Untouched,
            counted: Vec::new(),
        }
    }

    /// Plays the case and checks all of it.
    #[track_caller]
    pub(crate) fn holds(self, database: Database) {
        let ends = Ends::default();
        let mut app = self.start(database, &ends);
        let before = counted(&app, self.service);
        let first = endpoint(&app, self.service).counters().requests;
        for answer in self.answers.iter().cloned() {
            let rule = Rule::new(answer)
                .service(self.service)
                .token_prefix(&token(self.service, SUBJECT));
            app.simulator.script().add(rule.times(1));
        }
        app.post_events(&[event(SUBJECT, 100, json!({}))]);
        app.finish();

        let received = endpoint(&app, self.service).received_from(first);
        let sent = sent(&received);
        assert_eq!(sent, self.sent, "what was sent");
        self.has_one_id(&received);
        if let [first, second, ..] = &received[..] {
            let pause = second.at.duration_since(first.at);
            assert!(pause >= self.pause, "sent again after {pause:?}");
        }
        let lines = csv_of(&app, SUBJECT);
        assert_eq!(lines.len(), 1, "lines of the subject: {lines:?}");
        assert!(
            lines[0].starts_with(&format!("{},{SUBJECT},", self.csv))
                && lines[0].ends_with(&token(self.service, SUBJECT)),
            "status {} in {}",
            self.csv,
            lines[0]
        );
        let (_, reason) = ends.only_end_of(SUBJECT);
        assert_eq!(reason, self.reason, "the reason");
        self.device_is_as_expected(&app);
        // A renewal is no part of the notification's way and may come after its end.
        for renewal in self
            .counted
            .iter()
            .filter(|line| line.starts_with("renewals"))
        {
            app.eventually(renewal, || {
                moved(&before, &app, self.service)
                    .iter()
                    .any(|line| line == renewal)
            });
        }
        let mut expected = self.counted.clone();
        expected.sort_unstable();
        let moved = moved(&before, &app, self.service);
        assert_eq!(moved, expected, "what was counted");

        app.post_events(&[event(BYSTANDER, 100, json!({}))]);
        app.finish();
        let (outcome, reason) = ends.only_end_of(BYSTANDER);
        assert_eq!(outcome, Outcome::Delivered, "the next one: {reason}");
        app.eventually("the breaker is closed", || breaker(&app, self.service) == 0);
    }

    fn start(&self, database: Database, ends: &Ends) -> TestApp {
        let mut app = TestApp::start_with(database, |setting| {
            quick(setting, self.settings);
            setting.hooks.apns_options = Some(Box::new(self.apns_options));
            setting.config.messenger.connection_error_retries = self.tries.try_into().unwrap();
            ends.watch(setting);
        });
        app.message(triggered_by("raid", 100), &[(1, "T", "C")]);
        let others = 3..3 + i64::try_from(self.delivered_before).unwrap();
        let logins: Vec<_> = [SUBJECT, BYSTANDER]
            .into_iter()
            .chain(others.clone())
            .map(|user| login(user, platform(self.service), &token(self.service, user), 1))
            .collect();
        app.post_events(&logins);
        app.finish();
        let events: Vec<_> = others.map(|user| event(user, 100, json!({}))).collect();
        app.post_events(&events);
        app.finish();
        app
    }

    /// However often it is sent, Apple can see that it is the same notification.
    fn has_one_id(&self, received: &[Received]) {
        if self.service == Service::Apns {
            let mut ids: Vec<_> = received.iter().map(|one| one.header("apns-id")).collect();
            ids.dedup();
            assert!(ids.len() <= 1, "one notification under {ids:?}");
        }
    }

    fn device_is_as_expected(&self, app: &TestApp) {
        match self.device {
            // Feedback is queued before the notification ends, so none comes any more.
            Device::Untouched => {
                assert_eq!(feedback_entered(app), 0, "feedback about the device");
                assert!(!app.is_unregistered(SUBJECT));
            }
            Device::Unregistered => {
                assert_eq!(feedback_entered(app), 1, "feedback about the device");
                app.eventually("the feedback is counted", || feedback_applied(app) == 1);
                assert!(app.is_unregistered(SUBJECT));
            }
        }
    }
}

/// One test for each case, on each database; its name is the claim.
macro_rules! each_case_holds {
    ($(fn $name:ident() = $case:expr;)+) => {
        on_each_database! {
            $(fn $name(database) {
                let case: crate::answer_case::Case = $case;
                case.holds(database);
            })+
        }
    };
}

/// Waits that would take seconds take milliseconds.
pub(crate) fn quick(setting: &mut Setting, then: fn(&mut PoolSettings)) {
    let short = BackOff {
        base: Duration::from_millis(5),
        cap: Duration::from_millis(20),
    };
    setting.hooks.sender_settings = Some(Box::new(move |settings| {
        settings.back_off = short;
        settings.reconnect = short;
        settings.breaker.wait = short;
        then(settings);
    }));
}

/// Pushkin's number of a device that `service` reaches.
pub(crate) fn platform(service: Service) -> i16 {
    match service {
        Service::Apns => 2,
        _ => 1,
    }
}

/// A user's device token, none the beginning of another.
pub(crate) fn token(service: Service, user: i64) -> String {
    match service {
        Service::Apns => format!("{user:064x}"),
        _ => format!("token-of-{user:06}"),
    }
}

/// Owned lines, as [`Case::sent`] wants them.
pub(crate) fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|&line| line.to_owned()).collect()
}

/// A refusal in the service's own form.
pub(crate) fn refuse(status: u16, reason: &str) -> Action {
    Action::Refuse(Refusal::new(status, reason))
}

/// GOAWAY at once, with this many of the newest streams left unprocessed.
pub(crate) fn hard_goaway(unprocessed: u32, reason: Option<&str>) -> Action {
    Action::GoAway(GoAway::Hard {
        unprocessed,
        reason: reason.map(str::to_owned),
    })
}

/// Gives each of these users one device, and the event 100 its message.
pub(crate) fn each_user_has_a_device(
    app: &mut TestApp,
    service: Service,
    users: std::ops::RangeInclusive<i64>,
) {
    app.message(triggered_by("raid", 100), &[(1, "T", "C")]);
    let logins: Vec<_> = users
        .map(|user| login(user, platform(service), &token(service, user), 1))
        .collect();
    app.post_events(&logins);
    app.finish();
}
