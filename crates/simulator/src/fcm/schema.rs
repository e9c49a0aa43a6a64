//! The fields of an FCM v1 send request, and the JSON form of each kind.
//!
//! protobuf's JSON mapping refuses unknown names and wrong types and takes
//! every name in snake case and in camel case; so does the walk here.
//!
//! Facts: Firebase, REST resource `projects.messages`; protobuf, its JSON
//! format.

use serde_json::Value;

use super::answer::Violation;

/// A field of a message and what may stand in it.
pub(super) struct Field(&'static str, Kind);

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Bool,
    Integer,
    /// Seconds with an `s`, such as `3.5s`.
    Duration,
    /// RFC 3339; only its being text is checked.
    Timestamp,
    /// Text to text.
    TextMap,
    TextList,
    DurationList,
    /// One of the names, or its number.
    Enum(&'static [&'static str]),
    /// Any JSON object.
    Struct,
    Float,
    Message(&'static [Field]),
}

use Kind::{
    Bool, DurationList, Enum, Float, Integer, Message, Struct, Text, TextList, TextMap, Timestamp,
};

/// The body of `messages:send`.
pub(super) const REQUEST: &[Field] = &[
    Field("validate_only", Bool),
    Field("message", Message(MESSAGE)),
];

const MESSAGE: &[Field] = &[
    Field("name", Text),
    Field("token", Text),
    Field("topic", Text),
    Field("condition", Text),
    Field("data", TextMap),
    Field("notification", Message(NOTIFICATION)),
    Field("android", Message(ANDROID)),
    Field("apns", Message(APNS)),
    Field("webpush", Message(WEBPUSH)),
    Field("fcm_options", Message(OPTIONS)),
];

const NOTIFICATION: &[Field] = &[
    Field("title", Text),
    Field("body", Text),
    Field("image", Text),
];

const OPTIONS: &[Field] = &[Field("analytics_label", Text)];

const ANDROID: &[Field] = &[
    Field("collapse_key", Text),
    Field("priority", Enum(&["NORMAL", "HIGH"])),
    Field("ttl", Kind::Duration),
    Field("restricted_package_name", Text),
    Field("data", TextMap),
    Field("notification", Message(ANDROID_NOTIFICATION)),
    Field("fcm_options", Message(OPTIONS)),
    Field("direct_boot_ok", Bool),
    Field("bandwidth_constrained_ok", Bool),
    Field("restricted_satellite_ok", Bool),
];

const ANDROID_NOTIFICATION: &[Field] = &[
    Field("title", Text),
    Field("body", Text),
    Field("icon", Text),
    Field("color", Text),
    Field("sound", Text),
    Field("tag", Text),
    Field("click_action", Text),
    Field("body_loc_key", Text),
    Field("body_loc_args", TextList),
    Field("title_loc_key", Text),
    Field("title_loc_args", TextList),
    Field("channel_id", Text),
    Field("ticker", Text),
    Field("sticky", Bool),
    Field("event_time", Timestamp),
    Field("local_only", Bool),
    Field(
        "notification_priority",
        Enum(&[
            "PRIORITY_UNSPECIFIED",
            "PRIORITY_MIN",
            "PRIORITY_LOW",
            "PRIORITY_DEFAULT",
            "PRIORITY_HIGH",
            "PRIORITY_MAX",
        ]),
    ),
    Field("default_sound", Bool),
    Field("default_vibrate_timings", Bool),
    Field("default_light_settings", Bool),
    Field("vibrate_timings", DurationList),
    Field(
        "visibility",
        Enum(&["VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"]),
    ),
    Field("notification_count", Integer),
    Field("light_settings", Message(LIGHT)),
    Field("image", Text),
    Field("bypass_proxy_notification", Bool),
    Field(
        "proxy",
        Enum(&["PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"]),
    ),
];

const LIGHT: &[Field] = &[
    Field("color", Message(COLOR)),
    Field("light_on_duration", Kind::Duration),
    Field("light_off_duration", Kind::Duration),
];

const COLOR: &[Field] = &[
    Field("red", Float),
    Field("green", Float),
    Field("blue", Float),
    Field("alpha", Float),
];

const APNS: &[Field] = &[
    Field("headers", TextMap),
    Field("payload", Struct),
    Field(
        "fcm_options",
        Message(&[Field("analytics_label", Text), Field("image", Text)]),
    ),
    Field("live_activity_token", Text),
];

const WEBPUSH: &[Field] = &[
    Field("headers", TextMap),
    Field("data", TextMap),
    Field("notification", Struct),
    Field(
        "fcm_options",
        Message(&[Field("link", Text), Field("analytics_label", Text)]),
    ),
];

/// A field of an object under its snake-case name or its camel-case one.
pub(super) fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object
        .as_object()?
        .iter()
        .find_map(|(key, value)| (is_name(key, name) && !value.is_null()).then_some(value))
}

/// Checks `value` as a message with `fields`; `path` is how Google would call it.
pub(super) fn check(value: &Value, fields: &[Field], path: &str) -> Result<(), Violation> {
    let Some(object) = value.as_object() else {
        return Err(wrong(path, "is not an object"));
    };
    for (key, value) in object {
        let Some(Field(name, kind)) = fields.iter().find(|field| is_name(key, field.0)) else {
            return Err(wrong(path, &format!("has no field named \"{key}\"")));
        };
        let path = if path.is_empty() {
            (*name).to_owned()
        } else {
            format!("{path}.{name}")
        };
        // In protobuf's JSON, null is the same as absence.
        if !value.is_null() {
            check_kind(value, *kind, &path)?;
        }
    }
    Ok(())
}

fn check_kind(value: &Value, kind: Kind, path: &str) -> Result<(), Violation> {
    let (fits, expected) = match kind {
        Text | Timestamp => (value.is_string(), "is not a string"),
        Bool => (value.is_boolean(), "is not a boolean"),
        Integer => (value.is_i64(), "is not an integer"),
        Float => (value.is_number(), "is not a number"),
        Kind::Duration => (
            is_duration(value),
            "is not a duration in seconds ending in \"s\"",
        ),
        Enum(names) => {
            let named = value.as_str().is_some_and(|name| names.contains(&name));
            let number = value
                .as_u64()
                .is_some_and(|number| number < names.len() as u64);
            (named || number, "is not one of the known names")
        }
        TextMap => {
            let fits = value
                .as_object()
                .is_some_and(|map| map.values().all(Value::is_string));
            (fits, "is not a map of strings to strings")
        }
        TextList => {
            let fits = value
                .as_array()
                .is_some_and(|list| list.iter().all(Value::is_string));
            (fits, "is not a list of strings")
        }
        DurationList => {
            let fits = value
                .as_array()
                .is_some_and(|list| list.iter().all(is_duration));
            (fits, "is not a list of durations")
        }
        Struct => (value.is_object(), "is not an object"),
        Message(fields) => return check(value, fields, path),
    };
    if fits {
        Ok(())
    } else {
        Err(wrong(path, expected))
    }
}

pub(super) fn wrong(path: &str, what: &str) -> Violation {
    let name = if path.is_empty() { "the request" } else { path };
    Violation {
        field: path.to_owned(),
        description: format!("{name} {what}"),
    }
}

fn is_duration(value: &Value) -> bool {
    value.as_str().is_some_and(|text| seconds(text).is_some())
}

/// The whole seconds of a protobuf duration, rounded up.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let number = text.strip_suffix('s')?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole.strip_prefix('-').unwrap_or(whole)) || !digits(fraction) || fraction.len() > 9
    {
        return None;
    }
    let more = fraction.bytes().any(|byte| byte != b'0');
    whole.parse::<i64>().ok()?.checked_add(i64::from(more))
}

/// Whether `key` is `name` in snake case or in camel case.
fn is_name(key: &str, name: &str) -> bool {
    if key == name {
        return true;
    }
    let mut key = key.chars();
    let mut raise = false;
    for letter in name.chars() {
        if letter == '_' {
            raise = true;
            continue;
        }
        let expected = if raise {
            letter.to_ascii_uppercase()
        } else {
            letter
        };
        raise = false;
        if key.next() != Some(expected) {
            return false;
        }
    }
    key.next().is_none()
}
