//! What ended before it became a notification, and why.

use std::sync::Arc;

use model::{ItemId, LoginId, MessageId};

/// Why an item, or one message of it, made no notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// No message is triggered by the event, and it is none of the built-in ones.
    NoHandler,
    /// A login event without a platform or time, a blacklist event with a value that is no
    /// number, a device filter that is no filter.
    InvalidEvent,
    /// Stored: a login or a blacklist event that triggers no message.
    Recorded,
    /// The user is unknown, or has no language.
    UnknownUser,
    /// The user has turned this message off.
    Blacklisted,
    /// The message has no text in the user's language, nor in language 1.
    NoText,
    /// The text needs a value that the event lacks.
    MissingParameter,
    /// The user got this message too short a time ago.
    CoolingDown,
    /// The user has no device that takes notifications.
    NoDevice,
    /// The database refused the request again and again, while it served others.
    StorageFailed,
}

impl EndReason {
    /// All reasons, for counters.
    pub const ALL: [Self; 10] = [
        Self::NoHandler,
        Self::InvalidEvent,
        Self::Recorded,
        Self::UnknownUser,
        Self::Blacklisted,
        Self::NoText,
        Self::MissingParameter,
        Self::CoolingDown,
        Self::NoDevice,
        Self::StorageFailed,
    ];

    /// The name in metrics and in the demo's output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoHandler => "no_handler",
            Self::InvalidEvent => "invalid_event",
            Self::Recorded => "recorded",
            Self::UnknownUser => "unknown_user",
            Self::Blacklisted => "blacklisted",
            Self::NoText => "no_text",
            Self::MissingParameter => "missing_parameter",
            Self::CoolingDown => "cooling_down",
            Self::NoDevice => "no_device",
            Self::StorageFailed => "storage_failed",
        }
    }
}

/// One end without a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The item.
    pub item: ItemId,
    /// Whose.
    pub login: LoginId,
    /// The message it would have been; [`MessageId::DIRECT`] where none was chosen.
    pub message: MessageId,
    /// Why.
    pub reason: EndReason,
}

/// Who is shown every end without a notification, such as the demo.
pub type Observer = Arc<dyn Fn(&Ended) + Send + Sync>;
