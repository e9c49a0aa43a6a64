//! What the breaker's changes mean to the loop: lines in the log, connections closed,
//! notifications held.

use std::sync::Arc;

use model::Outcome;
use tokio::time::Instant;
use tracing::{debug, error, info};

use super::{Run, rate_limit};
use crate::{
    authorization::{Denial, Renewal},
    breaker::{Change, Sign, Stamp},
    metrics::ResultClass,
    pool::Noticed,
    provider::{CredentialWord, Provider, Reason},
    sender::delivery::Delivery,
};

/// Why a push service is in trouble with us, or we with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Our credential or configuration is refused.
    Refused,
    /// Connections cannot be made, break or do not answer.
    Unreachable,
    /// It answers that it cannot.
    Unavailable,
}

impl<P: Provider> Run<P> {
    /// Tells the breaker how a request ended.
    pub(super) fn sign(
        &mut self,
        stamp: Stamp,
        sign: Sign,
        now: Instant,
        cause: Cause,
        reason: &str,
    ) {
        let change = self.breaker.ended(stamp, sign, now, fastrand::f64());
        self.changed(change, cause, reason);
    }

    /// Takes over what the connections have told.
    pub(super) fn heed_pool(&mut self) {
        let Some(Noticed {
            failures,
            reason,
            credential,
        }) = self.pool.take_noticed()
        else {
            return;
        };
        for _ in 0..failures {
            self.connection_failed(&reason);
        }
        match credential {
            Some(CredentialWord::Stale(reason)) => {
                let newest = self.provider.authorization().generation();
                if self.provider.renew(newest) == Renewal::TooSoon {
                    self.credential_refused(&reason);
                }
            }
            Some(CredentialWord::Refused(reason)) => self.credential_refused(&reason),
            None => {}
        }
    }

    /// Goes on with the other credential. What is in flight ends where it is; whatever that says
    /// about a credential is about the old one.
    pub(super) fn take_over(&mut self) {
        self.provider = self.source.current();
        self.pool.replace_provider(Arc::clone(&self.provider));
        self.rate = rate_limit(self.provider.as_ref(), Instant::now());
        self.breaker.replaced();
        info!(provider = %self.provider.provider(), "going on with the new credential");
    }

    /// Looks whether new authorizations are denied and the last one is used up.
    pub(super) fn heed_denial(&mut self) {
        let authorization = self.provider.authorization();
        if authorization.is_usable() {
            return;
        }
        let denial = authorization.take_denial();
        match denial.as_deref() {
            Some(Denial::Refused(reason)) => self.credential_refused(reason),
            Some(Denial::Unreachable(reason)) => self.connection_failed(reason),
            None => {}
        }
    }

    fn connection_failed(&mut self, reason: &str) {
        let change = self
            .breaker
            .connection_failed(Instant::now(), fastrand::f64());
        self.changed(change, Cause::Unreachable, reason);
    }

    fn credential_refused(&mut self, reason: &str) {
        let change = self.breaker.refused(Instant::now(), fastrand::f64());
        self.changed(change, Cause::Refused, reason);
    }

    fn changed(&mut self, change: Change, cause: Cause, reason: &str) {
        let provider = self.provider.provider();
        match change {
            Change::None => return,
            Change::Opened => {
                self.metrics.breaker_openings.inc();
                match cause {
                    Cause::Refused => error!(
                        %provider,
                        reason,
                        "the push service refuses our credential or configuration: its notifications wait until it is corrected; check the keys of this push service in [Messenger]"
                    ),
                    Cause::Unreachable => error!(
                        %provider,
                        reason,
                        "the push service cannot be reached: its notifications wait; check network, name server, firewall and the endpoint in [Messenger]"
                    ),
                    Cause::Unavailable => error!(
                        %provider,
                        reason,
                        "the push service answers nothing but failures: its notifications wait; see its status page"
                    ),
                }
            }
            Change::StaysOpen => debug!(%provider, reason, "the probe failed too"),
            Change::Closed => {
                info!(%provider, "the push service takes our notifications again");
                return;
            }
        }
        if cause != Cause::Unavailable {
            // Apple's words for a refused key, and the only way to meet another server. The
            // probe comes on a new connection, whose first request goes alone.
            self.pool.leave_all();
        }
    }

    /// Puts `delivery` back until the breaker lets it through; no try is counted. Behind the
    /// others, so that one that ruins every probe does not keep all of them.
    pub(super) fn hold(&mut self, mut delivery: Box<Delivery>, class: ResultClass) {
        self.metrics.retry(class);
        delivery.reauthorized = false;
        self.ready.push(delivery);
    }

    /// The push service refused our credential or configuration in its answer to `delivery`.
    pub(super) fn refused(&mut self, delivery: Box<Delivery>, class: ResultClass, reason: Reason) {
        if self.breaker.is_stale(delivery.stamp) {
            self.hold(delivery, class);
        } else {
            let now = Instant::now();
            self.sign(delivery.stamp, Sign::Refused, now, Cause::Refused, &reason);
            self.ledger
                .end(delivery, Outcome::CredentialRefused, reason);
        }
    }

    /// Whether nothing may be sent for longer than a batch takes. What waits in the queue is
    /// then taken out all the same, because only here it can expire.
    pub(super) fn is_held_back(&self, now: Instant) -> bool {
        !self.breaker.is_closed()
            || self.paused_until > now
            || !self.provider.authorization().is_usable()
    }
}
