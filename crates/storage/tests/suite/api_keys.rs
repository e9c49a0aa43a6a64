//! Organisations and API keys.

use model::OrganisationId;
use storage::{ApiKey, NewApiKey, Storage};

use crate::database::Database;

fn add(storage: &Storage, organisation: OrganisationId, key: &str, algorithm: &str) -> bool {
    let new = NewApiKey {
        organisation,
        key,
        algorithm,
        hash: "00ff",
        note: Some("the game's server"),
    };
    storage.add_api_key(&new).unwrap()
}

fn organisation(storage: &Storage, name: &str) -> OrganisationId {
    storage.add_organisation(name).unwrap();
    storage.organisation(name).unwrap().unwrap().id
}

fn key(storage: &Storage, key: &str) -> ApiKey {
    storage.api_key(key).unwrap().unwrap()
}

pub(crate) fn a_key_reads_back_and_cannot_be_added_twice(database: &Database) {
    let storage = database.open();
    let legacy = storage.organisation("legacy").unwrap().unwrap();
    assert_eq!(legacy.id, OrganisationId::LEGACY);
    assert!(legacy.created_at.0 > 1_700_000_000_000, "{legacy:?}");
    assert_eq!(storage.api_key("KEY").unwrap(), None);
    assert!(add(&storage, OrganisationId::LEGACY, "KEY", "sha256"));
    let stored = key(&storage, "KEY");
    assert_eq!(
        stored,
        ApiKey {
            organisation: OrganisationId::LEGACY,
            organisation_name: "legacy".to_owned(),
            key: "KEY".to_owned(),
            algorithm: "sha256".to_owned(),
            hash: "00ff".to_owned(),
            note: Some("the game's server".to_owned()),
            created_at: stored.created_at,
            disabled_at: None,
        }
    );
    assert!(stored.created_at.0 > 0);
    let other = organisation(&storage, "other");
    assert!(!add(&storage, other, "KEY", "argon2id"));
    assert_eq!(key(&storage, "KEY"), stored);
    // Keys are compared to the letter.
    assert_eq!(storage.api_key("key").unwrap(), None);
    assert!(!storage.has_api_keys_hashed_by("argon2id").unwrap());
    assert!(add(&storage, other, "key", "argon2id"));
    assert!(storage.has_api_keys_hashed_by("argon2id").unwrap());
}

pub(crate) fn a_disabled_key_keeps_its_time_until_it_is_enabled(database: &Database) {
    let storage = database.open();
    assert!(!storage.set_api_key_enabled("KEY", false).unwrap());
    assert!(!storage.set_api_key_enabled("KEY", true).unwrap());
    add(&storage, OrganisationId::LEGACY, "KEY", "sha256");
    add(&storage, OrganisationId::LEGACY, "OTHER", "sha256");
    assert!(storage.set_api_key_enabled("KEY", false).unwrap());
    assert!(key(&storage, "KEY").disabled_at.is_some());
    database.execute("UPDATE api_key SET disabled_at = 5 WHERE key = 'KEY'");
    assert!(storage.set_api_key_enabled("KEY", false).unwrap());
    assert_eq!(key(&storage, "KEY").disabled_at.unwrap().0, 5);
    assert!(storage.set_api_key_enabled("KEY", true).unwrap());
    assert!(storage.set_api_key_enabled("KEY", true).unwrap());
    assert_eq!(key(&storage, "KEY").disabled_at, None);
    assert_eq!(key(&storage, "OTHER").disabled_at, None);
}

pub(crate) fn keys_are_listed_in_their_order_with_their_organisations(database: &Database) {
    let storage = database.open();
    let other = organisation(&storage, "Žirafa");
    assert_eq!(organisation(&storage, "Žirafa"), other);
    add(&storage, other, "Z", "sha256");
    add(&storage, OrganisationId::LEGACY, "A", "sha256");
    let listed: Vec<(String, String)> = storage
        .api_keys()
        .unwrap()
        .into_iter()
        .map(|key| (key.key, key.organisation_name))
        .collect();
    let expected = [("Z", "Žirafa"), ("A", "legacy")];
    assert_eq!(
        listed,
        expected.map(|(key, name)| (key.to_owned(), name.to_owned()))
    );
}

pub(crate) fn an_organisations_keys_go_with_it_and_its_id_does_not_come_back(database: &Database) {
    let storage = database.open();
    let first = organisation(&storage, "first");
    add(&storage, first, "K", "sha256");
    // SQLite follows references only where it is told to.
    let follow = if database.is_postgres() {
        ""
    } else {
        "PRAGMA foreign_keys = ON;"
    };
    database.execute(&format!(
        "{follow} DELETE FROM organisation WHERE name = 'first'"
    ));
    assert_eq!(storage.api_key("K").unwrap(), None);
    assert!(organisation(&storage, "second").0 > first.0);
}
