//! The rows of a state, batch by batch.

use super::{
    broken,
    columns::{Column, weight},
    kinds::{Kind, Unfit, item},
};
use crate::{rows::What, values::Select};
use arrow_array::{
    ArrayRef, RecordBatch, RecordBatchReader,
    builder::{ListBuilder, StringBuilder, UInt64Builder},
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use kitedb::{
    EdgeCursor, EdgeRef, Error, ErrorCode, GraphRead, NodeCursor, NodeRef, PropKeyId, Result, ValueRef, View, Watch,
};
use rustc_hash::FxHashMap;
use std::{
    collections::{VecDeque, hash_map::Entry},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// The most rows of a batch.
const ROWS: usize = 16_384;
/// About the most bytes of a batch.
const BYTES: usize = 64 << 20;

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
            Self::Nodes(nodes) => Batch::Nodes(nodes.next_batch(ROWS)?),
            Self::Edges(edges) => Batch::Edges(edges.next_batch(ROWS)?),
            Self::Others(edges) => Batch::Nodes(edges.next_batch(ROWS)?.iter().map(EdgeRef::other_node).collect()),
        })
    }

    fn own_columns(&self) -> Vec<Field> {
        let number = |name: &str| Field::new(name, DataType::UInt64, false);
        match self {
            Self::Edges(_) => {
                vec![number("src"), Field::new("type", DataType::Utf8, false), number("dst"), number("rank")]
            }
            Self::Nodes(_) | Self::Others(_) => vec![
                number("id"),
                Field::new("key", DataType::Utf8, true),
                Field::new("labels", DataType::List(item(DataType::Utf8)), false),
            ],
        }
    }
}

/// What the columns of a scan are. It is found by looking through all of it once.
#[derive(Clone)]
pub struct Layout {
    pub schema: SchemaRef,
    /// The properties that are columns, in their order; `None`: a name that is not in use.
    props: Vec<(Option<PropKeyId>, Kind)>,
}

impl Layout {
    /// Looks through a scan.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` where no column can hold the values of a property; those of a read.
    pub fn of(view: &View, what: &What, select: &Select, watch: &Watch) -> Result<Self> {
        let mut props = Vec::new();
        let mut places: FxHashMap<PropKeyId, usize> = FxHashMap::default();
        let mut names: Vec<String> = Vec::new();
        for name in select.iter().flatten() {
            if !names.contains(name) {
                let id = view.propkey_id(name);
                places.extend(id.map(|id| (id, props.len())));
                props.push((id, Kind::Null));
                names.push(name.clone());
            }
        }
        let mut rows = Rows::new(view, what);
        let mut take = |id: PropKeyId, value: ValueRef<'_>| -> Result<()> {
            let place = match places.get(&id) {
                Some(place) => *place,
                None if select.is_some() => return Ok(()),
                None => {
                    names.push(view.propkey_name(id).unwrap_or_default());
                    props.push((Some(id), Kind::Null));
                    places.insert(id, props.len() - 1);
                    props.len() - 1
                }
            };
            let (Some((_, kind)), Some(name)) = (props.get_mut(place), names.get(place)) else { return Ok(()) };
            kind.widen(value).map_err(|unfit| refused(name, &unfit))
        };
        loop {
            watch.require_uncancelled()?;
            let mut any = false;
            match rows.next_batch()? {
                Batch::Nodes(nodes) => {
                    for node in &nodes {
                        any = true;
                        for prop in node.props()? {
                            let (id, value) = prop?;
                            take(id, value)?;
                        }
                    }
                }
                Batch::Edges(edges) => {
                    for edge in &edges {
                        any = true;
                        for prop in edge.props()? {
                            let (id, value) = prop?;
                            take(id, value)?;
                        }
                    }
                }
            }
            if !any {
                break;
            }
        }
        let mut fields = rows.own_columns();
        for (mut name, (_, kind)) in names.into_iter().zip(&props) {
            while fields.iter().any(|field| *field.name() == name) {
                name.insert_str(0, "props.");
            }
            fields.push(Field::new(name, kind.data_type(), true));
        }
        Ok(Self { schema: Arc::new(Schema::new(fields)), props })
    }
}

fn refused(name: &str, unfit: &Unfit) -> Error {
    match unfit {
        Unfit::Kind(kind) => Error::invalid(format_args!(
            "the property '{name}' holds a {kind}, which no Arrow column can: leave it out, with select"
        )),
        Unfit::Mixed(a, b) => Error::invalid(format_args!(
            "the property '{name}' holds {a} and {b} values, which no Arrow column can: leave it out, with select"
        )),
        Unfit::Range(kind) => Error::invalid(format_args!(
            "the property '{name}' holds a {kind} that is further away, or finer, than an Arrow column can tell: leave it out, with select"
        )),
    }
}

/// The columns that each row has.
enum Own {
    Node { id: UInt64Builder, key: StringBuilder, labels: ListBuilder<StringBuilder> },
    Edge { src: UInt64Builder, ty: StringBuilder, dst: UInt64Builder, rank: UInt64Builder },
}

/// The rows of a state, in batches that are made one at a time.
pub struct Scan {
    rows: Rows,
    layout: Layout,
    /// Where the properties are, by their ids.
    places: FxHashMap<PropKeyId, usize>,
    made: VecDeque<RecordBatch>,
    ended: bool,
}

impl Scan {
    pub fn new(view: &View, what: &What, layout: Layout) -> Self {
        let places = layout.props.iter().enumerate().filter_map(|(place, (id, _))| Some(((*id)?, place))).collect();
        Self { rows: Rows::new(view, what), layout, places, made: VecDeque::new(), ended: false }
    }

    /// Makes the batches of the next rows; none at the end.
    fn fill(&mut self) -> Result<()> {
        let mut making = Making::new(&self.layout, &self.places, matches!(self.rows, Rows::Edges(_)));
        match self.rows.next_batch()? {
            Batch::Nodes(nodes) => {
                for node in &nodes {
                    making.node(node)?;
                    making.cut_at(BYTES, &mut self.made)?;
                }
            }
            Batch::Edges(edges) => {
                for edge in &edges {
                    making.edge(edge)?;
                    making.cut_at(BYTES, &mut self.made)?;
                }
            }
        }
        making.cut_at(0, &mut self.made)
    }
}

impl Iterator for Scan {
    type Item = std::result::Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.made.is_empty() && !self.ended {
            // Who asks is not written in Rust: a panic would end the process.
            let filled = catch_unwind(AssertUnwindSafe(|| self.fill()))
                .unwrap_or_else(|_| Err(Error::new(ErrorCode::Internal, "a scan panicked, which is a defect")));
            self.ended = self.made.is_empty();
            if let Err(e) = filled {
                self.ended = true;
                return Some(Err(ArrowError::ExternalError(e.into())));
            }
        }
        self.made.pop_front().map(Ok)
    }
}

impl RecordBatchReader for Scan {
    fn schema(&self) -> SchemaRef {
        self.layout.schema.clone()
    }
}

/// A batch that is being made.
struct Making<'s> {
    layout: &'s Layout,
    places: &'s FxHashMap<PropKeyId, usize>,
    own: Own,
    props: Vec<Column>,
    rows: usize,
    bytes: usize,
    /// The names of labels, or of types, that were met.
    names: FxHashMap<u32, Arc<str>>,
}

/// The name of an id, which is looked up once in a batch.
fn named(names: &mut FxHashMap<u32, Arc<str>>, id: u32, name: impl FnOnce() -> Option<String>) -> Result<&Arc<str>> {
    Ok(match names.entry(id) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(place) => place.insert(name().ok_or_else(nameless)?.into()),
    })
}

#[cold]
fn nameless() -> Error {
    Error::new(ErrorCode::Corrupt, "the graph uses a label or an edge type that has no name")
}

impl<'s> Making<'s> {
    fn new(layout: &'s Layout, places: &'s FxHashMap<PropKeyId, usize>, of_edges: bool) -> Self {
        let number = || UInt64Builder::with_capacity(ROWS);
        let own = if of_edges {
            Own::Edge { src: number(), ty: StringBuilder::new(), dst: number(), rank: number() }
        } else {
            Own::Node { id: number(), key: StringBuilder::new(), labels: ListBuilder::new(StringBuilder::new()) }
        };
        let props = layout.props.iter().map(|(_, kind)| Column::new(kind)).collect();
        Self { layout, places, own, props, rows: 0, bytes: 0, names: FxHashMap::default() }
    }

    fn node(&mut self, node: &NodeRef<'_>) -> Result<()> {
        if let Own::Node { id, key, labels } = &mut self.own {
            let text = node.key()?;
            self.bytes += text.map_or(0, str::len);
            id.append_value(node.id().0);
            key.append_option(text);
            for label in node.labels()? {
                let name = named(&mut self.names, label.0, || node.graph().label_name(label))?;
                labels.values().append_value(name);
            }
            labels.append(true);
        }
        self.props(node.props()?)
    }

    fn edge(&mut self, edge: &EdgeRef<'_>) -> Result<()> {
        if let Own::Edge { src, ty, dst, rank } = &mut self.own {
            let id = edge.ty();
            let name = named(&mut self.names, id.0, || edge.graph().etype_name(id))?;
            self.bytes += name.len();
            src.append_value(edge.src().0);
            ty.append_value(name);
            dst.append_value(edge.dst().0);
            rank.append_value(edge.rank());
        }
        self.props(edge.props()?)
    }

    fn props<'v>(&mut self, props: impl Iterator<Item = Result<(PropKeyId, ValueRef<'v>)>>) -> Result<()> {
        self.rows += 1;
        for prop in props {
            let (id, value) = prop?;
            if let Some(column) = self.places.get(&id).and_then(|place| self.props.get_mut(*place)) {
                self.bytes += weight(value);
                column.push(value)?;
            }
        }
        let rows = self.rows;
        self.props.iter_mut().filter(|column| column.len() < rows).for_each(Column::push_null);
        Ok(())
    }

    /// Ends the batch if it has rows, and at least so many bytes.
    fn cut_at(&mut self, bytes: usize, to: &mut VecDeque<RecordBatch>) -> Result<()> {
        if self.rows == 0 || self.bytes < bytes {
            return Ok(());
        }
        let mut columns: Vec<ArrayRef> = match &mut self.own {
            Own::Node { id, key, labels } => {
                vec![Arc::new(id.finish()), Arc::new(key.finish()), Arc::new(labels.finish())]
            }
            Own::Edge { src, ty, dst, rank } => {
                vec![Arc::new(src.finish()), Arc::new(ty.finish()), Arc::new(dst.finish()), Arc::new(rank.finish())]
            }
        };
        for column in &mut self.props {
            columns.push(column.finish().map_err(|e| broken(&e))?);
        }
        to.push_back(RecordBatch::try_new(self.layout.schema.clone(), columns).map_err(|e| broken(&e))?);
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}
