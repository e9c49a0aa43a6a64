//! What Google verifies in the body of `messages:send`.
//!
//! In goes JSON, out comes who the message is for, or a [`Fault`] that names
//! the field. `schema.rs` knows the fields; here is what goes beyond types.
//!
//! Facts: Firebase, REST resource `projects.messages` and "About FCM messages".

use serde_json::Value;

use super::{
    answer::Fault,
    schema::{self, field, seconds, wrong},
};

/// Most bytes of keys and values for a device.
const MAX_DATA: usize = 4096;
/// Most bytes of keys and values for a topic.
const MAX_TOPIC_DATA: usize = 2048;
/// Four weeks, the longest time that FCM keeps a message.
const MAX_TTL_SEC: i64 = 2_419_200;
/// FCM names no limit; real tokens have some 160 to 300 characters.
const MAX_TOKEN: usize = 4096;

/// What a good send request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// The device token, or the topic, or the condition.
    pub(super) target: String,
    pub(super) validate_only: bool,
}

/// Checks a body.
pub(super) fn check(body: &[u8]) -> Result<Message, Fault> {
    let json: Value =
        serde_json::from_slice(body).map_err(|_| Fault::Field(wrong("", "is not JSON")))?;
    schema::check(&json, schema::REQUEST, "").map_err(Fault::Field)?;
    let message =
        field(&json, "message").ok_or_else(|| Fault::Field(wrong("message", "is missing")))?;
    let (kind, target) = target(message)?;
    check_ttl(message)?;
    let data = field(message, "data");
    let android = field(message, "android").and_then(|android| field(android, "data"));
    check_keys(data, "message.data")?;
    check_keys(android, "message.android.data")?;
    let size = size(android.or(data)) + size(field(message, "notification"));
    let limit = if kind == "token" {
        MAX_DATA
    } else {
        MAX_TOPIC_DATA
    };
    if size > limit {
        return Err(Fault::TooBig);
    }
    Ok(Message {
        target: target.to_owned(),
        validate_only: field(&json, "validate_only") == Some(&Value::Bool(true)),
    })
}

/// Who it is for: exactly one of three.
fn target(message: &Value) -> Result<(&'static str, &str), Fault> {
    let mut named = ["token", "topic", "condition"]
        .into_iter()
        .filter_map(|kind| Some((kind, field(message, kind)?.as_str()?)));
    let (kind, target) = match (named.next(), named.next()) {
        (Some(one), None) => one,
        _ => {
            let what = "must name exactly one of token, topic and condition";
            return Err(Fault::Field(wrong("message", what)));
        }
    };
    let fits = match kind {
        "token" => {
            let visible = target.bytes().all(|byte| byte.is_ascii_graphic());
            if !visible || target.len() > MAX_TOKEN {
                return Err(Fault::NotAToken);
            }
            !target.is_empty()
        }
        "topic" => is_topic(target),
        _ => !target.is_empty() && target.matches(" in topics").count() <= 5,
    };
    if fits {
        Ok((kind, target))
    } else {
        Err(Fault::Field(wrong(
            &format!("message.{kind}"),
            "is not valid",
        )))
    }
}

/// The form that Firebase documents: `[a-zA-Z0-9-_.~%]+`, without `/topics/`.
fn is_topic(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte);
    !name.is_empty() && name.bytes().all(allowed)
}

fn check_ttl(message: &Value) -> Result<(), Fault> {
    let ttl = field(message, "android").and_then(|android| field(android, "ttl"));
    let Some(ttl) = ttl.and_then(Value::as_str).and_then(seconds) else {
        return Ok(());
    };
    if (0..=MAX_TTL_SEC).contains(&ttl) {
        return Ok(());
    }
    let what = "must be between 0s and 2419200s";
    Err(Fault::Field(wrong("message.android.ttl", what)))
}

/// Refuses the keys that FCM keeps for itself.
fn check_keys(data: Option<&Value>, path: &str) -> Result<(), Fault> {
    let reserved = |key: &String| {
        matches!(key.as_str(), "from" | "message_type")
            || key.starts_with("google")
            || key.starts_with("gcm")
    };
    let keys = data
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|map| map.keys());
    match keys.into_iter().find(|key| reserved(key)) {
        Some(key) => Err(Fault::Field(wrong(
            path,
            &format!("has the reserved key \"{key}\""),
        ))),
        None => Ok(()),
    }
}

/// Bytes of all keys and values of an object of strings.
fn size(object: Option<&Value>) -> usize {
    let entries = object.and_then(Value::as_object).into_iter().flatten();
    entries
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The field that a message is refused for; "" is the request, `None` is no refusal.
    fn violated(message: Value) -> Option<String> {
        match check(json!({ "message": message }).to_string().as_bytes()) {
            Ok(_) => None,
            Err(Fault::Field(violation)) => Some(violation.field),
            Err(fault) => Some(format!("{fault:?}")),
        }
    }

    #[test]
    fn a_full_message_is_accepted_in_either_case_of_names() {
        let message = json!({
            "token": "t:APA91b-_x",
            "data": {"title": "a", "notifid": "1"},
            "android": {"collapseKey": "c", "priority": "HIGH", "ttl": "3.5s", "direct_boot_ok": true},
            "apns": {"headers": {"apns-priority": "10"}, "payload": {"aps": {"badge": 1}}},
            "fcmOptions": null,
        });
        let body = json!({ "validateOnly": true, "message": message }).to_string();
        let expected = Message {
            target: "t:APA91b-_x".into(),
            validate_only: true,
        };
        assert_eq!(check(body.as_bytes()), Ok(expected));
    }

    #[test]
    fn the_violated_field_is_named() {
        let cases = [
            (json!({"token": "t", "colour": 1}), "message"),
            (json!({"token": "t", "data": {"n": 1}}), "message.data"),
            (
                json!({"token": "t", "data": {"google.x": "1"}}),
                "message.data",
            ),
            (json!({"token": "t", "data": {"from": "1"}}), "message.data"),
            (
                json!({"token": "t", "android": {"priority": "high"}}),
                "message.android.priority",
            ),
            (
                json!({"token": "t", "android": {"ttl": 60}}),
                "message.android.ttl",
            ),
            (
                json!({"token": "t", "android": {"ttl": "60"}}),
                "message.android.ttl",
            ),
            (
                json!({"token": "t", "android": {"ttl": "-1s"}}),
                "message.android.ttl",
            ),
            (
                json!({"token": "t", "android": {"ttl": "2419200.1s"}}),
                "message.android.ttl",
            ),
            (json!({"token": "t", "topic": "n"}), "message"),
            (json!({}), "message"),
            (json!({"token": ""}), "message.token"),
            (json!({"topic": "/topics/news"}), "message.topic"),
            (json!({"token": "a b"}), "NotAToken"),
            (
                json!({"token": "t", "data": {"k": "x".repeat(4096)}}),
                "TooBig",
            ),
            (
                json!({"topic": "n", "data": {"k": "x".repeat(2048)}}),
                "TooBig",
            ),
        ];
        for (message, field) in cases {
            assert_eq!(
                violated(message.clone()).as_deref(),
                Some(field),
                "{message}"
            );
        }
        assert_eq!(
            violated(json!({"token": "t", "data": {"k": "x".repeat(4095)}})),
            None
        );
        assert_eq!(
            violated(json!({"token": "t", "android": {"ttl": "2419200s"}})),
            None
        );
        assert!(check(b"{").is_err() && check(b"{}").is_err() && check(b"[]").is_err());
    }
}
