//! Reading a JSON value without saying beforehand what it must be.
//!
//! [`Any`] is a serde visitor that accepts every form; an [`Expect`] says what each form means.
//! With serde's own visitors a value of the wrong form ends the parse, and with it the batch.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::scalar::Scalar;
use crate::pushkin::Found;

/// What a place in the body makes of the value it finds.
pub(super) trait Expect<'de>: Sized {
    /// What comes out.
    type Value;

    /// The value is of a form that this place has no use for.
    fn other(self, found: Found) -> Self::Value;

    /// The value is neither a list nor an object.
    fn scalar(self, scalar: Scalar<'de>) -> Self::Value {
        self.other(scalar.found())
    }

    /// The value is a list, to be read to its end.
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.other(Found::List))
    }

    /// The value is an object, to be read to its end.
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.other(Found::Object))
    }
}

/// Reads any value for an [`Expect`].
pub(super) struct Any<E>(pub(super) E);

impl<'de, E: Expect<'de>> DeserializeSeed<'de> for Any<E> {
    type Value = E::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<E::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, E: Expect<'de>> Visitor<'de> for Any<E> {
    type Value = E::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_unit<R: Error>(self) -> Result<E::Value, R> {
        Ok(self.0.scalar(Scalar::Null))
    }

    fn visit_bool<R: Error>(self, value: bool) -> Result<E::Value, R> {
        Ok(self.0.scalar(Scalar::Boolean(value)))
    }

    fn visit_i64<R: Error>(self, value: i64) -> Result<E::Value, R> {
        Ok(self.0.scalar(Scalar::Integer(value)))
    }

    fn visit_u64<R: Error>(self, value: u64) -> Result<E::Value, R> {
        Ok(self.0.scalar(Scalar::from(value)))
    }

    fn visit_f64<R: Error>(self, value: f64) -> Result<E::Value, R> {
        Ok(self.0.scalar(Scalar::Float(value)))
    }

    fn visit_borrowed_str<R: Error>(self, value: &'de str) -> Result<E::Value, R> {
        Ok(self.0.scalar(Scalar::Text(Cow::Borrowed(value))))
    }

    fn visit_str<R: Error>(self, value: &str) -> Result<E::Value, R> {
        Ok(self.0.scalar(Scalar::Text(Cow::Owned(value.to_owned()))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<E::Value, A::Error> {
        self.0.list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<E::Value, A::Error> {
        self.0.object(object)
    }
}

/// Reads an object's key as what the function makes of it, without keeping the text.
pub(super) struct Key<F>(pub(super) F);

impl<'de, K, F: FnOnce(&str) -> K> DeserializeSeed<'de> for Key<F> {
    type Value = K;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<K, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<K, F: FnOnce(&str) -> K> Visitor<'_> for Key<F> {
    type Value = K;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<R: Error>(self, name: &str) -> Result<K, R> {
        Ok((self.0)(name))
    }
}
