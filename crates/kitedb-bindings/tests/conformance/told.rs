//! Reports as objects, under their names in Rust.

use kitedb_bindings::{Report, Told};
use serde_json::Value as Json;

pub fn told(report: &(impl Report + ?Sized)) -> Json {
    json(report.told())
}

fn json(told: Told) -> Json {
    match told {
        Told::Nothing => Json::Null,
        Told::Bool(v) => v.into(),
        Told::Unsigned(v) => v.into(),
        Told::Signed(v) => v.into(),
        Told::Float(v) => v.into(),
        Told::Text(v) => v.into(),
        Told::List(items) => items.into_iter().map(json).collect(),
        Told::Object(_, fields) => fields.into_iter().map(|(name, value)| (name.to_owned(), json(value))).collect(),
    }
}
