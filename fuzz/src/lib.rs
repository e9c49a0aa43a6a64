//! What must hold for any input whatever: one module for each fuzz target.
//!
//! A module's `check` takes a target's input, and panics where something does not hold. The
//! files in `targets/` hand libFuzzer's bytes to it and do nothing else.
#![forbid(unsafe_code)]

mod fields;

pub mod pushkin_json;

pub mod pushkin_protobuf;

pub mod journal_request;

pub mod http;

pub mod ini;

pub mod config_values;

pub mod template;

pub mod message_file;

pub mod csv_row;

pub mod rotated_name;

pub mod apns_answer;

pub mod fcm_answer;

pub mod goaway;

pub mod credentials;
