//! What the doors are measured with: bodies as games post them, and plain parsers that make the
//! same structs of them as the doors do.
//!
//! The parsers are hard ones to be beside: derived serde and prost structs, nothing checked, and
//! for JSON's pairs a visitor that makes what [`model::Event`] holds without a map in between.

use std::{fmt, str::FromStr};

use model::{Event, Item, LoginId, PairValue, UnixMs};
use prost::Message;
use proto::pushkin::{BatchEventRequest, event::Pair};
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::json;

/// How the bodies are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Protobuf,
}

impl Format {
    /// The door's path, also the format's name on the command line.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Json => "/post_events_json",
            Self::Protobuf => "/post_events_proto",
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(path: &str) -> Result<Self, String> {
        [Self::Json, Self::Protobuf]
            .into_iter()
            .find(|format| format.path() == path)
            .ok_or_else(|| format!("no door has the path {path}"))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Json => "JSON",
            Self::Protobuf => "protobuf",
        })
    }
}

/// A body of so many events; other numbers make other texts.
pub(crate) fn body(format: Format, events: usize, number: usize) -> Vec<u8> {
    let events = (0..events).map(|event| posted_event(number * events + event));
    match format {
        Format::Json => json_body(events),
        Format::Protobuf => BatchEventRequest {
            events: events.collect(),
        }
        .encode_to_vec(),
    }
}

/// An event as games send them: ids and times of their usual lengths, three pairs.
fn posted_event(number: usize) -> proto::pushkin::Event {
    let number = i64::try_from(number).expect("small");
    let pairs = [
        ("player_name", format!("Player {number}")),
        ("level", (number % 80).to_string()),
        ("opponent", format!("FC Somewhere {}", number * 7)),
    ];
    proto::pushkin::Event {
        user_id: Some(1_000_000_007 + number * 131),
        event_id: Some(101),
        event_type: None,
        timestamp: Some(1_795_293_388_117 + number),
        pairs: pairs
            .into_iter()
            .map(|(key, value)| Pair {
                key: key.to_owned(),
                value,
            })
            .collect(),
    }
}

fn json_body(events: impl Iterator<Item = proto::pushkin::Event>) -> Vec<u8> {
    let events: Vec<_> = events
        .map(|event| {
            let pairs: serde_json::Map<_, _> = event
                .pairs
                .into_iter()
                .map(|pair| (pair.key, json!(pair.value)))
                .collect();
            json!({
                "user_id": event.user_id,
                "event_id": event.event_id,
                "timestamp": event.timestamp,
                "pairs": pairs,
            })
        })
        .collect();
    json!({ "events": events }).to_string().into_bytes()
}

/// The items of a body; `None` where it is not one.
pub(crate) fn parse(format: Format, body: &[u8]) -> Option<Vec<Item>> {
    match format {
        Format::Json => parse_json(body),
        Format::Protobuf => parse_protobuf(body),
    }
}

fn parse_json(body: &[u8]) -> Option<Vec<Item>> {
    let batch: JsonBatch = serde_json::from_slice(body).ok()?;
    let item = |event: JsonEvent| {
        Item::Event(Event {
            login: event.user_id,
            event_id: event.event_id,
            timestamp: event.timestamp,
            pairs: event.pairs.0,
        })
    };
    Some(batch.events.into_iter().map(item).collect())
}

fn parse_protobuf(body: &[u8]) -> Option<Vec<Item>> {
    let batch = BatchEventRequest::decode(body).ok()?;
    let item = |event: proto::pushkin::Event| {
        Some(Item::Event(Event {
            login: LoginId(event.user_id?),
            event_id: event.event_id?,
            timestamp: event.timestamp.map(UnixMs),
            pairs: event
                .pairs
                .into_iter()
                .map(|pair| (pair.key.into(), PairValue::Text(pair.value.into())))
                .collect(),
        }))
    };
    batch.events.into_iter().map(item).collect()
}

#[derive(Deserialize)]
struct JsonBatch {
    events: Vec<JsonEvent>,
}

#[derive(Deserialize)]
struct JsonEvent {
    user_id: LoginId,
    event_id: i32,
    timestamp: Option<UnixMs>,
    pairs: JsonPairs,
}

struct JsonPairs(Vec<(Box<str>, PairValue)>);

impl<'de> Deserialize<'de> for JsonPairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;

        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = JsonPairs;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<JsonPairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some((key, JsonValue(value))) = object.next_entry()? {
                    pairs.push((key, value));
                }
                Ok(JsonPairs(pairs))
            }
        }

        deserializer.deserialize_map(PairsVisitor)
    }
}

struct JsonValue(PairValue);

impl<'de> Deserialize<'de> for JsonValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;

        impl Visitor<'_> for ValueVisitor {
            type Value = JsonValue;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text or an integer")
            }

            fn visit_str<R: Error>(self, text: &str) -> Result<JsonValue, R> {
                Ok(JsonValue(PairValue::Text(text.into())))
            }

            fn visit_i64<R: Error>(self, number: i64) -> Result<JsonValue, R> {
                Ok(JsonValue(PairValue::Integer(number)))
            }

            fn visit_u64<R: Error>(self, number: u64) -> Result<JsonValue, R> {
                i64::try_from(number)
                    .map(|number| JsonValue(PairValue::Integer(number)))
                    .map_err(R::custom)
            }
        }

        deserializer.deserialize_any(ValueVisitor)
    }
}
