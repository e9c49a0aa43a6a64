use super::*;

const ANDROID: Platform = Platform::ANDROID;

fn limits(devices_per_user: usize, users_per_device: usize) -> Limits {
    Limits {
        devices_per_user,
        users_per_device,
    }
}

fn row(id: i64, login: i64, platform: Platform, token: &str) -> DeviceRow {
    DeviceRow {
        id,
        login,
        platform: platform.0,
        token: token.into(),
        token_new: None,
        application_version: None,
        unregistered_us: None,
        last_login_us: id,
    }
}

fn known(id: i64) -> LoginRow {
    LoginRow {
        id,
        language: Some(1),
        blacklist: Vec::new(),
    }
}

fn users(
    limits: Limits,
    tokens: &[(Platform, &str)],
    rows: Vec<LoginRow>,
    devices: Vec<DeviceRow>,
) -> Users {
    let tokens: Vec<_> = tokens
        .iter()
        .map(|(platform, token)| (*platform, DeviceToken::new(*token)))
        .collect();
    let start = Start {
        now: UnixMs(1_000),
        login_time_us: 1_000_000,
        limits,
        writes: true,
        logins: &[LoginId(1), LoginId(2), LoginId(3)],
        tokens: &tokens,
    };
    Users::new(&start, rows, devices)
}

fn login(login: i64, platform: Platform, token: &str) -> Login {
    Login {
        login: LoginId(login),
        language: Some(1),
        platform,
        token: Some(DeviceToken::new(token)),
        application_version: Some(7),
    }
}

fn addresses(users: &Users, login: i64) -> Vec<(i16, &str)> {
    let addresses = users.addresses(LoginId(login)).into_iter();
    addresses
        .map(|(platform, token)| (platform.0, token.as_str()))
        .collect()
}

fn item(index: u32) -> ItemId {
    ItemId {
        request: model::RequestId::generate(),
        index,
    }
}

#[test]
fn a_first_login_makes_user_and_device() {
    let mut users = users(limits(10, 1), &[(ANDROID, "a")], vec![], vec![]);
    assert!(!users.knows(LoginId(1)));
    users.log_in(&login(1, ANDROID, "a")).unwrap();
    assert!(users.knows(LoginId(1)));
    assert_eq!(users.language(LoginId(1)), Some(1));
    assert_eq!(addresses(&users, 1), [(1, "a")]);
    let changes = users.changes();
    assert_eq!(changes.new_logins, [(1, Some(1))]);
    assert_eq!(changes.inserted.len(), 1);
    assert_eq!(changes.inserted[0].application_version, Some(7));
}

#[test]
fn users_that_only_receive_are_not_made() {
    let users = users(limits(10, 1), &[], vec![], vec![]);
    assert_eq!(users.changes(), Changes::default());
}

#[test]
fn an_absent_language_keeps_the_stored_one() {
    let mut users = users(limits(10, 1), &[(ANDROID, "a")], vec![known(1)], vec![]);
    let absent = Login {
        language: None,
        ..login(1, ANDROID, "a")
    };
    users.log_in(&absent).unwrap();
    assert_eq!(users.language(LoginId(1)), Some(1));
    assert_eq!(users.changes().languages, []);
    users
        .log_in(&Login {
            language: Some(7),
            ..absent
        })
        .unwrap();
    assert_eq!(users.changes().languages, [(1, 7)]);
}

#[test]
fn an_absent_or_empty_token_stores_no_device() {
    let mut users = users(limits(10, 1), &[], vec![], vec![]);
    users
        .log_in(&Login {
            token: None,
            ..login(1, ANDROID, "")
        })
        .unwrap();
    users.log_in(&login(2, ANDROID, "")).unwrap();
    assert_eq!(users.changes().new_logins.len(), 2);
    assert_eq!(users.changes().inserted, []);
}

#[test]
fn the_old_and_the_new_token_both_find_the_device_and_revive_it() {
    let mut replaced = row(5, 1, ANDROID, "old");
    replaced.token_new = Some("new".into());
    replaced.unregistered_us = Some(3);
    for token in ["old", "new"] {
        let mut users = users(
            limits(10, 1),
            &[(ANDROID, token)],
            vec![known(1)],
            vec![replaced.clone()],
        );
        assert_eq!(addresses(&users, 1), []);
        users.log_in(&login(1, ANDROID, token)).unwrap();
        assert_eq!(addresses(&users, 1), [(1, "new")]);
        let changes = users.changes();
        assert_eq!(changes.seen, [(5, Some(7), 1_000_000)]);
        assert_eq!((changes.inserted.len(), changes.deleted.len()), (0, 0));
    }
}

#[test]
fn beyond_the_limit_unregistered_devices_go_first_then_old_rows() {
    let mut devices: Vec<_> = (1..=3)
        .map(|id| row(id, 1, ANDROID, &format!("t{id}")))
        .collect();
    devices[2].unregistered_us = Some(9);
    let mut users = users(
        limits(3, 1),
        &[(ANDROID, "t4"), (ANDROID, "t5")],
        vec![known(1)],
        devices,
    );
    users.log_in(&login(1, ANDROID, "t4")).unwrap();
    assert_eq!(users.changes().deleted, [(3, "t3".into())]);
    users.log_in(&login(1, ANDROID, "t5")).unwrap();
    assert_eq!(
        users.changes().deleted,
        [(1, "t1".into()), (3, "t3".into())]
    );
    assert_eq!(addresses(&users, 1), [(1, "t2"), (1, "t4"), (1, "t5")]);
}

#[test]
fn of_unregistered_devices_the_longest_dead_goes_first() {
    let mut devices: Vec<_> = (1..=2)
        .map(|id| row(id, 1, ANDROID, &format!("t{id}")))
        .collect();
    devices[0].unregistered_us = Some(9);
    devices[1].unregistered_us = Some(5);
    let mut users = users(limits(2, 1), &[(ANDROID, "t3")], vec![known(1)], devices);
    users.log_in(&login(1, ANDROID, "t3")).unwrap();
    assert_eq!(users.changes().deleted, [(2, "t2".into())]);
}

#[test]
fn a_tokens_latest_users_keep_it_also_within_one_batch() {
    let devices = vec![row(9, 8, ANDROID, "shared")];
    let mut users = users(
        limits(10, 1),
        &[(ANDROID, "shared")],
        vec![known(1)],
        devices,
    );
    users.log_in(&login(1, ANDROID, "shared")).unwrap();
    assert_eq!(users.changes().deleted, [(9, "shared".into())]);
    users.log_in(&login(2, ANDROID, "shared")).unwrap();
    assert_eq!(addresses(&users, 1), []);
    assert_eq!(addresses(&users, 2), [(1, "shared")]);
    users.log_in(&login(1, ANDROID, "shared")).unwrap();
    assert_eq!(addresses(&users, 2), []);
    assert_eq!(users.changes().inserted.len(), 1);
}

#[test]
fn the_same_token_on_another_platform_is_another_device() {
    let tokens = [(ANDROID, "t"), (Platform::ANDROID_TABLET, "t")];
    let mut users = users(limits(10, 1), &tokens, vec![], vec![]);
    users.log_in(&login(1, ANDROID, "t")).unwrap();
    users
        .log_in(&login(2, Platform::ANDROID_TABLET, "t"))
        .unwrap();
    assert_eq!(addresses(&users, 1), [(1, "t")]);
    assert_eq!(addresses(&users, 2), [(6, "t")]);
}

#[test]
fn apns_tokens_mean_the_same_in_either_case() {
    let devices = vec![
        row(4, 1, Platform::IPHONE, "ABCD"),
        row(5, 2, Platform::IPHONE, "abcd"),
    ];
    let tokens = [(Platform::IPHONE, "AbCd")];
    let mut users = users(limits(10, 1), &tokens, vec![known(1), known(2)], devices);
    users.log_in(&login(1, Platform::IPHONE, "AbCd")).unwrap();
    assert_eq!(users.changes().inserted, []);
    assert_eq!(users.changes().deleted, [(5, "abcd".into())]);
    assert_eq!(addresses(&users, 1), [(2, "ABCD")]);
}

#[test]
fn a_token_is_reached_once_per_push_service_on_the_lowest_platform() {
    let mut moved = row(4, 1, ANDROID, "old");
    moved.token_new = Some("new".into());
    let devices = vec![
        row(1, 1, Platform::IPAD, "NEW"),
        row(2, 1, Platform::IPHONE, "new"),
        row(3, 1, ANDROID, "new"),
        moved,
        row(5, 1, Platform::ANDROID_TABLET, "new"),
        row(6, 1, Platform(99), "new"),
        row(7, 1, Platform(98), "new"),
        row(8, 1, ANDROID, ""),
    ];
    let users = users(limits(10, 1), &[], vec![known(1)], devices);
    assert_eq!(
        addresses(&users, 1),
        [(1, "new"), (2, "new"), (98, "new"), (99, "new")]
    );
}

#[test]
fn a_blacklist_is_replaced_and_needs_a_login() {
    let mut row = known(1);
    row.blacklist = vec![9, 4];
    let mut users = users(limits(10, 1), &[], vec![row], vec![]);
    assert!(users.is_blacklisted(LoginId(1), MessageId(4)));
    users.set_blacklist(LoginId(1), vec![7, 7, 5]).unwrap();
    assert!(!users.is_blacklisted(LoginId(1), MessageId(4)));
    assert!(users.is_blacklisted(LoginId(1), MessageId(5)));
    assert_eq!(users.changes().blacklists, [(1, vec![5, 7])]);
    assert_eq!(
        users.set_blacklist(LoginId(2), vec![1]),
        Err(Refused::UnknownLogin)
    );
    assert_eq!(
        users.set_blacklist(LoginId(4), vec![1]),
        Err(Refused::OutsideScope)
    );
}

#[test]
fn a_token_that_no_database_can_keep_is_refused_and_changes_nothing() {
    let long = "x".repeat(MAX_TOKEN_BYTES + 1);
    let mut users = users(
        limits(10, 1),
        &[(ANDROID, "a\0b"), (ANDROID, &long)],
        vec![],
        vec![],
    );
    for token in ["a\0b", &long] {
        assert_eq!(
            users.log_in(&login(1, ANDROID, token)),
            Err(Refused::UnusableToken)
        );
    }
    assert_eq!(
        users.log_in(&login(1, ANDROID, "unannounced")),
        Err(Refused::OutsideScope)
    );
    assert_eq!(users.changes(), Changes::default());
}

#[test]
fn a_dead_token_ends_the_device_unless_its_user_came_back_later() {
    let since = |ms| Some(UnixMs(ms));
    let mut device = row(4, 1, Platform::IPHONE, "abcd");
    device.last_login_us = 500_000;
    let token = DeviceToken::new("ABCD");
    let mut users = users(limits(10, 1), &[], vec![known(1)], vec![device]);
    assert!(!users.unregister(LoginId(1), &token, since(499)));
    assert!(!users.unregister(LoginId(2), &token, None));
    assert!(users.unregister(LoginId(1), &token, since(500)));
    assert!(
        !users.unregister(LoginId(1), &token, None),
        "it has ended already"
    );
    assert_eq!(addresses(&users, 1), []);
    assert_eq!(users.changes().ended, [4]);
}

#[test]
fn a_replaced_token_leaves_the_device_to_its_latest_user() {
    let devices = vec![row(1, 1, ANDROID, "d"), row(2, 2, ANDROID, "dnew")];
    let tokens = [(ANDROID, "dnew"), (Platform::ANDROID_TABLET, "dnew")];
    let mut users = users(limits(10, 1), &tokens, vec![known(1), known(2)], devices);
    let (old, new) = (DeviceToken::new("d"), DeviceToken::new("dnew"));
    assert_eq!(
        users.replace_token(LoginId(1), ANDROID, &old, &new),
        Ok(true)
    );
    assert_eq!(users.changes().deleted, [(1, "d".into())]);
    assert_eq!(addresses(&users, 2), [(1, "dnew")]);
}

#[test]
fn tokens_replaced_twice_in_a_batch_end_at_the_last_one() {
    let tokens = ["b", "c"]
        .map(|token| [(ANDROID, token), (Platform::ANDROID_TABLET, token)])
        .concat();
    let mut users = users(
        limits(10, 1),
        &tokens,
        vec![known(1)],
        vec![row(1, 1, ANDROID, "a")],
    );
    let [a, b, c] = ["a", "b", "c"].map(DeviceToken::new);
    users.replace_token(LoginId(1), ANDROID, &a, &b).unwrap();
    users.replace_token(LoginId(1), ANDROID, &b, &c).unwrap();
    assert_eq!(users.changes().replaced, [(1, "c".into())]);
}

#[test]
fn logins_of_a_batch_stay_in_order_even_behind_a_clock_that_was_ahead() {
    let mut ahead = row(1, 3, ANDROID, "t");
    ahead.last_login_us = 9_000_000;
    let mut users = users(
        limits(10, 1),
        &[(ANDROID, "t"), (ANDROID, "u")],
        vec![],
        vec![ahead],
    );
    users.log_in(&login(1, ANDROID, "t")).unwrap();
    users.log_in(&login(1, ANDROID, "u")).unwrap();
    let times: Vec<_> = users
        .changes()
        .inserted
        .iter()
        .map(|device| device.last_login_us)
        .collect();
    assert_eq!(times, [9_000_001, 9_000_002]);
    assert_eq!(users.changes().deleted, [(1, "t".into())]);
}

#[test]
fn claims_are_kept_in_order() {
    let mut users = users(limits(10, 1), &[], vec![known(1)], vec![]);
    let items = [item(0), item(1)];
    for item in items {
        users.claim(LoginId(1), MessageId(3), item);
    }
    assert_eq!(
        users
            .claims()
            .iter()
            .map(|claim| claim.item)
            .collect::<Vec<_>>(),
        items
    );
}
