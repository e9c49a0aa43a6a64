//! What is sent: notifications as the processor makes them.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use model::{
    AppId, Content, DeviceToken, FinishedRequests, ItemId, Lane, LoginId, MessageId, Notification,
    NotificationId, Platform, Priority, Receipt, RequestId, UnixMs,
};

use crate::simulator::Service;

/// Whether notifications share their text.
#[derive(Clone, Copy)]
pub(crate) enum Texts {
    /// All have the same, which is rendered once.
    One,
    /// Each has its own, as with a player's name in it.
    OneEach,
}

impl Texts {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::One => "one text",
            Self::OneEach => "own texts",
        }
    }
}

struct Nobody;

impl FinishedRequests for Nobody {
    fn ended(&self, _request: RequestId, _notification: NotificationId) {}

    fn finished(&self, _request: RequestId) {}
}

/// `count` of them to as many devices, alive for an hour.
pub(crate) fn notifications(service: Service, texts: Texts, count: usize) -> Vec<Notification> {
    let request = RequestId::generate();
    let now = now();
    let receipt = Receipt::open(request, Arc::new(Nobody));
    let shared = Arc::new(content(0));
    (0..u32::try_from(count).expect("some thousands"))
        .map(|index| {
            let item = ItemId { request, index };
            // As long as the services' own: 64 hexadecimal digits, and some 150 characters.
            let (platform, token) = match service {
                Service::Apns => (Platform::IPHONE, format!("{index:064x}")),
                Service::Fcm => (Platform::ANDROID, format!("{index:022}:APA91b{index:0134}")),
            };
            let token = DeviceToken::new(token);
            Notification {
                id: NotificationId::derive(item, MessageId(7), &token),
                item,
                app: AppId::LEGACY,
                lane: Lane::Urgent,
                accepted_at: now,
                created_at: now,
                expires_at: now.plus_ms(3_600_000),
                login: LoginId(i64::from(index)),
                platform,
                token,
                content: match texts {
                    Texts::One => Arc::clone(&shared),
                    Texts::OneEach => Arc::new(content(index)),
                },
                receipt: receipt.clone(),
            }
        })
        .collect()
}

fn content(number: u32) -> Content {
    let body = format!("Player {number:06}, your troops have come home with a good deal of gold");
    Content::pushkin(MessageId(7), "Back home", body, "village", Priority::High)
}

#[allow(
    clippy::disallowed_methods,
    reason = "the bench's root: its clock is the system's, because the simulator's is"
)]
pub(crate) fn now() -> UnixMs {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("it is after 1970");
    UnixMs(i64::try_from(since_1970.as_millis()).expect("it is before the year 292,000,000"))
}
