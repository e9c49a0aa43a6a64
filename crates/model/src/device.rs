//! Where a notification can be sent: platforms, their push services, device tokens.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A device's platform id, as in Pushkin's `device.platform_id` (int2).
///
/// Any number can be stored; only the named ones have a push service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Platform(pub i16);

impl Platform {
    /// Android phone.
    pub const ANDROID: Self = Self(1);
    /// iPhone.
    pub const IPHONE: Self = Self(2);
    /// iPad.
    pub const IPAD: Self = Self(5);
    /// Android tablet.
    pub const ANDROID_TABLET: Self = Self(6);
    /// Web browser.
    pub const WEB_BROWSER: Self = Self(7);

    /// The push service that reaches this platform; `None` for an unknown one.
    #[must_use]
    pub fn provider(self) -> Option<Provider> {
        match self {
            Self::ANDROID | Self::ANDROID_TABLET => Some(Provider::Fcm),
            Self::IPHONE | Self::IPAD => Some(Provider::Apns),
            Self::WEB_BROWSER => Some(Provider::WebPush),
            Self(_) => None,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A push service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    /// Apple Push Notification service.
    Apns,
    /// Firebase Cloud Messaging.
    Fcm,
    /// A browser's push service (RFC 8030).
    WebPush,
}

impl Provider {
    /// All push services.
    pub const ALL: [Self; 3] = [Self::Apns, Self::Fcm, Self::WebPush];

    /// The name in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apns => "apns",
            Self::Fcm => "fcm",
            Self::WebPush => "web_push",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The address a push service gave a device. It is a secret: `Debug` shows its length only.
///
/// Stored and sent as the client gave it. APNs tokens are hexadecimal and mean the same in
/// either case, so they are compared with [`DeviceToken::same_as`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceToken(Box<str>);

impl DeviceToken {
    /// The token as the client sent it.
    pub fn new(token: impl Into<Box<str>>) -> Self {
        Self(token.into())
    }

    /// The text to send to the push service.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether both address the same device on `platform`.
    #[must_use]
    pub fn same_as(&self, other: &Self, platform: Platform) -> bool {
        match platform.provider() {
            Some(Provider::Apns) => self.0.eq_ignore_ascii_case(&other.0),
            Some(Provider::Fcm | Provider::WebPush) | None => self == other,
        }
    }
}

impl fmt::Debug for DeviceToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DeviceToken({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_apns_tokens_ignore_case() {
        let (lower, upper) = (DeviceToken::new("ab"), DeviceToken::new("AB"));
        assert!(lower.same_as(&upper, Platform::IPHONE));
        assert!(!lower.same_as(&upper, Platform::ANDROID));
    }

    #[test]
    fn a_token_does_not_show_in_debug_output() {
        assert_eq!(
            format!("{:?}", DeviceToken::new("secret")),
            "DeviceToken(6 bytes)"
        );
    }
}
