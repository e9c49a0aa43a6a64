//! Remembers when messages without a cooldown were sent, off the hot path.
//!
//! Nothing decides by these times; operators and a later cooldown read them. So they are
//! gathered, the latest per user and message, and written once a second. What does not fit or
//! cannot be written is left out.

use std::{collections::HashMap, time::Duration};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use model::{LoginId, MessageId, UnixMs};
use queue::Workers;
use storage::Storage;
use tracing::{debug, warn};

/// How long a time may stay unwritten, unless a test wants it otherwise.
pub const LAST_SENT_INTERVAL: Duration = Duration::from_secs(1);
/// Pairs gathered at most; one statement writes them all.
const PAIRS_AT_MOST: usize = 50_000;
/// Batches on their way at most; more are left out.
const BATCHES_AT_MOST: usize = 64;

/// One sending: who, what, when.
pub(crate) type Sending = (LoginId, MessageId, UnixMs);

/// The processor threads' end. The recorder ends when all clones are gone.
#[derive(Clone, Debug)]
pub(crate) struct LastSent(Sender<Vec<Sending>>);

impl LastSent {
    /// Starts the thread that writes.
    pub(crate) fn start(storage: Storage, interval: Duration) -> (Self, Workers) {
        let (sender, receiver) = bounded(BATCHES_AT_MOST);
        let work = move || gather_and_write(&receiver, &storage, interval);
        let recorder = Workers::start("last-sent", vec![("last-sent".to_owned(), work)]);
        (Self(sender), recorder)
    }

    /// Takes a batch's sendings, or leaves them out if the writer is far behind.
    pub(crate) fn record(&self, sendings: Vec<Sending>) {
        if sendings.is_empty() {
            return;
        }
        match self.0.try_send(sendings) {
            Ok(()) => {}
            Err(TrySendError::Full(left_out) | TrySendError::Disconnected(left_out)) => {
                debug!(left_out = left_out.len(), "sending times are not recorded");
            }
        }
    }
}

fn gather_and_write(receiver: &Receiver<Vec<Sending>>, storage: &Storage, interval: Duration) {
    let mut latest = HashMap::new();
    loop {
        let end = match receiver.recv_timeout(interval) {
            Ok(sendings) => {
                gather(&mut latest, sendings);
                // The interval starts with the first sending; the rest of it is waited out below.
                wait_and_gather(receiver, &mut latest, interval)
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        };
        write(storage, &mut latest);
        if end {
            return;
        }
    }
}

/// Gathers for one interval, or until there is enough. True when no more can come.
fn wait_and_gather(
    receiver: &Receiver<Vec<Sending>>,
    latest: &mut HashMap<(LoginId, MessageId), UnixMs>,
    interval: Duration,
) -> bool {
    let until = std::time::Instant::now() + interval;
    while latest.len() < PAIRS_AT_MOST {
        match receiver.recv_deadline(until) {
            Ok(sendings) => gather(latest, sendings),
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => return true,
        }
    }
    false
}

fn gather(latest: &mut HashMap<(LoginId, MessageId), UnixMs>, sendings: Vec<Sending>) {
    for (login, message, at) in sendings {
        let time = latest.entry((login, message)).or_insert(at);
        *time = at.max(*time);
    }
}

fn write(storage: &Storage, latest: &mut HashMap<(LoginId, MessageId), UnixMs>) {
    if latest.is_empty() {
        return;
    }
    let mut sendings: Vec<Sending> = latest
        .drain()
        .map(|((login, message), at)| (login, message, at))
        .collect();
    // One order for all writers: two daemons on one database must not lock each other out.
    sendings.sort_unstable();
    if let Err(error) = storage.record_last_sent(&sendings) {
        warn!(%error, left_out = sendings.len(), "sending times could not be recorded");
    }
}
