//! The store: redb, one file, three tables. Every change is one transaction and one fsync, and is
//! there as a whole or not at all after a crash.

use std::ops::RangeInclusive;

use model::{Ended, NotificationId};
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageBackend,
    TableDefinition, WriteTransaction,
};
use uuid::Uuid;

use crate::{
    error::StoreError,
    index::Index,
    row::{Position, Row},
};

/// Rows of requests; keys grow with each row.
const ROWS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("rows");

/// Open bits of rows of which some requests are finished and some are not.
const MARKS: TableDefinition<'_, u64, u16> = TableDefinition::new("marks");

/// Notifications that have ended, of requests that have not: row, slot, notification.
const ENDED: TableDefinition<'_, EndedKey, ()> = TableDefinition::new("ended");

type EndedKey = (u64, u8, u128);

/// Pages that the store keeps in memory. A row is written once and hardly ever read.
const CACHE_BYTES: usize = 16 << 20;

/// What one commit writes.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// New rows, in order.
    pub(crate) rows: Vec<(u64, Row)>,
    /// Rows that are still there, with their new open bits.
    pub(crate) open: Vec<(u64, u16)>,
    /// Rows of which everything is finished.
    pub(crate) over: Vec<u64>,
    /// Finished requests whose marks of ended notifications go.
    pub(crate) forgotten: Vec<Position>,
    /// Notifications that have ended.
    pub(crate) ended: Vec<(Position, NotificationId)>,
}

/// The tables, while they are written to.
struct Tables<'t> {
    rows: redb::Table<'t, u64, &'static [u8]>,
    marks: redb::Table<'t, u64, u16>,
    ended: redb::Table<'t, EndedKey, ()>,
}

/// An open store.
#[derive(Debug)]
pub(crate) struct Store {
    database: Database,
}

/// Names the operation that a redb call belongs to.
fn failed<E: Into<redb::Error>>(
    operation: fn(Box<redb::Error>) -> StoreError,
) -> impl Fn(E) -> StoreError {
    move |cause| operation(Box::new(cause.into()))
}

impl Store {
    /// Opens the store in `backend`, or makes it there. After a crash every page's checksum is
    /// read, so that damage is found here and not in the middle of a day.
    pub(crate) fn open(backend: impl StorageBackend) -> Result<Self, StoreError> {
        let database = Builder::new()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .create_with_backend(backend)
            .map_err(failed::<DatabaseError>(StoreError::Open))?;
        let store = Self { database };
        store.transaction(|_| Ok(()))?;
        Ok(store)
    }

    /// Writes a change; it is on stable storage when this returns.
    pub(crate) fn commit(&self, change: &Change) -> Result<(), StoreError> {
        self.transaction(|tables| {
            for (key, row) in &change.rows {
                tables.rows.insert(key, row.bytes())?;
            }
            for (key, open) in &change.open {
                tables.marks.insert(key, open)?;
            }
            for key in &change.over {
                tables.rows.remove(key)?;
                tables.marks.remove(key)?;
            }
            for (position, notification) in &change.ended {
                let key = (position.row, position.slot, notification.0.as_u128());
                tables.ended.insert(key, ())?;
            }
            for position in &change.forgotten {
                tables.ended.retain_in(ended_of(*position), |_, ()| false)?;
            }
            Ok(())
        })
    }

    /// Removes the rows from `first` on: of a commit that failed, it is not known how much of it
    /// is there, and its requests were refused.
    pub(crate) fn cut(&self, first: u64) -> Result<(), StoreError> {
        self.transaction(|tables| {
            tables.rows.retain_in(first.., |_, _| false)?;
            tables.ended.retain_in((first, 0, 0).., |_, ()| false)
        })
    }

    fn transaction(
        &self,
        work: impl FnOnce(&mut Tables<'_>) -> Result<(), redb::StorageError>,
    ) -> Result<(), StoreError> {
        let transaction = self
            .database
            .begin_write()
            .map_err(failed(StoreError::Commit))?;
        {
            let mut tables = tables(&transaction).map_err(failed(StoreError::Commit))?;
            work(&mut tables).map_err(failed(StoreError::Commit))?;
        }
        transaction.commit().map_err(failed(StoreError::Commit))
    }

    /// What the store holds, and the damaged rows.
    pub(crate) fn index(&self) -> Result<(Index, Vec<u64>), StoreError> {
        let read = || -> Result<_, redb::Error> {
            let transaction = self.database.begin_read()?;
            let (rows, marks) = (
                transaction.open_table(ROWS)?,
                transaction.open_table(MARKS)?,
            );
            let (mut index, mut damaged) = (Index::default(), Vec::new());
            for entry in rows.iter()? {
                let (key, stored) = entry?;
                let open = marks.get(key.value())?.map(|open| open.value());
                if !index.found(key.value(), stored.value(), open) {
                    damaged.push(key.value());
                }
            }
            for entry in transaction.open_table(ENDED)?.iter()? {
                let (row, slot, _) = entry?.0.value();
                index.found_ended(Position { row, slot });
            }
            Ok((index, damaged))
        };
        read().map_err(failed(StoreError::Read))
    }

    /// Calls `each` with the rows of `keys` in order, until it says that it has enough.
    pub(crate) fn read(
        &self,
        keys: RangeInclusive<u64>,
        mut each: impl FnMut(u64, &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let mut read = || -> Result<_, redb::Error> {
            let rows = self.database.begin_read()?.open_table(ROWS)?;
            for entry in rows.range(keys.clone())? {
                let (key, stored) = entry?;
                if !each(key.value(), stored.value()) {
                    break;
                }
            }
            Ok(())
        };
        read().map_err(failed(StoreError::Read))
    }

    /// The notifications of a request that have ended.
    pub(crate) fn ended(&self, position: Position) -> Result<Ended, StoreError> {
        let read = || -> Result<_, redb::Error> {
            let ended = self.database.begin_read()?.open_table(ENDED)?;
            let mut ids = Vec::new();
            for entry in ended.range(ended_of(position))? {
                let (_, _, id) = entry?.0.value();
                ids.push(NotificationId(Uuid::from_u128(id)));
            }
            Ok(ids.into_iter().collect())
        };
        read().map_err(failed(StoreError::Read))
    }
}

fn ended_of(position: Position) -> RangeInclusive<EndedKey> {
    let Position { row, slot } = position;
    (row, slot, 0)..=(row, slot, u128::MAX)
}

fn tables(transaction: &WriteTransaction) -> Result<Tables<'_>, redb::TableError> {
    Ok(Tables {
        rows: transaction.open_table(ROWS)?,
        marks: transaction.open_table(MARKS)?,
        ended: transaction.open_table(ENDED)?,
    })
}
