//! Who and what is meant: logins, apps, messages, requests, items, notifications.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::DeviceToken;

/// Login ids from here up (2^62) are allocated to customers; no door takes them from outside.
pub const CUSTOMER_LOGIN_FLOOR: i64 = 1 << 62;

/// A user of a game, as in Pushkin's `login.id` (int8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LoginId(pub i64);

impl fmt::Display for LoginId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// An app inside this installation; Pushkin's doors serve [`AppId::LEGACY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AppId(pub i64);

impl AppId {
    /// The app whose credentials stand in `config.ini`, behind Pushkin's own URLs.
    pub const LEGACY: Self = Self(1);
}

impl fmt::Display for AppId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Who owns apps, customers and API keys; the database gives the number (int4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrganisationId(pub i32);

impl OrganisationId {
    /// Whose app stands in `config.ini`, behind Pushkin's own URLs.
    pub const LEGACY: Self = Self(1);
}

impl fmt::Display for OrganisationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A message, as in Pushkin's `message.id` (int4); 0 stands for "no message" in direct notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(pub i32);

impl MessageId {
    /// What a direct notification carries instead of a message.
    pub const DIRECT: Self = Self(0);
}

impl fmt::Display for MessageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// One POST or push request; UUID version 7, so ids sort by the time of acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub Uuid);

impl RequestId {
    /// A new id. Version 7 reads the system's clock itself; the id's order is a convenience
    /// for people, no decision hangs on it.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// One item of a request: the request and the item's place in it.
///
/// Decisions are recorded under it, so an item that is processed twice (after a crash)
/// finds its own decision again. The text form is `<request uuid without dashes>-<index>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ItemId {
    /// The request.
    pub request: RequestId,
    /// Place among the request's accepted items, from 0.
    pub index: u32,
}

impl fmt::Display for ItemId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.request.0.simple(), self.index)
    }
}

/// Why a text is not an id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an item id: expected 32 hexadecimal digits, a dash and a number")]
pub struct IdError;

impl FromStr for ItemId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (request, index) = text.rsplit_once('-').ok_or(IdError)?;
        Ok(Self {
            request: RequestId(Uuid::try_parse(request).map_err(|_| IdError)?),
            index: index.parse().map_err(|_| IdError)?,
        })
    }
}

/// One notification to one device; the `apns-id` and the log's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NotificationId(pub Uuid);

impl NotificationId {
    /// The id of `message` for `token`, caused by `item`.
    ///
    /// It is derived (UUID version 5, RFC 9562 section 5.5), not drawn: an item that is
    /// processed again gives the same ids, so a push service can see the repetition.
    #[must_use]
    pub fn derive(item: ItemId, message: MessageId, token: &DeviceToken) -> Self {
        let token = token.as_str().as_bytes();
        let mut name = Vec::with_capacity(8 + token.len());
        name.extend_from_slice(&item.index.to_be_bytes());
        name.extend_from_slice(&message.0.to_be_bytes());
        name.extend_from_slice(token);
        Self(Uuid::new_v5(&item.request.0, &name))
    }

    /// Stands for the effects of a request's own events (logins, opt-outs) where ends are marked:
    /// they are in the database, and are not to be applied again. Never a notification's id.
    #[must_use]
    pub fn of_effects(request: RequestId) -> Self {
        // Shorter than any name above.
        Self(Uuid::new_v5(&request.0, b"effects"))
    }
}

impl fmt::Display for NotificationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn item_id_survives_its_text_form() {
        let item = ItemId {
            request: RequestId::generate(),
            index: 41,
        };
        assert_eq!(item.to_string().parse(), Ok(item));
        assert_eq!("17".parse::<ItemId>(), Err(IdError));
    }

    #[test]
    fn notification_ids_repeat_for_the_same_cause_and_differ_otherwise() {
        let item = ItemId {
            request: RequestId::generate(),
            index: 0,
        };
        let token = DeviceToken::new("abc");
        let id = NotificationId::derive(item, MessageId(1), &token);
        assert_eq!(id, NotificationId::derive(item, MessageId(1), &token));
        assert_ne!(id, NotificationId::derive(item, MessageId(2), &token));
        assert_ne!(
            id,
            NotificationId::derive(ItemId { index: 1, ..item }, MessageId(1), &token)
        );
    }
}
