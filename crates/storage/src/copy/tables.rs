//! What is copied. A test asks both databases whether anything is missing here.

/// A table, in the terms of both databases.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// The columns that its rows are read by; whole numbers, and the first of `columns`.
    pub(super) key: &'static [&'static str],
    pub(super) columns: &'static [Column],
    /// Whether it gives out ids, and those of deleted rows never again.
    pub(super) has_ids: bool,
    /// The row that the schema brings itself, if any: a target that has just this is empty, and
    /// the source's row takes its place.
    pub(super) born_with: Option<&'static str>,
}

/// A column and its kind.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What a column holds; the type is PostgreSQL's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Number(&'static str),
    Text,
    /// A list of numbers; JSON text in SQLite.
    Numbers,
    /// A moment; in the server's zone in PostgreSQL, in UTC in SQLite.
    Time,
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

const INT2: Kind = Kind::Number("int2");
const INT4: Kind = Kind::Number("int4");
const INT8: Kind = Kind::Number("int8");

/// Those that others refer to come first. Left out are what the schema brings itself
/// (`alembic_version`, `catalogue_version`) and the id of `user_message_last_time_sent`, which
/// SQLite does not have and nothing names.
pub(super) const TABLES: [Table; 8] = [
    Table {
        name: "login",
        key: &["id"],
        columns: &[column("id", INT8), column("language_id", INT2)],
        has_ids: false,
        born_with: None,
    },
    Table {
        name: "device",
        key: &["id"],
        columns: &[
            column("id", INT4),
            column("login_id", INT8),
            column("platform_id", INT2),
            column("device_token", Kind::Text),
            column("device_token_new", Kind::Text),
            column("application_version", INT4),
            column("unregistered_ts", Kind::Time),
            column("last_login_ts", Kind::Time),
            column("app", INT8),
        ],
        has_ids: true,
        born_with: None,
    },
    Table {
        name: "message",
        key: &["id"],
        columns: &[
            column("id", INT4),
            column("name", Kind::Text),
            column("cooldown_ts", INT8),
            column("trigger_event_id", INT4),
            column("screen", Kind::Text),
            column("expiry_millis", INT8),
            column("priority", Kind::Text),
        ],
        has_ids: true,
        born_with: None,
    },
    Table {
        name: "message_localization",
        key: &["id"],
        columns: &[
            column("id", INT4),
            column("message_id", INT4),
            column("language_id", INT2),
            column("message_title", Kind::Text),
            column("message_text", Kind::Text),
        ],
        has_ids: true,
        born_with: None,
    },
    Table {
        name: "message_blacklist",
        key: &["id"],
        columns: &[
            column("id", INT4),
            column("login_id", INT8),
            column("blacklist", Kind::Numbers),
        ],
        has_ids: true,
        born_with: None,
    },
    Table {
        name: "user_message_last_time_sent",
        key: &["login_id", "message_id"],
        columns: &[
            column("login_id", INT8),
            column("message_id", INT4),
            column("last_time_sent_ts_bigint", INT8),
            column("decided_by", Kind::Text),
        ],
        has_ids: false,
        born_with: None,
    },
    Table {
        name: "organisation",
        key: &["id"],
        columns: &[
            column("id", INT4),
            column("name", Kind::Text),
            column("created_at", INT8),
        ],
        has_ids: true,
        born_with: Some("id = 1"),
    },
    // With their hashes: whoever has a key goes on using it on the copy.
    Table {
        name: "api_key",
        key: &["id"],
        columns: &[
            column("id", INT4),
            column("organisation_id", INT4),
            column("key", Kind::Text),
            column("algorithm", Kind::Text),
            column("hash", Kind::Text),
            column("note", Kind::Text),
            column("created_at", INT8),
            column("disabled_at", INT8),
        ],
        has_ids: true,
        born_with: None,
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use diesel::{QueryableByName, RunQueryDsl as _, sql_query, sql_types::Text};

    use super::*;
    use crate::{connection, migrate};

    #[derive(QueryableByName)]
    struct Name {
        #[diesel(sql_type = Text)]
        name: String,
    }

    /// Both kinds have the same tables and columns, but for the id that is left out.
    #[test]
    fn every_column_of_every_table_is_copied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("onegin.db");
        migrate::upgrade_sqlite(&path).unwrap();
        let mut connection =
            connection::connect_sqlite(&path, connection::Role::SqliteReader).unwrap();
        let query = "SELECT tables.name || '.' || columns.name AS name \
                     FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns \
                     WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite_%' \
                       AND tables.name NOT IN ('catalogue_version', '__diesel_schema_migrations')";
        let names: Vec<Name> = sql_query(query).load(&mut connection).unwrap();
        let names: BTreeSet<String> = names.into_iter().map(|name| name.name).collect();
        let copied = TABLES.iter().flat_map(|table| {
            let columns = table.columns.iter();
            columns.map(|column| format!("{}.{}", table.name, column.name))
        });
        assert_eq!(names, copied.collect());
    }

    #[test]
    fn keys_are_the_first_columns() {
        for table in &TABLES {
            let first = table.columns.iter().map(|column| column.name);
            assert!(first.take(table.key.len()).eq(table.key.iter().copied()));
        }
    }
}
