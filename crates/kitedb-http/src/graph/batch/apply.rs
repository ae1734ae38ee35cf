//! What each mutation does to a transaction.

use super::{
    super::{
        element::edge_name,
        value::{Id, Props},
    },
    Mutation, NodeName, Outcome, Vectors,
    once::{RESERVED, is_reserved},
};
use kitedb_core::{EdgeKey, Error, ErrorCode, GraphRead, NodeId, PropKeyId, Result, Transaction, Value};
use std::collections::HashMap;

/// The nodes that mutations gave a name.
type Names<'b> = HashMap<&'b str, NodeId>;

/// Does all of them, or fails with what the first one fails with.
pub fn apply(tx: &mut Transaction, mutations: &[Mutation]) -> Result<Vec<Outcome>> {
    let mut names = Names::new();
    let done = mutations.iter().enumerate();
    done.map(|(at, mutation)| one(tx, &mut names, mutation).map_err(|e| e.context(format_args!("mutations[{at}]"))))
        .collect()
}

fn one<'b>(tx: &mut Transaction, names: &mut Names<'b>, mutation: &'b Mutation) -> Result<Outcome> {
    match mutation {
        Mutation::CreateNode { name, key, labels, props, vectors } => {
            require_ordinary(key.as_deref(), labels)?;
            let id = tx.create_node(key.as_deref())?;
            dress(tx, id, labels, props, vectors)?;
            call(names, name.as_deref(), id)?;
            Ok(of_node(id, true))
        }
        Mutation::UpsertNode { name, key, labels, props, vectors } => {
            require_ordinary(Some(key), labels)?;
            let (id, created) = tx.upsert_node(key, &[])?;
            dress(tx, id, labels, props, vectors)?;
            call(names, name.as_deref(), id)?;
            Ok(of_node(id, created))
        }
        Mutation::UpdateNode { node, set, unset, add_labels, remove_labels, vectors, remove_vectors } => {
            require_ordinary(None, add_labels)?;
            let id = meant(tx, names, node)?;
            dress(tx, id, add_labels, set, vectors)?;
            for name in unset {
                tx.delete_node_prop(id, name)?;
            }
            for label in remove_labels {
                tx.remove_node_label(id, label)?;
            }
            for name in remove_vectors {
                tx.delete_node_vector(id, name)?;
            }
            Ok(of_node(id, false))
        }
        Mutation::DeleteNode { node } => {
            let id = meant(tx, names, node)?;
            tx.delete_node(id)?;
            Ok(of_node(id, false))
        }
        Mutation::CreateEdge { src, ty, dst, props, parallel } => {
            let (src, dst) = (meant(tx, names, src)?, meant(tx, names, dst)?);
            let props = pairs(tx, props)?;
            let edge = if *parallel {
                tx.add_parallel_edge(src, ty, dst, &props)?
            } else {
                tx.add_edge_with_props(src, ty, dst, &props)?;
                edge_meant(tx, (src, ty, dst), None)?
            };
            Ok(of_edge(edge, ty, true))
        }
        Mutation::UpsertEdge { src, ty, dst, props } => {
            let (src, dst) = (meant(tx, names, src)?, meant(tx, names, dst)?);
            let props: Vec<_> = pairs(tx, props)?.into_iter().map(|(key, value)| (key, Some(value))).collect();
            let created = tx.upsert_edge_with_props(src, ty, dst, &props)?;
            Ok(of_edge(edge_meant(tx, (src, ty, dst), None)?, ty, created))
        }
        Mutation::UpdateEdge { src, ty, dst, rank, set, unset } => {
            let (src, dst) = (meant(tx, names, src)?, meant(tx, names, dst)?);
            let edge = edge_meant(tx, (src, ty, dst), *rank)?;
            for (key, value) in pairs(tx, set)? {
                tx.set_edge_prop_by_key(edge, key, value)?;
            }
            for name in unset {
                tx.delete_edge_prop_by_key(edge, name)?;
            }
            Ok(of_edge(edge, ty, false))
        }
        Mutation::DeleteEdge { src, ty, dst, rank } => {
            let (src, dst) = (meant(tx, names, src)?, meant(tx, names, dst)?);
            let edge = edge_meant(tx, (src, ty, dst), *rank)?;
            tx.delete_edge_by_key(edge)?;
            Ok(of_edge(edge, ty, false))
        }
    }
}

fn of_node(id: NodeId, created: bool) -> Outcome {
    Outcome { id: Some(Id(id.0)), edge: None, created }
}

fn of_edge(edge: EdgeKey, ty: &str, created: bool) -> Outcome {
    Outcome { id: None, edge: Some(edge_name(edge, ty.to_owned())), created }
}

fn dress(tx: &mut Transaction, id: NodeId, labels: &[String], props: &Props, vectors: &Vectors) -> Result<()> {
    for label in labels {
        tx.add_node_label(id, label)?;
    }
    for (key, value) in pairs(tx, props)? {
        tx.set_node_prop(id, key, value)?;
    }
    for (name, components) in vectors {
        // What is beyond the greatest 32-bit float becomes infinite, which no vector holds.
        let vector: Vec<f32> = components.iter().map(|component| *component as f32).collect();
        tx.set_node_vector(id, name, &vector)?;
    }
    Ok(())
}

fn pairs(tx: &mut Transaction, props: &Props) -> Result<Vec<(PropKeyId, Value)>> {
    let read = props.iter().map(|(name, value)| Ok((tx.propkey_id_or_create(name)?, value.read(name)?)));
    read.collect()
}

fn call<'b>(names: &mut Names<'b>, name: Option<&'b str>, id: NodeId) -> Result<()> {
    match name.map(|name| (name, names.insert(name, id))) {
        Some((name, Some(_))) => {
            Err(Error::invalid(format_args!("another mutation called its node '{name:.64}' already")))
        }
        _ => Ok(()),
    }
}

fn meant(tx: &Transaction, names: &Names<'_>, node: &NodeName) -> Result<NodeId> {
    let missing = |what: String| Error::new(ErrorCode::NodeNotFound, what);
    let id = match node {
        NodeName::Key(key) => {
            tx.node_by_key(key)?.ok_or_else(|| missing(format!("there is no node with the key '{key:.64}'")))?
        }
        NodeName::Id(id) => NodeId(id.0),
        NodeName::Ref(name) => {
            let unknown = || Error::invalid(format_args!("no mutation before called its node '{name:.64}' (`as`)"));
            *names.get(name.as_str()).ok_or_else(unknown)?
        }
    };
    let found = tx.node(id)?.ok_or_else(|| missing(format!("there is no node with the id {id}")))?;
    if is_reserved(found.key()?) {
        return Err(Error::invalid(format_args!(
            "node {id} is one that remembers an idempotency key: no batch changes it"
        )));
    }
    Ok(id)
}

fn edge_meant(tx: &Transaction, (src, ty, dst): (NodeId, &str, NodeId), rank: Option<Id>) -> Result<EdgeKey> {
    let found = match rank {
        None => tx.edge_between(src, ty, dst)?,
        Some(rank) => {
            let edge = tx.etype_id(ty).map(|ty| EdgeKey::new(src, ty, dst).with_rank(rank.0));
            edge.map(|edge| tx.edge_exists_by_key(edge)).transpose()?.filter(|there| *there).and(edge)
        }
    };
    let missing = || {
        let rank = rank.map_or_else(String::new, |rank| format!(" and rank {}", rank.0));
        let what = format_args!("no edge of type '{ty:.64}'{rank} leads from node {src} to node {dst}");
        Error::new(ErrorCode::EdgeNotFound, what)
    };
    found.ok_or_else(missing)
}

/// Fails where a node would be taken for one that remembers an idempotency key.
fn require_ordinary(key: Option<&str>, labels: &[String]) -> Result<()> {
    if is_reserved(key) || labels.iter().any(|label| label == RESERVED) {
        let what =
            format_args!("keys and labels that begin with {RESERVED} are for idempotency keys: take another one");
        return Err(Error::invalid(what));
    }
    Ok(())
}
