//! Every answer of Apple's, and what follows from it. `reason` decides; where it is unknown or
//! absent, the class of the status does.
//! <https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns>

mod refusals;

mod trouble;

mod later;

mod connections;

mod goaways;

mod provider_tokens;

mod device_tokens;

mod prune_guard;

mod requests;

mod alarms;

use simulator::{Action, Service};

use crate::answer_case::{Case, refuse};

fn case(answers: Vec<Action>) -> Case {
    Case::of(Service::Apns, answers)
}

/// One answer that ends the notification.
fn ends(status: u16, reason: &'static str, csv: i32, outcome: &'static str) -> Case {
    Case {
        sent: vec![format!("{status} {reason}")],
        csv,
        reason,
        counted: vec!["requests refused 1", outcome],
        ..case(vec![refuse(status, reason)])
    }
}

/// The notification cannot work, and that says nothing about the device.
fn rejected(status: u16, reason: &'static str) -> Case {
    ends(status, reason, 200, "ended rejected 1")
}
