//! One text for all devices of a user, as the pipeline would address and date it.

use std::sync::Arc;

use model::{Content, DeviceToken, LoginId, Notification, Platform, UnixMs};

use crate::{Storage, StorageError};

/// What is to be said to whom.
#[derive(Clone, Debug)]
pub struct RawText {
    /// To whom.
    pub login: LoginId,
    /// What, with where it leads and how urgent it is.
    pub content: Arc<Content>,
    /// The event's time, if there is an event.
    pub event_at: Option<UnixMs>,
    /// How long after its event it is worth delivering, in milliseconds.
    pub expiry_millis: Option<i64>,
    /// Only to this device, whether it is stored or not.
    pub only_to: Option<(Platform, DeviceToken)>,
}

/// A text addressed to one device.
#[derive(Clone, Debug)]
pub struct RawMessage {
    /// For whom.
    pub login: LoginId,
    /// What kind of device.
    pub platform: Platform,
    /// Which device.
    pub token: DeviceToken,
    /// What it says.
    pub content: Arc<Content>,
    /// When it was made.
    pub created_at: UnixMs,
    /// Not to be delivered after this.
    pub expires_at: UnixMs,
}

impl Storage {
    /// One message per device of the user, by (platform, token); sends nothing.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub fn raw_messages(&self, text: &RawText) -> Result<Vec<RawMessage>, StorageError> {
        let addresses = match &text.only_to {
            Some(address) => vec![address.clone()],
            None => self.device_tokens(text.login)?,
        };
        let created_at = self.clock().now();
        let message = |(platform, token)| RawMessage {
            login: text.login,
            platform,
            token,
            content: Arc::clone(&text.content),
            created_at,
            expires_at: Notification::expiry(text.expiry_millis, text.event_at, created_at),
        };
        Ok(addresses.into_iter().map(message).collect())
    }
}
