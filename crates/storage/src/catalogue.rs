//! Messages, their triggers and their texts, in memory and never more than two seconds old.
//!
//! Triggers on the tables raise `catalogue_version` whoever changes a message, be it the command
//! line, the API or plain SQL; `catalogue/watch.rs` asks for it every second. The version is read
//! before the rows: a change that comes between is seen again at the next look.

mod watch;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use diesel::{pg::PgConnection, prelude::*, sqlite::SqliteConnection};
use model::{MessageId, Priority};
use tracing::warn;

pub use self::watch::POLL_INTERVAL;
pub(crate) use self::watch::{Current, watch};
use crate::{
    StorageError,
    schema::{catalogue_version, message, message_localization},
};

/// The most texts that are kept in memory; a database with more is refused.
pub const MAX_LOCALIZATIONS: usize = 1_000_000;

/// The language whose text stands in for a missing one (English, in Pushkin).
const FALLBACK_LANGUAGE: i16 = 1;

/// All messages at one moment.
#[derive(Debug, Default)]
pub struct Catalogue {
    version: i64,
    messages: BTreeMap<MessageId, Arc<Message>>,
    triggers: HashMap<i32, Vec<Arc<Message>>>,
}

/// One message with its texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Its name, unique.
    pub name: String,
    /// The least time between two of them to one user, in milliseconds; `None` is no limit.
    pub cooldown_ms: Option<i64>,
    /// The event that sends it.
    pub trigger_event_id: Option<i32>,
    /// Where in the game it leads; may be empty.
    pub screen: String,
    /// How long after its event it is still worth sending, in milliseconds.
    pub expiry_millis: Option<i64>,
    /// How urgent it is.
    pub priority: Priority,
    /// Its texts, by language.
    pub localizations: Vec<Localization>,
}

/// A message's text in one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Localization {
    /// Which language, by the game's own numbers.
    pub language: i16,
    /// The title, with parameters in braces.
    pub title: String,
    /// The text, with parameters in braces.
    pub text: String,
}

impl Catalogue {
    /// Rises with every change.
    #[must_use]
    pub fn version(&self) -> i64 {
        self.version
    }

    /// The messages an event sends, by ascending id.
    #[must_use]
    pub fn triggered_by(&self, event_id: i32) -> &[Arc<Message>] {
        self.triggers.get(&event_id).map_or(&[], Vec::as_slice)
    }

    /// Which messages each event sends, by ascending id; events that send none are not in it.
    #[must_use]
    pub fn triggers(&self) -> BTreeMap<i32, Vec<MessageId>> {
        let ids = |messages: &[Arc<Message>]| messages.iter().map(|message| message.id).collect();
        let triggers = self.triggers.iter();
        triggers
            .map(|(event_id, messages)| (*event_id, ids(messages)))
            .collect()
    }

    /// All messages, by ascending id.
    pub fn messages(&self) -> impl Iterator<Item = &Arc<Message>> {
        self.messages.values()
    }

    /// The message with this id.
    #[must_use]
    pub fn message(&self, id: MessageId) -> Option<&Arc<Message>> {
        self.messages.get(&id)
    }

    /// The message with this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Arc<Message>> {
        self.messages.values().find(|message| message.name == name)
    }

    fn of_rows(
        version: i64,
        messages: Vec<MessageValues>,
        localizations: Vec<LocalizationValues>,
    ) -> Self {
        let mut by_id: BTreeMap<MessageId, Message> = BTreeMap::new();
        for (id, name, cooldown_ms, trigger_event_id, screen, expiry_millis, priority) in messages {
            let id = MessageId(id);
            let priority = Priority::from_name(&priority).unwrap_or_else(|| {
                warn!(message.id = %id, priority, "a message's priority is neither normal nor high, taking normal");
                Priority::Normal
            });
            let localizations = Vec::new();
            let message = Message {
                id,
                name,
                cooldown_ms,
                trigger_event_id,
                screen,
                expiry_millis,
                priority,
                localizations,
            };
            by_id.insert(id, message);
        }
        for (message, language, title, text) in localizations {
            // A message that was added since its own rows were read comes with the next look.
            if let Some(message) = by_id.get_mut(&MessageId(message)) {
                message.localizations.push(Localization {
                    language,
                    title,
                    text,
                });
            }
        }
        let messages: BTreeMap<_, _> = by_id
            .into_iter()
            .map(|(id, message)| (id, Arc::new(message)))
            .collect();
        let mut triggers: HashMap<i32, Vec<Arc<Message>>> = HashMap::new();
        for message in messages.values() {
            if let Some(event_id) = message.trigger_event_id {
                triggers
                    .entry(event_id)
                    .or_default()
                    .push(Arc::clone(message));
            }
        }
        Self {
            version,
            messages,
            triggers,
        }
    }
}

impl Message {
    /// The text for a user's language: its own, else that of language 1, else none.
    #[must_use]
    pub fn localization(&self, language: i16) -> Option<&Localization> {
        let find = |language| {
            let place = self
                .localizations
                .binary_search_by_key(&language, |text| text.language);
            place.ok().map(|place| &self.localizations[place])
        };
        find(language).or_else(|| find(FALLBACK_LANGUAGE))
    }
}

type MessageValues = (
    i32,
    String,
    Option<i64>,
    Option<i32>,
    String,
    Option<i64>,
    String,
);
type LocalizationValues = (i32, i16, String, String);

/// A connection as the catalogue uses it, to either database.
pub(crate) trait CatalogueRows {
    fn version(&mut self) -> QueryResult<i64>;
    fn messages(&mut self) -> QueryResult<Vec<MessageValues>>;
    fn localizations(&mut self) -> QueryResult<Vec<LocalizationValues>>;
}

macro_rules! catalogue_rows {
    ($connection:ty) => {
        impl CatalogueRows for $connection {
            fn version(&mut self) -> QueryResult<i64> {
                catalogue_version::table
                    .select(catalogue_version::version)
                    .first(self)
            }

            fn messages(&mut self) -> QueryResult<Vec<MessageValues>> {
                message::table.order(message::id).load(self)
            }

            fn localizations(&mut self) -> QueryResult<Vec<LocalizationValues>> {
                let one_too_many = i64::try_from(MAX_LOCALIZATIONS + 1).expect("a million fits");
                message_localization::table
                    .order((
                        message_localization::message_id,
                        message_localization::language_id,
                    ))
                    .limit(one_too_many)
                    .load(self)
            }
        }
    };
}

catalogue_rows!(SqliteConnection);
catalogue_rows!(PgConnection);

pub(crate) fn load(connection: &mut dyn CatalogueRows) -> Result<Catalogue, StorageError> {
    let version = connection.version().map_err(StorageError::LoadCatalogue)?;
    let messages = connection.messages().map_err(StorageError::LoadCatalogue)?;
    let localizations = connection
        .localizations()
        .map_err(StorageError::LoadCatalogue)?;
    if localizations.len() > MAX_LOCALIZATIONS {
        return Err(StorageError::CatalogueTooLarge);
    }
    Ok(Catalogue::of_rows(version, messages, localizations))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: i32, trigger: Option<i32>, priority: &str) -> MessageValues {
        (
            id,
            format!("m{id}"),
            None,
            trigger,
            String::new(),
            None,
            priority.into(),
        )
    }

    fn text(message: i32, language: i16) -> LocalizationValues {
        (
            message,
            language,
            format!("T{language}"),
            format!("text {language}"),
        )
    }

    #[test]
    fn a_missing_language_falls_back_to_language_1_and_then_to_nothing() {
        let messages = vec![message(1, None, "normal"), message(2, None, "high")];
        let catalogue = Catalogue::of_rows(1, messages, vec![text(1, 1), text(1, 7), text(2, 0)]);
        let title = |message, language| {
            let message = catalogue.message(MessageId(message)).unwrap();
            message
                .localization(language)
                .map(|text| text.title.as_str())
        };
        assert_eq!(title(1, 7), Some("T7"));
        assert_eq!(title(1, 5), Some("T1"));
        assert_eq!(title(2, 0), Some("T0"));
        assert_eq!(title(2, 7), None);
    }

    #[test]
    fn an_event_sends_its_messages_in_the_order_of_their_ids() {
        let messages = vec![
            message(1, Some(5), "normal"),
            message(2, Some(6), "odd"),
            message(3, Some(5), "high"),
        ];
        let catalogue = Catalogue::of_rows(1, messages, vec![]);
        let ids: Vec<_> = catalogue
            .triggered_by(5)
            .iter()
            .map(|message| message.id.0)
            .collect();
        assert_eq!(ids, [1, 3]);
        assert!(catalogue.triggered_by(9).is_empty());
        assert_eq!(catalogue.named("m2").unwrap().priority, Priority::Normal);
    }
}
