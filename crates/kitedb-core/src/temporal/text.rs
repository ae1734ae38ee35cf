//! Dates and times as ISO 8601 text. Years have four digits, or a sign and up to nine; seconds up to nine decimals.
//!
//! Read are the extended form (`2015-07-21T21:40:32.142+01:00`), which is the one that is written, and the basic one
//! (`20150721T214032.142+0100`). A zone stands behind in brackets; where it stands without an offset, the offset is that of
//! its clocks at that time.

use super::{
    scan::Scan,
    zone::{at_local, exactly},
};
use crate::{
    error::{Error, Result},
    graph::{Date, DateTime, LocalDateTime, LocalTime, Time},
};
use std::{fmt, str::FromStr};

const SECOND: u64 = 1_000_000_000;
const DATE: &str = "2015-07-21, beyond the years 0 to 9999 with a sign";
const TIME: &str = "21:40:32.142, with up to 9 decimals";

fn date(scan: &mut Scan<'_>) -> Result<Date> {
    let sign = scan.take(b"+-");
    let mut ahead = *scan;
    let digits = ahead.digits();
    let (year, basic) = match digits.len() {
        // A sign stands before more digits, too: where the year ends, only the separator tells.
        4..=9 if ahead.peek() == Some(b'-') && (sign.is_some() || digits.len() == 4) => {
            *scan = ahead;
            (digits.parse::<i64>().map_err(|_| scan.bad())?, false)
        }
        8 if sign.is_none() => (i64::from(scan.number(4)?), true),
        _ => return Err(scan.bad()),
    };
    if !basic {
        scan.expect(b'-')?;
    }
    let month = scan.number(2)?;
    if !basic {
        scan.expect(b'-')?;
    }
    let day = scan.number(2)?;
    let year = if sign == Some(b'-') { -year } else { year };
    Date::from_ymd(year, month as u8, day as u8).map_err(|e| scan.because(&e))
}

fn time(scan: &mut Scan<'_>) -> Result<LocalTime> {
    let hour = scan.number(2)?;
    let extended = scan.take(b":").is_some();
    let minute = if extended || starts_with_digit(scan) { scan.number(2)? } else { 0 };
    let more = if extended { scan.take(b":").is_some() } else { starts_with_digit(scan) };
    let (second, nanos) = if more { (scan.number(2)?, scan.fraction()?) } else { (0, 0) };
    if hour > 23 || minute > 59 || second > 59 {
        return Err(scan.bad());
    }
    LocalTime::new(u64::from((hour * 60 + minute) * 60 + second) * SECOND + u64::from(nanos))
}

fn starts_with_digit(scan: &Scan<'_>) -> bool {
    scan.peek().is_some_and(|c| c.is_ascii_digit())
}

/// An offset from UTC in seconds, if one comes next.
fn offset(scan: &mut Scan<'_>) -> Result<Option<i32>> {
    if scan.take(b"Zz").is_some() {
        return Ok(Some(0));
    }
    let Some(sign) = scan.take(b"+-") else { return Ok(None) };
    let mut seconds = scan.number(2)? * 3600;
    let extended = scan.take(b":").is_some();
    if extended || starts_with_digit(scan) {
        seconds += minutes(scan)? * 60;
        if if extended { scan.take(b":").is_some() } else { starts_with_digit(scan) } {
            seconds += minutes(scan)?;
        }
    }
    Ok(Some(if sign == b'-' { -(seconds as i32) } else { seconds as i32 }))
}

fn minutes(scan: &mut Scan<'_>) -> Result<u32> {
    Some(scan.number(2)?).filter(|n| *n < 60).ok_or_else(|| scan.bad())
}

fn local(scan: &mut Scan<'_>) -> Result<LocalDateTime> {
    let date = date(scan)?;
    scan.take(b"Tt").ok_or_else(|| scan.bad())?;
    Ok(LocalDateTime::of(date, time(scan)?))
}

impl FromStr for Date {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut scan = Scan::new(text, "date", DATE);
        let date = date(&mut scan)?;
        scan.end(date)
    }
}

impl FromStr for LocalTime {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut scan = Scan::new(text, "local time", TIME);
        let time = time(&mut scan)?;
        scan.end(time)
    }
}

impl FromStr for Time {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut scan = Scan::new(text, "time", "21:40:32.142+01:00, or Z for UTC");
        let time = time(&mut scan)?;
        let offset = offset(&mut scan)?.ok_or_else(|| scan.bad())?;
        let time = Self::new(time.nanos(), offset).map_err(|e| scan.because(&e))?;
        scan.end(time)
    }
}

impl FromStr for LocalDateTime {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut scan = Scan::new(text, "local date-time", "2015-07-21T21:40:32.142");
        let local = local(&mut scan)?;
        scan.end(local)
    }
}

impl FromStr for DateTime {
    type Err = Error;

    /// Where there is an offset, it counts, whatever the zone's rules say: what was written once reads back the same
    /// everywhere.
    fn from_str(text: &str) -> Result<Self> {
        let form =
            "2015-07-21T21:40:32.142+01:00, perhaps with a zone behind it as [Europe/London], which may stand alone";
        let mut scan = Scan::new(text, "date-time", form);
        let local = local(&mut scan)?;
        let offset = offset(&mut scan)?;
        let zone = scan.bracketed()?;
        let made = match (offset, zone) {
            (Some(offset), zone) => exactly(local, offset, zone),
            (None, Some(zone)) => at_local(local, zone),
            (None, None) => return Err(scan.bad()),
        };
        let made = made.map_err(|e| scan.because(&e))?;
        scan.end(made)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.ymd();
        match year {
            0..=9999 => write!(f, "{year:04}-{month:02}-{day:02}"),
            _ => write!(f, "{year:+05}-{month:02}-{day:02}"),
        }
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.nanos() / SECOND, self.nanos() % SECOND);
        write!(f, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
        fraction(f, nanos as u32)
    }
}

/// The decimals of a second, without the zeros that end them.
pub(super) fn fraction(f: &mut fmt::Formatter<'_>, nanos: u32) -> fmt::Result {
    match format!("{nanos:09}").trim_end_matches('0') {
        "" => Ok(()),
        digits => write!(f, ".{digits}"),
    }
}

fn put_offset(f: &mut fmt::Formatter<'_>, offset: i32) -> fmt::Result {
    if offset == 0 {
        return f.write_str("Z");
    }
    let (sign, seconds) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs());
    write!(f, "{sign}{:02}:{:02}", seconds / 3600, seconds / 60 % 60)?;
    match seconds % 60 {
        0 => Ok(()),
        seconds => write!(f, ":{seconds:02}"),
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Ok(time) = LocalTime::new(self.nanos()) {
            fmt::Display::fmt(&time, f)?;
        }
        put_offset(f, self.offset_seconds())
    }
}

impl fmt::Display for LocalDateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}T{}", self.date(), self.time())
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.local(), f)?;
        put_offset(f, self.offset_seconds())?;
        self.zone().map_or(Ok(()), |zone| write!(f, "[{zone}]"))
    }
}
