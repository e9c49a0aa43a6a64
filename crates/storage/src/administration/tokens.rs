//! What push services said about tokens, in Pushkin's terms.

use model::{DeviceToken, Feedback, LoginId, Platform};

use crate::{FeedbackCounts, Storage, StorageError};

/// A token that its push service has replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canonical {
    /// Whose device.
    pub login: LoginId,
    /// The current token.
    pub old_token: DeviceToken,
    /// The token in its place.
    pub new_token: DeviceToken,
}

/// A token that its push service does not know any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnregisteredDevice {
    /// Whose device.
    pub login: LoginId,
    /// The current token.
    pub token: DeviceToken,
}

impl Storage {
    /// Puts new tokens in the place of current ones, on whatever platform the login has them, and
    /// keeps the latest users of each new token on Android phones and tablets.
    ///
    /// # Errors
    /// As [`Storage::apply_feedback`].
    pub fn update_canonicals(
        &self,
        canonicals: &[Canonical],
    ) -> Result<FeedbackCounts, StorageError> {
        let feedback = canonicals.iter().map(|canonical| Feedback::Replaced {
            login: canonical.login,
            // Only FCM's predecessor ever named another token.
            platform: Platform::ANDROID,
            old: canonical.old_token.clone(),
            new: canonical.new_token.clone(),
        });
        self.apply_feedback(&feedback.collect::<Vec<_>>())
    }

    /// Ends devices by login and current token, on whatever platform: the rows stay, get nothing,
    /// are the first to be evicted, and live again with the next login.
    ///
    /// # Errors
    /// As [`Storage::apply_feedback`].
    pub fn update_unregistered_devices(
        &self,
        devices: &[UnregisteredDevice],
    ) -> Result<FeedbackCounts, StorageError> {
        let feedback = devices.iter().map(|device| Feedback::Unregistered {
            login: device.login,
            platform: Platform::ANDROID,
            token: device.token.clone(),
            since: None,
        });
        self.apply_feedback(&feedback.collect::<Vec<_>>())
    }
}
