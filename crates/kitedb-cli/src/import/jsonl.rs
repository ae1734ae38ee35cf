//! One JSON object per line: a node or an edge.

use super::{Element, Item, Props, Visit, lines, no_rank};
use crate::failure::Failure;
use kitedb_core::{MAX_RANK, Value};
use serde_json::{Map, Value as Json};
use std::{
    borrow::Cow,
    io::{self, BufRead},
};

const KEY: &[&str] = &["key", "id"];
const LABELS: &[&str] = &["labels", "label"];
const SRC: &[&str] = &["src", "source", "from"];
const DST: &[&str] = &["dst", "target", "to"];
const EDGE_TYPE: &[&str] = &["label", "edge_type"];
const PROPS: &[&str] = &["props", "properties"];

/// Calls `visit` with every element of `reader`.
pub fn read(reader: impl BufRead, failed: impl Fn(&io::Error) -> Failure, visit: Visit<'_>) -> Result<(), Failure> {
    lines::each(reader, failed, |line, text| {
        let element = text.and_then(parse);
        match element.transpose() {
            None => Ok(()),
            Some(element) => visit(Item { line, element }),
        }
    })
}

/// The element on a line; none if the line is blank.
pub fn parse(line: &str) -> Result<Option<Element<'static>>, String> {
    if line.trim().is_empty() {
        return Ok(None);
    }
    let mut object = match serde_json::from_str(line) {
        Ok(Json::Object(object)) => Fields(object),
        Ok(_) => return Err("not a JSON object".to_owned()),
        Err(error) => return Err(not_json(&error)),
    };
    let element = match object.kind()? {
        Kind::Node => Element::Node {
            key: object.key(KEY)?.ok_or("a node without `key`")?,
            labels: object.labels()?,
            props: object.props()?,
        },
        Kind::Edge(ty) => Element::Edge {
            src: object.key(SRC)?.ok_or("an edge without `src`")?,
            dst: object.key(DST)?.ok_or("an edge without `dst`")?,
            ty: match ty {
                Some(ty) => Some(ty.into()),
                None => object.text(EDGE_TYPE)?,
            },
            rank: object.rank()?,
            props: object.props()?,
        },
    };
    object.must_be_used_up()?;
    Ok(Some(element))
}

enum Kind {
    Node,
    Edge(Option<String>),
}

/// What is left to read of an object.
struct Fields(Map<String, Json>);

impl Fields {
    fn take(&mut self, spellings: &[&'static str]) -> Option<(&'static str, Json)> {
        spellings.iter().find_map(|name| self.0.remove(*name).map(|value| (*name, value)))
    }

    fn has(&self, spellings: &[&str]) -> bool {
        spellings.iter().any(|name| self.0.contains_key(*name))
    }

    /// `type` says "node" or "edge". Without it, what has ends is an edge; a `type` of another name beside
    /// ends is the edge's own.
    fn kind(&mut self) -> Result<Kind, String> {
        let ends = self.has(SRC) || self.has(DST);
        match self.0.remove("type") {
            Some(Json::String(ty)) => match ty.as_str() {
                "node" => Ok(Kind::Node),
                "edge" | "relationship" => Ok(Kind::Edge(None)),
                "" => Err("`type` is empty".to_owned()),
                _ if ends => Ok(Kind::Edge(Some(ty))),
                _ => Err(format!("`type` is `{ty}`: give `node` or `edge`")),
            },
            Some(other) => Err(format!("`type` is {}: give \"node\" or \"edge\"", kind_of(&other))),
            None if ends => Ok(Kind::Edge(None)),
            None if self.has(KEY) => Ok(Kind::Node),
            None => Err("neither a node (`key`) nor an edge (`src`, `dst`)".to_owned()),
        }
    }

    fn key(&mut self, spellings: &[&'static str]) -> Result<Option<Cow<'static, str>>, String> {
        match self.take(spellings) {
            Some((_, Json::Number(number))) if number.is_i64() || number.is_u64() => {
                Ok(Some(number.to_string().into()))
            }
            Some((name, other)) => text(name, other).map(Some),
            None => Ok(None),
        }
    }

    fn rank(&mut self) -> Result<u64, String> {
        match self.0.remove("rank") {
            None => Ok(0),
            Some(given) => given.as_u64().filter(|rank| *rank <= MAX_RANK).ok_or_else(|| no_rank(given)),
        }
    }

    fn text(&mut self, spellings: &[&'static str]) -> Result<Option<Cow<'static, str>>, String> {
        self.take(spellings).map(|(name, value)| text(name, value)).transpose()
    }

    fn labels(&mut self) -> Result<Vec<Cow<'static, str>>, String> {
        match self.take(LABELS) {
            Some((name, Json::Array(labels))) => labels.into_iter().map(|label| text(name, label)).collect(),
            Some((name, label)) => Ok(vec![text(name, label)?]),
            None => Ok(Vec::new()),
        }
    }

    fn props(&mut self) -> Result<Props<'static>, String> {
        match self.take(PROPS) {
            Some((_, Json::Object(props))) => props
                .into_iter()
                .map(|(name, value)| {
                    if name.is_empty() {
                        return Err("a property without a name".to_owned());
                    }
                    let value = value_of(value).map_err(|what| format!("property `{name}` {what}"))?;
                    Ok((Cow::Owned(name), value))
                })
                .collect(),
            Some((_, Json::Null)) | None => Ok(Vec::new()),
            Some((name, other)) => Err(format!("`{name}` is {}: give an object", kind_of(&other))),
        }
    }

    /// A field nobody asked for is a spelling mistake, or data that would be lost.
    fn must_be_used_up(&self) -> Result<(), String> {
        match self.0.keys().next() {
            Some(name) => Err(format!("unknown field `{name}` (properties go into `props`)")),
            None => Ok(()),
        }
    }
}

fn text(name: &str, value: Json) -> Result<Cow<'static, str>, String> {
    match value {
        Json::String(text) if text.is_empty() => Err(format!("`{name}` is empty")),
        Json::String(text) => Ok(text.into()),
        other => Err(format!("`{name}` is {}: give a string", kind_of(&other))),
    }
}

fn value_of(json: Json) -> Result<Value, String> {
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(bool) => Value::Bool(bool),
        Json::String(text) => Value::String(text),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Value::I64(integer),
            (None, Some(float)) if number.is_f64() => Value::F64(float),
            _ => return Err(format!("is {number}, which does not fit a signed 64-bit integer")),
        },
        Json::Array(items) => {
            let floats = items.iter().map(|item| item.as_f64().map(|float| float as f32).filter(|f| f.is_finite()));
            let floats: Option<Vec<f32>> = floats.collect();
            Value::Vector(floats.ok_or("is an array of something else than 32-bit floats")?)
        }
        Json::Object(_) => return Err("is an object, which is no value".to_owned()),
    })
}

fn kind_of(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}

fn not_json(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    format!("not JSON: {what} at column {}", error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(key: &str, labels: &[&'static str], props: Props<'static>) -> Element<'static> {
        let labels = labels.iter().map(|label| Cow::Borrowed(*label)).collect();
        Element::Node { key: key.to_owned().into(), labels, props }
    }

    fn edge(src: &'static str, dst: &'static str, ty: Option<&'static str>, props: Props<'static>) -> Element<'static> {
        Element::Edge { src: src.into(), dst: dst.into(), ty: ty.map(Cow::Borrowed), rank: 0, props }
    }

    #[test]
    fn a_line_is_a_node_or_an_edge() {
        for (line, want) in [
            (r#"{"type":"node","key":"ada"}"#, node("ada", &[], vec![])),
            (r#"{"key":"ada","label":"Person"}"#, node("ada", &["Person"], vec![])),
            (r#"{"id":7,"labels":["A","B"],"properties":null}"#, node("7", &["A", "B"], vec![])),
            (r#"{"type":"edge","src":"a","dst":"b"}"#, edge("a", "b", None, vec![])),
            (r#"{"source":"a","target":"b","label":"KNOWS"}"#, edge("a", "b", Some("KNOWS"), vec![])),
            (r#"{"type":"edge","from":"a","to":"b","edge_type":"KNOWS"}"#, edge("a", "b", Some("KNOWS"), vec![])),
            (r#"{"type":"KNOWS","src":"a","dst":"b"}"#, edge("a", "b", Some("KNOWS"), vec![])),
            (r#"{"src":1,"dst":2,"props":{"w":0.5}}"#, edge("1", "2", None, vec![("w".into(), Value::F64(0.5))])),
        ] {
            assert_eq!(parse(line), Ok(Some(want)), "{line}");
        }
        assert_eq!(parse("  "), Ok(None));
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let line = r#"{"key":"k","props":{"n":null,"b":true,"i":-3,"f":3.0,"s":"é","v":[1,2.5],"e":[]}}"#;
        let Ok(Some(Element::Node { mut props, .. })) = parse(line) else { panic!("not a node") };
        props.sort_by(|a, b| a.0.cmp(&b.0));
        let want = [
            ("b", Value::Bool(true)),
            ("e", Value::Vector(vec![])),
            ("f", Value::F64(3.0)),
            ("i", Value::I64(-3)),
            ("n", Value::Null),
            ("s", Value::String("é".to_owned())),
            ("v", Value::Vector(vec![1.0, 2.5])),
        ];
        assert_eq!(props, want.map(|(name, value)| (Cow::Borrowed(name), value)));
    }

    #[test]
    fn a_bad_line_says_what_is_wrong() {
        for (line, phrase) in [
            ("{", "not JSON: EOF while parsing an object at column 1"),
            ("[1]", "not a JSON object"),
            ("{}", "neither a node"),
            (r#"{"type":"vertex","key":"a"}"#, "`type` is `vertex`"),
            (r#"{"type":3,"key":"a"}"#, "`type` is a number"),
            (r#"{"type":"node"}"#, "a node without `key`"),
            (r#"{"key":""}"#, "`key` is empty"),
            (r#"{"key":1.5}"#, "`key` is a number: give a string"),
            (r#"{"key":"a","labels":[1]}"#, "`labels` is a number"),
            (r#"{"key":"a","prop":{}}"#, "unknown field `prop`"),
            (r#"{"key":"a","props":[]}"#, "`props` is an array"),
            (r#"{"key":"a","props":{"x":{}}}"#, "property `x` is an object"),
            (r#"{"key":"a","props":{"x":["y"]}}"#, "property `x` is an array of something else"),
            (r#"{"key":"a","props":{"x":[1e39]}}"#, "32-bit floats"),
            (r#"{"key":"a","props":{"x":9223372036854775808}}"#, "does not fit a signed 64-bit integer"),
            (r#"{"type":"edge","src":"a"}"#, "an edge without `dst`"),
            (r#"{"src":"a","source":"b","dst":"c"}"#, "unknown field `source`"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(phrase), "{line}: {error}");
        }
    }
}
