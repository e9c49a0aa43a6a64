//! One notification to one device, and the text that it shares with others.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;

use crate::{
    AppId, DeviceToken, ItemId, Lane, LoginId, MessageId, NotificationId, Platform, Provider,
    Receipt, UnixMs,
};

/// How long a notification is worth delivering where its message does not say: 6 h.
const DEFAULT_LIFE_MS: i64 = 6 * 60 * 60 * 1000;

/// One notification to one device, on its way to a push service.
#[derive(Clone, Debug)]
pub struct Notification {
    /// Derived from the three below; the `apns-id`.
    pub id: NotificationId,
    /// The item that caused it.
    pub item: ItemId,
    /// Whose credentials it is sent with.
    pub app: AppId,
    /// Where it waits.
    pub lane: Lane,
    /// When the door took its request.
    pub accepted_at: UnixMs,
    /// The CSV's `time`: when the door took its request, whatever has delayed it since.
    pub created_at: UnixMs,
    /// Not to be delivered after this; the CSV's `time_to_live_ts_bigint`.
    pub expires_at: UnixMs,
    /// Whom it is for.
    pub login: LoginId,
    /// What kind of device.
    pub platform: Platform,
    /// Which device.
    pub token: DeviceToken,
    /// What it says.
    pub content: Arc<Content>,
    /// Told when this notification has ended, however it ended.
    pub receipt: Receipt,
}

impl Notification {
    /// When a notification stops being worth delivering: a message's life counts from the event's
    /// time, the default one from when the door took the request. Neither starts anew when the
    /// request is processed again.
    #[must_use]
    pub fn expiry(life_ms: Option<i64>, event_at: Option<UnixMs>, accepted_at: UnixMs) -> UnixMs {
        match (life_ms, event_at) {
            (Some(life_ms), Some(event_at)) => event_at.plus_ms(life_ms),
            _ => accepted_at.plus_ms(DEFAULT_LIFE_MS),
        }
    }
}

/// What a notification says: shared by all devices, and often by many users, that get the same text.
#[derive(Debug)]
pub struct Content {
    /// Title.
    pub title: Box<str>,
    /// Text.
    pub body: Box<str>,
    /// Deep link; may be empty.
    pub screen: Box<str>,
    /// The message it came from; [`MessageId::DIRECT`] for direct notifications.
    pub message: MessageId,
    /// The CSV's `campaign_id`; Pushkin's constant is 1.
    pub campaign_id: i64,
    /// The CSV's `sending_id`; Pushkin's constant is `0`.
    pub sending_id: Box<str>,
    /// How urgently the device is woken.
    pub priority: Priority,
    /// The payload as the sender rendered it first.
    pub rendered: RenderedPayload,
}

impl Content {
    /// Content as Pushkin's doors make it: campaign 1, sending 0.
    #[must_use]
    pub fn pushkin(
        message: MessageId,
        title: impl Into<Box<str>>,
        body: impl Into<Box<str>>,
        screen: impl Into<Box<str>>,
        priority: Priority,
    ) -> Self {
        Self {
            title: title.into(),
            body: body.into(),
            screen: screen.into(),
            message,
            campaign_id: 1,
            sending_id: "0".into(),
            priority,
            rendered: RenderedPayload::default(),
        }
    }
}

/// One slot per push service for the part of the payload that all devices share.
///
/// Written once by the sender that first needs it, read by every later notification of the
/// same content: a payload is built per text and not per device.
#[derive(Default)]
pub struct RenderedPayload([OnceLock<Bytes>; Provider::ALL.len()]);

impl RenderedPayload {
    /// The bytes for `provider`, built by `render` the first time.
    pub fn get_or_render(&self, provider: Provider, render: impl FnOnce() -> Bytes) -> &Bytes {
        let slot = match provider {
            Provider::Apns => &self.0[0],
            Provider::Fcm => &self.0[1],
            Provider::WebPush => &self.0[2],
        };
        slot.get_or_init(render)
    }
}

impl fmt::Debug for RenderedPayload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RenderedPayload")
    }
}

/// Pushkin's `message.priority`: `high` wakes the device at once, anything else is normal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Priority {
    /// When it suits the device's battery: APNs 5, FCM NORMAL.
    #[default]
    Normal,
    /// At once: APNs 10, FCM HIGH.
    High,
}

impl Priority {
    /// The priority named by a column's or file's text; `None` if it names none.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "normal" => Some(Self::Normal),
            "high" => Some(Self::High),
            _ => None,
        }
    }

    /// The name as the `message` table has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}
