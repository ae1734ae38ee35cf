//! Reads of one state: of a database (its newest), a snapshot, a transaction or a bulk load.

use crate::{
    calls::{self, Id},
    elements::{Edge, EdgeKey, NamedEdge, Node, Types, Way},
    errors::Outcome,
    report::{self, Report},
    rows::{Rows, What},
    source::Source,
    values::{self, Select, Spelled},
};
use kitedb::{Direction, EdgeRef, Graph, GraphRead, NodeId, NodeRef};
use pyo3::{
    prelude::*,
    types::{PyDict, PyList},
};

/// What reads a graph: a database its newest state, a snapshot, a transaction or a bulk load its own. What is not there is None.
#[pyclass(frozen, subclass, module = "kitedb")]
pub struct GraphReader {
    pub source: Source,
}

impl GraphReader {
    fn rows(&self, what: What, select: Select) -> Outcome<Rows> {
        Ok(Rows::new(self.source.held()?, what, select))
    }
}

/// How many neighbours are made room for at once.
const MANY_ENOUGH: usize = 32;

fn edge_object<'py>(py: Python<'py>, edge: Option<EdgeRef<'_>>, select: &Select) -> Outcome<Option<Bound<'py, Edge>>> {
    edge.map(|edge| Edge::of(py, &edge, select, &mut Spelled::one())).transpose()
}

/// The edge that a read is about: that of the lowest rank between two nodes.
fn lowest<'g>(graph: &'g dyn Graph, src: Id, ty: &str, dst: Id) -> Outcome<Option<EdgeRef<'g>>> {
    match graph.edge_between(src.0, ty, dst.0)? {
        Some(key) => Ok(graph.edge(key)?),
        None => Ok(None),
    }
}

fn exactly<'g>(graph: &'g dyn Graph, edge: &NamedEdge) -> Outcome<Option<EdgeRef<'g>>> {
    match edge.found_in(graph) {
        Some(key) => Ok(graph.edge(key)?),
        None => Ok(None),
    }
}

fn edge_prop<'py>(
    py: Python<'py>,
    edge: Option<EdgeRef<'_>>,
    name: &str,
    default: Option<Bound<'py, PyAny>>,
) -> Outcome<Option<Bound<'py, PyAny>>> {
    match edge.as_ref().map(|edge| edge.prop(name)).transpose()?.flatten() {
        Some(value) => Ok(Some(values::to_py(py, value)?)),
        None => Ok(default),
    }
}

fn key_list<'py>(py: Python<'py>, graph: &dyn Graph, keys: &[kitedb::EdgeKey]) -> Outcome<Bound<'py, PyList>> {
    let mut spelled = Spelled::default();
    let list = PyList::empty(py);
    for (place, key) in keys.iter().enumerate() {
        if place % calls::ROWS == calls::ROWS - 1 {
            calls::pause(py)?;
        }
        list.append(EdgeKey::of(py, graph, *key, &mut spelled)?)?;
    }
    Ok(list)
}

/// The edge after which a page begins.
fn following(graph: &dyn Graph, after: Option<&Bound<'_, PyAny>>) -> Outcome<Option<kitedb::EdgeKey>> {
    let Some(after) = after else { return Ok(None) };
    let named = NamedEdge::read(after)?;
    match named.found_in(graph) {
        Some(key) => Ok(Some(key)),
        None => {
            let what = "what the next edges come after is of a type that no edge here has";
            Err(kitedb::Error::new(kitedb::ErrorCode::UnknownName, what).into())
        }
    }
}

/// Reads a page of so many: of many, other threads run meanwhile.
fn of_page<T: Send>(py: Python<'_>, limit: usize, read: impl FnOnce() -> kitedb::Result<T> + Send) -> Outcome<T> {
    Ok(if limit <= calls::ROWS { read()? } else { py.detach(read)? })
}

fn edge_page<'py>(
    py: Python<'py>,
    graph: &dyn Graph,
    page: &kitedb::Page<kitedb::EdgeKey>,
) -> Outcome<Bound<'py, PyAny>> {
    let items = key_list(py, graph, &page.items)?;
    let next = page.next.map(|next| EdgeKey::of(py, graph, next, &mut Spelled::one())).transpose()?;
    Ok(calls::call(&report::class(py, "Page")?, (items, next), None)?)
}

fn id_page<'py>(py: Python<'py>, page: kitedb::Page<NodeId>) -> Outcome<Bound<'py, PyAny>> {
    let items: Vec<u64> = page.items.into_iter().map(|id| id.0).collect();
    Ok(calls::call(&report::class(py, "Page")?, (items, page.next.map(|id| id.0)), None)?)
}

fn named_ids<'py>(py: Python<'py>, names: impl Iterator<Item = (u32, String)>) -> Outcome<Vec<Bound<'py, PyAny>>> {
    let class = report::class(py, "NamedId")?;
    names.map(|named| Ok(calls::call(&class, named, None)?)).collect()
}

#[pymethods]
impl GraphReader {
    /// The same graph as another reader: for classes that extend this one.
    #[new]
    fn new(source: &Bound<'_, Self>) -> Self {
        Self { source: source.get().source.clone() }
    }

    /// A node by its id; None if there is none. `select` names the properties that are asked for: by default all.
    #[pyo3(signature = (id, *, select=None))]
    fn node<'py>(&self, py: Python<'py>, id: Id, select: Select) -> Outcome<Option<Bound<'py, Node>>> {
        self.source.read(|graph| {
            let node = graph.node(id.0)?;
            node.map(|node| Node::of(py, &node, &select, &mut Spelled::one())).transpose()
        })
    }

    /// The node that has a key.
    #[pyo3(signature = (key, *, select=None))]
    fn node_with_key<'py>(&self, py: Python<'py>, key: &str, select: Select) -> Outcome<Option<Bound<'py, Node>>> {
        self.source.read(|graph| {
            let node = graph.node_with_key(key)?;
            node.map(|node| Node::of(py, &node, &select, &mut Spelled::one())).transpose()
        })
    }

    /// The id of the node that has a key.
    fn node_by_key(&self, key: &str) -> Outcome<Option<u64>> {
        self.source.read(|graph| Ok(graph.node_by_key(key)?.map(|id| id.0)))
    }

    /// Whether there is a node with that id.
    fn node_exists(&self, id: Id) -> Outcome<bool> {
        self.source.read(|graph| Ok(graph.node_exists(id.0)?))
    }

    /// A node's key, if it exists and has one.
    fn node_key(&self, id: Id) -> Outcome<Option<String>> {
        self.source.read(|graph| Ok(graph.node_key(id.0)?))
    }

    /// One property of a node; `default` where it is not there (None is a value, too).
    #[pyo3(signature = (id, name, default=None))]
    fn node_prop<'py>(
        &self,
        py: Python<'py>,
        id: Id,
        name: &str,
        default: Option<Bound<'py, PyAny>>,
    ) -> Outcome<Option<Bound<'py, PyAny>>> {
        self.source.read(|graph| {
            let value = match graph.propkey_id(name) {
                Some(key) => graph.node_prop_ref(id.0, key)?,
                None => None,
            };
            Ok(value.map(|value| values::to_py(py, value)).transpose()?.or(default))
        })
    }

    /// A node's properties; None if it does not exist.
    #[pyo3(signature = (id, *, select=None))]
    fn node_props<'py>(&self, py: Python<'py>, id: Id, select: Select) -> Outcome<Option<Bound<'py, PyDict>>> {
        self.source.read(|graph| {
            let node = graph.node(id.0)?;
            node.map(|node| values::node_props(py, &node, &select, &mut Spelled::one())).transpose()
        })
    }

    /// The names of a node's labels.
    fn node_labels(&self, id: Id) -> Outcome<Vec<String>> {
        self.source.read(|graph| {
            let labels = graph.node(id.0)?.as_ref().map(NodeRef::label_names).transpose()?;
            Ok(labels.unwrap_or_default().iter().map(|label| label.to_string()).collect())
        })
    }

    /// Whether a node has a label.
    fn node_has_label(&self, id: Id, label: &str) -> Outcome<bool> {
        self.source.read(|graph| Ok(graph.node_has_label(id.0, label)?))
    }

    /// A node's vector under a name, exactly as it was stored, as a memoryview of format 'f' (`numpy.asarray` takes it as it
    /// is). It is no property.
    fn node_vector<'py>(&self, py: Python<'py>, id: Id, name: &str) -> Outcome<Option<Bound<'py, PyAny>>> {
        self.source.read(|graph| {
            let node = graph.node(id.0)?;
            let vector = node.as_ref().map(|node| node.vector(name)).transpose()?.flatten();
            Ok(vector.map(|vector| values::vector_to_py(py, vector)).transpose()?)
        })
    }

    /// How many components the vectors under a name have.
    fn vector_dimension(&self, name: &str) -> Outcome<Option<u32>> {
        self.source.read(|graph| Ok(graph.vector_dimension(name)))
    }

    /// Exactly that edge.
    #[pyo3(signature = (edge, *, select=None))]
    fn edge<'py>(
        &self,
        py: Python<'py>,
        edge: &Bound<'py, PyAny>,
        select: Select,
    ) -> Outcome<Option<Bound<'py, Edge>>> {
        let edge = NamedEdge::read(edge)?;
        self.source.read(|graph| edge_object(py, exactly(graph, &edge)?, &select))
    }

    /// The edge between two nodes; of several parallel ones, that of the lowest rank.
    #[pyo3(signature = (src, r#type, dst, *, select=None))]
    fn edge_between<'py>(
        &self,
        py: Python<'py>,
        src: Id,
        r#type: &str,
        dst: Id,
        select: Select,
    ) -> Outcome<Option<Bound<'py, Edge>>> {
        self.source.read(|graph| edge_object(py, lowest(graph, src, r#type, dst)?, &select))
    }

    /// Every edge of that type between two nodes, by rank.
    fn edges_between<'py>(&self, py: Python<'py>, src: Id, r#type: &str, dst: Id) -> Outcome<Bound<'py, PyList>> {
        self.source.read(|graph| key_list(py, graph, &graph.edges_between(src.0, r#type, dst.0)?))
    }

    /// Whether an edge of that type leads from one node to the other.
    fn edge_exists(&self, src: Id, r#type: &str, dst: Id) -> Outcome<bool> {
        self.source.read(|graph| Ok(graph.edge_exists(src.0, r#type, dst.0)?))
    }

    /// Whether exactly that edge exists.
    fn edge_exists_by_key(&self, edge: &Bound<'_, PyAny>) -> Outcome<bool> {
        let edge = NamedEdge::read(edge)?;
        self.source.read(|graph| match edge.found_in(graph) {
            Some(key) => Ok(graph.edge_exists_by_key(key)?),
            None => Ok(false),
        })
    }

    /// One property of the edge between two nodes; of several parallel ones, of that of the lowest rank.
    #[pyo3(signature = (src, r#type, dst, name, default=None))]
    fn edge_prop<'py>(
        &self,
        py: Python<'py>,
        src: Id,
        r#type: &str,
        dst: Id,
        name: &str,
        default: Option<Bound<'py, PyAny>>,
    ) -> Outcome<Option<Bound<'py, PyAny>>> {
        self.source.read(|graph| edge_prop(py, lowest(graph, src, r#type, dst)?, name, default))
    }

    /// One property of exactly that edge.
    #[pyo3(signature = (edge, name, default=None))]
    fn edge_prop_by_key<'py>(
        &self,
        py: Python<'py>,
        edge: &Bound<'py, PyAny>,
        name: &str,
        default: Option<Bound<'py, PyAny>>,
    ) -> Outcome<Option<Bound<'py, PyAny>>> {
        let edge = NamedEdge::read(edge)?;
        self.source.read(|graph| edge_prop(py, exactly(graph, &edge)?, name, default))
    }

    /// The properties of the edge between two nodes; None if there is none.
    #[pyo3(signature = (src, r#type, dst, *, select=None))]
    fn edge_props<'py>(
        &self,
        py: Python<'py>,
        src: Id,
        r#type: &str,
        dst: Id,
        select: Select,
    ) -> Outcome<Option<Bound<'py, PyDict>>> {
        self.source.read(|graph| {
            let edge = lowest(graph, src, r#type, dst)?;
            edge.map(|edge| values::edge_props(py, &edge, &select, &mut Spelled::one())).transpose()
        })
    }

    /// The properties of exactly that edge.
    #[pyo3(signature = (edge, *, select=None))]
    fn edge_props_by_key<'py>(
        &self,
        py: Python<'py>,
        edge: &Bound<'py, PyAny>,
        select: Select,
    ) -> Outcome<Option<Bound<'py, PyDict>>> {
        let edge = NamedEdge::read(edge)?;
        self.source.read(|graph| {
            let edge = exactly(graph, &edge)?;
            edge.map(|edge| values::edge_props(py, &edge, &select, &mut Spelled::one())).transpose()
        })
    }

    /// The nodes that a node's edges lead to, in no particular order: each once for every edge that leads there.
    #[pyo3(signature = (id, types, *, select=None))]
    fn out_neighbors(&self, id: Id, types: Types, select: Select) -> Outcome<Rows> {
        self.rows(What::at(id.0, Direction::Out, types).other(), select)
    }

    /// The nodes that edges to a node come from.
    #[pyo3(signature = (id, types, *, select=None))]
    fn in_neighbors(&self, id: Id, types: Types, select: Select) -> Outcome<Rows> {
        self.rows(What::at(id.0, Direction::In, types).other(), select)
    }

    /// The edges that lead from a node, in no particular order.
    #[pyo3(signature = (id, types, *, select=None))]
    fn out_edges(&self, id: Id, types: Types, select: Select) -> Outcome<Rows> {
        self.rows(What::at(id.0, Direction::Out, types), select)
    }

    /// The edges that lead to a node, in no particular order.
    #[pyo3(signature = (id, types, *, select=None))]
    fn in_edges(&self, id: Id, types: Types, select: Select) -> Outcome<Rows> {
        self.rows(What::at(id.0, Direction::In, types), select)
    }

    /// The edges at a node, ascending by type, other end and rank.
    #[pyo3(signature = (id, direction, types, *, select=None))]
    fn sorted_edges(&self, id: Id, direction: Way, types: Types, select: Select) -> Outcome<Rows> {
        self.rows(What::at(id.0, direction.0, types).sorted(), select)
    }

    /// The ids of a node's neighbours, in no particular order: the fastest way to traverse.
    fn neighbor_ids(&self, id: Id, direction: Way, types: Types) -> Outcome<Vec<u64>> {
        self.source.read(|graph| {
            let mut ids = Vec::with_capacity(MANY_ENOUGH);
            graph.for_each_neighbor(id.0, direction.0, types.filter(), |node| ids.push(node.0))?;
            Ok(ids)
        })
    }

    /// How many edges lead from a node.
    fn out_degree(&self, id: Id, types: Types) -> Outcome<u64> {
        self.source.read(|graph| Ok(graph.out_degree(id.0, types.filter())?))
    }

    /// How many edges lead to a node.
    fn in_degree(&self, id: Id, types: Types) -> Outcome<u64> {
        self.source.read(|graph| Ok(graph.in_degree(id.0, types.filter())?))
    }

    /// How many edges a node has in a direction.
    fn degree(&self, id: Id, direction: Way, types: Types) -> Outcome<u64> {
        self.source.read(|graph| Ok(graph.degree(id.0, direction.0, types.filter())?))
    }

    /// Every node, ascending. The rows come up to 1,024 at a time, of the state as of this call.
    #[pyo3(signature = (*, select=None))]
    fn nodes(&self, select: Select) -> Outcome<Rows> {
        self.rows(What::Nodes(None), select)
    }

    /// Every node with a label, ascending: from the label's index.
    #[pyo3(signature = (label, *, select=None))]
    fn nodes_with_label(&self, label: String, select: Select) -> Outcome<Rows> {
        self.rows(What::Nodes(Some(label)), select)
    }

    /// Every edge, ascending by source, type, destination and rank.
    #[pyo3(signature = (*, select=None))]
    fn edges(&self, select: Select) -> Outcome<Rows> {
        self.rows(What::Edges, select)
    }

    /// Up to `limit` nodes after `after` (None: from the first on), ascending. The cursor holds across commits.
    fn nodes_page<'py>(
        &self,
        py: Python<'py>,
        after: Option<Id>,
        #[pyo3(from_py_with = calls::whole)] limit: usize,
    ) -> Outcome<Bound<'py, PyAny>> {
        self.source.read(|graph| id_page(py, of_page(py, limit, || graph.nodes_page(after.map(|id| id.0), limit))?))
    }

    /// Up to `limit` nodes with a label.
    fn label_page<'py>(
        &self,
        py: Python<'py>,
        label: &str,
        after: Option<Id>,
        #[pyo3(from_py_with = calls::whole)] limit: usize,
    ) -> Outcome<Bound<'py, PyAny>> {
        self.source
            .read(|graph| id_page(py, of_page(py, limit, || graph.label_page(label, after.map(|id| id.0), limit))?))
    }

    /// Up to `limit` edges after `after`.
    fn edges_page<'py>(
        &self,
        py: Python<'py>,
        after: Option<Bound<'py, PyAny>>,
        #[pyo3(from_py_with = calls::whole)] limit: usize,
    ) -> Outcome<Bound<'py, PyAny>> {
        self.source.read(|graph| {
            let after = following(graph, after.as_ref())?;
            edge_page(py, graph, &of_page(py, limit, || graph.edges_page(after, limit))?)
        })
    }

    /// Up to `limit` edges at a node, in the order of `sorted_edges`.
    fn neighbors_page<'py>(
        &self,
        py: Python<'py>,
        id: Id,
        direction: Way,
        types: Types,
        after: Option<Bound<'py, PyAny>>,
        #[pyo3(from_py_with = calls::whole)] limit: usize,
    ) -> Outcome<Bound<'py, PyAny>> {
        self.source.read(|graph| {
            let after = following(graph, after.as_ref())?;
            let page = of_page(py, limit, || graph.neighbors_page(id.0, direction.0, types.filter(), after, limit))?;
            edge_page(py, graph, &page)
        })
    }

    /// How many nodes there are. Constant time, as all counts.
    fn count_nodes(&self) -> Outcome<u64> {
        self.source.read(|graph| Ok(graph.count_nodes()))
    }

    /// How many edges there are.
    fn count_edges(&self) -> Outcome<u64> {
        self.source.read(|graph| Ok(graph.count_edges()))
    }

    /// How many vectors there are.
    fn count_vectors(&self) -> Outcome<u64> {
        self.source.read(|graph| Ok(graph.count_vectors()))
    }

    /// How many nodes have a label.
    fn count_nodes_by_label(&self, label: &str) -> Outcome<u64> {
        self.source.read(|graph| Ok(graph.count_nodes_by_label(label)))
    }

    /// How many edges are of a type.
    fn count_edges_by_type(&self, r#type: &str) -> Outcome<u64> {
        self.source.read(|graph| Ok(graph.count_edges_by_type(r#type)))
    }

    /// Every label in use, by id.
    fn labels<'py>(&self, py: Python<'py>) -> Outcome<Vec<Bound<'py, PyAny>>> {
        self.source.read(|graph| named_ids(py, graph.labels().into_iter().map(|(id, name)| (id.0, name))))
    }

    /// Every edge type in use, by id.
    fn etypes<'py>(&self, py: Python<'py>) -> Outcome<Vec<Bound<'py, PyAny>>> {
        self.source.read(|graph| named_ids(py, graph.etypes().into_iter().map(|(id, name)| (id.0, name))))
    }

    /// Every property key in use, by id.
    fn propkeys<'py>(&self, py: Python<'py>) -> Outcome<Vec<Bound<'py, PyAny>>> {
        self.source.read(|graph| named_ids(py, graph.propkeys().into_iter().map(|(id, name)| (id.0, name))))
    }

    /// The id of a label, if that is in use.
    fn label_id(&self, name: &str) -> Outcome<Option<u32>> {
        self.source.read(|graph| Ok(graph.label_id(name).map(|id| id.0)))
    }

    /// The id of an edge type.
    fn etype_id(&self, name: &str) -> Outcome<Option<u32>> {
        self.source.read(|graph| Ok(graph.etype_id(name).map(|id| id.0)))
    }

    /// The id of a property key.
    fn propkey_id(&self, name: &str) -> Outcome<Option<u32>> {
        self.source.read(|graph| Ok(graph.propkey_id(name).map(|id| id.0)))
    }

    /// The indexes that are defined, in the order in which they came.
    fn indexes<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
        self.source.read(|graph| graph.indexes().report(py))
    }
}
