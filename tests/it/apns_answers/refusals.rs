//! Answers after which the notification is not sent again: it was wrong, or its device is.

use crate::{
    answer_case::{Case, Device, refuse},
    apns_answers::{case, ends, rejected},
};

/// The device takes nothing any more.
fn gone(reason: &'static str) -> Case {
    Case {
        device: Device::Unregistered,
        counted: vec![
            "requests refused 1",
            "ended unregistered 1",
            "feedback unregistered 1",
        ],
        ..ends(410, reason, 201, "")
    }
}

/// Not one of our tokens, or our environment or topic is wrong: believed while it is rare.
fn doubtful(reason: &'static str) -> Case {
    ends(400, reason, 200, "ended invalid_token 1")
}

/// The same among many that are delivered.
fn believed(reason: &'static str) -> Case {
    Case {
        delivered_before: 60,
        device: Device::Unregistered,
        counted: vec![
            "requests refused 1",
            "ended invalid_token 1",
            "feedback unregistered 1",
        ],
        ..doubtful(reason)
    }
}

/// A refusal whose body says nothing.
fn without_reason(status: u16, word: &'static str) -> Case {
    Case {
        sent: vec![status.to_string()],
        ..Case {
            answers: vec![refuse(status, "")],
            ..rejected(status, word)
        }
    }
}

each_case_holds! {
    fn bad_collapse_id_ends_with_200() = rejected(400, "BadCollapseId");
    fn bad_expiration_date_ends_with_200() = rejected(400, "BadExpirationDate");
    fn bad_message_id_ends_with_200() = rejected(400, "BadMessageId");
    fn bad_priority_ends_with_200() = rejected(400, "BadPriority");
    fn duplicate_headers_end_with_200() = rejected(400, "DuplicateHeaders");
    fn invalid_push_type_ends_with_200() = rejected(400, "InvalidPushType");
    fn payload_empty_ends_with_200() = rejected(400, "PayloadEmpty");
    fn missing_device_token_ends_with_200() = rejected(400, "MissingDeviceToken");
    fn bad_path_ends_with_200() = rejected(404, "BadPath");
    fn method_not_allowed_ends_with_200() = rejected(405, "MethodNotAllowed");
    fn payload_too_large_ends_with_200() = rejected(413, "PayloadTooLarge");

    fn an_early_bad_device_token_ends_with_200_and_is_not_believed() = doubtful("BadDeviceToken");
    fn a_rare_bad_device_token_ends_with_200_and_is_unregistered() = believed("BadDeviceToken");
    fn an_early_token_of_another_topic_ends_with_200_and_is_not_believed() =
        doubtful("DeviceTokenNotForTopic");
    fn a_rare_token_of_another_topic_ends_with_200_and_is_unregistered() =
        believed("DeviceTokenNotForTopic");

    fn unregistered_ends_with_201_after_one_request() = gone("Unregistered");
    fn expired_token_ends_with_201_after_one_request() = gone("ExpiredToken");
    fn an_unknown_reason_beside_410_unregisters() = gone("SomethingNew");

    fn an_unknown_reason_beside_400_ends_with_200() = rejected(400, "SomethingNew");
    fn an_unknown_reason_beside_418_ends_with_200() = rejected(418, "SomethingNew");
    fn a_400_without_a_reason_ends_with_200() = without_reason(400, "HTTP 400");
    fn a_404_without_a_reason_ends_with_200_and_keeps_the_device() = without_reason(404, "HTTP 404");
    fn a_410_without_a_reason_unregisters() = Case {
        answers: vec![refuse(410, "")],
        sent: vec!["410".to_owned()],
        ..gone("HTTP 410")
    };
    fn a_delivery_is_one_request_and_status_0() = Case {
        sent: vec!["200".to_owned()],
        counted: vec!["requests success 1", "ended delivered 1"],
        ..case(Vec::new())
    };
}
