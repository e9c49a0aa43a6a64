//! What users have turned off.

use diesel::{QueryResult, prelude::*};
use model::{LoginId, MessageId};

use crate::{
    Scope, Storage, StorageError, fold::Statements, schema::message_blacklist, users::LoginRow,
};

/// A user's list of messages that are turned off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blacklist {
    /// Whose.
    pub login: LoginId,
    /// Which messages, ascending; an empty list was emptied.
    pub messages: Vec<MessageId>,
}

impl Storage {
    /// Replaces what a user has turned off; an empty list turns everything on again.
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

    /// What the user has turned off; `None` where they never said.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub fn blacklist(&self, login: LoginId) -> Result<Option<Blacklist>, StorageError> {
        let page = self.blacklists(login, 1)?;
        Ok(page.into_iter().find(|blacklist| blacklist.login == login))
    }

    /// A page of all lists by ascending login, at most `limit` of them, beginning at `from`.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub fn blacklists(&self, from: LoginId, limit: u32) -> Result<Vec<Blacklist>, StorageError> {
        let rows = on_connection!(self.connections().reader()?, connection => {
            let logins = message_blacklist::table
                .filter(message_blacklist::login_id.ge(from.0))
                .order(message_blacklist::login_id)
                .limit(i64::from(limit))
                .select(message_blacklist::login_id)
                .load::<i64>(connection);
            logins.and_then(|logins| lists_of(connection, &logins))
        });
        rows.map_err(StorageError::Login)
    }
}

/// The two databases keep lists in different forms; a fold's statement reads both.
fn lists_of<C: Statements>(connection: &mut C, logins: &[i64]) -> QueryResult<Vec<Blacklist>> {
    let mut rows = Statements::logins(connection, logins)?;
    rows.sort_unstable_by_key(|row| row.id);
    let list = |row: LoginRow| {
        let mut messages: Vec<_> = row.blacklist.into_iter().map(MessageId).collect();
        messages.sort_unstable();
        Blacklist {
            login: LoginId(row.id),
            messages,
        }
    };
    Ok(rows.into_iter().map(list).collect())
}
