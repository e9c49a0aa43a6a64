//! When a log file is put aside, and what its name then ends with.
//!
//! Periods are those of Python's `TimedRotatingFileHandler`, which wrote Pushkin's logs: S, M, H
//! and D are counted from a moment and not aligned to the clock; midnight and W0 to W6 end at a
//! local midnight.

use std::{fmt, str::FromStr};

use jiff::{
    SignedDuration, Timestamp, ToSpan, Zoned,
    civil::{Weekday, date},
    fmt::strtime,
    tz::TimeZone,
};
use model::UnixMs;
use serde::{Deserialize, Serialize};

use crate::LogConfigError;

/// How long one file is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum When {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// 24 hours.
    Day,
    /// Until the next local midnight.
    Midnight,
    /// Until the midnight that ends this weekday.
    Weekday(Weekday),
}

impl When {
    /// The end of the period that `from` is in.
    pub(crate) fn period_end(self, from: UnixMs, zone: &TimeZone) -> UnixMs {
        match self {
            Self::Second | Self::Minute | Self::Hour | Self::Day => from.plus_ms(self.fixed_ms()),
            Self::Midnight => midnight_after(from, 1, zone),
            Self::Weekday(last_day) => {
                let today = local(from, zone).weekday();
                midnight_after(from, i64::from(last_day.since(today)) + 1, zone)
            }
        }
    }

    /// The start of the period that ends at `end`.
    pub(crate) fn period_start(self, end: UnixMs, zone: &TimeZone) -> UnixMs {
        match self {
            Self::Second | Self::Minute | Self::Hour | Self::Day => end.plus_ms(-self.fixed_ms()),
            Self::Midnight => midnight(&local(end, zone), -1),
            Self::Weekday(_) => midnight(&local(end, zone), -7),
        }
    }

    /// The length of a period that is not aligned to the calendar; 0 for the others.
    fn fixed_ms(self) -> i64 {
        match self {
            Self::Second => 1_000,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
            Self::Midnight | Self::Weekday(_) => 0,
        }
    }
}

/// The local midnight that is `days` after the start of this day. Where clocks are set back by most
/// of a day it may be over already, and the one after it counts.
fn midnight_after(from: UnixMs, days: i64, zone: &TimeZone) -> UnixMs {
    let day = local(from, zone);
    let mut midnights = (days..days + 4).map(|days| midnight(&day, days));
    midnights
        .find(|midnight| *midnight > from)
        .unwrap_or_else(|| from.plus_ms(When::Day.fixed_ms()))
}

/// The local midnight `days` after (or before) the start of this day.
fn midnight(day: &Zoned, days: i64) -> UnixMs {
    let midnight = day
        .date()
        .checked_add(days.days())
        .and_then(|date| date.to_zoned(day.time_zone().clone()))
        .unwrap_or_else(|_| day.saturating_add(SignedDuration::from_hours(24 * days)));
    UnixMs(midnight.timestamp().as_millisecond())
}

/// A point in time as the wall shows it there; times beyond the calendar become its ends.
pub(crate) fn local(time: UnixMs, zone: &TimeZone) -> Zoned {
    let timestamp = Timestamp::from_millisecond(time.0).unwrap_or(if time.0 < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    });
    timestamp.to_zoned(zone.clone())
}

impl FromStr for When {
    type Err = LogConfigError;

    fn from_str(text: &str) -> Result<Self, LogConfigError> {
        match text.to_ascii_uppercase().as_bytes() {
            b"S" => Ok(Self::Second),
            b"M" => Ok(Self::Minute),
            b"H" => Ok(Self::Hour),
            b"D" => Ok(Self::Day),
            b"MIDNIGHT" => Ok(Self::Midnight),
            [b'W', day @ b'0'..=b'6'] => {
                let days_after_monday = i8::try_from(day - b'0').unwrap_or(0);
                Weekday::from_monday_zero_offset(days_after_monday)
                    .map(Self::Weekday)
                    .map_err(|_| not_a_period(text))
            }
            _ => Err(not_a_period(text)),
        }
    }
}

fn not_a_period(text: &str) -> LogConfigError {
    LogConfigError {
        key: "notification_log_when_to_rotate",
        value: text.to_owned(),
        allowed: "S, M, H, D, midnight, or W0 (Monday) to W6 (Sunday)",
    }
}

impl fmt::Display for When {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Second => formatter.write_str("S"),
            Self::Minute => formatter.write_str("M"),
            Self::Hour => formatter.write_str("H"),
            Self::Day => formatter.write_str("D"),
            Self::Midnight => formatter.write_str("midnight"),
            Self::Weekday(day) => write!(formatter, "W{}", day.to_monday_zero_offset()),
        }
    }
}

/// Bytes of a suffix at most: a file's name has 255, and before and after the suffix stand ours.
const LONGEST_SUFFIX: usize = 200;

/// What a rotated file's name ends with: a strftime format that makes a file name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Suffix(String);

impl Suffix {
    /// Pushkin's default for the notification log.
    #[must_use]
    pub fn hourly() -> Self {
        Self("%Y-%m-%d_%H".to_owned())
    }

    /// Pushkin's main log has this one.
    #[must_use]
    pub fn daily() -> Self {
        Self("%Y-%m-%d".to_owned())
    }

    /// The suffix for a period that began at `start`.
    pub(crate) fn at(&self, start: UnixMs, zone: &TimeZone) -> String {
        let mut name = strtime::format(&self.0, &local(start, zone))
            .expect("the format has been tried when it was read")
            // A zone's own name (%Q) is a path: Europe/Belgrade.
            .replace('/', "-");
        name.truncate(name.floor_char_boundary(LONGEST_SUFFIX));
        name
    }
}

impl FromStr for Suffix {
    type Err = LogConfigError;

    fn from_str(text: &str) -> Result<Self, LogConfigError> {
        let probe = date(2026, 11, 21)
            // No fraction of a second: a format of nothing else may then be nothing at all (%.f).
            .at(20, 36, 58, 0)
            .to_zoned(TimeZone::UTC)
            .ok()
            .and_then(|probe| strtime::format(text, &probe).ok());
        match probe {
            Some(name) if is_part_of_a_file_name(&name) => Ok(Self(text.to_owned())),
            Some(_) | None => Err(LogConfigError {
                key: "notification_log_rotate_suffix",
                value: text.to_owned(),
                allowed: "a strftime format such as %Y-%m-%d_%H that gives part of a file name",
            }),
        }
    }
}

fn is_part_of_a_file_name(name: &str) -> bool {
    let is_odd = |character: char| character == '/' || character.is_control();
    !name.is_empty() && name.len() <= LONGEST_SUFFIX && !name.contains(is_odd)
}

impl fmt::Display for Suffix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Central European time, without asking the machine for its zones.
    fn zone() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn at(text: &str) -> UnixMs {
        let civil: jiff::civil::DateTime = text.parse().unwrap();
        UnixMs(civil.to_zoned(zone()).unwrap().timestamp().as_millisecond())
    }

    fn period(when: &str, from: &str) -> (String, String) {
        let when: When = when.parse().unwrap();
        let end = when.period_end(at(from), &zone());
        let shown = |time| {
            local(time, &zone())
                .strftime("%Y-%m-%d %H:%M:%S")
                .to_string()
        };
        (shown(when.period_start(end, &zone())), shown(end))
    }

    #[test]
    fn short_periods_are_counted_from_the_given_moment() {
        for (when, end) in [
            ("S", "2026-11-21 20:36:59"),
            ("m", "2026-11-21 20:37:58"),
            ("H", "2026-11-21 21:36:58"),
            ("d", "2026-11-22 20:36:58"),
        ] {
            let start = "2026-11-21 20:36:58";
            assert_eq!(period(when, start), (start.to_owned(), end.to_owned()));
        }
    }

    #[test]
    fn midnight_is_local_also_when_the_clocks_change() {
        for (from, start, end) in [
            ("2026-11-21 20:36:58", "2026-11-21", "2026-11-22"),
            ("2026-11-21 00:00:00", "2026-11-21", "2026-11-22"),
            // Summer time ends on October 25 and began on March 29: days of 25 and 23 hours.
            ("2026-10-25 01:00:00", "2026-10-25", "2026-10-26"),
            ("2026-03-29 23:30:00", "2026-03-29", "2026-03-30"),
        ] {
            let expected = (format!("{start} 00:00:00"), format!("{end} 00:00:00"));
            assert_eq!(period("MidNight", from), expected, "{from}");
        }
    }

    #[test]
    fn a_week_ends_with_the_midnight_after_its_weekday_as_in_python() {
        // 2026-11-21 is a Saturday.
        for (when, start, end) in [
            ("W5", "2026-11-15", "2026-11-22"),
            ("W6", "2026-11-16", "2026-11-23"),
            ("w0", "2026-11-17", "2026-11-24"),
            ("W4", "2026-11-21", "2026-11-28"),
        ] {
            let expected = (format!("{start} 00:00:00"), format!("{end} 00:00:00"));
            assert_eq!(period(when, "2026-11-21 20:36:58"), expected, "{when}");
        }
    }

    #[test]
    fn every_period_survives_its_text() {
        for text in ["S", "M", "H", "D", "midnight", "W0", "W6"] {
            assert_eq!(text.parse::<When>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_midnight_that_comes_twice_ends_no_period_in_the_past() {
        // From 21 hours before UTC's clock to 2 behind it, as on an island that changes sides.
        let zone = TimeZone::posix("CET-21CEST2,M3.5.0,M10.5.0/3").unwrap();
        let from = UnixMs(11_715_239_118_837);
        for when in [When::Midnight, "W0".parse().unwrap(), "W6".parse().unwrap()] {
            assert!(when.period_end(from, &zone) > from, "{when}");
        }
    }

    /// A zone that has a name and no summer time, as it would be read from the system's files.
    fn named(name: &str) -> TimeZone {
        // RFC 9636: a head with six counts, one type of local time, its name; all of it twice.
        let mut block = b"TZif2".to_vec();
        block.extend([0; 15]);
        block.extend([0, 0, 0, 0, 1, 4].map(u32::to_be_bytes).concat());
        block.extend(3_600_i32.to_be_bytes());
        block.extend(b"\0\0CET\0");
        let file = [&block[..], &block[..], b"\nCET-1\n"].concat();
        TimeZone::tzif(name, &file).unwrap()
    }

    #[test]
    fn a_zones_name_makes_no_folder() {
        let suffix: Suffix = "%Y_%Q_%:Q".parse().unwrap();
        assert_eq!(
            suffix.at(at("2026-11-21 20:36:58"), &named("Europe/Belgrade")),
            "2026_Europe-Belgrade_Europe-Belgrade"
        );
    }

    #[test]
    fn a_suffix_is_no_longer_than_a_file_name_can_be() {
        let zone = named("America/Argentina/ComodRivadavia");
        let suffix: Suffix = "%Q".repeat(60).parse().unwrap();
        assert_eq!(suffix.at(UnixMs(0), &zone).len(), LONGEST_SUFFIX);
        assert!("%Q".repeat(67).parse::<Suffix>().is_err());
    }

    #[test]
    fn times_beyond_the_calendar_do_not_panic() {
        for time in [i64::MIN, i64::MAX] {
            for when in ["S", "midnight", "W3"] {
                let when: When = when.parse().unwrap();
                let end = when.period_end(UnixMs(time), &zone());
                Suffix::hourly().at(when.period_start(end, &zone()), &zone());
            }
        }
    }
}
