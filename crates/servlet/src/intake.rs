//! The way into the request queue.
//!
//! The order at the door: room for every item is reserved, then the request is enqueued into it,
//! which cannot fail, then the client is answered. So a full queue is told before anything was
//! taken, and there is no state in between in which a POST is half accepted.

use std::fmt;

use model::{AppId, Clock, Item, Lane, Request, RequestId};
use queue::{Full, Permit, Producer};

/// A POST with more items than this is a broadcast in all but name, and waits in the bulk lane.
const URGENT_ITEMS: usize = 5_000;

/// Turns decoded items into requests; clones feed the same queue.
#[derive(Clone)]
pub struct Intake {
    /// The request queue.
    pub queue: Producer<Request>,
    /// Says when a request was accepted.
    pub clock: Clock,
}

impl fmt::Debug for Intake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Intake")
    }
}

/// A request is in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The request's id; `None` where there was no item, and so no request.
    pub request: Option<RequestId>,
    /// How many items it has.
    pub items: usize,
}

/// Nothing of the request was taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no room for all of it.
    #[error("there is no room for {items} items, nothing was taken")]
    Full {
        /// How many items were offered.
        items: usize,
        /// Which queue.
        #[source]
        cause: Full,
    },
}

impl Intake {
    /// Enqueues `items` as one request of `app`, all of them or none.
    ///
    /// # Errors
    /// When the queue has no room for all of them.
    pub async fn accept(&self, app: AppId, items: Vec<Item>) -> Result<Accepted, Refused> {
        let count = items.len();
        if count == 0 {
            return Ok(Accepted {
                request: None,
                items: 0,
            });
        }
        let request = Request {
            id: RequestId::generate(),
            accepted_at: self.clock.now(),
            lane: if count > URGENT_ITEMS {
                Lane::Bulk
            } else {
                Lane::Urgent
            },
            app,
            items,
        };
        let id = request.id;
        let permit = self
            .queue
            .try_reserve(request.lane, count, request.bytes())
            .map_err(|cause| Refused::Full {
                items: count,
                cause,
            })?;
        enter(permit, request);
        Ok(Accepted {
            request: Some(id),
            items: count,
        })
    }
}

/// From the reservation on nothing may be cancelled, whether or not the client is still there.
/// Nothing is awaited here, so nothing can be; whatever comes to be awaited between reserving and
/// sending has to run in a task of its own.
fn enter(permit: Permit<Request>, request: Request) {
    permit.send(request);
}

#[cfg(test)]
mod tests {
    use model::{DirectNotification, LoginId, QueueName, UnixMs};
    use queue::{Consumer, Limits};

    use super::*;

    fn intake(limit: usize) -> (Intake, Consumer<Request>) {
        let (queue, consumer) = queue::bounded(QueueName::Request, Limits::items(limit));
        let clock = Clock::new(|| UnixMs(1_795_293_388_117));
        (Intake { queue, clock }, consumer)
    }

    fn items(count: usize) -> Vec<Item> {
        let item = Item::Notification(DirectNotification {
            login: LoginId(1),
            title: "T".into(),
            content: "C".into(),
            screen: "".into(),
        });
        vec![item; count]
    }

    fn taken(consumer: &Consumer<Request>) -> Vec<Request> {
        let mut batch = Vec::new();
        consumer.take_available(&mut batch, usize::MAX);
        batch.into_iter().map(|taken| taken.value).collect()
    }

    #[tokio::test]
    async fn a_request_enters_the_queue_as_a_whole() {
        let (intake, consumer) = intake(3);
        let accepted = intake.accept(AppId::LEGACY, items(3)).await.unwrap();
        let requests = taken(&consumer);
        assert_eq!(requests.len(), 1);
        assert_eq!(Some(requests[0].id), accepted.request);
        assert_eq!(requests[0].items, items(3));
        assert_eq!(requests[0].accepted_at, UnixMs(1_795_293_388_117));
        assert_eq!(requests[0].app, AppId::LEGACY);
    }

    #[tokio::test]
    async fn nothing_of_a_request_that_does_not_fit_is_taken() {
        let (intake, consumer) = intake(3);
        intake.accept(AppId::LEGACY, items(2)).await.unwrap();
        let refused = intake.accept(AppId::LEGACY, items(2)).await.unwrap_err();
        assert_eq!(
            refused,
            Refused::Full {
                items: 2,
                cause: Full(QueueName::Request)
            }
        );
        assert_eq!(intake.queue.depth(), 2);
        intake.accept(AppId::LEGACY, items(1)).await.unwrap();
        assert_eq!(taken(&consumer).len(), 2);
    }

    #[tokio::test]
    async fn a_request_without_items_does_not_exist() {
        let (intake, consumer) = intake(3);
        let accepted = intake.accept(AppId::LEGACY, items(0)).await.unwrap();
        assert_eq!(accepted.request, None);
        assert_eq!(taken(&consumer), []);
    }

    #[tokio::test]
    async fn more_than_five_thousand_items_wait_in_the_bulk_lane() {
        let (intake, consumer) = intake(20_000);
        intake.accept(AppId::LEGACY, items(5_000)).await.unwrap();
        intake.accept(AppId::LEGACY, items(5_001)).await.unwrap();
        let lanes: Vec<_> = taken(&consumer)
            .iter()
            .map(|request| request.lane)
            .collect();
        assert_eq!(lanes, [Lane::Urgent, Lane::Bulk]);
    }
}
