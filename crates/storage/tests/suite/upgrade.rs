//! Schemas: new ones, older ones, Pushkin's, and those that are refused.

use std::{os::unix::fs::PermissionsExt as _, path::Path, thread};

use storage::{Storage, StorageError, UpgradeError};

use crate::database::{ANDROID, Database, log_in};

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
    assert_eq!(counts, [0, 3]);
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
