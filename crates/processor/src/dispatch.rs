//! Where finished notifications go: to their push service's queue, or straight to the log.

use std::{borrow::Cow, sync::Arc};

use model::{Lane, Notification, Outcome, Provider, Report, UnixMs};
use queue::{Producer, WhenFull};
use tracing::error;

use crate::{Parking, parking::End};

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
    /// Where items wait that find their sender queue full; without it `when_full` is done.
    pub parking: Option<Arc<Parking>>,
}

/// Where a batch comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// Through the request queue.
    Doors,
    /// It was parked before, and goes before what is.
    Parking,
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
    /// Sends all of `notifications`, in order for each push service; how many were parked.
    pub(crate) fn dispatch(
        &self,
        notifications: Vec<Notification>,
        from: From,
        now: UnixMs,
    ) -> usize {
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
        let mut left = Vec::new();
        let mut waiting = Vec::new();
        for (route, provider, notifications) in [
            (&self.apns, Provider::Apns, apns),
            (&self.fcm, Provider::Fcm, fcm),
            (&self.web_push, Provider::WebPush, web_push),
        ] {
            match route {
                Route::NotConfigured => {
                    self.report(notifications, Outcome::CredentialRefused, now);
                }
                Route::NotEnabled => self.report(notifications, Outcome::UnknownPlatform, now),
                Route::Queue(queue) if let Some(parking) = &self.parking => {
                    let behind = |lane| from == From::Doors && parking.is_waiting(provider, lane);
                    let rest = offer_items(queue, notifications, behind);
                    if !rest.is_empty() {
                        left.push((provider, rest));
                    }
                }
                // Nobody waits for one push service before the others have got theirs.
                Route::Queue(queue) => {
                    waiting.push((queue, offer(queue, notifications, WhenFull::Drop)));
                }
            }
        }
        for (queue, notifications) in waiting {
            self.insist(queue, notifications, now);
        }
        self.park(left, from)
    }

    /// What did not fit at once: waits for room, or gives it up.
    fn insist(
        &self,
        queue: &Producer<Notification>,
        notifications: Vec<Notification>,
        now: UnixMs,
    ) {
        match self.when_full {
            // A sender that has stopped has no full queue: that would be a wrong line in the log.
            WhenFull::Drop if queue.is_closed() => give_up(&notifications),
            WhenFull::Drop => self.report(notifications, Outcome::QueueFull, now),
            WhenFull::Block => give_up(&offer(queue, notifications, WhenFull::Block)),
        }
    }

    /// Parks what is left; how many notifications that were.
    fn park(&self, left: Vec<(Provider, Vec<Notification>)>, from: From) -> usize {
        let Some(parking) = &self.parking else {
            return 0;
        };
        let end = match from {
            From::Doors => End::Back,
            From::Parking => End::Front,
        };
        let mut parked = 0;
        for (provider, notifications) in left {
            parked += notifications.len();
            parking.park(provider, notifications, end);
        }
        parked
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

/// Lets go of what no sender takes any more. Receipts stay open: unfinished work, not silent loss.
fn give_up(left: &[Notification]) {
    if !left.is_empty() {
        error!(
            left = left.len(),
            "a sender has stopped, notifications cannot be sent"
        );
    }
}

/// A value that waits in a lane.
trait InLane {
    fn lane(&self) -> Lane;
}

impl InLane for Notification {
    fn lane(&self) -> Lane {
        self.lane
    }
}

impl InLane for Report {
    fn lane(&self) -> Lane {
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

/// Sends the notifications of as many items as fit, each item's all or none, and returns the rest.
/// Where `behind` says so of a lane, nothing of it is sent.
fn offer_items(
    queue: &Producer<Notification>,
    notifications: Vec<Notification>,
    behind: impl Fn(Lane) -> bool,
) -> Vec<Notification> {
    let (urgent, bulk) = notifications
        .into_iter()
        .partition(|notification| notification.lane == Lane::Urgent);
    let mut left = Vec::new();
    for (lane, notifications) in [(Lane::Urgent, urgent), (Lane::Bulk, bulk)] {
        let notifications: Vec<Notification> = notifications;
        if notifications.is_empty() {
            continue;
        }
        if behind(lane) {
            left.extend(notifications);
            continue;
        }
        let all = notifications.len();
        match queue.try_reserve(lane, all, 0) {
            Ok(mut permit) => notifications
                .into_iter()
                .for_each(|notification| permit.send_one(notification)),
            Err(_) => left.extend(offer_item_by_item(queue, lane, notifications)),
        }
    }
    left
}

fn offer_item_by_item(
    queue: &Producer<Notification>,
    lane: Lane,
    notifications: Vec<Notification>,
) -> Vec<Notification> {
    let mut notifications = notifications.into_iter().peekable();
    while let Some(first) = notifications.next() {
        let item = first.item;
        let mut of_item = vec![first];
        while let Some(next) = notifications.next_if(|next| next.item == item) {
            of_item.push(next);
        }
        let Ok(mut permit) = queue.try_reserve(lane, of_item.len(), 0) else {
            of_item.extend(notifications);
            return of_item;
        };
        for notification in of_item {
            permit.send_one(notification);
        }
    }
    Vec::new()
}
