//! The way into the request queue.
//!
//! The order at the door: room for every item is reserved, then the request is put on stable
//! storage, then it is enqueued into the reserved room, which cannot fail, then the client is
//! answered. So a full queue or a full disk is told before anything was taken, and there is no
//! state in between in which a POST is half accepted.

use std::{fmt, sync::Arc};

use journal::{AppendError, Journal};
use model::{AppId, Clock, Ended, Item, Lane, Request, RequestId};
use queue::{Full, Producer};

/// A POST with more items than this is a broadcast in all but name, and waits in the bulk lane.
const URGENT_ITEMS: usize = 5_000;

/// Says why nothing may be taken now, if so; must not block.
pub type Admission = Arc<dyn Fn() -> Result<(), &'static str> + Send + Sync>;

/// Turns decoded items into requests; clones feed the same queue.
#[derive(Clone)]
pub struct Intake {
    /// The request queue.
    pub queue: Producer<Request>,
    /// Where accepted requests survive a crash.
    pub journal: Arc<dyn Journal>,
    /// Whether requests are taken at all.
    pub admission: Admission,
    /// Says when a request was accepted.
    pub clock: Clock,
}

impl fmt::Debug for Intake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Intake")
    }
}

/// A request is in the journal and in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The request's id; `None` where there was no item, and so no request.
    pub request: Option<RequestId>,
    /// How many items it has.
    pub items: usize,
}

/// Nothing of the request was taken.
#[derive(Debug, thiserror::Error)]
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
    /// It cannot be put on stable storage.
    #[error("the request cannot be kept, nothing was taken")]
    Journal(#[from] AppendError),
    /// Nothing is taken now.
    #[error("{0}, nothing was taken")]
    NotNow(&'static str),
}

impl Intake {
    /// Enqueues `items` as one request of `app`, all of them or none. Dropping the future takes
    /// nothing back: what has begun is carried through.
    ///
    /// # Errors
    /// When the queue has no room for all of them, or they cannot be kept.
    pub async fn accept(&self, app: AppId, items: Vec<Item>) -> Result<Accepted, Refused> {
        let count = items.len();
        if count == 0 {
            return Ok(Accepted {
                request: None,
                items: 0,
            });
        }
        (self.admission)().map_err(Refused::NotNow)?;
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
            ended: Ended::default(),
        };
        let id = request.id;
        let permit = self
            .queue
            .try_reserve(request.lane, count, request.bytes())
            .map_err(|cause| Refused::Full {
                items: count,
                cause,
            })?;
        // From here on nothing can be cancelled, whether or not the client is still there: a
        // request that is in the journal has to be in the queue, so the journal puts it there.
        let enqueue = Box::new(move |request| permit.send(request));
        self.journal.enter(request, enqueue).await?;
        Ok(Accepted {
            request: Some(id),
            items: count,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::Pin, sync::Mutex, task::Poll};

    use journal::{Append, Enqueue, Marks, NoJournal, ReadError};
    use model::{DirectNotification, LoginId, QueueName, UnixMs};
    use queue::{Consumer, Limits};
    use tokio::sync::oneshot;

    use super::*;

    fn intake(limit: usize) -> (Intake, Consumer<Request>) {
        let (queue, consumer) = queue::bounded(QueueName::Request, Limits::items(limit));
        let clock = Clock::new(|| UnixMs(1_795_293_388_117));
        let intake = Intake {
            queue,
            journal: Arc::new(NoJournal),
            admission: Arc::new(|| Ok(())),
            clock,
        };
        (intake, consumer)
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
        assert!(
            matches!(
                refused,
                Refused::Full {
                    items: 2,
                    cause: Full(QueueName::Request)
                }
            ),
            "{refused:?}"
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

    /// A journal whose answer the test gives.
    #[derive(Default)]
    struct Slow(Mutex<Option<Entering>>);

    type Entering = (Request, Enqueue, oneshot::Sender<Result<(), AppendError>>);

    impl fmt::Debug for Slow {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("Slow")
        }
    }

    impl Journal for Slow {
        fn enter(&self, request: Request, enqueue: Enqueue) -> Append {
            let (answer, waiting) = oneshot::channel();
            *self.0.lock().unwrap() = Some((request, enqueue, answer));
            Append::waiting(waiting)
        }

        fn record(&self, _marks: Marks) {}

        fn read(&self, _request: RequestId) -> Result<Option<Request>, ReadError> {
            Ok(None)
        }
    }

    impl Slow {
        fn answer(&self, answer: Result<(), AppendError>) {
            let (request, enqueue, waiting) = self.0.lock().unwrap().take().unwrap();
            match answer {
                Ok(()) => enqueue(request),
                Err(_) => drop(enqueue),
            }
            // Nobody waits where the client has hung up.
            drop(waiting.send(answer));
        }
    }

    /// Runs a future until it waits.
    async fn begin<F: Future>(future: &mut Pin<Box<F>>) {
        poll_fn(|context| {
            assert!(future.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
    }

    fn slow_intake() -> (Intake, Arc<Slow>, Consumer<Request>) {
        let (mut intake, consumer) = intake(3);
        let journal = Arc::new(Slow::default());
        intake.journal = Arc::<Slow>::clone(&journal);
        (intake, journal, consumer)
    }

    #[tokio::test]
    async fn a_request_is_not_in_the_queue_before_it_is_in_the_journal() {
        let (intake, journal, consumer) = slow_intake();
        let mut accept = Box::pin(intake.accept(AppId::LEGACY, items(2)));
        begin(&mut accept).await;
        assert_eq!((taken(&consumer).len(), intake.queue.depth()), (0, 2));
        journal.answer(Ok(()));
        assert_eq!(accept.await.unwrap().items, 2);
        assert_eq!(taken(&consumer).len(), 1);
    }

    #[tokio::test]
    async fn a_client_that_hangs_up_changes_nothing() {
        let (intake, journal, consumer) = slow_intake();
        let mut accept = Box::pin(intake.accept(AppId::LEGACY, items(2)));
        begin(&mut accept).await;
        drop(accept);
        journal.answer(Ok(()));
        assert_eq!(taken(&consumer).len(), 1);
    }

    #[tokio::test]
    async fn what_the_journal_does_not_take_gives_its_room_back() {
        let (intake, journal, consumer) = slow_intake();
        let mut accept = Box::pin(intake.accept(AppId::LEGACY, items(2)));
        begin(&mut accept).await;
        journal.answer(Err(AppendError::Full));
        let refused = accept.await.unwrap_err();
        assert!(
            matches!(refused, Refused::Journal(AppendError::Full)),
            "{refused:?}"
        );
        assert_eq!((taken(&consumer).len(), intake.queue.depth()), (0, 0));
    }

    #[tokio::test]
    async fn nothing_is_taken_where_nothing_is_admitted() {
        let (mut intake, consumer) = intake(3);
        intake.admission = Arc::new(|| Err("too early"));
        let refused = intake.accept(AppId::LEGACY, items(1)).await.unwrap_err();
        assert!(
            matches!(refused, Refused::NotNow("too early")),
            "{refused:?}"
        );
        assert_eq!((taken(&consumer).len(), intake.queue.depth()), (0, 0));
    }
}
