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

#[macro_use]
mod answer_case;

mod app;

mod adoption;
mod apns_answers;

mod http;

mod administration;
mod observed;

mod back_pressure;

mod case_table;

mod check_config;

mod commands;

mod config_ini;

mod config_keys;
mod copy_db;

mod cooldown;

mod delivery;

mod enabled_senders;
mod failures;
mod fcm_answers;

mod folding;

mod foreign;

mod drain;
mod kill;
mod service_manager;
mod site;

mod pushkin_blacklist;

mod pushkin_cooldown;

mod hostile_bodies;
mod hostile_clients;
mod logs;
mod pushkin_direct;

mod instances;

mod pushkin_coercions;

mod pushkin_doors;

mod pushkin_login;

mod pushkin_messages;

mod outages;
mod pressure;
mod pushkin_http;
mod pushkin_requests;

mod security;
