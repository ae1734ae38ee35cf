//! Rows of a scan: fetched in batches, handed out one by one.

use crate::{
    arrow,
    blocking::long,
    buffers,
    calls::{caught, pause},
    elements::{Edge, Node, Types},
    errors::{Outcome, finished, in_use, wrong_type},
    source::{Owned, Source},
    values::{Select, Spelled},
};
use arrow_array::RecordBatch;
use kitedb::{Direction, EdgeKey, Error, Graph, GraphRead, NodeId, View};
use parking_lot::Mutex;
use pyo3::{
    prelude::*,
    types::{PyCapsule, PyList, PyMemoryView, PyTuple},
};
use std::{collections::VecDeque, sync::Arc};

/// The most rows that are fetched at once.
const BATCH: usize = 1024;
/// The most ids that are read before signals are looked at.
const IDS: usize = 65_536;

/// What the rows are.
pub enum What {
    /// Nodes, all or those with a label.
    Nodes(Option<String>),
    Edges,
    /// Edges at a node, or the nodes at their other ends.
    At {
        id: NodeId,
        direction: Direction,
        types: Types,
        other: bool,
        sorted: bool,
    },
}

impl What {
    pub fn is_of_nodes(&self) -> bool {
        matches!(self, Self::Nodes(_) | Self::At { other: true, .. })
    }

    pub fn at(id: NodeId, direction: Direction, types: Types) -> Self {
        Self::At { id, direction, types, other: false, sorted: false }
    }

    /// The nodes at the other ends.
    pub fn other(mut self) -> Self {
        if let Self::At { other, .. } = &mut self {
            *other = true;
        }
        self
    }

    /// In order.
    pub fn sorted(mut self) -> Self {
        if let Self::At { sorted, .. } = &mut self {
            *sorted = true;
        }
        self
    }
}

/// Where the next batch begins.
#[derive(Clone, Copy)]
enum Place {
    Beginning,
    AfterNode(NodeId),
    AfterEdge(EdgeKey),
    End,
}

struct Scan {
    /// What is read, and held; none once all of it was fetched.
    source: Option<Source>,
    what: What,
    select: Select,
    place: Place,
    fetched: VecDeque<Py<PyAny>>,
    /// The columns that it has in Arrow, once they were asked for.
    layout: Option<arrow::Layout>,
    /// Its batches there, where they are few, until somebody takes them.
    kept: Option<VecDeque<RecordBatch>>,
}

/// Rows of a scan. They come up to 1,024 at a time, and the state that is read is held until the last one was fetched, until `close()`,
/// the end of a `with`, or until nobody has them any more: a `break` out of a loop and an exception end it, too. Until then their database
/// is open, unless that was closed.
#[pyclass(frozen, module = "kitedb")]
pub struct Rows(Mutex<Scan>);

impl Rows {
    pub fn new(source: Source, what: What, select: Select) -> Self {
        let (place, fetched) = (Place::Beginning, VecDeque::new());
        Self(Mutex::new(Scan { source: Some(source), what, select, place, fetched, layout: None, kept: None }))
    }

    fn with<T>(&self, f: impl FnOnce(&mut Scan) -> Outcome<T>) -> Outcome<T> {
        caught(|| f(&mut *self.0.try_lock().ok_or_else(|| in_use("scan"))?))
    }

    /// The state of a scan from which no row was fetched, and the columns that it has in Arrow.
    fn arrow(&self, py: Python<'_>) -> Outcome<(Arc<View>, Owned, arrow::Layout)> {
        self.with(|scan| {
            let (view, db) = match &scan.source {
                Some(_) if scan.begun() => Err(Error::invalid(
                    "rows of this scan were fetched one by one already: begin another one, and give that to Arrow",
                ))?,
                Some(Source::View(view, db)) => (view.view()?, db.clone()),
                Some(_) => Err(Error::invalid(
                    "a scan of a transaction is no Arrow stream: commit, and scan the database or a snapshot",
                ))?,
                None => Err(finished("scan"))?,
            };
            let layout = match &scan.layout {
                Some(layout) => layout.clone(),
                None => {
                    let (what, select) = (&scan.what, &scan.select);
                    let (layout, kept) = long(py, |watch| Ok(arrow::look(&view, what, select, watch)?))?;
                    scan.kept = kept;
                    scan.layout.insert(layout).clone()
                }
            };
            Ok((view, db, layout))
        })
    }
}

#[pymethods]
impl Rows {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> Outcome<Option<Py<PyAny>>> {
        self.with(|scan| scan.next(py))
    }

    /// All rows that are left, as a list.
    fn to_list<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        self.with(|scan| {
            loop {
                for row in scan.fetched.drain(..) {
                    list.append(row)?;
                }
                if !scan.fetch(py)? {
                    return Ok(());
                }
            }
        })?;
        Ok(list)
    }

    /// The ids of all nodes that are left, as a memoryview of format 'Q' (`numpy.asarray` takes it as it is). Of edges, see `ends`.
    fn ids<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyMemoryView>> {
        self.with(|scan| {
            if !scan.what.is_of_nodes() {
                return Err(wrong_type("these rows are edges, which have no id: ends() gives the nodes at theirs"));
            }
            let mut found = Vec::new();
            for row in &scan.fetched {
                found.push(row.bind(py).cast::<Node>()?.get().id);
            }
            scan.rest(py, &mut found)?;
            Ok(buffers::ids(py, found, None)?)
        })
    }

    /// The ids of the nodes at the ends of all edges that are left: a memoryview of format 'Q' with a row of source and destination for
    /// each (`numpy.asarray` takes it as it is).
    fn ends<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyMemoryView>> {
        self.with(|scan| {
            if scan.what.is_of_nodes() {
                return Err(wrong_type("these rows are nodes, which have no ends: ids() gives their ids"));
            }
            let mut found = Vec::new();
            for row in &scan.fetched {
                let edge = row.bind(py).cast::<Edge>()?.get();
                found.extend([edge.src, edge.dst]);
            }
            scan.rest(py, &mut found)?;
            Ok(buffers::ids(py, found, Some(2))?)
        })
    }

    /// Lets go of the state that is read, and of the rows that are left. Nothing happens the second time.
    fn close(&self) -> Outcome {
        self.with(|scan| {
            scan.end();
            scan.fetched.clear();
            scan.kept = None;
            Ok(())
        })
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exc))]
    fn __exit__(&self, _exc: &Bound<'_, PyTuple>) -> Outcome {
        self.close()
    }

    /// The rows as an Arrow stream, which pandas, Polars, DuckDB and pyarrow read: the columns `id`, `key` and `labels`, or `src`,
    /// `type`, `dst` and `rank`, and one for each property (`props.id` where one is called as those). Values of one property are of one
    /// kind, whole numbers among floats apart; instants of several zones are told in UTC. It can be asked for again, and shows the same
    /// state. Raises `INVALID_ARGUMENT` where no column can hold a property, where rows were fetched already, and of a transaction.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> Outcome<Bound<'py, PyCapsule>> {
        // What else it might be made into is for whoever asked to make.
        let _ = requested_schema;
        let (view, db, layout) = self.arrow(py)?;
        let reader = self.with(|scan| Ok(arrow::Scan::new(&view, db, &scan.what, layout, scan.kept.take())))?;
        arrow::stream_capsule(py, reader)
    }

    /// The columns of that stream.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyCapsule>> {
        let (_, _, layout) = self.arrow(py)?;
        arrow::schema_capsule(py, &layout.schema)
    }

    /// Lets `kitedb.Rows[kitedb.Node]` be written where types are.
    #[classmethod]
    fn __class_getitem__(cls: &Bound<'_, pyo3::types::PyType>, _item: &Bound<'_, PyAny>) -> Py<pyo3::types::PyType> {
        cls.clone().unbind()
    }
}

impl Scan {
    fn next(&mut self, py: Python<'_>) -> Outcome<Option<Py<PyAny>>> {
        while self.fetched.is_empty() {
            if !self.fetch(py)? {
                return Ok(None);
            }
        }
        Ok(self.fetched.pop_front())
    }

    fn begun(&self) -> bool {
        !matches!(self.place, Place::Beginning) || !self.fetched.is_empty()
    }

    fn end(&mut self) {
        self.place = Place::End;
        self.source = None;
    }

    /// The ids of what was not fetched, after which the scan has ended: of nodes, or both of each edge.
    fn rest(&mut self, py: Python<'_>, found: &mut Vec<u64>) -> Outcome {
        if let Some(source) = self.source.clone() {
            let (what, mut place) = (&self.what, self.place);
            source.read(|graph| {
                while !matches!(place, Place::End) {
                    place = py.detach(|| next_ids(graph, what, place, found))?;
                    py.check_signals()?;
                }
                Ok(())
            })?;
        }
        self.end();
        self.fetched.clear();
        Ok(())
    }

    /// Fetches the next batch. False: there is none.
    fn fetch(&mut self, py: Python<'_>) -> Outcome<bool> {
        let Some(source) = self.source.clone() else { return Ok(false) };
        if !matches!(self.place, Place::Beginning) {
            // Who asks may be written in C, as list() is, and let nobody in.
            pause(py)?;
        }
        let mut rows = Fetched { py, select: &self.select, spelled: Spelled::default(), to: &mut self.fetched };
        let (what, place) = (&self.what, self.place);
        self.place = source.read(|graph| match what {
            What::Nodes(label) => rows.nodes(graph, label.as_deref(), place),
            What::Edges => rows.edges(graph, place),
            What::At { id, direction, types, other, sorted } => {
                rows.at(graph, (*id, *direction, types), (*other, *sorted), place)
            }
        })?;
        if matches!(self.place, Place::End) {
            self.end();
        }
        Ok(true)
    }
}

/// The ids of the next rows: of nodes, or both of each edge.
fn next_ids(graph: &dyn Graph, what: &What, place: Place, found: &mut Vec<u64>) -> kitedb::Result<Place> {
    let (after_node, after_edge) = match place {
        Place::AfterNode(node) => (Some(node), None),
        Place::AfterEdge(edge) => (None, Some(edge)),
        Place::Beginning | Place::End => (None, None),
    };
    let mut both = |edges: &[EdgeKey]| found.extend(edges.iter().flat_map(|edge| [edge.src.0, edge.dst.0]));
    let nodes = match what {
        What::Nodes(None) => graph.nodes_page(after_node, IDS)?,
        What::Nodes(Some(label)) => graph.label_page(label.as_str(), after_node, IDS)?,
        What::Edges => {
            let page = graph.edges_page(after_edge, IDS)?;
            both(&page.items);
            return Ok(page.next.map_or(Place::End, Place::AfterEdge));
        }
        What::At { id, direction, types, other: true, sorted: false } if after_edge.is_none() => {
            graph.for_each_neighbor(*id, *direction, types.filter(), |node| found.push(node.0))?;
            return Ok(Place::End);
        }
        What::At { id, direction, types, other, .. } => {
            let page = graph.neighbors_page(*id, *direction, types.filter(), after_edge, IDS)?;
            if *other {
                found.extend(page.items.iter().map(|edge| edge.ends(*direction).1.0));
            } else {
                both(&page.items);
            }
            return Ok(page.next.map_or(Place::End, Place::AfterEdge));
        }
    };
    found.extend(nodes.items.iter().map(|id| id.0));
    Ok(nodes.next.map_or(Place::End, Place::AfterNode))
}

/// Where the rows of a batch go.
struct Fetched<'py, 'r> {
    py: Python<'py>,
    select: &'r Select,
    spelled: Spelled<'py>,
    to: &'r mut VecDeque<Py<PyAny>>,
}

impl Fetched<'_, '_> {
    fn node(&mut self, node: &kitedb::NodeRef<'_>) -> Outcome {
        let node = Node::of(self.py, node, self.select, &mut self.spelled)?;
        self.to.push_back(node.into_any().unbind());
        Ok(())
    }

    fn edge(&mut self, edge: &kitedb::EdgeRef<'_>) -> Outcome {
        let edge = Edge::of(self.py, edge, self.select, &mut self.spelled)?;
        self.to.push_back(edge.into_any().unbind());
        Ok(())
    }

    fn nodes(&mut self, graph: &dyn Graph, label: Option<&str>, place: Place) -> Outcome<Place> {
        let Place::AfterNode(after) = place else {
            // A scan from the beginning has each record at hand.
            let mut nodes = match label {
                Some(label) => graph.nodes_with_label(label)?,
                None => graph.nodes(),
            }
            .fuse();
            let mut last = None;
            for node in nodes.by_ref().take(BATCH) {
                let node = node?;
                last = Some(node.id());
                self.node(&node)?;
            }
            let more = nodes.next().transpose()?.is_some();
            return Ok(last.filter(|_| more).map_or(Place::End, Place::AfterNode));
        };
        let page = match label {
            Some(label) => graph.label_page(label, Some(after), BATCH)?,
            None => graph.nodes_page(Some(after), BATCH)?,
        };
        for id in &page.items {
            if let Some(node) = graph.node(*id)? {
                self.node(&node)?;
            }
        }
        Ok(page.next.map_or(Place::End, Place::AfterNode))
    }

    fn edges(&mut self, graph: &dyn Graph, place: Place) -> Outcome<Place> {
        let Place::AfterEdge(after) = place else {
            let mut edges = graph.edges().fuse();
            let mut last = None;
            for edge in edges.by_ref().take(BATCH) {
                let edge = edge?;
                last = Some(edge.key());
                self.edge(&edge)?;
            }
            let more = edges.next().transpose()?.is_some();
            return Ok(last.filter(|_| more).map_or(Place::End, Place::AfterEdge));
        };
        let page = graph.edges_page(Some(after), BATCH)?;
        for key in &page.items {
            if let Some(edge) = graph.edge(*key)? {
                self.edge(&edge)?;
            }
        }
        Ok(page.next.map_or(Place::End, Place::AfterEdge))
    }

    /// All at once where they are no more than a batch, and else in order.
    fn at(
        &mut self,
        graph: &dyn Graph,
        (id, direction, types): (NodeId, Direction, &Types),
        (other, sorted): (bool, bool),
        place: Place,
    ) -> Outcome<Place> {
        let after = match place {
            Place::AfterEdge(edge) => Some(edge),
            _ => None,
        };
        if after.is_none() && !sorted {
            let edges = match direction {
                Direction::Out => graph.out_edges(id, types.filter())?,
                Direction::In => graph.in_edges(id, types.filter())?,
            };
            if edges.clone().nth(BATCH).is_none() {
                for edge in edges {
                    if other { self.node(&edge.other_node())? } else { self.edge(&edge)? }
                }
                return Ok(Place::End);
            }
        }
        let page = graph.neighbors_page(id, direction, types.filter(), after, BATCH)?;
        for key in &page.items {
            if other {
                if let Some(node) = graph.node(key.ends(direction).1)? {
                    self.node(&node)?;
                }
            } else if let Some(edge) = graph.edge(*key)? {
                self.edge(&edge)?;
            }
        }
        Ok(page.next.map_or(Place::End, Place::AfterEdge))
    }
}
