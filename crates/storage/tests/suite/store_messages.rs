//! Messages stored with their texts, one and many: what changes, what stays, all or nothing.

use std::{sync::Barrier, thread};

use model::Priority;
use storage::{Attribute, Localization, Message, MessageDraft, Storage, StoredMessages};

use crate::database::Database;

fn text(language: i16, title: &str) -> Localization {
    Localization {
        language,
        title: title.into(),
        text: format!("text of {title}"),
    }
}

fn full(name: &str, localizations: Vec<Localization>) -> MessageDraft {
    MessageDraft {
        name: name.into(),
        trigger_event_id: Attribute::Set(Some(7)),
        cooldown_ms: Attribute::Set(Some(600_000)),
        screen: Attribute::Set("home".into()),
        expiry_millis: Attribute::Set(Some(60_000)),
        priority: Attribute::Set(Priority::High),
        localizations,
    }
}

fn only_texts(name: &str, localizations: Vec<Localization>) -> MessageDraft {
    MessageDraft {
        name: name.into(),
        localizations,
        ..MessageDraft::default()
    }
}

fn stored(storage: &Storage, name: &str) -> Message {
    Message::clone(storage.catalogue().named(name).unwrap())
}

fn store(storage: &Storage, drafts: &[MessageDraft]) -> StoredMessages {
    storage.store_messages(drafts, &mut |_| {}).unwrap()
}

fn catalogue_version(database: &Database) -> i64 {
    database.number("SELECT CAST(version AS bigint) AS cell FROM catalogue_version")
}

/// Pushkin's `add_message` resets everything that is not repeated.
pub(crate) fn a_second_language_leaves_the_messages_attributes(database: &Database) {
    let storage = database.open();
    let id = storage
        .add_message(&full("m", vec![text(1, "English")]))
        .unwrap();
    let before = stored(&storage, "m");
    let second = only_texts("m", vec![text(2, "Deutsch")]);
    assert_eq!(storage.add_message(&second).unwrap(), id);
    let after = stored(&storage, "m");
    assert_eq!(
        after.localizations,
        [text(1, "English"), text(2, "Deutsch")]
    );
    let localizations = before.localizations.clone();
    assert_eq!(
        Message {
            localizations,
            ..after
        },
        before
    );
    assert_eq!(
        (
            before.trigger_event_id,
            before.cooldown_ms,
            before.expiry_millis
        ),
        (Some(7), Some(600_000), Some(60_000))
    );
    assert_eq!(
        (before.screen.as_str(), before.priority),
        ("home", Priority::High)
    );
}

pub(crate) fn what_is_named_changes_and_what_is_not_named_stays(database: &Database) {
    let storage = database.open();
    store(&storage, &[full("m", vec![text(1, "old"), text(2, "two")])]);
    // A priority that only SQL can write is kept too.
    database.execute("UPDATE message SET priority = 'odd'");
    let change = MessageDraft {
        cooldown_ms: Attribute::Set(None),
        ..only_texts(
            "m",
            vec![text(1, "first"), text(1, "new"), text(3, "three")],
        )
    };
    let counts = store(&storage, &[change]);
    assert_eq!((counts.added, counts.changed), (0, 1));
    assert_eq!((counts.texts_added, counts.texts_changed), (1, 1));
    let message = stored(&storage, "m");
    assert_eq!(
        (message.cooldown_ms, message.trigger_event_id),
        (None, Some(7))
    );
    assert_eq!(
        message.localizations,
        [text(1, "new"), text(2, "two"), text(3, "three")]
    );
    let priority = database.cells("SELECT priority AS cell FROM message");
    assert_eq!(priority, [Some("odd".to_owned())]);
    store(&storage, &[only_texts("bare", vec![])]);
    let bare = stored(&storage, "bare");
    assert_eq!((bare.trigger_event_id, bare.cooldown_ms), (None, None));
    assert_eq!(
        (bare.screen.as_str(), bare.priority),
        ("", Priority::Normal)
    );
}

pub(crate) fn a_batch_of_messages_costs_what_one_costs(database: &Database) {
    let storage = database.open();
    let cost = |numbers: std::ops::Range<i32>, title: &str| {
        let drafts: Vec<_> = numbers
            .map(|number| {
                let title = format!("{title} {number} \"\\ {{a}} čđ");
                MessageDraft {
                    screen: Attribute::Set(title.clone()),
                    ..full(
                        &format!("m{number}"),
                        vec![text(1, &title), text(2, &title)],
                    )
                }
            })
            .collect();
        let before = storage.statements();
        let counts = store(&storage, &drafts);
        for draft in &drafts {
            assert_eq!(
                stored(&storage, &draft.name).localizations,
                draft.localizations
            );
        }
        (storage.statements() - before, counts)
    };
    let (one, _) = cost(0..1, "new");
    let (many, counts) = cost(1..400, "new");
    assert_eq!((many, counts.added, counts.texts_added), (one, 399, 798));
    let (one_again, _) = cost(0..1, "changed");
    let (many_again, counts) = cost(1..400, "changed");
    assert_eq!(
        (many_again, counts.changed, counts.texts_changed),
        (one_again, 399, 798)
    );
}

pub(crate) fn storing_the_same_again_changes_nothing(database: &Database) {
    let storage = database.open();
    let drafts = [full("a", vec![text(1, "A")]), full("b", vec![])];
    let first = store(&storage, &drafts);
    let version = catalogue_version(database);
    let again = store(&storage, &drafts);
    let nothing = StoredMessages {
        ids: first.ids,
        ..StoredMessages::default()
    };
    assert_eq!(again, nothing);
    assert_eq!(catalogue_version(database), version);
}

pub(crate) fn a_rehearsal_says_what_would_change_and_changes_nothing(database: &Database) {
    let storage = database.open();
    store(&storage, &[full("a", vec![text(1, "A")])]);
    let before = stored(&storage, "a");
    let drafts = [
        only_texts("a", vec![text(1, "B"), text(2, "C")]),
        full("b", vec![text(1, "D")]),
    ];
    let would = storage.rehearse_messages(&drafts, &mut |_| {}).unwrap();
    assert_eq!((would.added, would.changed), (1, 0));
    assert_eq!((would.texts_added, would.texts_changed), (2, 1));
    storage.reload_catalogue().unwrap();
    assert_eq!(stored(&storage, "a"), before);
    assert!(storage.catalogue().named("b").is_none());
}

pub(crate) fn messages_are_stored_in_their_order_and_a_name_may_come_twice(database: &Database) {
    let storage = database.open();
    let mut drafts: Vec<_> = (0..1_100)
        .rev()
        .map(|number| only_texts(&format!("m{number}"), vec![]))
        .collect();
    drafts.push(only_texts("m7", vec![text(1, "first")]));
    drafts.push(only_texts("m7", vec![text(1, "second")]));
    let mut heard = Vec::new();
    let counts = storage
        .store_messages(&drafts, &mut |done| heard.push(done))
        .unwrap();
    assert_eq!((counts.added, counts.ids.len()), (1_100, 1_102));
    assert!(counts.ids[..1_100].is_sorted());
    assert_eq!(counts.ids[1_100], stored(&storage, "m7").id);
    assert_eq!(stored(&storage, "m7").localizations, [text(1, "second")]);
    assert_eq!(heard.first(), Some(&500));
    assert_eq!(heard.last(), Some(&1_102));
}

pub(crate) fn many_messages_are_stored_all_or_none(database: &Database) {
    let storage = database.open();
    let mut drafts: Vec<_> = (0..600)
        .map(|number| full(&format!("m{number}"), vec![text(1, "T")]))
        .collect();
    // A check that only the database knows stops the second batch.
    database.execute(if database.is_postgres() {
        "ALTER TABLE message_localization ADD CONSTRAINT test CHECK (message_title <> 'bad')"
    } else {
        "CREATE TRIGGER test BEFORE INSERT ON message_localization \
         WHEN NEW.message_title = 'bad' BEGIN SELECT RAISE(ABORT, 'bad'); END"
    });
    drafts[599].localizations[0].title = "bad".into();
    assert!(storage.store_messages(&drafts, &mut |_| {}).is_err());
    for table in ["message", "message_localization"] {
        let rows = format!("SELECT count(*) AS cell FROM {table}");
        assert_eq!(database.number(&rows), 0);
    }
    drafts[599].localizations[0].title = "good".into();
    assert_eq!(store(&storage, &drafts).added, 600);
}

pub(crate) fn parallel_storings_follow_each_other(database: &Database) {
    let storage = database.open();
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for language in 1..=4_i16 {
            let (storage, start) = (&storage, &start);
            scope.spawn(move || {
                let mut drafts: Vec<_> = (0..50)
                    .map(|number| {
                        let title = format!("{language}");
                        only_texts(&format!("m{number}"), vec![text(language, &title)])
                    })
                    .collect();
                // Orders in which row locks would meet.
                if language % 2 == 0 {
                    drafts.reverse();
                }
                start.wait();
                store(storage, &drafts);
            });
        }
    });
    storage.reload_catalogue().unwrap();
    let catalogue = storage.catalogue();
    assert_eq!(catalogue.messages().count(), 50);
    assert!(
        catalogue
            .messages()
            .all(|message| message.localizations.len() == 4)
    );
}
