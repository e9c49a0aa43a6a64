//! What an earlier run has accepted and not finished, in the order of acceptance.

use std::{ops::RangeInclusive, sync::Arc};

use model::{Ended, Request, RequestId};
use tracing::warn;

use crate::{
    ReadError,
    error::StoreError,
    file_journal::Shared,
    row::{self, Position},
};

/// So many stored bytes are read at a time, and a row more.
const READ_BYTES: usize = 1 << 20;

/// Batches of unfinished requests; blocks while it reads. What is dropped unread is brought
/// again by the next start.
///
/// A request that this program cannot read, because it is damaged or of a newer version, is left
/// out: it stays in the journal for a program that can, is counted, and is named in the log.
pub struct Unfinished {
    shared: Arc<Shared>,
    /// Keys that are not read yet; `None` at the end.
    rows: Option<RangeInclusive<u64>>,
    requests: usize,
}

/// A request as the store keeps it.
struct Stored {
    id: RequestId,
    bytes: Vec<u8>,
    position: Position,
    ended: Ended,
}

impl Unfinished {
    pub(crate) fn new(shared: Arc<Shared>, rows: Option<RangeInclusive<u64>>) -> Self {
        let requests = shared.index.lock().len();
        Self {
            shared,
            rows,
            requests,
        }
    }

    /// How many requests were unfinished when the journal was opened.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests
    }

    /// Reads rows up to about [`READ_BYTES`]; their unfinished requests' stored forms.
    fn read(&mut self, rows: RangeInclusive<u64>) -> Result<Vec<Stored>, StoreError> {
        let (mut stored, mut bytes, last) = (Vec::new(), 0, *rows.end());
        let mut next = None;
        let store = self.shared.store.read();
        let store = store.as_ref().ok_or(StoreError::Closed)?;
        store.read(rows, |key, row| {
            if bytes >= READ_BYTES {
                next = Some(key..=last);
                return false;
            }
            bytes += row.len();
            let index = self.shared.index.lock();
            // A damaged row was reported when the journal was opened.
            for ((id, request), slot) in row::requests(row).into_iter().flatten().zip(0..) {
                if index.is_open(key, usize::from(slot)) {
                    stored.push(Stored {
                        id,
                        bytes: request.to_vec(),
                        position: Position { row: key, slot },
                        ended: Ended::default(),
                    });
                }
            }
            true
        })?;
        for request in &mut stored {
            request.ended = store.ended(request.position)?;
        }
        self.rows = next;
        Ok(stored)
    }

    fn decode(&self, stored: Stored) -> Option<Request> {
        let Stored {
            id, bytes, ended, ..
        } = stored;
        match Request::from_bytes(&bytes) {
            Ok(request) => Some(Request { ended, ..request }),
            Err(cause) => {
                warn!(
                    error = &cause as &dyn std::error::Error,
                    request = %id,
                    bytes = bytes.len(),
                    "a request in the journal cannot be read, it is kept aside"
                );
                self.shared.metrics.kept_aside.inc();
                None
            }
        }
    }
}

impl Iterator for Unfinished {
    type Item = Result<Vec<Request>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(rows) = self.rows.take() {
            let stored = match self.read(rows) {
                Ok(stored) => stored,
                Err(cause) => return Some(Err(ReadError::Store(cause))),
            };
            let requests: Vec<_> = stored
                .into_iter()
                .filter_map(|stored| self.decode(stored))
                .collect();
            if !requests.is_empty() {
                return Some(Ok(requests));
            }
        }
        None
    }
}

impl std::fmt::Debug for Unfinished {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Unfinished({:?})", self.rows)
    }
}
