//! `Retry-After`: when a collector wants to be asked again.

use std::time::{Duration, UNIX_EPOCH};

/// No collector is taken at its word for longer than this.
pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads the header's value: a number of seconds, or an HTTP date, of which one in the past means at once. `None`:
/// it is neither.
pub fn parse_retry_after(text: &str, now_ms: u64) -> Option<Duration> {
    let text = text.trim();
    let after = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are a very long time.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let at = httpdate::parse_http_date(text).ok()?;
        let now = Duration::from_millis(now_ms);
        at.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(now)
    };
    Some(after.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT, in ms.
    const NOW_MS: u64 = 784_111_777_000;

    #[test]
    fn seconds_and_dates_are_read() {
        let table = [
            ("0", Some(0)),
            ("5", Some(5_000)),
            (" 120\t", Some(120_000)),
            ("007", Some(7_000)),
            ("Sun, 06 Nov 1994 08:49:40 GMT", Some(3_000)),
            ("Sunday, 06-Nov-94 08:49:40 GMT", Some(3_000)),
            ("Sun Nov  6 08:49:40 1994", Some(3_000)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:49:30 GMT", Some(0)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
        ];
        for (text, expected) in table {
            assert_eq!(parse_retry_after(text, NOW_MS), expected.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn absurd_times_are_bounded() {
        for text in ["86401", "18446744073709551615", "99999999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"] {
            assert_eq!(parse_retry_after(text, NOW_MS), Some(LONGEST), "{text:?}");
        }
    }

    #[test]
    fn garbage_is_ignored() {
        for text in
            ["", " ", "-1", "+1", "1.5", "1e3", "0x10", "5 s", "5, 6", "soon", "٥", "Sun, 32 Nov 1994 08:49:37 GMT"]
        {
            assert_eq!(parse_retry_after(text, NOW_MS), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_or_exceeds_the_bound(text in "\\PC{0,40}", now_ms: u64) {
            prop_assert!(parse_retry_after(&text, now_ms).is_none_or(|after| after <= LONGEST));
        }
    }
}
