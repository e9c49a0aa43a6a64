//! Who may come in, wired: the doors ask the database about a key.

use std::sync::Arc;

use anyhow::Context;
use servlet::{Access, Found, LookUpFailed, SecretHash, ServerConfig, StoredKey};
use storage::{Storage, StorageError};
use tracing::error;

/// What the doors ask, if they ask.
pub(super) fn of(config: &ServerConfig, storage: &Storage) -> anyhow::Result<Option<Access>> {
    if !config.require_api_key {
        return Ok(None);
    }
    let storage = storage.clone();
    let access = Access::new(Arc::new(move |key| look_up(&storage, key)));
    access.map(Some).context("cannot check API keys")
}

/// Connections that look-ups may hold, beside those of the processor threads.
pub(super) fn look_ups_at_once(config: &ServerConfig) -> u32 {
    if config.require_api_key {
        Access::LOOK_UPS_AT_ONCE
    } else {
        0
    }
}

fn look_up(storage: &Storage, key: &str) -> Result<Found, LookUpFailed> {
    if !storage.is_reachable() {
        // Told by the thread that looks every second; trying it here would cost every client the
        // time that a connection takes to fail.
        return Err(LookUpFailed("the database does not answer".to_owned()));
    }
    let failed = |error: StorageError| LookUpFailed(format!("{:#}", anyhow::Error::from(error)));
    let stored = storage.api_key(key).map_err(failed)?;
    let read = stored.map(|stored| {
        let hash = SecretHash::parse(&stored.algorithm, &stored.hash);
        hash.map(|hash| StoredKey {
            organisation: stored.organisation,
            hash,
            is_enabled: stored.disabled_at.is_none(),
        })
    });
    match read {
        Some(Ok(key)) => return Ok(Found::Key(key)),
        // Keys are never in the log; this one is in the table, where somebody has changed it.
        Some(Err(error)) => error!(%error, "an API key cannot be used"),
        None => {}
    }
    let imported_exist = storage
        .has_api_keys_hashed_by(SecretHash::IMPORTED)
        .map_err(failed)?;
    Ok(Found::Unknown { imported_exist })
}
