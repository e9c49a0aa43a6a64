//! The stored form of a request's items.
//!
//! The events of one POST mostly have pairs of the same names, so names are written only where
//! they differ from those of the event before: a journal that holds a third less is written with
//! a third less work.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, SeqAccess, Visitor},
    ser::SerializeSeq,
};

use crate::{DirectNotification, Event, Item, LoginId, PairValue, UnixMs};

type Pairs = [(Box<str>, PairValue)];

/// An item as it is written.
#[derive(Serialize)]
enum Written<'a> {
    Event {
        login: LoginId,
        event_id: i32,
        timestamp: Option<UnixMs>,
        /// `None` where they are those of the event before.
        names: Option<Names<'a>>,
        values: Values<'a>,
    },
    Notification(&'a DirectNotification),
}

struct Names<'a>(&'a Pairs);

struct Values<'a>(&'a Pairs);

impl Serialize for Names<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(name, _)| name))
    }
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(_, value)| value))
    }
}

/// Writes items.
pub(super) fn serialize<S: Serializer>(items: &[Item], serializer: S) -> Result<S::Ok, S::Error> {
    let mut sequence = serializer.serialize_seq(Some(items.len()))?;
    let mut before: Option<&Pairs> = None;
    for item in items {
        let written = match item {
            Item::Notification(notification) => Written::Notification(notification),
            Item::Event(event) => {
                let same = before.is_some_and(|before| have_the_same_names(before, &event.pairs));
                before = Some(&event.pairs);
                Written::Event {
                    login: event.login,
                    event_id: event.event_id,
                    timestamp: event.timestamp,
                    names: (!same).then_some(Names(&event.pairs)),
                    values: Values(&event.pairs),
                }
            }
        };
        sequence.serialize_element(&written)?;
    }
    sequence.end()
}

fn have_the_same_names(one: &Pairs, other: &Pairs) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|((one, _), (other, _))| one == other)
}

/// An item as it is read.
#[derive(Deserialize)]
enum Read {
    Event {
        login: LoginId,
        event_id: i32,
        timestamp: Option<UnixMs>,
        names: Option<Vec<Box<str>>>,
        values: Vec<PairValue>,
    },
    Notification(DirectNotification),
}

/// Reads what [`serialize`] wrote.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Item>, D::Error> {
    struct Items;

    impl<'de> Visitor<'de> for Items {
        type Value = Vec<Item>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("items")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<Item>, A::Error> {
            let mut items = Vec::new();
            let mut before = Vec::new();
            while let Some(read) = sequence.next_element()? {
                items.push(match read {
                    Read::Notification(notification) => Item::Notification(notification),
                    Read::Event {
                        login,
                        event_id,
                        timestamp,
                        names,
                        values,
                    } => {
                        if let Some(names) = names {
                            before = names;
                        }
                        if before.len() != values.len() {
                            return Err(A::Error::custom("there are not as many values as names"));
                        }
                        Item::Event(Event {
                            login,
                            event_id,
                            timestamp,
                            pairs: before.iter().cloned().zip(values).collect(),
                        })
                    }
                });
            }
            Ok(items)
        }
    }

    deserializer.deserialize_seq(Items)
}
