//! Answers that say our credential or configuration is wrong: 203 for the notification that
//! heard it, and no device is touched.

use simulator::Service;

use crate::{
    answer_case::{Case, one_refusal_holds_the_rest, refuse},
    apns_answers::ends,
};

fn refused(status: u16, reason: &'static str) -> Case {
    Case {
        counted: vec![
            "requests refused 1",
            "ended credential_refused 1",
            "breaker opened apns 1",
        ],
        ..ends(status, reason, 203, "")
    }
}

each_case_holds! {
    fn bad_topic_ends_with_203() = refused(400, "BadTopic");
    fn missing_topic_ends_with_203() = refused(400, "MissingTopic");
    fn topic_disallowed_ends_with_203() = refused(400, "TopicDisallowed");
    fn bad_certificate_ends_with_203() = refused(403, "BadCertificate");
    fn bad_certificate_environment_ends_with_203() = refused(403, "BadCertificateEnvironment");
    fn forbidden_ends_with_203() = refused(403, "Forbidden");
    fn invalid_provider_token_ends_with_203() = refused(403, "InvalidProviderToken");
    fn missing_provider_token_ends_with_203() = refused(403, "MissingProviderToken");
    fn unrelated_key_id_in_token_ends_with_203() = refused(403, "UnrelatedKeyIdInToken");
    fn bad_environment_key_id_in_token_ends_with_203() = refused(403, "BadEnvironmentKeyIdInToken");
    fn an_unknown_reason_beside_403_ends_with_203() = refused(403, "SomethingNew");
    fn a_403_without_a_reason_ends_with_203() = Case {
        answers: vec![refuse(403, "")],
        sent: vec!["403".to_owned()],
        ..refused(403, "HTTP 403")
    };
}

mod several {
    use super::*;

    on_each_database! {
        fn one_refusal_ends_one_notification_and_holds_the_rest_until_a_probe_succeeds(database) {
            one_refusal_holds_the_rest(database, Service::Apns, 403, "InvalidProviderToken", 203);
        }
    }
}
