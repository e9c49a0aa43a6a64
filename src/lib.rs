//! Onegin's root: reads the configuration, wires the stages, runs the commands.
//!
//! It is a library so that tests and benches start the daemon in their own process; the program
//! is `main.rs`. [`pipeline`] is the place to begin: the whole way of an event in one file.
//!
//! A build for the fuzz targets (`cfg(fuzzing)`) has the module `fuzzing` beside all this.
#![forbid(unsafe_code)]

pub mod cli;

pub mod config;

pub mod pipeline;

mod credentials;

mod enabled_senders;

mod finished;

mod main_log;

mod service_manager;

mod telemetry;

mod tls;

#[cfg(fuzzing)]
pub mod fuzzing;

pub use credentials::{Credentials, CredentialsError, CredentialsErrors, read as read_credentials};
pub use finished::FinishedCount;

/// Chooses ring as the one cryptography provider of TLS. Must come before any use of TLS.
pub fn install_crypto_provider() {
    // An error means that it has been installed already, by another test of this process.
    drop(rustls::crypto::ring::default_provider().install_default());
}
