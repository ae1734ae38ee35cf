//! Writes a run, streaming: names, nodes, outgoing edges, incoming edges, label members, vectors, each in
//! ascending order and each optional.

use super::{
    bounds::{RunBounds, TableBounds},
    keys::KeyIndex,
    meta::{Part, RunMeta, SectionId, TableKind},
    parts::{Blob, BlobWriter, ListWriter, Lists},
    row::{EntryKind, MAX_TYPE, code, impossible},
    run::Run,
    section_writer::{Pace, SectionWriter, Sink},
    space::Space,
    vectors,
};
use crate::{
    error::{Error, Result},
    graph::{EdgeKey, LabelId, NameKind, NodeId, NodeRecord, PropKeyId, codec::put_varint},
};
use std::sync::Arc;

/// A run being written. Dropping it unfinished frees its space.
pub struct RunWriter<'a> {
    sink: Sink<'a>,
    bounds: RunBounds,
    stage: Stage,
    run: Run,
    scratch: Vec<u8>,
}

/// What is being written. Memory for buffers is held for one stage at a time.
enum Stage {
    Names(Option<SectionWriter>),
    Nodes(Option<BlobWriter>),
    Out(Option<Box<ListWriter>>, Option<Box<BlobWriter>>),
    In(Option<ListWriter>),
    Labels(Option<ListWriter>),
    Vectors(Option<BlobWriter>, Option<(NodeId, PropKeyId)>),
    Done,
}

impl Stage {
    fn number(&self) -> u8 {
        match self {
            Self::Names(..) => 0,
            Self::Nodes(..) => 1,
            Self::Out(..) => 2,
            Self::In(..) => 3,
            Self::Labels(..) => 4,
            Self::Vectors(..) => 5,
            Self::Done => 6,
        }
    }
}

impl<'a> RunWriter<'a> {
    pub(super) fn new(space: Arc<Space>, bounds: &RunBounds, pace: &'a mut Pace<'a>) -> Self {
        let sink = Sink::new(space, pace);
        Self { sink, bounds: *bounds, stage: Stage::Names(None), run: Run::default(), scratch: Vec::new() }
    }

    /// A name, with the dimension of the vectors stored under it (0: none).
    pub fn name(&mut self, kind: NameKind, id: u32, dimension: u32, name: &str) -> Result<()> {
        self.advance(0)?;
        let Stage::Names(writer) = &mut self.stage else { return Err(out_of_order("name")) };
        let writer = match writer {
            Some(writer) => writer,
            None => {
                // Kind, id, dimension and length take at most 16 bytes.
                let bound = self.bounds.name_bytes + 16 * self.bounds.names;
                let id = SectionId { table: TableKind::Names, part: Part::Payload };
                writer.insert(SectionWriter::new(&self.sink, id, 1, bound)?)
            }
        };
        self.scratch.clear();
        self.scratch.push(kind as u8);
        put_varint(&mut self.scratch, id.into());
        put_varint(&mut self.scratch, dimension.into());
        put_varint(&mut self.scratch, name.len() as u64);
        self.scratch.extend_from_slice(name.as_bytes());
        self.run.meta.names += 1;
        writer.push(&mut self.sink, &self.scratch)
    }

    /// A node's record in its canonical bytes, live or dead.
    pub fn node(&mut self, record: &[u8]) -> Result<()> {
        self.advance(1)?;
        let parsed = NodeRecord::parse(record)?;
        let Stage::Nodes(Some(writer)) = &mut self.stage else { return Err(out_of_order("node")) };
        writer.begin(&mut self.sink, parsed.id().0)?;
        self.run.meta.keyed += u64::from(parsed.key().is_some());
        self.run.meta.max_node_id = self.run.meta.max_node_id.max(parsed.id().0);
        self.scratch.clear();
        put_varint(&mut self.scratch, record.len() as u64);
        writer.push(&mut self.sink, &self.scratch)?;
        writer.push(&mut self.sink, record)
    }

    /// Ends the nodes: from here on [`RunWriter::has_node`] and [`RunWriter::is_dead`] know them.
    pub(super) fn end_nodes(&mut self) -> Result<()> {
        self.advance(2)
    }

    /// Whether it has a record of that node.
    #[inline]
    pub(super) fn has_node(&self, id: NodeId) -> Result<bool> {
        self.run.has_record(id)
    }

    /// Whether it deletes that node.
    #[inline]
    pub(super) fn is_dead(&self, id: NodeId) -> Result<bool> {
        Ok(self.run.node(id)?.is_some_and(|record| record.is_dead()))
    }

    /// An edge at its source, with its properties' canonical bytes (none for [`EntryKind::Remove`]).
    #[inline]
    pub fn out_edge(&mut self, edge: EdgeKey, kind: EntryKind, props: &[u8]) -> Result<()> {
        self.advance(2)?;
        self.note_edge(edge, kind)?;
        let Stage::Out(Some(writer), prop_writer) = &mut self.stage else { return Err(out_of_order("out edge")) };
        let ordinal = writer.push(&mut self.sink, edge.src.0, code(edge.ty.0, kind), edge.dst.0)?;
        if !props.is_empty() && kind != EntryKind::Remove {
            let Some(writer) = prop_writer else { return Err(out_of_order("edge property list")) };
            writer.begin(&mut self.sink, ordinal)?;
            writer.push(&mut self.sink, props)?;
        }
        Ok(())
    }

    /// An edge at its destination.
    #[inline]
    pub fn in_edge(&mut self, edge: EdgeKey, kind: EntryKind) -> Result<()> {
        self.advance(3)?;
        self.note_edge(edge, kind)?;
        let Stage::In(Some(writer)) = &mut self.stage else { return Err(out_of_order("in edge")) };
        writer.push(&mut self.sink, edge.dst.0, code(edge.ty.0, kind), edge.src.0).map(drop)
    }

    /// A member of a label, or its removal.
    pub fn label_member(&mut self, label: LabelId, node: NodeId, kind: EntryKind) -> Result<()> {
        self.advance(4)?;
        let Stage::Labels(Some(writer)) = &mut self.stage else { return Err(out_of_order("label member")) };
        self.run.meta.max_node_id = self.run.meta.max_node_id.max(node.0);
        writer.push(&mut self.sink, label.0.into(), code(0, kind), node.0).map(drop)
    }

    /// A vector's floats in little-endian bytes, or its removal.
    pub fn vector(&mut self, node: NodeId, key: PropKeyId, vector: Option<&[u8]>) -> Result<()> {
        self.advance(5)?;
        let Stage::Vectors(Some(writer), last) = &mut self.stage else { return Err(out_of_order("vector")) };
        match *last {
            Some((last_node, last_key)) if last_node == node && last_key >= key => {
                return Err(impossible(format_args!("vector {key} of node {node} follows vector {last_key}")));
            }
            Some((last_node, _)) if last_node == node => {}
            _ => writer.begin(&mut self.sink, node.0)?,
        }
        *last = Some((node, key));
        writer.push(&mut self.sink, &vectors::head(key, vector))?;
        writer.push(&mut self.sink, vector.unwrap_or_default())
    }

    /// Writes what remains and syncs. The run is not part of the database until it is published.
    pub fn finish(mut self) -> Result<Arc<Run>> {
        self.advance(6)?;
        self.sink.sync()?;
        let mut run = self.run;
        let blobs = [&run.nodes, &run.edge_props, &run.vectors].into_iter().flatten().map(|blob| blob.table.meta());
        let lists = [&run.out, &run.into, &run.labels].into_iter().flatten().map(|lists| lists.table.meta());
        let tables = blobs.chain(lists).cloned().collect();
        let sections = run.sections().map(|section| section.meta().clone()).collect();
        run.meta = RunMeta { tables, sections, ..run.meta };
        Ok(Arc::new(run))
    }

    #[inline]
    fn note_edge(&mut self, edge: EdgeKey, kind: EntryKind) -> Result<()> {
        if edge.ty.0 > MAX_TYPE {
            return Err(Error::invalid(format_args!("edge type id {} exceeds {MAX_TYPE}", edge.ty)));
        }
        let meta = &mut self.run.meta;
        meta.removals |= kind == EntryKind::Remove;
        meta.replaces |= kind == EntryKind::Replace;
        meta.max_type_id = meta.max_type_id.max(edge.ty.0);
        meta.max_node_id = meta.max_node_id.max(edge.src.0).max(edge.dst.0);
        Ok(())
    }

    /// Finishes stages until the one with `number` is reached.
    #[inline(always)]
    fn advance(&mut self, number: u8) -> Result<()> {
        while self.stage.number() < number {
            self.next_stage()?;
        }
        Ok(())
    }

    #[cold]
    fn next_stage(&mut self) -> Result<()> {
        let (sink, bounds, run) = (&mut self.sink, &self.bounds, &mut self.run);
        self.stage = match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Names(writer) => {
                run.names = writer.map(|writer| writer.finish(sink)).transpose()?.flatten();
                let TableBounds { rows, items, .. } = bounds.nodes;
                // A length before each record: one byte, and one more for each 128 bytes at the worst.
                let bounds = TableBounds { items: items + rows + items / 128, ..bounds.nodes };
                Stage::Nodes(BlobWriter::new(sink, TableKind::Nodes, bounds)?)
            }
            Stage::Nodes(writer) => {
                run.nodes = finish_blob(writer, sink)?;
                if let Some(nodes) = &run.nodes {
                    run.keys = KeyIndex::build(sink, nodes, run.meta.keyed)?;
                    run.meta.key_capacity = run.keys.as_ref().map_or(0, |keys| keys.capacity);
                }
                let edges = ListWriter::units(bounds.out_edges, bounds.max_type_id);
                let props = TableBounds { first: 0, last: edges.saturating_sub(1), ..bounds.edge_props };
                let (max_node_id, max_type_id) = (bounds.max_node_id, bounds.max_type_id);
                let edges = ListWriter::new(sink, TableKind::Out, bounds.out_edges, max_node_id, max_type_id)?;
                let props = BlobWriter::new(sink, TableKind::EdgeProps, props)?;
                Stage::Out(edges.map(Box::new), props.map(Box::new))
            }
            Stage::Out(writer, props) => {
                run.out = finish_lists(writer.map(|writer| *writer), sink)?;
                run.edge_props = finish_blob(props.map(|props| *props), sink)?;
                let (max_node_id, max_type_id) = (bounds.max_node_id, bounds.max_type_id);
                Stage::In(ListWriter::new(sink, TableKind::In, bounds.in_edges, max_node_id, max_type_id)?)
            }
            Stage::In(writer) => {
                run.into = finish_lists(writer, sink)?;
                Stage::Labels(ListWriter::new(sink, TableKind::Labels, bounds.labels, bounds.max_node_id, 0)?)
            }
            Stage::Labels(writer) => {
                run.labels = finish_lists(writer, sink)?;
                Stage::Vectors(BlobWriter::new(sink, TableKind::Vectors, bounds.vectors)?, None)
            }
            Stage::Vectors(writer, _) => {
                run.vectors = finish_blob(writer, sink)?;
                Stage::Done
            }
            Stage::Done => return Err(out_of_order("anything")),
        };
        Ok(())
    }
}

fn finish_blob(writer: Option<BlobWriter>, sink: &mut Sink<'_>) -> Result<Option<Blob>> {
    writer.map_or(Ok(None), |writer| writer.finish(sink))
}

fn finish_lists(writer: Option<ListWriter>, sink: &mut Sink<'_>) -> Result<Option<Lists>> {
    writer.map_or(Ok(None), |writer| writer.finish(sink))
}

#[cold]
fn out_of_order(what: &str) -> Error {
    impossible(format_args!("a run got a {what} that its bounds did not announce, or out of order"))
}
