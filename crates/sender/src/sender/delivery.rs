//! A notification on its way out, and the two lanes in which such wait for a stream.

use std::collections::VecDeque;

use model::{Lane, Notification, UnixMs};
use queue::{Slot, Taken};

use crate::breaker::{Breaker, Progress, Stamp};

/// Of this many turns one belongs to the bulk lane first.
const TURNS_PER_BULK: u8 = 8;

/// A notification with the room it fills in the sender queue and what has been tried.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) notification: Notification,
    /// Its room in the sender queue, until its report is written.
    pub(super) slot: Slot,
    /// Tries that counted.
    pub(super) tries: u32,
    /// Waits for another try, counted or not.
    pub(super) waits: u32,
    /// Repetitions of requests that were not processed.
    pub(super) free_repetitions: u32,
    /// Whether it has been sent again for a stale authorization.
    pub(super) reauthorized: bool,
    /// The authorization it was last sent with.
    pub(super) generation: u64,
    /// The breaker's period in which it was last sent.
    pub(super) stamp: Stamp,
    /// The last break of its connection, until it is known whether that counts.
    pub(super) broke: Option<Break>,
}

/// A connection that broke under a notification, or let its time pass. It uses up a try if
/// others got through afterwards; while the push service fails for all it does not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Break {
    /// How far the others were when it happened.
    pub(super) after: Progress,
    /// What happened, for the notification log.
    pub(super) word: &'static str,
}

impl Delivery {
    pub(super) fn new(taken: Taken<Notification>) -> Box<Self> {
        Box::new(Self {
            notification: taken.value,
            slot: taken.slot,
            tries: 0,
            waits: 0,
            free_repetitions: 0,
            reauthorized: false,
            generation: 0,
            stamp: Stamp::default(),
            broke: None,
        })
    }

    /// Counts the last break if others have got through since; its word, if that was the last
    /// try of `at_most`.
    pub(super) fn settle_break(&mut self, breaker: &Breaker, at_most: u32) -> Option<&'static str> {
        let broke = self
            .broke
            .take_if(|broke| breaker.others_got_through_since(broke.after))?;
        self.tries += 1;
        (self.tries >= at_most).then_some(broke.word)
    }

    /// Pushkin's rule: whole seconds, rounded down; the second in which it expires counts.
    pub(super) fn is_expired(&self, now: UnixMs) -> bool {
        self.notification.expires_at.since_ms(now).div_euclid(1000) < 0
    }
}

/// What may be sent as soon as there is a stream.
#[derive(Debug, Default)]
pub(super) struct Ready {
    urgent: VecDeque<Box<Delivery>>,
    bulk: VecDeque<Box<Delivery>>,
    turn: u8,
}

impl Ready {
    pub(super) fn len(&self) -> usize {
        self.urgent.len() + self.bulk.len()
    }

    pub(super) fn len_of(&self, lane: Lane) -> usize {
        match lane {
            Lane::Urgent => self.urgent.len(),
            Lane::Bulk => self.bulk.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Behind those that wait.
    pub(super) fn push(&mut self, delivery: Box<Delivery>) {
        self.lane(delivery.notification.lane).push_back(delivery);
    }

    /// Before those that wait: it has waited already.
    pub(super) fn push_first(&mut self, delivery: Box<Delivery>) {
        self.lane(delivery.notification.lane).push_front(delivery);
    }

    /// The lane whose turn it is: urgent first, and bulk first on every eighth turn.
    pub(super) fn next_lane(&self, bulk_is_blocked: bool) -> Option<Lane> {
        let bulk = !bulk_is_blocked && !self.bulk.is_empty();
        let bulk_first = self.turn % TURNS_PER_BULK == TURNS_PER_BULK - 1;
        match (self.urgent.is_empty(), bulk) {
            (false, true) if bulk_first => Some(Lane::Bulk),
            (false, _) => Some(Lane::Urgent),
            (true, true) => Some(Lane::Bulk),
            (true, false) => None,
        }
    }

    /// Takes the first of `lane`.
    pub(super) fn pop(&mut self, lane: Lane) -> Option<Box<Delivery>> {
        self.turn = self.turn.wrapping_add(1);
        self.lane(lane).pop_front()
    }

    /// Takes out what is over.
    pub(super) fn take_expired(&mut self, now: UnixMs) -> VecDeque<Box<Delivery>> {
        let mut expired = VecDeque::new();
        for lane in Lane::ALL {
            let waiting = self.lane(lane);
            if waiting.iter().any(|delivery| delivery.is_expired(now)) {
                for delivery in std::mem::take(waiting) {
                    if delivery.is_expired(now) {
                        expired.push_back(delivery);
                    } else {
                        waiting.push_back(delivery);
                    }
                }
            }
        }
        expired
    }

    fn lane(&mut self, lane: Lane) -> &mut VecDeque<Box<Delivery>> {
        match lane {
            Lane::Urgent => &mut self.urgent,
            Lane::Bulk => &mut self.bulk,
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{Platform, QueueName};
    use queue::Limits;

    use tokio::time::Instant;

    use super::*;
    use crate::{
        breaker::{BreakerSettings, Sign},
        sender::test_notification,
    };

    fn ready(lanes: &[(Lane, i64)]) -> Ready {
        let (producer, consumer) =
            queue::bounded(QueueName::ApnSender, Limits::items(lanes.len() * 2));
        for (lane, expires_at) in lanes {
            let mut notification = test_notification(Platform::IPHONE, "00");
            notification.lane = *lane;
            notification.expires_at = UnixMs(*expires_at);
            producer
                .try_reserve(*lane, 1, 0)
                .unwrap()
                .send(notification);
        }
        let mut taken = Vec::new();
        consumer.take_available(&mut taken, lanes.len());
        let mut ready = Ready::default();
        for taken in taken {
            ready.push(Delivery::new(taken));
        }
        ready
    }

    #[test]
    fn a_break_counts_only_when_others_got_through_after_it() {
        let mut breaker = Breaker::new(BreakerSettings::default());
        let now = Instant::now();
        let mut delivery = ready(&[(Lane::Urgent, 0)]).pop(Lane::Urgent).unwrap();
        let break_it = |delivery: &mut Delivery, breaker: &Breaker| {
            delivery.broke = Some(Break {
                after: breaker.progress(),
                word: "connection lost",
            });
        };
        break_it(&mut delivery, &breaker);
        assert_eq!(delivery.settle_break(&breaker, 2), None);
        assert_eq!(delivery.tries, 0, "nobody got through");
        breaker.ended(breaker.stamp(), Sign::Good, now, 0.0);
        assert_eq!(delivery.settle_break(&breaker, 2), None);
        assert_eq!(delivery.settle_break(&breaker, 2), None, "once");
        assert_eq!(delivery.tries, 1);
        break_it(&mut delivery, &breaker);
        breaker.ended(breaker.stamp(), Sign::Good, now, 0.0);
        assert_eq!(
            delivery.settle_break(&breaker, 2),
            Some("connection lost"),
            "the last one"
        );
    }

    #[test]
    fn bulk_gets_an_eighth_of_the_turns() {
        let lanes: Vec<_> = [[(Lane::Urgent, 0); 50], [(Lane::Bulk, 0); 50]].concat();
        let mut ready = ready(&lanes);
        let mut bulk = 0;
        for _ in 0..40 {
            let lane = ready.next_lane(false).unwrap();
            assert!(ready.pop(lane).is_some());
            bulk += usize::from(lane == Lane::Bulk);
        }
        assert_eq!(bulk, 5);
    }

    #[test]
    fn blocked_bulk_does_not_hold_urgent_back() {
        let mut ready = ready(&[(Lane::Bulk, 0), (Lane::Urgent, 0)]);
        assert_eq!(ready.next_lane(true), Some(Lane::Urgent));
        ready.pop(Lane::Urgent);
        assert_eq!(ready.next_lane(true), None);
        assert_eq!(ready.next_lane(false), Some(Lane::Bulk));
    }

    #[test]
    fn only_what_is_over_is_taken_out() {
        let mut ready = ready(&[(Lane::Urgent, 999), (Lane::Urgent, 1001), (Lane::Bulk, 0)]);
        assert_eq!(ready.take_expired(UnixMs(1000)).len(), 2);
        assert_eq!(ready.len(), 1);
    }
}
