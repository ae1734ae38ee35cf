//! Values of properties, as text and as JSON.

use super::style::clean;
use kitedb_core::Value;
use serde_json::{Map, Value as Json, json};

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
    }
}

/// Properties on one line: `since=1833 weight=0.5`.
pub fn line(props: &[(String, Value)]) -> String {
    props.iter().map(|(name, value)| format!("{}={}", clean(name), text(value))).collect::<Vec<_>>().join(" ")
}

/// A value as JSON. Bytes become `{"bytes": "<hex>"}`; floats that JSON has no number for become text.
pub fn json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(bool) => json!(bool),
        Value::I64(integer) => json!(integer),
        Value::F64(float) => float_json(*float, float.to_string()),
        Value::String(text) => json!(text),
        Value::Bytes(bytes) => json!({ "bytes": hex(bytes) }),
        Value::Vector(floats) => floats.iter().map(|float| float_json(shortest(*float), float.to_string())).collect(),
    }
}

/// Properties as a JSON object.
pub fn json_object(props: &[(String, Value)]) -> Map<String, Json> {
    props.iter().map(|(name, value)| (name.clone(), json(value))).collect()
}

fn float_json(float: f64, otherwise: String) -> Json {
    serde_json::Number::from_f64(float).map_or(Json::String(otherwise), Json::Number)
}

/// The 64-bit float whose digits are those of a 32-bit one: 0.1, not 0.10000000149011612.
fn shortest(float: f32) -> f64 {
    float.to_string().parse().unwrap_or_else(|_| float.into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_text_and_a_json_form() {
        for (value, text_form, json_form) in [
            (Value::Null, "null", "null"),
            (Value::Bool(true), "true", "true"),
            (Value::I64(-3), "-3", "-3"),
            (Value::F64(3.0), "3.0", "3.0"),
            (Value::F64(f64::NAN), "NaN", "\"NaN\""),
            (Value::F64(f64::NEG_INFINITY), "-inf", "\"-inf\""),
            (Value::String("a\nb".into()), "a\\nb", "\"a\\nb\""),
            (Value::Bytes(vec![1, 255]), "0x01ff", "{\"bytes\":\"01ff\"}"),
            (Value::Vector(vec![0.1, 2.0]), "[0.1, 2.0]", "[0.1,2.0]"),
            (Value::Vector(vec![1.0; 6]), "[1.0, 1.0, 1.0, 1.0, … 2 more]", "[1.0,1.0,1.0,1.0,1.0,1.0]"),
        ] {
            assert_eq!(text(&value), text_form);
            assert_eq!(json(&value).to_string(), json_form);
        }
        assert!(text(&Value::Bytes(vec![7; 20])).ends_with("… (20 bytes)"));
        assert_eq!(line(&[("a".into(), Value::I64(1)), ("b".into(), Value::Bool(false))]), "a=1 b=false");
    }
}
