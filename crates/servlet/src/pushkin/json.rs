//! JSON bodies: `{"events": [...]}` and `{"notifications": [...]}`.
//!
//! One pass over the text. No value an item can have is an error of the parser: what does not
//! fit is a reason to skip that item. So an error from serde always means "not JSON".
//! Of equal keys the last one counts; keys that nobody asked for are skipped unread.

mod any;

mod item;

mod pairs;

mod python;

mod scalar;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess};

use self::{
    any::{Any, Expect, Key},
    item::{EventItem, NotificationItem},
};
use super::{BodyError, Decoded, Found, ItemKind, Room};

/// Said where the room for the items is used up.
const NO_ROOM: &str = "there is no room for all that it holds";

pub(super) fn decode(kind: ItemKind, body: &[u8], room: &Room<'_>) -> Result<Decoded, BodyError> {
    // Once for the whole body: faster than text by text, and skipped texts are covered too.
    let text = str::from_utf8(body).map_err(BodyError::Utf8)?;
    match parse(kind, text, room) {
        // Not JSON, but perhaps what Python's parser took for it.
        Err(error) if error.is_syntax() => {
            parse(kind, &python::to_json(text), room).map_err(BodyError::Json)?
        }
        parsed => parsed.map_err(BodyError::Json)?,
    }
}

fn parse(
    kind: ItemKind,
    text: &str,
    room: &Room<'_>,
) -> serde_json::Result<Result<Decoded, BodyError>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let decoded = Any(Body(kind, room)).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(decoded)
}

/// The whole body.
struct Body<'a>(ItemKind, &'a Room<'a>);

impl<'de> Expect<'de> for Body<'_> {
    type Value = Result<Decoded, BodyError>;

    fn other(self, found: Found) -> Self::Value {
        Err(BodyError::NotAnObject {
            key: self.0.key(),
            found,
        })
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let key = self.0.key();
        let mut decoded = Err(BodyError::NoList { key });
        while let Some(is_list) = object.next_key_seed(Key(|name: &str| name == key))? {
            if is_list {
                decoded = object.next_value_seed(Any(List(self.0, self.1)))?;
            } else {
                object.next_value::<IgnoredAny>()?;
            }
        }
        Ok(decoded)
    }
}

/// The list of items.
struct List<'a>(ItemKind, &'a Room<'a>);

impl<'de> Expect<'de> for List<'_> {
    type Value = Result<Decoded, BodyError>;

    fn other(self, found: Found) -> Self::Value {
        Err(BodyError::NotAList {
            key: self.0.key(),
            found,
        })
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut decoded = Decoded::default();
        for index in 0.. {
            let item = match self.0 {
                ItemKind::Events => list.next_element_seed(Any(EventItem(self.1)))?,
                ItemKind::Notifications => list.next_element_seed(Any(NotificationItem))?,
            };
            let Some(item) = item else { break };
            if !decoded.add(index, item, self.1) {
                return Err(A::Error::custom(NO_ROOM));
            }
        }
        Ok(Ok(decoded))
    }
}
