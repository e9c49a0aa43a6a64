//! The cases of Pushkin's own database tests, by their numbers, through the administration API.
//!
//! A login keeps 3 devices and a device 1 user unless the case says otherwise, as in Pushkin's
//! configuration for tests.

use std::sync::Arc;

use model::{Content, DeviceToken, LoginId, MessageId, Platform, Priority, UnixMs};
use storage::{
    Canonical, DeviceRecord, FeedbackCounts, Login, LoginRecord, MessageAttributes, RawMessage,
    RawText, Refused, Scope, Storage, StorageError, UnregisteredDevice,
};

use crate::database::{ANDROID, Database, addresses, attributes, log_in, login, tokens};

fn open(database: &Database) -> Storage {
    database.open_with_limits(3, 1)
}

fn unregister(storage: &Storage, login: i64, token: &str) -> FeedbackCounts {
    let device = UnregisteredDevice {
        login: LoginId(login),
        token: DeviceToken::new(token),
    };
    storage.update_unregistered_devices(&[device]).unwrap()
}

fn replace(storage: &Storage, login: i64, old: &str, new: &str) -> FeedbackCounts {
    let canonical = Canonical {
        login: LoginId(login),
        old_token: DeviceToken::new(old),
        new_token: DeviceToken::new(new),
    };
    storage.update_canonicals(&[canonical]).unwrap()
}

fn device_tokens(storage: &Storage, login: i64) -> Vec<(i16, String)> {
    let tokens = storage.device_tokens(LoginId(login)).unwrap().into_iter();
    tokens
        .map(|(platform, token)| (platform.0, token.as_str().to_owned()))
        .collect()
}

/// The messages that an event at `event_at` would send the user, one per device.
fn raw_messages(
    storage: &Storage,
    login: i64,
    message: MessageId,
    event_at: Option<UnixMs>,
    only_to: Option<(Platform, DeviceToken)>,
) -> Vec<RawMessage> {
    let localized = storage.localized_message(LoginId(login), message).unwrap();
    let localized = localized.unwrap();
    let content = Content::pushkin(
        message,
        localized.localization.title,
        localized.localization.text,
        localized.message.screen.as_str(),
        localized.message.priority,
    );
    let text = RawText {
        login: LoginId(login),
        content: Arc::new(content),
        event_at,
        expiry_millis: localized.message.expiry_millis,
        only_to,
    };
    storage.raw_messages(&text).unwrap()
}

fn add_text(storage: &Storage, message: MessageId, language: i16, title: &str) {
    storage
        .upsert_localization(message, language, title, "text")
        .unwrap();
}

/// Case 1.
pub(crate) fn every_login_with_a_new_token_adds_a_device(database: &Database) {
    let storage = open(database);
    log_in(&storage, 12345, ANDROID, "123");
    assert_eq!(tokens(&storage, 12345), ["123"]);
    log_in(&storage, 12345, ANDROID, "124");
    log_in(&storage, 12345, ANDROID, "125");
    log_in(&storage, 12345, ANDROID, "125");
    assert_eq!(tokens(&storage, 12345), ["123", "124", "125"]);
}

/// Case 2.
pub(crate) fn a_text_is_in_the_users_language_else_in_language_1_else_there_is_none(
    database: &Database,
) {
    let storage = open(database);
    let user = Login {
        language: Some(7),
        ..login(1, ANDROID, "a")
    };
    storage.log_in(&user).unwrap();
    let localized = |login: i64, message: MessageId| {
        let localized = storage.localized_message(LoginId(login), message).unwrap();
        localized.map(|found| (found.localization.title, found.message.screen.clone()))
    };
    let message = storage.upsert_message(&attributes("m", None)).unwrap();
    assert_eq!(message, MessageId(1));
    let text = |title: &str| Some((title.to_owned(), String::new()));
    add_text(&storage, message, 1, "English");
    assert_eq!(localized(1, message), text("English"));
    add_text(&storage, message, 0, "Zero");
    assert_eq!(localized(1, message), text("English"));
    add_text(&storage, message, 7, "Seven");
    assert_eq!(localized(1, message), text("Seven"));

    let other = storage.upsert_message(&attributes("other", None)).unwrap();
    add_text(&storage, other, 0, "Zero");
    assert_eq!(localized(1, other), None);
    assert_eq!(localized(2, message), None);
    let without_language = Login {
        language: None,
        ..login(3, ANDROID, "c")
    };
    storage.log_in(&without_language).unwrap();
    assert_eq!(localized(3, message), None);
    assert!(storage.delete_message("m").unwrap());
    assert!(storage.catalogue().named("m").is_none());
    assert_eq!(localized(1, message), None);
}

/// Case 3.
pub(crate) fn a_blacklist_is_one_row_and_reads_back(database: &Database) {
    let storage = open(database);
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

/// Case 3.
pub(crate) fn blacklists_read_back_one_by_one_and_in_pages(database: &Database) {
    let storage = open(database);
    for user in [3, 1, 2] {
        log_in(&storage, user, ANDROID, &format!("of {user}"));
    }
    storage.set_blacklist(LoginId(1), &[7]).unwrap();
    let lists = |from: i64, limit| -> Vec<(i64, Vec<i32>)> {
        let page = storage
            .blacklists(LoginId(from), limit)
            .unwrap()
            .into_iter();
        page.map(|list| {
            let messages = list.messages.iter().map(|message| message.0);
            (list.login.0, messages.collect())
        })
        .collect()
    };
    assert_eq!(lists(i64::MIN, 10), [(1, vec![7])]);
    storage.set_blacklist(LoginId(3), &[9, 8]).unwrap();
    storage.set_blacklist(LoginId(2), &[]).unwrap();
    let all = [(1, vec![7]), (2, vec![]), (3, vec![8, 9])];
    assert_eq!(lists(i64::MIN, 10), all);
    assert_eq!(lists(1, 2), all[..2]);
    assert_eq!(lists(2, 2), all[1..]);
    let one = storage.blacklist(LoginId(3)).unwrap().unwrap();
    assert_eq!(one.messages, [MessageId(8), MessageId(9)]);
    assert_eq!(storage.blacklist(LoginId(-1)).unwrap(), None);
}

/// Case 4.
pub(crate) fn logins_and_devices_are_stored_as_they_are_given(database: &Database) {
    let storage = open(database);
    for language in [Some(7), None, Some(1)] {
        let wanted = LoginRecord {
            login: LoginId(1),
            language,
        };
        storage.upsert_login(wanted).unwrap();
        assert_eq!(storage.login(LoginId(1)).unwrap(), Some(wanted));
    }
    let wanted = DeviceRecord {
        login: LoginId(1),
        platform: Platform::IPAD,
        token: DeviceToken::new("aB"),
        application_version: Some(3),
        unregistered_at: None,
    };
    let device = storage.upsert_device(&wanted).unwrap();
    assert_eq!(
        (device.login, device.platform, device.token.as_str()),
        (LoginId(1), Platform::IPAD, "aB")
    );
    assert_eq!(
        (device.application_version, device.is_active),
        (Some(3), true)
    );
    assert!(device.last_login_at.is_some());
    assert_eq!(
        storage.devices(LoginId(1)).unwrap(),
        std::slice::from_ref(&device)
    );

    let ended = DeviceRecord {
        token: DeviceToken::new("Ab"),
        application_version: None,
        unregistered_at: Some(UnixMs(1_700_000_000_123)),
        ..wanted.clone()
    };
    let again = storage.upsert_device(&ended).unwrap();
    assert_eq!((again.id, again.token.as_str()), (device.id, "aB"));
    assert_eq!((again.application_version, again.is_active), (None, false));
    assert_eq!(again.unregistered_at, ended.unregistered_at);
    assert_eq!(again.last_login_at, device.last_login_at);
    assert!(storage.upsert_device(&wanted).unwrap().is_active);

    let on_android = DeviceRecord {
        platform: ANDROID,
        ..wanted
    };
    assert_ne!(storage.upsert_device(&on_android).unwrap().id, device.id);
    assert!(storage.delete_device(device.id).unwrap());
    assert!(!storage.delete_device(device.id).unwrap());
    assert!(!storage.delete_device(i64::MAX).unwrap());
    assert_eq!(storage.devices(LoginId(1)).unwrap().len(), 1);
}

pub(crate) fn a_device_is_found_by_its_current_token_and_passes_the_limits(database: &Database) {
    let storage = open(database);
    log_in(&storage, 1, ANDROID, "first");
    replace(&storage, 1, "first", "second");
    let device = |login: i64, token: &str| DeviceRecord {
        login: LoginId(login),
        platform: ANDROID,
        token: DeviceToken::new(token),
        application_version: Some(9),
        unregistered_at: None,
    };
    let found = storage.upsert_device(&device(1, "second")).unwrap();
    assert_eq!(
        (found.token.as_str(), found.current_token().as_str()),
        ("first", "second")
    );
    for token in ["first", "third", "fourth"] {
        storage.upsert_device(&device(1, token)).unwrap();
    }
    assert_eq!(tokens(&storage, 1), ["first", "fourth", "second", "third"]);
    log_in(&storage, 2, ANDROID, "own");
    storage.upsert_device(&device(2, "third")).unwrap();
    assert_eq!(tokens(&storage, 2), ["own", "third"]);
    assert_eq!(tokens(&storage, 1).len(), 4);

    let refused = |device: &DeviceRecord| match storage.upsert_device(device) {
        Err(StorageError::Refused(refused)) => refused,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&device(3, "a")), Refused::UnknownLogin);
    assert_eq!(refused(&device(1, "")), Refused::UnusableToken);
    assert_eq!(refused(&device(1, "a\0")), Refused::UnusableToken);
}

pub(crate) fn all_logins_come_in_pages(database: &Database) {
    let storage = open(database);
    for login in [5, i64::MIN, -3, i64::MAX] {
        let language = None;
        let login = LoginId(login);
        storage
            .upsert_login(LoginRecord { login, language })
            .unwrap();
    }
    let page = |from: i64, limit| -> Vec<i64> {
        let page = storage.logins(LoginId(from), limit).unwrap().into_iter();
        page.map(|login| login.login.0).collect()
    };
    assert_eq!(page(i64::MIN, 10), [i64::MIN, -3, 5, i64::MAX]);
    assert_eq!(page(i64::MIN, 2), [i64::MIN, -3]);
    assert_eq!(page(-2, 2), [5, i64::MAX]);
    assert!(page(0, 0).is_empty());
}

/// Case 4.
pub(crate) fn logins_and_devices_can_be_deleted(database: &Database) {
    let storage = open(database);
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
    let storage = open(database);
    log_in(&storage, 1, ANDROID, "123");
    assert_eq!(tokens(&storage, 1), ["123"]);
    assert_eq!(unregister(&storage, 1, "123").unregistered, 1);
    assert_eq!(addresses(&storage, 1), []);
    assert!(!storage.devices(LoginId(1)).unwrap()[0].is_active);
}

/// Case 6.
pub(crate) fn a_replaced_token_takes_the_place_of_the_old_one(database: &Database) {
    let storage = open(database);
    log_in(&storage, 1, ANDROID, "123");
    assert_eq!(replace(&storage, 1, "123", "124").replaced, 1);
    assert_eq!(device_tokens(&storage, 1), [(1, "124".into())]);
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
    let storage = open(database);
    log_in(&storage, 1, ANDROID, "123");
    replace(&storage, 1, "123", "124");
    log_in(&storage, 1, ANDROID, "125");
    log_in(&storage, 1, ANDROID, "126");
    assert_eq!(tokens(&storage, 1), ["124", "125", "126"]);
    log_in(&storage, 1, ANDROID, "127");
    assert_eq!(tokens(&storage, 1), ["125", "126", "127"]);
    unregister(&storage, 1, "126");
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
    let storage = open(database);
    log_in(&storage, 20, ANDROID, "d20");
    log_in(&storage, 21, ANDROID, "d20new");
    replace(&storage, 20, "d20", "d20new");
    assert_eq!(
        (tokens(&storage, 20).len(), tokens(&storage, 21)),
        (0, vec!["d20new".into()])
    );
}

/// Case 10.
pub(crate) fn a_message_lives_as_long_as_it_says_after_its_event(database: &Database) {
    let storage = open(database);
    log_in(&storage, 1, ANDROID, "a");
    let expiring = MessageAttributes {
        expiry_millis: Some(60_000),
        ..attributes("expiring", None)
    };
    let expiring = storage.upsert_message(&expiring).unwrap();
    let lasting = storage
        .upsert_message(&attributes("lasting", None))
        .unwrap();
    add_text(&storage, expiring, 1, "T");
    add_text(&storage, lasting, 1, "T");
    let event_at = Some(UnixMs(1_442_000_000_000));
    let life = |message, event_at| {
        let raw = raw_messages(&storage, 1, message, event_at, None);
        (raw[0].expires_at, raw[0].created_at)
    };
    assert_eq!(life(expiring, event_at).0, UnixMs(1_442_000_060_000));
    for (expires_at, created_at) in [life(expiring, None), life(lasting, event_at)] {
        assert_eq!(expires_at, created_at.plus_ms(6 * 60 * 60 * 1000));
    }
}

/// Case 11.
pub(crate) fn a_login_sets_the_application_version(database: &Database) {
    let storage = open(database);
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
    let storage = open(database);
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
    let storage = open(database);
    log_in(&storage, 1, ANDROID, "100");
    unregister(&storage, 1, "100");
    log_in(&storage, 1, ANDROID, "100");
    assert_eq!(tokens(&storage, 1), ["100"]);
    replace(&storage, 1, "100", "101");
    for token in ["100", "101"] {
        assert_eq!(unregister(&storage, 1, "101").unregistered, 1);
        assert_eq!(addresses(&storage, 1), []);
        log_in(&storage, 1, ANDROID, token);
        assert_eq!(tokens(&storage, 1), ["101"]);
    }
}

/// Case 15.
pub(crate) fn a_messages_priority_is_that_of_its_notifications(database: &Database) {
    let storage = open(database);
    log_in(&storage, 1, ANDROID, "a");
    let normal = attributes("m", None);
    let message = storage.upsert_message(&normal).unwrap();
    add_text(&storage, message, 1, "T");
    let priority = || {
        raw_messages(&storage, 1, message, None, None)[0]
            .content
            .priority
    };
    assert_eq!(priority(), Priority::Normal);
    let high = MessageAttributes {
        priority: Priority::High,
        ..normal
    };
    assert_eq!(storage.upsert_message(&high).unwrap(), message);
    assert_eq!(priority(), Priority::High);
}

/// Case 16.
pub(crate) fn a_token_is_reached_once_per_push_service(database: &Database) {
    let storage = open(database);
    for (platform, token) in [(1, "old"), (1, "new"), (2, "new"), (5, "new")] {
        log_in(&storage, 1, Platform(platform), token);
    }
    database.execute("UPDATE device SET device_token_new = 'new' WHERE device_token = 'old'");
    let reached = [(1, "new".into()), (2, "new".into())];
    assert_eq!(addresses(&storage, 1), reached);
    assert_eq!(device_tokens(&storage, 1), reached);
}

/// Case 17.
pub(crate) fn a_filter_names_the_one_device_whether_it_is_stored_or_not(database: &Database) {
    let storage = open(database);
    for (platform, token) in [(1, "123"), (2, "456"), (6, "78")] {
        log_in(&storage, 1, Platform(platform), token);
    }
    let message = storage.upsert_message(&attributes("m", None)).unwrap();
    add_text(&storage, message, 1, "T");
    let reached = |only_to| -> Vec<(i16, String)> {
        let raw = raw_messages(&storage, 1, message, None, only_to).into_iter();
        raw.map(|raw| (raw.platform.0, raw.token.as_str().to_owned()))
            .collect()
    };
    let filter = (Platform::ANDROID_TABLET, DeviceToken::new("789"));
    assert_eq!(reached(Some(filter)), [(6, "789".into())]);
    assert_eq!(reached(None), device_tokens(&storage, 1));
    assert_eq!(reached(None).len(), 3);
}

/// Case 47.
pub(crate) fn events_map_to_the_messages_that_they_send(database: &Database) {
    let storage = open(database);
    for (name, trigger) in [("a", Some(1)), ("b", Some(1)), ("c", Some(2)), ("d", None)] {
        let message = MessageAttributes {
            trigger_event_id: trigger,
            ..attributes(name, None)
        };
        storage.upsert_message(&message).unwrap();
    }
    let catalogue = storage.catalogue();
    let ids = |numbers: &[i32]| -> Vec<_> { numbers.iter().copied().map(MessageId).collect() };
    assert_eq!(
        catalogue.triggers(),
        [(1, ids(&[1, 2])), (2, ids(&[3]))].into()
    );
    let triggered = |event| -> Vec<_> {
        let messages = catalogue.triggered_by(event).iter();
        messages.map(|message| message.id).collect()
    };
    assert_eq!(triggered(1), ids(&[1, 2]));
    assert_eq!(triggered(2), ids(&[3]));
    assert_eq!(triggered(0), []);
}
