//! Values as the cases write them, and what is expected of a result.

use kitedb::{Value, json};
use serde_json::{Map, Number, Value as Json};

fn tag<'j>(json: &'j Json, name: &str) -> Option<&'j Json> {
    let object = json.as_object().filter(|object| object.len() == 1)?;
    object.get(name)
}

/// An object of one member, as values and expectations are written that JSON has no form for.
pub fn tagged(name: &str, value: impl Into<Json>) -> Json {
    Json::Object(Map::from_iter([(name.to_owned(), value.into())]))
}

pub fn absent() -> Json {
    tagged("$absent", true)
}

/// The value that an argument stands for.
pub fn value(json: &Json) -> kitedb::Result<Value> {
    json::from_json("value", untagged(json))
}

/// Numbers that are written as text, as the numbers that they are; the rest the engine reads.
fn untagged(json: &Json) -> Json {
    if let Some(text) = tag(json, "$integer").and_then(Json::as_str) {
        return text.parse::<i64>().map(Json::from).unwrap();
    }
    if let Some(text) = tag(json, "$float").and_then(Json::as_str) {
        let finite = text.parse::<f64>().ok().filter(|float| float.is_finite());
        return finite.and_then(Number::from_f64).map_or_else(|| json.clone(), Json::Number);
    }
    match json {
        Json::Array(items) => items.iter().map(untagged).collect(),
        Json::Object(members) => {
            Json::Object(members.iter().map(|(name, value)| (name.clone(), untagged(value))).collect())
        }
        json => json.clone(),
    }
}

/// A value as the cases expect it.
pub fn shown(value: &Value) -> Json {
    json::to_json(value)
}

fn float(text: &str) -> Option<f64> {
    text.parse().ok()
}

fn same_float(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// A number of either kind, as one form for each.
#[derive(PartialEq)]
enum Num {
    Integer(i128),
    Float(u64),
}

fn num(json: &Json) -> Option<Num> {
    let bits = |float: f64| Num::Float(if float.is_nan() { f64::NAN.to_bits() } else { float.to_bits() });
    if let Some(text) = tag(json, "$float").and_then(Json::as_str) {
        return float(text).map(bits);
    }
    if let Some(text) = tag(json, "$integer").and_then(Json::as_str) {
        return text.parse().ok().map(Num::Integer);
    }
    let number = json.as_number()?;
    number.as_i128().map(Num::Integer).or_else(|| number.as_f64().map(bits))
}

fn component(json: &Json) -> Option<f64> {
    json.as_str().map_or_else(|| json.as_f64(), float).map(|float| f64::from(float as f32))
}

/// Whether a result is what is expected.
pub fn matches(expected: &Json, result: &Json) -> bool {
    if tag(expected, "$any").is_some() {
        return !result.is_null() && tag(result, "$absent").is_none();
    }
    if let Some(Json::Object(members)) = tag(expected, "$has") {
        return members.iter().all(|(name, value)| result.get(name).is_some_and(|there| matches(value, there)));
    }
    if let Some(Json::Array(items)) = tag(expected, "$unordered") {
        let Some(mut left) = result.as_array().cloned() else { return false };
        let all = items.iter().all(|item| {
            let found = left.iter().position(|there| matches(item, there));
            found.map(|at| left.swap_remove(at)).is_some()
        });
        return all && left.is_empty();
    }
    let part = |name| tag(expected, name).and_then(Json::as_str).zip(result.as_str());
    if let Some((part, text)) = part("$begins") {
        return text.starts_with(part);
    }
    if let Some((part, text)) = part("$contains") {
        return text.contains(part);
    }
    if let Some(least) = tag(expected, "$at_least").and_then(Json::as_u64) {
        return result.as_u64().is_some_and(|number| number >= least);
    }
    if let Some(Json::Array(items)) = tag(expected, "$vector") {
        let Some(Json::Array(there)) = tag(result, "$vector") else { return false };
        let pairs = || items.iter().map(component).zip(there.iter().map(component));
        return items.len() == there.len() && pairs().all(|(a, b)| a.zip(b).is_some_and(|(a, b)| same_float(a, b)));
    }
    if let (Some(a), Some(b)) = (num(expected), num(result)) {
        return a == b;
    }
    match (expected, result) {
        (Json::Array(items), Json::Array(there)) => {
            items.len() == there.len() && items.iter().zip(there).all(|(item, there)| matches(item, there))
        }
        (Json::Object(members), Json::Object(there)) => {
            members.len() == there.len()
                && members.iter().all(|(name, value)| there.get(name).is_some_and(|there| matches(value, there)))
        }
        (expected, result) => expected == result,
    }
}
