//! Types of columns, as a header gives them behind a colon (`age:int`, `tags:string[]`): a cell is read as that, or is bad.

use super::{MAX_ITEMS, number::Number, too_many};
use kitedb_core::Value;
use std::fmt;

/// What every cell of a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    one: One,
    /// Several values, with `;` between them.
    is_array: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum One {
    Integer,
    Float,
    Boolean,
    Text,
    Char,
    Date,
    LocalTime,
    Time,
    LocalDateTime,
    DateTime,
    Duration,
}

const NAMES: [(&str, One); 18] = [
    ("int", One::Integer),
    ("integer", One::Integer),
    ("long", One::Integer),
    ("short", One::Integer),
    ("byte", One::Integer),
    ("float", One::Float),
    ("double", One::Float),
    ("boolean", One::Boolean),
    ("bool", One::Boolean),
    ("string", One::Text),
    ("text", One::Text),
    ("char", One::Char),
    ("date", One::Date),
    ("localtime", One::LocalTime),
    ("time", One::Time),
    ("localdatetime", One::LocalDateTime),
    ("datetime", One::DateTime),
    ("duration", One::Duration),
];

impl Kind {
    /// Text.
    pub const TEXT: Self = Self { one: One::Text, is_array: false };

    /// The type of that name, if there is one.
    pub fn of(name: &str) -> Option<Self> {
        let (one, is_array) = name.strip_suffix("[]").map_or((name, false), |one| (one, true));
        let (_, one) = NAMES.iter().find(|(other, _)| other.eq_ignore_ascii_case(one))?;
        Some(Self { one: *one, is_array })
    }

    /// The value of a cell; none if it is empty. Text in quotes may be empty.
    pub fn value(self, cell: &str, quoted: bool) -> Result<Option<Value>, String> {
        if cell.is_empty() && !(quoted && self == Self::TEXT) {
            return Ok(None);
        }
        if self.is_array {
            if cell.bytes().filter(|byte| *byte == b';').count() >= MAX_ITEMS {
                return Err(too_many());
            }
            let items = cell.split(';').map(|item| self.one.value(item)).collect::<Result<_, _>>()?;
            return Ok(Some(Value::List(items)));
        }
        self.one.value(cell).map(Some)
    }
}

impl One {
    fn value(self, cell: &str) -> Result<Value, String> {
        let word = cell.trim_matches([' ', '\t']);
        let no = || format!("`{word:.40}`, which is no {self}");
        Ok(match self {
            Self::Text => Value::String(cell.to_owned()),
            Self::Char if cell.chars().count() == 1 => Value::String(cell.to_owned()),
            Self::Char => return Err(no()),
            Self::Boolean if word.eq_ignore_ascii_case("true") => Value::Bool(true),
            Self::Boolean if word.eq_ignore_ascii_case("false") => Value::Bool(false),
            Self::Boolean => return Err(no()),
            Self::Integer => match Number::read(word).map_err(|no| no.of(word))? {
                Number::Integer(integer) => Value::I64(integer),
                Number::Float(_) => return Err(no()),
            },
            Self::Float => Value::F64(float(word)?),
            Self::Date => Value::Date(word.parse().map_err(|_| no())?),
            Self::LocalTime => Value::LocalTime(word.parse().map_err(|_| no())?),
            Self::Time => Value::Time(word.parse().map_err(|_| no())?),
            Self::LocalDateTime => Value::LocalDateTime(word.parse().map_err(|_| no())?),
            Self::DateTime => Value::DateTime(word.parse().map_err(|_| no())?),
            Self::Duration => Value::Duration(word.parse().map_err(|_| no())?),
        })
    }
}

/// A float; an integer is one where a float is exactly that.
fn float(word: &str) -> Result<f64, String> {
    match word {
        "NaN" | "nan" => return Ok(f64::NAN),
        "Infinity" | "inf" | "Inf" => return Ok(f64::INFINITY),
        "-Infinity" | "-inf" | "-Inf" => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    match Number::read(word).map_err(|no| no.of(word))? {
        Number::Float(float) => Ok(float),
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "that is what is looked at")]
        Number::Integer(integer) => match integer as f64 {
            float if float as i128 == i128::from(integer) => Ok(float),
            _ => Err(format!("{word}, which no 64-bit float is: make the column one of integers (`:int`) or text")),
        },
    }
}

impl fmt::Display for One {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Boolean => "boolean (true, false)",
            Self::Text => "text",
            Self::Char => "single character",
            Self::Date => "date (2015-07-21)",
            Self::LocalTime => "local time (21:40:32)",
            Self::Time => "time (21:40:32+01:00)",
            Self::LocalDateTime => "local date-time (2015-07-21T21:40:32)",
            Self::DateTime => "date-time (2015-07-21T21:40:32+01:00)",
            Self::Duration => "duration (P1DT2H)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_read_as_its_column_says_or_is_bad() {
        let text = |text: &str| Value::String(text.to_owned());
        for (kind, cell, want) in [
            ("int", "42", Some(Value::I64(42))),
            ("LONG", " 007 ", Some(Value::I64(7))),
            ("float", "1.10", Some(Value::F64(1.1))),
            ("double", "3", Some(Value::F64(3.0))),
            ("boolean", "TRUE", Some(Value::Bool(true))),
            ("string", " 42 ", Some(text(" 42 "))),
            ("string[]", "a;b c;", Some(Value::List(vec![text("a"), text("b c"), text("")]))),
            ("int[]", "1;2", Some(Value::List(vec![Value::I64(1), Value::I64(2)]))),
            ("char", "é", Some(text("é"))),
            ("date", "2015-07-21", Some(Value::Date("2015-07-21".parse().unwrap()))),
            ("duration", "P1D", Some(Value::Duration("P1D".parse().unwrap()))),
            ("int", "", None),
            ("string", "", None),
        ] {
            assert_eq!(Kind::of(kind).unwrap().value(cell, false), Ok(want), "{kind}: {cell:?}");
        }
        assert_eq!(Kind::TEXT.value("", true), Ok(Some(text(""))));
        for (kind, cell, phrase) in [
            ("int", "1.0", "no integer"),
            ("int", "9223372036854775808", "does not fit"),
            ("float", "9007199254740993", "no 64-bit float is"),
            ("float", "1e-400", "nearer to 0"),
            ("float", "x", "not a number"),
            ("boolean", "yes", "no boolean"),
            ("char", "ab", "no single character"),
            ("date", "21.7.2015", "no date"),
            ("int[]", "1;x", "not a number"),
        ] {
            let error = Kind::of(kind).unwrap().value(cell, false).unwrap_err();
            assert!(error.contains(phrase), "{kind}: {cell:?}: {error}");
        }
        assert_eq!(Kind::of("int[]").unwrap().value(&"1;".repeat(1 << 20), false), Err(too_many()));
        assert_eq!(Kind::of("point"), None);
    }
}
