//! The message on Android: Pushkin's `data` keys, every value a string.
//!
//! Everything but token and time to live is the same for all devices, so the text between the
//! two is rendered once per content and the rest is put around it per notification.

use bytes::Bytes;
use model::{Content, Priority};
use serde_json::json;

/// Bytes of keys and values in `data` at most.
/// <https://firebase.google.com/docs/cloud-messaging/concept-options>
const DATA_LIMIT: usize = 4096;

/// What stands between the token and the seconds to live; none if the data is too large.
pub(super) fn render(content: &Content, base_deeplink_url: &str) -> Option<Bytes> {
    let url = deep_link(content, base_deeplink_url);
    let campaign = content.campaign_id.to_string();
    let data = [
        ("title", &*content.title),
        ("message", &*content.body),
        ("url", &*url),
        ("notifid", &*campaign),
    ];
    let size: usize = data
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if size > DATA_LIMIT {
        return None;
    }
    let priority = match content.priority {
        Priority::Normal => "NORMAL",
        Priority::High => "HIGH",
    };
    let data: serde_json::Map<_, _> = data
        .into_iter()
        .map(|(key, value)| (key.to_owned(), json!(value)))
        .collect();
    let data = serde_json::Value::Object(data);
    let text = format!(r#","data":{data},"android":{{"priority":"{priority}","ttl":""#);
    Some(Bytes::from(text))
}

/// The whole message.
pub(super) fn message(token: &str, rendered: &[u8], ttl_sec: i64, validate_only: bool) -> Bytes {
    let token = json!(token).to_string();
    let end = if validate_only {
        r#"s"}},"validate_only":true}"#
    } else {
        r#"s"}}}"#
    };
    let ttl = ttl_sec.to_string();
    let start = r#"{"message":{"token":"#;
    let parts: [&[u8]; 5] = [
        start.as_bytes(),
        token.as_bytes(),
        rendered,
        ttl.as_bytes(),
        end.as_bytes(),
    ];
    Bytes::from(parts.concat())
}

/// The address that the app opens. The screen is put in as it is, as Pushkin did.
fn deep_link(content: &Content, base_deeplink_url: &str) -> String {
    format!(
        "{base_deeplink_url}://{}?utm_source=pushnotification&utm_campaign={}&utm_medium={}",
        content.screen, content.campaign_id, content.message
    )
}

#[cfg(test)]
mod tests {
    use model::MessageId;
    use serde_json::Value;

    use super::*;

    fn message_of(body: &str, priority: Priority, validate_only: bool) -> Value {
        let content = Content::pushkin(MessageId(1), "T", body, "scr1", priority);
        let rendered = render(&content, "application_name.com").unwrap();
        serde_json::from_slice(&message("tok\"A", &rendered, 21_599, validate_only)).unwrap()
    }

    #[test]
    fn the_message_has_pushkins_keys_as_strings() {
        assert_eq!(
            message_of("Hello, world", Priority::Normal, false),
            json!({
                "message": {
                    "token": "tok\"A",
                    "data": {
                        "title": "T",
                        "message": "Hello, world",
                        "url": "application_name.com://scr1?utm_source=pushnotification&utm_campaign=1&utm_medium=1",
                        "notifid": "1",
                    },
                    "android": {"priority": "NORMAL", "ttl": "21599s"},
                },
            })
        );
    }

    #[test]
    fn high_priority_and_dry_run_are_said() {
        let message = message_of("\"\n\\", Priority::High, true);
        assert_eq!(message["message"]["android"]["priority"], "HIGH");
        assert_eq!(message["message"]["data"]["message"], "\"\n\\");
        assert_eq!(message["validate_only"], true);
    }

    #[test]
    fn data_beyond_4096_bytes_is_not_rendered() {
        let with_body = |length: usize| {
            let body = "b".repeat(length);
            let content = Content::pushkin(MessageId(1), "", body, "", Priority::Normal);
            render(&content, "x").is_some()
        };
        let fixed = "titlemessageurlnotifid".len()
            + "x://?utm_source=pushnotification&utm_campaign=1&utm_medium=1".len()
            + "1".len();
        assert!(with_body(DATA_LIMIT - fixed));
        assert!(!with_body(DATA_LIMIT - fixed + 1));
    }
}
