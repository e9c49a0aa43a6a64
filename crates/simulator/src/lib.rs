//! Apple's and Google's push services on loopback, speaking their real protocols.
//!
//! In come real connections: APNs over TLS and HTTP/2, FCM HTTP v1 over TLS and
//! HTTP/2 or HTTP/1.1, and the OAuth 2.0 token requests that FCM needs. Out go
//! the answers that Apple and Google document, and a log of what arrived. A
//! [`Rule`] makes the services late, refusing, draining, resetting or silent.
//!
//! One rule must hold: **what the real services refuse is refused here**, with
//! the same status and the same words. A simulator that is more lenient than
//! Apple or Google hides the bugs it exists to find. Where a check here is a
//! guess because no document decides it, the code says so.
//!
//! Nothing here is secret or safe: the keys are made at the start and are
//! handed out, so it listens on loopback only.
//!
//! ```no_run
//! use simulator::{Action, Options, Refusal, Rule, Simulator};
//! # fn main() -> Result<(), simulator::SimulatorError> {
//! let simulator = Simulator::start(Options::default())?;
//! simulator.script().add(
//!     Rule::new(Action::Refuse(Refusal::new(410, "Unregistered"))).token_prefix("dead"),
//! );
//! // … point a sender at simulator.apns_url(), trust simulator.ca_pem() …
//! simulator.apns().wait_for(1, std::time::Duration::from_secs(5))?;
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]

mod options;
mod simulator;

mod client_certificate;
mod clock;
mod endpoint;
mod jwt;
mod keys;
mod received;
mod script;
mod service;
mod tls;

mod apns;
mod control;
mod fcm;
mod http1;
mod http2;

pub use crate::{
    endpoint::{Counters, Endpoint},
    keys::{ApnsKey, Files},
    options::Options,
    received::{Received, Verdict},
    script::{Action, GoAway, Match, Refusal, RetryAfter, Rule, Script},
    service::Service,
    simulator::{Simulator, SimulatorError},
};
