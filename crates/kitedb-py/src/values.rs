//! Property values: what Python's become, and what Python is given.

use crate::{
    buffers::{buffer_of, format_of, numbers_in, push},
    calls::{caught, enter, entries},
    errors::{Fault, Outcome, type_name, wrong_type},
    temporal,
};
use kitedb::{EdgeTypeId, Error, LabelId, NodeRef, PropKeyId, Value, ValueRef, VectorRef, graph::MAX_DEPTH};
use parking_lot::Mutex;
use pyo3::{
    buffer::PyUntypedBuffer,
    exceptions::{PyOverflowError, PyTypeError},
    prelude::*,
    pybacked::PyBackedStr,
    types::{
        PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyIterator, PyList, PyMapping, PyMemoryView,
        PySequence, PySet, PyString, PyTuple,
    },
};
use rustc_hash::FxHashMap;
use std::{collections::BTreeMap, ops::Deref};

/// The value that an object is.
///
/// # Errors
/// `TypeError` for what no property can hold, `OverflowError` for an integer of more than 64 bits.
pub fn from_py(value: &Bound<'_, PyAny>) -> Outcome<Value> {
    caught(|| nested(value, 0))
}

fn nested(value: &Bound<'_, PyAny>, depth: usize) -> Outcome<Value> {
    // The engine says what is too deep; this ends what holds itself.
    if depth > MAX_DEPTH + 1 {
        let what = format_args!("a value is nested deeper than {MAX_DEPTH} lists and maps, or holds itself");
        return Err(Error::invalid(what).into());
    }
    if value.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(v) = value.cast::<PyString>() {
        return Ok(Value::String(v.to_str()?.to_owned()));
    }
    // Before the integers, of which it is a subclass.
    if let Ok(v) = value.cast::<PyBool>() {
        return Ok(Value::Bool(v.is_true()));
    }
    if value.is_instance_of::<PyInt>() {
        return integer(value);
    }
    if let Ok(v) = value.cast::<PyFloat>() {
        return Ok(Value::F64(v.value()));
    }
    if let Ok(v) = value.cast::<PyBytes>() {
        return Ok(Value::Bytes(v.as_bytes().to_vec()));
    }
    if let Ok(v) = value.cast::<PyList>() {
        return v.iter().map(|item| nested(&item, depth + 1)).collect::<Outcome<_>>().map(Value::List);
    }
    if let Ok(v) = value.cast::<PyTuple>() {
        return v.iter().map(|item| nested(&item, depth + 1)).collect::<Outcome<_>>().map(Value::List);
    }
    if let Ok(v) = value.cast::<PyDict>() {
        let mut map = BTreeMap::new();
        entries(v, |name, value| {
            let (name, value) = map_entry(&name, &value, depth)?;
            map.insert(name, value);
            Ok(())
        })?;
        return Ok(Value::Map(map));
    }
    if let Ok(v) = value.cast::<PyByteArray>() {
        return Ok(Value::Bytes(v.to_vec()));
    }
    if let Some(v) = temporal::from_py(value)? {
        return Ok(v);
    }
    if let Ok(v) = value.cast::<PyMapping>() {
        let mut map = BTreeMap::new();
        for item in v.items()?.iter() {
            let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
            let (name, value) = map_entry(&name, &value, depth)?;
            map.insert(name, value);
        }
        return Ok(Value::Map(map));
    }
    // An integer of another kind, as those of NumPy are.
    if value.hasattr("__index__")? && !value.hasattr("__len__")? {
        match integer(value) {
            // NumPy's booleans have it, and refuse.
            Err(Fault::Python(e)) if e.is_instance_of::<PyTypeError>(value.py()) => {}
            value => return value,
        }
    }
    match buffer_of(value)? {
        Ok(buffer) => return of_buffer(value, &buffer),
        Err(e) if value.is_instance_of::<PyMemoryView>() => return Err(e.into()),
        Err(_) => {}
    }
    // One number of NumPy, whose buffer has no shape.
    if value.hasattr("dtype")?
        && let Ok(item) = value.call_method0("item")
        && (item.is_instance_of::<PyFloat>() || item.is_instance_of::<PyBool>())
    {
        return nested(&item, depth);
    }
    // A range, a deque: what types call a sequence.
    if let Ok(v) = value.cast::<PySequence>() {
        return v.try_iter()?.map(|item| nested(&item?, depth + 1)).collect::<Outcome<_>>().map(Value::List);
    }
    Err(wrong_type(format_args!(
        "no property can be a {}: give None, a bool, an int, a float, a str, bytes, a buffer of float32, a date, a time, \
         a timedelta, a list or a dict",
        type_name(value)
    )))
}

fn map_entry(name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>, depth: usize) -> Outcome<(String, Value)> {
    let Ok(text) = name.cast::<PyString>() else {
        return Err(wrong_type(format_args!("a name in a map is a {}: give a str", type_name(name))));
    };
    Ok((text.to_str()?.to_owned(), nested(value, depth + 1)?))
}

fn integer(value: &Bound<'_, PyAny>) -> Outcome<Value> {
    match value.extract() {
        Ok(v) => Ok(Value::I64(v)),
        Err(e) if e.is_instance_of::<PyOverflowError>(value.py()) => {
            let what = format!("the integer {} has more than 64 bits: give a float or a str", bounded(value));
            Err(PyOverflowError::new_err(what).into())
        }
        Err(e) => Err(e.into()),
    }
}

/// An integer's text, where that is short.
fn bounded(value: &Bound<'_, PyAny>) -> String {
    value.str().map(|text| text.to_string()).ok().filter(|text| text.len() <= 40).unwrap_or_else(|| "given".to_owned())
}

/// Bytes, or a vector of 32-bit floats.
fn of_buffer(value: &Bound<'_, PyAny>, buffer: &PyUntypedBuffer) -> Outcome<Value> {
    match (format_of(buffer).as_str(), buffer.dimensions()) {
        ("f", 1) => Ok(Value::Vector(numbers_in(value)?)),
        ("B" | "c", 1) => Ok(Value::Bytes(value.call_method0("tobytes").or_else(|_| bytes_of(value))?.extract()?)),
        (format, dimensions) => Err(wrong_type(format_args!(
            "a property is given a buffer of format '{format}' with {dimensions} dimensions: give one of float32 ('f') with one, \
             as numpy.asarray(x, 'float32') makes it, or bytes"
        ))),
    }
}

fn bytes_of<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    value.py().get_type::<PyBytes>().call1((value,))
}

/// A vector: a buffer of 32-bit floats, or numbers one by one, which are rounded to those.
pub fn vector(value: &Bound<'_, PyAny>) -> Outcome<Vec<f32>> {
    enter();
    require_sequence(value, "a vector", "give numbers, as a list or an array has them")?;
    if let Ok(buffer) = buffer_of(value)? {
        return match of_buffer(value, &buffer)? {
            Value::Vector(vector) => Ok(vector),
            _ => Err(wrong_type(
                "a vector is given a buffer of no float32: give one of format 'f', or a list of numbers",
            )),
        };
    }
    let Ok(numbers) = value.try_iter() else {
        return Err(wrong_type(format_args!("a vector is a {}: give numbers", type_name(value))));
    };
    // One by one: as many f64 would be twice as large.
    let mut vector = Vec::new();
    for number in numbers {
        push(&mut vector, number?.extract::<f64>()? as f32)?;
    }
    Ok(vector)
}

/// Refuses what is iterable, and whose items are not in the order in which somebody gave them, or are no items: a str, bytes, a set, a
/// dict and other mappings, a table.
pub fn require_sequence(value: &Bound<'_, PyAny>, what: &str, instead: &str) -> Outcome {
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() || value.is_instance_of::<PyIterator>() {
        return Ok(());
    }
    let is_other = value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyBytes>()
        || value.is_instance_of::<PyByteArray>()
        || value.is_instance_of::<PySet>()
        || value.is_instance_of::<PyFrozenSet>()
        || value.cast::<PyMapping>().is_ok();
    let found = type_name(value);
    if is_other {
        return Err(wrong_type(format_args!("{what} is a {found}: {instead}")));
    }
    // Of pandas, Polars, pyarrow, DuckDB: it has columns, and what iterates over it meets those, or their names.
    if value.hasattr("columns")? && (value.hasattr("__arrow_c_stream__")? || value.hasattr("__arrow_c_array__")?) {
        return Err(wrong_type(format_args!(
            "{what} is a {found}, which is a table of columns: {instead}; its rows are dicts by to_dict('records') in pandas, \
             to_dicts() in Polars, to_pylist() in pyarrow, and one column is an array of NumPy by to_numpy()"
        )));
    }
    Ok(())
}

/// A vector as a `memoryview` of format `f`, which NumPy takes as it is.
pub fn vector_to_py<'py>(py: Python<'py>, vector: VectorRef<'_>) -> PyResult<Bound<'py, PyAny>> {
    let bytes = PyBytes::new(py, vector.as_bytes());
    PyMemoryView::from(&bytes.into_any())?.call_method1("cast", ("f",))
}

/// The object that a value is.
pub fn to_py<'py>(py: Python<'py>, value: ValueRef<'_>) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        ValueRef::Null => py.None().into_bound(py),
        ValueRef::Bool(v) => PyBool::new(py, v).to_owned().into_any(),
        ValueRef::I64(v) => v.into_pyobject(py)?.into_any(),
        ValueRef::F64(v) => PyFloat::new(py, v).into_any(),
        ValueRef::String(v) => PyString::new(py, v).into_any(),
        ValueRef::Bytes(v) => PyBytes::new(py, v).into_any(),
        ValueRef::Vector(v) => vector_to_py(py, v)?,
        ValueRef::List(v) => {
            let list = PyList::empty(py);
            v.iter().try_for_each(|item| list.append(to_py(py, item)?))?;
            list.into_any()
        }
        ValueRef::Map(v) => {
            let map = PyDict::new(py);
            v.iter().try_for_each(|(name, value)| map.set_item(name, to_py(py, value)?))?;
            map.into_any()
        }
        v => temporal::to_py(py, v)?,
    })
}

/// The names in the arguments of a call, each by a number: it is looked up once, however many elements have it.
#[derive(Default)]
pub struct Names<'py> {
    /// By the address of its object, which is held for as long.
    numbers: FxHashMap<usize, usize>,
    held: Vec<Bound<'py, PyString>>,
    pub texts: Vec<String>,
}

impl<'py> Names<'py> {
    pub fn number(&mut self, name: &Bound<'py, PyAny>, what: &str) -> Outcome<usize> {
        let address = name.as_ptr() as usize;
        if let Some(number) = self.numbers.get(&address) {
            return Ok(*number);
        }
        let Ok(text) = name.cast::<PyString>() else {
            return Err(wrong_type(format_args!("{what} is a {}: give a str", type_name(name))));
        };
        self.texts.push(text.to_str()?.to_owned());
        self.held.push(text.clone());
        self.numbers.insert(address, self.texts.len() - 1);
        Ok(self.texts.len() - 1)
    }
}

/// Properties to be given, by the numbers of their names.
pub type Props = Vec<(usize, Value)>;

/// The properties in a dict or another mapping.
pub fn props<'py>(names: &mut Names<'py>, given: Option<&Bound<'py, PyAny>>) -> Outcome<Props> {
    enter();
    let Some(given) = given.filter(|given| !given.is_none()) else { return Ok(Vec::new()) };
    if let Ok(dict) = given.cast::<PyDict>() {
        let mut props = Vec::with_capacity(dict.len());
        entries(dict, |name, value| {
            props.push((names.number(&name, "the name of a property")?, of_name(&name, &value)?));
            Ok(())
        })?;
        return Ok(props);
    }
    let Ok(mapping) = given.cast::<PyMapping>() else {
        return Err(wrong_type(format_args!("properties are a {}: give a dict", type_name(given))));
    };
    let mut props = Vec::new();
    for item in mapping.items()?.iter() {
        let (name, value): (Bound<'py, PyAny>, Bound<'py, PyAny>) = item.extract()?;
        props.push((names.number(&name, "the name of a property")?, of_name(&name, &value)?));
    }
    Ok(props)
}

/// The value of a property; what is wrong with it is said of that one.
fn of_name(name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> Outcome<Value> {
    from_py(value).map_err(|fault| match fault {
        Fault::Python(e) => {
            // Best effort: an error without the note says the same.
            let _ = e.add_note(value.py(), format!("it is the property {name}"));
            Fault::Python(e)
        }
        fault => fault,
    })
}

/// Which properties a read returns: those that are named, or all.
pub type Select = Option<Selected>;

/// The names of properties that a read returns.
pub struct Selected(Vec<PyBackedStr>);

impl Deref for Selected {
    type Target = [PyBackedStr];

    fn deref(&self) -> &[PyBackedStr] {
        &self.0
    }
}

impl<'py> FromPyObject<'_, 'py> for Selected {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        enter();
        if value.is_instance_of::<PyString>() {
            return Err(wrong_type("select is a str: give a list of the names of properties").into());
        }
        value.extract().map(Self)
    }
}

/// The names of properties and types as Python objects, by their text: those of a graph are few, and each is made once.
static NAMES: Mutex<Option<FxHashMap<Box<str>, Py<PyString>>>> = Mutex::new(None);

/// The most of them that are kept.
const MOST_NAMES: usize = 4096;

fn spelled<'py>(py: Python<'py>, name: &str) -> Bound<'py, PyString> {
    let mut names = NAMES.lock();
    let names = names.get_or_insert_default();
    if let Some(name) = names.get(name) {
        return name.bind(py).clone();
    }
    // The same object as the one that stands in the source of who asks for it.
    let made = PyString::intern(py, name);
    if names.len() < MOST_NAMES {
        names.insert(name.into(), made.clone().unbind());
    }
    made
}

/// The names that one call met, so that each is looked up once, however many elements have it.
#[derive(Default)]
pub struct Spelled<'py> {
    /// Whether the call is about one element, for which nothing need be remembered.
    one: bool,
    // Few, so that to look through them takes less than to hash.
    props: Vec<(PropKeyId, Bound<'py, PyString>)>,
    types: Vec<(EdgeTypeId, Bound<'py, PyString>)>,
    /// The labels of nodes: most have those of another one.
    labels: Vec<(Vec<LabelId>, Bound<'py, PyTuple>)>,
    /// The properties that are asked for, with their ids where they are in use, once they were looked up.
    selected: Option<Vec<(PropKeyId, Bound<'py, PyString>)>>,
}

/// The most of a sort that are looked through.
const FEW: usize = 16;

/// Looks for a name among those that were met.
fn met<'py, I: Copy + PartialEq>(
    names: &mut Vec<(I, Bound<'py, PyString>)>,
    id: I,
    spell: impl FnOnce() -> Bound<'py, PyString>,
) -> Bound<'py, PyString> {
    if let Some((_, name)) = names.iter().find(|(known, _)| *known == id) {
        return name.clone();
    }
    let name = spell();
    if names.len() < FEW {
        names.push((id, name.clone()));
    }
    name
}

impl<'py> Spelled<'py> {
    /// Those of one element.
    pub fn one() -> Self {
        Self { one: true, ..Self::default() }
    }

    fn prop(&mut self, py: Python<'py>, graph: &dyn kitedb::Graph, id: PropKeyId) -> Bound<'py, PyString> {
        met(&mut self.props, id, || spelled(py, &kitedb::GraphRead::propkey_name(graph, id).unwrap_or_default()))
    }

    /// The properties that are asked for.
    fn selected(
        &mut self,
        py: Python<'py>,
        graph: &dyn kitedb::Graph,
        names: &[PyBackedStr],
    ) -> &[(PropKeyId, Bound<'py, PyString>)] {
        self.selected.get_or_insert_with(|| {
            let found = |name: &PyBackedStr| {
                let id = kitedb::GraphRead::propkey_id(graph, name)?;
                let Ok(given) = name.into_pyobject(py);
                // What extends str may do whatever it likes, and is no key.
                let name = if given.is_exact_instance_of::<PyString>() { given } else { spelled(py, name) };
                Some((id, name))
            };
            names.iter().filter_map(found).collect()
        })
    }

    pub fn edge_type(&mut self, py: Python<'py>, graph: &dyn kitedb::Graph, id: EdgeTypeId) -> Bound<'py, PyString> {
        met(&mut self.types, id, || spelled(py, &kitedb::GraphRead::etype_name(graph, id).unwrap_or_default()))
    }

    /// The names of a node's labels.
    pub fn labels(&mut self, py: Python<'py>, node: &NodeRef<'_>) -> Outcome<Bound<'py, PyTuple>> {
        let mut of_node = node.labels()?;
        let Some(first) = of_node.next() else { return Ok(PyTuple::empty(py)) };
        let ids: Vec<LabelId> = std::iter::once(first).chain(of_node).collect();
        if let Some((_, labels)) = self.labels.iter().find(|(known, _)| *known == ids) {
            return Ok(labels.clone());
        }
        let names = node.label_names()?;
        let labels = PyTuple::new(py, names.iter().map(|name| spelled(py, name)))?;
        if !self.one && self.labels.len() < FEW {
            self.labels.push((ids, labels.clone()));
        }
        Ok(labels)
    }
}

/// The properties of a node.
pub fn node_props<'py>(
    py: Python<'py>,
    node: &NodeRef<'_>,
    select: &Select,
    spelled: &mut Spelled<'py>,
) -> Outcome<Bound<'py, PyDict>> {
    let props = PyDict::new(py);
    match select {
        None if spelled.one => {
            for prop in node.named_props()? {
                let (name, value) = prop?;
                props.set_item(self::spelled(py, &name), to_py(py, value)?)?;
            }
        }
        None => {
            for prop in node.props()? {
                let (id, value) = prop?;
                props.set_item(spelled.prop(py, node.graph(), id), to_py(py, value)?)?;
            }
        }
        Some(names) => {
            for (id, name) in spelled.selected(py, node.graph(), names) {
                if let Some(value) = node.prop(*id)? {
                    props.set_item(name, to_py(py, value)?)?;
                }
            }
        }
    }
    Ok(props)
}

/// The properties of an edge.
pub fn edge_props<'py>(
    py: Python<'py>,
    edge: &kitedb::EdgeRef<'_>,
    select: &Select,
    spelled: &mut Spelled<'py>,
) -> Outcome<Bound<'py, PyDict>> {
    let props = PyDict::new(py);
    match select {
        None if spelled.one => {
            for prop in edge.named_props()? {
                let (name, value) = prop?;
                props.set_item(self::spelled(py, &name), to_py(py, value)?)?;
            }
        }
        None => {
            for prop in edge.props()? {
                let (id, value) = prop?;
                props.set_item(spelled.prop(py, edge.graph(), id), to_py(py, value)?)?;
            }
        }
        Some(names) => {
            for (id, name) in spelled.selected(py, edge.graph(), names) {
                if let Some(value) = edge.prop(*id)? {
                    props.set_item(name, to_py(py, value)?)?;
                }
            }
        }
    }
    Ok(props)
}
