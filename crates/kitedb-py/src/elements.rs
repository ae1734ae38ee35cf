//! Nodes and edges as Python has them: copies, which are not changed by what happens to the graph.

use crate::{
    calls::{self, Entered, Id, enter},
    errors::{Outcome, type_name, wrong_type, wrong_value},
    values::{self, Select, Spelled},
};
use kitedb::{AllTypes, Direction, EdgeRef, EdgeTypeId, Graph, GraphRead, NameRef, NodeId, NodeRef, TypeFilter};
use pyo3::{
    PyTraverseError, PyVisit,
    prelude::*,
    pybacked::PyBackedStr,
    types::{PyDict, PyString, PyTuple},
};
use std::hash::{DefaultHasher, Hash, Hasher};

/// A node.
#[pyclass(frozen, module = "kitedb")]
pub struct Node {
    _entered: Entered,
    /// Its id.
    #[pyo3(get)]
    pub id: u64,
    /// Its unique key, if it has one.
    #[pyo3(get)]
    key: Option<Py<PyString>>,
    /// The names of its labels, by their ids.
    #[pyo3(get)]
    labels: Py<PyTuple>,
    /// Its properties, or those that were asked for.
    #[pyo3(get)]
    props: Py<PyDict>,
}

#[pymethods]
impl Node {
    #[new]
    #[pyo3(signature = (id, key=None, labels=None, props=None))]
    fn new<'py>(
        py: Python<'py>,
        id: u64,
        key: Option<Bound<'py, PyString>>,
        labels: Option<Bound<'py, PyTuple>>,
        props: Option<Bound<'py, PyDict>>,
    ) -> Self {
        let labels = labels.unwrap_or_else(|| PyTuple::empty(py)).unbind();
        let props = props.unwrap_or_else(|| PyDict::new(py)).unbind();
        Self { _entered: Entered, id, key: key.map(Bound::unbind), labels, props }
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let (py, Self { id, key, labels, props, .. }) = (slf.py(), slf.get());
        let (made, props) = pickled(props.bind(py))?;
        Ok((made, (slf.get_type(), *id, key.as_ref(), labels, props).into_pyobject(py)?))
    }

    #[classattr]
    fn __match_args__() -> (&'static str, &'static str, &'static str, &'static str) {
        ("id", "key", "labels", "props")
    }

    fn __eq__(&self, py: Python<'_>, other: &Self) -> PyResult<bool> {
        enter();
        Ok(self.id == other.id
            && texts_equal(py, self.key.as_ref(), other.key.as_ref())?
            && self.labels.bind(py).eq(other.labels.bind(py))?
            && self.props.bind(py).eq(other.props.bind(py))?)
    }

    fn __hash__(&self) -> u64 {
        self.id
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        enter();
        let key = match &self.key {
            Some(key) => key.bind(py).repr()?.to_string(),
            None => "None".to_owned(),
        };
        let (labels, props) = (self.labels.bind(py).repr()?, self.props.bind(py).repr()?);
        Ok(format!("Node(id={}, key={key}, labels={labels}, props={props})", self.id))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.props)
    }
}

/// What makes an element of a pickle, and its properties as they stand there.
fn pickled<'py>(props: &Bound<'py, PyDict>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let pickles = props.py().import("kitedb._pickles")?;
    Ok((pickles.getattr("element")?, calls::call(&pickles.getattr("portable")?, (props,), None)?))
}

fn texts_equal(py: Python<'_>, a: Option<&Py<PyString>>, b: Option<&Py<PyString>>) -> PyResult<bool> {
    match (a, b) {
        (Some(a), Some(b)) => a.bind(py).as_any().eq(b.bind(py)),
        (a, b) => Ok(a.is_none() && b.is_none()),
    }
}

impl Node {
    pub fn of<'py>(
        py: Python<'py>,
        node: &NodeRef<'_>,
        select: &Select,
        spelled: &mut Spelled<'py>,
    ) -> Outcome<Bound<'py, Self>> {
        let key = node.key()?.map(|key| PyString::new(py, key).unbind());
        let labels = spelled.labels(py, node)?;
        let props = values::node_props(py, node, select, spelled)?;
        Ok(Bound::new(
            py,
            Self { _entered: Entered, id: node.id().0, key, labels: labels.unbind(), props: props.unbind() },
        )?)
    }
}

/// What names a directed edge.
#[pyclass(frozen, module = "kitedb")]
pub struct EdgeKey {
    /// The node that it leads from.
    #[pyo3(get)]
    src: u64,
    /// Its type.
    #[pyo3(get, name = "type")]
    ty: Py<PyString>,
    /// The node that it leads to.
    #[pyo3(get)]
    dst: u64,
    /// Which of parallel edges it is: 0 is the one that adding an edge by its ends and its type makes.
    #[pyo3(get)]
    rank: u64,
}

#[pymethods]
impl EdgeKey {
    #[new]
    #[pyo3(signature = (src, r#type, dst, rank=0))]
    fn new(src: u64, r#type: Bound<'_, PyString>, dst: u64, rank: u64) -> Self {
        Self { src, ty: r#type.unbind(), dst, rank }
    }

    #[classattr]
    fn __match_args__() -> (&'static str, &'static str, &'static str, &'static str) {
        ("src", "type", "dst", "rank")
    }

    fn __eq__(&self, py: Python<'_>, other: &Self) -> PyResult<bool> {
        enter();
        let same = (self.src, self.dst, self.rank) == (other.src, other.dst, other.rank);
        Ok(same && self.ty.bind(py).as_any().eq(other.ty.bind(py))?)
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<u64> {
        enter();
        let mut hasher = DefaultHasher::new();
        (self.src, self.ty.bind(py).hash()?, self.dst, self.rank).hash(&mut hasher);
        Ok(hasher.finish())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        enter();
        let Self { src, dst, rank, .. } = self;
        Ok(format!("EdgeKey(src={src}, type={}, dst={dst}, rank={rank})", self.ty.bind(py).repr()?))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> (Bound<'py, PyAny>, (u64, Py<PyString>, u64, u64)) {
        (py.get_type::<Self>().into_any(), (self.src, self.ty.clone_ref(py), self.dst, self.rank))
    }
}

impl EdgeKey {
    pub fn of<'py>(
        py: Python<'py>,
        graph: &dyn Graph,
        edge: kitedb::EdgeKey,
        spelled: &mut Spelled<'py>,
    ) -> PyResult<Bound<'py, Self>> {
        let ty = spelled.edge_type(py, graph, edge.ty).unbind();
        Bound::new(py, Self { src: edge.src.0, ty, dst: edge.dst.0, rank: edge.rank })
    }

    pub fn named<'py>(py: Python<'py>, edge: kitedb::EdgeKey, ty: &str) -> PyResult<Bound<'py, Self>> {
        let ty = PyString::new(py, ty).unbind();
        Bound::new(py, Self { src: edge.src.0, ty, dst: edge.dst.0, rank: edge.rank })
    }
}

/// An edge.
#[pyclass(frozen, module = "kitedb")]
pub struct Edge {
    _entered: Entered,
    /// The node that it leads from.
    #[pyo3(get)]
    pub src: u64,
    /// Its type.
    #[pyo3(get, name = "type")]
    ty: Py<PyString>,
    /// The node that it leads to.
    #[pyo3(get)]
    pub dst: u64,
    /// Which of parallel edges it is.
    #[pyo3(get)]
    rank: u64,
    /// Its properties, or those that were asked for.
    #[pyo3(get)]
    props: Py<PyDict>,
}

#[pymethods]
impl Edge {
    #[new]
    #[pyo3(signature = (src, r#type, dst, rank=0, props=None))]
    fn new<'py>(
        py: Python<'py>,
        src: u64,
        r#type: Bound<'py, PyString>,
        dst: u64,
        rank: u64,
        props: Option<Bound<'py, PyDict>>,
    ) -> Self {
        let props = props.unwrap_or_else(|| PyDict::new(py)).unbind();
        Self { _entered: Entered, src, ty: r#type.unbind(), dst, rank, props }
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let (py, Self { src, ty, dst, rank, props, .. }) = (slf.py(), slf.get());
        let (made, props) = pickled(props.bind(py))?;
        Ok((made, (slf.get_type(), *src, ty, *dst, *rank, props).into_pyobject(py)?))
    }

    #[classattr]
    fn __match_args__() -> (&'static str, &'static str, &'static str, &'static str, &'static str) {
        ("src", "type", "dst", "rank", "props")
    }

    /// What names it.
    #[getter]
    fn key(&self, py: Python<'_>) -> EdgeKey {
        EdgeKey { src: self.src, ty: self.ty.clone_ref(py), dst: self.dst, rank: self.rank }
    }

    fn __eq__(&self, py: Python<'_>, other: &Self) -> PyResult<bool> {
        Ok(self.key(py).__eq__(py, &other.key(py))? && self.props.bind(py).eq(other.props.bind(py))?)
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<u64> {
        self.key(py).__hash__(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        enter();
        let Self { src, dst, rank, .. } = self;
        let (ty, props) = (self.ty.bind(py).repr()?, self.props.bind(py).repr()?);
        Ok(format!("Edge(src={src}, type={ty}, dst={dst}, rank={rank}, props={props})"))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.props)
    }
}

impl Edge {
    pub fn of<'py>(
        py: Python<'py>,
        edge: &EdgeRef<'_>,
        select: &Select,
        spelled: &mut Spelled<'py>,
    ) -> Outcome<Bound<'py, Self>> {
        let key = edge.key();
        let ty = spelled.edge_type(py, edge.graph(), key.ty).unbind();
        let props = values::edge_props(py, edge, select, spelled)?.unbind();
        Ok(Bound::new(py, Self { _entered: Entered, src: key.src.0, ty, dst: key.dst.0, rank: key.rank, props })?)
    }
}

/// An edge as an argument names it.
#[derive(Clone)]
pub struct NamedEdge {
    pub src: NodeId,
    pub ty: String,
    pub dst: NodeId,
    pub rank: u64,
}

impl NamedEdge {
    /// Of an `EdgeKey`, an `Edge`, or a tuple of source, type, destination and perhaps rank.
    pub fn read(value: &Bound<'_, PyAny>) -> Outcome<Self> {
        enter();
        let py = value.py();
        if let Ok(key) = value.cast::<EdgeKey>() {
            let EdgeKey { src, ty, dst, rank } = key.get();
            return Ok(Self::new((*src, ty.bind(py).to_str()?.to_owned(), *dst, *rank)));
        }
        if let Ok(edge) = value.cast::<Edge>() {
            let Edge { src, ty, dst, rank, .. } = edge.get();
            return Ok(Self::new((*src, ty.bind(py).to_str()?.to_owned(), *dst, *rank)));
        }
        let Ok(tuple) = value.cast::<PyTuple>() else {
            return Err(wrong_type(format_args!(
                "an edge is named by a {}: give an EdgeKey, an Edge or a tuple (src, type, dst, rank)",
                type_name(value)
            )));
        };
        match tuple.len() {
            3 => {
                let (src, ty, dst): (Id, String, Id) = tuple.extract()?;
                Ok(Self::new((src.0.0, ty, dst.0.0, 0)))
            }
            4 => {
                let (src, ty, dst, rank): (Id, String, Id, u64) = tuple.extract()?;
                Ok(Self::new((src.0.0, ty, dst.0.0, rank)))
            }
            n => Err(wrong_value(format_args!("an edge is named by a tuple of {n}: give (src, type, dst, rank)"))),
        }
    }

    fn new((src, ty, dst, rank): (u64, String, u64, u64)) -> Self {
        Self { src: NodeId(src), ty, dst: NodeId(dst), rank }
    }

    pub fn with_type(&self, ty: EdgeTypeId) -> kitedb::EdgeKey {
        kitedb::EdgeKey::new(self.src, ty, self.dst).with_rank(self.rank)
    }

    /// Its name in one state; `None` if no edge there has its type.
    pub fn found_in(&self, graph: &dyn Graph) -> Option<kitedb::EdgeKey> {
        graph.etype_id(&self.ty).map(|ty| self.with_type(ty))
    }
}

/// Edges of every type.
#[pyclass(frozen, name = "_AllTypes", module = "kitedb")]
pub struct PyAllTypes;

#[pymethods]
impl PyAllTypes {
    fn __repr__(&self) -> &'static str {
        "kitedb.AllTypes"
    }

    fn __reduce__(&self) -> &'static str {
        "AllTypes"
    }
}

/// Edges of one type, or of every one.
pub struct Types(Option<PyBackedStr>);

impl<'py> FromPyObject<'_, 'py> for Types {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        enter();
        if let Ok(name) = value.extract::<PyBackedStr>() {
            return Ok(Self(Some(name)));
        }
        if value.is_instance_of::<PyAllTypes>() {
            return Ok(Self(None));
        }
        let found = type_name(&value.to_owned());
        Err(wrong_type(format_args!("types is a {found}: give the name of a type, or kitedb.AllTypes")).into())
    }
}

impl Types {
    pub fn filter(&self) -> TypeFilter<'_> {
        match &self.0 {
            Some(name) => TypeFilter::Type(NameRef::Name(name)),
            None => TypeFilter::from(AllTypes),
        }
    }
}

/// Which end of its edges a node is.
#[derive(Clone, Copy)]
pub struct Way(pub Direction);

impl<'py> FromPyObject<'_, 'py> for Way {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        enter();
        match value.extract::<PyBackedStr>().as_deref() {
            Ok("out") => Ok(Self(Direction::Out)),
            Ok("in") => Ok(Self(Direction::In)),
            Ok(word) => Err(wrong_value(format_args!("there is no direction '{word}': give out or in")).into()),
            Err(_) => {
                let found = type_name(&value.to_owned());
                Err(wrong_type(format_args!("a direction is a {found}: give 'out' or 'in'")).into())
            }
        }
    }
}
