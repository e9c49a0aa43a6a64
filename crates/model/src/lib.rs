//! The values that travel through the pipeline, and nothing that acts.
//!
//! A door makes a [`Request`] of items; the processor makes one [`Notification`]
//! per device; a sender ends it with an [`Outcome`] in a [`Report`]; what a push
//! service says about a token goes back as [`Feedback`]. Everything here is plain
//! data: no I/O, and no clock but the one that is passed in.
#![forbid(unsafe_code)]

mod time;

mod ids;

mod lane;

mod event;

mod request;

mod device;

mod notification;

mod outcome;

mod receipt;

mod names;

pub use device::{DeviceToken, Platform, Provider};
pub use event::{DirectNotification, Event, PairValue, parse_integer};
pub use ids::{
    AppId, CUSTOMER_LOGIN_FLOOR, IdError, ItemId, LoginId, MessageId, NotificationId,
    OrganisationId, RequestId,
};
pub use lane::Lane;
pub use names::{MetricName, QueueName};
pub use notification::{Content, Notification, Priority, RenderedPayload};
pub use outcome::{Feedback, Outcome, Report};
pub use receipt::{FinishedRequests, Receipt};
pub use request::{DecodeRequestError, Ended, Item, Request};
pub use time::{Clock, UnixMs};
