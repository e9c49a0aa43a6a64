//! How notifications end, and what push services say about tokens.

use std::borrow::Cow;

use crate::{DeviceToken, LoginId, Notification, Platform, Provider, UnixMs};

/// How a notification ended. A value and not an error: every one of them is normal work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The push service took it.
    Delivered,
    /// Its connection broke on every try, while others got through.
    ConnectionFailed,
    /// Its time was over.
    Expired,
    /// No push service reaches its platform.
    UnknownPlatform,
    /// The sender queue was full (`when_full = drop`).
    QueueFull,
    /// The push service refused this payload or token for good.
    Rejected,
    /// The push service says this is no token at all.
    InvalidToken,
    /// The push service says the device no longer takes notifications.
    Unregistered,
    /// The push service had no good answer on any try.
    Unavailable,
    /// Our credential or configuration is missing or was refused.
    CredentialRefused,
}

impl Outcome {
    /// All outcomes, for counters.
    pub const ALL: [Self; 10] = [
        Self::Delivered,
        Self::ConnectionFailed,
        Self::Expired,
        Self::UnknownPlatform,
        Self::QueueFull,
        Self::Rejected,
        Self::InvalidToken,
        Self::Unregistered,
        Self::Unavailable,
        Self::CredentialRefused,
    ];

    /// The CSV's status: Pushkin's numbers, and those of `docs/OPERATING.md` where it had none.
    #[must_use]
    pub fn status(self, provider: Option<Provider>) -> i32 {
        let of_provider = |apns, fcm, web_push| match provider {
            Some(Provider::Apns) => apns,
            Some(Provider::Fcm) => fcm,
            Some(Provider::WebPush) => web_push,
            None => 4,
        };
        match self {
            Self::Delivered => 0,
            Self::ConnectionFailed => 2,
            Self::Expired => 3,
            Self::UnknownPlatform => 4,
            Self::QueueFull => 5,
            Self::Rejected => of_provider(200, 100, 300),
            Self::InvalidToken => of_provider(200, 102, 300),
            Self::Unregistered => of_provider(201, 103, 303),
            Self::Unavailable => of_provider(202, 101, 301),
            Self::CredentialRefused => of_provider(203, 104, 302),
        }
    }

    /// The name in metrics and in the demo's output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::ConnectionFailed => "connection_failed",
            Self::Expired => "expired",
            Self::UnknownPlatform => "unknown_platform",
            Self::QueueFull => "queue_full",
            Self::Rejected => "rejected",
            Self::InvalidToken => "invalid_token",
            Self::Unregistered => "unregistered",
            Self::Unavailable => "unavailable",
            Self::CredentialRefused => "credential_refused",
        }
    }
}

/// The end of one notification: one line in the notification log.
#[derive(Debug)]
pub struct Report {
    /// Which notification.
    pub notification: Notification,
    /// How it ended.
    pub outcome: Outcome,
    /// The push service's word for it, such as `BadDeviceToken`; empty where there is none.
    pub reason: Cow<'static, str>,
    /// When it ended.
    pub ended_at: UnixMs,
}

/// What a push service says about a token, to be written back to the device's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// The token is dead.
    Unregistered {
        /// Whose device.
        login: LoginId,
        /// What kind of device.
        platform: Platform,
        /// The dead token.
        token: DeviceToken,
        /// Since when, where the service says (APNs 410): a later login keeps the device.
        since: Option<UnixMs>,
    },
    /// The service knows the device under another token (Pushkin's "canonical id").
    Replaced {
        /// Whose device.
        login: LoginId,
        /// What kind of device.
        platform: Platform,
        /// The token we sent to.
        old: DeviceToken,
        /// The token to use from now on.
        new: DeviceToken,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_pushkins_where_pushkin_had_one() {
        let apns = Some(Provider::Apns);
        let fcm = Some(Provider::Fcm);
        assert_eq!(Outcome::Delivered.status(apns), 0);
        assert_eq!(Outcome::Expired.status(fcm), 3);
        assert_eq!(Outcome::UnknownPlatform.status(None), 4);
        assert_eq!(Outcome::Unregistered.status(apns), 201);
        assert_eq!(Outcome::Unregistered.status(fcm), 103);
        assert_eq!(Outcome::InvalidToken.status(fcm), 102);
        assert_eq!(Outcome::Unavailable.status(fcm), 101);
        assert_eq!(Outcome::Rejected.status(fcm), 100);
    }

    #[test]
    fn no_outcome_leaves_a_status_of_minus_one() {
        for outcome in Outcome::ALL {
            for provider in [None, Some(Provider::Apns), Some(Provider::Fcm)] {
                assert!(outcome.status(provider) >= 0, "{outcome:?}");
            }
        }
    }
}
