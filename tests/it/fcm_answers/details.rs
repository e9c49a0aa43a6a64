//! The forms that `details` can have, and bodies without Google's form.

use serde_json::{Value, json};

use crate::{
    answer_case::{Case, Device},
    fcm_answers::{ends, error, fcm_error, with_body},
};

fn bad_request(fields: &[&str]) -> Value {
    let violations: Vec<_> = fields
        .iter()
        .map(|field| json!({"field": field, "description": "wrong"}))
        .collect();
    json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations})
}

fn unknown_type() -> Value {
    json!({"@type": "type.googleapis.com/google.rpc.Help", "errorCode": "UNREGISTERED", "links": []})
}

/// 400 `INVALID_ARGUMENT` that is the message's fault.
fn about_the_message(details: &[Value]) -> Case {
    with_body(
        400,
        &error("INVALID_ARGUMENT", "wrong", details),
        ends(400, "INVALID_ARGUMENT", 100, "ended rejected 1"),
    )
}

/// 400 `INVALID_ARGUMENT` that is the token's fault, among many that are delivered.
fn about_the_token(message: &str, details: &[Value]) -> Case {
    let case = with_body(
        400,
        &error("INVALID_ARGUMENT", message, details),
        ends(400, "INVALID_ARGUMENT", 102, ""),
    );
    Case {
        delivered_before: 60,
        device: Device::Unregistered,
        counted: vec![
            "requests refused 1",
            "ended invalid_token 1",
            "feedback unregistered 1",
        ],
        ..case
    }
}

/// 404 with `UNREGISTERED` somewhere in `details`.
fn unregistered(details: &[Value]) -> Case {
    let case = with_body(
        404,
        &error("NOT_FOUND", "gone", details),
        ends(404, "UNREGISTERED", 103, ""),
    );
    Case {
        device: Device::Unregistered,
        counted: vec![
            "requests refused 1",
            "ended unregistered 1",
            "feedback unregistered 1",
        ],
        ..case
    }
}

/// A wrong project or URL: nothing is said about the device.
fn trouble(status: u16, word: &'static str, body: &str) -> Case {
    Case {
        counted: vec![
            "requests refused 1",
            "ended credential_refused 1",
            "breaker opened fcm 1",
        ],
        ..with_body(status, body, ends(status, word, 104, ""))
    }
}

const HTML: &str = "<title>Error 404 (Not Found)</title>";

each_case_holds! {
    fn a_violation_of_message_token_is_about_the_token() = about_the_token(
        "wrong",
        &[fcm_error("INVALID_ARGUMENT"), bad_request(&["message.token"])],
    );
    fn a_violation_of_message_token_among_others_is_about_the_token() =
        about_the_token("wrong", &[bad_request(&["message.data", "message.token"])]);
    fn googles_words_for_a_token_that_is_none_are_about_the_token() = about_the_token(
        "The registration token is not a valid FCM registration token",
        &[fcm_error("INVALID_ARGUMENT")],
    );
    fn an_early_violation_of_message_token_is_not_believed() = Case {
        delivered_before: 1,
        device: Device::Untouched,
        counted: vec!["requests refused 1", "ended invalid_token 1"],
        ..about_the_token("wrong", &[bad_request(&["message.token"])])
    };
    fn a_violation_of_another_field_is_about_the_message() = about_the_message(
        &[fcm_error("INVALID_ARGUMENT"), bad_request(&["message.android.ttl"])],
    );
    fn a_violation_of_the_whole_body_is_about_the_message() = about_the_message(&[bad_request(&[""])]);
    fn invalid_argument_without_details_is_about_the_message() = about_the_message(&[]);
    fn details_of_an_unknown_type_say_nothing() = about_the_message(&[unknown_type()]);

    fn the_code_is_found_behind_details_of_other_types() =
        unregistered(&[unknown_type(), bad_request(&["name"]), fcm_error("UNREGISTERED")]);
    fn of_two_codes_the_first_counts() =
        unregistered(&[fcm_error("UNREGISTERED"), fcm_error("SENDER_ID_MISMATCH")]);
    fn a_404_with_details_but_no_code_keeps_the_device() =
        trouble(404, "NOT_FOUND", &error("NOT_FOUND", "gone", &[unknown_type()]));
    fn an_empty_code_gives_way_to_the_canonical_status() =
        trouble(404, "NOT_FOUND", &error("NOT_FOUND", "gone", &[fcm_error("")]));
    fn a_404_that_is_a_page_of_html_keeps_the_device() = trouble(404, "HTTP 404", HTML);
    fn a_404_without_a_body_keeps_the_device() = trouble(404, "HTTP 404", "");
    fn a_404_whose_json_is_not_googles_keeps_the_device() =
        trouble(404, "HTTP 404", r#"{"error":"UNREGISTERED"}"#);
    fn a_403_that_is_a_page_of_html_ends_with_104() = trouble(403, "HTTP 403", HTML);
    fn a_400_that_is_a_page_of_html_ends_with_100() = with_body(
        400,
        HTML,
        ends(400, "HTTP 400", 100, "ended rejected 1"),
    );
}
