//! The log of one service: what arrived, when, and what was said to it.
//!
//! Requests come in when their last byte has been read and every check is
//! done. The log is bounded: when it is full the oldest entry is forgotten,
//! while the counts go on. With a limit of 0 it only counts.

use std::{
    collections::VecDeque,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

/// One request as it was received and answered.
#[derive(Clone, Debug)]
pub struct Received {
    /// Position in the log of its service, from 0, also over forgotten entries.
    pub number: u64,
    /// When the last byte of it had arrived.
    pub at: Instant,
    /// The same by the simulator's clock.
    pub wall: SystemTime,
    /// Number of the connection at its service, from 1.
    pub connection: u64,
    /// HTTP/2 stream id; 0 over HTTP/1.1.
    pub stream: u32,
    /// The device token; the topic or condition for FCM messages to one; ""
    /// where the request was too wrong to have one.
    pub token: String,
    /// What the answer called it: `apns-id`, or FCM's `name`.
    pub id: Option<String>,
    /// All headers but the credential, in no order.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body as it came.
    pub payload: Bytes,
    /// FCM's dry run: answered like a delivery but none.
    pub validate_only: bool,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Answered 200: the device has it (or would have, see [`Received::validate_only`]).
    Delivered,
    /// Answered with another status.
    Refused {
        /// HTTP status.
        status: u16,
        /// Apple's `reason` or Google's `errorCode`, else its canonical status.
        reason: String,
    },
    /// The stream was reset with this HTTP/2 error code.
    Reset {
        /// See RFC 9113 section 7.
        code: u32,
    },
    /// The connection was dropped.
    Dropped,
    /// Never answered.
    Unanswered,
    /// A GOAWAY told the client that it was not processed.
    Unprocessed,
}

impl Received {
    /// A header's value as text; `name` is lower-case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known == name)?;
        value.to_str().ok()
    }

    /// The payload as JSON; `Null` when it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.payload).unwrap_or_default()
    }

    /// Whether a device got it: answered 200, and not a dry run.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        self.verdict == Verdict::Delivered && !self.validate_only
    }
}

/// A handle on a log entry, kept while its request is in flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Logged {
    number: u64,
    delivered: bool,
}

/// How much came.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) delivered: u64,
    /// Entries that the bound has pushed out.
    pub(crate) forgotten: u64,
}

/// The log, shared by all connections of a service and by whoever waits on it.
#[derive(Debug)]
pub(crate) struct Log {
    limit: usize,
    entries: Mutex<Entries>,
    changed: Condvar,
    changed_async: Notify,
}

#[derive(Debug, Default)]
struct Entries {
    kept: VecDeque<Received>,
    tally: Tally,
}

impl Log {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            entries: Mutex::default(),
            changed: Condvar::new(),
            changed_async: Notify::new(),
        }
    }

    /// Whether entries are kept at all.
    pub(crate) fn remembers(&self) -> bool {
        self.limit > 0
    }

    pub(crate) fn add(&self, mut entry: Received) -> Logged {
        let mut entries = self.entries.lock();
        let logged = Logged {
            number: entries.tally.requests,
            delivered: entry.is_delivered(),
        };
        entries.tally.requests += 1;
        entries.tally.delivered += u64::from(logged.delivered);
        if self.remembers() {
            entry.number = logged.number;
            if entries.kept.len() == self.limit {
                entries.kept.pop_front();
                entries.tally.forgotten += 1;
            }
            entries.kept.push_back(entry);
        }
        drop(entries);
        self.changed.notify_all();
        self.changed_async.notify_waiters();
        logged
    }

    /// Takes back what was said about a request that a GOAWAY left unprocessed.
    pub(crate) fn was_not_processed(&self, logged: Logged) {
        let mut entries = self.entries.lock();
        entries.tally.delivered -= u64::from(logged.delivered);
        let kept = entries.kept.front().map(|first| first.number);
        let index = kept.and_then(|first| logged.number.checked_sub(first));
        let entry = index
            .and_then(|index| usize::try_from(index).ok())
            .and_then(|index| entries.kept.get_mut(index));
        if let Some(entry) = entry {
            entry.verdict = Verdict::Unprocessed;
        }
    }

    /// Clones of the kept entries from `number` on.
    pub(crate) fn from(&self, number: u64) -> Vec<Received> {
        let entries = self.entries.lock();
        let wanted = entries.kept.iter().filter(|entry| entry.number >= number);
        wanted.cloned().collect()
    }

    pub(crate) fn tally(&self) -> Tally {
        self.entries.lock().tally
    }

    /// Forgets the entries and starts counting from 0.
    ///
    /// Only while nothing is in flight: an entry that is corrected later would
    /// be another one by then.
    pub(crate) fn clear(&self) {
        *self.entries.lock() = Entries::default();
    }

    /// Blocks until `enough`, or until `limit` is over; tells which.
    pub(crate) fn wait(&self, limit: Duration, enough: impl Fn(&Tally) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        let mut entries = self.entries.lock();
        while !enough(&entries.tally) {
            if self.changed.wait_until(&mut entries, deadline).timed_out() {
                return enough(&entries.tally);
            }
        }
        true
    }

    /// The same for async callers, on any tokio runtime with a timer.
    pub(crate) async fn wait_async(
        &self,
        limit: Duration,
        enough: impl Fn(&Tally) -> bool,
    ) -> bool {
        let waiting = async {
            loop {
                // Registered before looking, so that no change falls between.
                let mut changed = std::pin::pin!(self.changed_async.notified());
                changed.as_mut().enable();
                if enough(&self.tally()) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(limit, waiting).await.is_ok()
    }
}
