//! What the pipeline knows of a journal. Two kinds stand behind it: a file
//! ([`FileJournal`](crate::FileJournal)), and nothing ([`NoJournal`]). A message stream on another
//! machine fits as well: it too is told of a request and answers later.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use model::{NotificationId, Request, RequestId};
use tokio::sync::oneshot;

use crate::{AppendError, ReadError};

/// Keeps accepted requests until all that came of them has ended.
pub trait Journal: fmt::Debug + Send + Sync {
    /// Takes a request. As soon as it survives whatever happens, `enqueue` is called with it, and
    /// then the future gives `Ok`; an error means that it has not been taken and `enqueue` is
    /// dropped. The request is on its way when this returns, whether or not the future is polled:
    /// dropping it takes nothing back. `enqueue` is called on whatever thread has kept the
    /// request; it must neither block nor panic.
    fn enter(&self, request: Request, enqueue: Enqueue) -> Append;

    /// Takes a request that goes nowhere else, see [`Journal::enter`].
    fn append(&self, request: &Request) -> Append {
        self.enter(request.clone(), Box::new(drop))
    }

    /// This much has ended and is recorded on stable storage: it is not brought again. Returns at
    /// once.
    fn record(&self, marks: Marks);

    /// Everything that came of these requests has ended, see [`Journal::record`].
    fn finished(&self, requests: &[RequestId]) {
        self.record(Marks {
            finished: requests.to_vec(),
            ended: Vec::new(),
        });
    }

    /// Reads an unfinished request back, for whoever has kept only its id. Blocks; `None` where
    /// there is no such request, or none is kept.
    ///
    /// # Errors
    /// When the request is there and cannot be read.
    fn read(&self, request: RequestId) -> Result<Option<Request>, ReadError>;
}

/// Passes on a request that is kept.
pub type Enqueue = Box<dyn FnOnce(Request) + Send>;

/// What of the accepted requests has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Requests that leave the journal: everything that came of them has ended.
    pub finished: Vec<RequestId>,
    /// Notifications of requests that stay: they come back without these.
    pub ended: Vec<(RequestId, NotificationId)>,
}

impl Marks {
    /// Whether there is nothing to record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.finished.is_empty() && self.ended.is_empty()
    }

    /// Adds what came earlier.
    pub(crate) fn put_before(&mut self, mut earlier: Self) {
        earlier.finished.append(&mut self.finished);
        earlier.ended.append(&mut self.ended);
        *self = earlier;
    }
}

/// The answer to [`Journal::enter`].
#[derive(Debug)]
#[must_use = "a request is accepted when this gives `Ok`, not before"]
pub struct Append(Answer);

#[derive(Debug)]
enum Answer {
    Known(Option<Result<(), AppendError>>),
    Waiting(oneshot::Receiver<Result<(), AppendError>>),
}

impl Append {
    /// An answer that is known at once.
    pub fn known(answer: Result<(), AppendError>) -> Self {
        Self(Answer::Known(Some(answer)))
    }

    /// An answer that will be sent; a sender dropped without one has stopped.
    pub fn waiting(answer: oneshot::Receiver<Result<(), AppendError>>) -> Self {
        Self(Answer::Waiting(answer))
    }
}

impl Future for Append {
    type Output = Result<(), AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Answer::Known(answer) => {
                Poll::Ready(answer.take().unwrap_or(Err(AppendError::Stopped)))
            }
            Answer::Waiting(answer) => Pin::new(answer)
                .poll(context)
                .map(|answer| answer.unwrap_or(Err(AppendError::Stopped))),
        }
    }
}

/// `durability = memory`: nothing is kept, and every request is accepted at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoJournal;

impl Journal for NoJournal {
    fn enter(&self, request: Request, enqueue: Enqueue) -> Append {
        enqueue(request);
        Append::known(Ok(()))
    }

    fn record(&self, _marks: Marks) {}

    fn read(&self, _request: RequestId) -> Result<Option<Request>, ReadError> {
        Ok(None)
    }
}
