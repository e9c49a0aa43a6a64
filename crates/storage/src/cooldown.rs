//! Cooldown: a login gets the same message at most once per `cooldown_ms`.
//!
//! One conditional upsert decides and records (`decide` in `fold/`), so no two workers or
//! instances can both win. It records the winner's item id: an item that is handled again, after
//! a crash or a broken connection, finds its own decision and wins again. Blocked while
//! `last + cooldown > now`; `now` is the database's clock on PostgreSQL, ours on SQLite.

use std::collections::HashMap;

use model::{ItemId, LoginId, MessageId, UnixMs};
use tracing::error;

use crate::{Storage, StorageError, fold::Statements as _};

/// Which items of a batch may send: those that [`crate::Users::claim`] named and the cooldown let through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Won(HashMap<(LoginId, MessageId), ItemId>);

impl Won {
    pub(crate) fn of_rows(rows: Vec<(i64, i32, String)>) -> Self {
        let winner = |(login, message, item): (i64, i32, String)| match item.parse() {
            Ok(item) => Some(((LoginId(login), MessageId(message)), item)),
            Err(_) => {
                error!(
                    login.id = login,
                    message.id = message,
                    "the database returned a foreign item id"
                );
                None
            }
        };
        Self(rows.into_iter().filter_map(winner).collect())
    }

    /// Whether `item` may send `message` to the user.
    #[must_use]
    pub fn contains(&self, login: LoginId, message: MessageId, item: ItemId) -> bool {
        self.0.get(&(login, message)) == Some(&item)
    }

    /// How many (user, message) pairs were won.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was won.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Storage {
    /// Records when messages without a cooldown were sent, as Pushkin does. Of several times of a
    /// pair the latest stays; pairs whose login or message has vanished are skipped.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses; nothing is recorded then.
    pub fn record_last_sent(
        &self,
        pairs: &[(LoginId, MessageId, UnixMs)],
    ) -> Result<(), StorageError> {
        if pairs.is_empty() {
            return Ok(());
        }
        let mut rows: Vec<_> = pairs
            .iter()
            .map(|(login, message, time)| (login.0, message.0, time.0))
            .collect();
        rows.sort_unstable();
        on_connection!(self.connections().writer()?, connection => connection.record_last_sent(&rows))
            .map_err(StorageError::RecordLastSent)?;
        Ok(())
    }
}
