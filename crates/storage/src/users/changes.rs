//! The difference between a batch's users as they were read and as they are now, as rows.
//!
//! Every list is sorted by id, so that all writers lock rows in one order.

use super::Users;

/// A device that this batch brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InsertedDevice {
    pub(crate) login: i64,
    pub(crate) platform: i16,
    pub(crate) token: String,
    pub(crate) application_version: Option<i32>,
    pub(crate) last_login_us: i64,
}

/// What is to be written. Device changes apply in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// (login, language).
    pub(crate) new_logins: Vec<(i64, Option<i16>)>,
    /// (login, language).
    pub(crate) languages: Vec<(i64, i16)>,
    /// (device, current token as it was read): a row that has moved on meanwhile stays.
    pub(crate) deleted: Vec<(i64, String)>,
    /// (device, application version, time of login in microseconds).
    pub(crate) seen: Vec<(i64, Option<i32>, i64)>,
    /// (device, new token).
    pub(crate) replaced: Vec<(i64, String)>,
    /// Devices.
    pub(crate) ended: Vec<i64>,
    /// In the order of their logins, so that ids ascend with them.
    pub(crate) inserted: Vec<InsertedDevice>,
    /// (login, messages).
    pub(crate) blacklists: Vec<(i64, Vec<i32>)>,
}

impl Users {
    pub(crate) fn changes(&self) -> Changes {
        let mut changes = Changes::default();
        for (login, user) in &self.logins {
            if user.exists && !user.stored {
                changes.new_logins.push((login.0, user.language));
            } else if let Some(language) = user.language
                && user.language_changed
            {
                changes.languages.push((login.0, language));
            }
            if user.blacklist_changed {
                changes.blacklists.push((login.0, user.blacklist.clone()));
            }
        }
        changes.new_logins.sort_unstable();
        changes.languages.sort_unstable();
        changes.blacklists.sort_unstable();
        for device in &self.devices {
            let current = || device.current_token().as_str().to_owned();
            match device.id {
                None if device.deleted => {}
                None => changes.inserted.push(InsertedDevice {
                    login: device.login.0,
                    platform: device.platform.0,
                    token: device.token.as_str().to_owned(),
                    application_version: device.application_version,
                    last_login_us: device.last_login_us,
                }),
                Some(id) if device.deleted => {
                    let as_read = device
                        .replaced
                        .as_ref()
                        .map(|token| token.as_str().to_owned());
                    changes.deleted.push((id, as_read.unwrap_or_else(current)));
                }
                Some(id) => {
                    if device.seen {
                        changes
                            .seen
                            .push((id, device.application_version, device.last_login_us));
                    }
                    if device.replaced.is_some() {
                        changes.replaced.push((id, current()));
                    }
                    if device.ended {
                        changes.ended.push(id);
                    }
                }
            }
        }
        changes
    }
}
