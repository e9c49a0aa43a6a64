//! What push services say about tokens, written back to storage (Pushkin's "post-processor").
//!
//! Feedback comes in through a bounded queue; device rows change. It is advice, not record: what
//! is lost comes again as the answer to the next push to that token, so a sender never waits for
//! this stage. A database that is away is waited for; what does not fit into the queue meanwhile
//! is dropped and counted.
#![forbid(unsafe_code)]

mod coalesce;

mod waiting;

mod post_processor;

mod metrics;

pub use metrics::Metrics;
pub use post_processor::{PostProcessor, start};
