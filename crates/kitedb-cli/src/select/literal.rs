//! A value as it is written in a condition, and how properties compare with it.

use crate::import::{cell, number::Number};
use kitedb_core::{Date, DateTime, Duration, LocalDateTime, LocalTime, Time, Value, ValueRef};
use std::cmp::Ordering;

/// What a text may stand for: at most one value of each kind. Which one is meant the property decides that it is compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct Literal(Vec<Value>);

impl Literal {
    /// A text, which is also the date or the time that it is the ISO form of. A day is its midnight, too.
    pub fn text(text: &str) -> Self {
        let day = text.parse::<Date>().ok();
        let midnight = day.and_then(|day| Some(LocalDateTime::of(day, LocalTime::new(0).ok()?)));
        let readings = [
            Some(Value::String(text.to_owned())),
            day.map(Value::Date),
            text.parse::<LocalDateTime>().ok().or(midnight).map(Value::LocalDateTime),
            text.parse::<DateTime>().ok().map(Value::DateTime),
            text.parse::<LocalTime>().ok().map(Value::LocalTime),
            text.parse::<Time>().ok().map(Value::Time),
            text.parse::<Duration>().ok().map(Value::Duration),
        ];
        Self(readings.into_iter().flatten().collect())
    }

    /// A word without quotes: a number or a boolean if an import takes it for one, else a text. One that an import keeps as text,
    /// because it would be printed otherwise as a number (`007`, `1.10`), is compared with either.
    pub fn word(word: &str) -> Self {
        match cell::infer(word, false).0 {
            Some(Value::String(_)) | None => {
                let Self(mut readings) = Self::text(word);
                readings.extend(Number::read(word).ok().map(Value::from));
                Self(readings)
            }
            Some(value) => Self(vec![value]),
        }
    }

    /// Where `value` stands beside it; none if it stands for nothing of that kind. Integers and floats are one kind, and compare
    /// as the numbers that they are. A NaN compares with nothing, as null does.
    pub fn order_of(&self, value: ValueRef<'_>) -> Option<Ordering> {
        let is_nan = |value: ValueRef<'_>| matches!(value, ValueRef::F64(float) if float.is_nan());
        let kind = kind_of(value)?;
        let reading = self.0.iter().find(|reading| kind_of_value(reading) == Some(kind))?;
        (!is_nan(value)).then(|| value.total_cmp_value(reading))
    }
}

/// Kinds whose values compare with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    Number,
    Text,
    Date,
    LocalTime,
    Time,
    LocalDateTime,
    DateTime,
    Duration,
}

fn kind_of(value: ValueRef<'_>) -> Option<Kind> {
    Some(match value {
        ValueRef::Bool(_) => Kind::Bool,
        ValueRef::I64(_) | ValueRef::F64(_) => Kind::Number,
        ValueRef::String(_) => Kind::Text,
        ValueRef::Date(_) => Kind::Date,
        ValueRef::LocalTime(_) => Kind::LocalTime,
        ValueRef::Time(_) => Kind::Time,
        ValueRef::LocalDateTime(_) => Kind::LocalDateTime,
        ValueRef::DateTime(_) => Kind::DateTime,
        ValueRef::Duration(_) => Kind::Duration,
        // No literal stands for null, bytes, vectors, lists and maps.
        _ => return None,
    })
}

fn kind_of_value(value: &Value) -> Option<Kind> {
    Some(match value {
        Value::Bool(_) => Kind::Bool,
        Value::I64(_) | Value::F64(_) => Kind::Number,
        Value::String(_) => Kind::Text,
        Value::Date(_) => Kind::Date,
        Value::LocalTime(_) => Kind::LocalTime,
        Value::Time(_) => Kind::Time,
        Value::LocalDateTime(_) => Kind::LocalDateTime,
        Value::DateTime(_) => Kind::DateTime,
        Value::Duration(_) => Kind::Duration,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Ordering::{Equal, Greater, Less};

    #[test]
    fn a_literal_compares_with_its_own_kind_alone() {
        let number = Literal::word("30");
        for (value, want) in [
            (ValueRef::I64(30), Some(Equal)),
            (ValueRef::I64(31), Some(Greater)),
            (ValueRef::F64(29.5), Some(Less)),
            (ValueRef::F64(30.0), Some(Equal)),
            (ValueRef::F64(f64::NAN), None),
            (ValueRef::F64(f64::INFINITY), Some(Greater)),
            (ValueRef::String("30"), None),
            (ValueRef::Bool(true), None),
            (ValueRef::Null, None),
        ] {
            assert_eq!(number.order_of(value), want, "{value:?}");
        }
        assert_eq!(Literal::text("30").order_of(ValueRef::I64(30)), None);
        assert_eq!(Literal::text("30").order_of(ValueRef::String("30")), Some(Equal));
        for (word, number) in [("007", ValueRef::I64(7)), ("1.10", ValueRef::F64(1.1)), ("1e3", ValueRef::F64(1000.0))]
        {
            assert_eq!(Literal::word(word).order_of(ValueRef::String(word)), Some(Equal), "an import keeps it as text");
            assert_eq!(Literal::word(word).order_of(number), Some(Equal));
        }
        assert_eq!(Literal::word("true").order_of(ValueRef::Bool(false)), Some(Less));
        // By bytes.
        assert_eq!(Literal::word("Ada").order_of(ValueRef::String("ada")), Some(Greater));
        // What no float holds exactly.
        let wide = Literal::word("9007199254740993");
        assert_eq!(wide.order_of(ValueRef::F64(9_007_199_254_740_992.0)), Some(Less));
    }

    #[test]
    fn a_text_is_the_date_or_time_that_it_writes() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        let literal = Literal::word("2015-07-21");
        assert_eq!(literal.order_of(ValueRef::Date(day("2015-07-22"))), Some(Greater));
        assert_eq!(literal.order_of(ValueRef::Date(day("2015-07-21"))), Some(Equal));
        assert_eq!(literal.order_of(ValueRef::String("2015-07-21")), Some(Equal));
        let noon: LocalDateTime = "2015-07-21T12:00:00".parse().unwrap();
        assert_eq!(literal.order_of(ValueRef::LocalDateTime(noon)), Some(Greater));
        assert_eq!(Literal::text("2015-07-21T12:00:00").order_of(ValueRef::LocalDateTime(noon)), Some(Equal));
        assert_eq!(Literal::word("12:30:00").order_of(ValueRef::LocalTime("12:00:00".parse().unwrap())), Some(Less));
        assert_eq!(literal.order_of(ValueRef::LocalTime("12:00:00".parse().unwrap())), None);
    }
}
