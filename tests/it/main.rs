//! The integration tests: through the front doors to the simulated push services, on real
//! databases. Each file is a feature; each test has its own daemon, ports, folder and database.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers fail their test and say what is skipped; the lints know only tests themselves"
)]

#[macro_use]
mod database;

mod app;

mod http;

mod back_pressure;

mod commands;

mod config_ini;

mod cooldown;

mod delivery;

mod folding;

mod foreign;

mod pushkin_doors;
