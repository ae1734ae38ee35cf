//! Ordered scans of a run. Nothing follows an error.

use super::{
    keys::entry_record,
    parts::{BlobScan, ListScan},
    row::{Members, Row},
    vectors::VectorEntries,
};
use crate::{
    error::Result,
    graph::{LabelId, NodeId, NodeRecord},
};

/// Node records, ascending.
#[derive(Debug)]
pub struct NodeScan<'a>(pub(super) Option<BlobScan<'a>>);

impl<'a> Iterator for NodeScan<'a> {
    type Item = Result<NodeRecord<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.0.as_mut()?.next()?;
        Some(row.and_then(|(_, _, row)| entry_record(row)))
    }
}

/// Rows of adjacency, ascending by node.
#[derive(Debug)]
pub struct RowScan<'a>(pub(super) Option<ListScan<'a>>);

impl<'a> Iterator for RowScan<'a> {
    type Item = Result<(NodeId, Row<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.as_mut()?.next()?.map(|(id, row)| (NodeId(id), row)))
    }
}

/// Labels with their members, ascending.
#[derive(Debug)]
pub struct LabelScan<'a>(pub(super) Option<ListScan<'a>>);

impl<'a> Iterator for LabelScan<'a> {
    type Item = Result<(LabelId, Members<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.as_mut()?.next()?.map(|(id, row)| (LabelId(id as u32), Members(row))))
    }
}

/// Vector entries, ascending by node.
#[derive(Debug)]
pub struct VectorScan<'a>(pub(super) Option<BlobScan<'a>>);

impl<'a> Iterator for VectorScan<'a> {
    type Item = Result<(NodeId, VectorEntries<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.as_mut()?.next()?.map(|(id, _, row)| (NodeId(id), VectorEntries::new(row))))
    }
}
