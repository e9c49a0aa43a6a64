//! What a simulator is started with.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

/// How the simulated services behave from the start.
///
/// Everything that a test may want to change later has a method on
/// [`Endpoint`](crate::Endpoint) or [`Simulator`](crate::Simulator) too.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address of all listeners. The control API has no authentication: keep it on loopback.
    pub bind_address: IpAddr,
    /// Port of APNs; 0 takes a free one.
    pub apns_port: u16,
    /// Port of FCM and of the OAuth token endpoint; 0 takes a free one.
    pub fcm_port: u16,
    /// Port of the control API; 0 takes a free one.
    pub control_port: u16,
    /// Bundle ids that the APNs key may push to; the first is [`ApnsKey::topic`](crate::ApnsKey).
    pub topics: Vec<String>,
    /// Key id of the APNs key, 10 characters.
    pub key_id: String,
    /// Team id of the APNs key, 10 characters.
    pub team_id: String,
    /// Firebase project id of the service account.
    pub project_id: String,
    /// Time between a request and its answer when no rule says otherwise.
    pub latency: Duration,
    /// `MAX_CONCURRENT_STREAMS` that APNs advertises and enforces.
    pub apns_max_streams: u32,
    /// `MAX_CONCURRENT_STREAMS` that FCM advertises and enforces; 100 is what Google's front ends say.
    pub fcm_max_streams: u32,
    /// APNs refuses a second stream on a connection until the first request
    /// with a valid token has been answered, as Apple documents.
    pub one_stream_first: bool,
    /// PEM of a certificate authority: APNs then takes connections with a
    /// client certificate of it only, whose subject's UID is the topic. Such a
    /// connection has all streams at once, and a provider token on it is refused.
    pub apns_client_ca_pem: Option<String>,
    /// Shortest time between two new provider tokens of the APNs key; a newer
    /// one is refused with `TooManyProviderTokenUpdates`. Apple's figure is
    /// 20 minutes. `None` switches the check off.
    pub min_token_update_interval: Option<Duration>,
    /// Life of an access token from the OAuth endpoint. Google's is 3599 s.
    pub access_token_life: Duration,
    /// How many requests each service remembers; the oldest are forgotten
    /// first. 0 counts only, which is what a bench wants.
    pub log_limit: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bind_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            apns_port: 0,
            fcm_port: 0,
            control_port: 0,
            topics: vec!["com.example.onegin".into()],
            key_id: "SIMKEY0001".into(),
            team_id: "SIMTEAM001".into(),
            project_id: "onegin-demo".into(),
            latency: Duration::ZERO,
            apns_max_streams: 1000,
            fcm_max_streams: 100,
            one_stream_first: true,
            apns_client_ca_pem: None,
            min_token_update_interval: None,
            access_token_life: Duration::from_secs(3599),
            log_limit: 100_000,
        }
    }
}
