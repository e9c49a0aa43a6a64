//! What a batch is made of: whole requests, and what was left of some.

use std::sync::Arc;

use model::{FinishedRequests, NotificationId, Platform, Provider, Receipt, Request};

/// One request of a batch, as much of it as is to be done.
#[derive(Debug)]
pub(crate) struct Order<'r> {
    pub(crate) request: &'r Request,
    /// What is left of it; `None` is everything.
    pub(crate) part: Option<Part<'r>>,
}

/// What was parked of a request: some items' notifications through one push service.
#[derive(Debug)]
pub(crate) struct Part<'r> {
    /// Places of the items, ascending.
    pub(crate) items: &'r [u32],
    pub(crate) provider: Provider,
    /// One of the request's shares.
    pub(crate) receipt: &'r Receipt,
}

impl<'r> Order<'r> {
    /// A whole request.
    pub(crate) fn whole(request: &'r Request) -> Self {
        Self {
            request,
            part: None,
        }
    }

    /// Whether the item at `index` is to be handled.
    pub(crate) fn has_item(&self, index: usize) -> bool {
        self.part.as_ref().is_none_or(|part| {
            u32::try_from(index).is_ok_and(|index| part.items.binary_search(&index).is_ok())
        })
    }

    /// Whether its events' own effects are to be applied. What was parked, or has come back after
    /// a crash, may have had them: again, hours later, they would undo what its users have done
    /// since.
    pub(crate) fn applies_effects(&self) -> bool {
        let applied = NotificationId::of_effects(self.request.id);
        self.part.is_none() && !self.request.ended.contains(applied)
    }

    /// Whether a notification is to be sent: it has not ended before, and is not another push
    /// service's than what was left.
    pub(crate) fn sends(&self, notification: NotificationId, platform: Platform) -> bool {
        let wanted = self
            .part
            .as_ref()
            .is_none_or(|part| platform.provider() == Some(part.provider));
        wanted && !self.request.ended.contains(notification)
    }

    /// A share in the request.
    pub(crate) fn receipt(&self, finished: &Arc<dyn FinishedRequests>) -> Receipt {
        match &self.part {
            Some(part) => part.receipt.clone(),
            None => Receipt::open(self.request.id, Arc::clone(finished)),
        }
    }
}
