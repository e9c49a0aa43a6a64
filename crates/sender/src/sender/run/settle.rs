//! What follows from each end of an exchange: a report, another try, a word to the pool.
//!
//! Nothing is decided here that has a table elsewhere: the provider judges the answer,
//! [`retry::decide`] plans the next try.

use std::time::Duration;

use model::Outcome;
use tokio::time::Instant;
use tracing::warn;

use super::Run;
use crate::{
    authorization::Renewal,
    metrics::ResultClass,
    pool::{Ended, Health, Lost},
    provider::{Answer, Provider, Reason, Verdict},
    retry::{self, Decision, Failure, Tried},
    sender::delivery::Delivery,
};

/// Repetitions of an unprocessed request that are made at once; later ones wait.
const FREE_REPETITIONS_AT_ONCE: u32 = 3;

impl<P: Provider> Run<P> {
    pub(super) fn settle_answers(&mut self) {
        let now = Instant::now();
        let mut ended = std::mem::take(&mut self.ended);
        for ended in ended.drain(..) {
            let Ended {
                subject: delivery,
                connection,
                lane,
                result,
            } = ended;
            let health = match result {
                Ok(answer) => self.answered(delivery, &answer, now),
                Err(lost) => self.lost(delivery, lost, now),
            };
            self.pool.ended(connection, lane, health, now);
        }
        // Its room is used again.
        self.ended = ended;
    }

    fn answered(&mut self, mut delivery: Box<Delivery>, answer: &Answer, now: Instant) -> Health {
        let class = ResultClass::of_status(answer.status);
        self.metrics.request(class);
        let wall = self.ledger.now();
        match self.provider.judge(answer, wall) {
            Verdict::Delivered => self.ledger.delivered(delivery),
            Verdict::End {
                outcome,
                reason,
                token,
            } => self.ledger.answered(delivery, outcome, reason, token),
            Verdict::Retry {
                counts_a_try,
                at_least,
                pause_provider,
                reason,
            } => {
                if pause_provider {
                    self.pause(now + at_least, &reason);
                }
                let failure = Failure::Answered {
                    counts: counts_a_try,
                    at_least,
                };
                self.again(delivery, failure, class, reason, now);
            }
            Verdict::Elsewhere { reason } => {
                delivery.tries += 1;
                if delivery.tries >= self.settings.tries.get() {
                    self.ledger.end(delivery, Outcome::Unavailable, reason);
                } else {
                    self.metrics.retry(class);
                    self.ready.push_first(delivery);
                }
                return Health::Leaving;
            }
            Verdict::RenewCredential { reason } => {
                self.reauthorize(delivery, class, reason);
                return Health::Unclear;
            }
            Verdict::ProviderTrouble { reason } => {
                self.ledger.in_trouble(delivery, reason);
                return Health::Unclear;
            }
        }
        Health::Good
    }

    fn lost(&mut self, mut delivery: Box<Delivery>, lost: Lost, now: Instant) -> Health {
        let (class, health, word) = match lost {
            Lost::NotProcessed => (ResultClass::NotProcessed, Health::Unclear, "not processed"),
            Lost::Broke => (ResultClass::Broken, Health::Unclear, "connection lost"),
            Lost::TimedOut => (ResultClass::TimedOut, Health::Silent, "timed out"),
        };
        self.metrics.request(class);
        let reason = Reason::Borrowed(word);
        match lost {
            Lost::NotProcessed => {
                delivery.free_repetitions += 1;
                if delivery.free_repetitions <= FREE_REPETITIONS_AT_ONCE {
                    self.metrics.retry(class);
                    self.ready.push_first(delivery);
                } else {
                    // A service that refuses every stream must not be asked in a tight loop.
                    let failure = Failure::Answered {
                        counts: false,
                        at_least: Duration::ZERO,
                    };
                    self.again(delivery, failure, class, reason, now);
                }
            }
            Lost::Broke | Lost::TimedOut => {
                self.again(delivery, Failure::Broke, class, reason, now);
            }
        }
        health
    }

    /// Plans the next try, or ends it.
    fn again(
        &mut self,
        mut delivery: Box<Delivery>,
        failure: Failure,
        class: ResultClass,
        reason: Reason,
        now: Instant,
    ) {
        delivery.tries += match failure {
            Failure::Answered { counts, .. } => u32::from(counts),
            Failure::Broke => 1,
        };
        let decision = retry::decide(
            Tried {
                counted: delivery.tries,
                at_most: self.settings.tries.get(),
                waits: delivery.waits,
            },
            failure,
            self.settings.back_off,
            self.ledger.now(),
            delivery.notification.expires_at,
            fastrand::f64(),
        );
        match decision {
            Decision::Again { after } => {
                delivery.waits += 1;
                self.metrics.retry(class);
                self.delayed.push(now + after, delivery);
            }
            Decision::End(outcome) => self.ledger.end(delivery, outcome, reason),
        }
    }

    /// The authorization it was sent with is stale: once more with another one.
    fn reauthorize(&mut self, mut delivery: Box<Delivery>, class: ResultClass, reason: Reason) {
        let renewal = self.provider.renew(delivery.generation);
        let worth_it = match renewal {
            Renewal::Done | Renewal::Started => !delivery.reauthorized,
            Renewal::TooSoon => false,
        };
        if worth_it {
            delivery.reauthorized = true;
            self.metrics.retry(class);
            self.ready.push_first(delivery);
        } else {
            self.ledger.in_trouble(delivery, reason);
        }
    }

    fn pause(&mut self, until: Instant, reason: &Reason) {
        if self.paused_until <= Instant::now() {
            warn!(provider = %self.provider.provider(), %reason, "the push service asks for a pause");
        }
        self.paused_until = self.paused_until.max(until);
    }
}
