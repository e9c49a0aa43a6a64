//! What the configuration file says about the doors.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::{NonZeroU64, NonZeroUsize},
};

use serde::{Deserialize, Serialize};

use crate::{ServerError, router};

/// Section `[ServerSpecific]`: the address, and the bounds of what clients may do to us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerConfig {
    /// The game's name; a column of the notification log.
    pub game: String,
    /// The game world's id; a column of the notification log.
    pub world_id: String,
    /// TCP port of all URLs.
    pub port: u16,
    /// Address that all ports listen on.
    pub bind_address: IpAddr,
    /// Seconds that a stop may take, from the signal to the exit.
    pub shutdown_timeout_sec: u64,
    /// Largest body of a POST in bytes, before and after decompression; beyond it 413.
    pub max_body_bytes: NonZeroUsize,
    /// Mebibytes that all bodies being read and decoded may fill together; beyond it 503. At
    /// least 14 times `max_body_bytes`, so that one always fits.
    pub max_inflight_body_mb: NonZeroUsize,
    /// Open client connections; what comes beyond is answered with 503 and closed.
    pub max_connections: NonZeroUsize,
    /// Seconds a client has for a request's head, from its first byte.
    pub header_timeout_sec: NonZeroU64,
    /// Seconds a client has to send a request's body, and to take its answer.
    pub body_timeout_sec: NonZeroU64,
    /// Seconds a connection may stay open between requests.
    pub idle_timeout_sec: NonZeroU64,
    /// Whether the four POST URLs need an API key of the legacy organisation, by HTTP Basic.
    pub require_api_key: bool,
    /// PEM file of the certificate, and what signed it, that the port is secured with.
    pub tls_certificate_path: Option<String>,
    /// PEM file of the certificate's key.
    pub tls_key_path: Option<String>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        const fn seconds(number: u64) -> NonZeroU64 {
            NonZeroU64::new(number).expect("the defaults are not zero")
        }
        const fn amount(number: usize) -> NonZeroUsize {
            NonZeroUsize::new(number).expect("the defaults are not zero")
        }
        Self {
            game: "GameName".to_owned(),
            world_id: "1".to_owned(),
            port: 8887,
            bind_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            shutdown_timeout_sec: 30,
            max_body_bytes: amount(16 << 20),
            max_inflight_body_mb: amount(256),
            max_connections: amount(20_000),
            header_timeout_sec: seconds(10),
            body_timeout_sec: seconds(30),
            idle_timeout_sec: seconds(75),
            require_api_key: false,
            tls_certificate_path: None,
            tls_key_path: None,
        }
    }
}

impl ServerConfig {
    /// Where the main port listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.bind_address, self.port)
    }
}

/// The URL keys of section `[RequestHandler]`. A path must match as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathsConfig {
    /// POST: events as protobuf.
    pub proto_event_handler_url: String,
    /// POST: direct notifications as protobuf.
    pub proto_notification_handler_url: String,
    /// POST: events as JSON.
    pub json_event_handler_url: String,
    /// POST: direct notifications as JSON.
    pub json_notification_handler_url: String,
    /// GET: items in the request queue.
    pub request_queue_handler_url: String,
    /// GET: notifications in the APNs sender queue.
    pub apn_sender_queue_handler_url: String,
    /// GET: notifications in the FCM sender queue (Pushkin's name has stayed).
    pub gcm_sender_queue_handler_url: String,
    /// GET: feedback on its way to the database.
    pub notification_post_processor_queue_handler_url: String,
}

impl Default for PathsConfig {
    fn default() -> Self {
        Self {
            proto_event_handler_url: "/post_events_proto".to_owned(),
            proto_notification_handler_url: "/post_notification_proto".to_owned(),
            json_event_handler_url: "/post_events_json".to_owned(),
            json_notification_handler_url: "/post_notification_json".to_owned(),
            request_queue_handler_url: "/get_request_queue".to_owned(),
            apn_sender_queue_handler_url: "/get_apn_sender_queue".to_owned(),
            gcm_sender_queue_handler_url: "/get_gcm_sender_queue".to_owned(),
            notification_post_processor_queue_handler_url: "/get_notification_post_processor_queue"
                .to_owned(),
        }
    }
}

impl PathsConfig {
    /// Whether the doors can be told apart by these paths.
    ///
    /// # Errors
    /// The first path that no request could have, or that another door has.
    pub fn check(&self) -> Result<(), ServerError> {
        router::routes(self).map(drop)
    }
}
