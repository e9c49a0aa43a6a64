//! Protobuf bodies, made with the published types.

use prost::Message;
use proto::pushkin::{
    BatchEventRequest, BatchNotificationRequest, Event as WireEvent, PushNotification, event::Pair,
};

use super::*;
use crate::answer::with_causes;

fn decoded(kind: ItemKind, body: &[u8]) -> Decoded {
    decode(Format::Protobuf, kind, body).unwrap()
}

fn refusal(kind: ItemKind, body: &[u8]) -> String {
    with_causes(&decode(Format::Protobuf, kind, body).unwrap_err())
}

fn good_event() -> WireEvent {
    WireEvent {
        user_id: Some(1338),
        event_id: Some(100),
        event_type: Some(9),
        timestamp: Some(1_795_293_388_117),
        pairs: vec![Pair {
            key: "name".to_owned(),
            value: "Ana".to_owned(),
        }],
    }
}

fn good_notification() -> PushNotification {
    PushNotification {
        login_id: Some(1),
        title: Some("T".to_owned()),
        content: Some("Hello, world".to_owned()),
        screen: Some("scr1".to_owned()),
    }
}

#[test]
fn pushkins_examples_are_taken() {
    let body = BatchEventRequest {
        events: vec![good_event()],
    };
    let name = [("name", PairValue::Text("Ana".into()))];
    assert_eq!(
        decoded(ItemKind::Events, &body.encode_to_vec()).items,
        [event(1338, 100, 1_795_293_388_117, &name)]
    );
    let body = BatchNotificationRequest {
        notifications: vec![good_notification()],
    };
    assert_eq!(
        decoded(ItemKind::Notifications, &body.encode_to_vec()).items,
        [notification(1, "T", "Hello, world", "scr1")]
    );
}

#[test]
fn a_bad_event_is_skipped_and_the_others_are_taken() {
    let without = |change: fn(&mut WireEvent)| {
        let mut event = good_event();
        change(&mut event);
        event
    };
    let body = BatchEventRequest {
        events: vec![
            without(|event| event.user_id = None),
            good_event(),
            without(|event| event.event_id = None),
            without(|event| event.timestamp = None),
            without(|event| event.user_id = Some(1 << 62)),
            good_event(),
        ],
    };
    let decoded = decoded(ItemKind::Events, &body.encode_to_vec());
    assert_eq!(decoded.items.len(), 2);
    assert_eq!(
        reasons(&decoded),
        [
            (0, "user_id is missing".to_owned()),
            (2, "event_id is missing".to_owned()),
            (3, "timestamp is missing".to_owned()),
            (4, "user_id is reserved: it is 2^62 or more".to_owned()),
        ]
    );
}

#[test]
fn a_bad_notification_is_skipped_and_the_others_are_taken() {
    let without = |change: fn(&mut PushNotification)| {
        let mut notification = good_notification();
        change(&mut notification);
        notification
    };
    let body = BatchNotificationRequest {
        notifications: vec![
            without(|notification| notification.login_id = None),
            without(|notification| notification.title = None),
            without(|notification| notification.title = Some(String::new())),
            without(|notification| notification.content = None),
            without(|notification| notification.content = Some(String::new())),
            without(|notification| notification.screen = None),
        ],
    };
    let decoded = decoded(ItemKind::Notifications, &body.encode_to_vec());
    assert_eq!(decoded.items, [notification(1, "T", "Hello, world", "")]);
    assert_eq!(
        reasons(&decoded),
        [
            (0, "login_id is missing".to_owned()),
            (1, "title is missing".to_owned()),
            (2, "title is empty".to_owned()),
            (3, "content is missing".to_owned()),
            (4, "content is empty".to_owned()),
        ]
    );
}

#[test]
fn zero_is_an_id_and_a_time() {
    // user_id 0, event_id 0, timestamp 0, written out.
    let body = [0x0a, 0x06, 0x08, 0x00, 0x10, 0x00, 0x20, 0x00];
    assert_eq!(
        decoded(ItemKind::Events, &body).items,
        [event(0, 0, 0, &[])]
    );
}

#[test]
fn a_pair_without_key_or_value_has_empty_ones() {
    let body = [
        0x0a, 0x0f, 0x08, 0x01, 0x10, 0x02, 0x20, 0x03, 0x2a, 0x00, 0x2a, 0x05, 0x0a, 0x01, b'k',
        0x12, 0x00,
    ];
    let text = |text: &str| PairValue::Text(text.into());
    assert_eq!(
        decoded(ItemKind::Events, &body).items,
        [event(1, 2, 3, &[("", text("")), ("k", text(""))])]
    );
}

#[test]
fn of_a_repeated_field_the_last_one_counts() {
    let body = [0x0a, 0x08, 0x08, 0x01, 0x08, 0x07, 0x10, 0x02, 0x20, 0x03];
    assert_eq!(
        decoded(ItemKind::Events, &body).items,
        [event(7, 2, 3, &[])]
    );
}

#[test]
fn unknown_fields_are_ignored_and_known_ones_of_another_type_too() {
    // Only unknown fields: a varint, 8 bytes, 4 bytes, a text, a group in a group.
    let unknown = [
        &[0x48, 0x01][..],
        &[0x49, 1, 2, 3, 4, 5, 6, 7, 8],
        &[0x4d, 1, 2, 3, 4],
        &[0x4a, 0x01, b'x'],
        &[0x4b, 0x53, 0x08, 0x01, 0x54, 0x4c],
    ]
    .concat();
    assert_eq!(decoded(ItemKind::Events, &unknown), Decoded::default());
    // user_id as a text counts as missing, as in Pushkin.
    let text_as_id = [0x0a, 0x07, 0x0a, 0x01, b'1', 0x10, 0x02, 0x20, 0x03];
    assert_eq!(
        reasons(&decoded(ItemKind::Events, &text_as_id)),
        [(0, "user_id is missing".to_owned())]
    );
    // The list itself as a number is no list.
    assert_eq!(decoded(ItemKind::Events, &[0x08, 0x01]), Decoded::default());
}

#[test]
fn negative_ids_are_ids() {
    let body = BatchEventRequest {
        events: vec![WireEvent {
            user_id: Some(-5),
            event_id: Some(-1),
            ..good_event()
        }],
    };
    let decoded = decoded(ItemKind::Events, &body.encode_to_vec());
    let [Item::Event(event)] = &decoded.items[..] else {
        panic!("one event in, {decoded:?} out");
    };
    assert_eq!((event.login, event.event_id), (LoginId(-5), -1));
}

#[test]
fn malformed_bodies_are_refused_and_told_why() {
    let cases: [(&[u8], &str); 13] = [
        (&[], "the body is empty"),
        (&[0x0a], "it ends in the middle of a field"),
        (&[0x0a, 0x05, 0x08], "it ends in the middle of a field"),
        (&[0x0a, 0x01, 0x08], "it ends in the middle of a field"),
        (&[0x09, 0x01], "it ends in the middle of a field"),
        (&[0x08, 0x80], "it ends in the middle of a field"),
        (
            &[
                0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02,
            ],
            "a varint is",
        ),
        (&[0x02, 0x00], "a field has an impossible number"),
        (&[0x0e], "a field has an unknown wire type"),
        (b"asd", "the body is not protobuf"),
        (&[0x0c], "groups do not match"),
        (&[0x4b, 0x54], "groups do not match"),
        // title is not UTF-8
        (
            &[0x0a, 0x05, 0x08, 0x01, 0x12, 0x01, 0xff],
            "a text is not UTF-8",
        ),
    ];
    for (body, expected) in cases {
        let told = refusal(ItemKind::Notifications, body);
        let detail = told
            .strip_prefix("the body is not protobuf: ")
            .unwrap_or(&told);
        assert!(
            detail.starts_with(expected) || told.starts_with(expected),
            "{told:?} for {}",
            body.escape_ascii()
        );
    }
    assert_eq!(
        refusal(ItemKind::Notifications, &[0x4b; 101]),
        "the body is not protobuf: groups do not match or are nested too deeply"
    );
}

#[test]
fn a_cut_body_is_refused_or_has_fewer_items_but_never_other_ones() {
    let body = BatchEventRequest {
        events: vec![good_event(), good_event()],
    }
    .encode_to_vec();
    let whole = decoded(ItemKind::Events, &body).items;
    for end in 1..body.len() {
        if let Ok(cut) = decode(Format::Protobuf, ItemKind::Events, &body[..end]) {
            assert_eq!(cut.items, whole[..cut.items.len()], "cut at {end}");
        }
    }
}
