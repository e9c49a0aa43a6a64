//! An event's pairs. Lists and objects among their values are kept as compact JSON text, written
//! while they are read: the few games that send them pay for it, the others do not.

use model::PairValue;
use serde::de::{Error, MapAccess, SeqAccess};

use super::{
    NO_ROOM,
    any::{Any, Expect, Key},
    scalar::Scalar,
};
use crate::pushkin::{Field, Found, Reason, Room};

/// `{"name": value, …}`
pub(super) struct Pairs<'a>(pub(super) &'a Room<'a>);

impl<'de> Expect<'de> for Pairs<'_> {
    type Value = Result<Vec<(Box<str>, PairValue)>, Reason>;

    fn other(self, _found: Found) -> Self::Value {
        Err(Reason::NotPairs(Field::Pairs))
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(name) = object.next_key_seed(Key(|name: &str| Box::<str>::from(name)))? {
            let value = object.next_value_seed(Any(Value))?;
            if !self.0.pair(&name, &value) {
                return Err(A::Error::custom(NO_ROOM));
            }
            pairs.push((name, value));
        }
        Ok(Ok(pairs))
    }
}

/// One pair's value: every form has a meaning.
struct Value;

impl<'de> Expect<'de> for Value {
    type Value = PairValue;

    // Never asked for: every form is read below.
    fn other(self, _found: Found) -> PairValue {
        PairValue::Null
    }

    fn scalar(self, scalar: Scalar<'de>) -> PairValue {
        scalar.into_pair_value()
    }

    fn list<A: SeqAccess<'de>>(self, list: A) -> Result<PairValue, A::Error> {
        let mut text = String::new();
        Compact(&mut text).list(list)?;
        Ok(PairValue::Json(text.into()))
    }

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<PairValue, A::Error> {
        let mut text = String::new();
        Compact(&mut text).object(object)?;
        Ok(PairValue::Json(text.into()))
    }
}

/// Appends a value's JSON without white space. Its depth is bounded by `serde_json`'s own limit.
struct Compact<'a>(&'a mut String);

impl<'de> Expect<'de> for Compact<'_> {
    type Value = ();

    // Never asked for: every form is read below.
    fn other(self, _found: Found) {}

    fn scalar(self, scalar: Scalar<'de>) {
        match scalar {
            Scalar::Text(text) => push_string(self.0, &text),
            Scalar::Null => self.0.push_str("null"),
            Scalar::Boolean(true) => self.0.push_str("true"),
            Scalar::Boolean(false) => self.0.push_str("false"),
            Scalar::Integer(number) => self.0.push_str(&number.to_string()),
            Scalar::Large(number) => self.0.push_str(&number.to_string()),
            // Debug's shortest form is JSON too: JSON has no infinities, so none comes in.
            Scalar::Float(number) => self.0.push_str(&format!("{number:?}")),
        }
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.0.push('[');
        let start = self.0.len();
        loop {
            let before = self.0.len();
            if before > start {
                self.0.push(',');
            }
            if list.next_element_seed(Any(Compact(self.0)))?.is_none() {
                self.0.truncate(before);
                break;
            }
        }
        self.0.push(']');
        Ok(())
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        self.0.push('{');
        let start = self.0.len();
        loop {
            let before = self.0.len();
            if before > start {
                self.0.push(',');
            }
            let name = object.next_key_seed(Key(|name: &str| push_string(self.0, name)))?;
            if name.is_none() {
                self.0.truncate(before);
                break;
            }
            self.0.push(':');
            object.next_value_seed(Any(Compact(self.0)))?;
        }
        self.0.push('}');
        Ok(())
    }
}

fn push_string(json: &mut String, text: &str) {
    json.push_str(&serde_json::to_string(text).expect("every text has a JSON form"));
}
