//! What the values of a property are, as far as one Arrow column can hold them.

use arrow_schema::{DataType, Field, TimeUnit};
use kitedb::{LocalDateTime, ValueRef};
use std::sync::Arc;

/// The largest integer up to which every one is also a float.
const EXACT: u64 = 1 << 53;

/// What all values so far are. Null is everywhere.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Null,
    Bool,
    /// Integers, and whether each of them is also a float.
    Int {
        exact: bool,
    },
    Float,
    Text,
    Bytes,
    /// Vectors, and how long all of them are; `None`: not all as long.
    Vector(Option<usize>),
    Date,
    LocalTime,
    LocalDateTime(Moments),
    DateTime(Moments, Zone),
    List(Box<Self>),
}

/// In which units points in time can be told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    micros: bool,
    nanos: bool,
}

/// The zone of all instants.
#[derive(Debug, Clone, PartialEq)]
pub enum Zone {
    Named(String),
    /// Seconds by which its clocks are ahead of UTC.
    Offset(i32),
    /// They are of several: each is told as the same instant in UTC.
    Several,
}

/// Why no column holds a value.
#[derive(Debug)]
pub enum Unfit {
    /// No column holds such values.
    Kind(&'static str),
    /// No column holds both.
    Mixed(&'static str, &'static str),
    /// It is outside of what a column can tell.
    Range(&'static str),
}

impl Kind {
    /// Takes one more value in.
    pub fn widen(&mut self, value: ValueRef<'_>) -> Result<(), Unfit> {
        match (&mut *self, value) {
            (_, ValueRef::Null)
            | (Self::Bool, ValueRef::Bool(_))
            | (Self::Float, ValueRef::F64(_))
            | (Self::Text, ValueRef::String(_))
            | (Self::Bytes, ValueRef::Bytes(_))
            | (Self::LocalTime, ValueRef::LocalTime(_)) => {}
            (Self::Int { exact }, ValueRef::I64(v)) => *exact &= is_exact(v),
            (Self::Float, ValueRef::I64(v)) if is_exact(v) => {}
            (kind @ Self::Int { exact: true }, ValueRef::F64(_)) => *kind = Self::Float,
            (Self::Vector(length), ValueRef::Vector(v)) => *length = length.filter(|length| *length == v.len()),
            (Self::Date, ValueRef::Date(v)) => {
                i32::try_from(v.days()).map_err(|_| Unfit::Range("date"))?;
            }
            (Self::LocalDateTime(moments), ValueRef::LocalDateTime(v)) => *moments = moments.and(local(v))?,
            (Self::DateTime(moments, zone), ValueRef::DateTime(v)) => {
                let (seconds, nanos, offset, name) = v.parts();
                *moments = moments.and(Moments::of(seconds, nanos))?;
                let same = match (&*zone, name) {
                    (Zone::Named(zone), Some(name)) => zone == name,
                    (Zone::Offset(zone), None) => *zone == offset,
                    _ => false,
                };
                if !same {
                    *zone = Zone::Several;
                }
            }
            (Self::List(items), ValueRef::List(list)) => list.iter().try_for_each(|item| items.widen(item))?,
            (kind @ Self::Null, value) => *kind = Self::of(value)?,
            (kind, value) => {
                let found = Self::of(value)?;
                return Err(Unfit::Mixed(kind.name(), found.name()));
            }
        }
        Ok(())
    }

    fn of(value: ValueRef<'_>) -> Result<Self, Unfit> {
        let mut kind = match value {
            ValueRef::Null => Self::Null,
            ValueRef::Bool(_) => Self::Bool,
            ValueRef::I64(v) => Self::Int { exact: is_exact(v) },
            ValueRef::F64(_) => Self::Float,
            ValueRef::String(_) => Self::Text,
            ValueRef::Bytes(_) => Self::Bytes,
            ValueRef::Vector(v) => Self::Vector(Some(v.len())),
            ValueRef::Date(_) => Self::Date,
            ValueRef::LocalTime(_) => Self::LocalTime,
            ValueRef::LocalDateTime(v) => Self::LocalDateTime(local(v)),
            ValueRef::DateTime(v) => {
                let (seconds, nanos, offset, name) = v.parts();
                let zone = name.map_or(Zone::Offset(offset), |name| Zone::Named(name.to_owned()));
                Self::DateTime(Moments::of(seconds, nanos), zone)
            }
            ValueRef::List(_) => Self::List(Box::new(Self::Null)),
            ValueRef::Map(_) => return Err(Unfit::Kind("dict")),
            ValueRef::Time(_) => return Err(Unfit::Kind("time with an offset")),
            ValueRef::Duration(_) => return Err(Unfit::Kind("duration")),
            _ => return Err(Unfit::Kind("value of a kind that came later")),
        };
        // What a range or a list asks for is asked of the first one, too.
        if !matches!(kind, Self::Null) {
            kind.widen(value)?;
        }
        Ok(kind)
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Null => "None",
            Self::Bool => "bool",
            Self::Int { .. } => "int",
            Self::Float => "float",
            Self::Text => "str",
            Self::Bytes => "bytes",
            Self::Vector(_) => "vector",
            Self::Date => "date",
            Self::LocalTime => "time",
            Self::LocalDateTime(_) => "datetime",
            Self::DateTime(..) => "datetime with a zone",
            Self::List(_) => "list",
        }
    }

    /// What Arrow calls it.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Null => DataType::Null,
            Self::Bool => DataType::Boolean,
            Self::Int { .. } => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Text => DataType::Utf8,
            Self::Bytes => DataType::Binary,
            Self::Vector(length) => {
                match length.and_then(|length| i32::try_from(length).ok()).filter(|length| *length > 0) {
                    Some(length) => DataType::FixedSizeList(item(DataType::Float32), length),
                    None => DataType::List(item(DataType::Float32)),
                }
            }
            Self::Date => DataType::Date32,
            Self::LocalTime => DataType::Time64(TimeUnit::Nanosecond),
            Self::LocalDateTime(moments) => DataType::Timestamp(moments.unit(), None),
            Self::DateTime(moments, zone) => DataType::Timestamp(moments.unit(), Some(zone.name())),
            Self::List(items) => DataType::List(item(items.data_type())),
        }
    }
}

/// The field of what is in a list.
pub fn item(of: DataType) -> Arc<Field> {
    Arc::new(Field::new_list_field(of, true))
}

fn is_exact(v: i64) -> bool {
    v.unsigned_abs() <= EXACT
}

fn local(v: LocalDateTime) -> Moments {
    Moments::of(v.seconds(), v.nanos())
}

impl Moments {
    fn of(seconds: i64, nanos: u32) -> Self {
        let micros = nanos.is_multiple_of(1000) && in_micros(seconds, nanos).is_some();
        Self { micros, nanos: in_nanos(seconds, nanos).is_some() }
    }

    fn and(self, other: Self) -> Result<Self, Unfit> {
        let both = Self { micros: self.micros && other.micros, nanos: self.nanos && other.nanos };
        if both.micros || both.nanos { Ok(both) } else { Err(Unfit::Range("datetime")) }
    }

    /// Microseconds where these tell all of them, as they reach further.
    pub fn unit(self) -> TimeUnit {
        if self.micros { TimeUnit::Microsecond } else { TimeUnit::Nanosecond }
    }
}

/// Microseconds since 1970-01-01 00:00, if they fit.
pub fn in_micros(seconds: i64, nanos: u32) -> Option<i64> {
    seconds.checked_mul(1_000_000)?.checked_add(i64::from(nanos / 1000))
}

/// Nanoseconds since 1970-01-01 00:00, if they fit.
pub fn in_nanos(seconds: i64, nanos: u32) -> Option<i64> {
    seconds.checked_mul(1_000_000_000)?.checked_add(i64::from(nanos))
}

impl Zone {
    fn name(&self) -> Arc<str> {
        match self {
            Self::Named(name) => Arc::from(name.as_str()),
            // Arrow has hours and minutes; others are told in UTC.
            Self::Offset(offset) if *offset != 0 && offset % 60 == 0 => {
                let (sign, minutes) = (if *offset < 0 { '-' } else { '+' }, offset.unsigned_abs() / 60);
                Arc::from(format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60))
            }
            Self::Offset(_) | Self::Several => Arc::from("UTC"),
        }
    }
}
