//! Statuses, metrics and other reports as the classes of `kitedb._reports`: the fields that Rust has, under the same names.

use crate::{calls, errors::Outcome};
use kitedb_bindings::Told;
use pyo3::{
    IntoPyObjectExt,
    prelude::*,
    types::{PyDict, PyList, PyTuple},
};

/// A class of the Python side.
pub fn class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("kitedb._reports")?.getattr(name)
}

/// What Python is told.
pub trait Report: kitedb_bindings::Report {
    fn report<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
        Ok(converted(py, &self.told())?)
    }
}

impl<T: kitedb_bindings::Report + ?Sized> Report for T {}

/// What is told, as Python has it.
pub fn converted<'py>(py: Python<'py>, told: &Told) -> PyResult<Bound<'py, PyAny>> {
    match told {
        Told::Nothing => Ok(py.None().into_bound(py)),
        Told::Bool(v) => v.into_bound_py_any(py),
        Told::Unsigned(v) => v.into_bound_py_any(py),
        Told::Signed(v) => v.into_bound_py_any(py),
        Told::Float(v) => v.into_bound_py_any(py),
        Told::Text(v) => v.into_bound_py_any(py),
        Told::List(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(converted(py, item)?)?;
            }
            Ok(list.into_any())
        }
        Told::Object(name, fields) => calls::call(&class(py, name)?, PyTuple::empty(py), Some(&dict(py, fields)?)),
    }
}

/// Fields by their names.
pub fn dict<'py>(py: Python<'py>, fields: &[(&'static str, Told)]) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in fields {
        dict.set_item(name, converted(py, value)?)?;
    }
    Ok(dict)
}
