//! Where ends are written: one report per notification, feedback about its token, counts.
//!
//! The one rule: the slot in the sender queue is given back only after the report is in the
//! notification-log queue, so that the two queues together never lose sight of a notification.

use model::{Clock, Feedback, Lane, Notification, Outcome, Report, UnixMs};
use queue::Producer;
use tracing::{debug, error, info, warn};

use super::delivery::Delivery;
use crate::{
    provider::{Reason, TokenFate},
    prune_guard::{Belief, PruneGuard},
};

/// See the module's text.
pub(super) struct Ledger {
    provider: model::Provider,
    reports: Producer<Report>,
    feedback: Producer<Feedback>,
    clock: Clock,
    guard: PruneGuard,
    /// Whether the last word about our credential or configuration was a refusal.
    in_trouble: bool,
}

impl Ledger {
    pub(super) fn new(
        provider: model::Provider,
        reports: Producer<Report>,
        feedback: Producer<Feedback>,
        clock: Clock,
    ) -> Self {
        Self {
            provider,
            reports,
            feedback,
            clock,
            guard: PruneGuard::default(),
            in_trouble: false,
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
        if self.in_trouble {
            self.in_trouble = false;
            info!(provider = %self.provider, "the push service takes our notifications again");
        }
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
        self.end(delivery, outcome, reason);
    }

    /// Our credential or configuration is refused.
    pub(super) fn in_trouble(&mut self, delivery: Box<Delivery>, reason: Reason) {
        if !self.in_trouble {
            self.in_trouble = true;
            warn!(
                provider = %self.provider,
                %reason,
                "the push service refuses our credential or configuration: no notification gets through"
            );
        }
        self.end(delivery, Outcome::CredentialRefused, reason);
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

    /// Feedback that finds no room is dropped: the next push to the token repairs that.
    fn unregister(&self, notification: &Notification, since: Option<UnixMs>) {
        if let Ok(permit) = self.feedback.try_reserve(Lane::Urgent, 1, 0) {
            permit.send(Feedback::Unregistered {
                login: notification.login,
                platform: notification.platform,
                token: notification.token.clone(),
                since,
            });
        }
    }
}
