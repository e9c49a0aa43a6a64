//! What follows from each end of an exchange: a report, another try, a word to the pool.
//!
//! Nothing is decided here that has a table elsewhere: the provider judges the answer,
//! [`retry::decide`] plans the next try.

use std::time::Duration;

use model::Outcome;
use tokio::time::Instant;
use tracing::warn;

use super::{Run, trouble::Cause};
use crate::{
    authorization::Renewal,
    breaker::Sign,
    metrics::ResultClass,
    pool::{Ended, Health, Lost},
    provider::{Answer, Provider, Reason, Verdict},
    retry::{self, Decision, Failure, Tried},
    sender::delivery::{Break, Delivery},
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

    fn answered(&mut self, delivery: Box<Delivery>, answer: &Answer, now: Instant) -> Health {
        let class = ResultClass::of_status(answer.status);
        self.metrics.request(class);
        let stamp = delivery.stamp;
        match self.provider.judge(answer, self.ledger.now()) {
            Verdict::Delivered => {
                self.sign(stamp, Sign::Good, now, Cause::Unavailable, "");
                self.ledger.delivered(delivery);
            }
            Verdict::End {
                outcome,
                reason,
                token,
            } => {
                self.sign(stamp, Sign::Good, now, Cause::Unavailable, "");
                self.ledger.answered(delivery, outcome, reason, token);
            }
            Verdict::Retry {
                counts_a_try,
                at_least,
                pause_provider,
                reason,
            } => {
                let at_least = at_least.min(self.settings.longest_pause);
                let counts = counts_a_try && self.breaker.counts_tries(stamp);
                let sign = if pause_provider {
                    self.pause(now + at_least, &reason);
                    Sign::Undecided
                } else if class == ResultClass::ServerError {
                    Sign::Bad
                } else {
                    Sign::Good
                };
                self.sign(stamp, sign, now, Cause::Unavailable, &reason);
                let failure = Failure::Answered { counts, at_least };
                self.again_or_hold(delivery, failure, class, reason, now);
            }
            Verdict::Elsewhere { reason } => {
                self.elsewhere(delivery, class, reason);
                return Health::Leaving;
            }
            Verdict::RenewCredential { reason } => {
                self.reauthorize(delivery, class, reason);
                return Health::Unclear;
            }
            Verdict::ProviderTrouble { reason } => {
                self.refused(delivery, class, reason);
                return Health::Unclear;
            }
        }
        Health::Good
    }

    /// The connection is on its way out.
    fn elsewhere(&mut self, mut delivery: Box<Delivery>, class: ResultClass, reason: Reason) {
        let counts = self.breaker.counts_tries(delivery.stamp);
        let sign = Sign::Unanswered;
        self.sign(
            delivery.stamp,
            sign,
            Instant::now(),
            Cause::Unreachable,
            &reason,
        );
        if !counts {
            return self.hold(delivery, class);
        }
        delivery.tries += 1;
        if delivery.tries >= self.settings.tries.get() {
            self.ledger.end(delivery, Outcome::Unavailable, reason);
        } else {
            self.metrics.retry(class);
            self.ready.push_first(delivery);
        }
    }

    fn lost(&mut self, mut delivery: Box<Delivery>, lost: Lost, now: Instant) -> Health {
        let (class, health, word) = match lost {
            Lost::NotProcessed => (ResultClass::NotProcessed, Health::Unclear, "not processed"),
            Lost::Reset => (ResultClass::Broken, Health::Unclear, "stream reset"),
            Lost::Broke => (ResultClass::Broken, Health::Broken, "connection lost"),
            Lost::TimedOut => (ResultClass::TimedOut, Health::Silent, "timed out"),
        };
        self.metrics.request(class);
        let stamp = delivery.stamp;
        let counts = self.breaker.counts_tries(stamp);
        let (sign, cause) = match lost {
            Lost::Reset => (Sign::Bad, Cause::Unavailable),
            Lost::NotProcessed | Lost::Broke | Lost::TimedOut => {
                (Sign::Unanswered, Cause::Unreachable)
            }
        };
        self.sign(stamp, sign, now, cause, word);
        let reason = Reason::Borrowed(word);
        let failure = match lost {
            _ if !counts => {
                self.hold(delivery, class);
                return health;
            }
            Lost::NotProcessed => {
                delivery.free_repetitions += 1;
                if delivery.free_repetitions <= FREE_REPETITIONS_AT_ONCE {
                    self.metrics.retry(class);
                    self.ready.push_first(delivery);
                    return health;
                }
                // A service that refuses every stream must not be asked in a tight loop.
                Failure::Answered {
                    counts: false,
                    at_least: Duration::ZERO,
                }
            }
            Lost::Reset => Failure::Reset,
            Lost::Broke | Lost::TimedOut => {
                let tries = self.settings.tries.get();
                if let Some(word) = delivery.settle_break(&self.breaker, tries) {
                    let reason = Reason::Borrowed(word);
                    self.ledger.end(delivery, Outcome::ConnectionFailed, reason);
                    return health;
                }
                let after = self.breaker.progress();
                delivery.broke = Some(Break { after, word });
                Failure::Broke
            }
        };
        self.again(delivery, failure, class, reason, now);
        health
    }

    /// Plans the next try; while the breaker is not closed it is the breaker that waits, and a
    /// wait of its own would only make the notification later.
    fn again_or_hold(
        &mut self,
        delivery: Box<Delivery>,
        failure: Failure,
        class: ResultClass,
        reason: Reason,
        now: Instant,
    ) {
        let told_to_wait =
            matches!(failure, Failure::Answered { at_least, .. } if !at_least.is_zero());
        if self.breaker.is_closed() || told_to_wait {
            self.again(delivery, failure, class, reason, now);
        } else {
            self.hold(delivery, class);
        }
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
            Failure::Reset => 1,
            Failure::Broke => 0,
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
        if self.breaker.is_stale(delivery.stamp) {
            return self.hold(delivery, class);
        }
        let renewal = self.provider.renew(delivery.generation);
        let worth_it = match renewal {
            Renewal::Done | Renewal::Started => !delivery.reauthorized,
            Renewal::TooSoon => false,
        };
        if worth_it {
            self.sign(
                delivery.stamp,
                Sign::Undecided,
                Instant::now(),
                Cause::Refused,
                &reason,
            );
            delivery.reauthorized = true;
            self.metrics.retry(class);
            self.ready.push_first(delivery);
        } else {
            self.refused(delivery, class, reason);
        }
    }

    fn pause(&mut self, until: Instant, reason: &Reason) {
        if self.paused_until <= Instant::now() {
            warn!(provider = %self.provider.provider(), %reason, "the push service asks for a pause");
        }
        self.paused_until = self.paused_until.max(until);
    }
}
