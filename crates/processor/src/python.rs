//! Values as Pushkin's texts showed them: by the rules of Python 2, in which Pushkin was written.
//!
//! A JSON client may send any value as a pair, and messages that are in use were written for
//! what came out. A number on its own is written by `str`, which keeps 12 digits of a fraction;
//! inside a list or an object everything is written by `repr`, which keeps all of them.

use std::{borrow::Cow, fmt};

use model::PairValue;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The significant digits that `str` keeps.
const STR_DIGITS: usize = 12;
/// The exponent from which on `str` writes one.
const STR_EXPONENT: i32 = 11;
/// The exponent from which on `repr` writes one.
const REPR_EXPONENT: i32 = 16;

/// The value as a text has it; `None` for null, which counts as missing.
pub(crate) fn text(value: &PairValue) -> Option<Cow<'_, str>> {
    match value {
        PairValue::Float(number) => Some(Cow::Owned(float_str(*number))),
        PairValue::Json(json) => Some(repr(json).map_or(Cow::Borrowed(json), Cow::Owned)),
        PairValue::Text(_) | PairValue::Integer(_) | PairValue::Boolean(_) | PairValue::Null => {
            value.to_text()
        }
    }
}

/// A list or an object; `None` for what is no JSON, which nobody makes.
fn repr(json: &str) -> Option<String> {
    let mut text = String::with_capacity(json.len());
    let mut deserializer = serde_json::Deserializer::from_str(json);
    Repr(&mut text).deserialize(&mut deserializer).ok()?;
    Some(text)
}

fn float_str(number: f64) -> String {
    let digits = format!("{:.*e}", STR_DIGITS - 1, number);
    positional(&digits, STR_EXPONENT).unwrap_or(digits)
}

fn float_repr(number: f64) -> String {
    let digits = format!("{number:e}");
    positional(&digits, REPR_EXPONENT).unwrap_or(digits)
}

/// `-1.250e2` as Python writes it: with a point unless the exponent is small, or reaches `limit`.
fn positional(scientific: &str, limit: i32) -> Option<String> {
    let (mantissa, exponent) = scientific.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    let (sign, mantissa) = mantissa
        .strip_prefix('-')
        .map_or(("", mantissa), |rest| ("-", rest));
    let digits = mantissa.replace('.', "");
    let digits = match digits.trim_end_matches('0') {
        "" => "0",
        digits => digits,
    };
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or_default());
    Some(if exponent < -4 || exponent >= limit {
        let (first, others) = digits.split_at(1);
        let point = if others.is_empty() { "" } else { "." };
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        let exponent = exponent.abs();
        format!("{sign}{first}{point}{others}e{exponent_sign}{exponent:02}")
    } else if exponent < 0 {
        format!("{sign}0.{}{digits}", zeros(-exponent - 1))
    } else {
        let before_point = usize::try_from(exponent + 1).ok()?;
        match digits.split_at_checked(before_point) {
            Some((whole, fraction)) if !fraction.is_empty() => {
                format!("{sign}{whole}.{fraction}")
            }
            _ => {
                let digit_count = i32::try_from(digits.len()).ok()?;
                format!("{sign}{digits}{}.0", zeros(exponent + 1 - digit_count))
            }
        }
    })
}

/// Appends a JSON value's `repr`. Its depth is bounded by `serde_json`'s own limit.
struct Repr<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for Repr<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Repr<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.push_str("None");
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.0.push_str(if value { "True" } else { "False" });
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.0.push_str(&value.to_string());
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.0.push_str(&value.to_string());
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.0.push_str(&float_repr(value));
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        push_unicode(self.0, value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.0.push('[');
        let start = self.0.len();
        loop {
            let before = self.0.len();
            if before > start {
                self.0.push_str(", ");
            }
            if list.next_element_seed(Repr(self.0))?.is_none() {
                self.0.truncate(before);
                break;
            }
        }
        self.0.push(']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        self.0.push('{');
        let start = self.0.len();
        loop {
            let before = self.0.len();
            if before > start {
                self.0.push_str(", ");
            }
            if object.next_key_seed(Repr(self.0))?.is_none() {
                self.0.truncate(before);
                break;
            }
            self.0.push_str(": ");
            object.next_value_seed(Repr(self.0))?;
        }
        self.0.push('}');
        Ok(())
    }
}

/// `u'…'`, or `u"…"` around a text with single quotes only.
fn push_unicode(text: &mut String, value: &str) {
    let quote = if value.contains('\'') && !value.contains('"') {
        '"'
    } else {
        '\''
    };
    text.push('u');
    text.push(quote);
    for character in value.chars() {
        match (character, u32::from(character)) {
            ('\t', _) => text.push_str("\\t"),
            ('\n', _) => text.push_str("\\n"),
            ('\r', _) => text.push_str("\\r"),
            ('\\', _) => text.push_str("\\\\"),
            (same, _) if same == quote => text.extend(['\\', quote]),
            (same, 0x20..=0x7e) => text.push(same),
            (_, code @ ..=0xff) => text.push_str(&format!("\\x{code:02x}")),
            (_, code @ ..=0xffff) => text.push_str(&format!("\\u{code:04x}")),
            (_, code) => text.push_str(&format!("\\U{code:08x}")),
        }
    }
    text.push(quote);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_float_on_its_own_has_12_digits() {
        for (number, written) in [
            (1.5, "1.5"),
            (7.0, "7.0"),
            (0.1 + 0.2, "0.3"),
            (-0.0, "-0.0"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (2.5e-7, "2.5e-07"),
            (100_000.0, "100000.0"),
            (123_456_789.123_456_79, "123456789.123"),
            (12_345_678_901.5, "12345678901.5"),
            (12_345_678_901.0, "12345678901.0"),
            (123_456_789_012.0, "1.23456789012e+11"),
            (999_999_999_999.5, "1e+12"),
            (1.795_294_725_1e12, "1.7952947251e+12"),
            (1e300, "1e+300"),
        ] {
            assert_eq!(text(&PairValue::Float(number)).unwrap(), written);
        }
    }

    #[test]
    fn lists_and_objects_look_as_python_2_shows_them() {
        for (json, written) in [
            ("[]", "[]"),
            ("{}", "{}"),
            (r#"["\u017e",1]"#, r"[u'\u017e', 1]"),
            (
                "[1.5,0.30000000000000004,1e16,1e15,1e-5,7.0,true,null,-3]",
                "[1.5, 0.30000000000000004, 1e+16, 1000000000000000.0, 1e-05, 7.0, True, None, -3]",
            ),
            (
                r#"[[],{"x":{"y":[1]},"z":2}]"#,
                "[[], {u'x': {u'y': [1]}, u'z': 2}]",
            ),
            (r#"["it's"]"#, r#"[u"it's"]"#),
            (r#"["say \"x\""]"#, r#"[u'say "x"']"#),
            (r#"["both ' \""]"#, r#"[u'both \' "']"#),
            (
                r#"["\\ \n\r\t\u0007\u007fé\u0100😀 ~"]"#,
                r"[u'\\ \n\r\t\x07\x7f\xe9\u0100\U0001f600 ~']",
            ),
        ] {
            assert_eq!(text(&PairValue::Json(json.into())).unwrap(), written);
        }
    }

    proptest! {
        #[test]
        fn whatever_form_a_float_gets_it_means_the_same(number in any::<f64>()) {
            prop_assume!(number.is_finite());
            prop_assert_eq!(float_repr(number).parse::<f64>(), Ok(number));
            let short: f64 = float_str(number).parse().unwrap();
            prop_assert!((short - number).abs() <= number.abs() * 1e-11);
        }
    }
}
