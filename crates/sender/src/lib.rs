//! Outbound delivery: what stands in a sender queue goes over the wire to its push service.
//!
//! In: [`Notification`](model::Notification)s from one provider's queue. Out: exactly one
//! [`Report`](model::Report) for each into the notification-log queue, and
//! [`Feedback`](model::Feedback) about tokens into the post-processor queue.
//!
//! The one rule: whatever has been taken from the queue either ends in a report or, if this
//! program stops first, is dropped with its receipt unsettled, so that nothing counts as done
//! that was not. Only this crate names APNs and FCM; [`Provider`] is the line between what they
//! share (connections, batching, retries, time-outs) and what they do not (requests, answers,
//! credentials).
//!
//! A build for the fuzz targets (`cfg(fuzzing)`) has the module `fuzzing` beside all this.
#![forbid(unsafe_code)]

mod config;

mod error;

mod endpoint;

mod tls;

mod authorization;

mod provider;

pub mod apns;

pub mod fcm;

mod replaceable;

mod sender;

mod pool;

mod retry;

mod breaker;

mod delay_queue;

mod rate;

mod prune_guard;

mod retry_after;

mod metrics;

#[cfg(fuzzing)]
pub mod fuzzing;

pub use breaker::BreakerSettings;
pub use config::{MessengerConfig, SenderConfig};
pub use error::{CredentialError, SenderError};
pub use metrics::Metrics;
pub use provider::{CredentialWord, Prepared, Provider, Reason};
pub use replaceable::Replaceable;
pub use retry::BackOff;
pub use sender::{PoolSettings, SenderThread, StopTimes, start};
