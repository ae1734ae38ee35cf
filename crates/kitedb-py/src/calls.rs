//! Calls of functions that are written in Python.
//!
//! When an interpreter ends, CPython before 3.14 tears other threads out of what they do in Python as soon as they ask for the GIL: it
//! unwinds their stacks. A stack with frames of Rust is not unwound, which would abort the process; such a thread stops here for good.

// The declaration of a call that may unwind, and that call.
#![allow(unsafe_code)]

use pyo3::{
    BoundObject, ffi,
    prelude::*,
    types::{PyDict, PyTuple},
};
use std::ptr;

unsafe extern "C-unwind" {
    fn PyObject_Call(
        callable: *mut ffi::PyObject,
        args: *mut ffi::PyObject,
        kwargs: *mut ffi::PyObject,
    ) -> *mut ffi::PyObject;
}

/// A thread that is torn out of Python stops where it drops this.
struct Torn;

impl Drop for Torn {
    fn drop(&mut self) {
        loop {
            std::thread::park();
        }
    }
}

/// Calls `f`.
pub fn call<'py, A>(f: &Bound<'py, PyAny>, args: A, kwargs: Option<&Bound<'py, PyDict>>) -> PyResult<Bound<'py, PyAny>>
where
    A: IntoPyObject<'py, Target = PyTuple>,
{
    let py = f.py();
    let args = args.into_pyobject(py).map_err(Into::into)?.into_bound();
    let kwargs = kwargs.map_or_else(ptr::null_mut, Bound::as_ptr);
    let torn = Torn;
    // SAFETY: the GIL is held, as `f` shows; all three are objects that live for as long as the call, `args` a tuple, `kwargs` a dict or
    // none. What is returned is a new reference, or null with an exception set. An unwinding ends in `torn`.
    let result = unsafe { Bound::from_owned_ptr_or_err(py, PyObject_Call(f.as_ptr(), args.as_ptr(), kwargs)) };
    std::mem::forget(torn);
    result
}
