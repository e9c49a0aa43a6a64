//! Brings a database's schema up to date: an empty one, an older Onegin's, or Pushkin's own.
//!
//! The migrations are embedded. Pushkin's revision is looked up first, only to refuse one that is
//! not known; the first migration then does whatever a known revision lacks. On PostgreSQL all of
//! it is one transaction under an advisory lock, so that it happens once or not at all.

mod pushkin;

use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use diesel::{
    backend::Backend,
    connection::{InstrumentationEvent, SimpleConnection as _},
    migration::MigrationSource,
    pg::PgConnection,
    prelude::*,
    result::Error as QueryError,
    sql_query,
    sql_types::Text,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use parking_lot::Mutex;

use crate::{
    DatabaseConfig, Storage, StorageError, UpgradeError,
    config::Target,
    connection::{self, Role},
};

const SQLITE: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("../../migrations/postgres");

/// How long another process may hold a new SQLite file, and the pause between looks.
const WAL_LIMIT: Duration = Duration::from_secs(10);
const WAL_PAUSE: Duration = Duration::from_millis(5);

/// What an upgrade did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upgrade {
    /// The migrations that were missing, in order.
    pub applied: Vec<String>,
    /// The revision of the Pushkin database that was taken over; `unstamped` for one that
    /// Pushkin's `db_create.sql` made, two joined by ` + ` between two branches and their merge.
    pub adopted_from: Option<String>,
    /// Opt-out lists that were dropped because their user has a newer one; only `db_create.sql`
    /// lets that happen.
    pub superseded_blacklists: i64,
}

impl Storage {
    /// Brings the database up to date and keeps its rows. Doing it again does nothing; two at
    /// once wait for each other.
    ///
    /// # Errors
    /// When the database cannot be reached, is newer than this program, or is Pushkin's at a
    /// revision that is not known; nothing is changed then.
    pub fn upgrade(config: &DatabaseConfig) -> Result<Upgrade, StorageError> {
        match config.target().map_err(StorageError::Url)? {
            Target::Sqlite(path) => upgrade_sqlite(&path),
            Target::Postgres(url) => upgrade_postgres(&url),
        }
    }
}

/// Makes the file if there is none, readable by this user only, and brings it up to date.
pub(crate) fn upgrade_sqlite(path: &Path) -> Result<Upgrade, StorageError> {
    create_private_file(path)?;
    let mut connection = connection::connect_sqlite(path, Role::SqliteWriter { durable: true })?;
    use_wal(&mut connection).map_err(StorageError::SetUp)?;
    connection
        .immediate_transaction(|connection| {
            let is_unmigrated = !sqlite_has_migrations_table(connection)?;
            refuse_newer(connection, is_unmigrated, SQLITE)?;
            let applied = run_pending(connection, SQLITE)?;
            Ok(Upgrade {
                applied,
                ..Upgrade::default()
            })
        })
        .map_err(StorageError::Upgrade)
}

/// The mode stays in the file. It cannot be set inside a transaction, and SQLite does not apply
/// its busy time-out to it: two daemons that start on a new file would get in each other's way.
fn use_wal(connection: &mut SqliteConnection) -> QueryResult<()> {
    let deadline = Instant::now() + WAL_LIMIT;
    loop {
        match connection.batch_execute("PRAGMA journal_mode = WAL") {
            Err(QueryError::DatabaseError(_, cause))
                if cause.message() == "database is locked" && Instant::now() < deadline =>
            {
                thread::park_timeout(WAL_PAUSE);
            }
            outcome => return outcome,
        }
    }
}

fn upgrade_postgres(url: &str) -> Result<Upgrade, StorageError> {
    let mut connection = connection::connect_postgres(url)?;
    let details = keep_details(&mut connection);
    connection
        .transaction(|connection| {
            // The class is that of the token locks (`fold/postgres.rs`), whose keys are positive.
            connection.batch_execute("SELECT pg_advisory_xact_lock(1869505895, -1)")?;
            let is_unmigrated = !has_migrations_table(connection)?;
            refuse_newer(connection, is_unmigrated, POSTGRES)?;
            let adopted_from = if is_unmigrated {
                pushkin::revision(connection)?
            } else {
                None
            };
            let superseded_blacklists = match adopted_from {
                Some(_) => pushkin::superseded_blacklists(connection)?,
                None => 0,
            };
            let applied = run_pending(connection, POSTGRES)?;
            Ok(Upgrade {
                applied,
                adopted_from,
                superseded_blacklists,
            })
        })
        .map_err(|error| StorageError::Upgrade(with_details(error, &details)))
}

/// Refuses a database that this program would misread; asks only, so that an account without the
/// right to create tables can run the daemon.
pub(crate) fn check_postgres(connection: &mut PgConnection) -> Result<(), StorageError> {
    if !has_migrations_table(connection).map_err(StorageError::SchemaVersion)? {
        return Err(StorageError::SchemaOld);
    }
    check_versions(connection, POSTGRES)
}

/// Like [`check_postgres`], for who must not change the file.
pub(crate) fn check_sqlite(connection: &mut SqliteConnection) -> Result<(), StorageError> {
    if !sqlite_has_migrations_table(connection).map_err(StorageError::SchemaVersion)? {
        return Err(StorageError::SchemaOld);
    }
    check_versions(connection, SQLITE)
}

fn check_versions<C>(connection: &mut C, migrations: EmbeddedMigrations) -> Result<(), StorageError>
where
    C: Connection,
    diesel::query_builder::SqlQuery: diesel::query_dsl::LoadQuery<'static, C, TextRow>,
{
    let applied = applied_versions(connection).map_err(StorageError::SchemaVersion)?;
    let known = versions_of::<C::Backend>(migrations).map_err(StorageError::Upgrade)?;
    if let Some(version) = applied.difference(&known).next() {
        return Err(StorageError::SchemaNewer {
            version: version.clone(),
        });
    }
    if applied != known {
        return Err(StorageError::SchemaOld);
    }
    Ok(())
}

#[derive(QueryableByName)]
struct TextRow {
    #[diesel(sql_type = Text)]
    text: String,
}

fn sqlite_has_migrations_table(connection: &mut SqliteConnection) -> QueryResult<bool> {
    let query = "SELECT name AS text FROM sqlite_master WHERE name = '__diesel_schema_migrations'";
    Ok(!sql_query(query).load::<TextRow>(connection)?.is_empty())
}

fn has_migrations_table(connection: &mut PgConnection) -> QueryResult<bool> {
    has_table(connection, "__diesel_schema_migrations")
}

fn has_table(connection: &mut PgConnection, name: &str) -> QueryResult<bool> {
    let query = sql_query("SELECT to_regclass($1)::text AS text WHERE to_regclass($1) IS NOT NULL");
    Ok(!query
        .bind::<Text, _>(name)
        .load::<TextRow>(connection)?
        .is_empty())
}

fn applied_versions<C>(connection: &mut C) -> QueryResult<BTreeSet<String>>
where
    C: Connection,
    diesel::query_builder::SqlQuery: diesel::query_dsl::LoadQuery<'static, C, TextRow>,
{
    let query = sql_query("SELECT version AS text FROM __diesel_schema_migrations");
    Ok(query
        .load::<TextRow>(connection)?
        .into_iter()
        .map(|row| row.text)
        .collect())
}

fn versions_of<B: Backend>(
    migrations: EmbeddedMigrations,
) -> Result<BTreeSet<String>, UpgradeError> {
    let migrations = MigrationSource::<B>::migrations(&migrations).map_err(UpgradeError::List)?;
    Ok(migrations
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect())
}

fn refuse_newer<C>(
    connection: &mut C,
    is_unmigrated: bool,
    migrations: EmbeddedMigrations,
) -> Result<(), UpgradeError>
where
    C: Connection,
    diesel::query_builder::SqlQuery: diesel::query_dsl::LoadQuery<'static, C, TextRow>,
{
    if is_unmigrated {
        return Ok(());
    }
    let applied = applied_versions(connection)?;
    let known = versions_of::<C::Backend>(migrations)?;
    match applied.difference(&known).next() {
        Some(version) => Err(UpgradeError::Newer {
            version: version.clone(),
        }),
        None => Ok(()),
    }
}

fn run_pending<B: Backend, C: MigrationHarness<B>>(
    connection: &mut C,
    migrations: EmbeddedMigrations,
) -> Result<Vec<String>, UpgradeError> {
    let pending = connection
        .pending_migrations(migrations)
        .map_err(UpgradeError::List)?;
    let mut applied = Vec::with_capacity(pending.len());
    for migration in pending {
        let name = migration.name().to_string();
        if let Err(cause) = connection.run_migration(&migration) {
            return Err(UpgradeError::Migration { name, cause });
        }
        applied.push(name);
    }
    Ok(applied)
}

/// What PostgreSQL says beside an error's message; the migrations' own error leaves it out.
type Details = Arc<Mutex<Option<String>>>;

fn keep_details(connection: &mut PgConnection) -> Details {
    let details = Details::default();
    let kept = Arc::clone(&details);
    connection.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::FinishQuery {
            error: Some(QueryError::DatabaseError(_, told)),
            ..
        } = event
        {
            *kept.lock() = told.details().map(str::to_owned);
        }
    });
    details
}

/// Only the details name what is in the way, such as somebody's view.
fn with_details(error: UpgradeError, details: &Details) -> UpgradeError {
    match (error, details.lock().take()) {
        (UpgradeError::Migration { name, cause }, Some(details)) => UpgradeError::Migration {
            name,
            cause: format!("{cause}\n{details}").into(),
        },
        (error, _) => error,
    }
}

/// SQLite gives its own files beside this one the same mode.
fn create_private_file(path: &Path) -> Result<(), StorageError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |cause| StorageError::CreateFile { path, cause }
    };
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        let created = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder);
        created.map_err(failed(folder))?;
    }
    let created = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match created {
        Ok(_) => Ok(()),
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(cause) => Err(failed(path)(cause)),
    }
}
