//! `Retry-After` in both of its forms (RFC 9110 section 10.2.3).

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, header::RETRY_AFTER};
use model::UnixMs;

/// Longer waits are not believed: a push service means minutes.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// How long to wait, from seconds or from an HTTP date; none where the header is absent or odd.
pub(crate) fn retry_after(headers: &HeaderMap, now: UnixMs) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = httpdate::parse_http_date(text).ok()?;
            let since_1970 = date.duration_since(UNIX_EPOCH).ok()?;
            let now = Duration::from_millis(u64::try_from(now.0).ok()?);
            since_1970.saturating_sub(now)
        }
    };
    Some(wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(value: &'static str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
        // 1994-11-06 08:49:30 UTC
        retry_after(&headers, UnixMs(784_111_770_000))
    }

    #[test]
    fn seconds_and_dates_are_read_and_bounded() {
        assert_eq!(read("120"), Some(Duration::from_secs(120)));
        assert_eq!(
            read("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(Duration::from_secs(7))
        );
        assert_eq!(read("Sun, 06 Nov 1994 08:49:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("999999999"), Some(LONGEST));
        assert_eq!(read("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), UnixMs(0)), None);
    }
}
