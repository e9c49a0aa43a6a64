//! Many messages with their texts, all or nothing.
//!
//! What is there is read first and compared here, so only what differs is written and no id is
//! used up. Statements are per batch and not per message; the whole is one transaction, in which
//! nobody else writes messages.

use std::collections::{BTreeMap, HashMap, HashSet};

use diesel::{QueryResult, result::Error as QueryError};
use model::{MessageId, Priority};

use super::rows::{AdministrationRows, MessageRow, MessageValues, TextRow};
use crate::{Localization, MAX_LOCALIZATIONS, Storage, StorageError};

/// Messages in one round of statements.
const BATCH: usize = 500;

/// What becomes of one attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Attribute<T> {
    /// It stays as it is; a new message has Pushkin's default.
    #[default]
    Keep,
    /// It becomes this.
    Set(T),
}

impl<T> Attribute<T> {
    fn over(&self, old: T) -> T
    where
        T: Clone,
    {
        match self {
            Self::Keep => old,
            Self::Set(new) => new.clone(),
        }
    }
}

/// What is to be stored of a message. Attributes and languages that are not named stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageDraft {
    /// Its name, which says whether it is new.
    pub name: String,
    /// The event that sends it.
    pub trigger_event_id: Attribute<Option<i32>>,
    /// The least time between two of them to one user, in milliseconds.
    pub cooldown_ms: Attribute<Option<i64>>,
    /// Where in the game it leads.
    pub screen: Attribute<String>,
    /// How long after its event it is still worth sending, in milliseconds.
    pub expiry_millis: Attribute<Option<i64>>,
    /// How urgent it is.
    pub priority: Attribute<Priority>,
    /// Texts; of two in one language the later one counts.
    pub localizations: Vec<Localization>,
}

/// What storing messages did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredMessages {
    /// The messages' ids, in the order of the drafts.
    pub ids: Vec<MessageId>,
    /// New messages.
    pub added: usize,
    /// Messages of which an attribute changed.
    pub changed: usize,
    /// New texts.
    pub texts_added: usize,
    /// Texts that changed.
    pub texts_changed: usize,
}

impl Storage {
    /// Stores one message, a language of it, or both.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses; nothing is stored then.
    pub fn add_message(&self, draft: &MessageDraft) -> Result<MessageId, StorageError> {
        let stored = self.store_messages(std::slice::from_ref(draft), &mut |_| {})?;
        Ok(stored.ids[0])
    }

    /// Stores all messages or none, in their order; `progress` hears how many are done.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses, or would hold more texts than fit into
    /// memory; nothing is stored then.
    pub fn store_messages(
        &self,
        drafts: &[MessageDraft],
        progress: &mut dyn FnMut(usize),
    ) -> Result<StoredMessages, StorageError> {
        let stored = self.write_messages(drafts, End::Commit, progress)?;
        self.reload_catalogue()?;
        Ok(stored)
    }

    /// Does all that [`Storage::store_messages`] does, and takes it back.
    ///
    /// # Errors
    /// As [`Storage::store_messages`].
    pub fn rehearse_messages(
        &self,
        drafts: &[MessageDraft],
        progress: &mut dyn FnMut(usize),
    ) -> Result<StoredMessages, StorageError> {
        self.write_messages(drafts, End::Rollback, progress)
    }

    fn write_messages(
        &self,
        drafts: &[MessageDraft],
        end: End,
        progress: &mut dyn FnMut(usize),
    ) -> Result<StoredMessages, StorageError> {
        let outcome = on_connection!(self.connections().writer()?, connection => {
            connection.exclusively(|connection| write_all(connection, drafts, end, progress))
        });
        match outcome {
            Ok(stored) | Err(Stop::Rehearsed(stored)) => Ok(stored),
            Err(Stop::Query(error)) => Err(StorageError::Message(error)),
            Err(Stop::TooMany) => Err(StorageError::CatalogueTooLarge),
        }
    }
}

/// How a storing ends.
#[derive(Clone, Copy)]
enum End {
    Commit,
    Rollback,
}

/// Why the transaction is taken back.
pub(super) enum Stop {
    Query(QueryError),
    TooMany,
    Rehearsed(StoredMessages),
}

impl From<QueryError> for Stop {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}

fn write_all<C: AdministrationRows>(
    connection: &mut C,
    drafts: &[MessageDraft],
    end: End,
    progress: &mut dyn FnMut(usize),
) -> Result<StoredMessages, Stop> {
    let mut stored = StoredMessages::default();
    let mut rest = drafts;
    while !rest.is_empty() {
        let (batch, after) = rest.split_at(batch_length(rest));
        let ids = write_messages(connection, batch, &mut stored)?;
        write_texts(connection, batch, &ids, &mut stored)?;
        stored.ids.extend(ids);
        progress(stored.ids.len());
        rest = after;
    }
    if usize::try_from(connection.count_texts()?).unwrap_or(usize::MAX) > MAX_LOCALIZATIONS {
        return Err(Stop::TooMany);
    }
    match end {
        End::Commit => Ok(stored),
        End::Rollback => Err(Stop::Rehearsed(stored)),
    }
}

/// A batch ends before a name that it has already: the second one must find the first one stored.
fn batch_length(drafts: &[MessageDraft]) -> usize {
    let mut names = HashSet::new();
    drafts
        .iter()
        .take(BATCH)
        .take_while(|draft| names.insert(draft.name.as_str()))
        .count()
}

fn write_messages<C: AdministrationRows>(
    connection: &mut C,
    drafts: &[MessageDraft],
    stored: &mut StoredMessages,
) -> QueryResult<Vec<MessageId>> {
    let names: Vec<&str> = drafts.iter().map(|draft| draft.name.as_str()).collect();
    let before = connection.messages_named(&names)?;
    let mut before: HashMap<String, MessageValues> =
        before.into_iter().map(|row| (row.1.clone(), row)).collect();
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    let mut ids: HashMap<String, MessageId> = HashMap::new();
    for draft in drafts {
        match before.remove(&draft.name) {
            None => new.push(merged(draft, None)),
            Some(old) => {
                ids.insert(draft.name.clone(), MessageId(old.0));
                let old = MessageRow::of_columns(old);
                let wanted = merged(draft, Some(old.clone()));
                if wanted != old {
                    changed.push(wanted);
                }
            }
        }
    }
    if !new.is_empty() {
        let inserted = connection.insert_messages(&new)?;
        ids.extend(
            inserted
                .into_iter()
                .map(|row| (row.name, MessageId(row.id))),
        );
    }
    if !changed.is_empty() {
        connection.update_messages(&changed)?;
    }
    stored.added += new.len();
    stored.changed += changed.len();
    let id = |draft: &MessageDraft| ids.get(&draft.name).copied();
    let found: Option<Vec<_>> = drafts.iter().map(id).collect();
    found.ok_or(QueryError::NotFound)
}

/// The stored message with the draft's attributes over it.
fn merged(draft: &MessageDraft, old: Option<MessageRow>) -> MessageRow {
    let old = old.unwrap_or_else(|| MessageRow {
        id: None,
        name: draft.name.clone(),
        trigger_event_id: None,
        cooldown_ts: None,
        screen: String::new(),
        expiry_millis: None,
        priority: Priority::default().as_str().to_owned(),
    });
    let priority = match &draft.priority {
        Attribute::Keep => old.priority,
        Attribute::Set(priority) => priority.as_str().to_owned(),
    };
    MessageRow {
        id: old.id,
        name: old.name,
        trigger_event_id: draft.trigger_event_id.over(old.trigger_event_id),
        cooldown_ts: draft.cooldown_ms.over(old.cooldown_ts),
        screen: draft.screen.over(old.screen),
        expiry_millis: draft.expiry_millis.over(old.expiry_millis),
        priority,
    }
}

fn write_texts<C: AdministrationRows>(
    connection: &mut C,
    drafts: &[MessageDraft],
    ids: &[MessageId],
    stored: &mut StoredMessages,
) -> QueryResult<()> {
    let texts = drafts.iter().zip(ids).flat_map(|(draft, id)| {
        let texts = draft.localizations.iter();
        texts.map(move |text| ((id.0, text.language), text))
    });
    let wanted: BTreeMap<(i32, i16), &Localization> = texts.collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let ids: Vec<i32> = ids.iter().map(|id| id.0).collect();
    let before = connection.texts_of(&ids)?;
    let before: HashMap<(i32, i16), (String, String)> = before
        .into_iter()
        .map(|(id, language, title, text)| ((id, language), (title, text)))
        .collect();
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    for ((message_id, language_id), text) in wanted {
        let row = TextRow {
            message_id,
            language_id,
            title: &text.title,
            text: &text.text,
        };
        match before.get(&(message_id, language_id)) {
            None => new.push(row),
            Some((title, body)) if (title, body) == (&text.title, &text.text) => {}
            Some(_) => changed.push(row),
        }
    }
    if !new.is_empty() {
        connection.insert_texts(&new)?;
    }
    if !changed.is_empty() {
        connection.update_texts(&changed)?;
    }
    stored.texts_added += new.len();
    stored.texts_changed += changed.len();
    Ok(())
}
