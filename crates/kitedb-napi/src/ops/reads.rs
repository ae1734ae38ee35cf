//! Reads of one state: of a database (its newest), a snapshot, a transaction or a bulk load.

use super::Context;
use crate::{
    fault::Outcome,
    report::Report,
    wire::{Reader, Writer},
};
use kitedb::{
    AllTypes, Direction, EdgeKey, EdgeRef, EdgeTypeId, Error, ErrorCode, Graph, GraphRead, NameRef, NodeRef, Result,
    TypeFilter, ValueRef,
};
use std::{cell::RefCell, rc::Rc};

/// Which properties are asked for.
pub enum Select<'a> {
    All,
    Only(Vec<&'a str>),
    /// Those that were told by [`select`].
    Told(Rc<[Box<str>]>),
}

/// The names that were told, by number: who asks for the same properties again and again tells them once.
#[derive(Debug, Default)]
pub struct Selects(RefCell<Vec<Rc<[Box<str>]>>>);

/// Takes in names of properties, and gives them a number. The JavaScript side tells few.
pub fn select(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let count = r.count()?;
    let names = (0..count).map(|_| r.text().map(Box::from)).collect::<Result<_>>()?;
    let mut selects = c.selects.0.borrow_mut();
    selects.push(names);
    w.u32(selects.len() as u32 - 1);
    Ok(())
}

impl<'a> Select<'a> {
    pub fn read(c: &Context<'_>, r: &mut Reader<'a>) -> Result<Self> {
        match r.u8()? {
            0 => Ok(Self::All),
            1 => {
                let count = r.count()?;
                Ok(Self::Only((0..count).map(|_| r.text()).collect::<Result<_>>()?))
            }
            _ => {
                let number = r.u32()? as usize;
                let told = c.selects.0.borrow().get(number).cloned();
                told.map(Self::Told)
                    .ok_or_else(|| Error::new(ErrorCode::Internal, "properties are asked for that were not told"))
            }
        }
    }
}

/// Those of some names that are there.
fn only<'n, 'p, N: AsRef<str>>(
    names: &'n [N],
    prop: impl Fn(&str) -> Result<Option<ValueRef<'p>>>,
) -> impl Iterator<Item = Result<(&'n str, ValueRef<'p>)>> {
    let found = move |name: &'n N| Some(prop(name.as_ref()).transpose()?.map(|value| (name.as_ref(), value)));
    names.iter().filter_map(found)
}

/// A type of edges by its name, or all types.
pub struct Types<'a>(Option<&'a str>);

impl<'a> Types<'a> {
    pub fn read(r: &mut Reader<'a>) -> Result<Self> {
        r.optional(Reader::text).map(Self)
    }

    pub fn filter(&self) -> TypeFilter<'a> {
        match self.0 {
            Some(name) => TypeFilter::Type(NameRef::Name(name)),
            None => TypeFilter::from(AllTypes),
        }
    }
}

pub fn direction(r: &mut Reader<'_>) -> Result<Direction> {
    Ok(if r.bool()? { Direction::In } else { Direction::Out })
}

/// An edge of a type that is in use; `None`: its type is not, so that there is no such edge.
pub fn edge_key<G: GraphRead + ?Sized>(graph: &G, r: &mut Reader<'_>) -> Result<Option<EdgeKey>> {
    let mut unknown = false;
    let edge = r.edge(|name| {
        let id = graph.etype_id(name.text);
        unknown = id.is_none();
        Ok(id.unwrap_or(EdgeTypeId(0)))
    })?;
    Ok(Some(edge).filter(|_| !unknown))
}

pub fn put_key(w: &mut Writer<'_>, graph: &dyn Graph, edge: EdgeKey) -> Result<()> {
    w.node(edge.src);
    w.name(&graph.etype_name(edge.ty).unwrap_or_default());
    w.node(edge.dst);
    w.u64(edge.rank);
    Ok(())
}

/// The key of a node.
#[derive(Clone, Copy, PartialEq)]
pub enum Key {
    Told,
    /// Who asks has it: it is what he asked by.
    Asked,
}

/// Id, key, labels and properties.
pub fn put_node(w: &mut Writer<'_>, node: &NodeRef<'_>, key: Key, select: &Select<'_>) -> Result<()> {
    w.node(node.id());
    match node.key()? {
        Some(_) if key == Key::Asked => w.u8(2),
        key => w.optional(key, Writer::text),
    }
    w.labels(&node.label_names()?);
    let list = match select {
        Select::All => w.props(|| node.named_props()),
        Select::Only(names) => w.props(|| Ok(only(names, |name| node.prop(name)))),
        Select::Told(names) => w.props(|| Ok(only(names, |name| node.prop(name)))),
    };
    list.map(drop)
}

/// Source, type, destination, rank and properties.
pub fn put_edge(w: &mut Writer<'_>, edge: &EdgeRef<'_>, select: &Select<'_>) -> Result<()> {
    w.edge(edge)?;
    let list = match select {
        Select::All => w.props(|| edge.named_props()),
        Select::Only(names) => w.props(|| Ok(only(names, |name| edge.prop(name)))),
        Select::Told(names) => w.props(|| Ok(only(names, |name| edge.prop(name)))),
    };
    list.map(drop)
}

pub fn node(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, id, select) = (r.u64()?, r.node()?, Select::read(c, r)?);
    Ok(c.handles.read(handle, |graph| {
        let node = graph.node(id)?;
        w.bool(node.is_some());
        node.map_or(Ok(()), |node| put_node(w, &node, Key::Told, &select))
    })?)
}

pub fn node_with_key(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, key, select) = (r.u64()?, r.text()?, Select::read(c, r)?);
    Ok(c.handles.read(handle, |graph| {
        let node = graph.node_with_key(key)?;
        w.bool(node.is_some());
        node.map_or(Ok(()), |node| put_node(w, &node, Key::Asked, &select))
    })?)
}

pub fn node_by_key(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, key) = (r.u64()?, r.text()?);
    let id = c.handles.read(handle, |graph| graph.node_by_key(key))?;
    w.optional(id, Writer::node);
    Ok(())
}

pub fn node_exists(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, id) = (r.u64()?, r.node()?);
    w.bool(c.handles.read(handle, |graph| graph.node_exists(id))?);
    Ok(())
}

pub fn node_key(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, id) = (r.u64()?, r.node()?);
    Ok(c.handles.read(handle, |graph| {
        let node = graph.node(id)?;
        w.optional(node.as_ref().map(NodeRef::key).transpose()?.flatten(), Writer::text);
        Ok(())
    })?)
}

pub fn node_prop(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, id, name) = (r.u64()?, r.node()?, r.text()?);
    Ok(c.handles.read(handle, |graph| {
        let value = match graph.propkey_id(name) {
            Some(key) => graph.node_prop_ref(id, key)?,
            None => None,
        };
        w.optional(value, Writer::value);
        Ok(())
    })?)
}

pub fn node_has_label(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, id, label) = (r.u64()?, r.node()?, r.text()?);
    w.bool(c.handles.read(handle, |graph| graph.node_has_label(id, label))?);
    Ok(())
}

pub fn node_vector(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, id, name) = (r.u64()?, r.node()?, r.text()?);
    Ok(c.handles.read(handle, |graph| {
        let node = graph.node(id)?;
        let vector = node.as_ref().map(|node| node.vector(name)).transpose()?.flatten();
        w.optional(vector, |w, vector| w.value(ValueRef::Vector(vector)));
        Ok(())
    })?)
}

pub fn vector_dimension(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, name) = (r.u64()?, r.text()?);
    w.optional(c.handles.read(handle, |graph| Ok(graph.vector_dimension(name)))?, Writer::u32);
    Ok(())
}

/// Exactly that edge.
pub fn edge(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let handle = r.u64()?;
    Ok(c.handles.read(handle, |graph| {
        let key = edge_key(graph, r)?;
        let select = Select::read(c, r)?;
        let edge = key.map(|key| graph.edge(key)).transpose()?.flatten();
        w.bool(edge.is_some());
        edge.map_or(Ok(()), |edge| put_edge(w, &edge, &select))
    })?)
}

/// The edge of the lowest rank between two nodes, with its properties.
pub fn edge_between(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, src, ty, dst, select) = (r.u64()?, r.node()?, r.text()?, r.node()?, Select::read(c, r)?);
    Ok(c.handles.read(handle, |graph| {
        let key = graph.edge_between(src, ty, dst)?;
        let edge = key.map(|key| graph.edge(key)).transpose()?.flatten();
        w.bool(edge.is_some());
        edge.map_or(Ok(()), |edge| put_edge(w, &edge, &select))
    })?)
}

pub fn edges_between(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, src, ty, dst) = (r.u64()?, r.node()?, r.text()?, r.node()?);
    Ok(c.handles.read(handle, |graph| {
        let edges = graph.edges_between(src, ty, dst)?;
        w.u32(edges.len() as u32);
        edges.into_iter().try_for_each(|edge| put_key(w, graph, edge))
    })?)
}

/// Whether an edge is there: by its ends and type, or exactly that one.
pub fn edge_exists(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, exactly) = (r.u64()?, r.bool()?);
    let found = c.handles.read(handle, |graph| match edge_key(graph, r)? {
        Some(key) if exactly => graph.edge_exists_by_key(key),
        Some(key) => graph.edge_exists(key.src, key.ty, key.dst),
        None => Ok(false),
    })?;
    w.bool(found);
    Ok(())
}

/// One property of an edge: by its ends and type, or of exactly that one.
pub fn edge_prop(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, exactly) = (r.u64()?, r.bool()?);
    Ok(c.handles.read(handle, |graph| {
        let key = match edge_key(graph, r)? {
            Some(key) if !exactly => graph.edge_between(key.src, key.ty, key.dst)?,
            key => key,
        };
        let edge = key.map(|key| graph.edge(key)).transpose()?.flatten();
        let name = r.text()?;
        w.optional(edge.as_ref().map(|edge| edge.prop(name)).transpose()?.flatten(), Writer::value);
        Ok(())
    })?)
}

pub fn degree(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, id, direction, types) = (r.u64()?, r.node()?, direction(r)?, Types::read(r)?);
    w.u64(c.handles.read(handle, |graph| graph.degree(id, direction, types.filter()))?);
    Ok(())
}

/// How many nodes, edges and vectors there are, or nodes with a label, or edges of a type.
pub fn counts(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, what) = (r.u64()?, r.u8()?);
    w.u64(c.handles.read(handle, |graph| {
        Ok(match what {
            0 => graph.count_nodes(),
            1 => graph.count_edges(),
            2 => graph.count_vectors(),
            3 => graph.count_nodes_by_label(r.text()?),
            _ => graph.count_edges_by_type(r.text()?),
        })
    })?);
    Ok(())
}

/// Names with their ids.
fn put_names(w: &mut Writer<'_>, names: impl ExactSizeIterator<Item = (u32, String)>) {
    w.u32(names.len() as u32);
    for (id, name) in names {
        w.u32(id);
        w.text(&name);
    }
}

pub fn labels(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let labels = c.handles.read(r.u64()?, |graph| Ok(graph.labels()))?;
    put_names(w, labels.into_iter().map(|(id, name)| (id.0, name)));
    Ok(())
}

pub fn etypes(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let types = c.handles.read(r.u64()?, |graph| Ok(graph.etypes()))?;
    put_names(w, types.into_iter().map(|(id, name)| (id.0, name)));
    Ok(())
}

pub fn propkeys(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let keys = c.handles.read(r.u64()?, |graph| Ok(graph.propkeys()))?;
    put_names(w, keys.into_iter().map(|(id, name)| (id.0, name)));
    Ok(())
}

pub fn label_id(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, name) = (r.u64()?, r.text()?);
    w.optional(c.handles.read(handle, |graph| Ok(graph.label_id(name)))?, |w, id| w.u32(id.0));
    Ok(())
}

pub fn etype_id(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, name) = (r.u64()?, r.text()?);
    w.optional(c.handles.read(handle, |graph| Ok(graph.etype_id(name)))?, |w, id| w.u32(id.0));
    Ok(())
}

pub fn propkey_id(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, name) = (r.u64()?, r.text()?);
    w.optional(c.handles.read(handle, |graph| Ok(graph.propkey_id(name)))?, |w, id| w.u32(id.0));
    Ok(())
}

pub fn indexes(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    c.handles.read(r.u64()?, |graph| Ok(graph.indexes()))?.put(w);
    Ok(())
}

/// The other ends of a node's edges.
pub fn neighbor_ids(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, id, direction, types) = (r.u64()?, r.node()?, direction(r)?, Types::read(r)?);
    let place = w.place_u32();
    let mut count = 0;
    c.handles.read(handle, |graph| {
        graph.for_each_neighbor(id, direction, types.filter(), |node| {
            w.node(node);
            count += 1;
        })
    })?;
    w.fill_u32(place, count);
    Ok(())
}
