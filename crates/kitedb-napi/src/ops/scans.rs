//! Lists, some rows at a time. A scan has no cursor here that could be left open: each batch says where the next one begins.

use super::{
    Context,
    reads::{Select, Types, direction, edge_key, put_key},
    rows::Rows,
};
use crate::{
    fault::Outcome,
    handles::Held,
    wire::{Reader, Writer},
};
use kitedb::{EdgeKey, Error, ErrorCode, Graph, GraphRead, NodeId, Page, Result};

/// Writes how many rows there are, and the rows.
fn rows<T>(
    w: &mut Writer<'_>,
    rows: impl Iterator<Item = Result<T>>,
    mut put: impl FnMut(&mut Writer<'_>, T) -> Result<()>,
) -> Result<()> {
    let place = w.place_u32();
    let mut count = 0;
    for row in rows {
        put(w, row?)?;
        count += 1;
    }
    w.fill_u32(place, count);
    Ok(())
}

fn ids_of(graph: &dyn Graph, label: Option<&str>, after: Option<NodeId>, limit: usize) -> Result<Page<NodeId>> {
    match label {
        Some(label) => graph.label_page(label, after, limit),
        None => graph.nodes_page(after, limit),
    }
}

/// Reads a batch: `f` writes it, and says whether there is more. The first batch of a scan over the newest state of a database
/// has the number of a view of that state before it, from which the others are read; 0 if there are none. It comes first, so that it
/// is known whatever becomes of the rows.
fn batch(
    c: &Context<'_>,
    r: &mut Reader<'_>,
    w: &mut Writer<'_>,
    f: impl FnOnce(&dyn Graph, &mut Reader<'_>, &mut Writer<'_>) -> Result<bool>,
) -> Outcome {
    let (handle, newest) = (r.u64()?, r.bool()?);
    if !newest {
        c.handles.read(handle, |graph| f(graph, r, w))?;
        return Ok(());
    }
    let view = c.handles.database(handle)?.snapshot()?;
    let place = w.place_u64();
    if f(&view, r, w)? {
        let view = view.with_origin("scan").into_handle();
        w.fill_u64(place, c.handles.add(Held::View(view)));
    }
    Ok(())
}

/// Nodes after one, or from the first on; and after which one the next batch begins.
pub fn nodes_batch(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    batch(c, r, w, |graph, r, w| {
        let (label, after) = (r.optional(Reader::text)?, r.optional(Reader::node)?);
        let (limit, select) = (r.u32()? as usize, Select::read(c, r)?);
        let mut of = Rows::new(graph, &select);
        let next = if after.is_none() {
            // A scan from the beginning has each record at hand.
            let nodes = match label {
                Some(label) => graph.nodes_with_label(label)?,
                None => graph.nodes(),
            };
            let mut last = None;
            let mut nodes = nodes.fuse();
            rows(w, nodes.by_ref().take(limit), |w, node| {
                last = Some(node.id());
                of.put_node(w, &node)
            })?;
            let more = nodes.next().transpose()?.is_some();
            last.filter(|_| more)
        } else {
            let page = ids_of(graph, label, after, limit)?;
            let found = page.items.iter().filter_map(|id| graph.node(*id).transpose());
            rows(w, found, |w, node| of.put_node(w, &node))?;
            page.next
        };
        w.optional(next, Writer::node);
        Ok(next.is_some())
    })
}

/// Edges after one, or from the first on.
pub fn edges_batch(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    batch(c, r, w, |graph, r, w| {
        let after = following(graph, r)?;
        let (limit, select) = (r.u32()? as usize, Select::read(c, r)?);
        let mut of = Rows::new(graph, &select);
        if after.is_none() {
            let mut last = None;
            let mut edges = graph.edges().fuse();
            rows(w, edges.by_ref().take(limit), |w, edge| {
                last = Some(edge.key());
                of.put_edge(w, &edge)
            })?;
            let more = edges.next().transpose()?.is_some();
            return put_next(w, graph, last.filter(|_| more));
        }
        let page = graph.edges_page(after, limit)?;
        let found = page.items.iter().filter_map(|key| graph.edge(*key).transpose());
        rows(w, found, |w, edge| of.put_edge(w, &edge))?;
        put_next(w, graph, page.next)
    })
}

/// The edge after which a batch or page begins.
fn following(graph: &dyn Graph, r: &mut Reader<'_>) -> Result<Option<EdgeKey>> {
    let unknown =
        || Error::new(ErrorCode::UnknownName, "what the next edges come after is of a type that no edge here has");
    r.optional(|r| edge_key(graph, r)?.ok_or_else(unknown))
}

/// Returns whether there is a next batch.
fn put_next(w: &mut Writer<'_>, graph: &dyn Graph, next: Option<EdgeKey>) -> Result<bool> {
    w.bool(next.is_some());
    next.map_or(Ok(()), |next| put_key(w, graph, next))?;
    Ok(next.is_some())
}

/// What is asked for of each edge at a node.
#[derive(Clone, Copy, PartialEq)]
enum Want {
    Edge,
    Other,
}

/// The edges at a node, or the nodes at their other ends: all at once where they are no more than a batch, and else in order,
/// from the beginning or after one of them.
pub fn edges_at_batch(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    batch(c, r, w, |graph, r, w| {
        let (id, direction, types) = (r.node()?, direction(r)?, Types::read(r)?);
        let want = if r.bool()? { Want::Other } else { Want::Edge };
        let sorted = r.bool()?;
        let after = following(graph, r)?;
        let (limit, select) = (r.u32()? as usize, Select::read(c, r)?);
        let mut of = Rows::new(graph, &select);
        if after.is_none() && !sorted && graph.degree(id, direction, types.filter())? <= limit as u64 {
            let edges = match direction {
                kitedb::Direction::Out => graph.out_edges(id, types.filter())?,
                kitedb::Direction::In => graph.in_edges(id, types.filter())?,
            };
            match want {
                Want::Edge => rows(w, edges.map(Ok), |w, edge| of.put_edge(w, &edge))?,
                Want::Other => rows(w, edges.map(|edge| Ok(edge.other_node())), |w, node| of.put_node(w, &node))?,
            }
            return put_next(w, graph, None);
        }
        let page = graph.neighbors_page(id, direction, types.filter(), after, limit)?;
        match want {
            Want::Edge => {
                let found = page.items.iter().filter_map(|key| graph.edge(*key).transpose());
                rows(w, found, |w, edge| of.put_edge(w, &edge))?;
            }
            Want::Other => {
                let found = page.items.iter().filter_map(|key| graph.node(key.ends(direction).1).transpose());
                rows(w, found, |w, node| of.put_node(w, &node))?;
            }
        }
        put_next(w, graph, page.next)
    })
}

pub fn nodes_page(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, label, after) = (r.u64()?, r.optional(Reader::text)?, r.optional(Reader::node)?);
    let limit = r.size()?;
    let page = c.handles.read(handle, |graph| ids_of(graph, label, after, limit))?;
    w.u32(page.items.len() as u32);
    page.items.iter().for_each(|id| w.node(*id));
    w.optional(page.next, Writer::node);
    Ok(())
}

fn put_page(w: &mut Writer<'_>, graph: &dyn Graph, page: Page<EdgeKey>) -> Result<()> {
    w.u32(page.items.len() as u32);
    page.items.iter().try_for_each(|edge| put_key(w, graph, *edge))?;
    put_next(w, graph, page.next)?;
    Ok(())
}

pub fn edges_page(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let handle = r.u64()?;
    Ok(c.handles.read(handle, |graph| {
        let after = following(graph, r)?;
        put_page(w, graph, graph.edges_page(after, r.size()?)?)
    })?)
}

pub fn neighbors_page(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (handle, id, direction, types) = (r.u64()?, r.node()?, direction(r)?, Types::read(r)?);
    Ok(c.handles.read(handle, |graph| {
        let after = following(graph, r)?;
        put_page(w, graph, graph.neighbors_page(id, direction, types.filter(), after, r.size()?)?)
    })?)
}
