//! Messages and texts, and how changes come into force.

use model::{MessageId, Priority};
use storage::{MessageAttributes, Storage, StorageError};

use crate::database::{Database, attributes, eventually, message};

fn title(storage: &Storage, message: MessageId, language: i16) -> Option<String> {
    let catalogue = storage.catalogue();
    catalogue
        .message(message)?
        .localization(language)
        .map(|text| text.title.clone())
}

/// Cases 2 and 15.
pub(crate) fn a_message_and_its_texts_read_back(database: &Database) {
    let storage = database.open();
    let wanted = MessageAttributes {
        name: "raid".into(),
        trigger_event_id: Some(7),
        cooldown_ms: Some(5),
        screen: "home".into(),
        expiry_millis: Some(60_000),
        priority: Priority::High,
    };
    let id = storage.upsert_message(&wanted).unwrap();
    assert_eq!(id, MessageId(1));
    storage
        .upsert_localization(id, 1, "English", "text")
        .unwrap();
    assert_eq!(title(&storage, id, 7).as_deref(), Some("English"));
    storage.upsert_localization(id, 0, "Zero", "text").unwrap();
    assert_eq!(title(&storage, id, 7).as_deref(), Some("English"));
    storage.upsert_localization(id, 7, "Seven", "text").unwrap();
    assert_eq!(title(&storage, id, 7).as_deref(), Some("Seven"));
    let catalogue = storage.catalogue();
    let stored = &catalogue.triggered_by(7)[0];
    assert_eq!(
        (stored.cooldown_ms, stored.expiry_millis),
        (Some(5), Some(60_000))
    );
    assert_eq!(
        (stored.screen.as_str(), stored.priority),
        ("home", Priority::High)
    );
    assert!(storage.delete_localization(id, 1).unwrap());
    assert_eq!(title(&storage, id, 5), None);
    assert!(storage.delete_message("raid").unwrap());
    assert!(!storage.delete_message("raid").unwrap());
    assert!(storage.catalogue().named("raid").is_none());
}

pub(crate) fn storing_a_message_again_keeps_its_texts_and_a_text_keeps_the_message(
    database: &Database,
) {
    let storage = database.open();
    let id = message(&storage, "m", Some(5));
    storage.upsert_localization(id, 1, "T", "text").unwrap();
    storage.upsert_localization(id, 1, "T2", "text").unwrap();
    assert_eq!(
        storage.catalogue().message(id).unwrap().cooldown_ms,
        Some(5)
    );
    let changed = MessageAttributes {
        trigger_event_id: None,
        ..attributes("m", None)
    };
    assert_eq!(storage.upsert_message(&changed).unwrap(), id);
    assert_eq!(title(&storage, id, 1).as_deref(), Some("T2"));
    assert!(storage.catalogue().triggered_by(100).is_empty());
}

pub(crate) fn ids_of_deleted_messages_do_not_come_back(database: &Database) {
    let storage = database.open();
    let deleted = message(&storage, "a", None);
    storage.delete_message("a").unwrap();
    assert!(message(&storage, "b", None) > deleted);
}

pub(crate) fn a_text_needs_its_message(database: &Database) {
    let storage = database.open();
    let missing = storage.upsert_localization(MessageId(9), 1, "T", "text");
    assert!(matches!(
        missing,
        Err(StorageError::UnknownMessage {
            message: MessageId(9)
        })
    ));
}

pub(crate) fn plain_sql_changes_come_into_force(database: &Database) {
    let storage = database.open();
    database.execute(
        "INSERT INTO message (name, trigger_event_id) VALUES ('sql', 9); \
         INSERT INTO message_localization (message_id, language_id, message_title, message_text) \
         SELECT id, 1, 'before', 'text' FROM message",
    );
    let has_title = |wanted: &str| {
        let catalogue = storage.catalogue();
        let message = catalogue.triggered_by(9).first().cloned();
        message
            .and_then(|message| message.localization(1).map(|text| text.title == wanted))
            .unwrap_or(false)
    };
    eventually("a new message", || has_title("before"));
    database.execute("UPDATE message_localization SET message_title = 'after'");
    eventually("a changed text", || has_title("after"));
    database.execute("DELETE FROM message");
    eventually("a deleted message", || {
        storage.catalogue().triggered_by(9).is_empty()
    });
}
