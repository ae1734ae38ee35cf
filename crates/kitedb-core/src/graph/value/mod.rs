//! Property values, owned and borrowed. Their one binary form is in [`encoding`], their one order in [`order`].

mod encoding;
mod nested;
mod order;
mod temporal;
#[cfg(test)]
pub(crate) mod tests;
mod vector;

pub(crate) use encoding::Fault;
pub use encoding::{MAX_DEPTH, MAX_VALUE_BYTES};
pub use nested::{ListRef, MapRef};
pub use temporal::{Date, DateTime, DateTimeRef, Duration, DurationRef, LocalDateTime, LocalTime, Time};
pub use vector::VectorRef;

use std::collections::BTreeMap;

/// A property's value.
///
/// Lists and maps hold values of any kind, to a depth of [`MAX_DEPTH`]; a value takes at most [`MAX_VALUE_BYTES`] in
/// storage. Both are checked when it is written.
///
/// `==` asks for the same kind and, of floats, for what Rust's `==` does. What sorts, groups and indexes uses the order of
/// [`Value::total_cmp`] instead.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Stored as such: a property that is null is present.
    Null,
    /// True or false.
    Bool(bool),
    /// A signed 64-bit integer.
    I64(i64),
    /// A 64-bit float; every bit pattern is kept.
    F64(f64),
    /// UTF-8 text.
    String(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// 32-bit floats; every bit pattern is kept.
    Vector(Vec<f32>),
    /// Values of any kind, in the order given.
    List(Vec<Value>),
    /// Values of any kind by name. Names ascend by code points, which for UTF-8 is by bytes.
    Map(BTreeMap<String, Value>),
    /// A day.
    Date(Date),
    /// A time of day, of no place.
    LocalTime(LocalTime),
    /// A time of day at an offset from UTC.
    Time(Time),
    /// A day and a time of day, of no place.
    LocalDateTime(LocalDateTime),
    /// An instant, with the offset and perhaps the zone in which it was given.
    DateTime(DateTime),
    /// Months, days and seconds.
    Duration(Duration),
}

/// A [`Value`] that borrows from where it is stored. Small enough for registers: what is larger is read where it lies.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum ValueRef<'a> {
    /// See [`Value::Null`].
    Null,
    /// See [`Value::Bool`].
    Bool(bool),
    /// See [`Value::I64`].
    I64(i64),
    /// See [`Value::F64`].
    F64(f64),
    /// See [`Value::String`].
    String(&'a str),
    /// See [`Value::Bytes`].
    Bytes(&'a [u8]),
    /// See [`Value::Vector`].
    Vector(VectorRef<'a>),
    /// See [`Value::List`].
    List(ListRef<'a>),
    /// See [`Value::Map`].
    Map(MapRef<'a>),
    /// See [`Value::Date`].
    Date(Date),
    /// See [`Value::LocalTime`].
    LocalTime(LocalTime),
    /// See [`Value::Time`].
    Time(Time),
    /// See [`Value::LocalDateTime`].
    LocalDateTime(LocalDateTime),
    /// See [`Value::DateTime`].
    DateTime(DateTimeRef<'a>),
    /// See [`Value::Duration`].
    Duration(DurationRef<'a>),
}

impl ValueRef<'_> {
    /// An owned copy.
    pub fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(v) => Value::Bool(v),
            Self::I64(v) => Value::I64(v),
            Self::F64(v) => Value::F64(v),
            Self::String(v) => Value::String(v.to_owned()),
            Self::Bytes(v) => Value::Bytes(v.to_owned()),
            Self::Vector(v) => Value::Vector(v.to_vec()),
            Self::List(v) => Value::List(v.iter().map(ValueRef::to_value).collect()),
            Self::Map(v) => Value::Map(v.iter().map(|(name, value)| (name.to_owned(), value.to_value())).collect()),
            Self::Date(v) => Value::Date(v),
            Self::LocalTime(v) => Value::LocalTime(v),
            Self::Time(v) => Value::Time(v),
            Self::LocalDateTime(v) => Value::LocalDateTime(v),
            Self::DateTime(v) => Value::DateTime(v.to_owned()),
            Self::Duration(v) => Value::Duration(v.get()),
        }
    }
}

macro_rules! from {
    ($($ty:ty => $make:expr,)*) => {
        $(impl From<$ty> for Value {
            fn from(value: $ty) -> Self {
                let make: fn($ty) -> Self = $make;
                make(value)
            }
        })*
    };
}

from! {
    bool => Value::Bool,
    i64 => Value::I64,
    i32 => |v| Value::I64(v.into()),
    u32 => |v| Value::I64(v.into()),
    f64 => Value::F64,
    f32 => |v| Value::F64(v.into()),
    String => Value::String,
    &str => |v| Value::String(v.to_owned()),
    Vec<u8> => Value::Bytes,
    &[u8] => |v| Value::Bytes(v.to_vec()),
    Vec<f32> => Value::Vector,
    &[f32] => |v| Value::Vector(v.to_vec()),
    Vec<Value> => Value::List,
    BTreeMap<String, Value> => Value::Map,
    Date => Value::Date,
    LocalTime => Value::LocalTime,
    Time => Value::Time,
    LocalDateTime => Value::LocalDateTime,
    DateTime => Value::DateTime,
    Duration => Value::Duration,
}
