//! Floor 7: values as JSON, each to one document and back without a loss, whatever its kind.
//!
//! Null, booleans, text, integers (all 64 bits, as a number without a point), finite floats (with a point or an exponent),
//! lists and maps are what JSON calls so. What JSON has no form for is an object with one entry, a *tag*, whose name begins
//! with `$`:
//!
//! | tag | holds |
//! |---|---|
//! | `$bytes` | base64 |
//! | `$vector` | an array of numbers; what is not finite as under `$float` |
//! | `$float` | `"NaN"`, `"Infinity"`, `"-Infinity"`, or the bits of another NaN: `"0x7ff8000000000001"` |
//! | `$date`, `$local_time`, `$time`, `$local_date_time`, `$date_time`, `$duration` | ISO 8601 text |
//! | `$map` | a map that would be taken for a tag, because its one name begins with `$` |

use crate::{
    error::{Error, Result},
    graph::{Duration, Value},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Number, Value as Json};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// A value as JSON: see the [module documentation](self).
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(v) => Json::Bool(*v),
        Value::I64(v) => Json::Number((*v).into()),
        Value::F64(v) => float(*v),
        Value::String(v) => Json::String(v.clone()),
        Value::Bytes(v) => tag("$bytes", STANDARD.encode(v)),
        Value::Vector(v) => tag("$vector", v.iter().copied().map(single).collect::<Vec<_>>()),
        Value::List(v) => v.iter().map(to_json).collect(),
        Value::Map(v) => {
            let object: Map<_, _> = v.iter().map(|(name, value)| (name.clone(), to_json(value))).collect();
            if is_tag(&object) { tag("$map", object) } else { Json::Object(object) }
        }
        Value::Date(v) => text("$date", v),
        Value::LocalTime(v) => text("$local_time", v),
        Value::Time(v) => text("$time", v),
        Value::LocalDateTime(v) => text("$local_date_time", v),
        Value::DateTime(v) => text("$date_time", v),
        Value::Duration(v) => text("$duration", v),
    }
}

/// The value that a JSON document stands for. `name` is what the value is called: errors begin with the path from there.
///
/// # Errors
/// [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument) if it is none, with what is wrong and where:
/// `kids[3].name is ...`.
pub fn from_json(name: &str, json: Json) -> Result<Value> {
    read(json).map_err(|fault| fault.of(name))
}

fn tag(name: &str, value: impl Into<Json>) -> Json {
    Json::Object(Map::from_iter([(name.to_owned(), value.into())]))
}

fn text(name: &str, value: impl fmt::Display) -> Json {
    tag(name, value.to_string())
}

/// Whether an object is read as a tag.
fn is_tag(object: &Map<String, Json>) -> bool {
    object.len() == 1 && object.keys().all(|name| name.starts_with('$'))
}

fn float(value: f64) -> Json {
    Number::from_f64(value)
        .map_or_else(|| tag("$float", special(value, value.to_bits(), f64::NAN.to_bits(), 16)), Json::Number)
}

/// A 32-bit float with its own digits: 0.1, not 0.10000000149011612.
fn single(value: f32) -> Json {
    let shortest = value.to_string().parse().unwrap_or_else(|_| f64::from(value));
    let bits = || Json::String(special(value.into(), value.to_bits().into(), f32::NAN.to_bits().into(), 8));
    Number::from_f64(shortest).map_or_else(bits, Json::Number)
}

/// A float that is not finite. Of NaNs all but one are told by their bits.
fn special(value: f64, bits: u64, nan: u64, digits: usize) -> String {
    match value {
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        _ if bits == nan => "NaN".to_owned(),
        _ => format!("0x{bits:0digits$x}"),
    }
}

/// What is wrong, and the way to it, the last step first.
struct Fault {
    path: Vec<String>,
    what: String,
}

impl Fault {
    fn new(what: impl fmt::Display) -> Self {
        Self { path: Vec::new(), what: what.to_string() }
    }

    fn within(mut self, step: fmt::Arguments<'_>) -> Self {
        self.path.push(step.to_string());
        self
    }

    fn of(self, name: &str) -> Error {
        let path: String = self.path.iter().rev().map(String::as_str).collect();
        Error::invalid(format_args!("{name}{path} is {}", self.what))
    }
}

/// Read by its own recursion: the depth is bounded by that of the JSON parser, and looked at where the value is written.
fn read(json: Json) -> Result<Value, Fault> {
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(v) => Value::Bool(v),
        Json::String(v) => Value::String(v),
        Json::Number(v) => number(&v)?,
        Json::Array(items) => {
            let items = items.into_iter().enumerate();
            let read = items.map(|(at, item)| read(item).map_err(|fault| fault.within(format_args!("[{at}]"))));
            Value::List(read.collect::<Result<_, _>>()?)
        }
        Json::Object(object) if is_tag(&object) => match object.into_iter().next() {
            Some((name, value)) => tagged(&name, value)?,
            None => Value::Map(BTreeMap::new()),
        },
        Json::Object(object) => map(object)?,
    })
}

fn map(object: Map<String, Json>) -> Result<Value, Fault> {
    let entries = object.into_iter().map(|(name, value)| match read(value) {
        Ok(value) => Ok((name, value)),
        Err(fault) => Err(fault.within(format_args!(".{name:.64}"))),
    });
    Ok(Value::Map(entries.collect::<Result<_, _>>()?))
}

fn number(number: &Number) -> Result<Value, Fault> {
    match (number.as_i64(), number.as_f64()) {
        (Some(integer), _) => Ok(Value::I64(integer)),
        (None, Some(float)) if number.is_f64() => Ok(Value::F64(float)),
        _ => Err(Fault::new(format_args!(
            "{number}, which does not fit a signed 64-bit integer: write it as text, or with a point"
        ))),
    }
}

fn tagged(name: &str, value: Json) -> Result<Value, Fault> {
    match (name, value) {
        ("$map", Json::Object(object)) => map(object),
        ("$vector", Json::Array(items)) => {
            let floats = items.iter().enumerate().map(|(at, item)| {
                component(item).ok_or_else(|| Fault::new("not a 32-bit float").within(format_args!("[{at}]")))
            });
            Ok(Value::Vector(floats.collect::<Result<_, _>>()?))
        }
        ("$bytes", Json::String(text)) => STANDARD
            .decode(text)
            .map(Value::Bytes)
            .map_err(|e| Fault::new(format_args!("a $bytes without base64: {e}"))),
        ("$float", Json::String(text)) => match parse_special(&text, f64::NAN.to_bits(), 16) {
            Some(bits) => Ok(Value::F64(f64::from_bits(bits))),
            None => {
                Err(Fault::new("a $float that is neither \"NaN\", \"Infinity\", \"-Infinity\" nor 0x and 16 digits"))
            }
        },
        ("$date", Json::String(text)) => temporal(&text, Value::Date),
        ("$local_time", Json::String(text)) => temporal(&text, Value::LocalTime),
        ("$time", Json::String(text)) => temporal(&text, Value::Time),
        ("$local_date_time", Json::String(text)) => temporal(&text, Value::LocalDateTime),
        ("$date_time", Json::String(text)) => temporal(&text, Value::DateTime),
        ("$duration", Json::String(text)) => temporal::<Duration>(&text, Value::Duration),
        (
            "$map" | "$vector" | "$bytes" | "$float" | "$date" | "$local_time" | "$time" | "$local_date_time"
            | "$date_time" | "$duration",
            _,
        ) => {
            let holds = match name {
                "$map" => "an object",
                "$vector" => "an array",
                _ => "text",
            };
            Err(Fault::new(format_args!("a {name} that does not hold {holds}")))
        }
        _ => Err(Fault::new(format_args!(
            "an object with the one entry `{name:.64}`, which is no tag that is known: write a map that has such a name as \
             {{\"$map\": {{...}}}}"
        ))),
    }
}

fn temporal<T: FromStr<Err = Error>>(text: &str, make: fn(T) -> Value) -> Result<Value, Fault> {
    text.parse().map(make).map_err(|e| Fault::new(format_args!("not what its tag says: {e}")))
}

/// The bits of a float that is not finite.
fn parse_special(text: &str, nan: u64, digits: usize) -> Option<u64> {
    let double = digits == 16;
    match text {
        "NaN" => Some(nan),
        "Infinity" => Some(if double { f64::INFINITY.to_bits() } else { f32::INFINITY.to_bits().into() }),
        "-Infinity" => Some(if double { f64::NEG_INFINITY.to_bits() } else { f32::NEG_INFINITY.to_bits().into() }),
        _ => {
            let hex = text.strip_prefix("0x").filter(|hex| hex.len() == digits)?;
            u64::from_str_radix(hex, 16).ok()
        }
    }
}

/// A component of a vector.
pub fn component(json: &Json) -> Option<f32> {
    match json {
        Json::String(text) => parse_special(text, f32::NAN.to_bits().into(), 8).map(|bits| f32::from_bits(bits as u32)),
        // A number beyond the greatest 32-bit float would become infinite.
        _ => json.as_f64().map(|float| float as f32).filter(|float| float.is_finite()),
    }
}

/// The components of a vector as JSON, as under the tag `$vector`.
pub fn components(vector: &[f32]) -> Json {
    vector.iter().copied().map(single).collect::<Vec<_>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::value_tests::any_value;
    use proptest::prelude::*;

    fn encoded(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        value.encode(&mut bytes).unwrap();
        bytes
    }

    fn back(text: &str) -> Result<Value> {
        from_json("p", serde_json::from_str(text).unwrap())
    }

    proptest! {
        #[test]
        fn json_gives_every_value_back_bit_for_bit(value in any_value()) {
            let text = to_json(&value).to_string();
            prop_assert_eq!(encoded(&back(&text).unwrap()), encoded(&value), "{}", text);
        }

        #[test]
        fn floats_keep_their_bits(double: u64, one: u32, two: u32) {
            for value in [Value::F64(f64::from_bits(double)), Value::Vector(vec![f32::from_bits(one), f32::from_bits(two)])] {
                let text = to_json(&value).to_string();
                prop_assert_eq!(encoded(&back(&text).unwrap()), encoded(&value), "{}", text);
            }
        }
    }

    #[test]
    fn each_kind_has_its_form() {
        let map = |name: &str, value: Value| Value::Map(BTreeMap::from([(name.to_owned(), value)]));
        for (value, json) in [
            (Value::Null, "null"),
            (Value::I64(i64::MIN), "-9223372036854775808"),
            (Value::F64(1.0), "1.0"),
            (Value::F64(-0.0), "-0.0"),
            (Value::F64(f64::NAN), r#"{"$float":"NaN"}"#),
            (Value::F64(f64::NEG_INFINITY), r#"{"$float":"-Infinity"}"#),
            (Value::F64(f64::from_bits(0x7ff8_0000_0000_0001)), r#"{"$float":"0x7ff8000000000001"}"#),
            (Value::Bytes(vec![1, 255]), r#"{"$bytes":"Af8="}"#),
            (Value::Vector(vec![0.1, f32::INFINITY]), r#"{"$vector":[0.1,"Infinity"]}"#),
            (Value::List(vec![1.into(), 2.5.into()]), "[1,2.5]"),
            (map("a", Value::Null), r#"{"a":null}"#),
            (map("$date", "x".into()), r#"{"$map":{"$date":"x"}}"#),
            (map("$map", map("$map", 1.into())), r#"{"$map":{"$map":{"$map":{"$map":1}}}}"#),
            ("2015-07-21".parse::<crate::Date>().unwrap().into(), r#"{"$date":"2015-07-21"}"#),
            (
                "2015-07-21T21:40:32+01:00[Europe/London]".parse::<crate::DateTime>().unwrap().into(),
                r#"{"$date_time":"2015-07-21T21:40:32+01:00[Europe/London]"}"#,
            ),
            ("PT-0.5S".parse::<Duration>().unwrap().into(), r#"{"$duration":"PT-0.5S"}"#),
        ] {
            assert_eq!(to_json(&value).to_string(), json);
            assert_eq!(encoded(&back(json).unwrap()), encoded(&value), "{json}");
        }
        // Two names are never a tag.
        assert!(matches!(back(r#"{"$date":"x","b":1}"#), Ok(Value::Map(map)) if map.len() == 2));
    }

    #[test]
    fn what_is_no_value_is_told_by_its_path() {
        for (json, phrase) in [
            (r#"9223372036854775808"#, "p is 9223372036854775808, which does not fit"),
            (r#"[0,{"kids":[1,{"$date":"x"}]}]"#, "p[1].kids[1] is not what its tag says: `x` is no date"),
            (r#"{"a":{"$dat":"2015-07-21"}}"#, "p.a is an object with the one entry `$dat`"),
            (r#"{"$bytes":"?"}"#, "without base64"),
            (r#"{"$bytes":3}"#, "a $bytes that does not hold text"),
            (r#"{"$map":[]}"#, "a $map that does not hold an object"),
            (r#"{"$vector":[1,1e39]}"#, "p[1] is not a 32-bit float"),
            (r#"{"$float":"nan"}"#, "a $float that is neither"),
        ] {
            let error = back(json).unwrap_err().to_string();
            assert!(error.starts_with("p") && error.contains(phrase), "{json}: {error}");
        }
    }
}
