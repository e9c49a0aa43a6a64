//! Who may send under a cooldown, and what is recorded.

use std::{sync::Barrier, thread};

use model::{ItemId, LoginId, MessageId, UnixMs};
use storage::{Scope, Storage, Won};

use crate::database::{ANDROID, Database, item, log_in, message};

/// Claims in one batch; users that do not exist are asked for too.
fn claim(storage: &Storage, claims: &[(i64, MessageId, ItemId)]) -> Won {
    let mut logins: Vec<_> = claims.iter().map(|(login, ..)| LoginId(*login)).collect();
    logins.sort_unstable();
    logins.dedup();
    let scope = Scope {
        logins,
        ..Scope::default()
    };
    let folded = storage.fold(&scope, |users| {
        for (login, message, item) in claims {
            users.claim(LoginId(*login), *message, *item);
        }
    });
    folded.unwrap().won
}

/// Claims pairs, each under a new item; which were won.
fn send(storage: &Storage, pairs: &[(i64, MessageId)]) -> Vec<(i64, MessageId)> {
    let claims: Vec<_> = pairs
        .iter()
        .map(|(login, message)| (*login, *message, item(0)))
        .collect();
    let won = claim(storage, &claims);
    let has_won = |(login, message, item): &&(i64, MessageId, ItemId)| {
        won.contains(LoginId(*login), *message, *item)
    };
    claims
        .iter()
        .filter(has_won)
        .map(|(login, message, _)| (*login, *message))
        .collect()
}

/// The three messages of Pushkin's own cases, and users 1 and 2.
fn prepared(database: &Database) -> (Storage, [MessageId; 3]) {
    let storage = database.open();
    log_in(&storage, 1, ANDROID, "a");
    log_in(&storage, 2, ANDROID, "b");
    let messages = [("none", None), ("long", Some(10_000)), ("short", Some(1))];
    let messages = messages.map(|(name, cooldown_ms)| message(&storage, name, cooldown_ms));
    (storage, messages)
}

/// Cases 38 to 40.
pub(crate) fn first_sends_are_let_through_and_stored(database: &Database) {
    let (storage, [none, long, _]) = prepared(database);
    assert_eq!((none, long), (MessageId(1), MessageId(2)));
    let pairs = [(1, none), (1, long), (2, long)];
    assert_eq!(send(&storage, &pairs), pairs);
    for (login, message) in pairs {
        assert!(
            storage
                .last_sent(LoginId(login), message)
                .unwrap()
                .is_some()
        );
    }
    assert_eq!(storage.last_sent(LoginId(2), none).unwrap(), None);
}

/// Case 41, and several blocked pairs in one batch.
pub(crate) fn a_running_cooldown_blocks_and_a_finished_one_does_not(database: &Database) {
    let (storage, [none, long, short]) = prepared(database);
    let pairs = [(1, none), (1, long), (2, long), (2, short)];
    assert_eq!(send(&storage, &pairs), pairs);
    database.age_sends(1_000);
    let times = |pairs: &[(i64, MessageId)]| -> Vec<_> {
        pairs
            .iter()
            .map(|(login, message)| storage.last_sent(LoginId(*login), *message).unwrap())
            .collect()
    };
    let before = times(&pairs);
    assert_eq!(send(&storage, &pairs), [(1, none), (2, short)]);
    let after = times(&pairs);
    assert!(after[0] > before[0] && after[3] > before[3]);
    assert_eq!((after[1], after[2]), (before[1], before[2]));
    database.age_sends(9_001);
    assert_eq!(
        send(&storage, &[(1, long), (2, long)]),
        [(1, long), (2, long)]
    );
    // In force at once, also where plain SQL changes it.
    database.execute("UPDATE message SET cooldown_ts = NULL");
    assert_eq!(send(&storage, &[(1, long)]), [(1, long)]);
}

/// Case 42.
pub(crate) fn two_claims_of_a_pair_are_one_send(database: &Database) {
    let (storage, [_, long, _]) = prepared(database);
    let (first, second) = (item(0), item(1));
    let won = claim(
        &storage,
        &[(1, long, first), (1, long, second), (1, long, first)],
    );
    assert!(won.contains(LoginId(1), long, first));
    assert!(!won.contains(LoginId(1), long, second));
    assert_eq!(won.len(), 1);
}

pub(crate) fn the_same_items_again_win_again_and_others_do_not(database: &Database) {
    let (storage, [_, long, _]) = prepared(database);
    let claims = [(1, long, item(0)), (2, long, item(0)), (2, long, item(1))];
    let won = claim(&storage, &claims);
    let time = storage.last_sent(LoginId(1), long).unwrap();
    assert_eq!(claim(&storage, &claims), won);
    assert_eq!(storage.last_sent(LoginId(1), long).unwrap(), time);
    assert!(claim(&storage, &[(1, long, item(0))]).is_empty());
}

/// After a crash the items of several requests may come back in another order.
pub(crate) fn an_item_that_won_before_wins_again_behind_another(database: &Database) {
    let (storage, [_, long, _]) = prepared(database);
    let (winner, other) = (item(0), item(0));
    claim(&storage, &[(1, long, winner)]);
    let won = claim(&storage, &[(1, long, other), (1, long, winner)]);
    assert!(won.contains(LoginId(1), long, winner));
    assert!(!won.contains(LoginId(1), long, other));
}

pub(crate) fn vanished_rows_drop_their_pair_only(database: &Database) {
    let (storage, [none, long, short]) = prepared(database);
    storage.delete_message("none").unwrap();
    storage.delete_login(LoginId(2)).unwrap();
    assert_eq!(
        send(&storage, &[(1, none), (1, long), (2, short), (77, long)]),
        [(1, long)]
    );
    let pairs = [(1, none), (2, long), (1, short)]
        .map(|(login, message)| (LoginId(login), message, UnixMs(5)));
    storage.record_last_sent(&pairs).unwrap();
    assert_eq!(
        storage.last_sent(LoginId(1), short).unwrap(),
        Some(UnixMs(5))
    );
    assert_eq!(
        database.number("SELECT count(*) AS cell FROM user_message_last_time_sent"),
        2
    );
}

pub(crate) fn of_64_parallel_claims_one_wins(database: &Database) {
    let (storage, [_, long, _]) = prepared(database);
    assert_eq!(winners_of_64(&[storage], long), 1);
}

pub(crate) fn two_instances_on_one_database_share_the_cooldown(database: &Database) {
    let (storage, [_, long, _]) = prepared(database);
    assert_eq!(winners_of_64(&[storage, database.open()], long), 1);
}

fn winners_of_64(storages: &[Storage], message: MessageId) -> usize {
    let start = Barrier::new(64);
    thread::scope(|scope| {
        let claims: Vec<_> = storages
            .iter()
            .cycle()
            .take(64)
            .map(|storage| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    send(storage, &[(1, message)]).len()
                })
            })
            .collect();
        claims.into_iter().map(|claim| claim.join().unwrap()).sum()
    })
}

pub(crate) fn unlimited_messages_record_their_latest_time(database: &Database) {
    let (storage, [none, ..]) = prepared(database);
    let record = |times: &[i64]| {
        let pairs: Vec<_> = times
            .iter()
            .map(|time| (LoginId(1), none, UnixMs(*time)))
            .collect();
        storage.record_last_sent(&pairs).unwrap();
        storage.last_sent(LoginId(1), none).unwrap()
    };
    assert_eq!(record(&[]), None);
    assert_eq!(record(&[20, 30, 10]), Some(UnixMs(30)));
    assert_eq!(record(&[29]), Some(UnixMs(30)));
    assert_eq!(record(&[31]), Some(UnixMs(31)));
}

pub(crate) fn a_cooldown_beyond_the_end_of_time_blocks(database: &Database) {
    let (storage, _) = prepared(database);
    let forever = message(&storage, "forever", Some(i64::MAX));
    assert_eq!(send(&storage, &[(1, forever)]).len(), 1);
    assert_eq!(send(&storage, &[(1, forever)]).len(), 0);
}
