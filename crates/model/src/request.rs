//! A request: what one POST brought, as it waits in the queue and in the journal.

mod stored;

use std::{collections::HashSet, mem, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{AppId, DirectNotification, Event, ItemId, Lane, NotificationId, RequestId, UnixMs};

/// First byte of a request's stored form; another number is another layout.
const FORM_VERSION: u8 = 2;

/// One accepted POST or push request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Its id.
    pub id: RequestId,
    /// When the door took it.
    pub accepted_at: UnixMs,
    /// Where it waits.
    pub lane: Lane,
    /// Whose logins, devices and credentials are meant.
    pub app: AppId,
    /// What it asks for, in order; an item's place here is its index.
    #[serde(with = "stored")]
    pub items: Vec<Item>,
    /// What of it had ended before it was given back by the journal; not part of its stored form.
    #[serde(skip)]
    pub ended: Ended,
}

/// Notifications of a request that are not to be sent again. Empty for nearly every request, and
/// then nothing is allocated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended(Option<Arc<HashSet<NotificationId>>>);

impl Ended {
    /// Whether nothing has ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether this notification has ended.
    #[must_use]
    pub fn contains(&self, notification: NotificationId) -> bool {
        let ended = self.0.as_ref();
        ended.is_some_and(|ended| ended.contains(&notification))
    }
}

impl FromIterator<NotificationId> for Ended {
    fn from_iter<I: IntoIterator<Item = NotificationId>>(ids: I) -> Self {
        let ids: HashSet<_> = ids.into_iter().collect();
        Self((!ids.is_empty()).then(|| Arc::new(ids)))
    }
}

/// One event or notification request.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// Something happened; messages may follow from it.
    Event(Event),
    /// A text for one user.
    Notification(DirectNotification),
}

/// Why stored bytes are not a request.
#[derive(Debug, thiserror::Error)]
pub enum DecodeRequestError {
    /// There is not even a version byte.
    #[error("the stored request is empty")]
    Empty,
    /// Written by a newer Onegin.
    #[error("the stored request has form version {0}, this program reads version {FORM_VERSION}")]
    Version(u8),
    /// Damaged.
    #[error("failed to decode the stored request")]
    Form(#[source] postcard::Error),
}

impl Request {
    /// The stored form: one version byte, then the fields.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // The stored form is shorter than the value in memory: nothing is moved while it grows.
        let mut bytes = Vec::with_capacity(self.bytes());
        self.write_to(&mut bytes);
        bytes
    }

    /// Adds the stored form to `bytes`.
    pub fn write_to(&self, bytes: &mut Vec<u8>) {
        bytes.push(FORM_VERSION);
        let written = postcard::to_extend(self, mem::take(bytes));
        *bytes = written.expect("plain values always have a stored form");
    }

    /// Reads what [`Request::to_bytes`] wrote.
    ///
    /// # Errors
    /// When the bytes are of another version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeRequestError> {
        match bytes.split_first() {
            None => Err(DecodeRequestError::Empty),
            Some((&FORM_VERSION, fields)) => {
                postcard::from_bytes(fields).map_err(DecodeRequestError::Form)
            }
            Some((&other, _)) => Err(DecodeRequestError::Version(other)),
        }
    }

    /// The id of the item at `index`.
    #[must_use]
    pub fn item_id(&self, index: usize) -> ItemId {
        ItemId {
            request: self.id,
            index: u32::try_from(index).unwrap_or(u32::MAX),
        }
    }

    /// Bytes this request keeps in memory, near enough to bound a queue by.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let items: usize = self
            .items
            .iter()
            .map(|item| match item {
                Item::Event(event) => event.bytes(),
                Item::Notification(notification) => notification.bytes(),
            })
            .sum();
        size_of::<Self>() + items
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LoginId, PairValue};

    fn request() -> Request {
        Request {
            id: RequestId::generate(),
            accepted_at: UnixMs(1_795_293_388_117),
            lane: Lane::Urgent,
            app: AppId::LEGACY,
            items: vec![
                Item::Event(Event {
                    login: LoginId(1338),
                    event_id: 100,
                    timestamp: Some(UnixMs(1)),
                    pairs: vec![("name".into(), PairValue::Text("Ana".into()))],
                }),
                Item::Notification(DirectNotification {
                    login: LoginId(-1),
                    title: "T".into(),
                    content: "Hello, world".into(),
                    screen: "".into(),
                }),
            ],
            ended: Ended::default(),
        }
    }

    #[test]
    fn a_request_survives_its_stored_form() {
        let request = request();
        assert_eq!(Request::from_bytes(&request.to_bytes()).unwrap(), request);
    }

    #[test]
    fn names_of_pairs_are_stored_once_for_events_in_a_row() {
        let event = |names: &[&str], value: &str| {
            let pair = |name: &&str| ((*name).into(), PairValue::Text(value.into()));
            Item::Event(Event {
                login: LoginId(1),
                event_id: 1,
                timestamp: None,
                pairs: names.iter().map(pair).collect(),
            })
        };
        let direct = request().items.remove(1);
        let stored = |items: Vec<Item>| {
            let request = Request { items, ..request() };
            let bytes = request.to_bytes();
            assert_eq!(Request::from_bytes(&bytes).unwrap(), request);
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let alike = stored(vec![
            event(&["player", "level"], "x"),
            direct,
            event(&["player", "level"], "y"),
        ]);
        assert_eq!(alike.matches("player").count(), 1, "{alike:?}");
        let different = stored(vec![
            event(&["player"], "x"),
            event(&["player", "level"], "y"),
            event(&[], "z"),
            event(&[], "z"),
            event(&["player"], "x"),
        ]);
        assert_eq!(different.matches("player").count(), 3, "{different:?}");
    }

    #[test]
    fn foreign_bytes_are_refused_and_never_panic() {
        let bytes = request().to_bytes();
        for end in 0..bytes.len() {
            assert!(Request::from_bytes(&bytes[..end]).is_err(), "cut at {end}");
        }
        assert!(matches!(
            Request::from_bytes(&[9, 9, 9]),
            Err(DecodeRequestError::Version(9))
        ));
    }
}
