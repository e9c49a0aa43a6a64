//! The number of SQL statements does not grow with the batch.

use model::{DeviceToken, LoginId, MessageId, Platform};
use storage::{Scope, Storage};

use crate::database::{ANDROID, Database, item, login, message};

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
