//! The temporal kinds as plain numbers. Their text and the rules of zones are in [`crate::temporal`]: what stores and
//! compares values asks no calendar of the machine.

use crate::{
    error::{Error, Result},
    graph::codec::{Reader, unzigzag},
};
use std::fmt;

/// The first day, in days since 1970-01-01: that of the year -999,999,999.
const FIRST_DAY: i64 = -365_243_219_162;
/// The last day: that of the year 999,999,999.
const LAST_DAY: i64 = 365_241_780_471;
pub(crate) const DAY_SECONDS: i64 = 86_400;
pub(crate) const SECOND_NANOS: u32 = 1_000_000_000;
const DAY_NANOS: u64 = 86_400 * SECOND_NANOS as u64;
/// The greatest distance from UTC: 18 hours.
const MAX_OFFSET: i32 = 18 * 3600;
/// The longest name of a zone, in bytes.
const MAX_ZONE: usize = 255;
/// A month of the average length: a twelfth of a year of 365.2425 days.
const MONTH_SECONDS: i128 = 2_629_746;

fn outside(what: &str, value: impl fmt::Display, least: impl fmt::Display, most: impl fmt::Display) -> Error {
    Error::invalid(format_args!("{what} is {value}, which is not between {least} and {most}"))
}

fn check_second(nanos: u32) -> Result<()> {
    if nanos < SECOND_NANOS { Ok(()) } else { Err(outside("the nanosecond of a second", nanos, 0, SECOND_NANOS - 1)) }
}

fn check_offset(offset: i32) -> Result<()> {
    let sound = (-MAX_OFFSET..=MAX_OFFSET).contains(&offset);
    if sound { Ok(()) } else { Err(outside("an offset from UTC in seconds", offset, -MAX_OFFSET, MAX_OFFSET)) }
}

fn check_time(nanos: u64) -> Result<()> {
    if nanos < DAY_NANOS { Ok(()) } else { Err(outside("the nanosecond of a day", nanos, 0, DAY_NANOS - 1)) }
}

/// A day of the Gregorian calendar, from -999999999-01-01 to 999999999-12-31.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    days: i64,
}

impl Date {
    /// The day that is `days` after 1970-01-01.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument) outside the years -999,999,999 to 999,999,999.
    pub fn new(days: i64) -> Result<Self> {
        let sound = (FIRST_DAY..=LAST_DAY).contains(&days);
        if sound { Ok(Self { days }) } else { Err(outside("a date in days since 1970", days, FIRST_DAY, LAST_DAY)) }
    }

    /// The day of a year (0 is the one before year 1), month and day of the month.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument) if there is no such day.
    pub fn from_ymd(year: i64, month: u8, day: u8) -> Result<Self> {
        if !(-999_999_999..=999_999_999).contains(&year) {
            return Err(outside("a year", year, -999_999_999, 999_999_999));
        }
        if !(1..=12).contains(&month) {
            return Err(outside("a month", month, 1, 12));
        }
        let last = days_in(year, month);
        if !(1..=last).contains(&day) {
            return Err(Error::invalid(format_args!("month {month} of the year {year} has no day {day}")));
        }
        // Years that begin in March, so that the day that comes and goes is their last one; eras of 400 years.
        let (year, month) = (year - i64::from(month <= 2), i64::from(month));
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(day) - 1;
        Self::new(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
    }

    /// Days since 1970-01-01.
    pub fn days(self) -> i64 {
        self.days
    }

    /// Year, month and day of the month.
    pub fn ymd(self) -> (i64, u8, u8) {
        let days = self.days + 719_468;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        (year + era * 400 + i64::from(month <= 2), month as u8, day as u8)
    }
}

fn days_in(year: i64, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// A time of day, to the nanosecond, of no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalTime {
    nanos: u64,
}

impl LocalTime {
    /// The time so many nanoseconds after midnight.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument) from 24 hours on.
    pub fn new(nanos: u64) -> Result<Self> {
        check_time(nanos).map(|()| Self { nanos })
    }

    /// Nanoseconds since midnight.
    pub fn nanos(self) -> u64 {
        self.nanos
    }
}

/// A time of day at an offset from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Time {
    nanos: u64,
    offset_seconds: i32,
}

impl Time {
    /// The time so many nanoseconds after midnight where clocks are so many seconds ahead of UTC.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument) from 24 hours on, or at an offset of more than 18.
    pub fn new(nanos: u64, offset_seconds: i32) -> Result<Self> {
        check_time(nanos).and_then(|()| check_offset(offset_seconds)).map(|()| Self { nanos, offset_seconds })
    }

    /// Nanoseconds since midnight, there.
    pub fn nanos(self) -> u64 {
        self.nanos
    }

    /// Seconds by which clocks there are ahead of UTC.
    pub fn offset_seconds(self) -> i32 {
        self.offset_seconds
    }

    /// Nanoseconds since midnight of UTC, which may be of the day before or after.
    pub(super) fn instant(self) -> i64 {
        self.nanos as i64 - i64::from(self.offset_seconds) * i64::from(SECOND_NANOS)
    }
}

/// A day and a time of day, of no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalDateTime {
    seconds: i64,
    nanos: u32,
}

impl LocalDateTime {
    /// The date-time so many seconds and nanoseconds after 1970-01-01 00:00. `seconds` are rounded down: half a second
    /// before is -1 and 500,000,000.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument) if its day is no [`Date`], or `nanos` a second or more.
    pub fn new(seconds: i64, nanos: u32) -> Result<Self> {
        check_second(nanos)?;
        Date::new(seconds.div_euclid(DAY_SECONDS)).map(|_| Self { seconds, nanos })
    }

    /// The date-time of a day and a time.
    pub fn of(date: Date, time: LocalTime) -> Self {
        let (seconds, nanos) = (time.nanos / u64::from(SECOND_NANOS), time.nanos % u64::from(SECOND_NANOS));
        Self { seconds: date.days * DAY_SECONDS + seconds as i64, nanos: nanos as u32 }
    }

    /// Seconds since 1970-01-01 00:00, rounded down.
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds after that.
    pub fn nanos(self) -> u32 {
        self.nanos
    }

    /// Its day.
    pub fn date(self) -> Date {
        Date { days: self.seconds.div_euclid(DAY_SECONDS) }
    }

    /// Its time of day.
    pub fn time(self) -> LocalTime {
        let seconds = self.seconds.rem_euclid(DAY_SECONDS) as u64;
        LocalTime { nanos: seconds * u64::from(SECOND_NANOS) + u64::from(self.nanos) }
    }
}

/// An instant, with the offset at which it was given, and the zone's name if one was.
///
/// The offset is as the writer resolved it: nothing that reads it asks what the zone's rules say today.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DateTime {
    seconds: i64,
    nanos: u32,
    offset_seconds: i32,
    /// Boxed twice, so that a value stays small.
    zone: Option<Box<Box<str>>>,
}

impl DateTime {
    /// The instant so many seconds (rounded down) and nanoseconds after 1970-01-01 00:00 UTC.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument) if its day at that offset is no [`Date`], `nanos` a
    /// second or more, the offset more than 18 hours, or the zone's name not 1 to 255 visible ASCII characters without brackets.
    pub fn new(seconds: i64, nanos: u32, offset_seconds: i32, zone: Option<&str>) -> Result<Self> {
        check_date_time(seconds, nanos, offset_seconds, zone)?;
        Ok(Self { seconds, nanos, offset_seconds, zone: zone.map(|name| Box::new(name.into())) })
    }

    /// Seconds since 1970-01-01 00:00 UTC, rounded down.
    pub fn seconds(&self) -> i64 {
        self.seconds
    }

    /// Nanoseconds after that.
    pub fn nanos(&self) -> u32 {
        self.nanos
    }

    /// Seconds by which clocks there were ahead of UTC.
    pub fn offset_seconds(&self) -> i32 {
        self.offset_seconds
    }

    /// The zone's name, as it was given.
    pub fn zone(&self) -> Option<&str> {
        self.zone.as_ref().map(|name| &***name)
    }

    /// What clocks there showed.
    pub fn local(&self) -> LocalDateTime {
        LocalDateTime { seconds: self.seconds + i64::from(self.offset_seconds), nanos: self.nanos }
    }
}

fn check_date_time(seconds: i64, nanos: u32, offset: i32, zone: Option<&str>) -> Result<()> {
    check_second(nanos)?;
    check_offset(offset)?;
    Date::new(seconds.saturating_add(offset.into()).div_euclid(DAY_SECONDS))?;
    let named = |name: &str| {
        (1..=MAX_ZONE).contains(&name.len()) && name.bytes().all(|c| c.is_ascii_graphic() && !matches!(c, b'[' | b']'))
    };
    match zone {
        Some(name) if !named(name) => Err(Error::invalid(format_args!(
            "the name of a zone has {} bytes: it must be 1 to {MAX_ZONE} visible ASCII characters without brackets",
            name.len()
        ))),
        _ => Ok(()),
    }
}

/// A [`DateTime`] as stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DateTimeRef<'a>(&'a [u8]);

impl<'a> DateTimeRef<'a> {
    /// Reads one, which is checked.
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self> {
        let bytes = reader.rest();
        let (seconds, nanos, offset, zone) = Self::read(reader)?;
        check_date_time(seconds, nanos, offset, zone).map_err(Error::corrupt)?;
        Ok(Self(&bytes[..bytes.len() - reader.rest().len()]))
    }

    fn read(reader: &mut Reader<'a>) -> Result<(i64, u32, i32, Option<&'a str>)> {
        let (seconds, nanos) = (unzigzag(reader.minimal()?), number(reader)?);
        let offset = signed(reader)?;
        let zone = reader.minimal_text()?;
        Ok((seconds, nanos, offset, Some(zone).filter(|name| !name.is_empty())))
    }

    /// Seconds and nanoseconds since 1970-01-01 00:00 UTC, the offset, and the zone's name: see [`DateTime`].
    pub fn parts(self) -> (i64, u32, i32, Option<&'a str>) {
        // It was read before.
        Self::read(&mut Reader::new(self.0)).unwrap_or_default()
    }

    /// An owned copy.
    pub fn to_owned(self) -> DateTime {
        let (seconds, nanos, offset_seconds, zone) = self.parts();
        DateTime { seconds, nanos, offset_seconds, zone: zone.map(|name| Box::new(name.into())) }
    }
}

/// Months, days and seconds, none of which is ever turned into another: a month has no fixed number of days, nor a day one
/// of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
// Without the four bytes that would fill it up, a value stays small.
#[repr(Rust, packed(4))]
pub struct Duration {
    months: i64,
    days: i64,
    seconds: i64,
    nanos: u32,
}

impl Duration {
    /// The duration of so many months, days, and seconds with their fraction. `seconds` are rounded down: minus half a
    /// second is -1 and 500,000,000.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument) if `nanos` is a second or more.
    pub fn new(months: i64, days: i64, seconds: i64, nanos: u32) -> Result<Self> {
        check_second(nanos).map(|()| Self { months, days, seconds, nanos })
    }

    /// Months.
    pub fn months(self) -> i64 {
        self.months
    }

    /// Days.
    pub fn days(self) -> i64 {
        self.days
    }

    /// Seconds, rounded down.
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds after those.
    pub fn nanos(self) -> u32 {
        self.nanos
    }

    /// By what durations are ordered: the average length in nanoseconds, then the four numbers.
    pub(super) fn order(self) -> (i128, i64, i64, i64, u32) {
        let days = i128::from(self.days) * i128::from(DAY_SECONDS);
        let seconds = i128::from(self.months) * MONTH_SECONDS + days + i128::from(self.seconds);
        let length = seconds * i128::from(SECOND_NANOS) + i128::from(self.nanos);
        (length, self.months, self.days, self.seconds, self.nanos)
    }
}

/// A [`Duration`] as stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DurationRef<'a>(&'a [u8]);

impl<'a> DurationRef<'a> {
    /// Reads one, which is checked.
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self> {
        let bytes = reader.rest();
        Self::read(reader)?;
        Ok(Self(&bytes[..bytes.len() - reader.rest().len()]))
    }

    fn read(reader: &mut Reader<'_>) -> Result<Duration> {
        let mut next = || reader.minimal().map(unzigzag);
        let (months, days, seconds) = (next()?, next()?, next()?);
        Duration::new(months, days, seconds, number(reader)?).map_err(Error::corrupt)
    }

    /// The duration.
    pub fn get(self) -> Duration {
        // It was read before.
        let none = Duration { months: 0, days: 0, seconds: 0, nanos: 0 };
        Self::read(&mut Reader::new(self.0)).unwrap_or(none)
    }
}

pub(super) fn date(reader: &mut Reader<'_>) -> Result<Date> {
    Date::new(unzigzag(reader.minimal()?)).map_err(Error::corrupt)
}

pub(super) fn local_time(reader: &mut Reader<'_>) -> Result<LocalTime> {
    LocalTime::new(reader.minimal()?).map_err(Error::corrupt)
}

pub(super) fn time(reader: &mut Reader<'_>) -> Result<Time> {
    Time::new(reader.minimal()?, signed(reader)?).map_err(Error::corrupt)
}

pub(super) fn local_date_time(reader: &mut Reader<'_>) -> Result<LocalDateTime> {
    LocalDateTime::new(unzigzag(reader.minimal()?), number(reader)?).map_err(Error::corrupt)
}

fn number(reader: &mut Reader<'_>) -> Result<u32> {
    u32::try_from(reader.minimal()?).map_err(|_| Error::corrupt("a number does not fit 32 bits"))
}

fn signed(reader: &mut Reader<'_>) -> Result<i32> {
    i32::try_from(unzigzag(reader.minimal()?)).map_err(|_| Error::corrupt("a number does not fit 32 bits"))
}
