//! The one order of all values, and the equality and hash that agree with it: for indexes, sorting, grouping and DISTINCT.
//! It is not the `=` of the query language, which is three-valued, nor `==` of Rust, which asks for the same kind.
//!
//! Between kinds, ascending, openCypher's orderability: map, (node, relationship,) list, vector, (path,) date-time, local
//! date-time, date, time, local time, duration, bytes, text, boolean, number, null. openCypher has no bytes and no vectors:
//! they stand beside what they are most like.
//!
//! Within a kind: maps by how many entries they have, then by their names, then by their values in the order of the names;
//! lists and vectors item by item, then by length; date-times by instant, then offset, then the zone's name, none first;
//! times by instant, then offset; durations by average length (a month is a twelfth of 365.2425 days), then months, days,
//! seconds and nanoseconds; bytes by bytes; text by code points; false before true; integers and floats by the exact
//! numbers that they are, -0.0 equal to 0.0, and NaN, all of them equal, after every other number.

use super::{Date, Duration, LocalDateTime, LocalTime, Time, Value, ValueRef};
use std::{
    cmp::Ordering,
    hash::{Hash, Hasher},
};

impl Value {
    /// Where this value stands in the order of all values, kinds that differ included: `1` is equal to `1.0`, NaN to NaN and
    /// the greatest number, `-0.0` to `0.0`, null is the greatest of all. It is a total order.
    ///
    /// ```
    /// use kitedb_core::Value;
    /// let mut values = [Value::Null, Value::I64(2), Value::from("text"), Value::F64(1.5), Value::List(vec![])];
    /// values.sort_by(Value::total_cmp);
    /// assert_eq!(values, [Value::List(vec![]), Value::from("text"), Value::F64(1.5), Value::I64(2), Value::Null]);
    /// ```
    pub fn total_cmp(&self, other: &Self) -> Ordering {
        compare(self, other)
    }

    /// Whether both stand at the same place of [`Value::total_cmp`].
    pub fn total_eq(&self, other: &Self) -> bool {
        compare(self, other).is_eq()
    }

    /// Hashes the value so that values that are equal by [`Value::total_eq`] have the same hash, also as [`ValueRef`].
    pub fn total_hash<H: Hasher>(&self, state: &mut H) {
        hash(self, state);
    }
}

impl ValueRef<'_> {
    /// As [`Value::total_cmp`].
    pub fn total_cmp(self, other: ValueRef<'_>) -> Ordering {
        compare(self, other)
    }

    /// As [`Value::total_eq`].
    pub fn total_eq(self, other: ValueRef<'_>) -> bool {
        compare(self, other).is_eq()
    }

    /// As [`Value::total_hash`].
    pub fn total_hash<H: Hasher>(self, state: &mut H) {
        hash(self, state);
    }

    /// As [`Value::total_cmp`], with a value that is owned.
    pub fn total_cmp_value(self, other: &Value) -> Ordering {
        compare(self, other)
    }
}

/// A value of either form, taken apart.
enum Shape<'a, F, I, E> {
    Map(usize, E),
    List(usize, I),
    Vector(F),
    DateTime(i64, u32, i32, Option<&'a str>),
    LocalDateTime(LocalDateTime),
    Date(Date),
    Time(Time),
    LocalTime(LocalTime),
    Duration(Duration),
    Bytes(&'a [u8]),
    String(&'a str),
    Bool(bool),
    I64(i64),
    F64(f64),
    Null,
}

/// Where a kind stands among the others.
fn rank<F, I, E>(shape: &Shape<'_, F, I, E>) -> u8 {
    match shape {
        Shape::Map(..) => 0,
        Shape::List(..) => 1,
        Shape::Vector(_) => 2,
        Shape::DateTime(..) => 3,
        Shape::LocalDateTime(_) => 4,
        Shape::Date(_) => 5,
        Shape::Time(_) => 6,
        Shape::LocalTime(_) => 7,
        Shape::Duration(_) => 8,
        Shape::Bytes(_) => 9,
        Shape::String(_) => 10,
        Shape::Bool(_) => 11,
        Shape::I64(_) | Shape::F64(_) => 12,
        Shape::Null => 13,
    }
}

/// What both forms of values are to the order.
trait Comparable<'a>: Copy {
    fn shape(
        self,
    ) -> Shape<'a, impl Iterator<Item = f32>, impl Iterator<Item = Self>, impl Iterator<Item = (&'a str, Self)> + Clone>;
}

impl<'a> Comparable<'a> for &'a Value {
    fn shape(
        self,
    ) -> Shape<'a, impl Iterator<Item = f32>, impl Iterator<Item = Self>, impl Iterator<Item = (&'a str, Self)> + Clone>
    {
        match self {
            Value::Null => Shape::Null,
            Value::Bool(v) => Shape::Bool(*v),
            Value::I64(v) => Shape::I64(*v),
            Value::F64(v) => Shape::F64(*v),
            Value::String(v) => Shape::String(v),
            Value::Bytes(v) => Shape::Bytes(v),
            Value::Vector(v) => Shape::Vector(v.iter().copied()),
            Value::List(v) => Shape::List(v.len(), v.iter()),
            Value::Map(v) => Shape::Map(v.len(), v.iter().map(|(name, value)| (name.as_str(), value))),
            Value::Date(v) => Shape::Date(*v),
            Value::LocalTime(v) => Shape::LocalTime(*v),
            Value::Time(v) => Shape::Time(*v),
            Value::LocalDateTime(v) => Shape::LocalDateTime(*v),
            Value::DateTime(v) => Shape::DateTime(v.seconds(), v.nanos(), v.offset_seconds(), v.zone()),
            Value::Duration(v) => Shape::Duration(*v),
        }
    }
}

impl<'a> Comparable<'a> for ValueRef<'a> {
    fn shape(
        self,
    ) -> Shape<'a, impl Iterator<Item = f32>, impl Iterator<Item = Self>, impl Iterator<Item = (&'a str, Self)> + Clone>
    {
        match self {
            Self::Null => Shape::Null,
            Self::Bool(v) => Shape::Bool(v),
            Self::I64(v) => Shape::I64(v),
            Self::F64(v) => Shape::F64(v),
            Self::String(v) => Shape::String(v),
            Self::Bytes(v) => Shape::Bytes(v),
            Self::Vector(v) => Shape::Vector(v.iter()),
            Self::List(v) => Shape::List(v.len(), v.iter()),
            Self::Map(v) => Shape::Map(v.len(), v.iter()),
            Self::Date(v) => Shape::Date(v),
            Self::LocalTime(v) => Shape::LocalTime(v),
            Self::Time(v) => Shape::Time(v),
            Self::LocalDateTime(v) => Shape::LocalDateTime(v),
            Self::DateTime(v) => {
                let (seconds, nanos, offset, zone) = v.parts();
                Shape::DateTime(seconds, nanos, offset, zone)
            }
            Self::Duration(v) => Shape::Duration(v.get()),
        }
    }
}

fn compare<'a, 'b, A: Comparable<'a>, B: Comparable<'b>>(a: A, b: B) -> Ordering {
    match (a.shape(), b.shape()) {
        (Shape::Map(len, a), Shape::Map(other, b)) => {
            let names = || a.clone().map(|(name, _)| name).cmp(b.clone().map(|(name, _)| name));
            let values = || items(a.clone().map(|(_, value)| value), b.clone().map(|(_, value)| value));
            len.cmp(&other).then_with(names).then_with(values)
        }
        (Shape::List(_, a), Shape::List(_, b)) => items(a, b),
        (Shape::Vector(a), Shape::Vector(b)) => in_turn(a, b, |a, b| floats(a.into(), b.into())),
        (Shape::DateTime(a, an, ao, az), Shape::DateTime(b, bn, bo, bz)) => (a, an, ao, az).cmp(&(b, bn, bo, bz)),
        (Shape::LocalDateTime(a), Shape::LocalDateTime(b)) => a.cmp(&b),
        (Shape::Date(a), Shape::Date(b)) => a.cmp(&b),
        (Shape::Time(a), Shape::Time(b)) => (a.instant(), a.offset_seconds()).cmp(&(b.instant(), b.offset_seconds())),
        (Shape::LocalTime(a), Shape::LocalTime(b)) => a.cmp(&b),
        (Shape::Duration(a), Shape::Duration(b)) => a.order().cmp(&b.order()),
        (Shape::Bytes(a), Shape::Bytes(b)) => a.cmp(b),
        (Shape::String(a), Shape::String(b)) => a.cmp(b),
        (Shape::Bool(a), Shape::Bool(b)) => a.cmp(&b),
        (Shape::I64(a), Shape::I64(b)) => a.cmp(&b),
        (Shape::F64(a), Shape::F64(b)) => floats(a, b),
        (Shape::I64(a), Shape::F64(b)) => integer_float(a, b),
        (Shape::F64(a), Shape::I64(b)) => integer_float(b, a).reverse(),
        (a, b) => rank(&a).cmp(&rank(&b)),
    }
}

fn items<'a, 'b, A: Comparable<'a>, B: Comparable<'b>>(
    a: impl Iterator<Item = A>,
    b: impl Iterator<Item = B>,
) -> Ordering {
    in_turn(a, b, compare)
}

/// By the first items that differ; what ends first comes first.
fn in_turn<A, B>(
    mut a: impl Iterator<Item = A>,
    mut b: impl Iterator<Item = B>,
    compare: impl Fn(A, B) -> Ordering,
) -> Ordering {
    loop {
        let order = match (a.next(), b.next()) {
            (Some(a), Some(b)) => compare(a, b),
            (None, None) => return Ordering::Equal,
            (a, _) => return if a.is_none() { Ordering::Less } else { Ordering::Greater },
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// -0.0 is 0.0, NaN is NaN and the greatest.
fn floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// 2^63: the first float that is greater than every integer.
const BEYOND: f64 = 9_223_372_036_854_775_808.0;

/// Exactly: the integer is not rounded to a float.
fn integer_float(integer: i64, float: f64) -> Ordering {
    if float.is_nan() || float >= BEYOND {
        return Ordering::Less;
    }
    if float < -BEYOND {
        return Ordering::Greater;
    }
    // The whole part fits an integer, exactly; what is behind the point has the float's sign.
    let whole = float as i64;
    integer.cmp(&whole).then_with(|| 0.0.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal))
}

fn hash<'a, V: Comparable<'a>, H: Hasher>(value: V, state: &mut H) {
    let shape = value.shape();
    state.write_u8(rank(&shape));
    match shape {
        Shape::Map(len, entries) => {
            len.hash(state);
            entries.for_each(|(name, value)| {
                name.hash(state);
                hash(value, state);
            });
        }
        Shape::List(len, items) => {
            len.hash(state);
            items.for_each(|item| hash(item, state));
        }
        Shape::Vector(floats) => {
            let mut len = 0usize;
            floats.for_each(|float| {
                len += 1;
                hash_float(float.into(), state);
            });
            len.hash(state);
        }
        Shape::DateTime(seconds, nanos, offset, zone) => (seconds, nanos, offset, zone).hash(state),
        Shape::LocalDateTime(v) => v.hash(state),
        Shape::Date(v) => v.hash(state),
        Shape::Time(v) => v.hash(state),
        Shape::LocalTime(v) => v.hash(state),
        Shape::Duration(v) => v.hash(state),
        Shape::Bytes(v) => v.hash(state),
        Shape::String(v) => v.hash(state),
        Shape::Bool(v) => v.hash(state),
        Shape::I64(v) => v.hash(state),
        Shape::F64(v) => hash_float(v, state),
        Shape::Null => {}
    }
}

/// A float that is an integer hashes as that one.
fn hash_float<H: Hasher>(float: f64, state: &mut H) {
    if float.fract() == 0.0 && (-BEYOND..BEYOND).contains(&float) {
        (float as i64).hash(state);
    } else if float.is_nan() {
        f64::NAN.to_bits().hash(state);
    } else {
        float.to_bits().hash(state);
    }
}
