//! What is in the store, without the requests themselves: some forty bytes for each unfinished
//! request. Written by the commit thread only, after the store has taken the same change.

use std::{
    collections::{BTreeMap, HashMap},
    ops::RangeInclusive,
};

use model::{NotificationId, RequestId};

use crate::{
    Marks,
    row::{self, Position},
    store::Change,
};

/// Rows and requests that are stored and not finished.
#[derive(Debug, Default)]
pub(crate) struct Index {
    rows: BTreeMap<u64, RowState>,
    positions: HashMap<RequestId, Position>,
    /// The key of the next row; keys are never used twice.
    next_row: u64,
}

#[derive(Clone, Copy, Debug)]
struct RowState {
    /// A bit for each slot whose request is unfinished.
    open: u16,
    /// A bit for each slot of whose request some notifications are marked as ended.
    ended: u16,
    /// Disk space, given back when the row goes.
    charge: u64,
}

/// What finishing some requests does to the rows.
#[derive(Debug, Default)]
pub(crate) struct Finishing {
    /// New open bits; a row without any goes.
    rows: BTreeMap<u64, u16>,
    requests: Vec<RequestId>,
    /// Finished requests of which there are marks of ended notifications.
    forgotten: Vec<Position>,
    /// New marks of ended notifications.
    ended: Vec<(Position, NotificationId)>,
}

impl Index {
    /// Takes in a row found in the store, with its open bits if a mark has them; false if it is
    /// damaged. A damaged row is never finished, so it stays.
    pub(crate) fn found(&mut self, key: u64, stored: &[u8], mark: Option<u16>) -> bool {
        self.next_row = self.next_row.max(key + 1);
        let Some(requests) = row::requests(stored) else {
            let charge = row::charge(stored.len());
            self.rows.insert(
                key,
                RowState {
                    open: u16::MAX,
                    ended: 0,
                    charge,
                },
            );
            return false;
        };
        let open = row::all_open(requests.len()) & mark.unwrap_or(u16::MAX);
        let charge = requests.iter().map(|(_, bytes)| row::charge(bytes.len()));
        self.rows.insert(
            key,
            RowState {
                open,
                ended: 0,
                charge: charge.sum(),
            },
        );
        for ((id, _), slot) in requests.iter().zip(0..) {
            if open & (1 << slot) != 0 {
                self.positions.insert(*id, Position { row: key, slot });
            }
        }
        true
    }

    /// A row has been written.
    pub(crate) fn added(&mut self, key: u64, ids: &[RequestId], charge: u64) {
        let open = row::all_open(ids.len());
        self.rows.insert(
            key,
            RowState {
                open,
                ended: 0,
                charge,
            },
        );
        self.next_row = self.next_row.max(key + 1);
        for (id, slot) in ids.iter().zip(0..) {
            self.positions.insert(*id, Position { row: key, slot });
        }
    }

    /// A mark of an ended notification was found in the store.
    pub(crate) fn found_ended(&mut self, position: Position) {
        if let Some(row) = self.rows.get_mut(&position.row) {
            row.ended |= 1 << position.slot;
        }
    }

    /// What `marks` mean for the store. Ids it does not know are passed over: they have been
    /// finished before.
    pub(crate) fn finishing(&self, marks: &Marks) -> Finishing {
        let mut finishing = Finishing::default();
        for id in &marks.finished {
            let Some(position) = self.positions.get(id) else {
                continue;
            };
            let open = finishing
                .rows
                .entry(position.row)
                .or_insert_with(|| self.rows[&position.row].open);
            *open &= !(1 << position.slot);
            finishing.requests.push(*id);
            if self.rows[&position.row].ended & (1 << position.slot) != 0 {
                finishing.forgotten.push(*position);
            }
        }
        for (id, notification) in &marks.ended {
            let Some(position) = self.positions.get(id) else {
                continue;
            };
            let finished = finishing
                .rows
                .get(&position.row)
                .is_some_and(|open| open & (1 << position.slot) == 0);
            if !finished {
                finishing.ended.push((*position, *notification));
            }
        }
        finishing
    }

    /// The change has been written; returns the disk space that it gave back.
    pub(crate) fn finished(&mut self, finishing: &Finishing) -> u64 {
        for id in &finishing.requests {
            self.positions.remove(id);
        }
        for (position, _) in &finishing.ended {
            self.found_ended(*position);
        }
        let mut freed = 0;
        for (key, open) in &finishing.rows {
            if *open == 0 {
                freed += self.rows.remove(key).map_or(0, |row| row.charge);
            } else if let Some(row) = self.rows.get_mut(key) {
                row.open = *open;
            }
        }
        freed
    }

    pub(crate) fn position(&self, request: RequestId) -> Option<Position> {
        self.positions.get(&request).copied()
    }

    /// Whether the request in this slot is unfinished.
    pub(crate) fn is_open(&self, key: u64, slot: usize) -> bool {
        self.rows
            .get(&key)
            .is_some_and(|row| row.open & (1 << slot) != 0)
    }

    /// Unfinished requests.
    pub(crate) fn len(&self) -> usize {
        self.positions.len()
    }

    /// Disk space of all rows.
    pub(crate) fn charged(&self) -> u64 {
        self.rows.values().map(|row| row.charge).sum()
    }

    pub(crate) fn next_row(&self) -> u64 {
        self.next_row
    }

    /// Keys of the rows that are there.
    pub(crate) fn rows(&self) -> Option<RangeInclusive<u64>> {
        let first = self.rows.first_key_value()?.0;
        let last = self.rows.last_key_value()?.0;
        Some(*first..=*last)
    }
}

impl Finishing {
    /// Adds what has to be written to `change`.
    pub(crate) fn write_to(&self, change: &mut Change) {
        for (key, open) in &self.rows {
            if *open == 0 {
                change.over.push(*key);
            } else {
                change.open.push((*key, *open));
            }
        }
        change.forgotten.clone_from(&self.forgotten);
        change.ended.clone_from(&self.ended);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.ended.is_empty()
    }
}
