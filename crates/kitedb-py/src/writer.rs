//! Writes: of a transaction, of the batch of a bulk load, or to a database, where each is a transaction.

use crate::{
    buffers::push,
    calls::{self, Id, caught, enter, entries, pause},
    elements::{EdgeKey, NamedEdge},
    errors::{Outcome, type_name, wrong_type, wrong_value},
    reader::GraphReader,
    report,
    values::{self, Names, Props, require_sequence},
};
use kitedb::{EdgeTypeId, GraphRead, LabelId, NewNode, NodeId, PropKeyId, Result, Transaction, Value};
use pyo3::{
    prelude::*,
    types::{PyDict, PyMapping, PyString, PyTuple},
};

/// What writes to a graph, and reads it. Names that are not in use yet (labels, types, properties) are defined by using them. What a
/// database is asked to write is a transaction of its own; a write of a transaction that fails changes nothing, and it can go on.
#[pyclass(frozen, extends = GraphReader, subclass, module = "kitedb")]
pub struct GraphWriter;

/// Up to so many elements, giving the GIL up takes about as long as writing them to a transaction.
const FEW: usize = 64;

/// The ids of the names in the arguments of a call: each is looked up once, however many elements have it.
struct Ids<'t> {
    texts: &'t [String],
    labels: Vec<Option<LabelId>>,
    types: Vec<Option<EdgeTypeId>>,
    props: Vec<Option<PropKeyId>>,
}

fn known<I: Copy>(ids: &mut [Option<I>], number: usize, find: impl FnOnce() -> Result<I>) -> Result<I> {
    match ids.get_mut(number) {
        Some(Some(id)) => Ok(*id),
        Some(place) => Ok(*place.insert(find()?)),
        None => find(),
    }
}

impl<'t> Ids<'t> {
    fn new(texts: &'t [String]) -> Self {
        let n = texts.len();
        Self { texts, labels: vec![None; n], types: vec![None; n], props: vec![None; n] }
    }

    fn text(&self, number: usize) -> &'t str {
        self.texts.get(number).map(String::as_str).unwrap_or_default()
    }

    fn edge_type(&mut self, tx: &mut Transaction, number: usize) -> Result<EdgeTypeId> {
        let text = self.text(number);
        known(&mut self.types, number, || tx.etype_id_or_create(text))
    }

    fn labels(&mut self, tx: &mut Transaction, numbers: &[usize]) -> Result<Vec<LabelId>> {
        let label = |number: &usize| {
            let text = self.texts.get(*number).map(String::as_str).unwrap_or_default();
            known(&mut self.labels, *number, || tx.label_id_or_create(text))
        };
        numbers.iter().map(label).collect()
    }

    fn props(&mut self, tx: &mut Transaction, props: Props) -> Result<Vec<(PropKeyId, Value)>> {
        let prop = |(number, value)| {
            let text = self.text(number);
            Ok((known(&mut self.props, number, || tx.propkey_id_or_create(text))?, value))
        };
        props.into_iter().map(prop).collect()
    }

    /// What an upsert says of properties: null removes one.
    fn changes(&mut self, tx: &mut Transaction, props: Props) -> Result<Vec<(PropKeyId, Option<Value>)>> {
        let props = self.props(tx, props)?;
        Ok(props.into_iter().map(|(key, value)| (key, Some(value).filter(|value| *value != Value::Null))).collect())
    }
}

/// A node to be created, as its arguments say it.
struct Described {
    id: Option<NodeId>,
    key: Option<String>,
    labels: Vec<usize>,
    props: Props,
}

impl Described {
    fn read<'py>(
        names: &mut Names<'py>,
        (key, id): (Option<String>, Option<Id>),
        labels: Option<&Bound<'py, PyAny>>,
        props: Option<&Bound<'py, PyAny>>,
    ) -> Outcome<Self> {
        enter();
        let mut numbers = Vec::new();
        if let Some(labels) = labels.filter(|labels| !labels.is_none()) {
            if labels.is_instance_of::<PyString>() || labels.cast::<PyMapping>().is_ok() {
                return Err(wrong_type(format_args!("labels is a {}: give a list of them", type_name(labels))));
            }
            for label in labels.try_iter()? {
                numbers.push(names.number(&label?, "a label")?);
            }
        }
        Ok(Self { id: id.map(|id| id.0), key, labels: numbers, props: values::props(names, props)? })
    }

    /// Of a key, or of a dict with `key`, `id`, `labels` and `props`, each where it is said.
    fn of<'py>(names: &mut Names<'py>, given: &Bound<'py, PyAny>) -> Outcome<Self> {
        if let Ok(key) = given.cast::<PyString>() {
            return Self::read(names, (Some(key.to_str()?.to_owned()), None), None, None);
        }
        let Ok(dict) = given.cast::<PyDict>() else {
            return Err(wrong_type(format_args!(
                "a node to be created is a {}: give its key, or a dict with key, id, labels and props",
                type_name(given)
            )));
        };
        let (mut key, mut id, mut labels, mut props) = (None, None, None, None);
        entries(dict, |name, value| {
            match name.cast::<PyString>()?.to_str()? {
                "key" => key = value.extract()?,
                "id" => id = value.extract()?,
                "labels" => labels = Some(value),
                "props" => props = Some(value),
                other => return Err(unknown("a node", other, "key, id, labels and props")),
            }
            Ok(())
        })?;
        Self::read(names, (key, id), labels.as_ref(), props.as_ref())
    }

    fn ready(self, tx: &mut Transaction, ids: &mut Ids<'_>) -> Result<Ready> {
        let labels = ids.labels(tx, &self.labels)?;
        Ok(Ready { id: self.id, key: self.key, labels, props: ids.props(tx, self.props)? })
    }
}

/// The same with the ids of its names.
struct Ready {
    id: Option<NodeId>,
    key: Option<String>,
    labels: Vec<LabelId>,
    props: Vec<(PropKeyId, Value)>,
}

impl Ready {
    fn new_node(&self) -> NewNode<'_> {
        NewNode::new().maybe_id(self.id).maybe_key(self.key.as_deref()).labels(&self.labels).props(&self.props)
    }
}

fn unknown(what: &str, name: &str, known: &str) -> crate::errors::Fault {
    wrong_type(format_args!("{what} is given '{name}': there are {known}"))
}

/// An edge to be added: its ends, the number of its type, its rank, its properties.
struct NewEdge {
    src: NodeId,
    ty: usize,
    dst: NodeId,
    rank: u64,
    props: Props,
}

impl NewEdge {
    /// Of `(src, type, dst)`, `(src, type, dst, props)`, a dict with those and perhaps `rank`, or an `EdgeKey`.
    fn of<'py>(names: &mut Names<'py>, given: &Bound<'py, PyAny>) -> Outcome<Self> {
        if let Ok(tuple) = given.cast::<PyTuple>() {
            let n = tuple.len();
            if n != 3 && n != 4 {
                let what =
                    format_args!("an edge is a tuple of {n}: give (src, type, dst), or with its props behind them");
                return Err(wrong_value(what));
            }
            let (src, ty, dst) = (tuple.get_item(0)?, tuple.get_item(1)?, tuple.get_item(2)?);
            let props = if n == 4 { Some(tuple.get_item(3)?) } else { None };
            let props = values::props(names, props.as_ref())?;
            let (src, dst) = (src.extract::<Id>()?.0, dst.extract::<Id>()?.0);
            return Ok(Self { src, ty: names.number(&ty, "the type of an edge")?, dst, rank: 0, props });
        }
        if let Ok(dict) = given.cast::<PyDict>() {
            let (mut src, mut ty, mut dst, mut rank, mut props) = (None, None, None, 0, None);
            entries(dict, |name, value| {
                match name.cast::<PyString>()?.to_str()? {
                    "src" => src = Some(value.extract::<Id>()?.0),
                    "type" => ty = Some(value),
                    "dst" => dst = Some(value.extract::<Id>()?.0),
                    "rank" => rank = value.extract()?,
                    "props" => props = Some(value),
                    other => return Err(unknown("an edge", other, "src, type, dst, rank and props")),
                }
                Ok(())
            })?;
            let (Some(src), Some(ty), Some(dst)) = (src, ty, dst) else {
                return Err(wrong_value("an edge lacks its src, type or dst: give all three"));
            };
            let ty = names.number(&ty, "the type of an edge")?;
            let props = values::props(names, props.as_ref())?;
            return Ok(Self { src, ty, dst, rank, props });
        }
        let NamedEdge { src, ty, dst, rank } = NamedEdge::read(given)?;
        let ty = names.number(PyString::new(given.py(), &ty).as_any(), "the type of an edge")?;
        Ok(Self { src, ty, dst, rank, props: Vec::new() })
    }
}

/// What `read` makes of each of many.
fn each<'py, T>(
    given: &Bound<'py, PyAny>,
    what: &str,
    mut read: impl FnMut(&Bound<'py, PyAny>) -> Outcome<T>,
) -> Outcome<Vec<T>> {
    caught(|| {
        // Others are iterable as well, and would make what they do not say.
        require_sequence(given, what, "give a list of them, each a dict or what else names one")?;
        let mut all = Vec::new();
        for one in given.try_iter()? {
            push(&mut all, read(&one?)?)?;
            if all.len().is_multiple_of(calls::ROWS) {
                pause(given.py())?;
            }
        }
        Ok(all)
    })
}

/// Exactly that edge; where no edge has its type, the error says so, and no name is defined.
fn existing(tx: &mut Transaction, edge: &NamedEdge) -> Result<kitedb::EdgeKey> {
    match tx.etype_id(&edge.ty) {
        Some(ty) => Ok(edge.with_type(ty)),
        // The engine says what is wrong with such an edge.
        None => tx.delete_edge(edge.src, edge.ty.as_str(), edge.dst).map(|()| edge.with_type(EdgeTypeId(0))),
    }
}

impl GraphWriter {
    fn write<T: Send>(slf: &Bound<'_, Self>, f: impl FnOnce(&mut Transaction) -> Result<T> + Send) -> Outcome<T> {
        slf.as_super().get().source.write(slf.py(), f)
    }

    /// The same for what writes so many elements: where these are many, other threads run meanwhile.
    pub fn write_many<T: Send>(
        slf: &Bound<'_, Self>,
        elements: usize,
        f: impl FnOnce(&mut Transaction) -> Result<T> + Send,
    ) -> Outcome<T> {
        let source = &slf.as_super().get().source;
        if elements <= FEW { source.write(slf.py(), f) } else { slf.py().detach(|| source.write_detached(f)) }
    }
}

#[pymethods]
impl GraphWriter {
    /// The same graph as another writer: for classes that extend this one.
    #[new]
    fn new(source: &Bound<'_, Self>) -> PyClassInitializer<Self> {
        let source = source.as_super().get().source.clone();
        PyClassInitializer::from(GraphReader { source }).add_subclass(Self)
    }

    /// Creates a node; what is not said is not there, but for the id, which is then the next free one. Returns its id. Raises
    /// `DUPLICATE_KEY`, `NODE_EXISTS`.
    #[pyo3(signature = (key=None, *, id=None, labels=None, props=None))]
    fn create_node(
        slf: &Bound<'_, Self>,
        key: Option<String>,
        id: Option<Id>,
        labels: Option<Bound<'_, PyAny>>,
        props: Option<Bound<'_, PyAny>>,
    ) -> Outcome<u64> {
        let mut names = Names::default();
        let node = Described::read(&mut names, (key, id), labels.as_ref(), props.as_ref())?;
        let texts = names.texts;
        Self::write(slf, move |tx| {
            let node = node.ready(tx, &mut Ids::new(&texts))?;
            tx.create_node_with(node.new_node()).map(|id| id.0)
        })
    }

    /// Creates many nodes: all of them, or none. Each is a key, or a dict with `key`, `id`, `labels` and `props`, each where it
    /// is said.
    fn create_nodes_batch(slf: &Bound<'_, Self>, nodes: &Bound<'_, PyAny>) -> Outcome<Vec<u64>> {
        let mut names = Names::default();
        let described = each(nodes, "nodes", |node| Described::of(&mut names, node))?;
        let texts = names.texts;
        Self::write_many(slf, described.len(), move |tx| {
            let mut ids = Ids::new(&texts);
            let ready: Vec<_> = described.into_iter().map(|node| node.ready(tx, &mut ids)).collect::<Result<_>>()?;
            let new: Vec<_> = ready.iter().map(Ready::new_node).collect();
            Ok(tx.create_nodes_batch(&new)?.into_iter().map(|id| id.0).collect())
        })
    }

    /// Deletes a node and, with it, its edges, properties, labels and vectors.
    fn delete_node(slf: &Bound<'_, Self>, id: Id) -> Outcome {
        // However many edges it has.
        Self::write_many(slf, usize::MAX, move |tx| tx.delete_node(id.0))
    }

    /// Returns whether the node did not have it.
    fn add_node_label(slf: &Bound<'_, Self>, id: Id, label: &str) -> Outcome<bool> {
        Self::write(slf, move |tx| tx.add_node_label(id.0, label))
    }

    /// Returns whether the node had it.
    fn remove_node_label(slf: &Bound<'_, Self>, id: Id, label: &str) -> Outcome<bool> {
        Self::write(slf, move |tx| tx.remove_node_label(id.0, label))
    }

    /// Sets a property of a node. Raises `NODE_NOT_FOUND`.
    fn set_node_prop(slf: &Bound<'_, Self>, id: Id, name: &str, value: &Bound<'_, PyAny>) -> Outcome {
        let value = values::from_py(value)?;
        Self::write(slf, move |tx| tx.set_node_prop(id.0, name, value))
    }

    /// Returns whether it was there.
    fn delete_node_prop(slf: &Bound<'_, Self>, id: Id, name: &str) -> Outcome<bool> {
        Self::write(slf, move |tx| tx.delete_node_prop(id.0, name))
    }

    /// Stores a vector: a buffer of float32, or numbers, which are rounded to that. The first one under a name fixes the length of
    /// all others there. Raises `VECTOR_DIMENSION`.
    fn set_node_vector(slf: &Bound<'_, Self>, id: Id, name: &str, vector: &Bound<'_, PyAny>) -> Outcome {
        let vector = values::vector(vector)?;
        Self::write(slf, move |tx| tx.set_node_vector(id.0, name, &vector))
    }

    /// Returns whether it was there.
    fn delete_node_vector(slf: &Bound<'_, Self>, id: Id, name: &str) -> Outcome<bool> {
        Self::write(slf, move |tx| tx.delete_node_vector(id.0, name))
    }

    /// Adds an edge between nodes that exist. Raises `EDGE_EXISTS` where one of that type leads there, whatever its rank.
    #[pyo3(signature = (src, r#type, dst, props=None))]
    fn add_edge(slf: &Bound<'_, Self>, src: Id, r#type: &str, dst: Id, props: Option<Bound<'_, PyAny>>) -> Outcome {
        let mut names = Names::default();
        let props = values::props(&mut names, props.as_ref())?;
        let texts = names.texts;
        Self::write(slf, move |tx| {
            let props = Ids::new(&texts).props(tx, props)?;
            tx.add_edge_with_props(src.0, r#type, dst.0, &props)
        })
    }

    /// Adds an edge, whether or not there are others, and returns what names it.
    #[pyo3(signature = (src, r#type, dst, props=None))]
    fn add_parallel_edge<'py>(
        slf: &Bound<'py, Self>,
        src: Id,
        r#type: &str,
        dst: Id,
        props: Option<Bound<'py, PyAny>>,
    ) -> Outcome<Bound<'py, EdgeKey>> {
        let mut names = Names::default();
        let props = values::props(&mut names, props.as_ref())?;
        let texts = names.texts;
        let edge = Self::write(slf, move |tx| {
            let props = Ids::new(&texts).props(tx, props)?;
            tx.add_parallel_edge(src.0, r#type, dst.0, &props)
        })?;
        Ok(EdgeKey::named(slf.py(), edge, r#type)?)
    }

    /// Adds exactly that edge, its rank included.
    #[pyo3(signature = (edge, props=None))]
    fn add_edge_by_key(slf: &Bound<'_, Self>, edge: &Bound<'_, PyAny>, props: Option<Bound<'_, PyAny>>) -> Outcome {
        let mut names = Names::default();
        let (edge, props) = (NamedEdge::read(edge)?, values::props(&mut names, props.as_ref())?);
        let texts = names.texts;
        Self::write(slf, move |tx| {
            let edge = edge.with_type(tx.etype_id_or_create(&edge.ty)?);
            let props = Ids::new(&texts).props(tx, props)?;
            tx.add_edge_by_key(edge, &props)
        })
    }

    /// Adds many edges: all of them, or none. Each is `(src, type, dst)`, with its properties behind them or not, an EdgeKey, or a
    /// dict with `src`, `type`, `dst`, `rank` and `props`.
    fn add_edges_batch(slf: &Bound<'_, Self>, edges: &Bound<'_, PyAny>) -> Outcome {
        let mut names = Names::default();
        let new = each(edges, "edges", |edge| NewEdge::of(&mut names, edge))?;
        let texts = names.texts;
        Self::write_many(slf, new.len(), move |tx| {
            let mut ids = Ids::new(&texts);
            let ready = |edge: NewEdge| {
                let ty = ids.edge_type(tx, edge.ty)?;
                let key = kitedb::EdgeKey::new(edge.src, ty, edge.dst).with_rank(edge.rank);
                Ok((key, ids.props(tx, edge.props)?))
            };
            let edges: Vec<_> = new.into_iter().map(ready).collect::<Result<_>>()?;
            let borrowed: Vec<_> = edges.iter().map(|(edge, props)| (*edge, props.as_slice())).collect();
            tx.add_edges_with_props_batch(&borrowed)
        })
    }

    /// Removes an edge and its properties; of several parallel ones, that of the lowest rank. Raises `EDGE_NOT_FOUND`.
    fn delete_edge(slf: &Bound<'_, Self>, src: Id, r#type: &str, dst: Id) -> Outcome {
        Self::write(slf, move |tx| tx.delete_edge(src.0, r#type, dst.0))
    }

    /// Removes exactly that edge.
    fn delete_edge_by_key(slf: &Bound<'_, Self>, edge: &Bound<'_, PyAny>) -> Outcome {
        let edge = NamedEdge::read(edge)?;
        Self::write(slf, move |tx| {
            let edge = existing(tx, &edge)?;
            tx.delete_edge_by_key(edge)
        })
    }

    /// Removes every edge of a type between two nodes. Returns how many there were.
    fn delete_edges_between(slf: &Bound<'_, Self>, src: Id, r#type: &str, dst: Id) -> Outcome<u64> {
        Self::write(slf, move |tx| tx.delete_edges_between(src.0, r#type, dst.0))
    }

    /// Sets a property of the edge between two nodes; of several parallel ones, of that of the lowest rank.
    fn set_edge_prop(
        slf: &Bound<'_, Self>,
        src: Id,
        r#type: &str,
        dst: Id,
        name: &str,
        value: &Bound<'_, PyAny>,
    ) -> Outcome {
        let value = values::from_py(value)?;
        Self::write(slf, move |tx| tx.set_edge_prop(src.0, r#type, dst.0, name, value))
    }

    /// Sets a property of exactly that edge.
    fn set_edge_prop_by_key(
        slf: &Bound<'_, Self>,
        edge: &Bound<'_, PyAny>,
        name: &str,
        value: &Bound<'_, PyAny>,
    ) -> Outcome {
        let (edge, value) = (NamedEdge::read(edge)?, values::from_py(value)?);
        Self::write(slf, move |tx| {
            let edge = existing(tx, &edge)?;
            tx.set_edge_prop_by_key(edge, name, value)
        })
    }

    /// Returns whether it was there.
    fn delete_edge_prop(slf: &Bound<'_, Self>, src: Id, r#type: &str, dst: Id, name: &str) -> Outcome<bool> {
        Self::write(slf, move |tx| tx.delete_edge_prop(src.0, r#type, dst.0, name))
    }

    /// Returns whether it was there.
    fn delete_edge_prop_by_key(slf: &Bound<'_, Self>, edge: &Bound<'_, PyAny>, name: &str) -> Outcome<bool> {
        let edge = NamedEdge::read(edge)?;
        Self::write(slf, move |tx| {
            let edge = existing(tx, &edge)?;
            tx.delete_edge_prop_by_key(edge, name)
        })
    }

    /// Sets properties of the node with a key (None removes one), creating the node if there is none. Returns its id, and whether it
    /// was created.
    #[pyo3(signature = (key, props=None))]
    fn upsert_node<'py>(
        slf: &Bound<'py, Self>,
        key: &str,
        props: Option<Bound<'py, PyAny>>,
    ) -> Outcome<Bound<'py, PyAny>> {
        let mut names = Names::default();
        let props = values::props(&mut names, props.as_ref())?;
        let texts = names.texts;
        let (id, created) = Self::write(slf, move |tx| {
            let props = Ids::new(&texts).changes(tx, props)?;
            tx.upsert_node(key, &props)
        })?;
        Ok(calls::call(&report::class(slf.py(), "Upserted")?, (id.0, created), None)?)
    }

    /// Sets properties of a node (None removes one), creating it without a key if there is none. Returns whether it was created.
    #[pyo3(signature = (id, props=None))]
    fn upsert_node_by_id(slf: &Bound<'_, Self>, id: Id, props: Option<Bound<'_, PyAny>>) -> Outcome<bool> {
        let mut names = Names::default();
        let props = values::props(&mut names, props.as_ref())?;
        let texts = names.texts;
        Self::write(slf, move |tx| {
            let props = Ids::new(&texts).changes(tx, props)?;
            tx.upsert_node_by_id(id.0, &props)
        })
    }

    /// Sets properties of an edge (None removes one), adding it if none leads there. Returns whether it was added.
    #[pyo3(signature = (src, r#type, dst, props=None))]
    fn upsert_edge(
        slf: &Bound<'_, Self>,
        src: Id,
        r#type: &str,
        dst: Id,
        props: Option<Bound<'_, PyAny>>,
    ) -> Outcome<bool> {
        let mut names = Names::default();
        let props = values::props(&mut names, props.as_ref())?;
        let texts = names.texts;
        Self::write(slf, move |tx| {
            let props = Ids::new(&texts).changes(tx, props)?;
            tx.upsert_edge_with_props(src.0, r#type, dst.0, &props)
        })
    }
}
