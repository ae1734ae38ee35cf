//! Which nodes or edges of a graph are looked at, and which of them are meant.

use super::condition::Condition;
use kitedb_core::{AllTypes, Direction, EdgeRef, EdgeTypeId, GraphRead, NodeId, NodeRef, Nodes, Result, View};

/// Nodes that have every label, a key that begins so, and what the conditions ask for.
pub struct NodeFilter<'a> {
    pub labels: &'a [String],
    pub key_prefix: Option<&'a str>,
    pub conditions: &'a [Condition],
}

impl NodeFilter<'_> {
    /// Whether every node is meant.
    pub fn is_all(&self) -> bool {
        self.labels.is_empty() && self.key_prefix.is_none() && self.conditions.is_empty()
    }

    /// The nodes that are looked at, by id: those of the rarest label, or all.
    pub fn scan<'v>(&self, view: &'v View) -> Result<Nodes<'v>> {
        match self.labels.iter().min_by_key(|label| view.count_nodes_by_label(*label)) {
            Some(label) => view.nodes_with_label(label),
            None => Ok(view.nodes()),
        }
    }

    pub fn holds(&self, node: &NodeRef<'_>) -> Result<bool> {
        for label in self.labels {
            if !node.has_label(label)? {
                return Ok(false);
            }
        }
        if let Some(prefix) = self.key_prefix
            && !node.key()?.is_some_and(|key| key.starts_with(prefix))
        {
            return Ok(false);
        }
        all_hold(self.conditions, |condition| condition.holds_for_node(node))
    }
}

/// Edges of one of these types (or of any), between these ends, with what the conditions ask for.
pub struct EdgeFilter<'a> {
    pub types: &'a [String],
    pub from: Option<NodeId>,
    pub to: Option<NodeId>,
    pub conditions: &'a [Condition],
}

/// Edges in the order of what names them.
pub type EdgeScan<'v> = Box<dyn Iterator<Item = Result<EdgeRef<'v>>> + 'v>;

impl EdgeFilter<'_> {
    /// Whether every edge is meant.
    pub fn is_all(&self) -> bool {
        self.types.is_empty() && self.from.is_none() && self.to.is_none() && self.conditions.is_empty()
    }

    /// The edges that are looked at: those at an end that is given, or all.
    pub fn scan<'v>(&self, view: &'v View) -> Result<EdgeScan<'v>> {
        match (self.from, self.to) {
            (Some(from), _) => edges_at(view, from, Direction::Out, self.types),
            (None, Some(to)) => edges_at(view, to, Direction::In, self.types),
            (None, None) => {
                let types = ids_of(self.types, view);
                let is_meant = move |edge: &EdgeRef<'_>| types.as_ref().is_none_or(|types| types.contains(&edge.ty()));
                Ok(Box::new(view.edges().filter(move |edge| edge.as_ref().map_or(true, &is_meant))))
            }
        }
    }

    pub fn holds(&self, edge: &EdgeRef<'_>) -> Result<bool> {
        if self.to.is_some_and(|to| edge.dst() != to) {
            return Ok(false);
        }
        all_hold(self.conditions, |condition| condition.holds_for_edge(edge))
    }
}

/// The edges of one of these types (or of any) at a node, by type, other end and rank.
pub fn edges_at<'v>(view: &'v View, node: NodeId, direction: Direction, types: &[String]) -> Result<EdgeScan<'v>> {
    let Some(types) = ids_of(types, view) else {
        return Ok(Box::new(view.sorted_edges(node, direction, AllTypes)?.map(Ok)));
    };
    let scans = types.into_iter().map(|ty| view.sorted_edges(node, direction, ty)).collect::<Result<Vec<_>>>()?;
    Ok(Box::new(scans.into_iter().flatten().map(Ok)))
}

/// The ids of the types that are named, each once; none for all. A name that is not in use has none.
fn ids_of(types: &[String], view: &View) -> Option<Vec<EdgeTypeId>> {
    let mut ids: Vec<_> = types.iter().filter_map(|name| view.etype_id(name)).collect();
    ids.sort_unstable();
    ids.dedup();
    (!types.is_empty()).then_some(ids)
}

fn all_hold(conditions: &[Condition], holds: impl Fn(&Condition) -> Result<bool>) -> Result<bool> {
    for condition in conditions {
        if !holds(condition)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What is named and not in use in the graph, so that nothing has it: a name that was misspelt, perhaps.
pub fn unknown<'n>(
    view: &View,
    labels: impl IntoIterator<Item = &'n String>,
    types: impl IntoIterator<Item = &'n String>,
    properties: impl IntoIterator<Item = &'n str>,
) -> Vec<(&'static str, &'n str)> {
    let labels = labels.into_iter().filter(|name| view.label_id(name).is_none()).map(|name| ("label", name.as_str()));
    let types = types.into_iter().filter(|name| view.etype_id(name).is_none()).map(|name| ("edge type", name.as_str()));
    let properties = properties.into_iter().filter(|name| view.propkey_id(name).is_none());
    let mut unknown: Vec<_> = labels.chain(types).chain(properties.map(|name| ("property", name))).collect();
    unknown.dedup();
    unknown
}
