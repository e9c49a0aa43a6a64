//! How a connection is drained and closed (RFC 9113 section 6.8).
//!
//! Graceful: the announcement, one round trip measured by a PING, the real
//! last id, the answers, the end. Hard: one GOAWAY that leaves streams behind.
//! Streams after the last id are never answered and never reset, because the
//! GOAWAY has already told the client that they were not processed.

use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Connection, LINGER, Winding, exchange::Exchange, frames::LAST_ID};
use crate::{
    script::GoAway,
    service::{PushService, Served},
};

impl<T, S> Connection<T, S>
where
    T: AsyncRead + AsyncWrite + Unpin,
    S: PushService,
{
    pub(super) fn go_away(&mut self, go_away: &GoAway) {
        if !matches!(self.winding, Winding::No) {
            return;
        }
        let debug_data = go_away.debug_data();
        match go_away {
            GoAway::Graceful { .. } => {
                let mut state = self.state.lock();
                state.send_go_away(LAST_ID, &debug_data);
                state.send_ping();
                drop(state);
                self.winding = Winding::Announced(debug_data);
            }
            GoAway::Hard { unprocessed, .. } => {
                let last = self.last_with_unprocessed(*unprocessed);
                self.state.lock().send_go_away(last, &debug_data);
                self.winding = Winding::Draining(last);
                self.drop_unprocessed();
            }
        }
    }

    /// The last stream id that leaves the newest `unprocessed` streams in flight behind.
    fn last_with_unprocessed(&self, unprocessed: u32) -> u32 {
        let incoming = self.incoming.iter().map(|incoming| incoming.exchange.id());
        let due = self.due.iter().map(|due| due.exchange.id());
        let mut in_flight: Vec<u32> = incoming.chain(due).collect();
        in_flight.sort_unstable();
        let behind = usize::try_from(unprocessed).unwrap_or(usize::MAX);
        if behind == 0 {
            return self.highest();
        }
        let last_kept = in_flight
            .len()
            .checked_sub(behind.saturating_add(1))
            .map(|kept| in_flight[kept]);
        // Fewer in flight than to be left behind: everything before the first stays answered.
        last_kept.unwrap_or_else(|| {
            in_flight
                .first()
                .map_or(self.highest(), |first| first.saturating_sub(2))
        })
    }

    /// The highest id that the peer has used so far.
    fn highest(&self) -> u32 {
        self.state.lock().streams.highest()
    }

    fn drop_unprocessed(&mut self) {
        let Winding::Draining(last) = self.winding else {
            return;
        };
        for incoming in std::mem::take(&mut self.incoming) {
            if incoming.exchange.id() > last {
                let exchange = incoming.abandon();
                self.held.insert(exchange.id(), exchange);
            } else {
                self.incoming.push(incoming);
            }
        }
        for due in std::mem::take(&mut self.due) {
            if due.exchange.id() > last {
                self.leave_unprocessed(due.exchange, &due.served);
            } else {
                self.due.push(due);
            }
        }
    }

    pub(super) fn leave_unprocessed(&mut self, exchange: Exchange, served: &Served) {
        if let Some(logged) = served.logged {
            self.service.endpoint().was_not_processed(logged);
        }
        self.held.insert(exchange.id(), exchange);
    }

    pub(super) fn is_past_last(&self, id: u32) -> bool {
        match self.winding {
            Winding::No | Winding::Announced(_) => false,
            Winding::Draining(last) => id > last,
            Winding::Closed => true,
        }
    }

    /// Takes the next step of closing when its time has come; tells whether it did.
    pub(super) fn wind(&mut self) -> bool {
        let mut state = self.state.lock();
        match &self.winding {
            Winding::No | Winding::Closed => false,
            Winding::Announced(debug_data) => {
                if !state.ponged {
                    return false;
                }
                let last = state.streams.highest();
                state.send_go_away(last, debug_data);
                self.winding = Winding::Draining(last);
                true
            }
            Winding::Draining(_) => {
                let unanswered = state
                    .streams
                    .open_ids()
                    .any(|id| !self.held.contains_key(&id));
                if unanswered || !self.due.is_empty() || !self.incoming.is_empty() {
                    return false;
                }
                state.close();
                self.timer.as_mut().reset((Instant::now() + LINGER).into());
                self.winding = Winding::Closed;
                true
            }
        }
    }
}
