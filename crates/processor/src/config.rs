//! The `[RequestProcessor]` and `[Event]` sections.

use std::num::NonZeroU32;

use journal::JournalConfig;
use serde::{Deserialize, Serialize};

/// `[RequestProcessor]`: the queue in front of the processor threads, and the threads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestProcessorConfig {
    /// Items (events and notifications, not POSTs) that may wait; 0 is no limit.
    pub queue_limit: usize,
    /// Memory that waiting items may take, MiB.
    pub queue_limit_mb: usize,
    /// Threads that turn requests into notifications.
    pub request_processor_num_threads: NonZeroU32,
    /// Items whose notifications may wait outside their full sender queue; beyond it 503.
    pub parked_limit: usize,
    /// Where accepted requests survive a crash.
    #[serde(flatten)]
    pub journal: JournalConfig,
}

impl Default for RequestProcessorConfig {
    fn default() -> Self {
        Self {
            queue_limit: 50_000,
            queue_limit_mb: 256,
            request_processor_num_threads: const { NonZeroU32::new(10).expect("not zero") },
            parked_limit: 1_000_000,
            journal: JournalConfig::default(),
        }
    }
}

/// `[Event]`: the events with a built-in meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventConfig {
    /// The event by which a user's device and language are registered.
    pub login_event_id: i32,
    /// The event by which a user turns messages off.
    pub turn_off_notification_event_id: i32,
}

impl Default for EventConfig {
    fn default() -> Self {
        Self {
            login_event_id: 4001,
            turn_off_notification_event_id: 4006,
        }
    }
}
