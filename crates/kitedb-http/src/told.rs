//! Reports of the engine as JSON.

use kitedb_bindings::{Report, Told, camel_case};
use serde_json::{Map, Number, Value};

/// All that a report holds, with the names that Node has: `headLogIndex`.
pub(crate) fn json_of(report: &impl Report) -> Value {
    value_of(report.told())
}

fn value_of(told: Told) -> Value {
    match told {
        Told::Nothing => Value::Null,
        Told::Bool(is) => Value::Bool(is),
        Told::Unsigned(number) => number.into(),
        Told::Signed(number) => number.into(),
        Told::Float(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
        Told::Text(text) => Value::String(text),
        Told::List(list) => list.into_iter().map(value_of).collect(),
        Told::Object(_, fields) => {
            let members = fields.into_iter().map(|(name, told)| (camel_case(name), value_of(told)));
            Value::Object(Map::from_iter(members))
        }
    }
}
