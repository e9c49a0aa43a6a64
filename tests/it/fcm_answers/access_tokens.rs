//! 401: the access token is no longer good. It is renewed once, and the notification sent once
//! more.

use serde_json::json;
use simulator::{Action, Refusal, Rule, Service};

use crate::{
    answer_case::{Case, counted, each_user_has_a_device, lines, moved, quick, refuse, sent},
    app::{TestApp, event},
    fcm_answers::case,
};

const RENEWED: [&str; 5] = [
    "requests refused 1",
    "retries refused 1",
    "renewals ok 1",
    "requests success 1",
    "ended delivered 1",
];

each_case_holds! {
    fn unauthenticated_renews_the_access_token_and_sends_once_more() = Case {
        tries: 1,
        sent: lines(&["401", "200"]),
        counted: RENEWED.to_vec(),
        ..case(vec![refuse(401, "")])
    };
    fn a_401_that_is_a_page_of_html_renews_the_access_token() = Case {
        tries: 1,
        sent: lines(&["401", "200"]),
        counted: RENEWED.to_vec(),
        ..case(vec![Action::Refuse(Refusal::new(401, "").body("<html>"))])
    };
    fn unauthenticated_with_a_new_access_token_ends_with_104() = Case {
        sent: lines(&["401", "401"]),
        csv: 104,
        reason: "UNAUTHENTICATED",
        counted: vec![
            "requests refused 2",
            "retries refused 1",
            "renewals ok 2",
            "ended credential_refused 1",
            "breaker opened fcm 1",
        ],
        ..case(vec![refuse(401, ""); 2])
    };
}

mod several {
    use super::*;

    on_each_database! {
        fn twenty_in_flight_with_a_revoked_access_token_cause_one_renewal(database) {
            let mut app = TestApp::start_with(database, |setting| {
                quick(setting, |_| {});
                setting.config.messenger.connection_error_retries = std::num::NonZeroU32::MIN;
                // All are refused before the first is sent again.
                setting.simulator.latency = std::time::Duration::from_millis(100);
            });
            each_user_has_a_device(&mut app, Service::Fcm, 0..=20);
            app.post_events(&[event(0, 100, json!({}))]);
            app.finish();
            let before = counted(&app, Service::Fcm);
            app.simulator.revoke_access_tokens();
            let events: Vec<_> = (1..=20).map(|user| event(user, 100, json!({}))).collect();
            app.post_events(&events);
            app.finish();

            let mut expected = vec!["401 UNAUTHENTICATED"; 20];
            expected.extend(["200"; 20]);
            let sent = sent(&app.simulator.fcm().received_from(1));
            assert_eq!(sent, expected, "all refused, then all sent once more");
            assert_eq!(
                moved(&before, &app, Service::Fcm),
                [
                    "ended delivered 20",
                    "renewals ok 1",
                    "requests refused 20",
                    "requests success 20",
                    "retries refused 20",
                ]
            );
        }

        fn a_token_endpoint_that_fails_is_asked_again_and_nothing_is_lost(database) {
            let mut app = TestApp::start_with(database, |setting| quick(setting, |_| {}));
            each_user_has_a_device(&mut app, Service::Fcm, 0..=1);
            app.post_events(&[event(0, 100, json!({}))]);
            app.finish();
            let failing = Rule::new(refuse(500, "server_error")).service(Service::Oauth);
            app.simulator.script().add(failing.times(1));
            app.simulator.revoke_access_tokens();
            app.post_events(&[event(1, 100, json!({}))]);
            app.finish();
            let sent = sent(&app.simulator.fcm().received_from(1));
            assert_eq!(sent, ["401 UNAUTHENTICATED", "200"]);
            let failed = "onegin_credential_renewals_total{provider=\"fcm\",result=\"failed\"}";
            assert_eq!(app.metric(failed), 1);
        }
    }
}
