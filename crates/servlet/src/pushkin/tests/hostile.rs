//! Whatever is sent: an answer, no panic, and no item lost without a word.

use proptest::prelude::*;
use prost::Message;
use proto::pushkin::{BatchEventRequest, Event as WireEvent, event::Pair};
use serde_json::{Map, Value, json};

use super::*;

const FORMATS: [Format; 2] = [Format::Json, Format::Protobuf];
const KINDS: [ItemKind; 2] = [ItemKind::Events, ItemKind::Notifications];

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("user_id".to_owned()),
        Just("event_id".to_owned()),
        Just("timestamp".to_owned()),
        Just("pairs".to_owned()),
        Just("login_id".to_owned()),
        Just("title".to_owned()),
        Just("content".to_owned()),
        Just("screen".to_owned()),
        any::<String>(),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[0-9]{1,20}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..6)
                .prop_map(|members| Value::from(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn wire_event() -> impl Strategy<Value = WireEvent> {
    let pair = (any::<String>(), any::<String>()).prop_map(|(key, value)| Pair { key, value });
    (
        any::<Option<i64>>(),
        any::<Option<i32>>(),
        any::<Option<i32>>(),
        any::<Option<i64>>(),
        prop::collection::vec(pair, 0..4),
    )
        .prop_map(
            |(user_id, event_id, event_type, timestamp, pairs)| WireEvent {
                user_id,
                event_id,
                event_type,
                timestamp,
                pairs,
            },
        )
}

/// What the published types and the rules make of one event.
fn expected(event: &WireEvent) -> Option<Item> {
    let login = event.user_id.filter(|id| *id < CUSTOMER_LOGIN_FLOOR)?;
    let pairs: Vec<_> = event
        .pairs
        .iter()
        .map(|pair| (&*pair.key, PairValue::Text((&*pair.value).into())))
        .collect();
    Some(super::event(
        login,
        event.event_id?,
        event.timestamp?,
        &pairs,
    ))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_bytes_are_decoded_or_refused(
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        for format in FORMATS {
            for kind in KINDS {
                let refused = decode(format, kind, &body).is_err();
                prop_assert!(refused || !body.is_empty());
            }
        }
    }

    #[test]
    fn any_damage_to_a_good_body_is_decoded_or_refused(
        place in 0_usize..400,
        byte in any::<u8>(),
    ) {
        let json = json!({"events": [
            {"user_id": 1, "event_id": 2, "timestamp": 3, "pairs": {"a": "\u{17e}", "b": [1.5]}},
        ]});
        let wire = BatchEventRequest {
            events: vec![WireEvent {
                user_id: Some(1),
                event_id: Some(2),
                event_type: None,
                timestamp: Some(3),
                pairs: vec![Pair { key: "a".to_owned(), value: "\u{17e}".to_owned() }],
            }],
        };
        let bodies = [json.to_string().into_bytes(), wire.encode_to_vec()];
        for (format, mut body) in FORMATS.into_iter().zip(bodies) {
            let place = place % body.len();
            body[place] = byte;
            for kind in KINDS {
                if let Ok(decoded) = decode(format, kind, &body) {
                    prop_assert!(decoded.items.len() + decoded.rejected.count() <= 2);
                }
            }
        }
    }

    #[test]
    fn every_element_of_any_list_is_an_item_or_a_rejection(
        elements in prop::collection::vec(value(), 0..6),
    ) {
        for kind in KINDS {
            let body = json!({"before": 1, kind.key(): elements, "after": [{}]}).to_string();
            let decoded = decode(Format::Json, kind, body.as_bytes()).unwrap();
            prop_assert_eq!(decoded.items.len() + decoded.rejected.count(), elements.len());
        }
    }

    #[test]
    fn any_json_in_the_lists_place_is_a_list_or_a_refusal(whole in value(), list in value()) {
        for kind in KINDS {
            prop_assert!(decode(Format::Json, kind, whole.to_string().as_bytes()).is_err());
            let body = json!({kind.key(): list}).to_string();
            prop_assert_eq!(decode(Format::Json, kind, body.as_bytes()).is_ok(), list.is_array());
        }
    }

    #[test]
    fn lists_and_objects_in_pairs_keep_their_meaning(kept in value()) {
        prop_assume!(kept.is_array() || kept.is_object());
        let body = json!({"events": [
            {"user_id": 1, "event_id": 2, "timestamp": 3, "pairs": {"k": kept}},
        ]});
        let decoded = decode(Format::Json, ItemKind::Events, body.to_string().as_bytes()).unwrap();
        let Item::Event(event) = &decoded.items[0] else { panic!("not an event") };
        let Some(PairValue::Json(text)) = event.pair("k") else { panic!("not kept") };
        let read: Value = serde_json::from_str(text).unwrap();
        prop_assert_eq!(read, kept);
    }

    #[test]
    fn protobuf_means_what_the_published_types_mean(
        events in prop::collection::vec(wire_event(), 1..5),
    ) {
        let items: Vec<_> = events.iter().filter_map(expected).collect();
        let count = events.len();
        let body = BatchEventRequest { events }.encode_to_vec();
        let decoded = decode(Format::Protobuf, ItemKind::Events, &body).unwrap();
        prop_assert_eq!(decoded.items.len() + decoded.rejected.count(), count);
        prop_assert_eq!(decoded.items, items);
    }
}
