//! Nodes and edges as rows of a list, with all of their properties or with what `--show` names.

use super::node_name;
use crate::{
    render::{
        listing::{Form, Head, Row},
        style::{ACCENT, DIM, PLAIN, clean},
        table::{Align, Left, Right, Table},
        value,
    },
    select::field::{Field, Fields, Own},
};
use anstyle::Style;
use kitedb_core::{EdgeRef, GraphRead, NodeId, NodeRef, Result, Value, View, json};
use serde_json::{Map, Value as Json, json as object};
use std::collections::BTreeSet;

/// What of an element is told besides what names it.
#[derive(Debug, Clone)]
pub enum Told {
    /// All of its properties. Separated values have a column for each of these.
    All(BTreeSet<String>),
    Fields(Vec<Field>),
}

impl Told {
    /// What `show` names. What names an element in that form anyway is not told twice.
    pub fn of(show: &[Fields], form: Form) -> Self {
        let is_new = |field: &&Field| match field {
            Field::Own(Own::Key | Own::From | Own::To | Own::Type) => false,
            Field::Own(Own::Id | Own::Rank) => form != Form::Csv,
            _ => true,
        };
        match show {
            [] => Self::All(BTreeSet::new()),
            show => Self::Fields(show.iter().flat_map(|fields| fields.0.iter()).filter(is_new).cloned().collect()),
        }
    }

    /// What was chosen.
    pub fn fields(&self) -> &[Field] {
        match self {
            Self::All(_) => &[],
            Self::Fields(fields) => fields,
        }
    }

    /// The properties that it names.
    pub fn properties(&self) -> impl Iterator<Item = &str> {
        self.fields().iter().filter_map(Field::property)
    }

    /// Takes in the properties that an element has, if columns are to be made of them.
    pub fn gather(&mut self, properties: impl Iterator<Item = Result<String>>) -> Result<()> {
        if let Self::All(names) = self {
            for name in properties {
                names.insert(name?);
            }
        }
        Ok(())
    }

    /// The columns of a table for it: with heads where it was chosen what they are.
    fn columns(&self) -> Vec<(String, Align, Style)> {
        match self {
            Self::All(_) => vec![(String::new(), Left, PLAIN)],
            Self::Fields(fields) => fields.iter().map(|field| (clean(&field.to_string()), Left, PLAIN)).collect(),
        }
    }

    /// The names of the columns of separated values for it. What would be called as another column stands in quotes.
    fn names(&self, others: &[&str]) -> Vec<String> {
        match self {
            Self::All(names) => names
                .iter()
                .map(|name| if others.contains(&name.as_str()) { format!("\"{name}\"") } else { name.clone() })
                .collect(),
            Self::Fields(fields) => fields.iter().map(Field::to_string).collect(),
        }
    }

    fn head(&self, name: &str) -> String {
        match self {
            Self::All(_) => String::new(),
            Self::Fields(_) => name.to_owned(),
        }
    }
}

/// What was told of one element.
#[derive(Debug)]
enum Found {
    All(Vec<(String, Value)>),
    Fields(Vec<Option<Value>>),
}

impl Found {
    fn cells(&self) -> Vec<String> {
        match self {
            Self::All(props) => vec![value::line(props)],
            Self::Fields(values) => {
                values.iter().map(|value| value.as_ref().map_or_else(String::new, value::text)).collect()
            }
        }
    }

    fn values(&self, told: &Told) -> Vec<Option<String>> {
        match (self, told) {
            (Self::All(props), Told::All(names)) => names
                .iter()
                .map(|name| props.iter().find(|(other, _)| other == name).and_then(|(_, value)| separated(value)))
                .collect(),
            (Self::Fields(values), _) => values.iter().map(|value| value.as_ref().and_then(separated)).collect(),
            (Self::All(_), Told::Fields(_)) => Vec::new(),
        }
    }

    /// Puts it into an object: properties under `props`, all else beside it.
    fn put(&self, told: &Told, into: &mut Map<String, Json>) {
        let mut props = Map::new();
        match (self, told) {
            (Self::All(all), _) => props = value::json_object(all),
            (Self::Fields(values), Told::Fields(fields)) => {
                for (field, value) in fields.iter().zip(values) {
                    match (field, value) {
                        (Field::Property(name), Some(value)) => _ = props.insert(name.clone(), json::to_json(value)),
                        (Field::Property(_), None) => {}
                        (Field::Own(_), value) => {
                            into.insert(field.to_string(), value.as_ref().map_or(Json::Null, json::to_json));
                        }
                    }
                }
            }
            (Self::Fields(_), Told::All(_)) => {}
        }
        into.insert("props".to_owned(), Json::Object(props));
    }
}

/// A value among separated ones: a text as it is, what has parts as JSON; null is nothing.
pub fn separated(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        Value::Bytes(_) | Value::Vector(_) | Value::List(_) | Value::Map(_) => json::to_json(value).to_string(),
        other => value::text(other),
    })
}

/// Labels in one cell of separated values, as imports read them.
pub fn joined(labels: &[String]) -> Option<String> {
    (!labels.is_empty()).then(|| labels.join(";"))
}

/// Labels in one cell of a table.
pub fn colons(labels: &[String]) -> String {
    labels.iter().map(|label| format!(":{}", clean(label))).collect::<Vec<_>>().join(" ")
}

/// A node in a list, with what the list says of it before: how far it is, how high it ranks.
pub struct NodeRow<'t> {
    told: &'t Told,
    before: Option<(&'static str, Value)>,
    id: NodeId,
    key: Option<String>,
    labels: Vec<String>,
    found: Found,
    vectors: Vec<(String, Vec<f32>)>,
}

/// What names a node among separated values.
const NAMES: [&str; 3] = ["id", "key", "labels"];

impl<'t> NodeRow<'t> {
    pub fn read(node: &NodeRef<'_>, told: &'t Told, before: Option<(&'static str, Value)>) -> Result<Self> {
        let found = match told {
            Told::All(_) => Found::All(sorted(node.named_props()?.map(|prop| {
                let (name, value) = prop?;
                Ok((name.to_string(), value.to_value()))
            }))?),
            Told::Fields(fields) => {
                Found::Fields(fields.iter().map(|field| field.of_node(node)).collect::<Result<_>>()?)
            }
        };
        Ok(Self {
            told,
            before,
            id: node.id(),
            key: node.key()?.map(str::to_owned),
            labels: node.label_names()?.iter().map(ToString::to_string).collect(),
            found,
            vectors: Vec::new(),
        })
    }

    /// With its vectors, which a line has that an import reads.
    pub fn with_vectors(mut self, node: &NodeRef<'_>, view: &View) -> Result<Self> {
        for (key, name) in view.propkeys() {
            if view.vector_dimension(key).is_some()
                && let Some(vector) = node.vector(key)?
            {
                self.vectors.push((name, vector.to_vec()));
            }
        }
        Ok(self)
    }

    /// What is before such rows in a list that a document calls `list`; `before` is what each row has before its node.
    pub fn head(document: String, told: &Told, before: Option<&'static str>) -> Head {
        let mut columns: Vec<_> = before.map(|name| (told.head(name), Right, DIM)).into_iter().collect();
        columns.extend([(told.head("key"), Left, ACCENT), (told.head("labels"), Left, DIM)]);
        columns.extend(told.columns());
        let mut names: Vec<_> = before.into_iter().chain(NAMES).map(str::to_owned).collect();
        names.extend(told.names(&NAMES));
        Head { document, table: Table::of(0, columns), names }
    }
}

impl Row for NodeRow<'_> {
    fn cells(&self) -> Vec<String> {
        let mut cells: Vec<_> = self.before.iter().map(|(_, value)| value::text(value)).collect();
        cells.extend([node_name(self.key.as_deref(), self.id), colons(&self.labels)]);
        cells.extend(self.found.cells());
        cells
    }

    fn object(&self) -> Json {
        let mut told = Map::new();
        self.found.put(self.told, &mut told);
        if let Some((name, value)) = &self.before {
            told.insert((*name).to_owned(), json::to_json(value));
        }
        for (name, value) in
            [("id", self.id.0.into()), ("key", self.key.clone().into()), ("labels", self.labels.clone().into())]
        {
            told.insert(name.to_owned(), value);
        }
        Json::Object(told)
    }

    /// As an import reads it, which finds the node by its key, or else by its id.
    fn line(&self) -> Json {
        let (Found::All(props), None) = (&self.found, &self.before) else { return self.object() };
        let mut line = object!({ "type": "node", "props": value::json_object(props) });
        match &self.key {
            Some(key) => line["key"] = key.as_str().into(),
            None => line["node_id"] = self.id.0.into(),
        }
        if !self.labels.is_empty() {
            line["labels"] = self.labels.clone().into();
        }
        for (name, vector) in &self.vectors {
            line["vectors"][name] = json::components(vector);
        }
        line
    }

    fn values(&self) -> Vec<Option<String>> {
        let before = self.before.iter().map(|(_, value)| separated(value));
        let mut values: Vec<_> = before.collect();
        values.extend([Some(self.id.to_string()), self.key.clone(), joined(&self.labels)]);
        values.extend(self.found.values(self.told));
        values
    }
}

/// An end of an edge.
struct EndOf {
    id: NodeId,
    key: Option<String>,
}

impl EndOf {
    fn read(node: &NodeRef<'_>) -> Result<Self> {
        Ok(Self { id: node.id(), key: node.key()?.map(str::to_owned) })
    }

    fn object(&self) -> Json {
        object!({ "id": self.id.0, "key": self.key })
    }
}

/// An edge in a list.
pub struct EdgeRow<'t> {
    told: &'t Told,
    from: EndOf,
    to: EndOf,
    ty: String,
    rank: u64,
    found: Found,
}

/// What names an edge among separated values, as imports read it.
const NAMES_OF_EDGES: [&str; 4] = ["from", "to", "type", "rank"];

impl<'t> EdgeRow<'t> {
    pub fn read(edge: &EdgeRef<'_>, told: &'t Told) -> Result<Self> {
        let found = match told {
            Told::All(_) => Found::All(sorted(edge.named_props()?.map(|prop| {
                let (name, value) = prop?;
                Ok((name.to_string(), value.to_value()))
            }))?),
            Told::Fields(fields) => {
                Found::Fields(fields.iter().map(|field| field.of_edge(edge)).collect::<Result<_>>()?)
            }
        };
        Ok(Self {
            told,
            from: EndOf::read(&edge.src_node())?,
            to: EndOf::read(&edge.dst_node())?,
            ty: edge.type_name()?.to_string(),
            rank: edge.rank(),
            found,
        })
    }

    pub fn head(document: String, told: &Told) -> Head {
        let mut columns =
            vec![(told.head("from"), Left, ACCENT), (told.head("type"), Left, DIM), (told.head("to"), Left, ACCENT)];
        columns.extend(told.columns());
        let mut names: Vec<_> = NAMES_OF_EDGES.map(str::to_owned).into();
        names.extend(told.names(&NAMES_OF_EDGES));
        Head { document, table: Table::of(0, columns), names }
    }
}

impl Row for EdgeRow<'_> {
    fn cells(&self) -> Vec<String> {
        let name = |end: &EndOf| node_name(end.key.as_deref(), end.id);
        let mut cells = vec![name(&self.from), format!("-{}→", clean(&self.ty)), name(&self.to)];
        cells.extend(self.found.cells());
        cells
    }

    fn object(&self) -> Json {
        let mut told = Map::new();
        self.found.put(self.told, &mut told);
        for (name, value) in [("from", self.from.object()), ("to", self.to.object()), ("type", self.ty.clone().into())]
        {
            told.insert(name.to_owned(), value);
        }
        if self.rank != 0 {
            told.insert("rank".to_owned(), self.rank.into());
        }
        Json::Object(told)
    }

    /// As an import reads it, which finds each end by its key, or else by its id.
    fn line(&self) -> Json {
        let Found::All(props) = &self.found else { return self.object() };
        // Without its rank, one of several parallel edges is another one.
        let mut line =
            object!({ "type": "edge", "label": self.ty, "rank": self.rank, "props": value::json_object(props) });
        for (end, by_key, by_id) in [(&self.from, "src", "src_id"), (&self.to, "dst", "dst_id")] {
            match &end.key {
                Some(key) => line[by_key] = key.as_str().into(),
                None => line[by_id] = end.id.0.into(),
            }
        }
        line
    }

    fn values(&self) -> Vec<Option<String>> {
        let name = |end: &EndOf| Some(end.key.clone().unwrap_or_else(|| format!("#{}", end.id)));
        let mut values = vec![name(&self.from), name(&self.to), Some(self.ty.clone()), Some(self.rank.to_string())];
        values.extend(self.found.values(self.told));
        values
    }
}

/// Properties in the order of their names.
fn sorted(props: impl Iterator<Item = Result<(String, Value)>>) -> Result<Vec<(String, Value)>> {
    let mut props = props.collect::<Result<Vec<_>>>()?;
    props.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(props)
}
