//! From when until when a certificate is valid (RFC 5280 section 4.1).
//!
//! A few DER elements are stepped over to find two times; nothing else of a certificate is of
//! interest here, and what is not understood is `None`. It is for a warning only: whether a
//! certificate is accepted is the client's business.

use model::UnixMs;

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The optional version of a `TBSCertificate`, `[0]`.
const VERSION: u8 = 0xa0;

/// `notBefore` and `notAfter`.
pub(super) fn of(certificate: &[u8]) -> Option<(UnixMs, UnixMs)> {
    let (SEQUENCE, certificate, _) = element(certificate)? else {
        return None;
    };
    let (SEQUENCE, mut fields, _) = element(certificate)? else {
        return None;
    };
    if fields.first() == Some(&VERSION) {
        (_, _, fields) = element(fields)?;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        (_, _, fields) = element(fields)?;
    }
    let (SEQUENCE, validity, _) = element(fields)? else {
        return None;
    };
    let (kind, from, rest) = element(validity)?;
    let from = time(kind, from)?;
    let (kind, until, _) = element(rest)?;
    Some((from, time(kind, until)?))
}

/// The first element: its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*length) {
        short @ 0..=0x7f => (short, rest),
        // Three bytes are 16 MiB, more than any certificate has.
        long @ 0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(long - 0x80)?;
            let length = bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time(kind: u8, text: &[u8]) -> Option<UnixMs> {
    let digits = text.strip_suffix(b"Z")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (year, rest) = match kind {
        UTC_TIME => {
            let (year, rest) = number(digits, 2)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => number(digits, 4)?,
        _ => return None,
    };
    let (month, rest) = number(rest, 2)?;
    let (day, rest) = number(rest, 2)?;
    let (hour, rest) = number(rest, 2)?;
    let (minute, rest) = number(rest, 2)?;
    let (second, rest) = number(rest, 2)?;
    if !rest.is_empty() || !(1..=12).contains(&month) {
        return None;
    }
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(UnixMs(seconds * 1000))
}

fn number(digits: &[u8], count: usize) -> Option<(i64, &[u8])> {
    let (number, rest) = digits.split_at_checked(count)?;
    Some((str::from_utf8(number).ok()?.parse().ok()?, rest))
}

/// Days since 1970 in the Gregorian calendar. Years begin in March here, so that a leap day is
/// their last one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn both_times_of_a_certificate_are_read() {
        let key = KeyPair::generate().unwrap();
        // From 2050 on they are written in the other form.
        for (from, until) in [
            ((1970, 1, 1), (1999, 12, 31)),
            ((2000, 2, 29), (2049, 12, 31)),
            ((2026, 11, 22), (2050, 1, 1)),
            ((2024, 3, 1), (4096, 1, 1)),
        ] {
            let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            params.not_before = date_time_ymd(from.0, from.1, from.2);
            params.not_after = date_time_ymd(until.0, until.1, until.2);
            let certificate = params.self_signed(&key).unwrap();
            let expected = [params.not_before, params.not_after]
                .map(|time| UnixMs(time.unix_timestamp() * 1000));
            let [from, until] = expected;
            assert_eq!(of(certificate.der()), Some((from, until)));
        }
    }

    #[test]
    fn hours_minutes_and_seconds_count() {
        // date -u -d 2026-11-22T12:34:56 +%s
        let expected = Some(UnixMs(1_795_350_896_000));
        assert_eq!(time(UTC_TIME, b"261122123456Z"), expected);
        assert_eq!(time(GENERALIZED_TIME, b"20261122123456Z"), expected);
        for wrong in [
            "261122123456",
            "26112212345Z",
            "261322123456Z",
            "2611221234567Z",
        ] {
            assert_eq!(time(UTC_TIME, wrong.as_bytes()), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            of(&bytes);
            of(&[&[SEQUENCE, 0x82, 0, 190, SEQUENCE, 0x81, 180], &bytes[..]].concat());
        }
    }
}
