//! Values and ids as JSON: the engine's form ([`kitedb_core::json`]), but for integers that a double cannot hold.

use kitedb_core::{Error, Result, Value, json};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
};
use serde_json::{Map, Number, Value as Json};
use std::{collections::BTreeMap, fmt};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, OneOfBuilder, RefOr, Schema,
        schema::{SchemaType, Type},
    },
};

/// The greatest integer that every reader of JSON keeps: many have doubles only.
const EXACT: u64 = (1 << 53) - 1;

/// What a property's value is, for whoever reads the contract.
const ABOUT: &str = "A property's value. Null, booleans, text, numbers (with a point or an exponent: a float; else an integer), lists and \
                     maps are what JSON calls so. The rest are objects of one member: `$integer` (an integer beyond 2^53-1, as text), \
                     `$float` (`\"NaN\"`, `\"Infinity\"`, `\"-Infinity\"`, the bits of another NaN, or, to be read, any number as text), \
                     `$bytes` (base64), `$vector` (numbers), `$date`, `$local_time`, `$time`, `$local_date_time`, `$date_time`, \
                     `$duration` (ISO 8601), and `$map` (a map whose one name begins with `$`)";

/// A property's value as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PropertyValue(Json);

impl ToSchema for PropertyValue {}

impl PartialSchema for PropertyValue {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(Some(ABOUT)).into()
    }
}

/// Properties by their names.
pub type Props = BTreeMap<String, PropertyValue>;

impl PropertyValue {
    pub fn of(value: &Value) -> Self {
        Self(narrowed(json::to_json(value)))
    }

    /// The value; errors begin with `name`.
    pub fn read(&self, name: &str) -> Result<Value> {
        json::from_json(name, widened(name, self.0.clone())?)
    }
}

/// With every integer that a double cannot hold as a tag.
fn narrowed(json: Json) -> Json {
    match json {
        Json::Number(number) if number.as_i64().is_some_and(|integer| integer.unsigned_abs() > EXACT) => {
            Json::Object(Map::from_iter([("$integer".to_owned(), Json::String(number.to_string()))]))
        }
        Json::Array(items) => items.into_iter().map(narrowed).collect(),
        Json::Object(members) => members.into_iter().map(|(name, value)| (name, narrowed(value))).collect(),
        other => other,
    }
}

/// With the numbers that tags hold as numbers: what the engine reads.
fn widened(of: &str, json: Json) -> Result<Json> {
    Ok(match json {
        Json::Array(items) => Json::Array(items.into_iter().map(|item| widened(of, item)).collect::<Result<_>>()?),
        Json::Object(mut members) => {
            if members.len() == 1 {
                if let Some(Json::String(text)) = members.get("$integer") {
                    let integer: i64 = text.parse().map_err(|_| no_integer(of, text))?;
                    return Ok(integer.into());
                }
                let finite = |text: &String| text.parse().ok().and_then(Number::from_f64);
                if let Some(Json::String(text)) = members.get("$float")
                    && let Some(number) = finite(text)
                {
                    return Ok(Json::Number(number));
                }
                if let Some(Json::Object(map)) = members.get_mut("$map") {
                    // Its own names are no tags.
                    let map = std::mem::take(map);
                    let read = map.into_iter().map(|(name, value)| Ok((name, widened(of, value)?)));
                    let read = read.collect::<Result<Map<_, _>>>()?;
                    return Ok(Json::Object(Map::from_iter([("$map".to_owned(), Json::Object(read))])));
                }
            }
            let read = members.into_iter().map(|(name, value)| Ok((name, widened(of, value)?)));
            Json::Object(read.collect::<Result<_>>()?)
        }
        other => other,
    })
}

fn no_integer(of: &str, text: &str) -> Error {
    Error::invalid(format_args!("{of} has an $integer that is no signed 64-bit integer: '{text:.64}'"))
}

/// The id of a node, or the rank of an edge: a number, or, beyond 2^53-1, its decimal digits as text. Both are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(pub u64);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 <= EXACT { serializer.serialize_u64(self.0) } else { serializer.collect_str(&self.0) }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfId;
        impl Visitor<'_> for OfId {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number that is not negative, or its digits as text")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Id, E> {
                Ok(Id(number))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                text.parse()
                    .ok()
                    .filter(|_| digits)
                    .map(Id)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(OfId)
    }
}

impl ToSchema for Id {}

impl PartialSchema for Id {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(EXACT));
        let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9]+$"));
        let what = "The id of a node, or the rank of an edge: a number, or, beyond 2^53-1, its decimal digits as text";
        OneOfBuilder::new().item(number).item(text).description(Some(what)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn back(text: &str) -> Result<Value> {
        serde_json::from_str::<PropertyValue>(text).unwrap().read("p")
    }

    proptest! {
        #[test]
        fn integers_are_what_they_were(value: i64, by in -2i64..3) {
            for value in [value, (1 << 53) + by, -(1 << 53) + by] {
                let text = serde_json::to_string(&PropertyValue::of(&Value::I64(value))).unwrap();
                prop_assert_eq!(back(&text).unwrap(), Value::I64(value), "{}", text);
                let id = serde_json::to_string(&Id(value.unsigned_abs())).unwrap();
                prop_assert_eq!(serde_json::from_str::<Id>(&id).unwrap(), Id(value.unsigned_abs()));
            }
        }
    }

    #[test]
    fn only_what_a_double_cannot_hold_is_a_tag() {
        let map = |name: &str, value: Value| Value::Map(BTreeMap::from([(name.to_owned(), value)]));
        for (value, json) in [
            (Value::I64(1), "1"),
            (Value::I64(9_007_199_254_740_991), "9007199254740991"),
            (Value::I64(9_007_199_254_740_992), r#"{"$integer":"9007199254740992"}"#),
            (Value::F64(1.0), "1.0"),
            (Value::List(vec![i64::MIN.into()]), r#"[{"$integer":"-9223372036854775808"}]"#),
            (map("$integer", "1".into()), r#"{"$map":{"$integer":"1"}}"#),
            (map("$map", i64::MAX.into()), r#"{"$map":{"$map":{"$integer":"9223372036854775807"}}}"#),
        ] {
            assert_eq!(serde_json::to_string(&PropertyValue::of(&value)).unwrap(), json);
            assert_eq!(back(json).unwrap(), value, "{json}");
        }
        assert_eq!(back(r#"{"$float":"1"}"#).unwrap(), Value::F64(1.0));
        for (json, says) in [
            (r#"[{"$integer":"9223372036854775808"}]"#, "p has an $integer"),
            (r#"{"$integer":1}"#, "$integer"),
            (r#"{"$float":"inf"}"#, "$float"),
        ] {
            let error = back(json).unwrap_err().to_string();
            assert!(error.contains(says), "{json}: {error}");
        }
    }
}
