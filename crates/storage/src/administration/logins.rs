//! Logins, one by one and in pages.

use diesel::{prelude::*, upsert::excluded};
use model::{LoginId, MessageId, UnixMs};

use crate::{
    Login, Scope, Storage, StorageError,
    schema::{login, user_message_last_time_sent},
};

/// A stored login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginRecord {
    /// Who.
    pub login: LoginId,
    /// The language; `None` means that no event's message reaches the user.
    pub language: Option<i16>,
}

impl LoginRecord {
    fn of_columns((id, language): (i64, Option<i16>)) -> Self {
        Self {
            login: LoginId(id),
            language,
        }
    }
}

impl Storage {
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
        Ok(row.map(LoginRecord::of_columns))
    }

    /// A page of all logins by ascending id, at most `limit` of them, beginning at `from`.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub fn logins(&self, from: LoginId, limit: u32) -> Result<Vec<LoginRecord>, StorageError> {
        let rows: Vec<(i64, Option<i16>)> =
            on_connection!(self.connections().reader()?, connection => {
                login::table
                    .filter(login::id.ge(from.0))
                    .order(login::id)
                    .limit(i64::from(limit))
                    .load(connection)
            })
            .map_err(StorageError::Login)?;
        Ok(rows.into_iter().map(LoginRecord::of_columns).collect())
    }

    /// Stores a login with exactly this language, also none, new or in place of the one there is;
    /// its devices stay.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses.
    pub fn upsert_login(&self, wanted: LoginRecord) -> Result<(), StorageError> {
        let row = (
            login::id.eq(wanted.login.0),
            login::language_id.eq(wanted.language),
        );
        on_connection!(self.connections().writer()?, connection => {
            diesel::insert_into(login::table)
                .values(row)
                .on_conflict(login::id)
                .do_update()
                .set(login::language_id.eq(excluded(login::language_id)))
                .execute(connection)
        })
        .map_err(StorageError::Login)?;
        Ok(())
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
