//! Logins, device limits, dead and replaced tokens, blacklists.

use std::{panic, sync::Barrier, thread};

use model::{DeviceToken, Feedback, LoginId, MessageId, Platform, UnixMs};
use storage::{FeedbackCounts, Login, MAX_TOKEN_BYTES, Refused, Scope, Storage, StorageError};

use crate::database::{ANDROID, Database, addresses, log_in, login, tokens};

fn unregister(storage: &Storage, login: i64, token: &str, since: Option<UnixMs>) -> FeedbackCounts {
    let (login, token) = (LoginId(login), DeviceToken::new(token));
    let feedback = Feedback::Unregistered {
        login,
        platform: ANDROID,
        token,
        since,
    };
    storage.apply_feedback(&[feedback]).unwrap()
}

fn replace(storage: &Storage, login: i64, old: &str, new: &str) -> FeedbackCounts {
    let (old, new) = (DeviceToken::new(old), DeviceToken::new(new));
    let feedback = Feedback::Replaced {
        login: LoginId(login),
        platform: ANDROID,
        old,
        new,
    };
    storage.apply_feedback(&[feedback]).unwrap()
}

/// Case 1.
pub(crate) fn every_login_with_a_new_token_adds_a_device(database: &Database) {
    let storage = database.open();
    log_in(&storage, 12345, ANDROID, "123");
    assert_eq!(tokens(&storage, 12345), ["123"]);
    log_in(&storage, 12345, ANDROID, "124");
    log_in(&storage, 12345, ANDROID, "125");
    log_in(&storage, 12345, ANDROID, "125");
    assert_eq!(tokens(&storage, 12345), ["123", "124", "125"]);
}

/// Case 3.
pub(crate) fn a_blacklist_is_one_row_and_reads_back(database: &Database) {
    let storage = database.open();
    log_in(&storage, 1, ANDROID, "a");
    let is_blocked = |message| {
        let scope = Scope {
            logins: vec![LoginId(1)],
            ..Scope::default()
        };
        storage
            .fold(&scope, |users| {
                users.is_blacklisted(LoginId(1), MessageId(message))
            })
            .unwrap()
            .result
    };
    storage.set_blacklist(LoginId(1), &[8]).unwrap();
    storage.set_blacklist(LoginId(1), &[9, 7, 9]).unwrap();
    assert!(is_blocked(7) && is_blocked(9) && !is_blocked(8));
    assert_eq!(
        database.number("SELECT count(*) AS cell FROM message_blacklist"),
        1
    );
    storage.set_blacklist(LoginId(1), &[]).unwrap();
    assert!(!is_blocked(7));
    database.execute("UPDATE message_blacklist SET blacklist = NULL");
    assert!(!is_blocked(7));
    let refused = storage.set_blacklist(LoginId(2), &[7]);
    assert!(matches!(
        refused,
        Err(StorageError::Refused(Refused::UnknownLogin))
    ));
}

/// Case 4.
pub(crate) fn logins_and_devices_can_be_deleted(database: &Database) {
    let storage = database.open();
    log_in(&storage, 1, Platform::IPAD, "a");
    assert_eq!(
        storage.login(LoginId(1)).unwrap().unwrap().language,
        Some(1)
    );
    let devices = storage.devices(LoginId(1)).unwrap();
    assert_eq!(
        (devices[0].login, devices[0].platform),
        (LoginId(1), Platform::IPAD)
    );
    assert_eq!(
        (devices[0].token.as_str(), devices[0].is_active),
        ("a", true)
    );
    assert!(storage.delete_device(devices[0].id).unwrap());
    assert_eq!(storage.devices(LoginId(1)).unwrap(), []);
    log_in(&storage, 1, ANDROID, "b");
    assert!(storage.delete_login(LoginId(1)).unwrap());
    assert!(!storage.delete_login(LoginId(1)).unwrap());
    assert_eq!(storage.login(LoginId(1)).unwrap(), None);
    assert_eq!(database.number("SELECT count(*) AS cell FROM device"), 0);
}

/// Case 5.
pub(crate) fn an_unregistered_device_is_not_reached(database: &Database) {
    let storage = database.open();
    log_in(&storage, 1, ANDROID, "123");
    assert_eq!(tokens(&storage, 1), ["123"]);
    assert_eq!(unregister(&storage, 1, "123", None).unregistered, 1);
    assert_eq!(addresses(&storage, 1), []);
    assert!(!storage.devices(LoginId(1)).unwrap()[0].is_active);
}

/// Case 6.
pub(crate) fn a_replaced_token_takes_the_place_of_the_old_one(database: &Database) {
    let storage = database.open();
    log_in(&storage, 1, ANDROID, "123");
    assert_eq!(replace(&storage, 1, "123", "124").replaced, 1);
    assert_eq!(addresses(&storage, 1), [(1, "124".into())]);
    let device = &storage.devices(LoginId(1)).unwrap()[0];
    assert_eq!(
        (
            device.token.as_str(),
            device.token_new.as_ref().unwrap().as_str()
        ),
        ("123", "124")
    );
}

/// Case 7.
pub(crate) fn devices_over_the_limit_go_in_pushkins_order(database: &Database) {
    let storage = database.open_with_limits(3, 1);
    log_in(&storage, 1, ANDROID, "123");
    replace(&storage, 1, "123", "124");
    log_in(&storage, 1, ANDROID, "125");
    log_in(&storage, 1, ANDROID, "126");
    assert_eq!(tokens(&storage, 1), ["124", "125", "126"]);
    log_in(&storage, 1, ANDROID, "127");
    assert_eq!(tokens(&storage, 1), ["125", "126", "127"]);
    unregister(&storage, 1, "126", None);
    assert_eq!(tokens(&storage, 1), ["125", "127"]);
    log_in(&storage, 1, ANDROID, "128");
    assert_eq!(tokens(&storage, 1), ["125", "127", "128"]);
    log_in(&storage, 1, ANDROID, "129");
    assert_eq!(tokens(&storage, 1), ["127", "128", "129"]);
}

/// Case 8.
pub(crate) fn only_the_latest_users_keep_a_device(database: &Database) {
    let two = database.open_with_limits(10, 2);
    log_in(&two, 1, ANDROID, "d1");
    log_in(&two, 2, ANDROID, "d1");
    assert_eq!((tokens(&two, 1).len(), tokens(&two, 2).len()), (1, 1));
    let storage = database.open_with_limits(10, 1);
    log_in(&storage, 3, ANDROID, "d1");
    assert_eq!(
        (tokens(&storage, 1).len(), tokens(&storage, 2).len()),
        (0, 0)
    );
    assert_eq!(tokens(&storage, 3), ["d1"]);
    log_in(&storage, 1, ANDROID, "d2");
    assert_eq!(
        (tokens(&storage, 1), tokens(&storage, 3)),
        (vec!["d2".into()], vec!["d1".into()])
    );
    log_in(&storage, 4, Platform::IPHONE, "d2");
    log_in(&storage, 1, ANDROID, "d2");
    assert_eq!(
        (tokens(&storage, 1), tokens(&storage, 4)),
        (vec!["d2".into()], vec!["d2".into()])
    );
    log_in(&storage, 10, ANDROID, "d10");
    replace(&storage, 10, "d10", "d10new");
    log_in(&storage, 11, ANDROID, "d10new");
    assert_eq!(
        (tokens(&storage, 10).len(), tokens(&storage, 11).len()),
        (0, 1)
    );
}

/// Case 9.
pub(crate) fn a_replaced_token_leaves_the_device_to_its_latest_user(database: &Database) {
    let storage = database.open();
    log_in(&storage, 20, ANDROID, "d20");
    log_in(&storage, 21, ANDROID, "d20new");
    replace(&storage, 20, "d20", "d20new");
    assert_eq!(
        (tokens(&storage, 20).len(), tokens(&storage, 21)),
        (0, vec!["d20new".into()])
    );
}

/// Case 11.
pub(crate) fn a_login_sets_the_application_version(database: &Database) {
    let storage = database.open();
    log_in(&storage, 1, ANDROID, "100");
    for version in [Some(2), None] {
        let login = Login {
            application_version: version,
            ..login(1, ANDROID, "100")
        };
        storage.log_in(&login).unwrap();
        assert_eq!(
            storage.devices(LoginId(1)).unwrap()[0].application_version,
            version
        );
    }
}

/// Case 12.
pub(crate) fn old_and_new_token_both_find_the_device(database: &Database) {
    let storage = database.open();
    log_in(&storage, 1, ANDROID, "100");
    replace(&storage, 1, "100", "100a");
    for (token, version) in [("100", 2), ("100a", 3)] {
        let login = Login {
            application_version: Some(version),
            ..login(1, ANDROID, token)
        };
        storage.log_in(&login).unwrap();
        let devices = storage.devices(LoginId(1)).unwrap();
        assert_eq!(
            (devices.len(), devices[0].application_version),
            (1, Some(version))
        );
        assert_eq!(tokens(&storage, 1), ["100a"]);
    }
}

/// Cases 13 and 14.
pub(crate) fn a_login_revives_the_device_by_either_token(database: &Database) {
    let storage = database.open();
    log_in(&storage, 1, ANDROID, "100");
    unregister(&storage, 1, "100", None);
    log_in(&storage, 1, ANDROID, "100");
    assert_eq!(tokens(&storage, 1), ["100"]);
    replace(&storage, 1, "100", "101");
    for token in ["100", "101"] {
        assert_eq!(unregister(&storage, 1, "101", None).unregistered, 1);
        assert_eq!(addresses(&storage, 1), []);
        log_in(&storage, 1, ANDROID, token);
        assert_eq!(tokens(&storage, 1), ["101"]);
    }
}

/// Case 16.
pub(crate) fn a_token_is_reached_once_per_push_service(database: &Database) {
    let storage = database.open();
    for (platform, token) in [(1, "old"), (1, "new"), (2, "new"), (5, "new")] {
        log_in(&storage, 1, Platform(platform), token);
    }
    database.execute("UPDATE device SET device_token_new = 'new' WHERE device_token = 'old'");
    assert_eq!(
        addresses(&storage, 1),
        [(1, "new".into()), (2, "new".into())]
    );
}

pub(crate) fn a_missing_language_keeps_the_stored_one(database: &Database) {
    let storage = database.open();
    let absent = Login {
        language: None,
        ..login(1, ANDROID, "a")
    };
    let language = || storage.login(LoginId(1)).unwrap().unwrap().language;
    storage.log_in(&absent).unwrap();
    assert_eq!(language(), None);
    storage
        .log_in(&Login {
            language: Some(7),
            ..absent.clone()
        })
        .unwrap();
    storage.log_in(&absent).unwrap();
    assert_eq!(language(), Some(7));
}

pub(crate) fn apns_tokens_are_one_device_in_either_case(database: &Database) {
    let storage = database.open();
    log_in(&storage, 1, Platform::IPHONE, "ABCD");
    log_in(&storage, 1, Platform::IPHONE, "abcd");
    assert_eq!(tokens(&storage, 1), ["ABCD"]);
    log_in(&storage, 2, Platform::IPHONE, "abcd");
    assert_eq!(
        (tokens(&storage, 1).len(), tokens(&storage, 2).len()),
        (0, 1)
    );
    log_in(&storage, 1, ANDROID, "ABCD");
    log_in(&storage, 1, ANDROID, "abcd");
    assert_eq!(tokens(&storage, 1), ["ABCD", "abcd"]);
}

pub(crate) fn feedback_older_than_the_last_login_changes_nothing(database: &Database) {
    let storage = database.open();
    log_in(&storage, 1, ANDROID, "a");
    let counts = unregister(&storage, 1, "a", Some(UnixMs(1_000)));
    assert_eq!((counts.unregistered, counts.without_effect), (0, 1));
    assert_eq!(tokens(&storage, 1), ["a"]);
    let counts = unregister(&storage, 1, "a", Some(UnixMs(9_000_000_000_000)));
    assert_eq!(counts.unregistered, 1);
}

pub(crate) fn feedback_twice_changes_nothing_more(database: &Database) {
    let storage = database.open();
    log_in(&storage, 1, ANDROID, "a");
    replace(&storage, 1, "a", "b");
    assert_eq!(replace(&storage, 1, "a", "b").without_effect, 1);
    unregister(&storage, 1, "b", None);
    assert_eq!(unregister(&storage, 1, "b", None).without_effect, 1);
    assert_eq!(unregister(&storage, 9, "b", None).without_effect, 1);
    assert_eq!(
        storage.apply_feedback(&[]).unwrap(),
        FeedbackCounts::default()
    );
}

pub(crate) fn tokens_that_no_database_can_keep_are_refused(database: &Database) {
    let storage = database.open();
    let longest = "x".repeat(MAX_TOKEN_BYTES);
    log_in(&storage, 1, ANDROID, &longest);
    log_in(&storage, 2, ANDROID, &longest);
    assert_eq!(tokens(&storage, 2), std::slice::from_ref(&longest));
    for token in ["a\0b", &format!("{longest}x")] {
        let refused = storage.log_in(&login(3, ANDROID, token));
        assert!(matches!(
            refused,
            Err(StorageError::Refused(Refused::UnusableToken))
        ));
    }
    assert_eq!(storage.login(LoginId(3)).unwrap(), None);
    let counts = replace(&storage, 2, &longest, "a\0b");
    assert_eq!(counts.without_effect, 1);
}

pub(crate) fn devices_of_other_apps_are_not_seen(database: &Database) {
    let storage = database.open();
    log_in(&storage, 1, ANDROID, "a");
    database.execute("UPDATE device SET app = 2");
    log_in(&storage, 1, ANDROID, "b");
    log_in(&storage, 2, ANDROID, "a");
    assert_eq!(tokens(&storage, 1), ["b"]);
    assert_eq!(
        database.number("SELECT count(*) AS cell FROM device WHERE app = 2"),
        1
    );
}

pub(crate) fn texts_of_all_kinds_survive(database: &Database) {
    let storage = database.open();
    for token in [
        "{\"a\":1}",
        "quote'\"\\",
        "čđ🦀\u{7f}",
        "[1,2]",
        "null",
        "17",
        "a,b}",
    ] {
        log_in(&storage, 1, ANDROID, token);
        log_in(&storage, 1, ANDROID, token);
    }
    assert_eq!(tokens(&storage, 1).len(), 7);
    assert!(tokens(&storage, 1).contains(&"čđ🦀\u{7f}".to_owned()));
    for id in [i64::MIN, i64::MAX] {
        log_in(&storage, id, ANDROID, &format!("of {id}"));
        assert_eq!(tokens(&storage, id), [format!("of {id}")]);
    }
}

pub(crate) fn parallel_first_logins_make_one_user_with_all_devices(database: &Database) {
    let storage = database.open();
    let start = Barrier::new(8);
    thread::scope(|scope| {
        for thread in 0..8 {
            let (storage, start) = (&storage, &start);
            scope.spawn(move || {
                start.wait();
                log_in(storage, 1, ANDROID, &format!("t{}", thread % 4));
            });
        }
    });
    assert_eq!(tokens(&storage, 1), ["t0", "t1", "t2", "t3"]);
}

pub(crate) fn parallel_logins_leave_a_token_to_one_user(database: &Database) {
    let storage = database.open();
    let start = Barrier::new(8);
    thread::scope(|scope| {
        for login in 0..8 {
            let (storage, start) = (&storage, &start);
            scope.spawn(move || {
                start.wait();
                log_in(storage, login, ANDROID, "shared");
            });
        }
    });
    assert_eq!(database.number("SELECT count(*) AS cell FROM device"), 1);
    assert_eq!(database.number("SELECT count(*) AS cell FROM login"), 8);
}

pub(crate) fn a_panicking_plan_leaves_nothing_behind(database: &Database) {
    let storage = database.open();
    let scope = Scope {
        logins: vec![LoginId(1)],
        tokens: vec![(ANDROID, DeviceToken::new("a"))],
        writes: true,
    };
    for writes in [true, false] {
        let scope = Scope {
            writes,
            ..scope.clone()
        };
        let panicked = panic::catch_unwind(panic::AssertUnwindSafe(|| {
            storage.fold::<()>(&scope, |users| {
                if writes {
                    users.log_in(&login(1, ANDROID, "a")).unwrap();
                }
                panic!("a plan's mistake");
            })
        }));
        assert!(panicked.is_err());
    }
    assert_eq!(storage.login(LoginId(1)).unwrap(), None);
    log_in(&storage, 1, ANDROID, "b");
    assert_eq!(tokens(&storage, 1), ["b"]);
}

/// Batches that want each other's users and tokens in every order neither fail nor leave a token
/// to two users.
pub(crate) fn overlapping_batches_all_succeed(database: &Database) {
    let storage = database.open();
    let start = Barrier::new(6);
    thread::scope(|scope| {
        for thread in 0..6_i64 {
            let (storage, start) = (&storage, &start);
            scope.spawn(move || {
                start.wait();
                for round in 0..15_i64 {
                    let logins: Vec<_> = (0..8)
                        .map(|place| (thread * 7 + round * 3 + place * 5) % 20)
                        .collect();
                    let events: Vec<_> = logins
                        .iter()
                        .map(|user| login(*user, ANDROID, &format!("t{}", (user * 3 + round) % 11)))
                        .collect();
                    fold_all(storage, &events);
                }
            });
        }
    });
    let shared = "SELECT count(*) AS cell FROM \
                  (SELECT device_token FROM device GROUP BY device_token HAVING count(*) > 1) AS shared";
    assert_eq!(database.number(shared), 0);
}

fn fold_all(storage: &Storage, events: &[Login]) {
    let mut logins: Vec<_> = events.iter().map(|event| event.login).collect();
    logins.sort_unstable();
    logins.dedup();
    let tokens = events
        .iter()
        .filter_map(|event| Some((event.platform, event.token.clone()?)));
    let scope = Scope {
        logins,
        tokens: tokens.collect(),
        writes: true,
    };
    let folded = storage.fold(&scope, |users| {
        for event in events {
            users.log_in(event).unwrap();
        }
    });
    folded.unwrap();
}
