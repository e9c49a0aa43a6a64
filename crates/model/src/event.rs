//! What a game server posts: events with pairs, and direct notifications.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{LoginId, UnixMs};

/// Something that happened to a user.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Whom it concerns.
    pub login: LoginId,
    /// What happened; the number that `message.trigger_event_id` and the `[Event]` section name.
    pub event_id: i32,
    /// When it happened, by the game's clock. Absent where the client sent null.
    pub timestamp: Option<UnixMs>,
    /// Parameters, in the order they were sent; of equal keys the last one counts.
    pub pairs: Vec<(Box<str>, PairValue)>,
}

impl Event {
    /// The value of the last pair called `name`; `None` where there is none, or only null.
    #[must_use]
    pub fn pair(&self, name: &str) -> Option<&PairValue> {
        let (_, value) = self.pairs.iter().rev().find(|(key, _)| &**key == name)?;
        match value {
            PairValue::Null => None,
            present => Some(present),
        }
    }

    /// Bytes this event keeps in memory, near enough to bound a queue by.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let pairs: usize = self
            .pairs
            .iter()
            .map(|(key, value)| key.len() + value.text_len())
            .sum();
        size_of::<Self>() + self.pairs.len() * size_of::<(Box<str>, PairValue)>() + pairs
    }
}

/// A pair's value as the client typed it: protobuf has texts only, JSON has everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum PairValue {
    /// A string.
    Text(Box<str>),
    /// A number without a fraction.
    Integer(i64),
    /// A number with a fraction or an exponent, or beyond 64 bits.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// `null`: counts as missing.
    Null,
    /// A list or an object, as its JSON text.
    Json(Box<str>),
}

impl PairValue {
    /// The value as a text; `None` for null.
    ///
    /// As Pushkin wrote it: `1.50` is `1.5`, true is `True`. The processor has its own rules for
    /// floats, lists and objects inside a message's text.
    #[must_use]
    pub fn to_text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) | Self::Json(text) => Some(Cow::Borrowed(text)),
            Self::Integer(number) => Some(Cow::Owned(number.to_string())),
            // Debug keeps the fraction (`7.0`), as Python's str does.
            Self::Float(number) => Some(Cow::Owned(format!("{number:?}"))),
            Self::Boolean(true) => Some(Cow::Borrowed("True")),
            Self::Boolean(false) => Some(Cow::Borrowed("False")),
            Self::Null => None,
        }
    }

    /// The value as an integer: integers, floats rounded to the nearest, and texts that
    /// [`parse_integer`] takes. `None` for anything else and for what does not fit.
    #[must_use]
    pub fn to_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Float(number) => {
                let rounded = number.round();
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_precision_loss,
                    reason = "the range is checked on the line itself"
                )]
                (rounded.abs() < i64::MAX as f64).then_some(rounded as i64)
            }
            Self::Text(text) => parse_integer(text),
            Self::Boolean(_) | Self::Null | Self::Json(_) => None,
        }
    }

    /// Bytes of its text, if it is one; numbers have none.
    #[must_use]
    pub fn text_len(&self) -> usize {
        match self {
            Self::Text(text) | Self::Json(text) => text.len(),
            Self::Integer(_) | Self::Float(_) | Self::Boolean(_) | Self::Null => 0,
        }
    }
}

/// An integer written with optional surrounding white space and an optional sign.
#[must_use]
pub fn parse_integer(text: &str) -> Option<i64> {
    text.trim().parse().ok()
}

/// A text for one user, sent without a message, a language or a cooldown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DirectNotification {
    /// Whom it is for.
    pub login: LoginId,
    /// Title; never empty.
    pub title: Box<str>,
    /// Text; never empty.
    pub content: Box<str>,
    /// Deep link; empty where the client named none.
    pub screen: Box<str>,
}

impl DirectNotification {
    /// Bytes this notification keeps in memory, near enough to bound a queue by.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.title.len() + self.content.len() + self.screen.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_equal_pairs_counts_and_null_is_missing() {
        let event = Event {
            login: LoginId(1),
            event_id: 1,
            timestamp: None,
            pairs: vec![
                ("a".into(), PairValue::Integer(1)),
                ("a".into(), PairValue::Integer(2)),
                ("b".into(), PairValue::Null),
            ],
        };
        assert_eq!(event.pair("a"), Some(&PairValue::Integer(2)));
        assert_eq!(event.pair("b"), None);
        assert_eq!(event.pair("c"), None);
    }

    #[test]
    fn values_appear_in_texts_as_pushkin_wrote_them() {
        let texts: Vec<_> = [
            PairValue::Integer(5),
            PairValue::Float(1.5),
            PairValue::Float(7.0),
            PairValue::Boolean(true),
            PairValue::Text("{x}".into()),
        ]
        .iter()
        .map(|value| value.to_text().unwrap().into_owned())
        .collect();
        assert_eq!(texts, ["5", "1.5", "7.0", "True", "{x}"]);
        assert_eq!(PairValue::Null.to_text(), None);
    }

    #[test]
    fn integers_are_read_from_every_form_that_means_one() {
        let integer = |text: &str| PairValue::Text(text.into()).to_integer();
        assert_eq!(integer(" 2 "), Some(2));
        assert_eq!(integer("+5"), Some(5));
        assert_eq!(integer("-7"), Some(-7));
        assert_eq!(integer("asd"), None);
        assert_eq!(integer(""), None);
        assert_eq!(PairValue::Float(1.5).to_integer(), Some(2));
        assert_eq!(PairValue::Float(1e300).to_integer(), None);
        assert_eq!(PairValue::Boolean(true).to_integer(), None);
    }
}
