//! The error codes after which the notification is not sent again.

use serde_json::json;
use simulator::{Rule, Service};

use crate::{
    answer_case::{
        Case, Device, each_user_has_a_device, one_refusal_holds_the_rest, quick, refuse,
    },
    app::{TestApp, event},
    fcm_answers::{case, ends, error, with_body},
};

/// The message cannot work, and that says nothing about the device.
fn rejected() -> Case {
    ends(400, "INVALID_ARGUMENT", 100, "ended rejected 1")
}

/// The token is another project's, or our project is the wrong one: believed while it is rare.
fn of_another_project() -> Case {
    ends(403, "SENDER_ID_MISMATCH", 102, "ended invalid_token 1")
}

/// Our credential or configuration is refused.
fn trouble(status: u16, word: &'static str) -> Case {
    Case {
        counted: vec![
            "requests refused 1",
            "ended credential_refused 1",
            "breaker opened fcm 1",
        ],
        ..ends(status, word, 104, "")
    }
}

/// The same with the canonical status alone.
fn trouble_without_code(status: u16, canonical: &'static str) -> Case {
    with_body(
        status,
        &error(canonical, "denied", &[]),
        trouble(status, canonical),
    )
}

each_case_holds! {
    fn invalid_argument_ends_with_100() = rejected();
    fn third_party_auth_error_ends_with_104_and_keeps_the_device() =
        ends(401, "THIRD_PARTY_AUTH_ERROR", 104, "ended credential_refused 1");
    fn an_early_sender_id_mismatch_ends_with_102_and_is_not_believed() = of_another_project();
    fn a_rare_sender_id_mismatch_ends_with_102_and_is_unregistered() = Case {
        delivered_before: 60,
        device: Device::Unregistered,
        counted: vec!["requests refused 1", "ended invalid_token 1", "feedback unregistered 1"],
        ..of_another_project()
    };
    fn permission_denied_without_a_code_ends_with_104() =
        trouble_without_code(403, "PERMISSION_DENIED");
    fn unregistered_ends_with_103_after_one_request() = Case {
        device: Device::Unregistered,
        counted: vec!["requests refused 1", "ended unregistered 1", "feedback unregistered 1"],
        ..ends(404, "UNREGISTERED", 103, "")
    };
    fn not_found_without_a_code_is_a_wrong_project_and_keeps_the_device() =
        trouble_without_code(404, "NOT_FOUND");
    fn an_unknown_code_beside_400_ends_with_100() = ends(400, "SOMETHING_NEW", 100, "ended rejected 1");
    fn an_unknown_code_beside_403_ends_with_104() = trouble(403, "SOMETHING_NEW");
    fn an_unknown_code_beside_404_ends_with_104_and_keeps_the_device() = trouble(404, "SOMETHING_NEW");
    fn an_unknown_code_beside_409_ends_with_100() = ends(409, "SOMETHING_NEW", 100, "ended rejected 1");
    fn a_delivery_is_one_request_and_status_0() = Case {
        sent: vec!["200".to_owned()],
        counted: vec!["requests success 1", "ended delivered 1"],
        ..case(Vec::new())
    };
}

mod several {
    use super::*;

    on_each_database! {
        fn one_refusal_ends_one_notification_and_holds_the_rest_until_a_probe_succeeds(database) {
            one_refusal_holds_the_rest(database, Service::Fcm, 403, "", 104);
        }

        fn a_refused_credential_of_apples_does_not_hold_android_back(database) {
            let mut app = TestApp::start_with(database, |setting| quick(setting, |_| {}));
            each_user_has_a_device(&mut app, Service::Fcm, 0..=20);
            app.post_events(&[event(0, 100, json!({}))]);
            app.finish();
            let refused = refuse(401, "THIRD_PARTY_AUTH_ERROR");
            app.simulator.script().add(Rule::new(refused).times(10));
            let events: Vec<_> = (1..=20).map(|user| event(user, 100, json!({}))).collect();
            app.post_events(&events);
            app.finish();
            assert_eq!(app.simulator.fcm().received_from(1).len(), 20, "each is asked once");
            let lines = app.csv();
            assert_eq!(lines.iter().filter(|line| line.starts_with("104,")).count(), 10);
            assert!((1..=20).all(|user| !app.is_unregistered(user)));
            let openings = "onegin_sender_breaker_openings_total{provider=\"fcm\"}";
            assert_eq!(app.metric(openings), 0);
        }
    }
}
