//! The rows of a state, batch by batch.

use super::{
    broken,
    columns::{Column, weight},
    kinds::{Kind, item},
};
use crate::{rows::What, source::Owned};
use arrow_array::{
    ArrayRef, RecordBatch, RecordBatchReader,
    builder::{ListBuilder, StringBuilder, UInt64Builder},
};
use arrow_schema::{ArrowError, DataType, Field, SchemaRef};
use kitedb::{
    EdgeCursor, EdgeRef, Error, ErrorCode, GraphRead, NodeCursor, NodeRef, PropKeyId, Result, ValueRef, View,
};
use rustc_hash::FxHashMap;
use std::{
    collections::{VecDeque, hash_map::Entry},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// The most rows of a batch.
pub const ROWS: usize = 16_384;
/// About the most bytes of a batch.
pub const BYTES: usize = 64 << 20;
/// The most rows that are fetched at once.
const FETCHED: usize = 2048;

/// The bytes of a row that has nothing in so many columns, about.
pub fn width(columns: usize) -> usize {
    8 * columns
}

/// A row.
pub enum Row<'r, 'g> {
    Node(&'r NodeRef<'g>),
    Edge(&'r EdgeRef<'g>),
}

impl Row<'_, '_> {
    /// Shows `f` every row in its order.
    pub fn each(view: &View, what: &What, mut f: impl FnMut(Row<'_, '_>) -> Result<()>) -> Result<()> {
        match what {
            What::Nodes(None) => view.nodes().try_for_each(|node| f(Row::Node(&node?))),
            What::Nodes(Some(label)) => {
                view.nodes_with_label(label.as_str())?.try_for_each(|node| f(Row::Node(&node?)))
            }
            What::Edges => view.edges().try_for_each(|edge| f(Row::Edge(&edge?))),
            What::At { id, direction, types, other, .. } => {
                let mut edges = view.sorted_edges(*id, *direction, types.filter())?;
                if *other {
                    edges.try_for_each(|edge| f(Row::Node(&edge.other_node())))
                } else {
                    edges.try_for_each(|edge| f(Row::Edge(&edge)))
                }
            }
        }
    }
}

/// Rows of one state in their order.
enum Rows {
    Nodes(NodeCursor),
    Edges(EdgeCursor),
    /// The nodes at the other ends of edges.
    Others(EdgeCursor),
}

/// Some of them.
enum Batch<'c> {
    Nodes(Vec<NodeRef<'c>>),
    Edges(Vec<EdgeRef<'c>>),
}

impl Rows {
    fn new(view: &View, what: &What) -> Self {
        match what {
            What::Nodes(None) => Self::Nodes(view.node_cursor()),
            What::Nodes(Some(label)) => Self::Nodes(view.label_cursor(label.as_str())),
            What::Edges => Self::Edges(view.edge_cursor()),
            What::At { id, direction, types, other, .. } => {
                let edges = view.neighbor_cursor(*id, *direction, types.filter());
                if *other { Self::Others(edges) } else { Self::Edges(edges) }
            }
        }
    }

    fn next_batch(&mut self) -> Result<Batch<'_>> {
        Ok(match self {
            Self::Nodes(nodes) => Batch::Nodes(nodes.next_batch(FETCHED)?),
            Self::Edges(edges) => Batch::Edges(edges.next_batch(FETCHED)?),
            Self::Others(edges) => Batch::Nodes(edges.next_batch(FETCHED)?.iter().map(EdgeRef::other_node).collect()),
        })
    }
}

/// What the columns of a scan are.
#[derive(Clone)]
pub struct Layout {
    pub schema: SchemaRef,
    /// The properties that are columns, in their order; `None`: a name that is not in use.
    pub props: Vec<(Option<PropKeyId>, Kind)>,
}

/// Where the columns of properties are, by their ids.
#[derive(Default)]
pub struct Places(Vec<Option<u32>>, FxHashMap<PropKeyId, usize>);

impl Places {
    /// Ids below this, as nearly all are, are looked up by themselves.
    const NEAR: usize = 4096;

    pub fn put(&mut self, id: PropKeyId, place: usize) {
        let near = id.0 as usize;
        if near >= Self::NEAR {
            self.1.insert(id, place);
            return;
        }
        if self.0.len() <= near {
            self.0.resize(near + 1, None);
        }
        if let Some(of_id) = self.0.get_mut(near) {
            *of_id = Some(place as u32);
        }
    }

    #[inline]
    pub fn get(&self, id: PropKeyId) -> Option<usize> {
        match self.0.get(id.0 as usize) {
            Some(place) => place.map(|place| place as usize),
            None => self.1.get(&id).copied(),
        }
    }
}

/// The columns that each row has.
pub enum Own {
    Node { id: UInt64Builder, key: StringBuilder, labels: ListBuilder<StringBuilder>, names: Names },
    Edge { src: UInt64Builder, ty: StringBuilder, dst: UInt64Builder, rank: UInt64Builder, names: Names },
}

/// The names of labels, or of types, that were met.
type Names = FxHashMap<u32, Arc<str>>;

fn named(names: &mut Names, id: u32, name: impl FnOnce() -> Option<String>) -> Result<&Arc<str>> {
    Ok(match names.entry(id) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(place) => place.insert(name().ok_or_else(nameless)?.into()),
    })
}

#[cold]
fn nameless() -> Error {
    Error::new(ErrorCode::Corrupt, "the graph uses a label or an edge type that has no name")
}

impl Own {
    /// Empty ones, for about so many rows.
    pub fn new(what: &What, rows: usize) -> Self {
        let number = || UInt64Builder::with_capacity(rows);
        let text = || StringBuilder::with_capacity(rows, 8 * rows);
        let names = Names::default();
        if what.is_of_nodes() {
            Self::Node { id: number(), key: text(), labels: ListBuilder::with_capacity(text(), rows), names }
        } else {
            Self::Edge { src: number(), ty: text(), dst: number(), rank: number(), names }
        }
    }

    pub fn fields(what: &What) -> Vec<Field> {
        let number = |name: &str| Field::new(name, DataType::UInt64, false);
        if what.is_of_nodes() {
            vec![
                number("id"),
                Field::new("key", DataType::Utf8, true),
                Field::new("labels", DataType::List(item(DataType::Utf8)), false),
            ]
        } else {
            vec![number("src"), Field::new("type", DataType::Utf8, false), number("dst"), number("rank")]
        }
    }

    /// Adds a row. Returns how many bytes of text it has.
    pub fn push(&mut self, row: &Row<'_, '_>) -> Result<usize> {
        match (self, row) {
            (Self::Node { id, key, labels, names }, Row::Node(node)) => {
                let text = node.key()?;
                id.append_value(node.id().0);
                key.append_option(text);
                for label in node.labels()? {
                    let name = named(names, label.0, || node.graph().label_name(label))?;
                    labels.values().append_value(name);
                }
                labels.append(true);
                Ok(text.map_or(0, str::len))
            }
            (Self::Edge { src, ty, dst, rank, names }, Row::Edge(edge)) => {
                let id = edge.ty();
                let name = named(names, id.0, || edge.graph().etype_name(id))?;
                src.append_value(edge.src().0);
                ty.append_value(name);
                dst.append_value(edge.dst().0);
                rank.append_value(edge.rank());
                Ok(name.len())
            }
            // A scan is of nodes or of edges.
            _ => Ok(0),
        }
    }

    /// What is in them, after which they are empty.
    pub fn finish(&mut self) -> Vec<ArrayRef> {
        match self {
            Self::Node { id, key, labels, .. } => {
                vec![Arc::new(id.finish()), Arc::new(key.finish()), Arc::new(labels.finish())]
            }
            Self::Edge { src, ty, dst, rank, .. } => {
                vec![Arc::new(src.finish()), Arc::new(ty.finish()), Arc::new(dst.finish()), Arc::new(rank.finish())]
            }
        }
    }
}

/// The rows of a state, in batches that are made one at a time.
pub struct Scan {
    /// None: all batches are made.
    rows: Option<Rows>,
    making: Making,
    made: VecDeque<RecordBatch>,
    /// What is read is open for as long.
    _db: Owned,
}

impl Scan {
    /// `kept` are its batches, if they were made already.
    pub fn new(view: &View, db: Owned, what: &What, layout: Layout, kept: Option<VecDeque<RecordBatch>>) -> Self {
        let rows = if kept.is_some() { None } else { Some(Rows::new(view, what)) };
        let most = if rows.is_some() { ROWS } else { 0 };
        Self { rows, making: Making::new(what, layout, most), made: kept.unwrap_or_default(), _db: db }
    }

    /// Makes the batches of the next rows; none at the end.
    fn fill(&mut self) -> Result<()> {
        let Some(rows) = &mut self.rows else { return Ok(()) };
        while self.made.is_empty() {
            let before = self.making.rows;
            match rows.next_batch()? {
                Batch::Nodes(nodes) => {
                    for node in &nodes {
                        self.making.push(&Row::Node(node), node.props()?)?;
                        self.making.cut_at(ROWS, BYTES, &mut self.made)?;
                    }
                    if nodes.is_empty() {
                        break;
                    }
                }
                Batch::Edges(edges) => {
                    for edge in &edges {
                        self.making.push(&Row::Edge(edge), edge.props()?)?;
                        self.making.cut_at(ROWS, BYTES, &mut self.made)?;
                    }
                    if edges.is_empty() {
                        break;
                    }
                }
            }
            debug_assert!(self.making.rows > before || !self.made.is_empty(), "a batch that is not empty has rows");
        }
        if self.made.is_empty() {
            self.rows = None;
            self.making.cut_at(1, 0, &mut self.made)?;
        }
        Ok(())
    }
}

impl Iterator for Scan {
    type Item = std::result::Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.made.is_empty() && self.rows.is_some() {
            // Who asks is not written in Rust: a panic would end the process.
            let filled = catch_unwind(AssertUnwindSafe(|| self.fill()))
                .unwrap_or_else(|_| Err(Error::new(ErrorCode::Internal, "a scan panicked, which is a defect")));
            if let Err(e) = filled {
                self.rows = None;
                return Some(Err(ArrowError::ExternalError(e.into())));
            }
        }
        self.made.pop_front().map(Ok)
    }
}

impl RecordBatchReader for Scan {
    fn schema(&self) -> SchemaRef {
        self.making.layout.schema.clone()
    }
}

/// A batch that is being made.
struct Making {
    layout: Layout,
    places: Places,
    own: Own,
    props: Vec<Column>,
    rows: usize,
    bytes: usize,
}

impl Making {
    fn new(what: &What, layout: Layout, most: usize) -> Self {
        let mut places = Places::default();
        for (place, (id, _)) in layout.props.iter().enumerate() {
            if let Some(id) = id {
                places.put(*id, place);
            }
        }
        let most = most.min(BYTES / width(layout.props.len()).max(1));
        let props = layout.props.iter().map(|(_, kind)| Column::new(kind, most)).collect();
        Self { layout, places, own: Own::new(what, most), props, rows: 0, bytes: 0 }
    }

    fn push<'v>(
        &mut self,
        row: &Row<'_, '_>,
        props: impl Iterator<Item = Result<(PropKeyId, ValueRef<'v>)>>,
    ) -> Result<()> {
        self.bytes += self.own.push(row)?;
        self.rows += 1;
        let mut taken = 0;
        for prop in props {
            let (id, value) = prop?;
            if let Some(column) = self.places.get(id).and_then(|place| self.props.get_mut(place)) {
                self.bytes += weight(value);
                column.push(value)?;
                taken += 1;
            }
        }
        if taken < self.props.len() {
            let rows = self.rows;
            self.props.iter_mut().filter(|column| column.len() < rows).for_each(Column::push_null);
        }
        Ok(())
    }

    /// Ends the batch if it has so many rows, or bytes.
    fn cut_at(&mut self, rows: usize, bytes: usize, to: &mut VecDeque<RecordBatch>) -> Result<()> {
        if self.rows == 0 || (self.rows < rows && self.bytes + width(self.props.len()) * self.rows < bytes) {
            return Ok(());
        }
        let mut columns = self.own.finish();
        for column in &mut self.props {
            columns.push(column.finish().map_err(|e| broken(&e))?);
        }
        to.push_back(RecordBatch::try_new(self.layout.schema.clone(), columns).map_err(|e| broken(&e))?);
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}
