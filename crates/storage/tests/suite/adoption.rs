//! Pushkin's databases, at every revision there ever was, become Onegin's and lose nothing.

use std::collections::BTreeSet;

use model::{LoginId, MessageId};
use storage::{Scope, Storage, StorageError, UpgradeError};

use self::history::{PASTS, Past};
use crate::database::{ANDROID, Database, log_in, tokens};

pub(crate) mod history;

/// The only column that goes, and the columns that come.
const REMOVED: [&str; 1] = ["device.device_id"];
const ADDED: [&str; 5] = [
    "message.expiry_millis",
    "message.priority",
    "device.last_login_ts",
    "device.app",
    "user_message_last_time_sent.decided_by",
];
/// The tables that come beside Pushkin's.
const OURS: [&str; 2] = ["organisation.", "api_key."];
const TABLES: [&str; 6] = [
    "login",
    "device",
    "message",
    "message_localization",
    "message_blacklist",
    "user_message_last_time_sent",
];

fn pushkin(past: &Past) -> Option<Database> {
    let database = Database::empty_postgres()?;
    database.execute(&past.sql());
    Some(database)
}

fn is_blacklisted(storage: &Storage, login: i64, message: i32) -> bool {
    let scope = Scope {
        logins: vec![LoginId(login)],
        ..Scope::default()
    };
    let folded = storage.fold(&scope, |users| {
        users.is_blacklisted(LoginId(login), MessageId(message))
    });
    folded.unwrap().result
}

fn column_names(database: &Database) -> BTreeSet<String> {
    let names = "SELECT table_name || '.' || column_name AS cell FROM information_schema.columns \
                 WHERE table_schema = 'public'";
    database.cells(names).into_iter().flatten().collect()
}

/// The rows of Pushkin's tables, in these columns.
fn contents(database: &Database, columns: &BTreeSet<String>) -> Vec<(&'static str, Vec<String>)> {
    let mut contents = Vec::new();
    for table in TABLES {
        let of_table = |name: &&String| name.split('.').next() == Some(table);
        let names: Vec<&str> = columns
            .iter()
            .filter(of_table)
            .map(String::as_str)
            .collect();
        if !names.is_empty() {
            let rows = format!(
                "SELECT ROW({})::text AS cell FROM {table} ORDER BY id",
                names.join(", ")
            );
            let rows: Vec<String> = database.cells(&rows).into_iter().flatten().collect();
            assert!(rows.len() > 2, "{table} has no rows to lose");
            contents.push((table, rows));
        }
    }
    contents
}

/// Everything that a schema is made of, whatever the columns' order.
fn shape(database: &Database) -> BTreeSet<String> {
    let parts = [
        "SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default) AS cell \
         FROM information_schema.columns WHERE table_schema = 'public'",
        "SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) AS cell \
         FROM pg_constraint WHERE connamespace = 'public'::regnamespace",
        "SELECT indexdef AS cell FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT oid::regprocedure || ' ' || prorettype::regtype AS cell FROM pg_proc \
         WHERE pronamespace = 'public'::regnamespace",
        "SELECT tgrelid::regclass || ' ' || tgname AS cell FROM pg_trigger WHERE NOT tgisinternal",
    ];
    let cells = parts.into_iter().flat_map(|part| database.cells(part));
    cells.flatten().collect()
}

fn assert_has_the_last_schema(past: &Past, adopted: &Database, new: &Database) {
    let (adopted, new) = (shape(adopted), shape(new));
    let difference: Vec<&str> = adopted
        .symmetric_difference(&new)
        .map(String::as_str)
        .collect();
    let of_the_script = [
        "CREATE UNIQUE INDEX alembic_version_pkc ON public.alembic_version USING btree (version_num)",
        "add_message(text,integer,bigint,smallint,text,text,text) integer",
        "add_message(text,integer,bigint,smallint,text,text,text,text) integer",
        "alembic_version alembic_version_pkc PRIMARY KEY (version_num)",
    ];
    let expected = if past.is_created_by_script() {
        &of_the_script[..]
    } else {
        &[]
    };
    assert_eq!(difference, expected, "{}", past.name);
}

#[test]
fn every_pushkin_database_is_adopted_twice_and_keeps_its_rows() {
    let Some(new) = Database::postgres() else {
        return;
    };
    for past in &PASTS {
        let database = pushkin(past).expect("there was one a moment ago");
        let old_columns = column_names(&database);
        let mut kept = old_columns.clone();
        kept.retain(|column| !REMOVED.contains(&column.as_str()));
        let before = contents(&database, &kept);

        let upgrade = Storage::upgrade(&database.config).unwrap();
        assert_eq!(upgrade.adopted_from.as_deref(), Some(past.name));
        assert_eq!(upgrade.superseded_blacklists, 0);
        assert!(contents(&database, &kept) == before, "{}", past.name);
        let mut columns = column_names(&database);
        columns
            .retain(|column| !column.starts_with("__diesel") && !column.starts_with("catalogue"));
        let came: Vec<&str> = columns
            .difference(&old_columns)
            .map(String::as_str)
            .collect();
        assert!(
            came.iter().all(|column| ADDED.contains(column)
                || OURS.iter().any(|table| column.starts_with(table))
                || column.starts_with("message_blacklist.")
                || column.starts_with("alembic_version.")),
            "{}: {came:?}",
            past.name
        );
        assert!(kept.is_subset(&columns), "{}", past.name);
        assert_has_the_last_schema(past, &database, &new);

        let again = Storage::upgrade(&database.config).unwrap();
        assert_eq!((again.applied.len(), again.adopted_from), (0, None));
        assert!(contents(&database, &kept) == before, "{}", past.name);
        assert_has_the_last_schema(past, &database, &new);
        let revision = database.cells("SELECT version_num AS cell FROM alembic_version");
        assert_eq!(revision, [Some("34dd0bf00472".into())]);
    }
}

#[test]
fn adopted_rows_mean_what_they_meant() {
    for past in &PASTS {
        let Some(database) = pushkin(past) else {
            return;
        };
        let has_blacklists = column_names(&database).contains("message_blacklist.blacklist");
        Storage::upgrade(&database.config).unwrap();
        let storage = database.open();
        assert_eq!(tokens(&storage, 1), ["new-1"], "{}", past.name);
        assert_eq!(storage.devices(LoginId(1)).unwrap().len(), 2);
        assert_eq!(tokens(&storage, 9_007_199_254_740_993), ["big"]);
        let ended =
            "SELECT unregistered_ts::text AS cell FROM device WHERE device_token = 'gone-1'";
        assert_eq!(
            database.cells(ended),
            [Some("2015-05-05 05:05:05.123456".into())]
        );

        let catalogue = storage.catalogue();
        let raid = &catalogue.triggered_by(100)[0];
        assert_eq!(raid.localization(8).unwrap().title, "襲撃！");
        assert_eq!(raid.cooldown_ms, Some(3_600_000));
        let blocks = |login, message| is_blacklisted(&storage, login, message);
        assert!(!blocks(7, 1));
        if has_blacklists {
            assert!(blocks(3, 1) && blocks(3, i32::MAX) && !blocks(3, 2));
            assert!(blocks(6, 2) && !blocks(6, 1));
        }
        let sent = storage.last_sent(LoginId(4), MessageId(2)).unwrap();
        assert_eq!(sent.unwrap().0, 1_431_234_567_891);

        storage.set_blacklist(LoginId(7), &[1]).unwrap();
        log_in(&storage, 7, ANDROID, "new-7");
        assert_eq!(storage.devices(LoginId(7)).unwrap().len(), 2);
    }
}

#[test]
fn pushkins_functions_work_on_every_adopted_database_and_on_a_new_one() {
    let Some(new) = Database::postgres() else {
        return;
    };
    assert_functions_work(&new, "");
    for past in &PASTS {
        let database = pushkin(past).expect("there was one a moment ago");
        Storage::upgrade(&database.config).unwrap();
        let priority = if past.is_created_by_script() {
            ", 'high'"
        } else {
            ""
        };
        assert_functions_work(&database, priority);
    }
}

fn assert_functions_work(database: &Database, priority: &str) {
    let add = |arguments: &str| {
        database.execute(&format!("SELECT add_message({arguments}{priority})"));
    };
    add("'war', 200, 60000, 1::int2, 'T', 'text', 's'");
    add("'war', 7, NULL, 7::int2, 'T7', 'text', 'other'");
    let login = |user: i64, token: &str| {
        database.execute(&format!(
            "SELECT process_user_login({user}, 7::int2, 1::int2, '{token}', 5, 2::int2, 1::int2)"
        ));
    };
    for token in ["a", "b", "a", "c"] {
        login(101, token);
    }
    login(102, "c");
    let storage = database.open();
    assert_eq!(tokens(&storage, 101), ["b"]);
    assert_eq!(tokens(&storage, 102), ["c"]);
    let war = storage.catalogue().named("war").unwrap().id;
    let triggered = storage.catalogue().triggered_by(200).to_vec();
    assert_eq!(triggered[0].id, war);
    let sent = format!("SELECT upsert_user_message_last_time_sent(101, {war})");
    database.execute(&sent);
    database.execute(&sent);
    let blocked =
        "SELECT count(*) AS cell FROM get_non_elligible_user_message_pairs(ARRAY[101::int8, 102])";
    assert_eq!(database.number(blocked), 1);
    let text = |user: i64| {
        let query =
            format!("SELECT message_title AS cell FROM get_localized_message({user}, {war})");
        database.cells(&query)
    };
    assert_eq!(text(101), [Some("T7".into())]);
    assert_eq!(text(404).len(), 0);
}

#[test]
fn a_failing_step_leaves_a_pushkin_database_as_it_was() {
    for past in [&PASTS[0], &PASTS[4], &PASTS[14]] {
        let Some(database) = pushkin(past) else {
            return;
        };
        // In the way of the second migration, when the first has done all its work.
        database.execute("CREATE TABLE catalogue_version (mine int4)");
        let before = (
            shape(&database),
            contents(&database, &column_names(&database)),
        );
        let Err(StorageError::Upgrade(UpgradeError::Migration { name, cause })) =
            Storage::upgrade(&database.config)
        else {
            panic!("upgraded {} over a foreign table", past.name);
        };
        assert!(name.ends_with("onegin_columns"), "{name}");
        assert!(cause.to_string().contains("catalogue_version"), "{cause}");
        let after = (
            shape(&database),
            contents(&database, &column_names(&database)),
        );
        assert!(before == after, "{}", past.name);
    }
}

#[test]
fn unknown_revisions_and_pairs_that_never_were_are_refused_by_name_and_left_alone() {
    for stamps in [
        &["ffff00000000"][..],
        &["34dd0bf00472", "e2a42bcd4c02"],
        &["61e52d26ebea", "ffff00000000"],
    ] {
        let Some(database) = pushkin(&PASTS[0]) else {
            return;
        };
        database.execute("DELETE FROM alembic_version");
        for stamp in stamps {
            database.execute(&format!("INSERT INTO alembic_version VALUES ('{stamp}')"));
        }
        let before = shape(&database);
        let Err(StorageError::Upgrade(error)) = Storage::upgrade(&database.config) else {
            panic!("upgraded {stamps:?}");
        };
        for stamp in stamps {
            assert!(error.to_string().contains(stamp), "{error}");
        }
        assert!(shape(&database) == before);
    }
}

#[test]
fn of_two_opt_out_lists_of_one_user_the_newer_is_kept_and_the_loss_is_told() {
    let script = PASTS
        .iter()
        .find(|past| past.is_created_by_script())
        .unwrap();
    let Some(database) = pushkin(script) else {
        return;
    };
    database.execute(
        "INSERT INTO message_blacklist (login_id, blacklist) VALUES (3, '{2}'), (3, '{3}')",
    );
    let upgrade = Storage::upgrade(&database.config).unwrap();
    assert_eq!(upgrade.superseded_blacklists, 2);
    let storage = database.open();
    let blocked = [1, 2, 3].map(|message| is_blacklisted(&storage, 3, message));
    assert_eq!(blocked, [false, false, true]);
}
