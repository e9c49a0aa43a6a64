//! Single values, and what they mean where an id, a time or a text is expected.
//!
//! Game servers are written in languages that are careless about types, so what can only mean
//! one thing is taken: digits in a string are a number, a number is a title.

use std::borrow::Cow;

use model::{LoginId, PairValue, UnixMs, parse_integer};

use super::any::Expect;
use crate::pushkin::{Field, Found, Reason, login};

/// A value that is neither a list nor an object.
pub(super) enum Scalar<'de> {
    Null,
    Boolean(bool),
    Integer(i64),
    /// Beyond an `i64`: no id and no time, but a text to its last digit.
    Large(u64),
    Float(f64),
    Text(Cow<'de, str>),
}

impl From<u64> for Scalar<'_> {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or(Self::Large(value), Self::Integer)
    }
}

impl Scalar<'_> {
    pub(super) fn found(&self) -> Found {
        match self {
            Self::Null => Found::Null,
            Self::Boolean(_) => Found::Boolean,
            Self::Integer(_) | Self::Large(_) | Self::Float(_) => Found::Number,
            Self::Text(_) => Found::Text,
        }
    }

    pub(super) fn into_pair_value(self) -> PairValue {
        match self {
            Self::Null => PairValue::Null,
            Self::Boolean(value) => PairValue::Boolean(value),
            Self::Integer(number) => PairValue::Integer(number),
            Self::Large(number) => PairValue::Text(number.to_string().into()),
            Self::Float(number) => PairValue::Float(number),
            Self::Text(text) => PairValue::Text(text.into()),
        }
    }
}

/// The user an item is about: an integer, digits, or a float without a fraction.
pub(super) struct Login(pub(super) Field);

impl<'de> Expect<'de> for Login {
    type Value = Result<LoginId, Reason>;

    fn other(self, _found: Found) -> Self::Value {
        Err(Reason::NotAnInteger(self.0))
    }

    fn scalar(self, scalar: Scalar<'de>) -> Self::Value {
        let id = match scalar {
            Scalar::Integer(number) => Some(number),
            Scalar::Float(number) if number.fract() == 0.0 => whole(number),
            Scalar::Text(text) => parse_integer(&text),
            Scalar::Large(_) | Scalar::Float(_) | Scalar::Boolean(_) | Scalar::Null => None,
        };
        login(id.ok_or(Reason::NotAnInteger(self.0))?, self.0)
    }
}

/// An event's number: an integer or a float without a fraction, of 32 bits.
pub(super) struct EventId;

impl<'de> Expect<'de> for EventId {
    type Value = Result<i32, Reason>;

    fn other(self, _found: Found) -> Self::Value {
        Err(Reason::NotInt32(Field::EventId))
    }

    fn scalar(self, scalar: Scalar<'de>) -> Self::Value {
        let number = match scalar {
            Scalar::Integer(number) => Some(number),
            Scalar::Float(number) if number.fract() == 0.0 => whole(number),
            Scalar::Large(_)
            | Scalar::Float(_)
            | Scalar::Text(_)
            | Scalar::Boolean(_)
            | Scalar::Null => None,
        };
        number
            .and_then(|number| i32::try_from(number).ok())
            .ok_or(Reason::NotInt32(Field::EventId))
    }
}

/// An event's time: an integer, a float whose fraction is cut, digits, or null for none.
pub(super) struct Timestamp;

impl<'de> Expect<'de> for Timestamp {
    type Value = Result<Option<UnixMs>, Reason>;

    fn other(self, _found: Found) -> Self::Value {
        Err(Reason::NotAnInteger(Field::Timestamp))
    }

    fn scalar(self, scalar: Scalar<'de>) -> Self::Value {
        let time = match scalar {
            Scalar::Null => return Ok(None),
            Scalar::Integer(number) => Some(number),
            Scalar::Float(number) => whole(number.trunc()),
            Scalar::Text(text) => parse_integer(&text),
            Scalar::Large(_) | Scalar::Boolean(_) => None,
        };
        time.map(|time| Some(UnixMs(time)))
            .ok_or(Reason::NotAnInteger(Field::Timestamp))
    }
}

/// A notification's text; null is the empty one, numbers and booleans are their text.
pub(super) struct Text(pub(super) Field);

impl<'de> Expect<'de> for Text {
    type Value = Result<Box<str>, Reason>;

    fn other(self, _found: Found) -> Self::Value {
        Err(Reason::NotText(self.0))
    }

    fn scalar(self, scalar: Scalar<'de>) -> Self::Value {
        Ok(match scalar {
            Scalar::Text(text) => text.into(),
            number => number
                .into_pair_value()
                .to_text()
                .map_or_else(Box::default, Cow::into),
        })
    }
}

/// A float without a fraction as an integer; `None` where it has more than 64 bits.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "the range is checked on the line itself"
)]
fn whole(number: f64) -> Option<i64> {
    // Both ends are powers of two, so they are exact; 2^63 itself does not fit.
    (number >= i64::MIN as f64 && number < -(i64::MIN as f64)).then_some(number as i64)
}
