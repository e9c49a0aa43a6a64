//! Both formats against the same tables: what is taken, what is skipped and why, what refuses
//! the whole body.

mod hostile;

mod json;

mod protobuf;

use model::{DirectNotification, Event, Item, LoginId, PairValue, UnixMs};

use super::*;

fn event(login: i64, event_id: i32, timestamp: i64, pairs: &[(&str, PairValue)]) -> Item {
    Item::Event(Event {
        login: LoginId(login),
        event_id,
        timestamp: Some(UnixMs(timestamp)),
        pairs: pairs
            .iter()
            .map(|(key, value)| ((*key).into(), value.clone()))
            .collect(),
    })
}

fn notification(login: i64, title: &str, content: &str, screen: &str) -> Item {
    Item::Notification(DirectNotification {
        login: LoginId(login),
        title: title.into(),
        content: content.into(),
        screen: screen.into(),
    })
}

/// What became of each item: none is lost without a word.
fn reasons(decoded: &Decoded) -> Vec<(usize, String)> {
    decoded
        .rejected
        .listed()
        .iter()
        .map(|rejected| (rejected.index, rejected.reason.to_string()))
        .collect()
}

#[test]
fn a_thousand_rejections_are_listed_and_all_are_counted() {
    let body = format!("{{\"events\": [{}0]}}", "0,".repeat(1_499));
    let decoded = decode(Format::Json, ItemKind::Events, body.as_bytes()).unwrap();
    assert_eq!(decoded.rejected.count(), 1_500);
    assert_eq!(decoded.rejected.listed().len(), 1_000);
}
