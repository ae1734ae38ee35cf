//! Zones by name, from the database of time zones of the machine (tzdata): for whoever makes a value, never for whoever
//! reads or applies one.

use crate::{
    error::{Error, Result},
    graph::{Date, DateTime, LocalDateTime},
};
use jiff::{
    Timestamp, civil,
    tz::{AmbiguousOffset, TimeZone},
};

/// The Gregorian calendar repeats itself after so many years, weekdays included, and so do the rules of zones.
const CYCLE_YEARS: i64 = 400;
const CYCLE_SECONDS: i64 = 146_097 * 86_400;
/// jiff knows the years -9999 to 9999; what is beyond is asked of a year of these, which is like it.
const KNOWN_YEARS: std::ops::RangeInclusive<i64> = -9_500..=9_500;

fn zone(name: &str) -> Result<TimeZone> {
    TimeZone::get(name).map_err(|_| {
        Error::invalid(format_args!(
            "the zone `{name:.80}` is not known here: see that the system has a database of time zones (tzdata), or give the \
             offset from UTC"
        ))
    })
}

/// How many cycles must be added to a year so that it is a known one.
fn cycles(year: i64) -> i64 {
    let beyond = if year > *KNOWN_YEARS.end() { year - KNOWN_YEARS.end() } else { (year - KNOWN_YEARS.start()).min(0) };
    // Rounded away from 0, towards which it moves the year.
    -(beyond.signum() * ((beyond.abs() + CYCLE_YEARS - 1) / CYCLE_YEARS))
}

/// What clocks in `zone` show when they show `local`, as an instant with its offset.
///
/// Where clocks were put back and show it twice, it is the first time; where they were put forward and never show it, it is
/// as much later as they were put forward.
///
/// # Errors
/// [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument) if this machine does not know the zone.
pub fn at_local(local: LocalDateTime, zone_name: &str) -> Result<DateTime> {
    let zone = zone(zone_name)?;
    let (year, month, day) = local.date().ymd();
    let out_of_range = |e: jiff::Error| Error::invalid(format_args!("{local} in {zone_name:.80}: {e}"));
    let known = i16::try_from(year + cycles(year) * CYCLE_YEARS).map_err(|_| Error::invalid("a year beyond all"))?;
    let seconds = (local.seconds().rem_euclid(86_400)) as i32;
    let parts = [seconds / 3600, seconds / 60 % 60, seconds % 60].map(|part| part as i8);
    let shown = civil::DateTime::new(known, month as i8, day as i8, parts[0], parts[1], parts[2], 0);
    let offsets = zone.to_ambiguous_timestamp(shown.map_err(out_of_range)?).offset();
    // The offset that makes an instant of what is shown, and the one that counts at that instant.
    let (made_by, counts) = match offsets {
        AmbiguousOffset::Unambiguous { offset } => (offset, offset),
        AmbiguousOffset::Gap { before, after } => (before, after),
        AmbiguousOffset::Fold { before, .. } => (before, before),
    };
    let seconds = local.seconds() - i64::from(made_by.seconds());
    DateTime::new(seconds, local.nanos(), counts.seconds(), Some(zone_name))
}

/// The instant so many seconds and nanoseconds after 1970-01-01 00:00 UTC, with the offset of `zone` at that time.
///
/// # Errors
/// As [`at_local`], and as [`DateTime::new`].
pub fn at_instant(seconds: i64, nanos: u32, zone_name: &str) -> Result<DateTime> {
    let zone = zone(zone_name)?;
    let (year, ..) = Date::new(seconds.div_euclid(86_400))?.ymd();
    let known = Timestamp::from_second(seconds + cycles(year) * CYCLE_SECONDS);
    let known = known.map_err(|e| Error::invalid(format_args!("the second {seconds} of 1970: {e}")))?;
    DateTime::new(seconds, nanos, zone.to_offset(known).seconds(), Some(zone_name))
}

/// What clocks show at an offset, with a zone's name as it was given.
pub(super) fn exactly(local: LocalDateTime, offset: i32, zone: Option<&str>) -> Result<DateTime> {
    DateTime::new(local.seconds() - i64::from(offset), local.nanos(), offset, zone)
}
