//! Protobuf bodies: `BatchEventRequest` and `BatchNotificationRequest` of `crates/proto`.
//!
//! Presence counts, not value: zero is an id and a time. The last of a repeated field counts,
//! unknown fields and known ones of another wire type are ignored, a text that is not UTF-8
//! refuses the whole body.

use model::{DirectNotification, Event, Item, PairValue, UnixMs};

use super::{
    Decoded, Field, ItemKind, Reason, Room, login,
    wire::{Fields, Value, WireError},
};

/// The number of the list in both batch messages.
const LIST: u32 = 1;

pub(super) fn decode(kind: ItemKind, body: &[u8], room: &Room<'_>) -> Result<Decoded, WireError> {
    let mut decoded = Decoded::default();
    let mut fields = Fields::of(body);
    let mut index = 0;
    while let Some(field) = fields.next()? {
        let (LIST, Value::Bytes(message)) = field else {
            continue;
        };
        let item = match kind {
            ItemKind::Events => event(message, room)?.map(Item::Event),
            ItemKind::Notifications => notification(message)?.map(Item::Notification),
        };
        if !decoded.add(index, item, room) {
            return Err(WireError::NoRoom);
        }
        index += 1;
    }
    Ok(decoded)
}

fn event(message: &[u8], room: &Room<'_>) -> Result<Result<Event, Reason>, WireError> {
    let (mut user_id, mut event_id, mut timestamp) = (None, None, None);
    let mut pairs = Vec::new();
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Varint(value)) => user_id = Some(value.cast_signed()),
            (2, Value::Varint(value)) => event_id = Some(int32(value)),
            (4, Value::Varint(value)) => timestamp = Some(value.cast_signed()),
            (5, Value::Bytes(message)) => {
                let (name, value) = pair(message)?;
                if !room.pair(&name, &value) {
                    return Err(WireError::NoRoom);
                }
                pairs.push((name, value));
            }
            _ => {}
        }
    }
    let event = || {
        Ok(Event {
            login: login(
                user_id.ok_or(Reason::Missing(Field::UserId))?,
                Field::UserId,
            )?,
            event_id: event_id.ok_or(Reason::Missing(Field::EventId))?,
            timestamp: Some(UnixMs(timestamp.ok_or(Reason::Missing(Field::Timestamp))?)),
            pairs,
        })
    };
    Ok(event())
}

/// Protobuf's rule for an int32 on the wire: the lower 32 bits.
#[allow(
    clippy::cast_possible_truncation,
    reason = "cutting the upper half off is what the format demands"
)]
fn int32(value: u64) -> i32 {
    (value as u32).cast_signed()
}

fn pair(message: &[u8]) -> Result<(Box<str>, PairValue), WireError> {
    let (mut key, mut value) = ("", "");
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(bytes)) => key = text(bytes)?,
            (2, Value::Bytes(bytes)) => value = text(bytes)?,
            _ => {}
        }
    }
    Ok((key.into(), PairValue::Text(value.into())))
}

fn notification(message: &[u8]) -> Result<Result<DirectNotification, Reason>, WireError> {
    let (mut login_id, mut title, mut content, mut screen) = (None, None, None, "");
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Varint(value)) => login_id = Some(value.cast_signed()),
            (2, Value::Bytes(bytes)) => title = Some(text(bytes)?),
            (3, Value::Bytes(bytes)) => content = Some(text(bytes)?),
            (4, Value::Bytes(bytes)) => screen = text(bytes)?,
            _ => {}
        }
    }
    let notification = || {
        Ok(DirectNotification {
            login: login(
                login_id.ok_or(Reason::Missing(Field::LoginId))?,
                Field::LoginId,
            )?,
            title: not_empty(title, Field::Title)?,
            content: not_empty(content, Field::Content)?,
            screen: screen.into(),
        })
    };
    Ok(notification())
}

fn not_empty(text: Option<&str>, field: Field) -> Result<Box<str>, Reason> {
    match text {
        None => Err(Reason::Missing(field)),
        Some("") => Err(Reason::Empty(field)),
        Some(text) => Ok(text.into()),
    }
}

fn text(bytes: &[u8]) -> Result<&str, WireError> {
    str::from_utf8(bytes).map_err(|_| WireError::Utf8)
}
