//! Pushkin's protobuf bodies. Input: a body.
//!
//! * The same bytes give the same result.
//! * What the published types read (prost) is read here, and means the same.
//! * What is taken is what its door promises, and survives its stored form.

use model::{CUSTOMER_LOGIN_FLOOR, DirectNotification, Event, Item, LoginId, PairValue, UnixMs};
use prost::Message;
use proto::pushkin::{BatchEventRequest, BatchNotificationRequest};
use servlet::pushkin::{Decoded, Format, ItemKind, decode};

use crate::pushkin_json::check_decoded;

/// Checks one input.
pub fn check(body: &[u8]) {
    let events = decoded(ItemKind::Events, body);
    if let Ok(batch) = BatchEventRequest::decode(body).map(|batch| batch.events) {
        compare(
            body,
            events,
            batch.len(),
            batch.into_iter().filter_map(event),
        );
    }
    let notifications = decoded(ItemKind::Notifications, body);
    if let Ok(batch) = BatchNotificationRequest::decode(body).map(|batch| batch.notifications) {
        let items = batch.iter().filter_map(notification);
        compare(body, notifications, batch.len(), items);
    }
}

fn decoded(kind: ItemKind, body: &[u8]) -> Option<Decoded> {
    let decoded = decode(Format::Protobuf, kind, body).ok();
    assert_eq!(decoded, decode(Format::Protobuf, kind, body).ok());
    if let Some(decoded) = &decoded {
        check_decoded(decoded, body.len());
    }
    decoded
}

fn compare(body: &[u8], decoded: Option<Decoded>, count: usize, items: impl Iterator<Item = Item>) {
    if body.is_empty() {
        // To prost an empty batch, to Pushkin's door a mistake.
        assert_eq!(decoded, None);
        return;
    }
    let decoded = decoded.expect("prost takes it");
    assert_eq!(decoded.items.len() + decoded.rejected.count(), count);
    assert_eq!(decoded.items, items.collect::<Vec<_>>());
}

fn login(id: Option<i64>) -> Option<LoginId> {
    id.filter(|id| *id < CUSTOMER_LOGIN_FLOOR).map(LoginId)
}

fn event(event: proto::pushkin::Event) -> Option<Item> {
    let pair = |pair: proto::pushkin::event::Pair| {
        let value = PairValue::Text(pair.value.into());
        (pair.key.into(), value)
    };
    Some(Item::Event(Event {
        login: login(event.user_id)?,
        event_id: event.event_id?,
        timestamp: Some(UnixMs(event.timestamp?)),
        pairs: event.pairs.into_iter().map(pair).collect(),
    }))
}

fn notification(notification: &proto::pushkin::PushNotification) -> Option<Item> {
    let required = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Some(Item::Notification(DirectNotification {
        login: login(notification.login_id)?,
        title: required(&notification.title)?.into(),
        content: required(&notification.content)?.into(),
        screen: notification.screen.clone().unwrap_or_default().into(),
    }))
}
