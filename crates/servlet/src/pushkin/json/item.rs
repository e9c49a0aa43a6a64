//! One element of the list. Required keys are required by presence; the first thing that is
//! wrong, in the order of the fields, is the reason.

use model::{DirectNotification, Event, Item};
use serde::de::{IgnoredAny, MapAccess};

use super::{
    any::{Any, Expect, Key},
    pairs::Pairs,
    scalar::{EventId, Login, Text, Timestamp},
};
use crate::pushkin::{Field, Found, Reason, Room};

/// `{"user_id": …, "event_id": …, "timestamp": …, "pairs": {…}}`
pub(super) struct EventItem<'a>(pub(super) &'a Room<'a>);

impl<'de> Expect<'de> for EventItem<'_> {
    type Value = Result<Item, Reason>;

    fn other(self, _found: Found) -> Self::Value {
        Err(Reason::NotAnObject)
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut login = Err(Reason::Missing(Field::UserId));
        let mut event_id = Err(Reason::Missing(Field::EventId));
        let mut timestamp = Err(Reason::Missing(Field::Timestamp));
        let mut pairs = Ok(Vec::new());
        while let Some(field) = object.next_key_seed(Key(event_field))? {
            match field {
                Some(EventField::UserId) => {
                    login = object.next_value_seed(Any(Login(Field::UserId)))?;
                }
                Some(EventField::EventId) => event_id = object.next_value_seed(Any(EventId))?,
                Some(EventField::Timestamp) => {
                    timestamp = object.next_value_seed(Any(Timestamp))?
                }
                Some(EventField::Pairs) => pairs = object.next_value_seed(Any(Pairs(self.0)))?,
                None => drop(object.next_value::<IgnoredAny>()?),
            }
        }
        let event = || {
            Ok(Item::Event(Event {
                login: login?,
                event_id: event_id?,
                timestamp: timestamp?,
                pairs: pairs?,
            }))
        };
        Ok(event())
    }
}

enum EventField {
    UserId,
    EventId,
    Timestamp,
    Pairs,
}

fn event_field(name: &str) -> Option<EventField> {
    match name {
        "user_id" => Some(EventField::UserId),
        "event_id" => Some(EventField::EventId),
        "timestamp" => Some(EventField::Timestamp),
        "pairs" => Some(EventField::Pairs),
        _ => None,
    }
}

/// `{"login_id": …, "title": …, "content": …, "screen": …}`
pub(super) struct NotificationItem;

impl<'de> Expect<'de> for NotificationItem {
    type Value = Result<Item, Reason>;

    fn other(self, _found: Found) -> Self::Value {
        Err(Reason::NotAnObject)
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut login = Err(Reason::Missing(Field::LoginId));
        let mut title = Err(Reason::Missing(Field::Title));
        let mut content = Err(Reason::Missing(Field::Content));
        let mut screen = Ok(Box::default());
        while let Some(field) = object.next_key_seed(Key(notification_field))? {
            match field {
                Some(NotificationField::LoginId) => {
                    login = object.next_value_seed(Any(Login(Field::LoginId)))?;
                }
                Some(NotificationField::Title) => {
                    title = object.next_value_seed(Any(Text(Field::Title)))?;
                }
                Some(NotificationField::Content) => {
                    content = object.next_value_seed(Any(Text(Field::Content)))?;
                }
                Some(NotificationField::Screen) => {
                    screen = object.next_value_seed(Any(Text(Field::Screen)))?;
                }
                None => drop(object.next_value::<IgnoredAny>()?),
            }
        }
        let notification = || {
            Ok(Item::Notification(DirectNotification {
                login: login?,
                title: not_empty(title?, Field::Title)?,
                content: not_empty(content?, Field::Content)?,
                screen: screen?,
            }))
        };
        Ok(notification())
    }
}

enum NotificationField {
    LoginId,
    Title,
    Content,
    Screen,
}

fn notification_field(name: &str) -> Option<NotificationField> {
    match name {
        "login_id" => Some(NotificationField::LoginId),
        "title" => Some(NotificationField::Title),
        "content" => Some(NotificationField::Content),
        "screen" => Some(NotificationField::Screen),
        _ => None,
    }
}

fn not_empty(text: Box<str>, field: Field) -> Result<Box<str>, Reason> {
    if text.is_empty() {
        Err(Reason::Empty(field))
    } else {
        Ok(text)
    }
}
