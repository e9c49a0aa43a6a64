//! Every answer of Google's, and what follows from it. `errorCode` of the `FcmError` in `details`
//! decides, else the canonical `status`, else the HTTP status.
//! <https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode>

mod errors;

mod details;

mod later;

mod access_tokens;

mod requests;

use serde_json::{Value, json};
use simulator::{Action, Refusal, Service};

use crate::answer_case::{Case, refuse};

fn case(answers: Vec<Action>) -> Case {
    Case::of(Service::Fcm, answers)
}

/// One answer that ends the notification; its `errorCode` is the reason.
fn ends(status: u16, code: &'static str, csv: i32, outcome: &'static str) -> Case {
    Case {
        sent: vec![format!("{status} {code}")],
        csv,
        reason: code,
        counted: vec!["requests refused 1", outcome],
        ..case(vec![refuse(status, code)])
    }
}

/// The same with another body; `sent` shows its HTTP status only.
fn with_body(status: u16, body: &str, case: Case) -> Case {
    Case {
        answers: vec![Action::Refuse(Refusal::new(status, "").body(body))],
        sent: vec![status.to_string()],
        ..case
    }
}

/// Google's form of an error.
fn error(canonical: &str, message: &str, details: &[Value]) -> String {
    let code = 0;
    let error = json!({
        "code": code, "message": message, "status": canonical, "details": details,
    });
    json!({ "error": error }).to_string()
}

fn fcm_error(code: &str) -> Value {
    json!({"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code})
}
