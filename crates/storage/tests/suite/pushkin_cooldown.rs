//! The cases of Pushkin's own cooldown tests, by their numbers.
//!
//! Messages 1 to 3 have no cooldown, one of 10 s and one of 1 ms. Sending does what the processor
//! does: messages with a cooldown are claimed, the others recorded afterwards.

use std::collections::BTreeMap;

use model::{ItemId, LoginId, MessageId, UnixMs};
use storage::{Scope, Storage};

use crate::database::{ANDROID, Database, item, log_in, message};

const NONE: i32 = 1;
const LONG: i32 = 2;
const SHORT: i32 = 3;

fn prepared(database: &Database) -> Storage {
    let storage = database.open_with_limits(3, 1);
    log_in(&storage, 1, ANDROID, "a");
    log_in(&storage, 2, ANDROID, "b");
    for (name, cooldown_ms) in [("none", None), ("long", Some(10_000)), ("short", Some(1))] {
        message(&storage, name, cooldown_ms);
    }
    storage
}

/// Sends the pairs in one batch; which were let through.
fn send(storage: &Storage, pairs: &[(i64, i32)]) -> Vec<(i64, i32)> {
    let mut logins: Vec<_> = pairs.iter().map(|(login, _)| LoginId(*login)).collect();
    logins.sort_unstable();
    logins.dedup();
    let scope = Scope {
        logins,
        ..Scope::default()
    };
    let attempts: Vec<(ItemId, (i64, i32))> = pairs.iter().map(|pair| (item(0), *pair)).collect();
    let folded = storage.fold(&scope, |users| {
        for (item, (login, message)) in &attempts {
            if *message != NONE {
                users.claim(LoginId(*login), MessageId(*message), *item);
            }
        }
        users.now()
    });
    let folded = folded.unwrap();
    let is_sent = |(item, (login, message)): &&(ItemId, (i64, i32))| {
        let is_won = folded
            .won
            .contains(LoginId(*login), MessageId(*message), *item);
        *message == NONE || is_won
    };
    let sent: Vec<_> = attempts
        .iter()
        .filter(is_sent)
        .map(|(_, pair)| *pair)
        .collect();
    let unlimited = sent.iter().filter(|(_, message)| *message == NONE);
    let record: Vec<_> = unlimited
        .map(|(login, message)| (LoginId(*login), MessageId(*message), folded.result))
        .collect();
    storage.record_last_sent(&record).unwrap();
    sent
}

/// Everything that is recorded.
fn recorded(storage: &Storage) -> BTreeMap<(i64, i32), UnixMs> {
    let mut recorded = BTreeMap::new();
    for (login, message) in [1, 2].into_iter().flat_map(|login| {
        [NONE, LONG, SHORT]
            .into_iter()
            .map(move |message| (login, message))
    }) {
        let time = storage
            .last_sent(LoginId(login), MessageId(message))
            .unwrap();
        if let Some(time) = time {
            recorded.insert((login, message), time);
        }
    }
    recorded
}

/// All of `pairs` are sent, and nothing else is recorded.
fn first_sends(database: &Database, pairs: &[(i64, i32)]) {
    let storage = prepared(database);
    assert_eq!(send(&storage, pairs), pairs);
    let recorded: Vec<_> = recorded(&storage).into_keys().collect();
    assert_eq!(recorded, pairs);
    let rows = "SELECT count(*) AS cell FROM user_message_last_time_sent";
    assert_eq!(usize::try_from(database.number(rows)), Ok(pairs.len()));
}

/// Case 38.
pub(crate) fn a_first_send_without_a_cooldown_is_let_through_and_recorded(database: &Database) {
    first_sends(database, &[(1, NONE)]);
}

/// Case 39.
pub(crate) fn a_first_send_with_a_cooldown_is_let_through_and_recorded(database: &Database) {
    first_sends(database, &[(1, LONG)]);
}

/// Case 40.
pub(crate) fn first_sends_to_two_users_are_let_through_and_recorded(database: &Database) {
    first_sends(database, &[(1, LONG), (2, LONG)]);
}

/// Case 41.
pub(crate) fn one_second_later_only_what_has_cooled_down_is_sent_and_recorded_anew(
    database: &Database,
) {
    let storage = prepared(database);
    let pairs = [(1, NONE), (1, LONG), (2, SHORT)];
    assert_eq!(send(&storage, &pairs), pairs);
    database.age_sends(1_000);
    let before = recorded(&storage);
    assert_eq!(send(&storage, &pairs), [(1, NONE), (2, SHORT)]);
    let after = recorded(&storage);
    assert_eq!(after.len(), 3);
    assert!(after[&(1, NONE)] > before[&(1, NONE)]);
    assert!(after[&(2, SHORT)] > before[&(2, SHORT)]);
    assert_eq!(after[&(1, LONG)], before[&(1, LONG)]);
}

/// Case 42.
pub(crate) fn a_pair_asked_for_twice_is_one_send_and_one_record(database: &Database) {
    let storage = prepared(database);
    assert_eq!(send(&storage, &[(1, LONG), (1, LONG)]), [(1, LONG)]);
    assert_eq!(recorded(&storage).len(), 1);
}
