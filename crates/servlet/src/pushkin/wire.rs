//! The protobuf wire format: bytes come in, numbered fields go out, nothing is copied.
//!
//! Written here because the generated types cannot do two things that the door needs: a known
//! field of another wire type counts as unknown (Pushkin's parser did so; theirs refuses the
//! batch), and a body's many small messages must not become many large structs at once.
//! Reference: <https://protobuf.dev/programming-guides/encoding/>.

/// Groups in groups; as deep as Google's own parsers go.
const DEEPEST_GROUP: usize = 100;

/// Why bytes are not protobuf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes end inside a field.
    #[error("it ends in the middle of a field")]
    Truncated,
    /// A varint of more than 64 bits.
    #[error("a varint is longer than 10 bytes")]
    Varint,
    /// Field number 0, or one of more than 29 bits.
    #[error("a field has an impossible number")]
    FieldNumber,
    /// Wire types 6 and 7 do not exist.
    #[error("a field has an unknown wire type")]
    WireType,
    /// The end of a group that is not open, or groups nested too deeply.
    #[error("groups do not match or are nested too deeply")]
    Group,
    /// A text field that is not UTF-8.
    #[error("a text is not UTF-8")]
    Utf8,
    /// What the bytes hold would take more memory than it may.
    #[error("there is no room for all that it holds")]
    NoRoom,
}

/// One field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// Integers and booleans.
    Varint(u64),
    /// Texts and messages.
    Bytes(&'a [u8]),
    /// Fixed-width numbers and groups: none of our messages has any, they are only skipped.
    Other,
}

/// The fields of one message.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field's number and value; `None` at the message's end.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (number, wire_type) = self.key()?;
        let value = self.value(number, wire_type, 0)?;
        Ok(Some((number, value)))
    }

    fn key(&mut self) -> Result<(u32, u8), WireError> {
        let key = u32::try_from(self.varint()?).map_err(|_| WireError::FieldNumber)?;
        let wire_type = key.to_le_bytes()[0] & 0b111;
        match key >> 3 {
            0 => Err(WireError::FieldNumber),
            number => Ok((number, wire_type)),
        }
    }

    fn value(&mut self, number: u32, wire_type: u8, depth: usize) -> Result<Value<'a>, WireError> {
        match wire_type {
            0 => self.varint().map(Value::Varint),
            1 => self.take(8).map(|_| Value::Other),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
                self.take(length).map(Value::Bytes)
            }
            3 => self.skip_group(number, depth + 1).map(|()| Value::Other),
            4 => Err(WireError::Group),
            5 => self.take(4).map(|_| Value::Other),
            _ => Err(WireError::WireType),
        }
    }

    fn skip_group(&mut self, group: u32, depth: usize) -> Result<(), WireError> {
        if depth > DEEPEST_GROUP {
            return Err(WireError::Group);
        }
        loop {
            match self.key()? {
                (number, 4) if number == group => return Ok(()),
                (number, wire_type) => self.value(number, wire_type, depth)?,
            };
        }
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0;
        for (place, byte) in self.rest.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                // The tenth byte has room for one bit.
                if place == 9 && *byte > 1 {
                    return Err(WireError::Varint);
                }
                self.rest = &self.rest[place + 1..];
                return Ok(value);
            }
        }
        Err(if self.rest.len() < 10 {
            WireError::Truncated
        } else {
            WireError::Varint
        })
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}
