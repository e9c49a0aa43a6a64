//! Where ends are written: one report per notification, feedback about its token, counts.
//!
//! The one rule: the slot in the sender queue is given back only after the report is in the
//! notification-log queue, so that the two queues together never lose sight of a notification.

use model::{Clock, Feedback, Lane, Notification, Outcome, Report, UnixMs};
use prometheus_client::metrics::counter::Counter;
use queue::Producer;
use tracing::{debug, error};

use super::delivery::Delivery;
use crate::{
    provider::{Reason, TokenFate},
    prune_guard::{Belief, PruneGuard},
};

/// An alarm about what ends single notifications is not repeated before.
const ALARM_AGAIN_AFTER_MS: i64 = 60 * 60 * 1000;

/// See the module's text.
pub(super) struct Ledger {
    provider: model::Provider,
    reports: Producer<Report>,
    feedback: Producer<Feedback>,
    feedback_dropped: Counter,
    clock: Clock,
    guard: PruneGuard,
    /// When an answer last said that a credential is refused which only some devices need.
    alarmed_at: Option<UnixMs>,
}

impl Ledger {
    pub(super) fn new(
        provider: model::Provider,
        reports: Producer<Report>,
        feedback: Producer<Feedback>,
        feedback_dropped: Counter,
        clock: Clock,
    ) -> Self {
        Self {
            provider,
            reports,
            feedback,
            feedback_dropped,
            clock,
            guard: PruneGuard::default(),
            alarmed_at: None,
        }
    }

    /// The wall clock's time.
    pub(super) fn now(&self) -> UnixMs {
        self.clock.now()
    }

    /// The wall clock itself.
    pub(super) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// The push service took it.
    pub(super) fn delivered(&mut self, delivery: Box<Delivery>) {
        self.guard.unsuspicious();
        self.end(delivery, Outcome::Delivered, Reason::Borrowed(""));
    }

    /// The push service answered for good, and said something about the token.
    pub(super) fn answered(
        &mut self,
        delivery: Box<Delivery>,
        outcome: Outcome,
        reason: Reason,
        token: TokenFate,
    ) {
        match token {
            TokenFate::Kept => self.guard.unsuspicious(),
            TokenFate::Gone { since } => {
                self.guard.unsuspicious();
                self.unregister(&delivery.notification, since);
            }
            TokenFate::Suspect => match self.guard.suspicious() {
                Belief::Believed => self.unregister(&delivery.notification, None),
                Belief::TooEarly | Belief::Doubted { first: false } => {}
                Belief::Doubted { first: true } => error!(
                    provider = %self.provider,
                    %reason,
                    "most tokens are refused: is this the right environment, topic or project? no token is unregistered for this reason"
                ),
            },
        }
        if outcome == Outcome::CredentialRefused {
            self.alarm(&reason);
        }
        self.end(delivery, outcome, reason);
    }

    /// A credential is refused, but the others get through: nothing is held, somebody must act.
    fn alarm(&mut self, reason: &Reason) {
        let now = self.now();
        let again = |at: UnixMs| now.since_ms(at) >= ALARM_AGAIN_AFTER_MS;
        if self.alarmed_at.is_none_or(again) {
            self.alarmed_at = Some(now);
            error!(
                provider = %self.provider,
                %reason,
                "the push service cannot reach some devices for want of a credential: check the APNs key and web push certificate in its project's settings"
            );
        }
    }

    /// Writes the end of `delivery`.
    #[allow(
        clippy::boxed_local,
        reason = "deliveries are boxed everywhere, so that what moves is a pointer"
    )]
    pub(super) fn end(&self, delivery: Box<Delivery>, outcome: Outcome, reason: Reason) {
        let Delivery {
            notification, slot, ..
        } = *delivery;
        debug!(
            notification.id = %notification.id,
            provider = %self.provider,
            outcome = outcome.as_str(),
            %reason,
            "a notification ended"
        );
        // The slot goes along: until the line is written the notification counts here.
        self.reports.send_holding(
            notification.lane,
            Report {
                notification,
                outcome,
                reason,
                ended_at: self.clock.now(),
            },
            slot,
        );
    }

    /// Feedback that finds no room is dropped and counted: the next push to the token repairs it.
    fn unregister(&self, notification: &Notification, since: Option<UnixMs>) {
        let Ok(permit) = self.feedback.try_reserve(Lane::Urgent, 1, 0) else {
            self.feedback_dropped.inc();
            return;
        };
        permit.send(Feedback::Unregistered {
            login: notification.login,
            platform: notification.platform,
            token: notification.token.clone(),
            since,
        });
    }
}
