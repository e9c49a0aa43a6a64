//! The number of SQL statements does not grow with the batch.

use model::{DeviceToken, LoginId, MessageId, Platform};
use storage::{Scope, Storage};

use crate::database::{ANDROID, Database, eventually, item, login, message};

/// Statements of a batch in which each of `users` users logs in twice, turns a message off and
/// claims another; a device and a user limit are at work.
fn written(storage: &Storage, users: i64, offset: i64, messages: [MessageId; 2]) -> u64 {
    let token = |user: i64| format!("token {}", offset + user / 2);
    let scope = Scope {
        logins: (0..users).map(|user| LoginId(offset + user)).collect(),
        tokens: (0..users)
            .flat_map(|user| {
                [ANDROID, Platform::IPHONE]
                    .map(|platform| (platform, DeviceToken::new(token(user))))
            })
            .collect(),
        writes: true,
    };
    let before = storage.statements();
    let folded = storage.fold(&scope, |changed| {
        for user in 0..users {
            for platform in [ANDROID, Platform::IPHONE] {
                changed
                    .log_in(&login(offset + user, platform, &token(user)))
                    .unwrap();
            }
            changed
                .set_blacklist(LoginId(offset + user), vec![messages[0].0])
                .unwrap();
            changed.claim(LoginId(offset + user), messages[1], item(0));
        }
    });
    assert_eq!(folded.unwrap().won.len(), usize::try_from(users).unwrap());
    storage.statements() - before
}

pub(crate) fn a_writing_batch_of_1000_costs_what_10_cost(database: &Database) {
    let storage = database.open_with_limits(1, 1);
    let messages = [
        message(&storage, "a", None),
        message(&storage, "b", Some(1)),
    ];
    let prepare = |offset| written(&storage, 1, offset, messages);
    prepare(-1);
    let (few, many) = (
        written(&storage, 10, 0, messages),
        written(&storage, 1000, 10_000, messages),
    );
    assert_eq!(few, many);
    // The same users again: rows are updated and deleted too.
    database.age_sends(10_000);
    let (few_again, many_again) = (
        written(&storage, 10, 0, messages),
        written(&storage, 1000, 10_000, messages),
    );
    assert_eq!(few_again, many_again);
    assert!(
        few <= 16 && few_again <= 16,
        "{few} and {few_again} statements"
    );
}

pub(crate) fn a_reading_batch_of_1000_costs_what_10_cost(database: &Database) {
    let storage = database.open();
    let message = message(&storage, "a", Some(1));
    let read = |users: i64| {
        let scope = Scope {
            logins: (0..users).map(LoginId).collect(),
            ..Scope::default()
        };
        let before = storage.statements();
        let folded = storage.fold(&scope, |asked| {
            for user in (0..users).map(LoginId) {
                assert!(!asked.knows(user) && asked.addresses(user).is_empty());
                assert!(!asked.is_blacklisted(user, message) && asked.language(user).is_none());
                asked.claim(user, message, item(0));
            }
        });
        assert!(folded.unwrap().won.is_empty());
        storage.statements() - before
    };
    assert_eq!((read(10), read(1000)), (3, 3));
}

pub(crate) fn an_empty_batch_costs_nothing(database: &Database) {
    let storage = database.open();
    let before = storage.statements();
    assert!(
        storage
            .fold(&Scope::default(), |users| users.now().0 > 0)
            .unwrap()
            .result
    );
    storage.record_last_sent(&[]).unwrap();
    assert_eq!(storage.statements(), before);
}

fn read(storage: &Storage, users: i64, offset: i64) {
    let scope = Scope {
        logins: (0..users).map(|user| LoginId(offset + user)).collect(),
        ..Scope::default()
    };
    let knows_all = storage.fold(&scope, |read| {
        (0..users).all(|user| read.knows(LoginId(offset + user)))
    });
    assert!(knows_all.unwrap().result);
}

/// A fresh installation prepares its statements while the tables are empty, and keeps the plans.
#[test]
fn statements_prepared_on_empty_tables_do_not_scan_the_grown_ones() {
    let Some(database) = Database::postgres() else {
        return;
    };
    const GROWN: i64 = 30_000;
    const TABLES: [&str; 4] = [
        "login",
        "device",
        "message_blacklist",
        "user_message_last_time_sent",
    ];
    for table in TABLES {
        // Otherwise an analyze may come in between and repair the plans.
        database.execute(&format!(
            "ALTER TABLE {table} SET (autovacuum_enabled = off)"
        ));
    }
    let storage = database.open();
    let messages = [
        message(&storage, "a", None),
        message(&storage, "b", Some(1)),
    ];
    // PostgreSQL decides about a plan of its own at the sixth execution.
    for offset in 0..10 {
        written(&storage, 1, offset, messages);
        read(&storage, 1, offset);
    }
    database.execute(&format!(
        "INSERT INTO login SELECT id, 1 FROM generate_series(1000, {GROWN} + 999) id;
         INSERT INTO device (login_id, platform_id, device_token) SELECT id, 1, id::text FROM login WHERE id >= 1000;
         INSERT INTO message_blacklist (login_id, blacklist) SELECT id, '{{}}' FROM login WHERE id >= 1000;
         INSERT INTO user_message_last_time_sent (login_id, message_id, last_time_sent_ts_bigint)
         SELECT id, 2, 0 FROM login WHERE id >= 1000"
    ));
    let of_tables = format!(
        "FROM pg_stat_user_tables WHERE relname IN ('{}')",
        TABLES.join("', '")
    );
    let figure =
        |column: &str| database.number(&format!("SELECT sum({column})::int8 AS cell {of_tables}"));
    // The growing itself reads the login table by scans, on a connection that has ended.
    eventually("the growing is in the statistics", || {
        figure("n_tup_ins") >= 4 * GROWN
    });
    let scanned = figure("seq_tup_read");
    for offset in 100..110 {
        written(&storage, 10, offset * 10, messages);
        read(&storage, 10, offset * 10);
    }
    let looked_up = figure("idx_tup_fetch");
    // A connection hands its statistics over at its end.
    drop(storage);
    eventually("the batches are in the statistics", || {
        figure("idx_tup_fetch") > looked_up
    });
    assert!(
        figure("seq_tup_read") - scanned < GROWN,
        "a table was scanned"
    );
}
