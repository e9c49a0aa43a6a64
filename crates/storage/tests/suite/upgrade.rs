//! Schemas: new ones, older ones, Pushkin's, and those that are refused.

use std::{os::unix::fs::PermissionsExt as _, path::Path, thread};

use model::LoginId;
use storage::{Storage, StorageError, UpgradeError};

use crate::database::{ANDROID, Database, log_in, tokens};

pub(crate) fn upgrading_twice_or_at_once_applies_each_migration_once(database: &Database) {
    let empty = if database.is_postgres() {
        Database::empty_postgres()
    } else {
        None
    };
    let config = empty
        .as_ref()
        .map_or(&database.config, |empty| &empty.config);
    let upgrades = thread::scope(|scope| {
        let upgrades = [(); 2].map(|()| scope.spawn(|| Storage::upgrade(config).unwrap()));
        upgrades.map(|upgrade| upgrade.join().unwrap())
    });
    let mut counts = upgrades.map(|upgrade| upgrade.applied.len());
    counts.sort_unstable();
    assert_eq!(counts, [0, 2]);
    let again = Storage::upgrade(config).unwrap();
    assert_eq!((again.applied.len(), again.adopted_from), (0, None));
    database.open().ping().unwrap();
}

pub(crate) fn a_newer_schema_is_refused(database: &Database) {
    drop(database.open());
    database.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231000000')");
    assert!(matches!(
        Storage::upgrade(&database.config),
        Err(StorageError::Upgrade(UpgradeError::Newer { .. }))
    ));
    assert!(Storage::open(&database.config, database.options()).is_err());
}

#[test]
fn a_sqlite_file_is_private() {
    let database = Database::sqlite();
    let storage = database.open();
    log_in(&storage, 1, ANDROID, "a");
    let file = database
        .config
        .db_url
        .as_deref()
        .unwrap()
        .strip_prefix("sqlite:")
        .unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(Path::new(file).parent().unwrap()), 0o700);
    for suffix in ["", "-wal", "-shm"] {
        assert_eq!(
            mode(Path::new(&format!("{file}{suffix}"))),
            0o600,
            "{suffix}"
        );
    }
}

#[test]
fn postgres_without_a_schema_is_refused_and_the_command_named() {
    let Some(database) = Database::empty_postgres() else {
        return;
    };
    let Err(error) = Storage::open(&database.config, database.options()) else {
        panic!("opened an empty database");
    };
    assert!(matches!(error, StorageError::SchemaOld));
    assert!(
        error
            .to_string()
            .contains("onegin --configuration FILE --upgrade-db")
    );
    assert_eq!(
        database.number("SELECT count(*) AS cell FROM pg_tables WHERE schemaname = 'public'"),
        0
    );
}

#[test]
fn an_unknown_pushkin_revision_is_refused_by_name_and_left_alone() {
    let Some(database) = Database::empty_postgres() else {
        return;
    };
    database.execute(FIRST_REVISION);
    database.execute("UPDATE alembic_version SET version_num = 'ffff00000000'");
    let Err(StorageError::Upgrade(error)) = Storage::upgrade(&database.config) else {
        panic!("upgraded an unknown revision");
    };
    assert!(error.to_string().contains("ffff00000000"));
    assert_eq!(
        database.number("SELECT count(*) AS cell FROM pg_tables WHERE schemaname = 'public'"),
        6
    );
}

/// The oldest revision's tables with a few rows, and a function that later revisions dropped.
const FIRST_REVISION: &str = "
    CREATE TABLE login (id int8 PRIMARY KEY, language_id int2);
    CREATE TABLE device (id serial PRIMARY KEY,
        login_id int8 NOT NULL CONSTRAINT \"Ref_device_to_login\" REFERENCES login (id) ON DELETE CASCADE,
        platform_id int2 NOT NULL, device_id text NOT NULL, device_token text NOT NULL,
        device_token_new text, application_version int4, unregistered_ts timestamp,
        CONSTRAINT c_device_unique UNIQUE (login_id, platform_id, device_id));
    CREATE INDEX idx_device_login_id ON device (login_id);
    CREATE TABLE message (id serial PRIMARY KEY, name text NOT NULL CONSTRAINT c_message_unique_name UNIQUE,
        cooldown_ts int8, trigger_event_id int4, screen text NOT NULL DEFAULT '');
    CREATE TABLE message_localization (id serial PRIMARY KEY,
        message_id int4 NOT NULL REFERENCES message (id) ON DELETE CASCADE, language_id int2 NOT NULL,
        message_title text NOT NULL, message_text text NOT NULL,
        CONSTRAINT c_message_loc_unique_message_language UNIQUE (message_id, language_id));
    CREATE TABLE user_message_last_time_sent (id serial PRIMARY KEY,
        login_id int8 NOT NULL REFERENCES login (id) ON DELETE CASCADE,
        message_id int4 NOT NULL REFERENCES message (id) ON DELETE CASCADE,
        last_time_sent_ts_bigint int8 NOT NULL,
        CONSTRAINT c_user_unique_message UNIQUE (login_id, message_id));
    CREATE TABLE alembic_version (version_num varchar(32) NOT NULL);
    INSERT INTO alembic_version VALUES ('e2a42bcd4c02');
    CREATE FUNCTION process_user_login(a int8, b int2, c int2, d text, e text) RETURNS void
        LANGUAGE sql AS 'SELECT NULL::void';
    INSERT INTO login VALUES (1, 7), (2, NULL);
    INSERT INTO device (login_id, platform_id, device_id, device_token, device_token_new, unregistered_ts)
        VALUES (1, 1, 'x', 'a', 'b', NULL), (1, 1, 'y', 'c', NULL, '2015-05-05 05:05:05');
    INSERT INTO message (name, trigger_event_id, cooldown_ts) VALUES ('m', 100, 5000);
    INSERT INTO message_localization (message_id, language_id, message_title, message_text) VALUES (1, 7, 'T', 'x');
    INSERT INTO user_message_last_time_sent (login_id, message_id, last_time_sent_ts_bigint) VALUES (1, 1, 12345);
";

#[test]
fn pushkins_oldest_database_is_adopted_with_its_rows() {
    let Some(database) = Database::empty_postgres() else {
        return;
    };
    database.execute(FIRST_REVISION);
    let upgrade = Storage::upgrade(&database.config).unwrap();
    assert_eq!(upgrade.adopted_from.as_deref(), Some("e2a42bcd4c02"));
    assert_eq!(Storage::upgrade(&database.config).unwrap().applied.len(), 0);
    let revision = database.cells("SELECT version_num AS cell FROM alembic_version");
    assert_eq!(revision, [Some("34dd0bf00472".into())]);
    let storage = database.open();
    assert_eq!(tokens(&storage, 1), ["b"]);
    assert_eq!(storage.devices(LoginId(1)).unwrap().len(), 2);
    let unregistered =
        database.cells("SELECT unregistered_ts::text AS cell FROM device WHERE device_token = 'c'");
    assert_eq!(unregistered, [Some("2015-05-05 05:05:05".into())]);
    assert_eq!(
        storage.catalogue().triggered_by(100)[0]
            .localization(7)
            .unwrap()
            .title,
        "T"
    );
    assert_eq!(
        storage
            .last_sent(LoginId(1), model::MessageId(1))
            .unwrap()
            .unwrap()
            .0,
        12345
    );
    log_in(&storage, 3, ANDROID, "a");
    storage.set_blacklist(LoginId(1), &[1]).unwrap();
}

#[test]
fn pushkins_functions_work_on_an_adopted_and_on_a_new_database() {
    let Some(adopted) = Database::empty_postgres() else {
        return;
    };
    adopted.execute(FIRST_REVISION);
    adopted.execute("DELETE FROM login");
    Storage::upgrade(&adopted.config).unwrap();
    let new = Database::postgres().expect("there was one a moment ago");
    for database in [adopted, new] {
        database.execute("SELECT add_message('raid', 100, 60000, 1::int2, 'T', 'text', 's')");
        database.execute("SELECT add_message('raid', 7, NULL, 7::int2, 'T7', 'text', 'other')");
        let login = |user: i64, token: &str| {
            database.execute(&format!(
                "SELECT process_user_login({user}, 7::int2, 1::int2, '{token}', 5, 2::int2, 1::int2)"
            ));
        };
        for token in ["a", "b", "a", "c"] {
            login(1, token);
        }
        login(2, "c");
        let storage = database.open();
        assert_eq!(
            (tokens(&storage, 1), tokens(&storage, 2)),
            (vec!["b".into()], vec!["c".into()])
        );
        let raid = storage.catalogue().named("raid").unwrap().id;
        assert_eq!(
            storage.catalogue().triggered_by(100).last().unwrap().id,
            raid
        );
        database.execute(&format!(
            "SELECT upsert_user_message_last_time_sent(1, {raid})"
        ));
        let blocked =
            "SELECT count(*) AS cell FROM get_non_elligible_user_message_pairs(ARRAY[1::int8, 2])";
        assert_eq!(database.number(blocked), 1);
        let text = format!("SELECT message_title AS cell FROM get_localized_message(1, {raid})");
        assert_eq!(database.cells(&text), [Some("T7".into())]);
    }
}
