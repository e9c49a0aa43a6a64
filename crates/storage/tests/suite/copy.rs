//! Whole databases, copied from either kind to either kind.

use std::cell::RefCell;

use model::OrganisationId;
use proptest::{
    collection::{btree_map, vec},
    option,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use storage::{CopiedTable, CopyError, CopyStep, NewApiKey, Storage, StorageError, copy_database};

use crate::{
    adoption::history::PASTS,
    database::{ANDROID, Database, attributes, log_in, message, tokens},
};

/// Every way a copy can go: source and target.
fn ways() -> Vec<(Database, Database)> {
    let postgres = || Database::empty_postgres().inspect(upgrade);
    let mut ways = vec![(sqlite(), Database::sqlite())];
    if let (Some(a), Some(b), Some(c), Some(d)) = (
        postgres(),
        postgres(),
        Database::empty_postgres(),
        Database::empty_postgres(),
    ) {
        ways.extend([(sqlite(), c), (a, Database::sqlite()), (b, d)]);
    }
    ways
}

fn upgrade(database: &Database) {
    in_belgrade(database);
    Storage::upgrade(&database.config).unwrap();
}

fn sqlite() -> Database {
    let database = Database::sqlite();
    Storage::upgrade(&database.config).unwrap();
    database
}

/// A server's zone that is not UTC, as most are.
fn in_belgrade(database: &Database) {
    if database.is_postgres() {
        database.execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = ''Europe/Belgrade''', current_database()); END $$",
        );
    }
}

fn copy(from: &Database, to: &Database) -> Result<Vec<CopiedTable>, CopyError> {
    copy_database(&from.config, &to.config, &mut |_| {})
}

const TABLES: [(&str, &str); 8] = [
    ("login", "id, language_id"),
    (
        "device",
        "id, login_id, platform_id, device_token, device_token_new, application_version, unregistered_ts, last_login_ts, app",
    ),
    (
        "message",
        "id, name, cooldown_ts, trigger_event_id, screen, expiry_millis, priority",
    ),
    (
        "message_localization",
        "id, message_id, language_id, message_title, message_text",
    ),
    ("message_blacklist", "id, login_id, blacklist"),
    (
        "user_message_last_time_sent",
        "login_id, message_id, last_time_sent_ts_bigint, decided_by",
    ),
    ("organisation", "id, name, created_at"),
    (
        "api_key",
        "id, organisation_id, key, algorithm, hash, note, created_at, disabled_at",
    ),
];

/// All rows as the database itself writes them down, but for the legacy organisation's own.
fn dump(database: &Database) -> Vec<String> {
    let mut dump = Vec::new();
    for (table, columns) in TABLES {
        let row = if database.is_postgres() {
            format!("ROW({columns})::text")
        } else {
            let quoted: Vec<String> = columns
                .split(", ")
                .map(|name| format!("quote({name})"))
                .collect();
            quoted.join(" || ',' || ")
        };
        let key = if table.starts_with("user_message") {
            "login_id, message_id"
        } else {
            "id"
        };
        let rows = database.cells(&format!(
            "SELECT {row} AS cell FROM {table} {} ORDER BY {key}",
            if table == "organisation" {
                "WHERE id > 1"
            } else {
                ""
            }
        ));
        dump.extend(
            rows.into_iter()
                .map(|row| format!("{table}: {}", row.unwrap())),
        );
    }
    dump
}

/// A statement of this database's kind.
fn on(database: &Database, sqlite: &str, postgres: &str) {
    database.execute(if database.is_postgres() {
        postgres
    } else {
        sqlite
    });
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn optional<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(|| "NULL".to_owned(), |value| value.to_string())
}

/// Texts of all kinds; PostgreSQL has no NUL.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z{}'\"\\\\,]{0,8}",
        "\\PC{0,12}",
        Just("🐎\n\t\u{1}\u{feff}".to_owned())
    ]
    .prop_map(|text| quoted(&text))
}

/// A moment in summer, when Belgrade's clock goes neither forward nor back.
fn time() -> impl Strategy<Value = String> {
    (1971..2200, 4..10, 1..29, 0..24, 0..60, 0..60, 0..1_000_000).prop_map(
        |(year, month, day, hour, minute, second, microsecond)| {
            format!(
                "'{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{microsecond:06}'"
            )
        },
    )
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![Just(i64::MIN), Just(i64::MAX), -3..3_i64, any::<i64>()]
}

/// Rows of all tables, as statements that either kind takes but for lists.
fn rows() -> impl Strategy<Value = Vec<String>> {
    let device = (
        any::<i16>(),
        text(),
        option::of(text()),
        option::of(any::<i32>()),
        option::of(time()),
        time(),
        option::of(number()),
    );
    let login = (
        option::of(any::<i16>()),
        vec(device, 0..3),
        option::of(option::of(vec(option::of(any::<i32>()), 0..4))),
        vec((number(), option::of(text())), 3),
    );
    let message = (
        option::of(number()),
        option::of(any::<i32>()),
        text(),
        option::of(number()),
        any::<bool>(),
        btree_map(any::<i16>(), (text(), text()), 0..3),
    );
    let key = (text(), option::of(text()), number(), option::of(number()));
    let organisations = vec(vec(key, 0..3), 0..3);
    (btree_map(number(), login, 0..12), vec(message, 3), organisations).prop_map(|(logins, messages, organisations)| {
        let mut sql = Vec::new();
        for (place, keys) in organisations.into_iter().enumerate() {
            let organisation = 3 * place + 2;
            sql.push(format!("INSERT INTO organisation (id, name, created_at) VALUES ({organisation}, 'o {place}', {place})"));
            for (number, (hash, note, created, disabled)) in keys.into_iter().enumerate() {
                sql.push(format!(
                    "INSERT INTO api_key (organisation_id, key, algorithm, hash, note, created_at, disabled_at) \
                     VALUES ({organisation}, 'k {place} {number}', 'sha256', {hash}, {}, {created}, {})",
                    optional(note), optional(disabled)
                ));
            }
        }
        for (number, (cooldown, trigger, screen, expiry, high, texts)) in messages.into_iter().enumerate() {
            let id = number * 7 + 1;
            let priority = if high { "high" } else { "normal" };
            sql.push(format!(
                "INSERT INTO message (id, name, cooldown_ts, trigger_event_id, screen, expiry_millis, priority) \
                 VALUES ({id}, 'message {id}', {}, {}, {screen}, {}, '{priority}')",
                optional(cooldown), optional(trigger), optional(expiry)
            ));
            for (language, (title, words)) in texts {
                sql.push(format!("INSERT INTO message_localization (message_id, language_id, message_title, message_text) VALUES ({id}, {language}, {title}, {words})"));
            }
        }
        for (login, (language, devices, blacklist, sent)) in logins {
            sql.push(format!("INSERT INTO login VALUES ({login}, {})", optional(language)));
            for (platform, token, token_new, version, ended, seen, app) in devices {
                sql.push(format!(
                    "INSERT INTO device (login_id, platform_id, device_token, device_token_new, application_version, unregistered_ts, last_login_ts, app) \
                     VALUES ({login}, {platform}, {token}, {}, {}, {}, {seen}, {})",
                    optional(token_new), optional(version), optional(ended), optional(app)
                ));
            }
            if let Some(list) = blacklist {
                let list = list.map(|list| {
                    let numbers: Vec<String> = list.into_iter().map(|number| optional(number).to_lowercase()).collect();
                    format!("LIST{}ENDLIST", numbers.join(","))
                });
                sql.push(format!("INSERT INTO message_blacklist (login_id, blacklist) VALUES ({login}, {})", optional(list)));
            }
            for (place, (at, item)) in sent.into_iter().enumerate() {
                sql.push(format!(
                    "INSERT INTO user_message_last_time_sent (login_id, message_id, last_time_sent_ts_bigint, decided_by) VALUES ({login}, {}, {at}, {})",
                    place * 7 + 1, optional(item)
                ));
            }
        }
        sql
    })
}

fn fill(database: &Database, rows: &[String]) {
    let (begin, end) = if database.is_postgres() {
        ("'{", "}'")
    } else {
        ("'[", "]'")
    };
    let sql = rows.join(";\n").replace("ENDLIST", end);
    database.execute(&sql.replace("LIST", begin));
}

fn back(database: &Database) -> Database {
    if database.is_postgres() {
        let postgres = Database::empty_postgres().expect("there was one a moment ago");
        in_belgrade(&postgres);
        postgres
    } else {
        Database::sqlite()
    }
}

#[test]
fn a_copy_there_and_back_is_the_same() {
    let mut runner = TestRunner::new(Config {
        cases: 4,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&rows(), |rows| {
            for (from, to) in ways() {
                in_belgrade(&to);
                fill(&from, &rows);
                let copied = copy(&from, &to).unwrap();
                let count: u64 = copied.iter().map(|table| table.target_rows).sum();
                // One more: the organisation that every database has.
                prop_assert_eq!(count, rows.len() as u64 + 1);
                let back = back(&from);
                copy(&to, &back).unwrap();
                prop_assert_eq!(dump(&from), dump(&back));
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn lists_and_times_mean_the_same_on_both_kinds() {
    let Some(postgres) = Database::empty_postgres() else {
        return;
    };
    in_belgrade(&postgres);
    let sqlite = sqlite();
    sqlite.execute(
        "INSERT INTO login VALUES (1, NULL), (2, 7), (3, 7);
         INSERT INTO message_blacklist (login_id, blacklist) VALUES (1, '[1, -2,null]'), (2, NULL), (3, '[]');
         INSERT INTO device (login_id, platform_id, device_token, unregistered_ts, last_login_ts) VALUES
             (1, 1, 'short', '2024-01-31 23:30:00', '2024-07-01 10:00:00.5'),
             (1, 1, 'early', NULL, '1969-12-31 23:59:59.250000')",
    );
    copy(&sqlite, &postgres).unwrap();
    let cells = |sql: &str| -> Vec<String> {
        let cells = postgres.cells(sql).into_iter();
        cells
            .map(|cell| cell.unwrap_or_else(|| "NULL".into()))
            .collect()
    };
    let lists = cells("SELECT blacklist::text AS cell FROM message_blacklist ORDER BY id");
    assert_eq!(lists, ["{1,-2,NULL}", "NULL", "{}"]);
    let times = cells(
        "SELECT concat_ws(' / ', unregistered_ts, last_login_ts) AS cell FROM device ORDER BY id",
    );
    assert_eq!(
        times,
        [
            "2024-02-01 00:30:00 / 2024-07-01 12:00:00.5",
            "1970-01-01 00:59:59.25"
        ]
    );
}

#[test]
fn times_in_the_hour_that_comes_twice_are_counted_and_do_not_stop_a_copy() {
    let Some(postgres) = Database::empty_postgres() else {
        return;
    };
    in_belgrade(&postgres);
    let sqlite = sqlite();
    sqlite.execute(
        "INSERT INTO login VALUES (1, 1);
         INSERT INTO device (login_id, platform_id, device_token, last_login_ts) VALUES
             (1, 1, 'summer', '2025-10-26 00:30:00'), (1, 1, 'winter', '2025-10-26 01:30:00')",
    );
    let copied = copy(&sqlite, &postgres).unwrap();
    let device = copied.iter().find(|table| table.name == "device").unwrap();
    assert_eq!((device.ambiguous_times, device.target_rows), (1, 2));
    assert_eq!(device.difference, None);
}

#[test]
fn ids_of_deleted_rows_do_not_come_back_on_the_copy() {
    for (from, to) in ways() {
        let storage = from.open();
        log_in(&storage, 1, ANDROID, "kept");
        log_in(&storage, 1, ANDROID, "deleted");
        let kept = message(&storage, "kept", None);
        let deleted = message(&storage, "deleted", None);
        storage.delete_message("deleted").unwrap();
        from.execute("DELETE FROM device WHERE device_token = 'deleted'");
        drop(storage);
        copy(&from, &to).unwrap();
        let storage = to.open();
        assert_eq!(storage.catalogue().named("kept").unwrap().id, kept);
        assert!(message(&storage, "new", None).0 > deleted.0);
        log_in(&storage, 1, ANDROID, "new");
        assert_eq!(
            to.number("SELECT CAST(max(id) AS bigint) AS cell FROM device"),
            3
        );
        storage.upsert_localization(kept, 1, "T", "C").unwrap();
        storage.set_blacklist(model::LoginId(1), &[1]).unwrap();
    }
}

#[test]
fn the_legacy_organisation_of_the_source_takes_the_place_of_the_targets() {
    for (from, to) in ways() {
        from.execute("UPDATE organisation SET name = 'Chess Club', created_at = 7");
        let storage = from.open();
        storage.add_organisation("gone").unwrap();
        let key = NewApiKey {
            organisation: OrganisationId::LEGACY,
            key: "K",
            algorithm: "sha256",
            hash: "00",
            note: Some("of the game server"),
        };
        assert!(storage.add_api_key(&key).unwrap());
        assert!(storage.set_api_key_enabled("K", false).unwrap());
        let key = storage.api_key("K").unwrap();
        from.execute("DELETE FROM organisation WHERE name = 'gone'");
        copy(&from, &to).unwrap();
        let storage = to.open();
        let legacy = storage.organisation("Chess Club").unwrap().unwrap();
        assert_eq!(
            (legacy.id, legacy.created_at.0),
            (OrganisationId::LEGACY, 7)
        );
        assert_eq!(storage.organisation("legacy").unwrap(), None);
        assert_eq!(storage.api_key("K").unwrap(), key);
        storage.add_organisation("new").unwrap();
        let new = storage.organisation("new").unwrap().unwrap();
        assert_eq!(new.id, OrganisationId(3), "2 was another one's");
    }
}

#[test]
fn a_target_with_a_key_is_refused() {
    for (from, to) in ways() {
        Storage::upgrade(&to.config).unwrap();
        to.execute("INSERT INTO api_key (organisation_id, key, algorithm, hash, created_at) VALUES (1, 'k', 'sha256', '', 0)");
        let refused = copy(&from, &to);
        assert!(matches!(
            refused,
            Err(CopyError::TargetNotEmpty { table: "api_key" })
        ));
    }
}

#[test]
fn a_target_with_rows_is_refused_and_left_alone() {
    for (from, to) in ways() {
        Storage::upgrade(&to.config).unwrap();
        message(&to.open(), "mine", None);
        let before = dump(&to);
        log_in(&from.open(), 1, ANDROID, "a");
        let refused = copy(&from, &to);
        assert!(matches!(
            refused,
            Err(CopyError::TargetNotEmpty { table: "message" })
        ));
        assert_eq!(dump(&to), before);
    }
}

#[test]
fn an_old_target_with_rows_is_not_even_upgraded() {
    let Some(to) = Database::empty_postgres() else {
        return;
    };
    to.execute(&PASTS[0].sql());
    let refused = copy(&sqlite(), &to);
    assert!(matches!(
        refused,
        Err(CopyError::TargetNotEmpty { table: "login" })
    ));
    let revision = to.cells("SELECT version_num AS cell FROM alembic_version");
    assert_eq!(revision, [Some("e2a42bcd4c02".into())]);
}

#[test]
fn a_missing_and_an_old_source_are_refused_and_not_touched() {
    let (missing, to) = (Database::sqlite(), Database::sqlite());
    assert!(matches!(
        copy(&missing, &to),
        Err(CopyError::NoSource { .. })
    ));
    assert!(matches!(
        copy(&missing, &to),
        Err(CopyError::NoSource { .. })
    ));
    let Some(old) = Database::empty_postgres() else {
        return;
    };
    old.execute(&PASTS[0].sql());
    let refused = copy(&old, &to);
    assert!(matches!(
        refused,
        Err(CopyError::Source(StorageError::SchemaOld))
    ));
    let revision = old.cells("SELECT version_num AS cell FROM alembic_version");
    assert_eq!(revision, [Some("e2a42bcd4c02".into())]);
}

#[test]
fn a_failing_copy_leaves_the_target_empty() {
    for (from, to) in ways() {
        log_in(&from.open(), 1, ANDROID, "a");
        on(
            &from,
            "UPDATE device SET unregistered_ts = 'yesterday'",
            "UPDATE device SET unregistered_ts = 'infinity'",
        );
        copy(&from, &to).unwrap_err();
        assert_eq!(dump(&to), [""; 0]);
        from.execute("UPDATE device SET unregistered_ts = NULL");
        copy(&from, &to).unwrap();
        assert_eq!(tokens(&to.open(), 1), ["a"]);
    }
}

#[test]
fn a_target_that_keeps_something_else_is_found_out_and_left_empty() {
    for (from, to) in ways() {
        Storage::upgrade(&to.config).unwrap();
        let storage = from.open();
        for name in ["one", "two", "three"] {
            message(&storage, name, None);
        }
        on(
            &to,
            "CREATE TRIGGER improve AFTER INSERT ON message WHEN new.name = 'two'
             BEGIN UPDATE message SET screen = 'x' WHERE id = new.id; END",
            "CREATE FUNCTION improve() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN IF new.name = ''two'' THEN RETURN NULL; END IF; RETURN new; END';
             CREATE TRIGGER improve BEFORE INSERT ON message FOR EACH ROW EXECUTE FUNCTION improve()",
        );
        let Err(CopyError::Different { tables }) = copy(&from, &to) else {
            panic!("the difference was not found");
        };
        let different: Vec<_> = tables
            .iter()
            .filter(|table| table.difference.is_some())
            .collect();
        assert_eq!(different.len(), 1);
        assert_eq!(
            (different[0].name, different[0].difference.as_deref()),
            ("message", Some("2"))
        );
        assert_eq!(dump(&to), [""; 0]);
    }
}

#[test]
fn what_is_written_to_the_source_meanwhile_is_not_copied() {
    for (from, to) in ways() {
        let storage = from.open();
        for user in 1..=5 {
            log_in(&storage, user, ANDROID, &format!("token {user}"));
        }
        let before = dump(&from);
        let steps = RefCell::new(Vec::new());
        copy_database(&from.config, &to.config, &mut |step| {
            if step
                == (CopyStep::Copying {
                    table: "device",
                    rows: 5,
                })
            {
                log_in(&storage, 6, ANDROID, "late");
                storage.delete_login(model::LoginId(1)).unwrap();
            }
            steps.borrow_mut().push(step);
        })
        .unwrap();
        assert_eq!(to.number("SELECT count(*) AS cell FROM device"), 5);
        assert_eq!(tokens(&to.open(), 1), ["token 1"]);
        assert!(dump(&from) != before);
        assert_eq!(steps.borrow().len(), 2 * TABLES.len() + 6);
    }
}

#[test]
fn more_rows_than_a_batch_are_all_copied() {
    for (from, to) in ways() {
        let numbers = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2500)";
        from.open().upsert_message(&attributes("m", None)).unwrap();
        from.execute(&format!(
            "{numbers} INSERT INTO login SELECT n, 1 FROM numbers"
        ));
        from.execute(&format!(
            "{numbers} INSERT INTO user_message_last_time_sent (login_id, message_id, last_time_sent_ts_bigint) SELECT n, 1, n FROM numbers"
        ));
        let copied = copy(&from, &to).unwrap();
        let counts: Vec<u64> = copied.iter().map(|table| table.target_rows).collect();
        assert_eq!(counts, [2500, 0, 1, 0, 0, 2500, 1, 0]);
    }
}
