//! Accepted requests survive a crash.
//!
//! A door appends a request, waits for the answer, and only then enqueues it and says 200. The
//! receipt's last share finishes the request; a [`Finisher`] makes the notification log durable
//! and tells the journal. What is not finished is given back by the next
//! [`open`](FileJournal::open), in the order of acceptance.
//!
//! # What is promised
//!
//! * An append that gave `Ok` is on stable storage, and comes back after `kill -9` and power
//!   cuts until it is finished. One that gave an error does not come back.
//! * Concurrent appends share one fsync. They are gathered for `journal_commit_interval_ms` at
//!   most; a lone one is written at once.
//! * A finished request leaves the store within 100 ms. Until then a crash brings it again. Of a
//!   request that is not finished, the notifications that have ended are marked as fast, and it
//!   comes back without them.
//! * Unfinished requests take `journal_limit_mb` at most, charged with what they may come to
//!   take on disk; a POST above it is refused, and space that is given back is used again. A
//!   full disk refuses likewise, and is tried anew about every second.
//! * In memory is only an index, some forty bytes for each unfinished request, and what waits
//!   for the commit that is under way; the doors' reservation in the request queue bounds that.
//! * One daemon per folder. Folder and files are the owner's alone.
//! * What cannot be read is kept aside, counted and named in the log, and stops nothing else.
//!
//! # Why redb
//!
//! Measured side by side, 2 cores, ext4, fsync of 300 bytes in 95 us; each commit adds and removes so
//! many entries of 300 bytes. LMDB (heed 0.22) is there for comparison: it cannot be opened
//! without `unsafe`.
//!
//! | | redb 4.5 | fjall 3.1 | LMDB |
//! |---|---|---|---|
//! | commit of 1 / 16 / 256, p50 | 0.23 / 0.35 / 1.8 ms | 0.06 / 0.16 / 1.2 ms | 0.16 / 0.20 / 0.67 ms |
//! | commit of 16 with 20 KB each, p50, p99 | 1.8, 2.6 ms | 0.9, 13.6 ms | 0.5, 0.6 ms |
//! | CPU per entry, 1 / 16 / 256 | 156 / 16 / 5.6 us | 22 / 5.5 / 4.3 us | 64 / 5.0 / 1.9 us |
//! | file after 10^6 entries came and went, 1,000 open | 0.6 MB | 64 to 132 MB | 0.6 MB |
//! | open and scan 10^5 entries after `kill -9` | 132 ms | 510 ms | 14 ms |
//! | full disk | error; opens again | error; opens again | not tried |
//! | crates it brings | 1 | 40 | 30, and C |
//!
//! fjall's commits are cheaper, but its file never gets small, its compaction pauses commits
//! (p99 of 425 ms for 5 MB), and a known fault hangs writes after some kills
//! (<https://github.com/fjall-rs/fjall/issues/257>). redb's cost is per row: requests of one commit
//! share rows (`row.rs`). What all of it adds to a POST is in docs/PERFORMANCE.md.
//!
//! A build for the fuzz targets (`cfg(fuzzing)`) has the module `fuzzing` beside all this.
#![forbid(unsafe_code)]

mod config;

mod error;

mod journal;

mod file_journal;

mod inbox;

mod committer;

mod index;

mod row;

mod store;

mod folder;

mod unfinished;

mod finisher;

mod metrics;

#[cfg(test)]
mod power_cut;

#[cfg(fuzzing)]
pub mod fuzzing;

pub use config::{Durability, JournalConfig};
pub use error::{AppendError, OpenError, ReadError, StoreError};
pub use file_journal::FileJournal;
pub use finisher::Finisher;
pub use journal::{Append, Enqueue, Journal, Marks, NoJournal};
pub use metrics::Metrics;
pub use unfinished::Unfinished;
