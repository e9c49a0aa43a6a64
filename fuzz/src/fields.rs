//! An input cut into fields, for targets that take more than one text.

use std::borrow::Cow;

/// Stands between fields: the one byte that no UTF-8 text has and no keyboard makes.
const SEPARATOR: u8 = 0xff;

/// The fields of an input, in order; beyond the last one there are empty ones.
pub(crate) struct Fields<'i> {
    fields: std::slice::Split<'i, u8, fn(&u8) -> bool>,
}

impl<'i> Fields<'i> {
    pub(crate) fn of(input: &'i [u8]) -> Self {
        Self {
            fields: input.split(|byte| *byte == SEPARATOR),
        }
    }

    /// The next field; `None` at the end.
    pub(crate) fn next_bytes(&mut self) -> Option<&'i [u8]> {
        self.fields.next()
    }

    /// The next field as it is.
    pub(crate) fn bytes(&mut self) -> &'i [u8] {
        self.next_bytes().unwrap_or_default()
    }

    /// The next field as a text; what is not UTF-8 becomes U+FFFD.
    pub(crate) fn text(&mut self) -> Cow<'i, str> {
        String::from_utf8_lossy(self.bytes())
    }

    /// The next field as a number: in decimal, or its bytes.
    pub(crate) fn number(&mut self) -> i64 {
        let bytes = self.bytes();
        let decimal = std::str::from_utf8(bytes)
            .ok()
            .and_then(|text| text.parse().ok());
        decimal.unwrap_or_else(|| {
            let little_endian = bytes.iter().take(8).rev();
            little_endian.fold(0, |number, byte| number << 8 | i64::from(*byte))
        })
    }
}

/// The first line of an input and what follows it.
pub(crate) fn first_line(input: &[u8]) -> (&[u8], &[u8]) {
    match input.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, &[]),
    }
}
