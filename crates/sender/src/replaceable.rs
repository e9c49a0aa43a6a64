//! A push service's settings and credential that can be exchanged while its sender runs.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

/// What a sender works with at the moment. Clones are the same one.
pub struct Replaceable<P>(Arc<Inner<P>>);

struct Inner<P> {
    /// Written by [`Replaceable::replace`].
    current: ArcSwap<P>,
    /// Signalled when there is another one; the sender waits here.
    replaced: Notify,
}

impl<P> Clone for Replaceable<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P> fmt::Debug for Replaceable<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Replaceable")
    }
}

impl<P> Replaceable<P> {
    /// Begins with `provider`.
    pub fn new(provider: P) -> Self {
        Self(Arc::new(Inner {
            current: ArcSwap::from_pointee(provider),
            replaced: Notify::new(),
        }))
    }

    /// The sender goes on with `provider`: on new connections, while what is in flight on the
    /// old ones is still answered there. What the push service held against the old credential
    /// is forgotten.
    pub fn replace(&self, provider: P) {
        self.0.current.store(Arc::new(provider));
        self.0.replaced.notify_one();
    }

    pub(crate) fn current(&self) -> Arc<P> {
        self.0.current.load_full()
    }

    /// Waits until there is another one than the last that was looked at.
    pub(crate) async fn replaced(&self) {
        self.0.replaced.notified().await;
    }
}
