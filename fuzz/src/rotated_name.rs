//! Names of rotated log files, and the `[Log]` section's other little languages. Input: fields;
//! a suffix's format, a time in ms, a POSIX time zone, a zone's name, and words for the rest.
//!
//! * A suffix that is taken is part of a file name at any time in any zone.
//! * A period begins before it ends, and the time is not after its end.
//! * What is read from a word is written as a word that means the same.

use jiff::tz::TimeZone;
use model::UnixMs;
use notification_log::{FileMode, LogFormat, LogLevel, Suffix, When, fuzzing};

use crate::fields::Fields;

/// Bytes of a file's name on every file system in use.
const NAME_BYTES: usize = 255;

/// Times for which calendars are checked: the years 1 to 9998.
const YEARS: std::ops::Range<i64> = -62_135_596_800_000..253_370_764_800_000;

/// Checks one input.
pub fn check(input: &[u8]) {
    let mut fields = Fields::of(input);
    let (suffix, time) = (fields.text(), UnixMs(fields.number()));
    let posix = TimeZone::posix(&fields.text()).unwrap_or(TimeZone::UTC);
    // The characters that zones' names have; everything else is in no database.
    let mut name = fields.text().into_owned();
    name.retain(|character| character.is_ascii_alphanumeric() || "/_+-.".contains(character));
    if name.is_empty() {
        name.push_str("Europe/Belgrade");
    }
    let zones = [named(&name), posix];
    if let Ok(suffix) = suffix.parse::<Suffix>() {
        for zone in &zones {
            let name = fuzzing::suffix_at(&suffix, time, zone);
            assert!(!name.is_empty() && !name.contains(['/', '\0']), "{name:?}");
            let file = format!("notifications.csv.{name}.{}", u32::MAX);
            assert!(file.len() <= NAME_BYTES, "{file}");
        }
    }
    let word = fields.text();
    if let Ok(when) = word.parse::<When>() {
        assert_eq!(when.to_string().parse(), Ok(when));
        for zone in &zones {
            let (start, end) = fuzzing::period(when, time, zone);
            if YEARS.contains(&time.0) {
                assert!(
                    start < end && time <= end,
                    "{when} {time:?} {start:?} {end:?}"
                );
            }
        }
    }
    if let Ok(level) = word.parse::<LogLevel>() {
        assert_eq!(level.to_string().parse(), Ok(level));
    }
    if let Ok(format) = word.parse::<LogFormat>() {
        assert_eq!(format.to_string().parse(), Ok(format));
    }
    if let Ok(mode) = word.parse::<FileMode>() {
        assert_eq!(mode.to_string().parse(), Ok(mode));
        assert_eq!(mode.bits() & !0o177, 0o600, "{mode}");
    }
}

/// A zone of this name, as the system's files give it.
fn named(name: &str) -> TimeZone {
    // RFC 9636: a head with six counts, one type of local time, its name; all of it twice.
    let mut block = b"TZif2".to_vec();
    block.extend([0; 15]);
    block.extend([0_u32, 0, 0, 0, 1, 4].map(u32::to_be_bytes).concat());
    block.extend(3_600_i32.to_be_bytes());
    block.extend(b"\0\0CET\0");
    let file = [&block[..], &block[..], b"\nCET-1CEST,M3.5.0,M10.5.0/3\n"].concat();
    TimeZone::tzif(name, &file).expect("a zone with one rule")
}
