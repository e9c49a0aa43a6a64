//! Messages and their texts, one by one.

use std::sync::Arc;

use diesel::{prelude::*, result::DatabaseErrorKind, upsert::excluded};
use model::{LoginId, MessageId, Priority};

use crate::{
    Localization, Message, Storage, StorageError,
    schema::{message, message_localization},
};

/// A message without its texts, as it is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageAttributes {
    /// Its name; a message of this name is replaced.
    pub name: String,
    /// The event that sends it.
    pub trigger_event_id: Option<i32>,
    /// The least time between two of them to one user, in milliseconds; `None` is no limit.
    pub cooldown_ms: Option<i64>,
    /// Where in the game it leads.
    pub screen: String,
    /// How long after its event it is still worth sending, in milliseconds.
    pub expiry_millis: Option<i64>,
    /// How urgent it is.
    pub priority: Priority,
}

/// A message with the text that a user gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalizedMessage {
    /// The message, with all its texts.
    pub message: Arc<Message>,
    /// The one for the user.
    pub localization: Localization,
}

impl Storage {
    /// Stores a message, new or in place of the one with this name; its texts stay.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses.
    pub fn upsert_message(
        &self,
        attributes: &MessageAttributes,
    ) -> Result<MessageId, StorageError> {
        let row = (
            message::name.eq(&attributes.name),
            message::trigger_event_id.eq(attributes.trigger_event_id),
            message::cooldown_ts.eq(attributes.cooldown_ms),
            message::screen.eq(&attributes.screen),
            message::expiry_millis.eq(attributes.expiry_millis),
            message::priority.eq(attributes.priority.as_str()),
        );
        let id = on_connection!(self.connections().writer()?, connection => {
            diesel::insert_into(message::table)
                .values(row)
                .on_conflict(message::name)
                .do_update()
                .set((
                    message::trigger_event_id.eq(excluded(message::trigger_event_id)),
                    message::cooldown_ts.eq(excluded(message::cooldown_ts)),
                    message::screen.eq(excluded(message::screen)),
                    message::expiry_millis.eq(excluded(message::expiry_millis)),
                    message::priority.eq(excluded(message::priority)),
                ))
                .returning(message::id)
                .get_result(connection)
        })
        .map_err(StorageError::Message)?;
        self.reload_catalogue()?;
        Ok(MessageId(id))
    }

    /// Stores a message's text in one language; nothing else of the message changes.
    ///
    /// # Errors
    /// When there is no such message, or the database cannot be reached.
    pub fn upsert_localization(
        &self,
        message: MessageId,
        language: i16,
        title: &str,
        text: &str,
    ) -> Result<(), StorageError> {
        let row = (
            message_localization::message_id.eq(message.0),
            message_localization::language_id.eq(language),
            message_localization::message_title.eq(title),
            message_localization::message_text.eq(text),
        );
        on_connection!(self.connections().writer()?, connection => {
            diesel::insert_into(message_localization::table)
                .values(row)
                .on_conflict((message_localization::message_id, message_localization::language_id))
                .do_update()
                .set((
                    message_localization::message_title.eq(excluded(message_localization::message_title)),
                    message_localization::message_text.eq(excluded(message_localization::message_text)),
                ))
                .execute(connection)
        })
        .map_err(|error| match error {
            diesel::result::Error::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _) => {
                StorageError::UnknownMessage { message }
            }
            other => StorageError::Message(other),
        })?;
        self.reload_catalogue()
    }

    /// Deletes the message of this name with its texts and send times; whether there was one.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub fn delete_message(&self, name: &str) -> Result<bool, StorageError> {
        let deleted = on_connection!(self.connections().writer()?, connection => {
            diesel::delete(message::table.filter(message::name.eq(name))).execute(connection)
        })
        .map_err(StorageError::Message)?;
        self.reload_catalogue()?;
        Ok(deleted > 0)
    }

    /// Deletes one language of a message; whether there was one.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub fn delete_localization(
        &self,
        message: MessageId,
        language: i16,
    ) -> Result<bool, StorageError> {
        let deleted = on_connection!(self.connections().writer()?, connection => {
            let text = message_localization::table.find((message.0, language));
            diesel::delete(text).execute(connection)
        })
        .map_err(StorageError::Message)?;
        self.reload_catalogue()?;
        Ok(deleted > 0)
    }

    /// The message as the user gets it: in their language, else in language 1. `None` for an
    /// unknown user, one without a language, an unknown message, and one without such a text.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub fn localized_message(
        &self,
        login: LoginId,
        message: MessageId,
    ) -> Result<Option<LocalizedMessage>, StorageError> {
        let Some(language) = self.login(login)?.and_then(|login| login.language) else {
            return Ok(None);
        };
        let catalogue = self.catalogue();
        let message = catalogue.message(message);
        Ok(message.and_then(|message| {
            Some(LocalizedMessage {
                message: Arc::clone(message),
                localization: message.localization(language)?.clone(),
            })
        }))
    }
}
