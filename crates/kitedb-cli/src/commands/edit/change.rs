//! What an edit changes, one by one: as it is shown, and as it is done.

use crate::{
    commands::{node_name, rows::colons},
    render::{
        number::counted,
        style::{ACCENT, BAD, DIM, GOOD, Styled, clean},
        value,
    },
};
use kitedb_core::{EdgeKey, GraphRead, NodeId, PropKeyId, Result, Transaction, Value, json};
use serde_json::{Value as Json, json as object};

/// A node: one that is there, or one that the same edit creates.
#[derive(Debug, Clone)]
pub struct Named {
    pub id: Option<NodeId>,
    pub key: Option<String>,
}

impl Named {
    fn text(&self) -> String {
        self.id.map_or_else(|| clean(self.key.as_deref().unwrap_or_default()), |id| node_name(self.key.as_deref(), id))
    }

    fn object(&self) -> Json {
        object!({ "id": self.id.map(|id| id.0), "key": self.key })
    }

    /// Its id, once it is there.
    fn find(&self, tx: &Transaction) -> Result<NodeId> {
        if let Some(id) = self.id {
            return Ok(id);
        }
        let key = self.key.as_deref().unwrap_or_default();
        let gone = || {
            kitedb_core::Error::new(
                kitedb_core::ErrorCode::NodeNotFound,
                format_args!("there is no node with the key `{key}`"),
            )
        };
        tx.node_by_key(key)?.ok_or_else(gone)
    }
}

/// An edge that is there.
#[derive(Debug, Clone)]
pub struct NamedEdge {
    pub edge: EdgeKey,
    pub src: Named,
    pub ty: String,
    pub dst: Named,
}

impl NamedEdge {
    fn text(&self) -> String {
        let rank = if self.edge.rank == 0 { String::new() } else { format!(" (rank {})", self.edge.rank) };
        format!("{} -{}→ {}{rank}", self.src.text(), clean(&self.ty), self.dst.text())
    }

    fn object(&self) -> Json {
        object!({ "from": self.src.object(), "type": self.ty, "to": self.dst.object(), "rank": self.edge.rank })
    }
}

/// What has properties.
#[derive(Debug, Clone)]
pub enum Element {
    Node(Named),
    Edge(NamedEdge),
}

impl Element {
    pub fn text(&self) -> String {
        match self {
            Self::Node(node) => node.text(),
            Self::Edge(edge) => edge.text(),
        }
    }

    fn put(&self, into: &mut Json) {
        match self {
            Self::Node(node) => into["node"] = node.object(),
            Self::Edge(edge) => into["edge"] = edge.object(),
        }
    }
}

#[derive(Debug)]
pub enum Change {
    CreateNode { key: String },
    CreateEdge { src: Named, ty: String, dst: Named, props: Vec<(String, Value)>, parallel: bool },
    Property { of: Element, name: String, before: Option<Value>, after: Option<Value> },
    Label { node: Named, label: String, add: bool },
    DeleteEdge(NamedEdge),
    DeleteNode { node: Named, labels: Vec<String>, edges: u64 },
}

impl Change {
    /// On a line, for people.
    pub fn line(&self) -> String {
        let (plus, minus) = (Styled(GOOD, "+"), Styled(BAD, "-"));
        match self {
            Self::CreateNode { key } => format!("{plus} node {}", Styled(ACCENT, clean(key))),
            Self::CreateEdge { src, ty, dst, props, .. } => {
                let edge = format!("{} -{}→ {}", src.text(), clean(ty), dst.text());
                format!("{plus} edge {}  {}", Styled(ACCENT, edge), value::line(props)).trim_end().to_owned()
            }
            Self::Property { of, name, before, after } => {
                let sign = match (before, after) {
                    (None, _) => &plus,
                    (_, None) => &minus,
                    _ => &Styled(DIM, "~"),
                };
                let shown = |value: &Option<Value>| value.as_ref().map_or_else(|| "(none)".to_owned(), value::text);
                let values = format!("{} → {}", shown(before), shown(after));
                format!("{sign} {} {}: {values}", Styled(ACCENT, of.text()), clean(name))
            }
            Self::Label { node, label, add } => {
                let sign = if *add { plus } else { minus };
                format!("{sign} {} :{}", Styled(ACCENT, node.text()), clean(label))
            }
            Self::DeleteEdge(edge) => format!("{minus} edge {}", Styled(ACCENT, edge.text())),
            Self::DeleteNode { node, labels, edges } => {
                let labels = colons(labels);
                let with = format!("{labels} with {}", counted(*edges, "edge", "edges"));
                format!("{minus} node {} {}", Styled(ACCENT, node.text()), Styled(DIM, with.trim_start().to_owned()))
            }
        }
    }

    pub fn object(&self) -> Json {
        match self {
            Self::CreateNode { key } => object!({ "change": "create_node", "node": { "id": null, "key": key } }),
            Self::CreateEdge { src, ty, dst, props, .. } => {
                let edge = object!({ "from": src.object(), "type": ty, "to": dst.object() });
                object!({ "change": "create_edge", "edge": edge, "props": value::json_object(props) })
            }
            Self::Property { of, name, before, after } => {
                let change = if after.is_some() { "set_property" } else { "remove_property" };
                let shown = |value: &Option<Value>| value.as_ref().map(json::to_json);
                let mut told =
                    object!({ "change": change, "name": name, "before": shown(before), "after": shown(after) });
                of.put(&mut told);
                told
            }
            Self::Label { node, label, add } => {
                let change = if *add { "add_label" } else { "remove_label" };
                object!({ "change": change, "node": node.object(), "label": label })
            }
            Self::DeleteEdge(edge) => object!({ "change": "delete_edge", "edge": edge.object() }),
            Self::DeleteNode { node, labels, edges } => {
                object!({ "change": "delete_node", "node": node.object(), "labels": labels, "edges": edges })
            }
        }
    }

    /// Does it.
    pub fn apply(&self, tx: &mut Transaction) -> Result<()> {
        match self {
            Self::CreateNode { key } => tx.create_node(Some(key)).map(drop),
            Self::CreateEdge { src, ty, dst, props, parallel } => {
                let (src, dst) = (src.find(tx)?, dst.find(tx)?);
                let mut resolved: Vec<(PropKeyId, Value)> = Vec::with_capacity(props.len());
                for (name, value) in props {
                    resolved.push((tx.propkey_id_or_create(name)?, value.clone()));
                }
                match parallel {
                    true => tx.add_parallel_edge(src, ty, dst, &resolved).map(drop),
                    false => tx.add_edge_with_props(src, ty, dst, &resolved),
                }
            }
            Self::Property { of: Element::Node(node), name, after, .. } => {
                let id = node.find(tx)?;
                match after {
                    Some(value) => tx.set_node_prop(id, name, value.clone()),
                    None => tx.delete_node_prop(id, name).map(drop),
                }
            }
            Self::Property { of: Element::Edge(edge), name, after, .. } => match after {
                Some(value) => tx.set_edge_prop_by_key(edge.edge, name, value.clone()),
                None => tx.delete_edge_prop_by_key(edge.edge, name).map(drop),
            },
            Self::Label { node, label, add } => {
                let id = node.find(tx)?;
                if *add { tx.add_node_label(id, label).map(drop) } else { tx.remove_node_label(id, label).map(drop) }
            }
            Self::DeleteEdge(edge) => tx.delete_edge_by_key(edge.edge),
            Self::DeleteNode { node, .. } => {
                let id = node.find(tx)?;
                tx.delete_node(id)
            }
        }
    }
}
