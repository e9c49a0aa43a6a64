//! The payload on an iPhone: Pushkin's keys, with the title it left out.

use a2::{
    DefaultNotificationBuilder, NotificationBuilder,
    request::payload::{Payload, PayloadLike},
};
use bytes::Bytes;
use model::Content;

/// Bytes of an alert's payload at most.
pub(super) const PAYLOAD_LIMIT: usize = 4096;

/// The JSON that all devices get for `content`.
pub(super) fn render(content: &Content) -> Bytes {
    let campaign = content.campaign_id.to_string();
    let medium = content.message.to_string();
    let mut payload = DefaultNotificationBuilder::new()
        .set_title(&content.title)
        .set_body(&content.body)
        .set_badge(1)
        .set_sound("default")
        .build("", a2::NotificationOptions::default());
    // The builder always writes this key, also with its default of 0; Pushkin never did.
    payload.aps.mutable_content = None;
    for (key, value) in [
        ("path", &*content.screen),
        ("source", "pushnotification"),
        ("campaign", &campaign),
        ("medium", &medium),
    ] {
        add(&mut payload, key, value);
    }
    payload
        .to_json_string()
        .expect("strings always have a JSON form")
        .into()
}

fn add<'a>(payload: &mut Payload<'a>, key: &'a str, value: &str) {
    payload
        .add_custom_data(key, &value)
        .expect("a string always has a JSON form");
}

#[cfg(test)]
mod tests {
    use model::{MessageId, Priority};
    use serde_json::{Value, json};

    use super::*;

    fn rendered(title: &str, body: &str, screen: &str) -> Value {
        let content = Content::pushkin(MessageId(7), title, body, screen, Priority::Normal);
        serde_json::from_slice(&render(&content)).unwrap()
    }

    #[test]
    fn the_payload_has_pushkins_keys_and_the_title() {
        assert_eq!(
            rendered("T", "Hello, world", "scr1"),
            json!({
                "aps": {
                    "alert": {"title": "T", "body": "Hello, world"},
                    "badge": 1,
                    "sound": "default",
                },
                "path": "scr1",
                "source": "pushnotification",
                "campaign": "1",
                "medium": "7",
            })
        );
    }

    #[test]
    fn texts_are_sent_as_they_are() {
        let payload = rendered("Zdravo \u{1f600}", "\"quoted\"\n\\", "");
        assert_eq!(payload["aps"]["alert"]["title"], "Zdravo \u{1f600}");
        assert_eq!(payload["aps"]["alert"]["body"], "\"quoted\"\n\\");
        assert_eq!(payload["path"], "");
    }
}
