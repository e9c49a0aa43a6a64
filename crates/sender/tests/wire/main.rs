//! The sender against the simulator, over real TLS and HTTP/2.
//!
//! `provider_suite!` is what every push service must pass; the modules beside it hold what only
//! one of them has.
#![allow(
    clippy::unwrap_used,
    reason = "all of this is test code, also outside of test functions"
)]

// The crate under the name that the rest of the workspace has for it.
extern crate onegin_sender as sender;

mod rig;

mod suite;

mod breaker;

mod replacement;

mod apns;

mod certificate;

mod fcm;
