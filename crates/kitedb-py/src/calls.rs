//! Calls of functions that are written in Python.
//!
//! When an interpreter ends, CPython before 3.14 tears other threads out of what they do in Python as soon as they ask for the GIL: it
//! unwinds their stacks. A stack with frames of Rust is not unwound, which would abort the process; such a thread stops here for good.

// A call that may unwind.
#![allow(unsafe_code)]

use pyo3::{
    BoundObject, ffi,
    prelude::*,
    types::{PyDict, PyTuple},
};
use std::ptr;

type Declared = unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject, *mut ffi::PyObject) -> *mut ffi::PyObject;
type Call =
    unsafe extern "C-unwind" fn(*mut ffi::PyObject, *mut ffi::PyObject, *mut ffi::PyObject) -> *mut ffi::PyObject;

/// Python's own function for calls, as one that may unwind. PyO3 declares that it does not, so that nobody may see here which one it is.
fn python_call() -> Call {
    let declared: Declared = ffi::PyObject_Call;
    // SAFETY: both are pointers to a function of C with the same arguments and result; the one that it becomes allows more.
    std::hint::black_box(unsafe { std::mem::transmute::<Declared, Call>(declared) })
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
    let python_call = python_call();
    let torn = Torn;
    // SAFETY: the GIL is held, as `f` shows; all three are objects that live for as long as the call, `args` a tuple, `kwargs` a dict or
    // none. What is returned is a new reference, or null with an exception set. An unwinding ends in `torn`.
    let result = unsafe { Bound::from_owned_ptr_or_err(py, python_call(f.as_ptr(), args.as_ptr(), kwargs)) };
    std::mem::forget(torn);
    result
}
