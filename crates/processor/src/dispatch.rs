//! Where finished notifications go: to their push service's queue, or straight to the log.

use std::borrow::Cow;

use model::{Notification, Outcome, Provider, Report, UnixMs};
use queue::{Producer, WhenFull};
use tracing::error;

/// The ways out of the processor.
#[derive(Clone)]
pub struct Outlets {
    /// To APNs.
    pub apns: Route,
    /// To FCM.
    pub fcm: Route,
    /// To browsers' push services.
    pub web_push: Route,
    /// Ends that no sender reports.
    pub reports: Producer<Report>,
    /// What to do when a sender queue is full.
    pub when_full: WhenFull,
}

/// How one push service is reached.
#[derive(Clone)]
pub enum Route {
    /// Through its sender queue.
    Queue(Producer<Notification>),
    /// Not at all: its credential is not set. Its notifications end as refused credentials.
    NotConfigured,
    /// Not at all: its sender is not among `enabled_senders`. Its platforms are unknown ones.
    NotEnabled,
}

impl Outlets {
    /// Sends all of `notifications`, in order for each push service.
    pub(crate) fn dispatch(&self, notifications: Vec<Notification>, now: UnixMs) {
        let mut by_provider = [const { Vec::new() }; Provider::ALL.len()];
        let mut unreachable = Vec::new();
        for notification in notifications {
            match notification.platform.provider() {
                Some(Provider::Apns) => by_provider[0].push(notification),
                Some(Provider::Fcm) => by_provider[1].push(notification),
                Some(Provider::WebPush) => by_provider[2].push(notification),
                None => unreachable.push(notification),
            }
        }
        self.report(unreachable, Outcome::UnknownPlatform, now);
        let [apns, fcm, web_push] = by_provider;
        let mut waiting = Vec::new();
        for (route, notifications) in [
            (&self.apns, apns),
            (&self.fcm, fcm),
            (&self.web_push, web_push),
        ] {
            match route {
                Route::NotConfigured => {
                    self.report(notifications, Outcome::CredentialRefused, now);
                }
                Route::NotEnabled => self.report(notifications, Outcome::UnknownPlatform, now),
                // Nobody waits for one push service before the others have got theirs.
                Route::Queue(queue) => {
                    waiting.push((queue, offer(queue, notifications, WhenFull::Drop)));
                }
            }
        }
        for (queue, notifications) in waiting {
            match self.when_full {
                WhenFull::Drop => self.report(notifications, Outcome::QueueFull, now),
                WhenFull::Block => {
                    let left = offer(queue, notifications, WhenFull::Block);
                    if !left.is_empty() {
                        // Their receipts stay open: unfinished work, not silent loss.
                        error!(
                            lost = left.len(),
                            "a sender is gone, notifications cannot be sent"
                        );
                    }
                }
            }
        }
    }

    fn report(&self, notifications: Vec<Notification>, outcome: Outcome, now: UnixMs) {
        let reports = notifications
            .into_iter()
            .map(|notification| Report {
                notification,
                outcome,
                reason: Cow::Borrowed(""),
                ended_at: now,
            })
            .collect();
        offer(&self.reports, reports, WhenFull::Block);
    }
}

/// A value that waits in a lane.
trait InLane {
    fn lane(&self) -> model::Lane;
}

impl InLane for Notification {
    fn lane(&self) -> model::Lane {
        self.lane
    }
}

impl InLane for Report {
    fn lane(&self) -> model::Lane {
        self.notification.lane
    }
}

/// Sends as many of `values` as the rule allows and returns the rest.
fn offer<T: InLane>(queue: &Producer<T>, values: Vec<T>, when_full: WhenFull) -> Vec<T> {
    let mut values = values.into_iter().peekable();
    while let Some(first) = values.peek() {
        let lane = first.lane();
        let mut permit = queue.reserve_some(lane, values.len(), when_full);
        if permit.places() == 0 {
            break;
        }
        while permit.places() > 0
            && let Some(value) = values.next_if(|value| value.lane() == lane)
        {
            permit.send_one(value);
        }
    }
    values.collect()
}
