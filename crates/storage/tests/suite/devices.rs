//! Logins, device limits, dead and replaced tokens, blacklists.

use std::{panic, sync::Barrier, thread};

use model::{DeviceToken, Feedback, LoginId, Platform, UnixMs};
use storage::{FeedbackCounts, Login, MAX_TOKEN_BYTES, Refused, Scope, Storage, StorageError};

use crate::database::{ANDROID, Database, log_in, login, tokens};

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
