//! Pools of connections, and what every connection is told when it is made.
//!
//! PostgreSQL has one pool. SQLite has a pool of readers and a "pool" of one writer: one writer
//! at a time is SQLite's own rule, and waiting for it here is fairer than its busy loop. A
//! connection that broke, or whose user panicked, is thrown away by the pool and made anew.

use std::{path::Path, time::Duration};

use diesel::{
    connection::{Connection as _, Instrumentation, InstrumentationEvent, SimpleConnection as _},
    pg::PgConnection,
    r2d2::{
        ConnectionManager, CustomizeConnection, Error as R2d2Error, Pool, PooledConnection,
        R2D2Connection,
    },
    result::{ConnectionError, ConnectionResult, QueryResult},
    sqlite::SqliteConnection,
};
use prometheus_client::metrics::counter::Counter;

use crate::{config::Target, error::StorageError};

/// How long a caller waits for a connection before it is an error.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller waits for SQLite's one writer: others may have many commits before it.
const WRITER_TIMEOUT: Duration = Duration::from_secs(30);

type Pooled<C> = PooledConnection<ConnectionManager<C>>;

/// The way to the database.
pub(crate) enum Connections {
    Sqlite {
        writer: Pool<ConnectionManager<SqliteConnection>>,
        readers: Pool<ConnectionManager<SqliteConnection>>,
    },
    Postgres(Pool<ConnectionManager<PgConnection>>),
}

/// A connection, until it is dropped.
pub(crate) enum Lease {
    Sqlite(Pooled<SqliteConnection>),
    Postgres(Pooled<PgConnection>),
}

/// Writes the same diesel expression for either database.
macro_rules! on_connection {
    ($lease:expr, $connection:ident => $work:expr) => {
        match $lease {
            crate::connection::Lease::Sqlite(mut lease) => {
                let $connection: &mut diesel::sqlite::SqliteConnection = &mut lease;
                $work
            }
            crate::connection::Lease::Postgres(mut lease) => {
                let $connection: &mut diesel::pg::PgConnection = &mut lease;
                $work
            }
        }
    };
}

impl Connections {
    /// Pools of at most `size` connections; `statements` counts what callers send.
    pub(crate) fn open(
        target: &Target,
        size: u32,
        durable: bool,
        statements: &Counter,
    ) -> Result<Self, StorageError> {
        let set_up = |role| {
            Box::new(SetUp {
                role,
                statements: statements.clone(),
            })
        };
        match target {
            Target::Sqlite(path) => {
                let url = sqlite_url(path);
                let writer = Pool::builder()
                    .max_size(1)
                    .connection_timeout(WRITER_TIMEOUT)
                    .idle_timeout(None)
                    .max_lifetime(None)
                    .test_on_check_out(false)
                    .connection_customizer(set_up(Role::SqliteWriter { durable }))
                    .build(ConnectionManager::new(url.clone()));
                let readers = pool(url, size, set_up(Role::SqliteReader));
                Ok(Self::Sqlite {
                    writer: writer.map_err(StorageError::Pool)?,
                    readers: readers?,
                })
            }
            Target::Postgres(url) => {
                let set_up = set_up(Role::Postgres { durable });
                Ok(Self::Postgres(pool(url.clone(), size, set_up)?))
            }
        }
    }

    /// A connection that only reads.
    pub(crate) fn reader(&self) -> Result<Lease, StorageError> {
        match self {
            Self::Sqlite { readers, .. } => readers.get().map(Lease::Sqlite),
            Self::Postgres(pool) => pool.get().map(Lease::Postgres),
        }
        .map_err(StorageError::Pool)
    }

    /// A connection that may write.
    pub(crate) fn writer(&self) -> Result<Lease, StorageError> {
        match self {
            Self::Sqlite { writer, .. } => writer.get().map(Lease::Sqlite),
            Self::Postgres(pool) => pool.get().map(Lease::Postgres),
        }
        .map_err(StorageError::Pool)
    }
}

fn pool<C>(
    url: String,
    size: u32,
    set_up: Box<SetUp>,
) -> Result<Pool<ConnectionManager<C>>, StorageError>
where
    C: R2D2Connection + 'static,
    SetUp: CustomizeConnection<C, R2d2Error>,
{
    Pool::builder()
        .max_size(size)
        .min_idle(Some(1))
        .connection_timeout(CONNECTION_TIMEOUT)
        .max_lifetime(None)
        // No round trip per use: a connection that broke is marked so by diesel, and dropped.
        .test_on_check_out(false)
        .connection_customizer(set_up)
        .build(ConnectionManager::new(url))
        .map_err(StorageError::Pool)
}

/// What a connection is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    SqliteReader,
    SqliteWriter { durable: bool },
    Postgres { durable: bool },
}

#[derive(Debug)]
struct SetUp {
    role: Role,
    statements: Counter,
}

impl CustomizeConnection<SqliteConnection, R2d2Error> for SetUp {
    fn on_acquire(&self, connection: &mut SqliteConnection) -> Result<(), R2d2Error> {
        set_up_sqlite(connection, self.role).map_err(R2d2Error::QueryError)?;
        connection.set_instrumentation(counting(&self.statements));
        Ok(())
    }
}

impl CustomizeConnection<PgConnection, R2d2Error> for SetUp {
    fn on_acquire(&self, connection: &mut PgConnection) -> Result<(), R2d2Error> {
        set_up_postgres(connection, self.role).map_err(R2d2Error::QueryError)?;
        connection.set_instrumentation(counting(&self.statements));
        Ok(())
    }
}

/// Counts each statement once, `BEGIN` and `COMMIT` too; preparing one is not counted.
fn counting(statements: &Counter) -> impl Instrumentation {
    let statements = statements.clone();
    move |event: InstrumentationEvent<'_>| {
        if matches!(event, InstrumentationEvent::StartQuery { .. }) {
            statements.inc();
        }
    }
}

/// Settings of a SQLite connection. `busy_timeout` comes first: it holds for the rest.
pub(crate) fn set_up_sqlite(connection: &mut SqliteConnection, role: Role) -> QueryResult<()> {
    connection.batch_execute("PRAGMA busy_timeout = 10000")?;
    connection.batch_execute("PRAGMA foreign_keys = ON")?;
    // The pages come from the system's cache, once for all connections.
    connection.batch_execute("PRAGMA mmap_size = 1073741824")?;
    connection.batch_execute("PRAGMA cache_size = -16000")?;
    connection.batch_execute("PRAGMA temp_store = MEMORY")?;
    match role {
        Role::SqliteReader | Role::Postgres { .. } => {
            connection.batch_execute("PRAGMA query_only = ON")
        }
        Role::SqliteWriter { durable: true } => {
            connection.batch_execute("PRAGMA synchronous = FULL")
        }
        Role::SqliteWriter { durable: false } => {
            connection.batch_execute("PRAGMA synchronous = NORMAL")
        }
    }
}

/// Settings of a PostgreSQL connection.
pub(crate) fn set_up_postgres(connection: &mut PgConnection, role: Role) -> QueryResult<()> {
    // Diesel sets UTC on every connection. Pushkin's `timestamp` columns are in the server's own
    // zone, and stay comparable only if everyone writes them so.
    connection.batch_execute("SET TIME ZONE DEFAULT")?;
    // Statements are prepared once per connection, on a fresh installation while the tables are
    // empty. A plan that scans them then is kept while they grow to millions of rows, until the
    // next analyze. The hot statements look rows up by key, and so shall every plan. The few that
    // do read a whole table then look so expensive that PostgreSQL would compile them, for half a
    // second each.
    connection.batch_execute(
        "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; \
         SET jit = off",
    )?;
    match role {
        Role::Postgres { durable: false } => {
            connection.batch_execute("SET synchronous_commit = off")
        }
        Role::Postgres { durable: true } | Role::SqliteReader | Role::SqliteWriter { .. } => {
            connection.batch_execute("SET synchronous_commit = on")
        }
    }
}

/// A connection outside the pools, not counted; for the start and for following changes.
pub(crate) fn connect_sqlite(path: &Path, role: Role) -> Result<SqliteConnection, StorageError> {
    let connected: ConnectionResult<_> = SqliteConnection::establish(&sqlite_url(path));
    let mut connection = connected.map_err(StorageError::Connect)?;
    set_up_sqlite(&mut connection, role).map_err(StorageError::SetUp)?;
    Ok(connection)
}

/// Like [`connect_sqlite`].
pub(crate) fn connect_postgres(url: &str) -> Result<PgConnection, StorageError> {
    let connected = PgConnection::establish(url).map_err(without_url);
    let mut connection = connected.map_err(StorageError::Connect)?;
    let role = Role::Postgres { durable: true };
    set_up_postgres(&mut connection, role).map_err(StorageError::SetUp)?;
    Ok(connection)
}

/// libpq quotes a URL that it cannot read, or a part of it, with whatever password is in there.
fn without_url(error: ConnectionError) -> ConnectionError {
    match error {
        ConnectionError::BadConnection(text)
            if text.contains(" URI") || text.contains("percent-encoded") =>
        {
            let unquoted = text.split(": \"").next().unwrap_or_default();
            let unquoted = unquoted.split(" in \"").next().unwrap_or_default();
            ConnectionError::BadConnection(format!("{unquoted}: (not shown)"))
        }
        other => other,
    }
}

/// The path comes from the configuration's text, so nothing is lost here.
fn sqlite_url(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn a_url_that_cannot_be_read_is_not_shown() {
        for (url, fault) in [
            ("postgres://me:hunter2@[::1/game", "end of string"),
            ("postgres://me:hunter2@[::1]x/game", "unexpected character"),
            ("postgres://me:hunter2%zz@db/game", "percent-encoded"),
            ("postgres://db/game?password:hunter2", "missing key/value"),
        ] {
            let Err(error) = connect_postgres(url) else {
                panic!("connected to {url}");
            };
            let cause = error.source().unwrap().to_string();
            assert!(cause.contains(fault), "{cause}");
            assert!(!cause.contains("hunter2"), "{cause}");
        }
    }
}
