//! Table 6: what a run says of the vectors of nodes, except for those that lie in columns ([`super::aligned`]). A row is
//! entries of property key (varint), byte length + 1 (varint; 0 stands for a removed vector), floats. Property keys ascend.
//! Readers get both together.

use super::{
    RunBounds, Stage, TableKind,
    aligned::{Plan, Tally},
};
use crate::{
    error::{Error, Result},
    graph::{
        NodeId, PropKeyId, VectorRef,
        codec::{Reader, put_varint},
    },
    store::{
        changes::Changes,
        dense::Dense,
        merge::{Merge, for_each_key},
        parts::{BlobScan, BlobWriter},
        row::impossible,
        run::Run,
        run_writer::{RunWriter, out_of_order},
        section_writer::Sink,
    },
};
use std::{collections::BTreeMap, iter::Peekable};

impl Run {
    /// The vector of a node: `None` if this run says nothing of it, `Some(None)` if it removes it.
    pub fn vector(&self, node: NodeId, key: PropKeyId) -> Result<Option<Option<VectorRef<'_>>>> {
        if let Some(vector) = self.aligned_vector(node, key)? {
            return Ok(Some(Some(vector)));
        }
        let Some(vectors) = &self.tables.vectors else { return Ok(None) };
        for entry in Entries(Reader::new(vectors.get(node.0)?.unwrap_or_default())) {
            let (found, vector) = entry?;
            if found >= key {
                return Ok((found == key).then_some(vector));
            }
        }
        Ok(None)
    }

    /// What it says of a node's vectors.
    pub fn vectors_of(&self, node: NodeId) -> Result<VectorEntries<'_>> {
        let row = self.tables.vectors.as_ref().map(|vectors| vectors.get(node.0)).transpose()?.flatten();
        Ok(VectorEntries::new(row.unwrap_or_default(), self.tables.aligned.as_ref(), node))
    }

    /// What it says of the vectors of nodes from `id` on, ascending by node.
    pub fn vectors_from(&self, id: NodeId) -> VectorScan<'_> {
        VectorScan {
            rows: self.tables.vectors.as_ref().map(|vectors| vectors.scan(id.0).peekable()),
            aligned: self.tables.aligned.as_ref(),
            next: id.0,
            failed: false,
        }
    }
}

/// What is said of the vectors of nodes, ascending by node. Nothing follows an error.
#[derive(Debug)]
pub struct VectorScan<'a> {
    rows: Option<Peekable<BlobScan<'a>>>,
    aligned: Option<&'a Dense>,
    /// The least node that may come.
    next: u64,
    failed: bool,
}

impl<'a> VectorScan<'a> {
    fn step(&mut self) -> Result<Option<(NodeId, VectorEntries<'a>)>> {
        let mut least = None;
        for column in self.aligned.iter().flat_map(|aligned| aligned.columns()) {
            let found = column?.next_from(self.next)?.map(|(id, _)| id);
            least = least.into_iter().chain(found).min();
        }
        let mut row: &[u8] = &[];
        if let Some(rows) = &mut self.rows {
            let due = |item: &Result<(u64, u64, &[u8])>| {
                item.as_ref().map_or(true, |(id, _, _)| least.is_none_or(|least| *id <= least))
            };
            if let Some(item) = rows.next_if(due) {
                let (id, _, bytes) = item?;
                (least, row) = (Some(id), bytes);
            }
        }
        let Some(id) = least else { return Ok(None) };
        self.next = id + 1;
        Ok(Some((NodeId(id), VectorEntries::new(row, self.aligned, NodeId(id)))))
    }
}

impl<'a> Iterator for VectorScan<'a> {
    type Item = Result<(NodeId, VectorEntries<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let item = self.step().transpose();
        self.failed = matches!(item, Some(Err(_)));
        item
    }
}

/// What is said of one node's vectors: for each property key the vector, or `None` where this run removes it. Keys ascend.
#[derive(Debug, Clone)]
pub struct VectorEntries<'a> {
    entries: Entries<'a>,
    /// An entry that waits for what lies in columns under lesser keys.
    waiting: Option<Entry<'a>>,
    /// The node, and the columns that were not looked into yet.
    columns: Option<(&'a Dense, u64)>,
    /// Where the next column stands in the directory.
    at: usize,
}

type Entry<'a> = (PropKeyId, Option<VectorRef<'a>>);

impl<'a> VectorEntries<'a> {
    fn new(row: &'a [u8], aligned: Option<&'a Dense>, node: NodeId) -> Self {
        let columns = aligned.map(|aligned| (aligned, node.0));
        Self { entries: Entries(Reader::new(row)), waiting: None, columns, at: 0 }
    }

    fn step(&mut self) -> Result<Option<Entry<'a>>> {
        if self.waiting.is_none() {
            self.waiting = self.entries.next().transpose()?;
        }
        while let Some((aligned, node)) = self.columns {
            let Some(column) = aligned.column_at(self.at)? else {
                self.columns = None;
                break;
            };
            let key = column.meta.key;
            match self.waiting {
                Some((before, _)) if before < key => break,
                waiting => {
                    self.at += 1;
                    let Some(vector) = column.get(node)? else { continue };
                    if waiting.is_some_and(|(other, _)| other == key) {
                        return Err(
                            column.contradiction(&format!("node {node} has a value in it, and an entry besides"))
                        );
                    }
                    return Ok(Some((key, Some(VectorRef::from_bytes(vector)))));
                }
            }
        }
        Ok(self.waiting.take())
    }
}

impl<'a> Iterator for VectorEntries<'a> {
    type Item = Result<Entry<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.step();
        if item.is_err() {
            *self = Self::new(&[], None, NodeId(0));
        }
        item.transpose()
    }
}

/// The entries of a row of table 6.
#[derive(Debug, Clone)]
struct Entries<'a>(Reader<'a>);

impl<'a> Entries<'a> {
    fn read(&mut self) -> Result<Entry<'a>> {
        let key = PropKeyId(self.0.varint32()?);
        let vector = match self.0.varint()?.checked_sub(1) {
            None => None,
            Some(len) => {
                let len = usize::try_from(len).map_err(|_| Error::corrupt("a vector's length does not fit"))?;
                Some(VectorRef::from_bytes(self.0.take(len)?))
            }
        };
        Ok((key, vector))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let item = self.read();
        if item.is_err() {
            self.0 = Reader::new(&[]);
        }
        Some(item)
    }
}

/// The bytes before an entry's floats.
fn head(key: PropKeyId, vector: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::with_capacity(15);
    put_varint(&mut out, key.0.into());
    put_varint(&mut out, vector.map_or(0, |floats| floats.len() as u64 + 1));
    out
}

impl RunWriter<'_> {
    /// A vector's floats in little-endian bytes, or its removal.
    pub fn vector(&mut self, node: NodeId, key: PropKeyId, vector: Option<&[u8]>) -> Result<()> {
        let (stage, sink, _) = self.at::<Writer>()?;
        let Some(entries) = &mut stage.entries else { return Err(out_of_order(Writer::ROW)) };
        match stage.last {
            Some((last_node, last_key)) if last_node == node && last_key >= key => {
                return Err(impossible(format_args!("vector {key} of node {node} follows vector {last_key}")));
            }
            Some((last_node, _)) if last_node == node => {}
            _ => entries.begin(sink, node.0)?,
        }
        stage.last = Some((node, key));
        entries.push(sink, &head(key, vector))?;
        entries.push(sink, vector.unwrap_or_default())
    }
}

/// Vector entries being written.
pub struct Writer {
    entries: Option<BlobWriter>,
    last: Option<(NodeId, PropKeyId)>,
}

impl Stage for Writer {
    const ROW: &'static str = "vector";

    fn begin(sink: &Sink<'_>, bounds: &RunBounds, _: &Run) -> Result<Self> {
        Ok(Self { entries: BlobWriter::new(sink, TableKind::Vectors, bounds.vectors)?, last: None })
    }

    fn finish(self, sink: &mut Sink<'_>, run: &mut Run) -> Result<()> {
        run.tables.vectors = BlobWriter::finish_any(self.entries, sink)?;
        Ok(())
    }

    fn measure(changes: &Changes<'_>, bounds: &mut RunBounds) {
        bounds.vectors = Plan::of(changes).rest;
        let last = changes.vectors.last().map_or(0, |(node, _, _)| node.0);
        bounds.max_node_id = bounds.max_node_id.max(last);
    }

    fn write(changes: &Changes<'_>, writer: &mut RunWriter<'_>) -> Result<()> {
        let plan = Plan::of(changes);
        for (node, key, vector) in &changes.vectors {
            if vector.is_none() || !plan.has(*key) {
                writer.vector(*node, *key, *vector)?;
            }
        }
        Ok(())
    }

    fn plan(merge: &mut Merge<'_>, writer: &mut RunWriter<'_>) -> Result<()> {
        let mut tally = Tally::default();
        for_each_merged(merge, |node, newest| {
            if newest.values().any(Option::is_some) {
                merge.nodes.require(node, "there is a vector of", writer)?;
            }
            newest.iter().for_each(|(key, vector)| tally.add(node, *key, vector.map(VectorRef::as_bytes)));
            Ok(())
        })?;
        merge.vectors = tally.plan();
        writer.bounds.vectors = merge.vectors.rest;
        Ok(())
    }

    fn merge(merge: &mut Merge<'_>, writer: &mut RunWriter<'_>) -> Result<()> {
        if merge.vectors.rest.rows == 0 {
            return Ok(());
        }
        for_each_merged(merge, |node, newest| {
            for (key, vector) in newest {
                if vector.is_none() || !merge.vectors.has(*key) {
                    writer.vector(node, *key, vector.map(VectorRef::as_bytes))?;
                }
            }
            Ok(())
        })
    }
}

/// Calls `each` with each node that a merge says something of, and the newest that is said under each property key.
fn for_each_merged<'a>(
    merge: &Merge<'a>,
    mut each: impl FnMut(NodeId, &BTreeMap<PropKeyId, Option<VectorRef<'a>>>) -> Result<()>,
) -> Result<()> {
    let mut newest = BTreeMap::new();
    for_each_key(merge.runs.iter().map(|run| run.vectors_from(NodeId(0))), |node, found| {
        newest.clear();
        for (_, entries) in found {
            for entry in entries.clone() {
                let (key, vector) = entry?;
                newest.insert(key, vector);
            }
        }
        if merge.oldest {
            newest.retain(|_, vector| vector.is_some());
        }
        each(node, &newest)
    })
}
