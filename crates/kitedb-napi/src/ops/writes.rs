//! Writes of a transaction, or of the batch of a bulk load.

use super::Context;
use crate::{
    fault::Outcome,
    wire::{Named, Reader, Writer},
};
use kitedb::{EdgeKey, EdgeTypeId, GraphRead, LabelId, NewNode, NodeId, PropKeyId, Result, Transaction, Value};
use std::ops::Range;

/// Properties of one or many.
type Props = Vec<(PropKeyId, Value)>;

/// The ids of the names in the arguments of a call: each is looked up once, however many nodes have it.
#[derive(Default)]
struct Ids {
    labels: Vec<Option<LabelId>>,
    types: Vec<Option<EdgeTypeId>>,
    props: Vec<Option<PropKeyId>>,
}

fn known<I: Copy>(ids: &mut Vec<Option<I>>, name: Named<'_>, find: impl FnOnce(&str) -> Result<I>) -> Result<I> {
    if ids.len() <= name.number {
        ids.resize(name.number + 1, None);
    }
    if let Some(Some(id)) = ids.get(name.number) {
        return Ok(*id);
    }
    let id = find(name.text)?;
    if let Some(place) = ids.get_mut(name.number) {
        *place = Some(id);
    }
    Ok(id)
}

impl Ids {
    fn edge_type(&mut self, tx: &mut Transaction, name: Named<'_>) -> Result<EdgeTypeId> {
        known(&mut self.types, name, |text| tx.etype_id_or_create(text))
    }

    fn prop(&mut self, tx: &mut Transaction, name: Named<'_>) -> Result<PropKeyId> {
        known(&mut self.props, name, |text| tx.propkey_id_or_create(text))
    }

    /// Adds labels to some, and returns where they are there.
    fn add_labels(
        &mut self,
        tx: &mut Transaction,
        r: &mut Reader<'_>,
        labels: &mut Vec<LabelId>,
    ) -> Result<Range<usize>> {
        let from = labels.len();
        for _ in 0..r.count()? {
            let name = r.name()?;
            labels.push(known(&mut self.labels, name, |text| tx.label_id_or_create(text))?);
        }
        Ok(from..labels.len())
    }

    /// Adds properties to some, and returns where they are there: a batch has all in one place.
    fn add_props(&mut self, tx: &mut Transaction, r: &mut Reader<'_>, props: &mut Props) -> Result<Range<usize>> {
        let from = props.len();
        for _ in 0..r.count()? {
            let name = r.name()?;
            props.push((self.prop(tx, name)?, r.value()?));
        }
        Ok(from..props.len())
    }

    fn props(&mut self, tx: &mut Transaction, r: &mut Reader<'_>) -> Result<Props> {
        let mut props = Vec::new();
        self.add_props(tx, r, &mut props)?;
        Ok(props)
    }

    /// What an upsert says of properties: null removes one.
    fn changes(&mut self, tx: &mut Transaction, r: &mut Reader<'_>) -> Result<Vec<(PropKeyId, Option<Value>)>> {
        let props = self.props(tx, r)?;
        Ok(props.into_iter().map(|(key, value)| (key, Some(value).filter(|value| *value != Value::Null))).collect())
    }
}

/// How the JavaScript side tells the ids that it is answered.
#[derive(Clone, Copy)]
enum Told {
    BigInt,
    /// None beyond [`SAFE`]: there such an answer is an error.
    Number,
}

/// The greatest integer of which a number of JavaScript says exactly which one it is.
const SAFE: u64 = (1 << 53) - 1;

impl Told {
    fn read(r: &mut Reader<'_>) -> Result<Self> {
        Ok(if r.bool()? { Self::BigInt } else { Self::Number })
    }

    fn says(self, id: NodeId) -> bool {
        matches!(self, Self::BigInt) || id.0 <= SAFE
    }

    /// Takes nodes that were created back, if one of their ids cannot be told: a write that fails changes nothing.
    fn or_none(self, tx: &mut Transaction, created: &[NodeId]) -> Result<()> {
        if created.iter().all(|id| self.says(*id)) {
            return Ok(());
        }
        created.iter().try_for_each(|id| tx.delete_node(*id))
    }
}

/// Nodes to be created, as their arguments say them: what they have of a kind is in one place.
#[derive(Default)]
struct Described<'a> {
    nodes: Vec<One<'a>>,
    labels: Vec<LabelId>,
    props: Props,
}

/// One of them.
struct One<'a> {
    id: Option<NodeId>,
    key: Option<&'a str>,
    labels: Range<usize>,
    props: Range<usize>,
}

impl<'a> Described<'a> {
    fn read(r: &mut Reader<'a>, tx: &mut Transaction, count: usize) -> Result<Self> {
        let (mut ids, mut all) = (Ids::default(), Self::default());
        all.nodes.reserve(count);
        for _ in 0..count {
            let (id, key) = (r.optional(Reader::node)?, r.optional(Reader::text)?);
            let labels = ids.add_labels(tx, r, &mut all.labels)?;
            let props = ids.add_props(tx, r, &mut all.props)?;
            all.nodes.push(One { id, key, labels, props });
        }
        Ok(all)
    }

    fn new_nodes(&self) -> impl Iterator<Item = NewNode<'_>> {
        self.nodes.iter().map(|one| {
            let labels = self.labels.get(one.labels.clone()).unwrap_or_default();
            let props = self.props.get(one.props.clone()).unwrap_or_default();
            NewNode::new().maybe_id(one.id).maybe_key(one.key).labels(labels).props(props)
        })
    }
}

pub fn create_node(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, told) = (r.u64()?, Told::read(r)?);
    let id = c.handles.write(handle, |tx| {
        let node = Described::read(r, tx, 1)?;
        let id = tx.create_node_with(node.new_nodes().next().unwrap_or_default())?;
        told.or_none(tx, &[id])?;
        Ok(id)
    })?;
    w.node(id);
    Ok(())
}

pub fn create_nodes(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, told, count) = (r.u64()?, Told::read(r)?, r.count()?);
    let created = c.handles.write(handle, |tx| {
        let nodes = Described::read(r, tx, count)?;
        let new: Vec<_> = nodes.new_nodes().collect();
        let created = tx.create_nodes_batch(&new)?;
        told.or_none(tx, &created)?;
        Ok(created)
    })?;
    w.u32(created.len() as u32);
    created.into_iter().for_each(|id| w.node(id));
    Ok(())
}

pub fn delete_node(c: &Context<'_>, r: &mut Reader<'_>, _: &mut Writer<'_>) -> Outcome {
    let (handle, id) = (r.u64()?, r.node()?);
    Ok(c.handles.write(handle, |tx| tx.delete_node(id))?)
}

pub fn add_node_label(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, id, label) = (r.u64()?, r.node()?, r.text()?);
    w.bool(c.handles.write(handle, |tx| tx.add_node_label(id, label))?);
    Ok(())
}

pub fn remove_node_label(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, id, label) = (r.u64()?, r.node()?, r.text()?);
    w.bool(c.handles.write(handle, |tx| tx.remove_node_label(id, label))?);
    Ok(())
}

pub fn set_node_prop(c: &Context<'_>, r: &mut Reader<'_>, _: &mut Writer<'_>) -> Outcome {
    let (handle, id, name, value) = (r.u64()?, r.node()?, r.text()?, r.value()?);
    Ok(c.handles.write(handle, |tx| tx.set_node_prop(id, name, value))?)
}

pub fn delete_node_prop(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, id, name) = (r.u64()?, r.node()?, r.text()?);
    w.bool(c.handles.write(handle, |tx| tx.delete_node_prop(id, name))?);
    Ok(())
}

pub fn set_node_vector(c: &Context<'_>, r: &mut Reader<'_>, _: &mut Writer<'_>) -> Outcome {
    let (handle, id, name, vector) = (r.u64()?, r.node()?, r.text()?, r.vector()?);
    Ok(c.handles.write(handle, |tx| tx.set_node_vector(id, name, &vector))?)
}

pub fn delete_node_vector(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, id, name) = (r.u64()?, r.node()?, r.text()?);
    w.bool(c.handles.write(handle, |tx| tx.delete_node_vector(id, name))?);
    Ok(())
}

/// Source, type and destination; the type stays a text, so that a write that fails leaves no name.
fn ends<'a>(r: &mut Reader<'a>) -> Result<(NodeId, &'a str, NodeId)> {
    Ok((r.node()?, r.text()?, r.node()?))
}

pub fn add_edge(c: &Context<'_>, r: &mut Reader<'_>, _: &mut Writer<'_>) -> Outcome {
    let (handle, (src, ty, dst)) = (r.u64()?, ends(r)?);
    Ok(c.handles.write(handle, |tx| {
        let props = Ids::default().props(tx, r)?;
        tx.add_edge_with_props(src, ty, dst, &props)
    })?)
}

pub fn add_parallel_edge(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, told, (src, ty, dst)) = (r.u64()?, Told::read(r)?, ends(r)?);
    let edge = c.handles.write(handle, |tx| {
        let props = Ids::default().props(tx, r)?;
        let edge = tx.add_parallel_edge(src, ty, dst, &props)?;
        if !told.says(NodeId(edge.rank)) {
            tx.delete_edge_by_key(edge)?;
        }
        Ok(edge)
    })?;
    w.node(edge.src);
    w.name(ty);
    w.node(edge.dst);
    w.u64(edge.rank);
    Ok(())
}

/// Exactly that edge. Its type is defined if it is new.
fn named_edge(r: &mut Reader<'_>, tx: &mut Transaction, ids: &mut Ids) -> Result<EdgeKey> {
    r.edge(|name| ids.edge_type(tx, name))
}

pub fn add_edge_by_key(c: &Context<'_>, r: &mut Reader<'_>, _: &mut Writer<'_>) -> Outcome {
    let handle = r.u64()?;
    Ok(c.handles.write(handle, |tx| {
        let mut ids = Ids::default();
        let edge = named_edge(r, tx, &mut ids)?;
        let props = ids.props(tx, r)?;
        tx.add_edge_by_key(edge, &props)
    })?)
}

pub fn add_edges(c: &Context<'_>, r: &mut Reader<'_>, _: &mut Writer<'_>) -> Outcome {
    let (handle, count) = (r.u64()?, r.count()?);
    Ok(c.handles.write(handle, |tx| {
        let mut ids = Ids::default();
        let mut props = Vec::new();
        let edge = |_| Ok((named_edge(r, tx, &mut ids)?, ids.add_props(tx, r, &mut props)?));
        let edges: Vec<(EdgeKey, Range<usize>)> = (0..count).map(edge).collect::<Result<_>>()?;
        let of = |range: &Range<usize>| props.get(range.clone()).unwrap_or_default();
        let borrowed: Vec<_> = edges.iter().map(|(edge, range)| (*edge, of(range))).collect();
        tx.add_edges_with_props_batch(&borrowed)
    })?)
}

pub fn delete_edge(c: &Context<'_>, r: &mut Reader<'_>, _: &mut Writer<'_>) -> Outcome {
    let (handle, (src, ty, dst)) = (r.u64()?, ends(r)?);
    Ok(c.handles.write(handle, |tx| tx.delete_edge(src, ty, dst))?)
}

pub fn delete_edge_by_key(c: &Context<'_>, r: &mut Reader<'_>, _: &mut Writer<'_>) -> Outcome {
    let handle = r.u64()?;
    Ok(c.handles.write(handle, |tx| {
        let edge = existing_edge(r, tx)?;
        tx.delete_edge_by_key(edge)
    })?)
}

/// Exactly that edge; where no edge has its type, the error says so, and no name is defined.
fn existing_edge(r: &mut Reader<'_>, tx: &mut Transaction) -> Result<EdgeKey> {
    let mut unknown = None;
    let edge = r.edge(|name| {
        let id = GraphRead::etype_id(tx, name.text);
        unknown = id.is_none().then_some(name.text);
        Ok(id.unwrap_or_default())
    })?;
    match unknown {
        // The engine says what is wrong with such an edge.
        Some(ty) => tx.delete_edge(edge.src, ty, edge.dst).map(|()| edge),
        None => Ok(edge),
    }
}

pub fn delete_edges_between(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, (src, ty, dst)) = (r.u64()?, ends(r)?);
    w.u64(c.handles.write(handle, |tx| tx.delete_edges_between(src, ty, dst))?);
    Ok(())
}

pub fn set_edge_prop(c: &Context<'_>, r: &mut Reader<'_>, _: &mut Writer<'_>) -> Outcome {
    let (handle, (src, ty, dst), name, value) = (r.u64()?, ends(r)?, r.text()?, r.value()?);
    Ok(c.handles.write(handle, |tx| tx.set_edge_prop(src, ty, dst, name, value))?)
}

pub fn set_edge_prop_by_key(c: &Context<'_>, r: &mut Reader<'_>, _: &mut Writer<'_>) -> Outcome {
    let handle = r.u64()?;
    Ok(c.handles.write(handle, |tx| {
        let edge = existing_edge(r, tx)?;
        let (name, value) = (r.text()?, r.value()?);
        tx.set_edge_prop_by_key(edge, name, value)
    })?)
}

pub fn delete_edge_prop(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, (src, ty, dst), name) = (r.u64()?, ends(r)?, r.text()?);
    w.bool(c.handles.write(handle, |tx| tx.delete_edge_prop(src, ty, dst, name))?);
    Ok(())
}

pub fn delete_edge_prop_by_key(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let handle = r.u64()?;
    w.bool(c.handles.write(handle, |tx| {
        let edge = existing_edge(r, tx)?;
        let name = r.text()?;
        tx.delete_edge_prop_by_key(edge, name)
    })?);
    Ok(())
}

pub fn upsert_node(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, told, key) = (r.u64()?, Told::read(r)?, r.text()?);
    let (id, created) = c.handles.write(handle, |tx| {
        if let Some(id) = GraphRead::node_by_key(tx, key)?.filter(|id| !told.says(*id)) {
            return Ok((id, false));
        }
        let props = Ids::default().changes(tx, r)?;
        let (id, created) = tx.upsert_node(key, &props)?;
        told.or_none(tx, &[id])?;
        Ok((id, created))
    })?;
    w.node(id);
    w.bool(created);
    Ok(())
}

pub fn upsert_node_by_id(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, id) = (r.u64()?, r.node()?);
    w.bool(c.handles.write(handle, |tx| {
        let props = Ids::default().changes(tx, r)?;
        tx.upsert_node_by_id(id, &props)
    })?);
    Ok(())
}

pub fn upsert_edge(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, (src, ty, dst)) = (r.u64()?, ends(r)?);
    w.bool(c.handles.write(handle, |tx| {
        let props = Ids::default().changes(tx, r)?;
        tx.upsert_edge_with_props(src, ty, dst, &props)
    })?);
    Ok(())
}
