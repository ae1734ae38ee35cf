//! Dates, times and durations: as `datetime` has them where that says them exactly, and as classes of this package.

use crate::{
    calls,
    errors::{Outcome, wrong_value},
};
use kitedb::{Date, DateTime, Duration, LocalDateTime, LocalTime, Time, Value, ValueRef};
use pyo3::{
    exceptions::PyOverflowError,
    prelude::*,
    types::{PyDate, PyDateTime, PyDelta, PyTime, PyTuple, PyTzInfo},
};
use std::hash::{Hash, Hasher};

const NANOS: u64 = 1_000_000_000;

/// What the classes have in common. They are immutable, and pickled by their text.
macro_rules! classes {
    ($($(#[$doc:meta])* $class:ident($core:ident) = $name:literal;)*) => {$(
        $(#[$doc])*
        #[pyclass(frozen, eq, hash, name = $name, module = "kitedb")]
        #[derive(Clone, PartialEq)]
        pub struct $class(pub $core);

        impl Hash for $class {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.0.to_string().hash(state);
            }
        }

        #[pymethods]
        impl $class {
            /// Reads ISO 8601 text. Raises `ValueError`.
            #[staticmethod]
            fn parse(text: &str) -> Outcome<Self> {
                Ok(Self(text.parse()?))
            }

            /// The ISO 8601 text.
            fn isoformat(&self) -> String {
                self.0.to_string()
            }

            fn __str__(&self) -> String {
                self.0.to_string()
            }

            fn __repr__(&self) -> String {
                format!(concat!("kitedb.", $name, ".parse('{}')"), self.0)
            }

            fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (String,))> {
                Ok((py.get_type::<Self>().getattr("parse")?, (self.0.to_string(),)))
            }
        }
    )*};
}

classes! {
    /// A day of the Gregorian calendar, from -999999999-01-01 to 999999999-12-31: what `datetime.date` says from the year 1 to 9999.
    PyLocalDate(Date) = "LocalDate";
    /// A time of day, of no place: what `datetime.time` says to the microsecond.
    PyLocalTime(LocalTime) = "LocalTime";
    /// A time of day at an offset from UTC: what an aware `datetime.time` says to the microsecond.
    PyOffsetTime(Time) = "Time";
    /// A day and a time of day, of no place: what a naive `datetime.datetime` says to the microsecond.
    PyLocalDateTime(LocalDateTime) = "LocalDateTime";
    /// An instant, with the offset and perhaps the zone in which it was given: what an aware `datetime.datetime` says to the
    /// microsecond.
    PyZonedDateTime(DateTime) = "DateTime";
    /// Months, days and seconds, none of which is turned into another: what `datetime.timedelta` says without months, to the
    /// microsecond.
    PyDuration(Duration) = "Duration";
}

#[pymethods]
impl PyLocalDate {
    /// The day that is so many days after 1970-01-01.
    #[new]
    fn new(#[pyo3(from_py_with = calls::whole)] days: i64) -> Outcome<Self> {
        Ok(Self(Date::new(days)?))
    }

    /// Days since 1970-01-01.
    #[getter]
    fn days(&self) -> i64 {
        self.0.days()
    }
}

#[pymethods]
impl PyLocalTime {
    /// So many nanoseconds since midnight.
    #[new]
    fn new(#[pyo3(from_py_with = calls::whole)] nanoseconds: u64) -> Outcome<Self> {
        Ok(Self(LocalTime::new(nanoseconds)?))
    }

    /// Nanoseconds since midnight.
    #[getter]
    fn nanoseconds(&self) -> u64 {
        self.0.nanos()
    }
}

#[pymethods]
impl PyOffsetTime {
    /// So many nanoseconds since midnight there, and seconds by which clocks there are ahead of UTC.
    #[new]
    fn new(
        #[pyo3(from_py_with = calls::whole)] nanoseconds: u64,
        #[pyo3(from_py_with = calls::whole)] offset_seconds: i32,
    ) -> Outcome<Self> {
        Ok(Self(Time::new(nanoseconds, offset_seconds)?))
    }

    /// Nanoseconds since midnight there.
    #[getter]
    fn nanoseconds(&self) -> u64 {
        self.0.nanos()
    }

    /// Seconds by which clocks there are ahead of UTC.
    #[getter]
    fn offset_seconds(&self) -> i32 {
        self.0.offset_seconds()
    }
}

#[pymethods]
impl PyLocalDateTime {
    /// Seconds since 1970-01-01 00:00, rounded down, and nanoseconds after those.
    #[new]
    #[pyo3(signature = (seconds, nanoseconds=0))]
    fn new(
        #[pyo3(from_py_with = calls::whole)] seconds: i64,
        #[pyo3(from_py_with = calls::whole)] nanoseconds: u32,
    ) -> Outcome<Self> {
        Ok(Self(LocalDateTime::new(seconds, nanoseconds)?))
    }

    /// Seconds since 1970-01-01 00:00, rounded down.
    #[getter]
    fn seconds(&self) -> i64 {
        self.0.seconds()
    }

    /// Nanoseconds after those.
    #[getter]
    fn nanoseconds(&self) -> u32 {
        self.0.nanos()
    }
}

#[pymethods]
impl PyZonedDateTime {
    /// Seconds since 1970-01-01 00:00 UTC, rounded down, nanoseconds after those, the offset from UTC in seconds, and the zone.
    #[new]
    #[pyo3(signature = (seconds, nanoseconds=0, offset_seconds=0, zone=None))]
    fn new(
        #[pyo3(from_py_with = calls::whole)] seconds: i64,
        #[pyo3(from_py_with = calls::whole)] nanoseconds: u32,
        #[pyo3(from_py_with = calls::whole)] offset_seconds: i32,
        zone: Option<&str>,
    ) -> Outcome<Self> {
        Ok(Self(DateTime::new(seconds, nanoseconds, offset_seconds, zone)?))
    }

    /// Seconds since 1970-01-01 00:00 UTC, rounded down.
    #[getter]
    fn seconds(&self) -> i64 {
        self.0.seconds()
    }

    /// Nanoseconds after those.
    #[getter]
    fn nanoseconds(&self) -> u32 {
        self.0.nanos()
    }

    /// Seconds by which clocks there were ahead of UTC.
    #[getter]
    fn offset_seconds(&self) -> i32 {
        self.0.offset_seconds()
    }

    /// The zone's name, as it was given; `None` if none was.
    #[getter]
    fn zone(&self) -> Option<&str> {
        self.0.zone()
    }
}

#[pymethods]
impl PyDuration {
    /// Minus half a second is -1 seconds and 500,000,000 nanoseconds.
    #[new]
    #[pyo3(signature = (*, months=0, days=0, seconds=0, nanoseconds=0))]
    fn new(
        #[pyo3(from_py_with = calls::whole)] months: i64,
        #[pyo3(from_py_with = calls::whole)] days: i64,
        #[pyo3(from_py_with = calls::whole)] seconds: i64,
        #[pyo3(from_py_with = calls::whole)] nanoseconds: u32,
    ) -> Outcome<Self> {
        Ok(Self(Duration::new(months, days, seconds, nanoseconds)?))
    }

    /// Months.
    #[getter]
    fn months(&self) -> i64 {
        self.0.months()
    }

    /// Days.
    #[getter]
    fn days(&self) -> i64 {
        self.0.days()
    }

    /// Seconds, rounded down.
    #[getter]
    fn seconds(&self) -> i64 {
        self.0.seconds()
    }

    /// Nanoseconds after those.
    #[getter]
    fn nanoseconds(&self) -> u32 {
        self.0.nanos()
    }
}

fn number<'py, T>(value: &Bound<'py, PyAny>, name: &str) -> PyResult<T>
where
    T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    value.getattr(name)?.extract()
}

/// Nanoseconds below a microsecond, of a subclass that has them (as those of pandas do).
fn below_micros(value: &Bound<'_, PyAny>, name: &str) -> PyResult<u64> {
    match value.getattr_opt(name)? {
        Some(nanos) => nanos.extract(),
        None => Ok(0),
    }
}

fn date_of(value: &Bound<'_, PyAny>) -> Outcome<Date> {
    Ok(Date::from_ymd(number(value, "year")?, number(value, "month")?, number(value, "day")?)?)
}

fn time_of(value: &Bound<'_, PyAny>) -> Outcome<LocalTime> {
    let hours: u64 = number(value, "hour")?;
    let (minutes, seconds): (u64, u64) = (number(value, "minute")?, number(value, "second")?);
    let micros: u64 = number(value, "microsecond")?;
    let nanos = micros.saturating_mul(1000).saturating_add(below_micros(value, "nanosecond")?);
    let of_clock = |hours: u64, minutes: u64, seconds: u64, nanos: u64| {
        let minutes = hours.checked_mul(60)?.checked_add(minutes)?;
        minutes.checked_mul(60)?.checked_add(seconds)?.checked_mul(NANOS)?.checked_add(nanos)
    };
    let nanos = of_clock(hours, minutes, seconds, nanos).ok_or_else(|| wrong_value("a time of no day"))?;
    Ok(LocalTime::new(nanos)?)
}

/// The offset of an aware value, in seconds; `None` of a naive one.
fn offset_of(value: &Bound<'_, PyAny>) -> Outcome<Option<i32>> {
    let zone = value.getattr("tzinfo")?;
    if zone.is_none() {
        return Ok(None);
    }
    let offset = value.call_method0("utcoffset")?;
    if offset.is_none() {
        return Err(wrong_value(format_args!(
            "the zone {zone} says no offset for {value}: give a datetime.timezone, or a datetime with a day"
        )));
    }
    let (days, seconds): (i32, i32) = (number(&offset, "days")?, number(&offset, "seconds")?);
    if number::<i32>(&offset, "microseconds")? != 0 {
        return Err(wrong_value(format_args!("the offset {offset} is of no whole seconds: give one that is")));
    }
    let whole = days.checked_mul(86_400).and_then(|days| days.checked_add(seconds));
    Ok(Some(whole.ok_or_else(|| wrong_value(format_args!("the offset {offset} is of too many days")))?))
}

/// The value that an object of `datetime`, or of this package, is; `None` if it is neither.
pub fn from_py(value: &Bound<'_, PyAny>) -> Outcome<Option<Value>> {
    if value.is_instance_of::<PyDateTime>() && !value.is_exact_instance_of::<PyDateTime>() && value.ne(value)? {
        // As that of pandas, which is no day and is not equal to itself.
        return Err(wrong_value(format_args!("no property can be {value}, which is no time: give None")));
    }
    Ok(Some(if value.is_instance_of::<PyDateTime>() {
        let local = LocalDateTime::of(date_of(value)?, time_of(value)?);
        match offset_of(value)? {
            None => Value::LocalDateTime(local),
            Some(offset) => {
                let zone: Option<String> = match value.getattr("tzinfo")?.getattr_opt("key")? {
                    Some(key) => key.extract()?,
                    None => None,
                };
                let seconds = local.seconds().saturating_sub(i64::from(offset));
                Value::DateTime(DateTime::new(seconds, local.nanos(), offset, zone.as_deref())?)
            }
        }
    } else if value.is_instance_of::<PyDate>() {
        Value::Date(date_of(value)?)
    } else if value.is_instance_of::<PyTime>() {
        let time = time_of(value)?;
        match offset_of(value)? {
            None => Value::LocalTime(time),
            Some(offset) => Value::Time(Time::new(time.nanos(), offset)?),
        }
    } else if value.is_instance_of::<PyDelta>() {
        let micros: u64 = number(value, "microseconds")?;
        let nanos = micros.saturating_mul(1000).saturating_add(below_micros(value, "nanoseconds")?);
        let nanos = u32::try_from(nanos).map_err(|_| PyOverflowError::new_err("a duration of too many nanoseconds"))?;
        Value::Duration(Duration::new(0, number(value, "days")?, number(value, "seconds")?, nanos)?)
    } else if let Ok(v) = value.cast::<PyLocalDate>() {
        Value::Date(v.get().0)
    } else if let Ok(v) = value.cast::<PyLocalTime>() {
        Value::LocalTime(v.get().0)
    } else if let Ok(v) = value.cast::<PyOffsetTime>() {
        Value::Time(v.get().0)
    } else if let Ok(v) = value.cast::<PyLocalDateTime>() {
        Value::LocalDateTime(v.get().0)
    } else if let Ok(v) = value.cast::<PyZonedDateTime>() {
        Value::DateTime(v.get().0.clone())
    } else if let Ok(v) = value.cast::<PyDuration>() {
        Value::Duration(v.get().0)
    } else {
        return Ok(None);
    }))
}

/// Hour, minute, second and microsecond; `None` if it is not of whole microseconds.
fn clock(nanos: u64) -> Option<(u8, u8, u8, u32)> {
    let (seconds, micros) = (nanos / NANOS, nanos % NANOS / 1000);
    let part = |n: u64| u8::try_from(n).ok();
    let exact = nanos.is_multiple_of(1000);
    let micros = u32::try_from(micros).ok().filter(|_| exact)?;
    Some((part(seconds / 3600)?, part(seconds / 60 % 60)?, part(seconds % 60)?, micros))
}

/// Year, month and day, where `datetime` has that year.
fn calendar(date: Date) -> Option<(i32, u8, u8)> {
    let (year, month, day) = date.ymd();
    (1..=9999).contains(&year).then_some((year as i32, month, day))
}

fn fixed(py: Python<'_>, offset: i32) -> PyResult<Bound<'_, PyTzInfo>> {
    match offset {
        0 => PyTzInfo::utc(py).map(|utc| utc.to_owned()),
        offset => PyTzInfo::fixed_offset(py, PyDelta::new(py, 0, offset, 0, true)?),
    }
}

/// A date, a time or a duration as `datetime` has it, or as the class of this package where that does not say it exactly.
pub fn to_py<'py>(py: Python<'py>, value: ValueRef<'_>) -> PyResult<Bound<'py, PyAny>> {
    match value {
        ValueRef::Date(date) => match calendar(date) {
            Some((year, month, day)) => Ok(PyDate::new(py, year, month, day)?.into_any()),
            None => Ok(Bound::new(py, PyLocalDate(date))?.into_any()),
        },
        ValueRef::LocalTime(time) => match clock(time.nanos()) {
            Some((h, m, s, us)) => Ok(PyTime::new(py, h, m, s, us, None)?.into_any()),
            None => Ok(Bound::new(py, PyLocalTime(time))?.into_any()),
        },
        ValueRef::Time(time) => match clock(time.nanos()) {
            Some((h, m, s, us)) => {
                Ok(PyTime::new(py, h, m, s, us, Some(&fixed(py, time.offset_seconds())?))?.into_any())
            }
            None => Ok(Bound::new(py, PyOffsetTime(time))?.into_any()),
        },
        ValueRef::LocalDateTime(local) => match plain(py, local, None, false)? {
            Some(value) => Ok(value),
            None => Ok(Bound::new(py, PyLocalDateTime(local))?.into_any()),
        },
        ValueRef::DateTime(at) => {
            let at = at.to_owned();
            match zoned(py, &at)? {
                Some(value) => Ok(value),
                None => Ok(Bound::new(py, PyZonedDateTime(at))?.into_any()),
            }
        }
        ValueRef::Duration(duration) => {
            let duration = duration.get();
            match delta(py, duration) {
                Some(value) => Ok(value?.into_any()),
                None => Ok(Bound::new(py, PyDuration(duration))?.into_any()),
            }
        }
        _ => Ok(PyTuple::empty(py).into_any()),
    }
}

fn plain<'py>(
    py: Python<'py>,
    local: LocalDateTime,
    zone: Option<&Bound<'py, PyTzInfo>>,
    fold: bool,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let (Some((year, month, day)), Some((h, m, s, us))) = (calendar(local.date()), clock(local.time().nanos())) else {
        return Ok(None);
    };
    Ok(Some(PyDateTime::new_with_fold(py, year, month, day, h, m, s, us, zone, fold)?.into_any()))
}

fn zoned<'py>(py: Python<'py>, at: &DateTime) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(name) = at.zone() else { return plain(py, at.local(), Some(&fixed(py, at.offset_seconds())?), false) };
    // A zone that is not known here, or whose rules say another offset today, is kept as it was written.
    let Ok(zone) = PyTzInfo::timezone(py, name) else { return Ok(None) };
    for fold in [false, true] {
        let Some(value) = plain(py, at.local(), Some(&zone), fold)? else { return Ok(None) };
        let offset = value.call_method0("utcoffset")?;
        if offset.eq(PyDelta::new(py, 0, at.offset_seconds(), 0, true)?)? {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

fn delta(py: Python<'_>, duration: Duration) -> Option<PyResult<Bound<'_, PyDelta>>> {
    let days = i32::try_from(duration.days()).ok().filter(|days| days.abs() < 1_000_000_000)?;
    let seconds = i32::try_from(duration.seconds()).ok().filter(|seconds| (0..86_400).contains(seconds))?;
    let exact = duration.months() == 0 && duration.nanos().is_multiple_of(1000);
    exact.then(|| PyDelta::new(py, days, seconds, (duration.nanos() / 1000) as i32, false))
}
