//! Organisations and their API keys.
//!
//! A key is stored as it is, its secret only as a hash whose meaning is the doors' business:
//! here `algorithm` and `hash` are two texts. Nothing is ever cached here, so a key that is
//! disabled by any program is disabled for the next who asks.

use diesel::prelude::*;
use model::{OrganisationId, UnixMs};

use crate::{
    Storage, StorageError,
    schema::{api_key, organisation},
};

/// Who owns keys, apps and customers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organisation {
    /// Never given to another one.
    pub id: OrganisationId,
    /// Unique.
    pub name: String,
    /// When it was added.
    pub created_at: UnixMs,
}

/// A key that is to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewApiKey<'a> {
    /// Whose.
    pub organisation: OrganisationId,
    /// Its public part.
    pub key: &'a str,
    /// How the secret is hashed.
    pub algorithm: &'a str,
    /// The hash.
    pub hash: &'a str,
    /// What people remember it by.
    pub note: Option<&'a str>,
}

/// A stored key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Whose.
    pub organisation: OrganisationId,
    /// The organisation's name.
    pub organisation_name: String,
    /// Its public part.
    pub key: String,
    /// How the secret is hashed.
    pub algorithm: String,
    /// The hash.
    pub hash: String,
    /// What people remember it by.
    pub note: Option<String>,
    /// When it was added.
    pub created_at: UnixMs,
    /// Since when it opens nothing; `None` is in force.
    pub disabled_at: Option<UnixMs>,
}

type KeyColumns = (
    i32,
    String,
    String,
    String,
    String,
    Option<String>,
    i64,
    Option<i64>,
);

impl ApiKey {
    fn of_columns(columns: KeyColumns) -> Self {
        let (organisation, organisation_name, key, algorithm, hash, note, created, disabled) =
            columns;
        Self {
            organisation: OrganisationId(organisation),
            organisation_name,
            key,
            algorithm,
            hash,
            note,
            created_at: UnixMs(created),
            disabled_at: disabled.map(UnixMs),
        }
    }
}

/// The columns of [`KeyColumns`] of keys joined with their organisations.
macro_rules! key_columns {
    () => {
        (
            api_key::organisation_id,
            organisation::name,
            api_key::key,
            api_key::algorithm,
            api_key::hash,
            api_key::note,
            api_key::created_at,
            api_key::disabled_at,
        )
    };
}

impl Storage {
    /// The organisation of this name.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub fn organisation(&self, name: &str) -> Result<Option<Organisation>, StorageError> {
        let row: Option<(i32, String, i64)> =
            on_connection!(self.connections().reader()?, connection => {
                organisation::table
                    .filter(organisation::name.eq(name))
                    .first(connection)
                    .optional()
            })
            .map_err(StorageError::ApiKey)?;
        Ok(row.map(|(id, name, created)| Organisation {
            id: OrganisationId(id),
            name,
            created_at: UnixMs(created),
        }))
    }

    /// Adds an organisation; one of that name that is there already stays as it is.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses.
    pub fn add_organisation(&self, name: &str) -> Result<(), StorageError> {
        let row = (
            organisation::name.eq(name),
            organisation::created_at.eq(self.clock().now().0),
        );
        on_connection!(self.connections().writer()?, connection => {
            diesel::insert_into(organisation::table)
                .values(row)
                .on_conflict(organisation::name)
                .do_nothing()
                .execute(connection)
        })
        .map_err(StorageError::ApiKey)?;
        Ok(())
    }

    /// Adds a key, in force at once; false, and nothing is changed, if there is one like it, also
    /// a disabled one or another organisation's.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses.
    pub fn add_api_key(&self, new: &NewApiKey<'_>) -> Result<bool, StorageError> {
        let row = (
            api_key::organisation_id.eq(new.organisation.0),
            api_key::key.eq(new.key),
            api_key::algorithm.eq(new.algorithm),
            api_key::hash.eq(new.hash),
            api_key::note.eq(new.note),
            api_key::created_at.eq(self.clock().now().0),
        );
        let added = on_connection!(self.connections().writer()?, connection => {
            diesel::insert_into(api_key::table)
                .values(row)
                .on_conflict(api_key::key)
                .do_nothing()
                .execute(connection)
        });
        Ok(added.map_err(StorageError::ApiKey)? > 0)
    }

    /// The stored key, in force or not.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub fn api_key(&self, key: &str) -> Result<Option<ApiKey>, StorageError> {
        let row: Option<KeyColumns> = on_connection!(self.connections().reader()?, connection => {
            api_key::table
                .inner_join(organisation::table)
                .filter(api_key::key.eq(key))
                .select(key_columns!())
                .first(connection)
                .optional()
        })
        .map_err(StorageError::ApiKey)?;
        Ok(row.map(ApiKey::of_columns))
    }

    /// All keys, in the order in which they were added: there are as many as people made.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub fn api_keys(&self) -> Result<Vec<ApiKey>, StorageError> {
        let rows: Vec<KeyColumns> = on_connection!(self.connections().reader()?, connection => {
            api_key::table
                .inner_join(organisation::table)
                .order(api_key::id)
                .select(key_columns!())
                .load(connection)
        })
        .map_err(StorageError::ApiKey)?;
        Ok(rows.into_iter().map(ApiKey::of_columns).collect())
    }

    /// Whether any key is hashed in this way.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub fn has_api_keys_hashed_by(&self, algorithm: &str) -> Result<bool, StorageError> {
        let first: Option<i32> = on_connection!(self.connections().reader()?, connection => {
            api_key::table
                .filter(api_key::algorithm.eq(algorithm))
                .select(api_key::id)
                .first(connection)
                .optional()
        })
        .map_err(StorageError::ApiKey)?;
        Ok(first.is_some())
    }

    /// Disables a key or puts it in force again; whether there is one. Disabling a disabled one
    /// keeps the time since when it is.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses.
    pub fn set_api_key_enabled(&self, key: &str, enabled: bool) -> Result<bool, StorageError> {
        let now = self.clock().now().0;
        let changed = on_connection!(self.connections().writer()?, connection => {
            let row = api_key::table.filter(api_key::key.eq(key));
            if enabled {
                diesel::update(row)
                    .set(api_key::disabled_at.eq(None::<i64>))
                    .execute(connection)
            } else {
                diesel::update(row.filter(api_key::disabled_at.is_null()))
                    .set(api_key::disabled_at.eq(now))
                    .execute(connection)
            }
        })
        .map_err(StorageError::ApiKey)?;
        Ok(changed > 0 || self.api_key(key)?.is_some())
    }
}
