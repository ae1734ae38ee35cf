//! `NAME=VALUE` and `NAME:KIND=VALUE`, as `kitedb set` takes them.

use crate::import::{cell, number::Number, value_of_json};
use kitedb_core::{Date, DateTime, Duration, LocalDateTime, LocalTime, Time, Value};
use std::{fmt::Display, str::FromStr};

/// A property, and what it is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    pub name: String,
    pub value: Value,
}

const KINDS: &str = "text, int, float, bool, date, time, local-time, datetime, local-datetime, duration, json";

impl Assignment {
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, kind, value) = parts(text)?;
        let value = match kind {
            Some(kind) => of_kind(&name, kind, value)?,
            None => cell::infer(value, false).0.ok_or_else(|| {
                format!("`{name}` is given no value: `kitedb unset` removes a property, and {name}:text= makes it an empty text")
            })?,
        };
        Ok(Self { name, value })
    }

    /// Each of these texts; no property twice.
    pub fn all(texts: &[String]) -> Result<Vec<Self>, String> {
        let mut all: Vec<Self> = Vec::with_capacity(texts.len());
        for text in texts {
            let one = Self::parse(text)?;
            if all.iter().any(|other| other.name == one.name) {
                return Err(format!("the property `{}` is set twice", one.name));
            }
            all.push(one);
        }
        Ok(all)
    }
}

/// The name, the kind if one is said, and the value as it is written.
fn parts(text: &str) -> Result<(String, Option<&str>, &str), String> {
    let missing = || format!("`{text}` is no NAME=VALUE");
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '`'));
    let (name, kind, value) = match quote {
        Some(quote) => {
            let (name, rest) = quoted(text, quote).ok_or_else(|| format!("in `{text}` the {quote} is not closed"))?;
            let (kind, value) = rest.split_once('=').ok_or_else(missing)?;
            let kind = match kind.strip_prefix(':') {
                None if kind.is_empty() => None,
                None => return Err(missing()),
                kind => kind,
            };
            (name, kind, value)
        }
        None => {
            let (name, value) = text.split_once('=').ok_or_else(missing)?;
            let (name, kind) = name.rsplit_once(':').map_or((name, None), |(name, kind)| (name, Some(kind)));
            (name.to_owned(), kind, value)
        }
    };
    match name.is_empty() {
        true => Err(format!("in `{text}` the name is missing")),
        false => Ok((name, kind, value)),
    }
}

/// The text in quotes at the beginning, and what is behind. Within it the quote is written twice.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text.strip_prefix(quote)?;
    loop {
        let (part, behind) = rest.split_once(quote)?;
        name += part;
        match behind.strip_prefix(quote) {
            Some(more) => {
                name.push(quote);
                rest = more;
            }
            None => return Some((name, behind)),
        }
    }
}

fn of_kind(name: &str, kind: &str, text: &str) -> Result<Value, String> {
    Ok(match kind {
        "text" => Value::String(text.to_owned()),
        "int" => match Number::read(text) {
            Ok(Number::Integer(number)) => Value::I64(number),
            _ => return Err(format!("`{name}` is `{text}`, which is no integer of 64 bits")),
        },
        "float" => match Number::read(text) {
            Ok(Number::Float(number)) => Value::F64(number),
            // One that a float holds exactly.
            Ok(Number::Integer(number)) if number.unsigned_abs() <= 1 << 53 => Value::F64(number as f64),
            _ => return Err(format!("`{name}` is `{text}`, which is no 64-bit float")),
        },
        "bool" => match cell::infer(text, false).0 {
            Some(Value::Bool(bool)) => Value::Bool(bool),
            _ => return Err(format!("`{name}` is `{text}`, which is neither true nor false")),
        },
        "date" => temporal::<Date>(name, text)?.into(),
        "time" => temporal::<Time>(name, text)?.into(),
        "local-time" => temporal::<LocalTime>(name, text)?.into(),
        "datetime" => temporal::<DateTime>(name, text)?.into(),
        "local-datetime" => temporal::<LocalDateTime>(name, text)?.into(),
        "duration" => temporal::<Duration>(name, text)?.into(),
        "json" => value_of_json(text, name)?,
        _ => {
            return Err(format!(
                "`{kind}` is no kind of values: there are {KINDS}; a name with a colon stands in quotes, as '\"{name}:{kind}\"=…'"
            ));
        }
    })
}

fn temporal<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|e| format!("`{name}` is `{text}`: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_of_the_kind_that_is_said_or_that_it_looks_like() {
        let text = |text: &str| Value::String(text.to_owned());
        for (written, name, value) in [
            ("age=36", "age", Value::I64(36)),
            ("age=36.5", "age", Value::F64(36.5)),
            ("on=true", "on", Value::Bool(true)),
            ("zip=01234", "zip", text("01234")),
            ("name=Ada = Lovelace", "name", text("Ada = Lovelace")),
            ("zip:text=1234", "zip", text("1234")),
            ("empty:text=", "empty", text("")),
            ("age:int=-36", "age", Value::I64(-36)),
            ("age:float=36", "age", Value::F64(36.0)),
            ("born:date=1815-12-10", "born", Value::Date("1815-12-10".parse().unwrap())),
            ("for:duration=P1D", "for", Value::Duration("P1D".parse().unwrap())),
            ("tags:json=[1,\"a\"]", "tags", Value::List(vec![1.into(), "a".into()])),
            ("gone:json=null", "gone", Value::Null),
            ("\"dc:title\"=x", "dc:title", text("x")),
            ("\"a=\"\"b\"\"\":int=3", "a=\"b\"", Value::I64(3)),
        ] {
            assert_eq!(Assignment::parse(written), Ok(Assignment { name: name.to_owned(), value }), "{written}");
        }
    }

    #[test]
    fn what_is_no_assignment_says_why() {
        for (written, phrase) in [
            ("age", "`age` is no NAME=VALUE"),
            ("=3", "the name is missing"),
            ("age=", "`kitedb unset` removes"),
            ("age:int=3.5", "no integer of 64 bits"),
            ("age:int=9223372036854775808", "no integer of 64 bits"),
            ("x:float=9007199254740993", "no 64-bit float"),
            ("on:bool=yes", "neither true nor false"),
            ("born:date=1815-13-10", "`born` is `1815-13-10`"),
            ("dc:title=x", "`title` is no kind of values"),
            ("x:json={", "x is not JSON"),
            ("x:json=[1e999]", "x[0] is 1e999"),
            ("\"a=3", "is not closed"),
            ("\"a\"b=3", "is no NAME=VALUE"),
        ] {
            let fault = Assignment::parse(written).unwrap_err();
            assert!(fault.contains(phrase), "{written}: {fault}");
        }
        let twice = Assignment::all(&["a=1".to_owned(), "a:text=2".to_owned()]).unwrap_err();
        assert!(twice.contains("`a` is set twice"), "{twice}");
    }
}
