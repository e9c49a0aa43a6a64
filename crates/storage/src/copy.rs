//! Copies a whole database into an empty one, SQLite or PostgreSQL, and compares both afterwards.
//!
//! The source is read in one snapshot and never written. The target takes everything in one
//! transaction, which is committed only after every row has been read back and found equal: a
//! copy that fails, differs or is killed leaves an empty target. Rows travel in batches, so
//! memory does not grow with the database.

mod error;

mod side;

mod sql;

mod tables;

pub use self::error::CopyError;
use self::{
    side::{Row, Side},
    tables::{TABLES, Table},
};
use crate::{DatabaseConfig, Storage, config::Target, migrate};

/// Rows that are in memory at once.
const BATCH: usize = 1000;

/// What a copy is doing, for a progress display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyStep {
    /// The rows of a table are copied next.
    Copying {
        /// Its name.
        table: &'static str,
        /// How many there are.
        rows: u64,
    },
    /// The rows of a table are compared next.
    Comparing {
        /// Its name.
        table: &'static str,
        /// How many there are.
        rows: u64,
    },
    /// So many more rows of the table are done.
    Rows(u64),
}

/// What was copied of one table, and found there when both sides were compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedTable {
    /// Its name.
    pub name: &'static str,
    /// Rows of the source.
    pub source_rows: u64,
    /// Rows of the target.
    pub target_rows: u64,
    /// Rows whose time falls into the hour that PostgreSQL's time zone has twice, when summer
    /// time ends: it cannot tell which one was meant.
    pub ambiguous_times: u64,
    /// The key of the first row that is not the same, or is on one side only.
    pub difference: Option<String>,
}

/// Copies everything from one database to another and compares every row, in the order of the
/// tables' references.
///
/// # Errors
/// When the source is missing or not of this program's version, when the target has rows, when
/// either cannot be read or written, and when the comparison finds a difference; the target has
/// no rows then, or those it had.
pub fn copy_database(
    from: &DatabaseConfig,
    to: &DatabaseConfig,
    progress: &mut dyn FnMut(CopyStep),
) -> Result<Vec<CopiedTable>, CopyError> {
    let from = from.target().map_err(CopyError::SourceUrl)?;
    let target = to.target().map_err(CopyError::TargetUrl)?;
    let mut source = open_source(&from)?;
    let mut target = open_target(to, &target)?;
    let mut counts = Vec::with_capacity(TABLES.len());
    for table in &TABLES {
        target.clear(table)?;
        let rows = source.count(table)?;
        progress(CopyStep::Copying {
            table: table.name,
            rows,
        });
        copy_rows(table, &mut source, &mut target, progress)?;
        counts.push((table, rows));
    }
    let mut tables = Vec::with_capacity(TABLES.len());
    for (table, rows) in counts {
        progress(CopyStep::Comparing {
            table: table.name,
            rows,
        });
        tables.push(compare(table, &mut source, &mut target, progress)?);
    }
    if tables.iter().any(|table| table.difference.is_some()) {
        return Err(CopyError::Different { tables });
    }
    // The last thing before the commit: on PostgreSQL a roll-back would not undo it.
    for table in TABLES.iter().filter(|table| table.has_ids) {
        let highest = source.highest_id(table)?;
        target.set_highest_id(table, highest)?;
    }
    target.commit()?;
    Ok(tables)
}

fn open_source(source: &Target) -> Result<Side, CopyError> {
    if let Target::Sqlite(path) = source
        && !path.exists()
    {
        return Err(CopyError::NoSource { path: path.clone() });
    }
    let mut side = Side::source(source)?;
    side.check_version()?;
    Ok(side)
}

/// Looks twice: an old database with rows must not even be upgraded, and between the upgrade and
/// the locks somebody may write.
fn open_target(config: &DatabaseConfig, target: &Target) -> Result<Side, CopyError> {
    match target {
        Target::Sqlite(path) if !path.exists() => {}
        Target::Sqlite(_) | Target::Postgres(_) => Side::target(target)?.refuse_rows()?,
    }
    Storage::upgrade(config).map_err(CopyError::Target)?;
    let mut side = Side::target(target)?;
    side.lock()?;
    side.refuse_rows()?;
    Ok(side)
}

fn copy_rows(
    table: &Table,
    source: &mut Side,
    target: &mut Side,
    progress: &mut dyn FnMut(CopyStep),
) -> Result<(), CopyError> {
    let mut last = None;
    loop {
        let rows = source.read(table, last.as_ref(), BATCH)?;
        if rows.is_empty() {
            return Ok(());
        }
        target.write(table, &rows)?;
        progress(CopyStep::Rows(rows.len() as u64));
        last = rows.into_iter().next_back();
    }
}

/// Reads both sides again, batch by batch in the order of their keys.
fn compare(
    table: &Table,
    source: &mut Side,
    target: &mut Side,
    progress: &mut dyn FnMut(CopyStep),
) -> Result<CopiedTable, CopyError> {
    let mut copied = CopiedTable {
        name: table.name,
        source_rows: source.count(table)?,
        target_rows: target.count(table)?,
        ambiguous_times: 0,
        difference: None,
    };
    let (mut last, mut last_there) = (None, None);
    while copied.difference.is_none() {
        let rows = source.read(table, last.as_ref(), BATCH)?;
        let there = target.read(table, last_there.as_ref(), BATCH)?;
        if rows.is_empty() && there.is_empty() {
            break;
        }
        if rows != there {
            let kept = target.as_kept(table, &rows)?;
            copied.ambiguous_times += count_different(&rows, &kept);
            copied.difference = first_difference(table, &kept, &there);
        }
        progress(CopyStep::Rows(rows.len() as u64));
        (last, last_there) = (rows.into_iter().next_back(), there.into_iter().next_back());
    }
    Ok(copied)
}

fn count_different(rows: &[Row], others: &[Row]) -> u64 {
    let pairs = rows.iter().zip(others);
    pairs.filter(|(row, other)| row != other).count() as u64
}

fn first_difference(table: &Table, rows: &[Row], others: &[Row]) -> Option<String> {
    let longest = rows.len().max(others.len());
    let mut places = (0..longest).map(|place| (rows.get(place), others.get(place)));
    let (row, other) = places.find(|(row, other)| row != other)?;
    Some(side::key(table, row.or(other)?))
}

impl Side {
    /// Refuses what this program would misread.
    fn check_version(&mut self) -> Result<(), CopyError> {
        match self {
            Self::Sqlite(connection) => migrate::check_sqlite(connection),
            Self::Postgres(connection) => migrate::check_postgres(connection),
        }
        .map_err(CopyError::Source)
    }

    fn refuse_rows(&mut self) -> Result<(), CopyError> {
        for table in &TABLES {
            if self.has_rows(table)? {
                return Err(CopyError::TargetNotEmpty { table: table.name });
            }
        }
        Ok(())
    }
}
