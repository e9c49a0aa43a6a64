//! Brings a database's schema up to date: an empty one, an older Onegin's, or Pushkin's own.
//!
//! The migrations are embedded. Pushkin's revision is looked up first, only to refuse one that is
//! not known; the first migration then does whatever a known revision lacks. On PostgreSQL all of
//! it is one transaction under an advisory lock, so that it happens once or not at all.

use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use diesel::{
    backend::Backend, connection::SimpleConnection as _, migration::MigrationSource,
    pg::PgConnection, prelude::*, result::Error as QueryError, sql_query, sql_types::Text,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::{
    DatabaseConfig, Storage, StorageError, UpgradeError,
    config::Target,
    connection::{self, Role},
};

const SQLITE: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("../../migrations/postgres");

/// Pushkin's Alembic revisions, oldest first; the last one is its last release's.
const PUSHKIN_REVISIONS: [&str; 11] = [
    "e2a42bcd4c02",
    "866d344d7b5d",
    "61e52d26ebea",
    "9ea5d4d49609",
    "822b8de2c260",
    "50db531bbf54",
    "70ad8e4607cd",
    "ba3a6442af2b",
    "67b14b57d9e4",
    "8b6104b8b8c0",
    "34dd0bf00472",
];

/// How long another process may hold a new SQLite file, and the pause between looks.
const WAL_LIMIT: Duration = Duration::from_secs(10);
const WAL_PAUSE: Duration = Duration::from_millis(5);

/// What an upgrade did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upgrade {
    /// The migrations that were missing, in order.
    pub applied: Vec<String>,
    /// The revision of the Pushkin database that was taken over; `unstamped` for one that
    /// Pushkin's `db_create.sql` made.
    pub adopted_from: Option<String>,
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
            let has_table =
                "SELECT name AS text FROM sqlite_master WHERE name = '__diesel_schema_migrations'";
            let is_empty = sql_query(has_table).load::<TextRow>(connection)?.is_empty();
            refuse_newer(connection, is_empty, SQLITE)?;
            let applied = run_pending(connection, SQLITE)?;
            Ok(Upgrade {
                applied,
                adopted_from: None,
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
    connection
        .transaction(|connection| {
            // The class is that of the token locks (`fold/postgres.rs`), whose keys are positive.
            connection.batch_execute("SELECT pg_advisory_xact_lock(1869505895, -1)")?;
            let is_unmigrated = !has_migrations_table(connection)?;
            refuse_newer(connection, is_unmigrated, POSTGRES)?;
            let adopted_from = if is_unmigrated {
                pushkin_revision(connection)?
            } else {
                None
            };
            let applied = run_pending(connection, POSTGRES)?;
            Ok(Upgrade {
                applied,
                adopted_from,
            })
        })
        .map_err(StorageError::Upgrade)
}

/// Refuses a database that this program would misread; asks only, so that an account without the
/// right to create tables can run the daemon.
pub(crate) fn check_postgres(connection: &mut PgConnection) -> Result<(), StorageError> {
    if !has_migrations_table(connection).map_err(StorageError::SchemaVersion)? {
        return Err(StorageError::SchemaOld);
    }
    let applied = applied_versions(connection).map_err(StorageError::SchemaVersion)?;
    let known = versions_of::<diesel::pg::Pg>(POSTGRES).map_err(StorageError::Upgrade)?;
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

/// The revision of a Pushkin database; none where there is no Pushkin.
fn pushkin_revision(connection: &mut PgConnection) -> Result<Option<String>, UpgradeError> {
    let mut revision = None;
    if has_table(connection, "alembic_version")? {
        let rows: Vec<TextRow> =
            sql_query("SELECT version_num AS text FROM alembic_version").load(connection)?;
        revision = rows.into_iter().next().map(|row| row.text);
    }
    match revision {
        Some(revision) if PUSHKIN_REVISIONS.contains(&revision.as_str()) => Ok(Some(revision)),
        Some(revision) => Err(UpgradeError::UnknownRevision { revision }),
        None if has_table(connection, "login")? => Ok(Some("unstamped".into())),
        None => Ok(None),
    }
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
