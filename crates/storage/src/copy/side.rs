//! One side of a copy: a connection in the transaction that the copy reads or writes in.
//!
//! Dropping it rolls back whatever was not committed.

use diesel::{
    QueryableByName, RunQueryDsl as _,
    connection::SimpleConnection as _,
    pg::PgConnection,
    result::QueryResult,
    sql_query,
    sql_types::{BigInt, Text},
    sqlite::SqliteConnection,
};
use serde_json::Value;

use super::{
    CopyError, sql,
    tables::{TABLES, Table},
};
use crate::{
    config::Target,
    connection::{self, Role},
};

/// A JSON array of a row's columns.
pub(super) type Row = Value;

/// A connection with an open transaction.
pub(super) enum Side {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// Runs a query, built for whichever database it is, and loads its rows.
macro_rules! load {
    ($side:expr, $row:ty, $query:expr) => {
        match $side {
            Side::Sqlite(connection) => sql_query($query).load::<$row>(connection),
            Side::Postgres(connection) => sql_query($query).load::<$row>(connection),
        }
    };
}

impl Side {
    /// The side that is only read, as it is at the first look.
    pub(super) fn source(target: &Target) -> Result<Self, CopyError> {
        let opened = match target {
            Target::Sqlite(path) => {
                connection::connect_sqlite(path, Role::SqliteReader).map(Self::Sqlite)
            }
            Target::Postgres(url) => connection::connect_postgres(url).map(Self::Postgres),
        };
        let mut side = opened.map_err(CopyError::Source)?;
        side.batch_execute(
            "BEGIN",
            "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
        )
        .map_err(CopyError::BeginSource)?;
        Ok(side)
    }

    /// The side that is written; not in a transaction yet.
    pub(super) fn target(target: &Target) -> Result<Self, CopyError> {
        let opened = match target {
            Target::Sqlite(path) => {
                let writer = Role::SqliteWriter { durable: true };
                connection::connect_sqlite(path, writer).map(Self::Sqlite)
            }
            Target::Postgres(url) => connection::connect_postgres(url).map(Self::Postgres),
        };
        opened.map_err(CopyError::Target)
    }

    /// Keeps everybody else from writing until the end.
    pub(super) fn lock(&mut self) -> Result<(), CopyError> {
        let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
        let lock = format!("BEGIN; LOCK TABLE {} IN EXCLUSIVE MODE", names.join(", "));
        self.batch_execute("BEGIN IMMEDIATE", &lock)
            .map_err(CopyError::LockTarget)
    }

    /// Whether the table is there and has rows.
    pub(super) fn has_rows(&mut self, table: &Table) -> Result<bool, CopyError> {
        let name = table.name;
        let is_there = match self {
            Self::Sqlite(_) => {
                format!("SELECT count(*) AS number FROM sqlite_master WHERE name = '{name}'")
            }
            Self::Postgres(_) => {
                format!("SELECT count(to_regclass('{name}')) AS number")
            }
        };
        let look = |side: &mut Self| {
            Ok(side.number(is_there)? > 0 && side.number(sql::has_rows(table))? > 0)
        };
        look(self).map_err(CopyError::read(table))
    }

    /// Makes the table really empty.
    pub(super) fn clear(&mut self, table: &Table) -> Result<(), CopyError> {
        match sql::clear(table) {
            None => Ok(()),
            Some(delete) => self
                .batch_execute(&delete, &delete)
                .map_err(CopyError::write(table)),
        }
    }

    pub(super) fn count(&mut self, table: &Table) -> Result<u64, CopyError> {
        let count = self.number(sql::count(table));
        count.map(i64::unsigned_abs).map_err(CopyError::read(table))
    }

    /// The next rows behind `after`, in the order of keys.
    pub(super) fn read(
        &mut self,
        table: &Table,
        after: Option<&Row>,
        limit: usize,
    ) -> Result<Vec<Row>, CopyError> {
        let after = after.map(|row| key(table, row));
        let after = after.as_deref();
        let query = match self {
            Self::Sqlite(_) => sql::sqlite::read(table, after, limit),
            Self::Postgres(_) => sql::postgres::read(table, after, limit),
        };
        let lines = load!(self, Line, query).map_err(CopyError::read(table))?;
        parse(table, &lines)
    }

    pub(super) fn write(&mut self, table: &Table, rows: &[Row]) -> Result<(), CopyError> {
        let rows = json(rows);
        match self {
            Self::Sqlite(connection) => sql_query(sql::sqlite::write(table))
                .bind::<Text, _>(rows)
                .execute(connection),
            Self::Postgres(connection) => sql_query(sql::postgres::write(table))
                .bind::<Text, _>(rows)
                .execute(connection),
        }
        .map_err(CopyError::write(table))?;
        Ok(())
    }

    /// The rows as this side keeps them. PostgreSQL's `timestamp` has no zone, so where summer
    /// time ends, two moments are one.
    pub(super) fn as_kept(&mut self, table: &Table, rows: &[Row]) -> Result<Vec<Row>, CopyError> {
        match self {
            Self::Sqlite(_) => Ok(rows.to_vec()),
            Self::Postgres(connection) => {
                let query = sql_query(sql::postgres::as_kept(table)).bind::<Text, _>(json(rows));
                let lines: Vec<Line> = query.load(connection).map_err(CopyError::read(table))?;
                parse(table, &lines)
            }
        }
    }

    pub(super) fn highest_id(&mut self, table: &Table) -> Result<i64, CopyError> {
        let query = match self {
            Self::Sqlite(_) => sql::sqlite::highest_id(table),
            Self::Postgres(_) => sql::postgres::highest_id(table),
        };
        self.number(query).map_err(CopyError::read(table))
    }

    pub(super) fn set_highest_id(&mut self, table: &Table, id: i64) -> Result<(), CopyError> {
        let [forget, set] = sql::sqlite::set_highest_id(table, id);
        let sqlite = format!("{forget}; {set}");
        self.batch_execute(&sqlite, &sql::postgres::set_highest_id(table, id))
            .map_err(CopyError::write(table))
    }

    pub(super) fn commit(mut self) -> Result<(), CopyError> {
        self.batch_execute("COMMIT", "COMMIT")
            .map_err(CopyError::Commit)
    }

    fn batch_execute(&mut self, sqlite: &str, postgres: &str) -> QueryResult<()> {
        match self {
            Self::Sqlite(connection) => connection.batch_execute(sqlite),
            Self::Postgres(connection) => connection.batch_execute(postgres),
        }
    }

    fn number(&mut self, query: String) -> QueryResult<i64> {
        let rows = load!(self, Number, query)?;
        let first = rows.first().ok_or(diesel::NotFound)?;
        Ok(first.number)
    }
}

/// The values of a row's key, as SQL.
pub(super) fn key(table: &Table, row: &Row) -> String {
    let values: Vec<String> = (0..table.key.len())
        .map(|place| row[place].to_string())
        .collect();
    values.join(", ")
}

fn json(rows: &[Row]) -> String {
    Value::from(rows).to_string()
}

fn parse(table: &Table, lines: &[Line]) -> Result<Vec<Row>, CopyError> {
    let rows = lines.iter().map(|line| serde_json::from_str(&line.line));
    rows.collect::<Result<_, _>>()
        .map_err(|cause| CopyError::Row {
            table: table.name,
            cause,
        })
}
