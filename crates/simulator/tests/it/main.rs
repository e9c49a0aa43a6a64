//! The simulated services as clients meet them: over TLS, on a port of their own.
#![allow(
    clippy::unwrap_used,
    reason = "all of this is test code, outside of #[test] functions too"
)]

mod apns;
mod certificate;
mod client;
mod control;
mod fcm;
