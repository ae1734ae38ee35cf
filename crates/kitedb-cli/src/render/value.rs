//! Values of properties, as text and as JSON.

use super::style::clean;
use kitedb_core::{Value, json};
use serde_json::{Map, Value as Json};

/// A value in at most a line: long ones are cut, strings stand as they are.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(bool) => bool.to_string(),
        Value::I64(integer) => integer.to_string(),
        Value::F64(float) => format!("{float:?}"),
        Value::String(text) => clean(text),
        Value::Bytes(bytes) => match bytes.get(..16) {
            Some(head) if bytes.len() > 16 => format!("0x{}… ({} bytes)", hex(head), bytes.len()),
            _ => format!("0x{}", hex(bytes)),
        },
        Value::Vector(floats) => {
            let shown: Vec<_> = floats.iter().take(4).map(|float| format!("{float:?}")).collect();
            let more = floats.len() - shown.len();
            let dots = if more > 0 { format!(", … {more} more") } else { String::new() };
            format!("[{}{dots}]", shown.join(", "))
        }
        Value::List(items) => few(items.len(), "[", items.iter().map(text), "]"),
        Value::Map(entries) => few(
            entries.len(),
            "{",
            entries.iter().map(|(name, value)| format!("{}: {}", clean(name), text(value))),
            "}",
        ),
        Value::Date(value) => value.to_string(),
        Value::LocalTime(value) => value.to_string(),
        Value::Time(value) => value.to_string(),
        Value::LocalDateTime(value) => value.to_string(),
        Value::DateTime(value) => value.to_string(),
        Value::Duration(value) => value.to_string(),
        // A kind that is newer than this command: what JSON says of it.
        other => clean(&json::to_json(other).to_string()),
    }
}

/// The first ones of so many items.
fn few(count: usize, open: &str, items: impl Iterator<Item = String>, close: &str) -> String {
    let shown: Vec<_> = items.take(8).collect();
    let more = count - shown.len();
    let dots = if more > 0 { format!(", … {more} more") } else { String::new() };
    format!("{open}{}{dots}{close}", shown.join(", "))
}

/// Properties on one line: `since=1833 weight=0.5`.
pub fn line(props: &[(String, Value)]) -> String {
    props.iter().map(|(name, value)| format!("{}={}", clean(name), text(value))).collect::<Vec<_>>().join(" ")
}

/// Properties as a JSON object.
pub fn json_object(props: &[(String, Value)]) -> Map<String, Json> {
    props.iter().map(|(name, value)| (name.clone(), json::to_json(value))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_text() {
        for (value, form) in [
            (Value::Null, "null"),
            (Value::Bool(true), "true"),
            (Value::I64(-3), "-3"),
            (Value::F64(3.0), "3.0"),
            (Value::F64(f64::NAN), "NaN"),
            (Value::F64(f64::NEG_INFINITY), "-inf"),
            (Value::String("a\nb".into()), "a\\nb"),
            (Value::Bytes(vec![1, 255]), "0x01ff"),
            (Value::Vector(vec![0.1, 2.0]), "[0.1, 2.0]"),
            (Value::Vector(vec![1.0; 6]), "[1.0, 1.0, 1.0, 1.0, … 2 more]"),
            (Value::List(vec![1.into(), Value::List(vec!["a".into()])]), "[1, [a]]"),
            (Value::List(vec![1.into(); 9]), "[1, 1, 1, 1, 1, 1, 1, 1, … 1 more]"),
            (Value::Map([("a".to_owned(), 1.into())].into()), "{a: 1}"),
            (Value::Duration("P1DT2S".parse().unwrap()), "P1DT2S"),
        ] {
            assert_eq!(text(&value), form);
        }
        assert!(text(&Value::Bytes(vec![7; 20])).ends_with("… (20 bytes)"));
        let props = [("a".into(), Value::I64(1)), ("b".into(), Value::Vector(vec![0.5]))];
        assert_eq!(line(&props), "a=1 b=[0.5]");
        assert_eq!(Json::Object(json_object(&props)).to_string(), r#"{"a":1,"b":{"$vector":[0.5]}}"#);
    }
}
