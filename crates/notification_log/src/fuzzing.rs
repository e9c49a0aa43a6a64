//! What the fuzz targets reach of this crate's inside; compiled for them only.

use jiff::tz::TimeZone;
use model::UnixMs;

use crate::{Suffix, When};

/// What the name of a file ends with whose period began at `start`.
#[must_use]
pub fn suffix_at(suffix: &Suffix, start: UnixMs, zone: &TimeZone) -> String {
    suffix.at(start, zone)
}

/// Start and end of the period that a file begun at `from` is in.
#[must_use]
pub fn period(when: When, from: UnixMs, zone: &TimeZone) -> (UnixMs, UnixMs) {
    let end = when.period_end(from, zone);
    (when.period_start(end, zone), end)
}
