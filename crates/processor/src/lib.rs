//! Requests in, one notification per device out.
//!
//! Processor threads take what waits in the request queue and work per batch: everything about
//! the batch's users is read once, the items are applied in order in memory, everything is
//! written once ([`storage::Storage::fold`]). The result is as if the items had been handled one
//! by one in order; the number of SQL statements does not depend on how many there are.
#![forbid(unsafe_code)]

mod config;

mod python;

mod template;

mod playbook;

mod handlers;

mod scope;

mod plan;

mod order;

mod outage;

mod dispatch;

mod parking;

mod parker;

mod last_sent;

mod ended;

mod metrics;

mod processor;

pub use config::{EventConfig, RequestProcessorConfig};
pub use dispatch::{Outlets, Route};
pub use ended::{EndReason, Ended, Observer};
pub use last_sent::LAST_SENT_INTERVAL;
pub use metrics::Metrics;
pub use parking::Parking;
pub use processor::{Processor, Stages};
pub use template::{MissingParameter, Template, TemplateError};
