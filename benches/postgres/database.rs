//! A PostgreSQL database of a bench's own, dropped with it.

use diesel::{Connection, PgConnection, connection::SimpleConnection};

/// Made on the server that `ONEGIN_TEST_POSTGRES_URL` names.
pub(crate) struct PostgresDatabase {
    admin_url: String,
    name: String,
}

impl PostgresDatabase {
    /// A new one; `bench` is part of its name.
    pub(crate) fn new(admin_url: String, bench: &str) -> Self {
        let name = format!("onegin_bench_{bench}_{}", std::process::id());
        execute(&admin_url, &format!("CREATE DATABASE {name}"));
        Self { admin_url, name }
    }

    pub(crate) fn url(&self) -> String {
        let (server, _) = self.admin_url.rsplit_once('/').expect("a database URL");
        format!("{server}/{}", self.name)
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        let name = &self.name;
        execute(
            &self.admin_url,
            &format!("DROP DATABASE {name} WITH (FORCE)"),
        );
    }
}

/// Runs statements that answer nothing.
pub(crate) fn execute(url: &str, sql: &str) {
    PgConnection::establish(url)
        .expect("PostgreSQL answers")
        .batch_execute(sql)
        .expect("the statement is right");
}
