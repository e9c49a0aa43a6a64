//! Pushkin's four POST bodies: bytes come in, items and what is wrong with the others go out.
//!
//! Pure functions of the bytes: `Content-Type` is never looked at, because Pushkin's clients
//! send whatever their library sends. An error of the body as a whole refuses the POST; a bad
//! item is skipped and reported, and the rest of its batch is taken.

mod json;

mod protobuf;

mod wire;

mod room;

use std::{fmt, str::Utf8Error};

use model::{CUSTOMER_LOGIN_FLOOR, Item, LoginId};
use serde::{Serialize, Serializer};

pub(crate) use room::Room;
pub use wire::WireError;

/// Rejected items that are listed with their reason; beyond them only their number is kept, so
/// that 16 MiB of commas do not become a gigabyte of complaints.
const LISTED_REJECTIONS: usize = 1_000;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON (RFC 8259).
    Json,
    /// Protocol buffers, the messages of `crates/proto`.
    Protobuf,
}

/// What a body is a list of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// Events.
    Events,
    /// Direct notifications.
    Notifications,
}

impl ItemKind {
    /// The key that the list has in JSON.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Notifications => "notifications",
        }
    }
}

/// A body that is sound as a whole.
#[derive(Debug, Default, PartialEq)]
pub struct Decoded {
    /// The good items, in the order they were sent.
    pub items: Vec<Item>,
    /// The others.
    pub rejected: Rejections,
}

impl Decoded {
    /// False where there is no room for the item.
    fn add(&mut self, index: usize, item: Result<Item, Reason>, room: &Room<'_>) -> bool {
        match item {
            Ok(item) if !room.item(&item) => return false,
            Ok(item) => self.items.push(item),
            Err(reason) => self.rejected.add(Rejected { index, reason }),
        }
        true
    }
}

/// Items that were skipped.
#[derive(Debug, Default, PartialEq)]
pub struct Rejections {
    listed: Vec<Rejected>,
    count: usize,
}

impl Rejections {
    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The first thousand of them.
    #[must_use]
    pub fn listed(&self) -> &[Rejected] {
        &self.listed
    }

    fn add(&mut self, rejected: Rejected) {
        self.count += 1;
        if self.listed.len() < LISTED_REJECTIONS {
            self.listed.push(rejected);
        }
    }
}

/// One item that was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Its place in the list that was posted, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with an item. Its text names keys, never values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The list's element is not an object.
    NotAnObject,
    /// A required key or field is not there.
    Missing(Field),
    /// A 64-bit integer is expected.
    NotAnInteger(Field),
    /// A 32-bit integer is expected.
    NotInt32(Field),
    /// Login ids from 2^62 up are given out by ourselves.
    Reserved(Field),
    /// Pairs are an object of names and values.
    NotPairs(Field),
    /// A text is expected.
    NotText(Field),
    /// The text is empty or null.
    Empty(Field),
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject => formatter.write_str("not an object"),
            Self::Missing(field) => write!(formatter, "{field} is missing"),
            Self::NotAnInteger(field) => write!(formatter, "{field} is not a 64-bit integer"),
            Self::NotInt32(field) => write!(formatter, "{field} is not a 32-bit integer"),
            Self::Reserved(field) => write!(formatter, "{field} is reserved: it is 2^62 or more"),
            Self::NotPairs(field) => write!(formatter, "{field} is not an object"),
            Self::NotText(field) => write!(formatter, "{field} is not a text"),
            Self::Empty(field) => write!(formatter, "{field} is empty"),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A key of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// An event's user.
    UserId,
    /// What happened.
    EventId,
    /// When it happened.
    Timestamp,
    /// An event's parameters.
    Pairs,
    /// A notification's user.
    LoginId,
    /// A notification's title.
    Title,
    /// A notification's text.
    Content,
    /// A notification's deep link.
    Screen,
}

impl fmt::Display for Field {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::UserId => "user_id",
            Self::EventId => "event_id",
            Self::Timestamp => "timestamp",
            Self::Pairs => "pairs",
            Self::LoginId => "login_id",
            Self::Title => "title",
            Self::Content => "content",
            Self::Screen => "screen",
        })
    }
}

/// Why a body is refused as a whole. Its text, causes included, never repeats the body.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// No bytes at all.
    #[error("the body is empty")]
    Empty,
    /// It starts as gzip, and does not go on so.
    #[error("the body is not sound gzip")]
    Gzip(#[source] std::io::Error),
    /// JSON is UTF-8.
    #[error("the body is not UTF-8")]
    Utf8(#[source] Utf8Error),
    /// Not JSON.
    #[error("the body is not JSON")]
    Json(#[source] serde_json::Error),
    /// JSON, and not an object.
    #[error("the body is {found}, expected an object with the key \"{key}\"")]
    NotAnObject {
        /// The list's key.
        key: &'static str,
        /// What the body is.
        found: Found,
    },
    /// An object without the list.
    #[error("the body has no key \"{key}\"")]
    NoList {
        /// The list's key.
        key: &'static str,
    },
    /// The list is something else.
    #[error("\"{key}\" is {found}, expected a list")]
    NotAList {
        /// The list's key.
        key: &'static str,
        /// What stands there.
        found: Found,
    },
    /// Not protobuf.
    #[error("the body is not protobuf")]
    Protobuf(#[source] WireError),
}

/// What stands in JSON where something else was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean,
    /// A number.
    Number,
    /// A string.
    Text,
    /// A list.
    List,
    /// An object.
    Object,
}

impl fmt::Display for Found {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::Text => "a string",
            Self::List => "a list",
            Self::Object => "an object",
        })
    }
}

/// Decodes one body, whatever memory it takes.
///
/// # Errors
/// When the body as a whole is not what `format` and `kind` say.
pub fn decode(format: Format, kind: ItemKind, body: &[u8]) -> Result<Decoded, BodyError> {
    decode_within(format, kind, body, &Room::new(usize::MAX, &|_| false))
}

/// Decodes one body into as much room as there is. An error of any kind where there is not enough;
/// who refuses the room knows.
pub(crate) fn decode_within(
    format: Format,
    kind: ItemKind,
    body: &[u8],
    room: &Room<'_>,
) -> Result<Decoded, BodyError> {
    if body.is_empty() {
        return Err(BodyError::Empty);
    }
    match format {
        Format::Json => json::decode(kind, body, room),
        Format::Protobuf => protobuf::decode(kind, body, room).map_err(BodyError::Protobuf),
    }
}

fn login(id: i64, field: Field) -> Result<LoginId, Reason> {
    if id < CUSTOMER_LOGIN_FLOOR {
        Ok(LoginId(id))
    } else {
        Err(Reason::Reserved(field))
    }
}

#[cfg(test)]
mod tests;
