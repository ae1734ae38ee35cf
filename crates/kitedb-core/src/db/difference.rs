//! What two states hold that is not the same, element by element.

use super::{View, dyn_graph::sealed::ReadState, read::GraphRead};
use crate::{
    error::Result,
    graph::{EdgeKey, IndexDef, LabelId, NameKind, NodeId, PropKeyId, PropList},
    watch::{Phase, Stage, Watch},
};
use std::{cmp::Ordering, collections::BTreeMap, fmt};

/// What can differ.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Element {
    /// A name that one of the databases gives to an id.
    Name {
        /// What it names: `label`, `edge type` or `property key`.
        kind: &'static str,
        /// The id.
        id: u32,
        /// The name in the first database, or else in the second.
        name: String,
    },
    /// A node.
    Node {
        /// Its id.
        id: NodeId,
        /// Its key in the first database, or else in the second.
        key: Option<String>,
    },
    /// An edge.
    Edge {
        /// Its ends and its type.
        edge: EdgeKey,
        /// The name of its type.
        edge_type: String,
    },
    /// A node's vector.
    Vector {
        /// The node.
        node: NodeId,
        /// The name of the property key.
        property: String,
    },
    /// The definition of an index.
    Index {
        /// What names it in the log.
        id: u32,
        /// Its name in the first database, or else in the second.
        name: String,
    },
}

/// An element that is not the same in two databases, or in one of them only.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// Which element.
    pub element: Element,
    /// Whether the first database has it.
    pub in_a: bool,
    /// Whether the second one has it.
    pub in_b: bool,
    /// Which of its parts differ, if both have it: `key`, `labels`, `name`, `numbers` (of a vector), `property …`, or,
    /// of an index, `name`, `definition`, `state`.
    pub parts: Vec<String>,
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { kind, id, name } => write!(f, "{kind} {id} ({name})"),
            Self::Node { id, key: Some(key) } => write!(f, "node {id} ({key})"),
            Self::Node { id, key: None } => write!(f, "node {id}"),
            Self::Edge { edge, edge_type } => {
                write!(f, "edge {} -[{edge_type}]-> {}", edge.src, edge.dst)?;
                if edge.rank == 0 { Ok(()) } else { write!(f, " (rank {})", edge.rank) }
            }
            Self::Vector { node, property } => write!(f, "vector {property} of node {node}"),
            Self::Index { id, name } => write!(f, "index {id} ({name})"),
        }
    }
}

/// Every element that differs, counted; the first `limit` of them are told.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    pub listed: Vec<Difference>,
    pub count: u64,
    limit: usize,
}

impl Differences {
    /// Compares all that two states hold: names, definitions of indexes, nodes, vectors, edges.
    pub fn between(a: &View, b: &View, limit: usize, watch: &Watch) -> Result<Self> {
        let total = a.count_nodes().max(b.count_nodes()) + a.count_edges().max(b.count_edges());
        let mut stage = watch.begin(Phase::Compare, Some(total))?;
        let mut found = Self { limit, ..Self::default() };
        found.names(a, b)?;
        found.indexes(a, b)?;
        found.nodes(a, b, &mut stage)?;
        found.edges(a, b, &mut stage)?;
        stage.end()?;
        Ok(found)
    }

    fn note(
        &mut self,
        (in_a, in_b): (bool, bool),
        describe: impl FnOnce() -> Result<(Element, Vec<String>)>,
    ) -> Result<()> {
        self.count += 1;
        if self.listed.len() < self.limit {
            let (element, parts) = describe()?;
            self.listed.push(Difference { element, in_a, in_b, parts });
        }
        Ok(())
    }

    fn names(&mut self, a: &View, b: &View) -> Result<()> {
        for kind in NameKind::ALL {
            let (a, b) = (BTreeMap::from_iter(a.list_names(kind)), BTreeMap::from_iter(b.list_names(kind)));
            let ids = a.keys().chain(b.keys().filter(|id| !a.contains_key(id)));
            for id in ids {
                let names = (a.get(id), b.get(id));
                let Some(name) = names.0.or(names.1).filter(|_| names.0 != names.1) else { continue };
                let element = Element::Name { kind: kind.noun(), id: *id, name: name.to_string() };
                let sides = (names.0.is_some(), names.1.is_some());
                let parts = if sides == (true, true) { vec!["name".to_owned()] } else { Vec::new() };
                self.note(sides, || Ok((element, parts)))?;
            }
        }
        Ok(())
    }

    fn indexes(&mut self, a: &View, b: &View) -> Result<()> {
        let (a, b) = (a.reading().indexes(), b.reading().indexes());
        for at in merged(a.iter().map(|def| Ok(def.id)), b.iter().map(|def| Ok(def.id))) {
            let (id, sides) = at?;
            let (in_a, in_b) = (a.get(id), b.get(id));
            let Some(shown) = in_a.or(in_b).filter(|_| in_a != in_b) else { continue };
            let element = Element::Index { id: id.0, name: shown.name.to_string() };
            let parts = in_a.zip(in_b).map(|(a, b)| index_parts(a, b)).unwrap_or_default();
            self.note(sides, || Ok((element, parts)))?;
        }
        Ok(())
    }

    fn nodes(&mut self, a: &View, b: &View, stage: &mut Stage<'_>) -> Result<()> {
        for at in merged(a.reading().nodes(NodeId(0)), b.reading().nodes(NodeId(0))) {
            let (id, sides) = at?;
            stage.advance(1)?;
            let (in_a, in_b) = (a.reading().node(id)?, b.reading().node(id)?);
            if in_a.map(|node| node.as_bytes().to_vec()) != in_b.map(|node| node.as_bytes().to_vec()) {
                self.note(sides, || {
                    let key = in_a.or(in_b).and_then(|node| node.key().map(str::to_owned));
                    let parts = if sides == (true, true) { node_parts(a, b, id)? } else { Vec::new() };
                    Ok((Element::Node { id, key }, parts))
                })?;
            }
            self.vectors(a, b, id)?;
        }
        Ok(())
    }

    fn vectors(&mut self, a: &View, b: &View, node: NodeId) -> Result<()> {
        let (in_a, in_b) = (a.reading().vector_keys(node)?, b.reading().vector_keys(node)?);
        for at in merged(in_a.into_iter().map(Ok), in_b.into_iter().map(Ok)) {
            let (key, sides) = at?;
            let (va, vb) = (a.reading().vector(node, key)?, b.reading().vector(node, key)?);
            if va.map(|v| v.as_bytes().to_vec()) != vb.map(|v| v.as_bytes().to_vec()) {
                self.note(sides, || {
                    let parts = if sides == (true, true) { vec!["numbers".to_owned()] } else { Vec::new() };
                    Ok((Element::Vector { node, property: property_name(a, b, key) }, parts))
                })?;
            }
        }
        Ok(())
    }

    fn edges(&mut self, a: &View, b: &View, stage: &mut Stage<'_>) -> Result<()> {
        for at in merged(a.reading().edges(None, usize::MAX), b.reading().edges(None, usize::MAX)) {
            let (edge, sides) = at?;
            stage.advance(1)?;
            let (pa, pb) = (a.reading().edge(edge)?, b.reading().edge(edge)?);
            if pa.map(PropList::as_bytes) != pb.map(PropList::as_bytes) {
                self.note(sides, || {
                    let name = a.etype_name(edge.ty).or_else(|| b.etype_name(edge.ty));
                    let edge_type = name.unwrap_or_else(|| edge.ty.to_string());
                    let parts = match (pa, pb) {
                        (Some(pa), Some(pb)) => prop_parts(a, b, pa, pb)?,
                        _ => Vec::new(),
                    };
                    Ok((Element::Edge { edge, edge_type }, parts))
                })?;
            }
        }
        Ok(())
    }
}

fn index_parts(a: &IndexDef, b: &IndexDef) -> Vec<String> {
    let differ = [
        ("name", a.name != b.name),
        ("definition", (a.on, a.property, a.unique) != (b.on, b.property, b.unique)),
        ("state", a.state != b.state),
    ];
    differ.into_iter().filter(|(_, differ)| *differ).map(|(part, _)| part.to_owned()).collect()
}

fn node_parts(a: &View, b: &View, id: NodeId) -> Result<Vec<String>> {
    let (Some(na), Some(nb)) = (a.reading().node(id)?, b.reading().node(id)?) else { return Ok(Vec::new()) };
    let mut parts = Vec::new();
    if na.key() != nb.key() {
        parts.push("key".to_owned());
    }
    if na.labels().collect::<Vec<LabelId>>() != nb.labels().collect::<Vec<LabelId>>() {
        parts.push("labels".to_owned());
    }
    parts.extend(prop_parts(a, b, na.props()?, nb.props()?)?);
    Ok(parts)
}

fn prop_parts(a: &View, b: &View, pa: PropList<'_>, pb: PropList<'_>) -> Result<Vec<String>> {
    let all = |props: PropList<'_>| -> Result<BTreeMap<PropKeyId, Vec<u8>>> {
        props.encoded().map(|prop| prop.map(|(key, value)| (key, value.to_vec()))).collect()
    };
    let (pa, pb) = (all(pa)?, all(pb)?);
    let keys = pa.keys().chain(pb.keys().filter(|key| !pa.contains_key(key)));
    let differ = keys.filter(|key| pa.get(key) != pb.get(key));
    Ok(differ.map(|key| format!("property {}", property_name(a, b, *key))).collect())
}

fn property_name(a: &View, b: &View, key: PropKeyId) -> String {
    a.propkey_name(key).or_else(|| b.propkey_name(key)).unwrap_or_else(|| key.to_string())
}

/// What two ascending sequences hold, ascending, each once, with which of them have it.
fn merged<T: Ord>(
    a: impl Iterator<Item = Result<T>>,
    b: impl Iterator<Item = Result<T>>,
) -> impl Iterator<Item = Result<(T, (bool, bool))>> {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    std::iter::from_fn(move || {
        let order = match (a.peek(), b.peek()) {
            (Some(Ok(a)), Some(Ok(b))) => a.cmp(b),
            // Failures first.
            (_, None) | (Some(Err(_)), _) => Ordering::Less,
            (None, _) | (_, Some(Err(_))) => Ordering::Greater,
        };
        let item = if order == Ordering::Greater { b.next()? } else { a.next()? };
        if order == Ordering::Equal {
            b.next();
        }
        Some(item.map(|item| (item, (order != Ordering::Greater, order != Ordering::Less))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn merging_gives_each_item_once_with_its_sides(a: BTreeSet<u8>, b: BTreeSet<u8>) {
            let items = |set: &BTreeSet<u8>| set.clone().into_iter().map(Ok);
            let found: Vec<_> = merged(items(&a), items(&b)).map(Result::unwrap).collect();
            let expected: Vec<_> = a.union(&b).map(|item| (*item, (a.contains(item), b.contains(item)))).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
