//! Which streams of one connection are open, as the bytes on the wire tell.
//!
//! The limits that Apple and Google set are judged here, when a HEADERS frame
//! is read and before any later answer is written. So a client that obeys can
//! never be blamed: it opens a stream only after it has read an answer that we
//! had written before. A client that does not is caught even when its streams
//! and our answers cross.

use std::collections::{HashSet, VecDeque};

/// Whether more than one stream may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// One stream at a time.
    Closed,
    /// Opens when the answer on this stream has been written.
    OpensAfter(u32),
    Open,
}

/// The streams of one connection.
#[derive(Debug)]
pub(super) struct StreamTable {
    open: HashSet<u32>,
    /// Opened against the rules, not yet accepted from `h2`.
    refused: HashSet<u32>,
    highest: u32,
    gate: Gate,
    limit: u32,
    /// Limits that were sent; each is in force when the peer acknowledges it.
    announced: VecDeque<u32>,
}

impl StreamTable {
    pub(super) fn new(limit: u32, gate: Gate) -> Self {
        Self {
            open: HashSet::new(),
            refused: HashSet::new(),
            highest: 0,
            gate,
            limit,
            announced: VecDeque::new(),
        }
    }

    /// The peer has sent HEADERS; tells whether that broke a limit.
    pub(super) fn opened(&mut self, id: u32) -> bool {
        if id <= self.highest {
            return false; // Trailers.
        }
        self.highest = id;
        let alone = self.gate == Gate::Open || self.open.is_empty();
        let refused = !alone || self.open_count() >= self.limit;
        if refused {
            self.refused.insert(id);
        }
        self.open.insert(id);
        refused
    }

    /// The answer's last frame has been written, or either side has reset the stream.
    pub(super) fn ended(&mut self, id: u32) {
        self.open.remove(&id);
        if self.gate == Gate::OpensAfter(id) {
            self.gate = Gate::Open;
        }
    }

    /// The answer on `id` is about to be written and its credential was good.
    pub(super) fn open_gate_after(&mut self, id: u32) {
        if self.gate == Gate::Closed {
            self.gate = Gate::OpensAfter(id);
        }
    }

    /// Whether the stream must be refused; asked once per stream.
    pub(super) fn take_refused(&mut self, id: u32) -> bool {
        !self.refused.is_empty() && self.refused.remove(&id)
    }

    /// A new limit is being sent. A higher one is in force at once: the peer
    /// may use it before its acknowledgement is read.
    pub(super) fn announce(&mut self, limit: u32) {
        self.limit = self.limit.max(limit);
        self.announced.push_back(limit);
    }

    /// The peer has acknowledged the oldest announced limit; tells whether there was one.
    pub(super) fn acknowledged(&mut self) -> bool {
        let Some(limit) = self.announced.pop_front() else {
            return false;
        };
        self.limit = self.announced.iter().copied().fold(limit, u32::max);
        true
    }

    pub(super) fn open_count(&self) -> u32 {
        u32::try_from(self.open.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn open_ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.open.iter().copied()
    }

    /// The highest stream id that the peer has used.
    pub(super) fn highest(&self) -> u32 {
        self.highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_lets_one_stream_through_until_its_answer_is_written() {
        let mut table = StreamTable::new(10, Gate::Closed);
        assert!(!table.opened(1));
        assert!(table.opened(3));
        assert!(table.take_refused(3) && !table.take_refused(3));
        table.ended(3);
        table.open_gate_after(1);
        assert!(table.opened(5), "the answer is not written yet");
        table.ended(5);
        table.ended(1);
        assert!(!table.opened(7) && !table.opened(9));
        assert_eq!(table.open_count(), 2);
    }

    #[test]
    fn a_refused_credential_leaves_the_gate_closed() {
        let mut table = StreamTable::new(10, Gate::Closed);
        assert!(!table.opened(1));
        table.ended(1);
        assert!(!table.opened(3));
        assert!(table.opened(5));
    }

    #[test]
    fn a_lower_limit_holds_from_its_acknowledgement_and_a_higher_one_at_once() {
        let mut table = StreamTable::new(2, Gate::Open);
        table.announce(1);
        assert!(!table.opened(1) && !table.opened(3));
        assert!(table.acknowledged());
        assert!(!table.acknowledged());
        table.ended(1);
        assert!(table.opened(5));
        table.announce(9);
        assert!(!table.opened(7));
    }
}
