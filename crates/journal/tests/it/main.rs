//! The journal in a real folder, as the pipeline uses it.

#![allow(
    clippy::unwrap_used,
    reason = "all of this is test code, also outside of test functions"
)]

// The name by which the rest of the program knows it.
extern crate onegin_journal as journal;

mod rig;

mod promises;

mod folder;

mod model_test;

mod finisher;

mod crash;

mod full_disk;
