//! The front doors: HTTP comes in, [`model::Request`]s go into the request queue.
//!
//! A POST is read within its limits, decoded item by item, and offered to the queue without
//! waiting; the answer tells the client exactly what became of it. Nothing here knows what an
//! item causes. The one rule: success is answered only for what has been enqueued, and a client
//! that is told "full" has had nothing of its batch taken.
//!
//! Reading order: [`Server`] accepts, [`Tls`] secures, `router` chooses, [`Access`] asks who it
//! is, `body` reads, [`pushkin`] decodes,
//! [`Intake`] enqueues, `answer` writes.
//!
//! A build for the fuzz targets (`cfg(fuzzing)`) has the module `fuzzing` beside all this.
#![forbid(unsafe_code)]

mod config;

mod server;

mod tls;

mod router;

mod access;

mod body;

pub mod pushkin;

mod intake;

mod monitoring;

mod answer;

mod metrics;

mod error;

#[cfg(fuzzing)]
pub mod fuzzing;

pub use access::{
    Access, Found, KeyLookUp, LookUpFailed, NewKey, SecretError, SecretHash, StoredKey, check_key,
};
pub use config::{PathsConfig, ServerConfig};
pub use error::ServerError;
pub use intake::{Accepted, Admission, Intake, Refused};
pub use metrics::Metrics;
pub use monitoring::{Depth, Depths, MetricsText, Readiness};
pub use router::Doors;
pub use server::{Drained, Server};
pub use tls::{Identity, Tls, TlsError};
