//! The `[Messenger]` and `[Sender]` sections.

use std::{
    fmt,
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
};

use queue::WhenFull;
use serde::{Deserialize, Serialize};

/// `[Messenger]`: credentials and wire settings of the push services.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MessengerConfig {
    /// FCM validates every message and delivers none (`validate_only`). APNs has no such thing.
    pub dry_run: bool,
    /// Notifications that are gathered for APNs before they are sent together.
    pub apns_batch_size: NonZeroUsize,
    /// Notifications that are gathered for FCM before they are sent together.
    pub gcm_batch_size: NonZeroUsize,
    /// The app's bundle id, sent as `apns-topic`.
    pub apns_topic: Option<String>,
    /// PEM file with a client certificate and its unencrypted key, where there is no `.p8` key.
    pub apns_certificate_path: Option<String>,
    /// PEM file (`.p8`) with the signing key of token authentication.
    pub apns_key_path: Option<String>,
    /// The key's id, 10 characters.
    pub apns_key_id: Option<String>,
    /// The team's id, 10 characters.
    pub apns_team_id: Option<String>,
    /// Another base URL than Apple's, such as `https://127.0.0.1:2197`.
    pub apns_endpoint: Option<String>,
    /// PEM file with the only CA to trust for APNs; Mozilla's list where absent.
    pub apns_ca_path: Option<String>,
    /// Apple's sandbox instead of production; `apns_endpoint` wins over it.
    pub apns_sandbox: bool,
    /// Google's service-account JSON file.
    pub fcm_service_account_path: Option<String>,
    /// Another base URL than Google's.
    pub fcm_endpoint: Option<String>,
    /// PEM file with the only CA to trust for FCM and its tokens; Mozilla's list where absent.
    pub fcm_ca_path: Option<String>,
    /// Legacy GCM key of an old file. Google no longer takes it: it is read, warned about, unused.
    pub gcm_access_key: Option<String>,
    /// Messages per second to one FCM project; Google's quota is 600,000 per minute. 0: no limit.
    pub fcm_rate_limit_per_sec: u32,
    /// Tries for one notification before it is given up.
    pub connection_error_retries: NonZeroU32,
    /// The scheme in front of `://<screen>` in FCM's `url`.
    pub base_deeplink_url: String,
    /// How long one try may take, seconds.
    pub request_timeout_sec: NonZeroU64,
}

impl Default for MessengerConfig {
    fn default() -> Self {
        Self {
            dry_run: false,
            apns_batch_size: count(500),
            gcm_batch_size: count(500),
            apns_topic: None,
            apns_certificate_path: None,
            apns_key_path: None,
            apns_key_id: None,
            apns_team_id: None,
            apns_endpoint: None,
            apns_ca_path: None,
            apns_sandbox: false,
            fcm_service_account_path: None,
            fcm_endpoint: None,
            fcm_ca_path: None,
            gcm_access_key: None,
            fcm_rate_limit_per_sec: 10_000,
            connection_error_retries: const { NonZeroU32::new(3).expect("not zero") },
            base_deeplink_url: "application_name.com".to_owned(),
            request_timeout_sec: const { NonZeroU64::new(20).expect("not zero") },
        }
    }
}

const fn count(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).expect("the defaults are not zero")
}

impl fmt::Debug for MessengerConfig {
    /// Shows whether there is a `gcm_access_key`, and not which.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MessengerConfig")
            .field("dry_run", &self.dry_run)
            .field("apns_batch_size", &self.apns_batch_size)
            .field("gcm_batch_size", &self.gcm_batch_size)
            .field("apns_topic", &self.apns_topic)
            .field("apns_certificate_path", &self.apns_certificate_path)
            .field("apns_key_path", &self.apns_key_path)
            .field("apns_key_id", &self.apns_key_id)
            .field("apns_team_id", &self.apns_team_id)
            .field("apns_endpoint", &self.apns_endpoint)
            .field("apns_ca_path", &self.apns_ca_path)
            .field("apns_sandbox", &self.apns_sandbox)
            .field("fcm_service_account_path", &self.fcm_service_account_path)
            .field("fcm_endpoint", &self.fcm_endpoint)
            .field("fcm_ca_path", &self.fcm_ca_path)
            .field(
                "gcm_access_key",
                &self.gcm_access_key.as_ref().map(|_| "***"),
            )
            .field("fcm_rate_limit_per_sec", &self.fcm_rate_limit_per_sec)
            .field("connection_error_retries", &self.connection_error_retries)
            .field("base_deeplink_url", &self.base_deeplink_url)
            .field("request_timeout_sec", &self.request_timeout_sec)
            .finish()
    }
}

/// `[Sender]`: the sender queues and pools.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SenderConfig {
    /// Notifications per sender queue: queued, waiting for a retry and in flight.
    pub sender_queue_limit: NonZeroUsize,
    /// What happens when a sender queue is full: `block` or `drop`.
    pub when_full: WhenFull,
    /// How long APNs notifications are gathered into a batch, seconds; 0 sends at once.
    pub apn_sender_interval_sec: f64,
    /// How long FCM notifications are gathered into a batch, seconds; 0 sends at once.
    pub gcm_sender_interval_sec: f64,
    /// Connections to APNs at most.
    pub apn_num_processes: NonZeroUsize,
    /// Connections to FCM at most.
    pub gcm_num_processes: NonZeroUsize,
    /// Pushkin's list of sender classes, one a line, each with optional JSON arguments.
    pub enabled_senders: String,
}

impl Default for SenderConfig {
    fn default() -> Self {
        Self {
            sender_queue_limit: count(50_000),
            when_full: WhenFull::Block,
            apn_sender_interval_sec: 0.0,
            gcm_sender_interval_sec: 0.0,
            apn_num_processes: count(4),
            gcm_num_processes: count(4),
            enabled_senders: concat!(
                "pushkin.sender.senders.ApnNotificationSender\n",
                "pushkin.sender.senders.GcmNotificationSender",
            )
            .to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_legacy_key_does_not_show_in_debug_output() {
        let config = MessengerConfig {
            gcm_access_key: Some("AIza-secret".to_owned()),
            ..MessengerConfig::default()
        };
        assert!(!format!("{config:?}").contains("AIza-secret"));
    }

    #[test]
    fn a_missing_key_has_its_default() {
        let config: MessengerConfig = serde_json::from_str(r#"{"dry_run":true}"#).unwrap();
        assert_eq!(
            config,
            MessengerConfig {
                dry_run: true,
                ..MessengerConfig::default()
            }
        );
    }
}
