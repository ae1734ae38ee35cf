use super::*;
use crate::graph::{Date, DateTime, Duration, LocalDateTime, LocalTime, Time};
use proptest::prelude::*;
use std::{fmt, str::FromStr};

fn reads_back<T: FromStr + fmt::Display + PartialEq + fmt::Debug>(value: &T)
where
    T::Err: fmt::Debug,
{
    assert_eq!(&value.to_string().parse::<T>().unwrap(), value, "{value}");
}

proptest! {
    #[test]
    fn text_reads_back(
        days in -365_243_219_162i64..=365_241_780_471,
        time in 0u64..86_400_000_000_000,
        offset in -64_800i32..=64_800,
        near in -90_000_000_000i64..90_000_000_000,
        zone in prop::option::of("[A-Z][a-z]{2}/[A-Z_]{1,9}"),
    ) {
        let (date, time) = (Date::new(days).unwrap(), LocalTime::new(time).unwrap());
        reads_back(&date);
        reads_back(&time);
        reads_back(&Time::new(time.nanos(), offset).unwrap());
        reads_back(&LocalDateTime::of(date, time));
        let nanos = (time.nanos() % 1_000_000_000) as u32;
        reads_back(&LocalDateTime::new(near, nanos).unwrap());
        reads_back(&DateTime::new(near, nanos, offset, zone.as_deref()).unwrap());
    }

    #[test]
    fn durations_read_back(months: i64, days: i64, seconds: i64, small in -90i64..90, nanos in 0u32..1_000_000_000) {
        reads_back(&Duration::new(months, days, seconds, nanos).unwrap());
        reads_back(&Duration::new(small, 0, small, nanos).unwrap());
        reads_back(&Duration::new(0, small, -small, 0).unwrap());
        reads_back(&Duration::new(i64::MIN, i64::MAX, i64::MIN, nanos).unwrap());
    }

    /// Within the years that jiff writes alike (0 to 9999), it says the same.
    #[test]
    fn text_is_what_jiff_reads_and_writes(
        days in -719_528i64..2_932_000,
        time in 0u64..86_400_000_000_000,
        offset in -1_080i32..=1_080,
    ) {
        let local = LocalDateTime::of(Date::new(days).unwrap(), LocalTime::new(time).unwrap());
        let theirs: jiff::civil::DateTime = local.to_string().parse().unwrap();
        let (year, month, day) = local.date().ymd();
        prop_assert_eq!((i64::from(theirs.year()), theirs.month() as u8, theirs.day() as u8), (year, month, day));
        prop_assert_eq!(theirs.to_string().parse::<LocalDateTime>().unwrap(), local);
        let ours = DateTime::new(local.seconds() - i64::from(offset) * 60, local.nanos(), offset * 60, None).unwrap();
        let theirs: jiff::Timestamp = ours.to_string().parse().unwrap();
        prop_assert_eq!(theirs.as_nanosecond(), i128::from(ours.seconds()) * 1_000_000_000 + i128::from(ours.nanos()));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[-+PTYMWDHSZ0-9:.,\\[\\]a-z]{0,24}") {
        let _ = text.parse::<Date>();
        let _ = text.parse::<Time>();
        let _ = text.parse::<LocalDateTime>();
        let _ = text.parse::<DateTime>();
        let _ = text.parse::<Duration>();
    }
}

#[test]
fn text_has_the_forms_of_iso_8601() {
    for (text, written) in [
        ("2015-07-21", "2015-07-21"),
        ("20150721", "2015-07-21"),
        ("0000-01-01", "0000-01-01"),
        ("-0001-12-31", "-0001-12-31"),
        ("-9999-12-31", "-9999-12-31"),
        ("+10000-01-01", "+10000-01-01"),
        ("+2015-07-21", "2015-07-21"),
        ("+999999999-12-31", "+999999999-12-31"),
        ("-999999999-01-01", "-999999999-01-01"),
    ] {
        assert_eq!(text.parse::<Date>().unwrap().to_string(), written, "{text}");
    }
    for (text, written) in [
        ("21:40", "21:40:00"),
        ("21", "21:00:00"),
        ("2140", "21:40:00"),
        ("214032.142", "21:40:32.142"),
        ("21:40:32,000000001", "21:40:32.000000001"),
    ] {
        assert_eq!(text.parse::<LocalTime>().unwrap().to_string(), written, "{text}");
    }
    for (text, written) in [
        ("2015-07-21T21:40:32.142+01:00", "2015-07-21T21:40:32.142+01:00"),
        ("20150721T214032Z", "2015-07-21T21:40:32Z"),
        ("2015-07-21T21:40-0130", "2015-07-21T21:40:00-01:30"),
        ("1818-07-21T21:40:32+00:53:28[Europe/Stockholm]", "1818-07-21T21:40:32+00:53:28[Europe/Stockholm]"),
        // The offset that is given counts, whatever the zone's rules are, or whether it is known.
        ("2015-07-21T21:40+05:00[Nowhere/Land]", "2015-07-21T21:40:00+05:00[Nowhere/Land]"),
    ] {
        assert_eq!(text.parse::<DateTime>().unwrap().to_string(), written, "{text}");
    }
    for (text, written) in [
        ("P1Y2M3DT4H5M6.7S", "P1Y2M3DT4H5M6.7S"),
        ("P2W", "P14D"),
        ("PT0S", "PT0S"),
        ("P0D", "PT0S"),
        ("PT-0.5S", "PT-0.5S"),
        ("PT1H-1S", "PT59M59S"),
        ("-P1DT1S", "P-1DT-1S"),
        ("P14M", "P1Y2M"),
        ("PT90S", "PT1M30S"),
    ] {
        assert_eq!(text.parse::<Duration>().unwrap().to_string(), written, "{text}");
    }
}

#[test]
fn text_that_says_something_else_is_refused() {
    let refused = |text: &str, results: &[crate::Result<()>]| {
        for result in results {
            let error = result.clone().unwrap_err();
            assert_eq!(error.code(), crate::ErrorCode::InvalidArgument);
            assert!(error.to_string().contains(text), "{error}");
        }
    };
    for text in
        ["2015-02-29", "2015-7-21", "10000-01-01", "2015-07-21T00:00", "today", "+1234567890-01-01", "2015-07", ""]
    {
        refused(text, &[text.parse::<Date>().map(drop)]);
    }
    for text in ["24:00", "12:60", "12:00:60", "12:00:00.1234567890", "12:00:00.", "1:00", "12:00Z"] {
        refused(text, &[text.parse::<LocalTime>().map(drop)]);
    }
    for text in ["12:00", "12:00+19:00", "12:00+01:60"] {
        refused(text, &[text.parse::<Time>().map(drop)]);
    }
    for text in
        ["2015-07-21T12:00", "2015-07-21T12:00Z[]", "2015-07-21T12:00Z[a]b", "2015-07-21T12:00[No/Such]", "2015-07-21"]
    {
        refused(text, &[text.parse::<DateTime>().map(drop)]);
    }
    for text in [
        "P",
        "PT",
        "P1",
        "P1S",
        "PT1D",
        "P1D1Y",
        "P1DT",
        "P0.5D",
        "1D",
        "P99999999999999999999D",
        "PT9223372036854775808S",
    ] {
        refused(text, &[text.parse::<Duration>().map(drop)]);
    }
}

#[test]
fn a_zone_says_the_offset_where_a_value_is_made() {
    for (text, written) in [
        ("2015-07-21T21:40[Europe/Stockholm]", "2015-07-21T21:40:00+02:00[Europe/Stockholm]"),
        ("2015-01-21T21:40[Europe/Stockholm]", "2015-01-21T21:40:00+01:00[Europe/Stockholm]"),
        // Shown twice: the first time. Never shown: later by as much as clocks were put forward.
        ("2015-10-25T02:30[Europe/Stockholm]", "2015-10-25T02:30:00+02:00[Europe/Stockholm]"),
        ("2015-03-29T02:30[Europe/Stockholm]", "2015-03-29T03:30:00+02:00[Europe/Stockholm]"),
        ("+999999999-07-21T00:00[Europe/Stockholm]", "+999999999-07-21T00:00:00+02:00[Europe/Stockholm]"),
        ("-999999999-07-21T00:00[Etc/GMT-3]", "-999999999-07-21T00:00:00+03:00[Etc/GMT-3]"),
        ("2015-07-21T21:40[UTC]", "2015-07-21T21:40:00Z[UTC]"),
    ] {
        assert_eq!(text.parse::<DateTime>().unwrap().to_string(), written, "{text}");
    }
    assert_eq!(
        at_instant(0, 5, "America/New_York").unwrap().to_string(),
        "1969-12-31T19:00:00.000000005-05:00[America/New_York]"
    );
    let far = at_instant(31_556_889_800_000_000, 0, "Europe/Stockholm").unwrap();
    assert!([3600, 7200].contains(&far.offset_seconds()));
}
