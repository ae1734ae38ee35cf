//! Nodes and edges as JSON.

use super::{
    params::invalid,
    value::{Id, PropertyValue, Props},
};
use crate::error::Failure;
use kitedb_core::{
    EdgeKey, EdgeRef, Error, ErrorCode, GraphRead, NodeId, NodeRef, Result, Value, ValueRef, View, json,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use utoipa::ToSchema;

/// Bytes of values after which a page ends, roughly.
const PAGE_BYTES: usize = 8 << 20;

/// A node.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeBody {
    /// Its id.
    pub id: Id,
    /// Its key, if it has one.
    pub key: Option<String>,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// Its properties, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, PropertyValue>>)]
    pub props: Option<Props>,
    /// Its vectors by property key, where they were asked for. They are no properties.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, Vec<f64>>>)]
    pub vectors: Option<BTreeMap<String, serde_json::Value>>,
}

/// What names an edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EdgeName {
    /// The id of the node where it starts.
    pub src: Id,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: String,
    /// The id of the node where it ends.
    pub dst: Id,
    /// Which of parallel edges it is.
    pub rank: Id,
}

/// An edge.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EdgeBody {
    #[serde(flatten)]
    pub name: EdgeName,
    /// Its properties, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, PropertyValue>>)]
    pub props: Option<Props>,
}

/// What is to be shown of nodes, and how much is shown already.
#[derive(Debug)]
pub struct Shown {
    props: bool,
    /// The property keys that vectors are stored under.
    vectors: Option<Vec<(kitedb_core::PropKeyId, String)>>,
    bytes: usize,
}

impl Shown {
    pub fn of(view: &View, props: bool, vectors: bool) -> Self {
        let keys = || view.propkeys().into_iter().filter(|(key, _)| view.vector_dimension(*key).is_some()).collect();
        Self { props, vectors: vectors.then(keys), bytes: 0 }
    }

    /// Whether a page that holds what was shown so far has enough.
    pub fn is_enough(&self) -> bool {
        self.bytes >= PAGE_BYTES
    }

    pub fn node(&mut self, node: &NodeRef<'_>) -> Result<NodeBody> {
        let mut vectors = None;
        for (key, name) in self.vectors.iter().flatten() {
            let found = node.vector(*key)?.map(|vector| vector.to_vec());
            let all = vectors.get_or_insert_with(BTreeMap::new);
            if let Some(vector) = found {
                self.bytes += vector.len() * 8;
                all.insert(name.clone(), json::components(&vector));
            }
        }
        let vectors = vectors.or_else(|| self.vectors.as_ref().map(|_| BTreeMap::new()));
        let props = if self.props { Some(self.props(node.named_props()?)?) } else { None };
        let labels = node.label_names()?.iter().map(ToString::to_string).collect();
        Ok(NodeBody { id: Id(node.id().0), key: node.key()?.map(str::to_owned), labels, props, vectors })
    }

    pub fn edge(&mut self, edge: &EdgeRef<'_>, props: bool) -> Result<EdgeBody> {
        let props = if props { Some(self.props(edge.named_props()?)?) } else { None };
        Ok(EdgeBody { name: edge_name(edge.key(), edge.type_name()?.to_string()), props })
    }

    fn props<'a>(&mut self, props: impl Iterator<Item = Result<(Arc<str>, ValueRef<'a>)>>) -> Result<Props> {
        let read = props.map(|prop| {
            let (name, value) = prop?;
            let value = value.to_value();
            self.bytes += name.len() + weight(&value);
            Ok((name.to_string(), PropertyValue::of(&value)))
        });
        read.collect()
    }
}

/// Bytes that a value takes, roughly.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len() * 4 / 3,
        Value::Vector(vector) => vector.len() * 8,
        Value::List(items) => items.iter().map(weight).sum(),
        Value::Map(map) => map.iter().map(|(name, value)| name.len() + weight(value)).sum(),
        _ => 8,
    }
}

pub fn edge_name(edge: EdgeKey, ty: String) -> EdgeName {
    EdgeName { src: Id(edge.src.0), ty, dst: Id(edge.dst.0), rank: Id(edge.rank) }
}

/// The node that a query means by its key or its id, called as in `keyed` and `numbered`.
pub fn node_meant<'v>(
    view: &'v View,
    (keyed, key): (&str, Option<&str>),
    (numbered, id): (&str, Option<Id>),
) -> Result<NodeRef<'v>, Failure> {
    let (found, called) = match (key, id) {
        (Some(key), None) => (view.node_with_key(key)?, format!("key '{key:.64}'")),
        (None, Some(id)) => (view.node(NodeId(id.0))?, format!("id {}", id.0)),
        _ => return Err(invalid(format_args!("give either {keyed} or {numbered}"))),
    };
    let missing = || Error::new(ErrorCode::NodeNotFound, format_args!("there is no node with the {called}"));
    Ok(found.ok_or_else(missing)?)
}
