//! A run: what one checkpoint or merge wrote, for ever unchanged.

use super::{
    Damage,
    device::Device,
    keys::{KeyIndex, entry_record},
    meta::{Part, RunMeta, SectionMeta, TableKind},
    parts::{Blob, Lists},
    row::{Members, Row},
    scan::{LabelScan, NodeScan, RowScan, VectorScan},
    section::Section,
    space::{Extent, Space},
    table::Pool,
    vectors::VectorEntries,
};
use crate::{
    error::Result,
    graph::{Direction, LabelId, NameKind, NodeId, NodeRecord, PropKeyId, PropList, VectorRef, codec::Reader},
};
use std::sync::Arc;

/// A name as a run has it: kind, id, dimension of vectors under it (0: none), text.
pub type RunName = (NameKind, u32, u32, String);

/// How much a run holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunCounts {
    /// Names.
    pub names: u64,
    /// Node records, dead ones too.
    pub nodes: u64,
    /// Node records with a key.
    pub keyed: u64,
    /// Sources with entries.
    pub out_rows: u64,
    /// Destinations with entries.
    pub in_rows: u64,
    /// Entries of outgoing adjacency.
    pub edges: u64,
    /// Edges with properties.
    pub edge_props: u64,
    /// Labels with entries.
    pub labels: u64,
    /// Entries of labels.
    pub label_members: u64,
    /// Nodes with vector entries.
    pub vectors: u64,
}

/// An immutable run, mapped for reading. Its space in the file is free once nothing refers to it.
#[derive(Debug, Default)]
pub struct Run {
    pub(super) meta: RunMeta,
    pub(super) names: Option<Section>,
    pub(super) nodes: Option<Blob>,
    pub(super) keys: Option<KeyIndex>,
    pub(super) out: Option<Lists>,
    pub(super) into: Option<Lists>,
    pub(super) edge_props: Option<Blob>,
    pub(super) labels: Option<Lists>,
    pub(super) vectors: Option<Blob>,
}

impl Run {
    /// Maps the run that the manifest of `generation` describes as `meta`, and whose extents are inside the file.
    pub(super) fn open(space: &Arc<Space>, device: &Device, meta: &RunMeta, generation: u64) -> Result<Arc<Self>> {
        let open = |section: &SectionMeta| {
            let lease = space.adopt(Extent::holding(section.offset, section.stored_len()), generation);
            Section::open(device, section.clone(), lease)
        };
        Self::assemble(meta, meta.sections.iter().map(open).collect::<Result<_>>()?)
    }

    /// The run that `meta` describes, made of its sections, wherever they lie now.
    pub(super) fn assemble(meta: &RunMeta, sections: Vec<Section>) -> Result<Arc<Self>> {
        let places = sections.iter().map(|section| section.meta().clone()).collect();
        let mut pool = Pool(sections);
        let run = Self {
            names: pool.take(TableKind::Names, Part::Payload),
            nodes: Blob::open(meta, TableKind::Nodes, &mut pool)?,
            keys: KeyIndex::open(meta, &mut pool)?,
            out: Lists::open(meta, TableKind::Out, &mut pool)?,
            into: Lists::open(meta, TableKind::In, &mut pool)?,
            edge_props: Blob::open(meta, TableKind::EdgeProps, &mut pool)?,
            labels: Lists::open(meta, TableKind::Labels, &mut pool)?,
            vectors: Blob::open(meta, TableKind::Vectors, &mut pool)?,
            meta: RunMeta { sections: places, ..meta.clone() },
        };
        match pool.0.first() {
            None => Ok(Arc::new(run)),
            Some(section) => Err(section.inconsistent("it belongs to no table")),
        }
    }

    /// The node's record, live or dead, if this run has one.
    #[inline]
    pub fn node(&self, id: NodeId) -> Result<Option<NodeRecord<'_>>> {
        let Some(nodes) = &self.nodes else { return Ok(None) };
        match nodes.get(id.0)? {
            Some(row) => entry_record(row).map(Some),
            None => Ok(None),
        }
    }

    /// Whether this run has a record of the node, live or dead.
    #[inline]
    pub fn has_record(&self, id: NodeId) -> Result<bool> {
        match &self.nodes {
            Some(nodes) => Ok(nodes.table.find(id.0)?.is_some()),
            None => Ok(false),
        }
    }

    /// The live record with that key, else a dead one. `hash` is [`crate::graph::key_hash`] of `key`.
    #[inline]
    pub fn key(&self, hash: u64, key: &str) -> Result<Option<NodeRecord<'_>>> {
        match (&self.keys, &self.nodes) {
            (Some(keys), Some(nodes)) => keys.find(nodes, hash, key),
            _ => Ok(None),
        }
    }

    #[inline(always)]
    fn lists(&self, direction: Direction) -> Option<&Lists> {
        match direction {
            Direction::Out => self.out.as_ref(),
            Direction::In => self.into.as_ref(),
        }
    }

    /// The entries of a node in one direction.
    #[inline]
    pub fn row(&self, direction: Direction, id: NodeId) -> Result<Row<'_>> {
        match self.lists(direction) {
            Some(lists) => lists.get(id.0),
            None => Ok(Row::EMPTY),
        }
    }

    /// The properties of the entry at `at` of `row`, an outgoing row of this run.
    #[inline]
    pub fn edge_props(&self, row: &Row<'_>, at: usize) -> Result<PropList<'_>> {
        let Some(props) = &self.edge_props else { return Ok(PropList::default()) };
        Ok(PropList::from_bytes(props.get(row.ordinal(at))?.unwrap_or_default()))
    }

    /// Whether any edge of this run has properties.
    pub fn has_edge_props(&self) -> bool {
        self.edge_props.is_some()
    }

    /// Whether an entry of its adjacency is a [`super::EntryKind::Remove`].
    #[inline]
    pub fn has_removals(&self) -> bool {
        self.meta.removals
    }

    /// Whether an entry of its adjacency is a [`super::EntryKind::Replace`].
    #[inline]
    pub fn has_replacements(&self) -> bool {
        self.meta.replaces
    }

    /// Whether it says anything of any label's members.
    pub fn has_labels(&self) -> bool {
        self.labels.is_some()
    }

    /// What it says of a label's members.
    pub fn label_members(&self, label: LabelId) -> Result<Members<'_>> {
        match &self.labels {
            Some(labels) => labels.get(label.0.into()).map(Members),
            None => Ok(Members(Row::EMPTY)),
        }
    }

    /// The vector of a node: `None` if this run says nothing of it, `Some(None)` if it removes it.
    pub fn vector(&self, node: NodeId, key: PropKeyId) -> Result<Option<Option<VectorRef<'_>>>> {
        for entry in self.vectors_of(node)? {
            let (found, vector) = entry?;
            if found >= key {
                return Ok((found == key).then_some(vector));
            }
        }
        Ok(None)
    }

    /// What it says of a node's vectors.
    pub fn vectors_of(&self, node: NodeId) -> Result<VectorEntries<'_>> {
        let Some(vectors) = &self.vectors else { return Ok(VectorEntries::new(&[])) };
        Ok(VectorEntries::new(vectors.get(node.0)?.unwrap_or_default()))
    }

    /// The names that it defines, in the order they were written.
    pub fn names(&self) -> Result<Vec<RunName>> {
        let Some(section) = &self.names else { return Ok(Vec::new()) };
        let mut reader = Reader::new(section.slice(0, section.len())?);
        let mut names = Vec::new();
        while !reader.is_empty() {
            let kind = NameKind::from_byte(reader.u8()?)?;
            names.push((kind, reader.varint32()?, reader.varint32()?, reader.text()?.to_owned()));
        }
        Ok(names)
    }

    /// Node records from `id` on, ascending.
    pub fn nodes_from(&self, id: NodeId) -> NodeScan<'_> {
        NodeScan(self.nodes.as_ref().map(|nodes| nodes.scan(id.0)))
    }

    /// Rows from `id` on, ascending by node.
    pub fn rows_from(&self, direction: Direction, id: NodeId) -> RowScan<'_> {
        RowScan(self.lists(direction).map(|lists| lists.scan(id.0)))
    }

    /// Labels with their members, ascending.
    pub fn labels(&self) -> LabelScan<'_> {
        LabelScan(self.labels.as_ref().map(|labels| labels.scan(0)))
    }

    /// Vector entries of nodes from `id` on, ascending by node.
    pub fn vectors_from(&self, id: NodeId) -> VectorScan<'_> {
        VectorScan(self.vectors.as_ref().map(|vectors| vectors.scan(id.0)))
    }

    /// Bytes that it takes in the file.
    pub fn bytes(&self) -> u64 {
        self.meta.sections.iter().map(|section| Extent::holding(section.offset, section.stored_len()).len).sum()
    }

    /// How the manifest describes it.
    pub fn meta(&self) -> &RunMeta {
        &self.meta
    }

    /// How much it holds.
    pub fn counts(&self) -> RunCounts {
        let rows = |kind| self.meta.table(kind).map_or(0, |table| table.rows);
        let items = |kind| self.meta.table(kind).map_or(0, |table| table.items);
        RunCounts {
            names: self.meta.names,
            nodes: rows(TableKind::Nodes),
            keyed: self.meta.keyed,
            out_rows: rows(TableKind::Out),
            in_rows: rows(TableKind::In),
            edges: items(TableKind::Out),
            edge_props: rows(TableKind::EdgeProps),
            labels: rows(TableKind::Labels),
            label_members: items(TableKind::Labels),
            vectors: rows(TableKind::Vectors),
        }
    }

    /// Reads every block and adds the ranges that do not verify.
    pub fn verify(&self, damage: &mut Vec<Damage>) {
        self.sections().for_each(|section| section.verify(damage));
    }

    pub(super) fn sections(&self) -> impl Iterator<Item = &Section> {
        let blobs = [&self.nodes, &self.edge_props, &self.vectors];
        let lists = [&self.out, &self.into, &self.labels];
        self.names
            .iter()
            .chain(self.keys.iter().map(|keys| &keys.slots))
            .chain(blobs.into_iter().flatten().flat_map(Blob::sections))
            .chain(lists.into_iter().flatten().flat_map(Lists::sections))
    }

    /// The header of `generation` names this run, or will.
    pub(super) fn named_by(&self, generation: u64) {
        self.sections().for_each(|section| section.lease().named_by(generation));
    }
}
