//! The memory that a body's items may take.
//!
//! Two bytes of protobuf can say "an empty pair", which is forty bytes here: without a bound 16
//! MiB of them would be 400. Counted near enough to bound memory by, before it is used.

use std::cell::Cell;

use model::{Event, Item, PairValue};

/// Bytes that are asked for at once.
const STEP: usize = 256 << 10;

/// What the allocator adds to a short text.
const PER_TEXT: usize = 16;

/// Room for the items of one body.
pub(crate) struct Room<'a> {
    left: Cell<usize>,
    /// Asked for so many bytes more; false ends the decoding.
    more: &'a dyn Fn(usize) -> bool,
}

impl<'a> Room<'a> {
    /// `free` bytes are there without asking.
    pub(crate) fn new(free: usize, more: &'a dyn Fn(usize) -> bool) -> Self {
        Self {
            left: Cell::new(free),
            more,
        }
    }

    /// Takes room for a pair; false where there is none.
    pub(super) fn pair(&self, name: &str, value: &PairValue) -> bool {
        let texts = name.len() + value.text_len() + 2 * PER_TEXT;
        self.take(size_of::<(Box<str>, PairValue)>() + texts)
    }

    /// Takes room for an item, but for its pairs.
    pub(super) fn item(&self, item: &Item) -> bool {
        self.take(match item {
            Item::Event(_) => size_of::<Event>(),
            Item::Notification(notification) => notification.bytes() + 3 * PER_TEXT,
        })
    }

    fn take(&self, bytes: usize) -> bool {
        let left = self.left.get();
        if let Some(left) = left.checked_sub(bytes) {
            self.left.set(left);
            return true;
        }
        let asked = bytes.max(STEP);
        let granted = (self.more)(asked);
        if granted {
            self.left.set(left + asked - bytes);
        }
        granted
    }
}
