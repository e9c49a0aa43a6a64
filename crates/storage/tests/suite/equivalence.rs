//! Folding is only a faster way: the rows are those that one item at a time leaves.

use model::{DeviceToken, LoginId, Platform};
use proptest::{
    collection::vec,
    option,
    prelude::{Just, Strategy, prop_oneof},
    test_runner::{Config, TestRunner},
};
use storage::{Login, Scope, Storage, Users};

use crate::database::Database;

#[derive(Clone, Debug)]
enum Item {
    Login(Login),
    Blacklist(LoginId, Vec<i32>),
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let user = || (1..5_i64).prop_map(LoginId);
    let platform = prop_oneof![Just(1_i16), Just(2), Just(6)].prop_map(Platform);
    let token = prop_oneof![
        Just("a"),
        Just("A"),
        Just("b"),
        Just("c"),
        Just("d"),
        Just("")
    ];
    let login = (
        user(),
        option::of(1..4_i16),
        platform,
        option::of(token),
        option::of(0..9_i32),
    )
        .prop_map(|(login, language, platform, token, application_version)| {
            let token = token.map(DeviceToken::new);
            Item::Login(Login {
                login,
                language,
                platform,
                token,
                application_version,
            })
        });
    let blacklist =
        (user(), vec(0..9_i32, 0..4)).prop_map(|(login, list)| Item::Blacklist(login, list));
    vec(prop_oneof![4 => login, 1 => blacklist], 1..25)
}

fn scope(items: &[Item]) -> Scope {
    let mut scope = Scope {
        writes: true,
        ..Scope::default()
    };
    for item in items {
        match item {
            Item::Login(login) => {
                scope.logins.push(login.login);
                scope
                    .tokens
                    .extend(login.token.clone().map(|token| (login.platform, token)));
            }
            Item::Blacklist(login, _) => scope.logins.push(*login),
        }
    }
    scope.logins.sort_unstable();
    scope.logins.dedup();
    scope
}

fn apply(users: &mut Users, item: &Item) -> bool {
    match item {
        Item::Login(login) => users.log_in(login).is_ok(),
        Item::Blacklist(login, list) => users.set_blacklist(*login, list.clone()).is_ok(),
    }
}

/// The rows in the order of their ids, without ids and times; and which items were refused.
fn rows_after(
    database: &Database,
    storage: &Storage,
    before: &[Item],
    batches: &[&[Item]],
) -> (Vec<bool>, Vec<Option<String>>) {
    database.execute("DELETE FROM login");
    for item in before {
        storage
            .fold(&scope(std::slice::from_ref(item)), |users| {
                apply(users, item)
            })
            .unwrap();
    }
    let mut accepted = Vec::new();
    for batch in batches {
        let folded = storage.fold(&scope(batch), |users| {
            batch
                .iter()
                .map(|item| apply(users, item))
                .collect::<Vec<_>>()
        });
        accepted.extend(folded.unwrap().result);
    }
    let blacklist = if database.is_postgres() {
        "array_to_json(blacklist)"
    } else {
        "blacklist"
    };
    let rows = [
        "SELECT CAST(id AS text) || ':' || COALESCE(CAST(language_id AS text), '-') AS cell FROM login ORDER BY id"
            .to_owned(),
        "SELECT CAST(login_id AS text) || ':' || CAST(platform_id AS text) || ':' || device_token || ':' \
         || COALESCE(CAST(application_version AS text), '-') AS cell FROM device ORDER BY id"
            .to_owned(),
        format!(
            "SELECT CAST(login_id AS text) || ':' || {blacklist} AS cell FROM message_blacklist ORDER BY login_id"
        ),
    ];
    (
        accepted,
        rows.iter().flat_map(|sql| database.cells(sql)).collect(),
    )
}

pub(crate) fn one_fold_of_many_logins_equals_many_folds_of_one(database: &Database) {
    let storage = database.open_with_limits(3, 2);
    let cases = if database.is_postgres() { 12 } else { 48 };
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let checked = TestRunner::new(config).run(&(items(), items()), |(before, items)| {
        let ones: Vec<&[Item]> = items.chunks(1).collect();
        let one_by_one = rows_after(database, &storage, &before, &ones);
        let at_once = rows_after(database, &storage, &before, &[&items]);
        proptest::prop_assert_eq!(one_by_one, at_once);
        Ok(())
    });
    if let Err(failure) = checked {
        panic!("{failure}");
    }
}
