//! What people and tools do with single logins, devices and messages: Pushkin's "Database API".
//!
//! A change of a message is in force in this process when the call returns, and within two
//! seconds in every other. Nothing here is on a notification's way.

use diesel::{prelude::*, result::DatabaseErrorKind, upsert::excluded};
use model::{DeviceToken, LoginId, MessageId, Platform, Priority, UnixMs};

use crate::{
    Login, Scope, Storage, StorageError,
    schema::{device, login, message, message_localization, user_message_last_time_sent},
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

/// A stored login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginRecord {
    /// Who.
    pub login: LoginId,
    /// The language; `None` means that no event's message reaches the user.
    pub language: Option<i16>,
}

/// A stored device of the legacy app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its row; higher is newer.
    pub id: i32,
    /// Whose it is.
    pub login: LoginId,
    /// What it is.
    pub platform: Platform,
    /// The token it came with.
    pub token: DeviceToken,
    /// The token that its push service put in the place of the first.
    pub token_new: Option<DeviceToken>,
    /// The game's version on it.
    pub application_version: Option<i32>,
    /// Whether it takes notifications.
    pub is_active: bool,
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

    /// One login outside the pipeline, by the same rules.
    ///
    /// # Errors
    /// When the token cannot be stored, or as [`Storage::fold`].
    pub fn log_in(&self, login: &Login) -> Result<(), StorageError> {
        let token = login.token.clone().map(|token| (login.platform, token));
        let scope = Scope {
            logins: vec![login.login],
            tokens: token.into_iter().collect(),
            writes: true,
        };
        self.fold(&scope, |users| users.log_in(login))?
            .result
            .map_err(StorageError::Refused)
    }

    /// Replaces what a user has turned off.
    ///
    /// # Errors
    /// When the user has never logged in, or as [`Storage::fold`].
    pub fn set_blacklist(&self, login: LoginId, messages: &[i32]) -> Result<(), StorageError> {
        let scope = Scope {
            logins: vec![login],
            tokens: Vec::new(),
            writes: true,
        };
        self.fold(&scope, |users| {
            users.set_blacklist(login, messages.to_vec())
        })?
        .result
        .map_err(StorageError::Refused)
    }

    /// The stored login.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub fn login(&self, id: LoginId) -> Result<Option<LoginRecord>, StorageError> {
        let row: Option<(i64, Option<i16>)> =
            on_connection!(self.connections().reader()?, connection => {
                login::table.find(id.0).first(connection).optional()
            })
            .map_err(StorageError::Login)?;
        Ok(row.map(|(id, language)| LoginRecord {
            login: LoginId(id),
            language,
        }))
    }

    /// The user's devices, also those that take nothing any more, oldest row first.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub fn devices(&self, login: LoginId) -> Result<Vec<Device>, StorageError> {
        type Row = (i32, i64, i16, String, Option<String>, Option<i32>, bool);
        let rows: Vec<Row> = on_connection!(self.connections().reader()?, connection => {
            device::table
                .filter(device::login_id.eq(login.0).and(device::app.is_null()))
                .order(device::id)
                .select((
                    device::id,
                    device::login_id,
                    device::platform_id,
                    device::device_token,
                    device::device_token_new,
                    device::application_version,
                    device::unregistered_ts.is_null(),
                ))
                .load(connection)
        })
        .map_err(StorageError::Login)?;
        let device =
            |(id, login, platform, token, token_new, application_version, is_active): Row| Device {
                id,
                login: LoginId(login),
                platform: Platform(platform),
                token: DeviceToken::new(token),
                token_new: token_new.map(DeviceToken::new),
                application_version,
                is_active,
            };
        Ok(rows.into_iter().map(device).collect())
    }

    /// Deletes the login with its devices, blacklist and send times; whether there was one.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub fn delete_login(&self, id: LoginId) -> Result<bool, StorageError> {
        let deleted = on_connection!(self.connections().writer()?, connection => {
            diesel::delete(login::table.find(id.0)).execute(connection)
        });
        Ok(deleted.map_err(StorageError::Login)? > 0)
    }

    /// Deletes a device's row; whether there was one.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub fn delete_device(&self, id: i32) -> Result<bool, StorageError> {
        let deleted = on_connection!(self.connections().writer()?, connection => {
            diesel::delete(device::table.find(id)).execute(connection)
        });
        Ok(deleted.map_err(StorageError::Login)? > 0)
    }

    /// When the user was last sent this message.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub fn last_sent(
        &self,
        login: LoginId,
        message: MessageId,
    ) -> Result<Option<UnixMs>, StorageError> {
        let time: Option<i64> = on_connection!(self.connections().reader()?, connection => {
            user_message_last_time_sent::table
                .find((login.0, message.0))
                .select(user_message_last_time_sent::last_time_sent_ts_bigint)
                .first(connection)
                .optional()
        })
        .map_err(StorageError::Login)?;
        Ok(time.map(UnixMs))
    }
}
