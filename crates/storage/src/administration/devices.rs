//! Devices, one by one.

use diesel::prelude::*;
use model::{DeviceToken, LoginId, Platform, UnixMs};

use super::rows::{AdministrationRows, DeviceValues};
use crate::{
    Refused, Scope, Storage, StorageError,
    fold::{Interrupted, Statements},
    schema::device,
    users::{DeviceRow, is_usable},
};

/// A stored device of the legacy app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its row; higher is newer.
    pub id: i64,
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
    /// Since when it takes none.
    pub unregistered_at: Option<UnixMs>,
    /// When its user was last on it.
    pub last_login_at: Option<UnixMs>,
}

impl Device {
    /// The token that is in force.
    #[must_use]
    pub fn current_token(&self) -> &DeviceToken {
        self.token_new.as_ref().unwrap_or(&self.token)
    }

    fn of_row(row: DeviceRow) -> Self {
        let milliseconds = |at_us: i64| UnixMs(at_us.div_euclid(1000));
        Self {
            id: row.id,
            login: LoginId(row.login),
            platform: Platform(row.platform),
            token: DeviceToken::new(row.token),
            token_new: row.token_new.map(DeviceToken::new),
            application_version: row.application_version,
            is_active: row.unregistered_us.is_none(),
            unregistered_at: row.unregistered_us.map(milliseconds),
            last_login_at: (row.last_login_us != i64::MIN).then(|| milliseconds(row.last_login_us)),
        }
    }
}

/// A device as it is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRecord {
    /// Whose it is.
    pub login: LoginId,
    /// What it is.
    pub platform: Platform,
    /// Its current token.
    pub token: DeviceToken,
    /// The game's version on it.
    pub application_version: Option<i32>,
    /// Since when it takes no notifications; `None` if it takes them.
    pub unregistered_at: Option<UnixMs>,
}

impl Storage {
    /// The user's devices, also those that take nothing any more, oldest row first.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub fn devices(&self, login: LoginId) -> Result<Vec<Device>, StorageError> {
        on_connection!(self.connections().reader()?, connection => devices(connection, login))
            .map_err(StorageError::Login)
    }

    /// Where the user is reached: active devices by (platform, token), each token once per push
    /// service.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub fn device_tokens(
        &self,
        login: LoginId,
    ) -> Result<Vec<(Platform, DeviceToken)>, StorageError> {
        let scope = Scope {
            logins: vec![login],
            ..Scope::default()
        };
        let folded = self.fold(&scope, |users| {
            let addresses = users.addresses(login).into_iter();
            addresses
                .map(|(platform, token)| (platform, token.clone()))
                .collect()
        })?;
        Ok(folded.result)
    }

    /// Stores a device, new or in place of the one with this login, platform and current token.
    /// The limits of devices and users are not applied; the next login does.
    ///
    /// # Errors
    /// When the user has never logged in, the token cannot be stored, or the database cannot be
    /// reached.
    pub fn upsert_device(&self, wanted: &DeviceRecord) -> Result<Device, StorageError> {
        if !is_usable(&wanted.token) {
            return Err(StorageError::Refused(Refused::UnusableToken));
        }
        let now = self.clock().now();
        let stored = on_connection!(self.connections().writer()?, connection => {
            upsert_device(connection, wanted, now)
        });
        match stored {
            Ok(Some(device)) => Ok(device),
            Ok(None) => Err(StorageError::Refused(Refused::UnknownLogin)),
            Err(Interrupted::Query(error)) => Err(StorageError::Login(error)),
            Err(other) => Err(other.into()),
        }
    }

    /// Deletes a device's row; whether there was one.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub fn delete_device(&self, id: i64) -> Result<bool, StorageError> {
        // The column holds no more.
        let Ok(id) = i32::try_from(id) else {
            return Ok(false);
        };
        let deleted = on_connection!(self.connections().writer()?, connection => {
            diesel::delete(device::table.find(id)).execute(connection)
        });
        Ok(deleted.map_err(StorageError::Login)? > 0)
    }
}

fn devices<C: Statements>(connection: &mut C, login: LoginId) -> QueryResult<Vec<Device>> {
    let mut rows = connection.devices(&[login.0], &[])?;
    rows.sort_unstable_by_key(|row| row.id);
    Ok(rows.into_iter().map(Device::of_row).collect())
}

/// `None` where there is no such login.
fn upsert_device<C: Statements + AdministrationRows>(
    connection: &mut C,
    wanted: &DeviceRecord,
    now: UnixMs,
) -> Result<Option<Device>, Interrupted> {
    connection.in_transaction(|connection| {
        // Batches lock the login's row too, so nothing of its devices changes meanwhile.
        if connection.lock_logins(&[wanted.login.0])?.is_empty() {
            return Ok(None);
        }
        let is_wanted = |device: &Device| {
            device.platform == wanted.platform
                && device
                    .current_token()
                    .same_as(&wanted.token, wanted.platform)
        };
        let before = devices(connection, wanted.login)?;
        let row = DeviceValues {
            id: before
                .iter()
                .find(|device| is_wanted(device))
                .map(|old| old.id),
            login_id: wanted.login.0,
            platform_id: wanted.platform.0,
            device_token: wanted.token.as_str(),
            application_version: wanted.application_version,
            unregistered_ms: wanted.unregistered_at.map(|time| time.0),
            now_ms: now.0,
        };
        if row.id.is_some() {
            connection.update_device(&row)?;
        } else {
            connection.insert_device(&row)?;
        }
        Ok(devices(connection, wanted.login)?
            .into_iter()
            .find(is_wanted))
    })
}
