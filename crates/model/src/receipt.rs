//! When is a request finished? When everything that came of it has ended.
//!
//! The processor opens one receipt per request and holds it while it works; every notification
//! carries a clone. Each clone is settled exactly once, by whoever ends that notification, after
//! its line stands in the notification log. The last settlement finishes the request; one that is
//! not the last tells which notification has ended. A clone that is dropped unsettled (a panic, a
//! stop) leaves the request unfinished, so that the journal brings again what has not ended:
//! silence never counts as done.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::{NotificationId, RequestId};

/// Who is told that a request is finished: the journal, or a counter where there is none.
pub trait FinishedRequests: Send + Sync {
    /// Everything that came of `request` has ended. Called once per request, from any thread.
    fn finished(&self, request: RequestId);

    /// One notification of `request` has ended, and the request has not. May come after the
    /// request's end, when two threads settle at the same time.
    fn ended(&self, request: RequestId, notification: NotificationId);
}

/// One share in a request; see the module's text.
pub struct Receipt(Arc<Shared>);

struct Shared {
    request: RequestId,
    /// Shares that are not settled yet; written by every holder.
    open: AtomicU32,
    finished: Arc<dyn FinishedRequests>,
}

impl Receipt {
    /// The first share of `request`.
    #[must_use]
    pub fn open(request: RequestId, finished: Arc<dyn FinishedRequests>) -> Self {
        Self(Arc::new(Shared {
            request,
            open: AtomicU32::new(1),
            finished,
        }))
    }

    /// The end of a share without a notification: the processing of the request is over.
    pub fn settle(self) {
        self.is_last();
    }

    /// The end of a notification's share: it is over and recorded.
    pub fn settle_notification(self, notification: NotificationId) {
        if !self.is_last() {
            self.0.finished.ended(self.0.request, notification);
        }
    }

    /// Gives the share back, and finishes the request if it was the last.
    fn is_last(&self) -> bool {
        // AcqRel: whoever settles last has seen the work of all who settled before.
        let last = self.0.open.fetch_sub(1, Ordering::AcqRel) == 1;
        if last {
            self.0.finished.finished(self.0.request);
        }
        last
    }

    /// Whose share this is.
    #[must_use]
    pub fn request(&self) -> RequestId {
        self.0.request
    }
}

impl Clone for Receipt {
    fn clone(&self) -> Self {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Receipt({})", self.0.request)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize, AtomicUsize);

    impl FinishedRequests for Count {
        fn finished(&self, _request: RequestId) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn ended(&self, _request: RequestId, _notification: NotificationId) {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_notification_that_is_not_the_last_share_is_told_by_its_id() {
        let count = Arc::new(Count::default());
        let receipt = Receipt::open(RequestId::generate(), Arc::<Count>::clone(&count));
        let item = crate::ItemId {
            request: receipt.request(),
            index: 0,
        };
        let token = crate::DeviceToken::new("token");
        let id = NotificationId::derive(item, crate::MessageId::DIRECT, &token);
        let (first, second) = (receipt.clone(), receipt.clone());
        receipt.settle();
        first.settle_notification(id);
        second.settle_notification(id);
        let counted = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        assert_eq!((counted(&count.0), counted(&count.1)), (1, 1));
    }

    #[test]
    fn the_last_settlement_finishes_the_request_once() {
        let count = Arc::new(Count::default());
        let receipt = Receipt::open(RequestId::generate(), Arc::<Count>::clone(&count));
        let notification = receipt.clone();
        receipt.settle();
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        notification.settle();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_share_dropped_unsettled_leaves_the_request_unfinished() {
        let count = Arc::new(Count::default());
        let receipt = Receipt::open(RequestId::generate(), Arc::<Count>::clone(&count));
        drop(receipt.clone());
        receipt.settle();
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
    }
}
