//! A bounded queue with a name, two lanes, a depth, counts and a rule for "full",
//! and the threads that empty it.
//!
//! Room is reserved before a value exists and given back when its [`Slot`] is dropped, so a
//! value that has been reserved for can always be sent, and a stage decides itself how long
//! what it took still counts: processors drop the slot at once, senders keep it until the
//! notification has ended. The order inside a lane is first in, first out; there is none
//! between lanes.
#![forbid(unsafe_code)]

mod gate;

mod channel;

mod pulse;

mod workers;

mod monitor;

pub use channel::{Consumer, Permit, Producer, Room, Taken, bounded};
pub use gate::{Full, Limits, Slot, WhenFull};
pub use monitor::{Monitor, QueueCollector};
pub use pulse::{Beat, Pulse};
pub use workers::{PanicCounter, Workers};

/// What a value weighs in its queue.
pub trait Load {
    /// Items in it; what the queue's limit and its depth count.
    fn items(&self) -> usize;
    /// Bytes it keeps in memory, near enough.
    fn bytes(&self) -> usize;
}

impl Load for model::Request {
    fn items(&self) -> usize {
        self.items.len()
    }

    fn bytes(&self) -> usize {
        Self::bytes(self)
    }
}

/// Values that are one item each, in queues that are bounded by items alone.
macro_rules! one_item {
    ($($value:ty),+) => {$(
        impl Load for $value {
            fn items(&self) -> usize {
                1
            }

            fn bytes(&self) -> usize {
                0
            }
        }
    )+};
}

one_item!(model::Notification, model::Report, model::Feedback);
