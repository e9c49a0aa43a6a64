use std::{
    sync::mpsc,
    task::{Context, Poll, Waker},
    thread,
};

use proptest::prelude::*;

use super::*;

#[derive(Debug, PartialEq)]
struct Weighed(usize, &'static str);

impl Load for Weighed {
    fn items(&self) -> usize {
        self.0
    }

    fn bytes(&self) -> usize {
        self.0 * 10
    }
}

const ROOM: Room = Room {
    urgent: 10,
    bulk: 10,
};

fn queue(items: usize) -> (Producer<Weighed>, Consumer<Weighed>) {
    bounded(QueueName::Request, Limits::items(items))
}

fn send(producer: &Producer<Weighed>, lane: Lane, items: usize, name: &'static str) -> bool {
    match producer.try_reserve(lane, items, 0) {
        Ok(permit) => {
            permit.send(Weighed(items, name));
            true
        }
        Err(Full(QueueName::Request)) => false,
        Err(other) => panic!("{other}"),
    }
}

fn names(batch: &[Taken<Weighed>]) -> Vec<&'static str> {
    batch.iter().map(|taken| taken.value.1).collect()
}

#[test]
fn exactly_the_limit_fits() {
    let (producer, _consumer) = queue(10);
    assert!(send(&producer, Lane::Urgent, 4, "a"));
    assert!(send(&producer, Lane::Urgent, 6, "b"));
    assert!(!send(&producer, Lane::Urgent, 1, "c"));
    assert_eq!(producer.depth(), 10);
    assert_eq!(producer.monitor().refused(), 1);
}

#[test]
fn bytes_are_a_limit_too() {
    let (producer, _consumer) = bounded::<Weighed>(
        QueueName::Request,
        Limits {
            items: 100,
            bytes: 50,
        },
    );
    let permit = producer.try_reserve(Lane::Urgent, 1, 40);
    assert!(permit.is_ok());
    assert!(producer.try_reserve(Lane::Urgent, 1, 11).is_err());
    drop(permit);
    assert!(producer.try_reserve(Lane::Urgent, 1, 50).is_ok());
}

#[test]
fn an_oversized_value_is_let_in_alone() {
    let (producer, consumer) = queue(10);
    assert!(send(&producer, Lane::Urgent, 1, "small"));
    assert!(!send(&producer, Lane::Urgent, 1000, "huge"));
    let mut batch = Vec::new();
    assert!(consumer.take(&mut batch, 1));
    batch.clear();
    assert!(send(&producer, Lane::Urgent, 1000, "huge"));
    assert!(!send(&producer, Lane::Urgent, 1, "small"));
}

#[test]
fn bulk_fills_at_most_half() {
    let (producer, _consumer) = queue(10);
    assert!(send(&producer, Lane::Bulk, 5, "bulk"));
    assert!(!send(&producer, Lane::Bulk, 1, "bulk"));
    assert!(send(&producer, Lane::Urgent, 5, "urgent"));
}

#[test]
fn bulk_gets_an_eighth_of_the_turns_and_urgent_the_rest() {
    let (producer, consumer) = queue(1000);
    for _ in 0..100 {
        send(&producer, Lane::Bulk, 1, "bulk");
        send(&producer, Lane::Urgent, 1, "urgent");
    }
    let mut batch = Vec::new();
    assert!(consumer.take(&mut batch, 80));
    let bulk = names(&batch).iter().filter(|name| **name == "bulk").count();
    assert_eq!((batch.len(), bulk), (80, 10));
}

#[test]
fn an_unused_permit_gives_its_room_back() {
    let (producer, _consumer) = queue(1);
    let permit = producer.try_reserve(Lane::Urgent, 1, 0);
    assert!(producer.try_reserve(Lane::Urgent, 1, 0).is_err());
    drop(permit);
    assert_eq!(producer.depth(), 0);
}

#[test]
fn what_was_taken_counts_until_its_slot_is_dropped() {
    let (producer, consumer) = queue(1);
    assert!(send(&producer, Lane::Urgent, 1, "a"));
    let mut batch = Vec::new();
    assert!(consumer.take(&mut batch, 1));
    let Taken { value, slot, .. } = batch.pop().unwrap();
    assert_eq!(value.1, "a");
    assert!(!send(&producer, Lane::Urgent, 1, "b"));
    drop(slot);
    assert!(send(&producer, Lane::Urgent, 1, "b"));
}

#[test]
fn a_value_sent_on_fills_the_queue_it_came_from_until_it_is_done() {
    let (producer, consumer) = queue(1);
    let (next_producer, next_consumer) = queue(1);
    assert!(send(&producer, Lane::Urgent, 1, "a"));
    let mut batch = Vec::new();
    assert!(consumer.take(&mut batch, 1));
    for Taken { value, slot, .. } in batch.drain(..) {
        next_producer.send_holding(Lane::Urgent, value, slot);
    }
    assert_eq!((producer.depth(), next_producer.depth()), (1, 1));
    assert!(next_consumer.take(&mut batch, 1));
    batch.clear();
    assert_eq!((producer.depth(), next_producer.depth()), (0, 0));
}

#[test]
fn a_blocked_producer_goes_on_when_room_appears() {
    let (producer, consumer) = queue(1);
    assert!(send(&producer, Lane::Urgent, 1, "a"));
    let (granted, granted_places) = mpsc::channel();
    let blocked = thread::spawn(move || {
        let permit = producer.reserve_some(Lane::Urgent, 5, WhenFull::Block);
        granted.send(permit.places()).unwrap();
    });
    let mut batch = Vec::new();
    assert!(consumer.take(&mut batch, 1));
    batch.clear();
    assert_eq!(granted_places.recv(), Ok(1));
    blocked.join().unwrap();
}

#[test]
fn a_blocked_producer_gives_up_when_nobody_is_left_to_take() {
    let (producer, consumer) = queue(1);
    assert!(send(&producer, Lane::Urgent, 1, "a"));
    let blocked = thread::spawn(move || {
        producer
            .reserve_some(Lane::Urgent, 5, WhenFull::Block)
            .places()
    });
    drop(consumer);
    assert_eq!(blocked.join().unwrap(), 0);
}

#[test]
fn drop_never_waits() {
    let (producer, _consumer) = queue(3);
    let permit = producer.reserve_some(Lane::Urgent, 5, WhenFull::Drop);
    assert_eq!(permit.places(), 3);
    assert_eq!(
        producer
            .reserve_some(Lane::Urgent, 2, WhenFull::Drop)
            .places(),
        0
    );
}

#[test]
fn the_end_comes_after_the_last_value() {
    let (producer, consumer) = queue(10);
    assert!(send(&producer, Lane::Urgent, 1, "a"));
    drop(producer);
    let mut batch = Vec::new();
    assert!(consumer.take(&mut batch, 10));
    assert_eq!(names(&batch), ["a"]);
    batch.clear();
    assert!(!consumer.take(&mut batch, 10));
}

#[test]
fn an_async_consumer_is_woken_by_values_and_by_the_end() {
    let (producer, consumer) = queue(10);
    let mut context = Context::from_waker(Waker::noop());
    let mut batch = Vec::new();
    {
        let mut take = Box::pin(consumer.take_async(&mut batch, ROOM));
        assert!(take.as_mut().poll(&mut context).is_pending());
        assert!(send(&producer, Lane::Urgent, 1, "a"));
        assert_eq!(take.as_mut().poll(&mut context), Poll::Ready(true));
    }
    assert_eq!(names(&batch), ["a"]);
    batch.clear();
    let mut take = Box::pin(consumer.take_async(&mut batch, ROOM));
    assert!(take.as_mut().poll(&mut context).is_pending());
    drop(producer);
    assert_eq!(take.as_mut().poll(&mut context), Poll::Ready(false));
}

#[test]
fn a_lane_without_room_does_not_keep_the_other_one_waiting() {
    let (producer, consumer) = queue(100);
    for _ in 0..20 {
        assert!(send(&producer, Lane::Bulk, 1, "bulk"));
    }
    let mut context = Context::from_waker(Waker::noop());
    let mut batch = Vec::new();
    let room = Room { urgent: 5, bulk: 0 };
    {
        let mut take = Box::pin(consumer.take_async(&mut batch, room));
        assert!(take.as_mut().poll(&mut context).is_pending());
        assert!(send(&producer, Lane::Urgent, 1, "urgent"));
        assert_eq!(take.as_mut().poll(&mut context), Poll::Ready(true));
    }
    assert_eq!(names(&batch), ["urgent"]);
    batch.clear();
    let room = Room { urgent: 5, bulk: 3 };
    let mut take = Box::pin(consumer.take_async(&mut batch, room));
    assert_eq!(take.as_mut().poll(&mut context), Poll::Ready(true));
    drop(take);
    assert_eq!(names(&batch), ["bulk", "bulk", "bulk"]);
}

proptest! {
    #[test]
    fn counts_always_balance(steps in prop::collection::vec((any::<bool>(), 1_usize..6), 1..80)) {
        let (producer, consumer) = queue(20);
        let mut inside = 0;
        for (enter, items) in steps {
            if enter {
                let fits = inside + items <= 20;
                prop_assert_eq!(send(&producer, Lane::Urgent, items, "x"), fits);
                inside += if fits { items } else { 0 };
            } else {
                let mut batch = Vec::new();
                consumer.take_available(&mut batch, items);
                inside -= batch.iter().map(|taken| taken.value.0).sum::<usize>();
            }
            prop_assert_eq!(producer.depth(), inside);
        }
        let monitor = producer.monitor();
        prop_assert_eq!(monitor.entered() - monitor.left(), inside as u64);
    }
}
