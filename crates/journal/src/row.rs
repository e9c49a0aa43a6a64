//! A row: what the store keeps under one key. Requests that share a commit share rows, because
//! the store's cost is per row: sixteen small requests cost little more than one.
//!
//! A row goes when all its requests have finished, so one slow request holds at most fifteen
//! others' bytes. Rows end below [`ROW_BYTES`], because the store gives a large value a power of
//! two of pages.

use std::mem;

use model::RequestId;
use uuid::Uuid;

/// Requests in a row at most.
pub(crate) const SLOTS: usize = 16;

/// A row takes no further request that would make it longer than this: 64 KiB less what the
/// store adds. A longer request has a row of its own.
const ROW_BYTES: usize = 65_000;

/// Rows whose memory is kept: 2 MiB.
const SPARE_ROWS: usize = 32;

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

/// Rows that are filled, and the memory of those that are written.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    filled: Vec<Row>,
    /// Used again: fresh memory costs more than what is written to it.
    spare: Vec<Row>,
}

impl Rows {
    /// Adds a request to the last row, or begins another one.
    pub(crate) fn push(&mut self, id: RequestId, request: &[u8]) {
        match self.filled.last_mut() {
            Some(row) if row.has_room_for(request.len()) => row.push(id, request),
            _ => {
                let mut row = self.spare.pop().unwrap_or_default();
                row.push(id, request);
                self.filled.push(row);
            }
        }
    }

    /// What has been filled, in order.
    pub(crate) fn take(&mut self) -> Vec<Row> {
        mem::take(&mut self.filled)
    }

    /// Takes the memory of rows that are written.
    pub(crate) fn recycle(&mut self, rows: impl IntoIterator<Item = Row>) {
        let usual = rows.into_iter().filter(|row| row.bytes.len() <= ROW_BYTES);
        let room = SPARE_ROWS.saturating_sub(self.spare.len());
        self.spare.extend(usual.take(room).map(Row::emptied));
    }
}

/// A row of requests.
#[derive(Debug)]
pub(crate) struct Row {
    bytes: Vec<u8>,
    ids: Vec<RequestId>,
    charge: u64,
}

impl Default for Row {
    fn default() -> Self {
        Self {
            bytes: vec![FORM_VERSION],
            ids: Vec::with_capacity(SLOTS),
            charge: 0,
        }
    }
}

impl Row {
    /// Whether another request of `length` bytes may go in.
    fn has_room_for(&self, length: usize) -> bool {
        self.ids.len() < SLOTS && self.bytes.len() + HEAD_BYTES + length <= ROW_BYTES
    }

    /// Adds a request.
    pub(crate) fn push(&mut self, id: RequestId, request: &[u8]) {
        let length = u32::try_from(request.len()).expect("a POST has less than 4 GiB");
        self.bytes.extend_from_slice(id.0.as_bytes());
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(request);
        self.ids.push(id);
        self.charge += charge(request.len());
    }

    fn emptied(mut self) -> Self {
        self.bytes.truncate(1);
        self.ids.clear();
        self.charge = 0;
        self
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its requests, by slot.
    pub(crate) fn ids(&self) -> &[RequestId] {
        &self.ids
    }

    /// Disk space that it may come to take.
    pub(crate) fn charge(&self) -> u64 {
        self.charge
    }

    #[cfg(test)]
    pub(crate) fn damaged(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            ..Self::default()
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
            let mut row = Row::default();
            for (id, bytes) in &stored {
                prop_assert!(row.has_room_for(bytes.len()));
                row.push(*id, bytes);
            }
            prop_assert_eq!(row.ids().len(), stored.len());
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
        let mut row = Row::default();
        row.push(RequestId::generate(), b"request");
        for end in 0..row.bytes().len() {
            assert_eq!(requests(&row.bytes()[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn rows_stay_below_a_power_of_two_of_pages() {
        let mut row = Row::default();
        row.push(RequestId::generate(), &[0; 60_000]);
        assert!(!row.has_room_for(5_000));
        assert!(row.has_room_for(4_000));
        row.push(RequestId::generate(), &[0; 4_000]);
        assert!(row.bytes().len() <= ROW_BYTES);
        assert!(charge(60_000) >= 65_536);
    }

    #[test]
    fn rows_fill_up_in_order_and_their_memory_is_used_again() {
        let ids: Vec<_> = (0..SLOTS + 1).map(|_| RequestId::generate()).collect();
        let mut rows = Rows::default();
        for id in &ids {
            rows.push(*id, b"request");
        }
        rows.push(ids[0], &[0; ROW_BYTES]);
        let filled = rows.take();
        let requests: Vec<_> = filled.iter().map(|row| row.ids().len()).collect();
        assert_eq!(requests, [SLOTS, 1, 1]);
        assert_eq!(filled[0].charge(), charge(7) * SLOTS as u64);
        rows.recycle(filled);
        assert_eq!(rows.spare.len(), 2, "a row of unusual length is not kept");
        rows.push(ids[3], b"another");
        let filled = rows.take();
        let read = super::requests(filled[0].bytes()).unwrap();
        assert_eq!(read, [(ids[3], b"another".as_slice())]);
        assert_eq!(filled[0].charge(), charge(7));
    }
}
