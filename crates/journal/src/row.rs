//! A row: what the store keeps under one key. Requests that share a commit share rows, because
//! the store's cost is per row: sixteen small requests cost little more than one.
//!
//! A row goes when all its requests have finished, so one slow request holds at most fifteen
//! others' bytes. Rows end below [`ROW_BYTES`], because the store gives a large value a power of
//! two of pages.

use model::RequestId;
use uuid::Uuid;

/// Requests in a row at most.
pub(crate) const SLOTS: usize = 16;

/// A row takes no further request that would make it longer than this: 64 KiB less what the
/// store adds. A longer request has a row of its own.
const ROW_BYTES: usize = 65_000;

/// First byte of every row; another number is another layout.
const FORM_VERSION: u8 = 1;

/// Id and length before each request's bytes.
const HEAD_BYTES: usize = 16 + size_of::<u32>();

/// What a row of some requests costs beside their bytes: keys, page headers, pages not quite full.
const OVERHEAD_BYTES: usize = 64;

/// Where a request is stored; positions grow in the order of acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) row: u64,
    pub(crate) slot: u8,
}

/// A row of requests being filled.
#[derive(Debug)]
pub(crate) struct Row {
    bytes: Vec<u8>,
    slots: u8,
}

impl Row {
    /// A row with its first request.
    pub(crate) fn new(id: RequestId, request: &[u8]) -> Self {
        let mut row = Self {
            bytes: vec![FORM_VERSION],
            slots: 0,
        };
        row.push(id, request);
        row
    }

    /// Whether another request of `length` bytes may go in.
    pub(crate) fn has_room_for(&self, length: usize) -> bool {
        usize::from(self.slots) < SLOTS && self.bytes.len() + HEAD_BYTES + length <= ROW_BYTES
    }

    /// Adds a request and says in which slot it is.
    pub(crate) fn push(&mut self, id: RequestId, request: &[u8]) -> u8 {
        let length = u32::try_from(request.len()).expect("a POST has less than 4 GiB");
        self.bytes.extend_from_slice(id.0.as_bytes());
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(request);
        self.slots += 1;
        self.slots - 1
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[cfg(test)]
    pub(crate) fn damaged(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            slots: 1,
        }
    }
}

/// One bit for each of `slots` slots.
pub(crate) fn all_open(slots: usize) -> u16 {
    u16::MAX >> (SLOTS - slots.clamp(1, SLOTS))
}

/// Disk space that a request of `length` bytes may come to take.
pub(crate) fn charge(length: usize) -> u64 {
    let stored = length + HEAD_BYTES + OVERHEAD_BYTES;
    let taken = if stored <= ROW_BYTES / 2 {
        stored * 3 / 2
    } else {
        stored.next_power_of_two()
    };
    taken as u64
}

/// The requests of a stored row, by slot; `None` where the row is damaged or of another version.
pub(crate) fn requests(row: &[u8]) -> Option<Vec<(RequestId, &[u8])>> {
    let (&FORM_VERSION, mut rest) = row.split_first()? else {
        return None;
    };
    let mut requests = Vec::new();
    while !rest.is_empty() {
        let (id, after) = rest.split_first_chunk::<16>()?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (request, after) = after.split_at_checked(length)?;
        requests.push((RequestId(Uuid::from_bytes(*id)), request));
        rest = after;
    }
    (!requests.is_empty() && requests.len() <= SLOTS).then_some(requests)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_row_gives_back_what_went_in(
            stored in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..=SLOTS),
        ) {
            let stored: Vec<_> = stored.into_iter().map(|bytes| (RequestId::generate(), bytes)).collect();
            let mut row = Row::new(stored[0].0, &stored[0].1);
            for (slot, (id, bytes)) in stored.iter().enumerate().skip(1) {
                prop_assert!(row.has_room_for(bytes.len()));
                prop_assert_eq!(usize::from(row.push(*id, bytes)), slot);
            }
            prop_assert_eq!(all_open(stored.len()).count_ones() as usize, stored.len());
            let read: Vec<_> = requests(row.bytes()).unwrap().into_iter()
                .map(|(id, bytes)| (id, bytes.to_vec())).collect();
            prop_assert_eq!(read, stored);
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _read = requests(&bytes);
        }
    }

    #[test]
    fn a_row_that_is_cut_is_damaged() {
        let row = Row::new(RequestId::generate(), b"request");
        for end in 0..row.bytes().len() {
            assert_eq!(requests(&row.bytes()[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn rows_stay_below_a_power_of_two_of_pages() {
        let mut row = Row::new(RequestId::generate(), &[0; 60_000]);
        assert!(!row.has_room_for(5_000));
        assert!(row.has_room_for(4_000));
        row.push(RequestId::generate(), &[0; 4_000]);
        assert!(row.bytes().len() <= ROW_BYTES);
        assert!(charge(60_000) >= 65_536);
    }
}
