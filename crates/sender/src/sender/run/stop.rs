//! The end of the loop: what waits is left to the journal, and near the end of the time for a
//! stop nothing more is sent. A request that is answered after the end would be sent again by
//! the next start, so the last part of the time belongs to the answers.

use model::Provider as Name;
use tokio::time::Instant;
use tracing::{info, warn};

use super::Run;
use crate::provider::Provider;

impl<P: Provider> Run<P> {
    /// Does what the times of a stop ask for, see [`StopTimes`](crate::StopTimes).
    pub(super) fn heed_stop(&mut self, now: Instant) {
        let Some(times) = *self.stop.borrow() else {
            return;
        };
        if now >= times.sending.into() {
            self.closed = true;
            self.let_go(
                "stopping, the time to send is over: what is not in flight is left",
                |run| {
                    run.drop_delayed();
                    run.drop_ready();
                    let mut waiting = Vec::new();
                    run.queue.take_available(&mut waiting, usize::MAX);
                    waiting.len()
                },
            );
        }
        if now >= times.answers.into() {
            self.let_go("stopping with requests that are not answered", |run| {
                run.in_flight.clear();
                0
            });
        }
    }

    /// The next time that [`Run::heed_stop`] looks at.
    pub(super) fn next_stop_time(&self, now: Instant) -> Option<Instant> {
        let times = (*self.stop.borrow())?;
        [times.sending.into(), times.answers.into()]
            .into_iter()
            .find(|time| *time > now)
    }

    /// Lets go of what waits for its next try and, where nothing may be sent, of everything that
    /// is not in flight. Unreported and unsettled: the journal brings it again.
    pub(super) fn leave_what_waits(&mut self) {
        let before = self.held();
        self.drop_delayed();
        if !self.breaker.is_closed() || self.paused_until > Instant::now() {
            self.drop_ready();
        }
        let left = before - self.held();
        if left > 0 {
            info!(provider = %self.name(), left, "stopping: what waits is left to the journal");
        }
    }

    /// Drops with `drop`, unreported and unsettled, and says how much; `drop` gives the number of
    /// those that it has dropped out of the queue.
    fn let_go(&mut self, why: &str, drop: impl FnOnce(&mut Self) -> usize) {
        let before = self.held();
        let queued = drop(self);
        let left = before - self.held() + queued;
        self.left += left;
        if left > 0 {
            warn!(provider = %self.name(), left, "{why}");
        }
    }

    fn drop_delayed(&mut self) {
        self.delayed = super::DelayQueue::new();
    }

    fn drop_ready(&mut self) {
        self.gathered.clear();
        self.ready = super::Ready::default();
    }

    fn name(&self) -> Name {
        self.provider.provider()
    }
}
