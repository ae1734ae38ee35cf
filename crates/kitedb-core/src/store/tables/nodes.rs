//! Table 1: node records by node id. A row is the record's length (varint) and its canonical bytes: the length is there
//! for readers that come through the index of keys and do not know where the row ends. That index is built once all
//! records are written (see [`crate::store::keys`]), and so are columns ([`super::columns`]).

use super::{RunBounds, Shape, Stage, TableKind, columns};
use crate::{
    error::Result,
    graph::{NodeId, NodeRecord, codec::put_varint},
    store::{
        bounds::TableBounds,
        changes::Changes,
        keys::{KeyHolder, KeyIndex, KeySlots, entry_record},
        merge::{Merge, for_each_key},
        meta::{RunMeta, TableMeta},
        parts::{Blob, BlobScan, BlobWriter},
        run::Run,
        run_writer::{RunWriter, out_of_order},
        section::Section,
        section_writer::Sink,
        table::Pool,
    },
};

/// Records, and the index of their keys.
#[derive(Debug)]
pub struct Nodes {
    records: Blob,
    keys: Option<KeyIndex>,
}

impl Shape for Nodes {
    fn open(meta: &RunMeta, kind: TableKind, pool: &mut Pool) -> Result<Option<Self>> {
        let keys = KeyIndex::open(meta, pool)?;
        Ok(Blob::open(meta, kind, pool)?.map(|records| Self { records, keys }))
    }

    fn meta(&self) -> Option<&TableMeta> {
        Shape::meta(&self.records)
    }

    fn sections(&self) -> Vec<&Section> {
        self.keys.iter().map(|keys| &keys.slots).chain(Shape::sections(&self.records)).collect()
    }
}

impl Run {
    /// The node's record, live or dead, if this run has one.
    #[inline]
    pub fn node(&self, id: NodeId) -> Result<Option<NodeRecord<'_>>> {
        let Some(nodes) = &self.tables.nodes else { return Ok(None) };
        match nodes.records.get(id.0)? {
            Some(row) => entry_record(row).map(Some),
            None => Ok(None),
        }
    }

    /// Whether this run has a record of the node, live or dead.
    #[inline]
    pub fn has_record(&self, id: NodeId) -> Result<bool> {
        match &self.tables.nodes {
            Some(nodes) => Ok(nodes.records.table.find(id.0)?.is_some()),
            None => Ok(false),
        }
    }

    /// The live node with that key, else a dead one. `hash` is [`crate::graph::key_hash`] of `key`.
    #[inline]
    pub fn key(&self, hash: u64, key: &str) -> Result<Option<KeyHolder>> {
        match &self.tables.nodes {
            Some(Nodes { records, keys: Some(keys) }) => keys.find(records, hash, key),
            _ => Ok(None),
        }
    }

    /// Node records from `id` on, ascending.
    pub fn nodes_from(&self, id: NodeId) -> NodeScan<'_> {
        NodeScan(self.tables.nodes.as_ref().map(|nodes| nodes.records.scan(id.0)))
    }
}

/// Node records, ascending. Nothing follows an error.
#[derive(Debug)]
pub struct NodeScan<'a>(Option<BlobScan<'a>>);

impl<'a> Iterator for NodeScan<'a> {
    type Item = Result<NodeRecord<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.0.as_mut()?.next()?;
        Some(row.and_then(|(_, _, row)| entry_record(row)))
    }
}

impl RunWriter<'_> {
    /// A node's record in its canonical bytes, live or dead.
    pub fn node(&mut self, record: &[u8]) -> Result<()> {
        let (stage, sink, meta) = self.at::<Writer>()?;
        let parsed = NodeRecord::parse(record)?;
        let Some(records) = &mut stage.records else { return Err(out_of_order(Writer::ROW)) };
        records.begin(sink, parsed.id().0)?;
        stage.tally.as_mut().map_or(Ok(()), |tally| tally.add(&parsed))?;
        meta.keyed += u64::from(parsed.key().is_some());
        meta.max_node_id = meta.max_node_id.max(parsed.id().0);
        stage.head.clear();
        put_varint(&mut stage.head, record.len() as u64);
        records.push(sink, &stage.head)?;
        records.push(sink, record)
    }

    /// Whether it has a record of that node, once all nodes are written.
    #[inline]
    pub(in crate::store) fn has_node(&self, id: NodeId) -> Result<bool> {
        self.run.has_record(id)
    }

    /// Whether it deletes that node.
    #[inline]
    pub(in crate::store) fn is_dead(&self, id: NodeId) -> Result<bool> {
        Ok(self.run.node(id)?.is_some_and(|record| record.is_dead()))
    }
}

/// Node records being written.
pub struct Writer {
    records: Option<BlobWriter>,
    /// What stands before a record.
    head: Vec<u8>,
    /// What columns would hold; `None`: there are too few nodes for any.
    tally: Option<columns::Tally>,
    key_slots: KeySlots,
}

impl Stage for Writer {
    const ROW: &'static str = "node";

    fn begin(sink: &Sink<'_>, bounds: &RunBounds, _: &Run) -> Result<Self> {
        let TableBounds { rows, items, .. } = bounds.nodes;
        // A length before each record: one byte, and one more for each 128 bytes at the worst.
        let records = TableBounds { items: items + rows + items / 128, ..bounds.nodes };
        let records = BlobWriter::new(sink, TableKind::Nodes, records)?;
        let tally = (rows >= columns::LEAST).then(columns::Tally::default);
        Ok(Self { records, head: Vec::new(), tally, key_slots: bounds.key_slots })
    }

    fn finish(self, sink: &mut Sink<'_>, run: &mut Run) -> Result<()> {
        let Some(records) = BlobWriter::finish_any(self.records, sink)? else { return Ok(()) };
        let keys = KeyIndex::build(sink, &records, run.meta.keyed, self.key_slots)?;
        run.meta.key_capacity = keys.as_ref().map_or(0, |keys| keys.capacity);
        let built = self.tally.map(|tally| columns::build(sink, &records, tally)).transpose()?;
        run.tables.columns = built.flatten();
        run.tables.nodes = Some(Nodes { records, keys });
        Ok(())
    }

    fn check(run: &Run) -> Result<()> {
        columns::check(run)
    }

    fn measure(changes: &Changes<'_>, bounds: &mut RunBounds) {
        for (id, record) in &changes.nodes {
            bounds.nodes.add(id.0, record.len() as u64);
            bounds.max_node_id = bounds.max_node_id.max(id.0);
        }
    }

    fn write(changes: &Changes<'_>, writer: &mut RunWriter<'_>) -> Result<()> {
        changes.nodes.iter().try_for_each(|(_, record)| writer.node(record))
    }

    fn merge(merge: &mut Merge<'_>, writer: &mut RunWriter<'_>) -> Result<()> {
        let oldest = merge.oldest;
        let scans =
            merge.runs.iter().map(|run| run.nodes_from(NodeId(0)).map(|item| item.map(|record| (record.id(), record))));
        for_each_key(scans, |_, found| match found.last() {
            Some((_, record)) if !(oldest && record.is_dead()) => writer.node(record.as_bytes()),
            _ => Ok(()),
        })
    }
}
