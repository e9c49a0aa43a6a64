//! A database of its own for each test: a SQLite file, or a PostgreSQL database that is dropped
//! at the end. PostgreSQL joins in when `ONEGIN_TEST_POSTGRES_URL` is set.

use std::{
    io::Write,
    path::Path,
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
};

use diesel::{
    Connection, PgConnection, QueryResult, QueryableByName, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection, sql_query, sql_types::Text,
};
use storage::{DatabaseConfig, Storage};

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

/// Makes each test twice: `sqlite::name`, and `postgres::name` where there is one.
macro_rules! on_each_database {
    ($(fn $name:ident($database:ident) $body:block)+) => {
        mod sqlite {
            $(#[test]
            fn $name() {
                super::$name(crate::database::Database::Sqlite);
            })+
        }

        mod postgres {
            $(#[test]
            fn $name() {
                if let Some(database) = crate::database::postgres() {
                    super::$name(database);
                }
            })+
        }

        $(fn $name($database: crate::database::Database) $body)+
    };
}

/// Says what does not run. Straight to the terminal: the harness keeps what passing tests print.
pub(crate) fn skipped(what: &str) {
    let line = format!("skipped: {what}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// PostgreSQL, or `None` with a line that says so.
pub(crate) fn postgres() -> Option<Database> {
    static SAY_ONCE: Once = Once::new();
    if std::env::var_os("ONEGIN_TEST_POSTGRES_URL").is_some() {
        return Some(Database::Postgres);
    }
    SAY_ONCE.call_once(|| {
        skipped("tests on PostgreSQL, ONEGIN_TEST_POSTGRES_URL is not set");
    });
    None
}

#[derive(QueryableByName)]
struct Cell {
    #[diesel(sql_type = Text)]
    cell: String,
}

/// The database itself; dropped with the test.
pub(crate) struct TestDatabase {
    url: String,
    /// The server's database that makes and drops ours, and our name.
    postgres: Option<(String, String)>,
}

impl TestDatabase {
    pub(crate) fn new(database: Database, directory: &Path) -> Self {
        match database {
            Database::Sqlite => Self {
                url: format!("sqlite:{}", directory.join("onegin.db").display()),
                postgres: None,
            },
            Database::Postgres => {
                let database = Self::empty_postgres();
                Storage::upgrade(&database.config()).unwrap();
                database
            }
        }
    }

    /// On a server of the test's own, which ends with all that is on it.
    pub(crate) fn at(url: String) -> Self {
        let database = Self {
            url,
            postgres: None,
        };
        Storage::upgrade(&database.config()).unwrap();
        database
    }

    /// With nothing in it, not even a schema.
    pub(crate) fn empty_postgres() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let admin_url = std::env::var("ONEGIN_TEST_POSTGRES_URL").unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("onegin_it_{}_{number}", std::process::id());
        execute(&admin_url, &format!("CREATE DATABASE {name}"));
        let (server, _) = admin_url.rsplit_once('/').unwrap();
        Self {
            url: format!("{server}/{name}"),
            postgres: Some((admin_url, name)),
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Statements that the product knows nothing of.
    pub(crate) fn execute(&self, sql: &str) {
        match self.url.strip_prefix("sqlite:") {
            Some(path) => SqliteConnection::establish(path)
                .unwrap()
                .batch_execute(sql),
            None => PgConnection::establish(&self.url)
                .unwrap()
                .batch_execute(sql),
        }
        .unwrap();
    }

    /// The rows of a query for one text column named `cell`.
    pub(crate) fn cells(&self, sql: &str) -> Vec<String> {
        let rows: QueryResult<Vec<Cell>> = match self.url.strip_prefix("sqlite:") {
            Some(path) => sql_query(sql).load(&mut SqliteConnection::establish(path).unwrap()),
            None => sql_query(sql).load(&mut PgConnection::establish(&self.url).unwrap()),
        };
        rows.unwrap().into_iter().map(|row| row.cell).collect()
    }

    pub(crate) fn config(&self) -> DatabaseConfig {
        DatabaseConfig {
            db_url: Some(self.url.clone()),
            // Many tests share one server.
            db_pool_size: 2.try_into().unwrap(),
            ..DatabaseConfig::default()
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Some((admin_url, name)) = &self.postgres {
            execute(admin_url, &format!("DROP DATABASE {name} WITH (FORCE)"));
        }
    }
}

fn execute(url: &str, sql: &str) {
    PgConnection::establish(url)
        .unwrap()
        .batch_execute(sql)
        .unwrap();
}
