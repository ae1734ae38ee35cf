//! One JSON object per line: a name, a node or an edge. `kitedb export` writes this form.

use super::{Element, End, Item, MAX_JSON_LINE, Props, Vectors, Visit, lines, no_rank};
use crate::failure::Failure;
use kitedb_core::{MAX_RANK, NodeId, graph::NameKind, json};
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
const NODE_ID: &[&str] = &["node_id"];
const SRC_ID: &[&str] = &["src_id"];
const DST_ID: &[&str] = &["dst_id"];

/// How kinds of names are called.
pub const KINDS: [(&str, NameKind); 3] =
    [("label", NameKind::Label), ("edge_type", NameKind::EdgeType), ("property_key", NameKind::PropKey)];

/// Calls `visit` with every element of `reader`.
pub fn read(reader: impl BufRead, failed: impl Fn(&io::Error) -> Failure, visit: Visit<'_>) -> Result<(), Failure> {
    lines::each(reader, MAX_JSON_LINE, failed, |line, text| {
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
        Kind::Name => object.name()?,
        Kind::Node => {
            let (id, key) = (object.id(NODE_ID)?.map(NodeId), object.key(KEY)?);
            if id.is_none() && key.is_none() {
                return Err("a node without `key`".to_owned());
            }
            let (labels, props) = (object.labels()?, object.props()?);
            Element::Node { id, key, labels, props, vectors: object.vectors()? }
        }
        Kind::Edge(ty) => Element::Edge {
            src: object.end(SRC_ID, SRC)?,
            dst: object.end(DST_ID, DST)?,
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
    Name,
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

    /// `type` says "node", "edge" or "name". Without it, what has ends is an edge; a `type` of another name beside
    /// ends is the edge's own.
    fn kind(&mut self) -> Result<Kind, String> {
        let ends = [SRC, DST, SRC_ID, DST_ID].into_iter().any(|spellings| self.has(spellings));
        match self.0.remove("type") {
            Some(Json::String(ty)) => match ty.as_str() {
                "node" => Ok(Kind::Node),
                "edge" | "relationship" => Ok(Kind::Edge(None)),
                "" => Err("`type` is empty".to_owned()),
                _ if ends => Ok(Kind::Edge(Some(ty))),
                "name" => Ok(Kind::Name),
                _ => Err(format!("`type` is `{ty}`: give `node` or `edge`")),
            },
            Some(other) => Err(format!("`type` is {}: give \"node\" or \"edge\"", kind_of(&other))),
            None if ends => Ok(Kind::Edge(None)),
            None if self.has(KEY) || self.has(NODE_ID) => Ok(Kind::Node),
            None => Err("neither a node (`key`) nor an edge (`src`, `dst`)".to_owned()),
        }
    }

    /// An id that the node or name had where it comes from.
    fn id(&mut self, spellings: &[&'static str]) -> Result<Option<u64>, String> {
        match self.take(spellings) {
            Some((name, id)) => match id.as_u64() {
                Some(id) => Ok(Some(id)),
                None => Err(format!("`{name}` is {}: give a positive integer", kind_of(&id))),
            },
            None => Ok(None),
        }
    }

    fn name(&mut self) -> Result<Element<'static>, String> {
        let kind = self.text(&["kind"])?.ok_or("a name without `kind`")?;
        let known = KINDS.iter().find(|(name, _)| *name == kind).map(|(_, kind)| *kind);
        let kind = known.ok_or_else(|| format!("`kind` is `{kind}`: give `label`, `edge_type` or `property_key`"))?;
        let id = self.id(&["id"])?.ok_or("a name without `id`")?;
        let id = u32::try_from(id).map_err(|_| format!("the `id` of a name is {id}, which does not fit 32 bits"))?;
        Ok(Element::Name { kind, id, name: self.text(&["name"])?.ok_or("a name without `name`")? })
    }

    fn end(&mut self, id: &[&'static str], key: &[&'static str]) -> Result<End<'static>, String> {
        if let Some(id) = self.id(id)? {
            return Ok(End::Id(NodeId(id)));
        }
        let missing = || format!("an edge without `{}`", key.first().unwrap_or(&"end"));
        self.key(key)?.map(End::Key).ok_or_else(missing)
    }

    fn vectors(&mut self) -> Result<Vectors<'static>, String> {
        let vectors = match self.take(&["vectors"]) {
            Some((_, Json::Object(vectors))) => vectors,
            Some((name, other)) => return Err(format!("`{name}` is {}: give an object", kind_of(&other))),
            None => return Ok(Vec::new()),
        };
        let read = vectors.into_iter().map(|(name, value)| {
            let floats: Option<Vec<f32>> =
                value.as_array().and_then(|items| items.iter().map(json::component).collect());
            let floats = floats.ok_or_else(|| format!("the vector `{name}` is no array of 32-bit floats"))?;
            Ok((Cow::Owned(name), floats))
        });
        read.collect()
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

    fn rank(&mut self) -> Result<Option<u64>, String> {
        let Some(given) = self.0.remove("rank") else { return Ok(None) };
        given.as_u64().filter(|rank| *rank <= MAX_RANK).map(Some).ok_or_else(|| no_rank(given))
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
                    let value = json::from_json(&name, value).map_err(|e| format!("property {e}"))?;
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
    use kitedb_core::Value;

    fn node(key: &str, labels: &[&'static str], props: Props<'static>) -> Element<'static> {
        let labels = labels.iter().map(|label| Cow::Borrowed(*label)).collect();
        Element::node(key.to_owned(), labels, props)
    }

    fn edge(src: &'static str, dst: &'static str, ty: Option<&'static str>, props: Props<'static>) -> Element<'static> {
        Element::edge(src, dst, ty.map(Cow::Borrowed), props)
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
    fn a_line_of_an_export_keeps_ids() {
        let id = |id| NodeId(id);
        for (line, want) in [
            (
                r#"{"type":"name","kind":"edge_type","id":3,"name":"KNOWS"}"#,
                Element::Name { kind: NameKind::EdgeType, id: 3, name: "KNOWS".into() },
            ),
            (
                r#"{"type":"node","node_id":7,"vectors":{"v":[1,0.5,"NaN"]}}"#,
                Element::Node {
                    id: Some(id(7)),
                    key: None,
                    labels: vec![],
                    props: vec![],
                    vectors: vec![("v".into(), vec![1.0, 0.5, f32::NAN])],
                },
            ),
            (
                r#"{"src_id":1,"dst_id":2,"label":"T"}"#,
                Element::Edge {
                    src: End::Id(id(1)),
                    dst: End::Id(id(2)),
                    ty: Some("T".into()),
                    rank: None,
                    props: vec![],
                },
            ),
            (r#"{"src":"a","dst":"b","rank":7}"#, edge("a", "b", None, vec![]).with_rank(Some(7))),
            // With ends, it is an edge of this type.
            (r#"{"type":"name","src":"a","dst":"b"}"#, edge("a", "b", Some("name"), vec![])),
        ] {
            let read = parse(line).unwrap().unwrap();
            assert_eq!(format!("{read:?}"), format!("{want:?}"), "{line}");
        }
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let line = r#"{"key":"k","props":{"n":null,"b":true,"i":-3,"f":3.0,"s":"é","l":[1,[]],"m":{"x":{}},
            "v":{"$vector":[1,2.5]},"d":{"$date":"2015-07-21"}}}"#;
        let Ok(Some(Element::Node { mut props, .. })) = parse(line) else { panic!("not a node") };
        props.sort_by(|a, b| a.0.cmp(&b.0));
        let want = [
            ("b", Value::Bool(true)),
            ("d", Value::Date("2015-07-21".parse().unwrap())),
            ("f", Value::F64(3.0)),
            ("i", Value::I64(-3)),
            ("l", Value::List(vec![Value::I64(1), Value::List(vec![])])),
            ("m", Value::Map([("x".to_owned(), Value::Map([].into()))].into())),
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
            (r#"{"key":"a","props":{"x":{"y":[{"$date":"z"}]}}}"#, "property x.y[0] is not what its tag says"),
            (r#"{"key":"a","props":{"x":{"$vector":[1e39]}}}"#, "property x[0] is not a 32-bit float"),
            (r#"{"key":"a","vectors":{"x":["y"]}}"#, "the vector `x` is no array of 32-bit floats"),
            (r#"{"key":"a","vectors":[]}"#, "`vectors` is an array: give an object"),
            (r#"{"node_id":"7"}"#, "`node_id` is a string: give a positive integer"),
            (r#"{"type":"name","kind":"node","id":1,"name":"A"}"#, "`kind` is `node`"),
            (r#"{"type":"name","kind":"label","id":4294967296,"name":"A"}"#, "does not fit 32 bits"),
            (r#"{"type":"name","kind":"label","name":"A"}"#, "a name without `id`"),
            (r#"{"key":"a","props":{"x":9223372036854775808}}"#, "does not fit a signed 64-bit integer"),
            (r#"{"type":"edge","src":"a"}"#, "an edge without `dst`"),
            (r#"{"src":"a","source":"b","dst":"c"}"#, "unknown field `source`"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(phrase), "{line}: {error}");
        }
    }
}
