//! Table 6: what a run says of the vectors of nodes. A row is entries of property key (varint), byte length + 1 (varint; 0
//! stands for a removed vector), floats. Property keys ascend.

use super::{RunBounds, Stage, TableKind};
use crate::{
    error::{Error, Result},
    graph::{
        NodeId, PropKeyId, VectorRef,
        codec::{Reader, put_varint},
    },
    store::{
        bounds::TableBounds,
        changes::Changes,
        merge::{Merge, for_each_key},
        parts::{BlobScan, BlobWriter},
        row::impossible,
        run::Run,
        run_writer::{RunWriter, out_of_order},
        section_writer::Sink,
    },
};
use std::collections::BTreeMap;

impl Run {
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
        let Some(vectors) = &self.tables.vectors else { return Ok(VectorEntries::new(&[])) };
        Ok(VectorEntries::new(vectors.get(node.0)?.unwrap_or_default()))
    }

    /// Vector entries of nodes from `id` on, ascending by node.
    pub fn vectors_from(&self, id: NodeId) -> VectorScan<'_> {
        VectorScan(self.tables.vectors.as_ref().map(|vectors| vectors.scan(id.0)))
    }
}

/// Vector entries, ascending by node. Nothing follows an error.
#[derive(Debug)]
pub struct VectorScan<'a>(Option<BlobScan<'a>>);

impl<'a> Iterator for VectorScan<'a> {
    type Item = Result<(NodeId, VectorEntries<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.as_mut()?.next()?.map(|(id, _, row)| (NodeId(id), VectorEntries::new(row))))
    }
}

/// The entries of one node: for each property key the vector, or `None` where this run removes it.
#[derive(Debug, Clone)]
pub struct VectorEntries<'a>(Reader<'a>);

impl<'a> VectorEntries<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self(Reader::new(bytes))
    }

    fn read(&mut self) -> Result<(PropKeyId, Option<VectorRef<'a>>)> {
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

impl<'a> Iterator for VectorEntries<'a> {
    type Item = Result<(PropKeyId, Option<VectorRef<'a>>)>;

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
        for (node, _, bytes) in &changes.vectors {
            bounds.vectors.add(node.0, TableBounds::VECTOR_ENTRY + bytes.map_or(0, |b| b.len() as u64));
            bounds.max_node_id = bounds.max_node_id.max(node.0);
        }
    }

    fn write(changes: &Changes<'_>, writer: &mut RunWriter<'_>) -> Result<()> {
        changes.vectors.iter().try_for_each(|(node, key, vector)| writer.vector(*node, *key, *vector))
    }

    fn merge(merge: &mut Merge<'_>, writer: &mut RunWriter<'_>) -> Result<()> {
        let (oldest, nodes) = (merge.oldest, merge.nodes);
        let scans = merge.runs.iter().map(|run| run.vectors_from(NodeId(0)));
        for_each_key(scans, |node, found| {
            let mut newest = BTreeMap::new();
            for (_, entries) in found {
                for entry in entries.clone() {
                    let (key, vector) = entry?;
                    newest.insert(key, vector);
                }
            }
            if newest.values().any(Option::is_some) {
                nodes.require(node, "there is a vector of", writer)?;
            }
            for (key, vector) in newest {
                if vector.is_some() || !oldest {
                    writer.vector(node, key, vector.as_ref().map(|vector| vector.as_bytes()))?;
                }
            }
            Ok(())
        })
    }
}
