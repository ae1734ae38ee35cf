//! The ways between Rust and what is written in Python.
//!
//! When an interpreter ends, CPython before 3.14 tears other threads out of what they do in Python as soon as they ask for the GIL: it
//! unwinds their stacks. A stack with frames of Rust is not unwound, which would abort the process; such a thread stops for good, as
//! CPython 3.14 has it. Python is reached in many ways (a call, an iterator, `__index__`, a finalizer that the collector runs), so that
//! nothing here stands around each: a thread that comes into this package is guarded from then on, see `enter`.

// What guards a thread is C's.
#![allow(unsafe_code)]

use crate::errors::{Outcome, panicked, type_name, wrong_type};
use kitedb::NodeId;
use pyo3::{
    BoundObject,
    exceptions::{PyOverflowError, PyRuntimeError, PyTypeError},
    prelude::*,
    types::{PyDict, PyString, PyTuple},
};
use std::{
    cell::{Cell, RefCell, UnsafeCell},
    ffi::{c_int, c_void},
    panic::{AssertUnwindSafe, catch_unwind},
    ptr, thread,
};

/// What C keeps of a routine that runs when a thread is unwound: `struct _pthread_cleanup_buffer`. It is C's once it was given.
#[repr(C)]
struct Cleanup {
    routine: Option<unsafe extern "C" fn(*mut c_void)>,
    argument: *mut c_void,
    cancel_type: c_int,
    before: *mut Cleanup,
}

unsafe extern "C" {
    fn _pthread_cleanup_push(buffer: *mut Cleanup, routine: unsafe extern "C" fn(*mut c_void), argument: *mut c_void);
    fn _Unwind_Backtrace(each: extern "C" fn(*mut c_void, *mut c_void) -> c_int, argument: *mut c_void) -> c_int;
    fn _Unwind_GetIP(frame: *mut c_void) -> usize;
}

thread_local! {
    static ENTERED: Cell<bool> = const { Cell::new(false) };
    /// It lies on the heap. C runs the routine before it leaves the frame in which the buffer lies, by its address; what lies outside
    /// of the stack is left with the first frame, before any of Rust.
    static CLEANUP: RefCell<Option<Box<UnsafeCell<Cleanup>>>> = const { RefCell::new(None) };
}

/// Guards this thread, from the first call on: whatever comes from Python calls it before it calls Python.
#[inline]
pub fn enter() {
    if !ENTERED.get() {
        guard();
    }
}

#[cold]
fn guard() {
    ENTERED.set(true);
    let cleanup = Cleanup { routine: None, argument: ptr::null_mut(), cancel_type: 0, before: ptr::null_mut() };
    CLEANUP.with_borrow_mut(|place| {
        let cleanup = place.insert(Box::new(UnsafeCell::new(cleanup)));
        // SAFETY: the buffer has C's layout, is used by C alone, and is where it is until the thread's own values are dropped, which is
        // after it was unwound. Frames that gave C a buffer before this one take it away with theirs, and this one with it.
        unsafe { _pthread_cleanup_push(cleanup.get(), torn, ptr::null_mut()) };
    });
}

/// Runs when this thread is unwound: it stops where frames of this package are on its stack.
unsafe extern "C" fn torn(_: *mut c_void) {
    if is_under_python() {
        loop {
            thread::park();
        }
    }
}

/// The frames of a stack, from the newest on.
#[derive(Default)]
struct Walk {
    /// Whether those of who walks are behind it.
    left: bool,
    found: bool,
}

/// Whether this thread has frames of this package beyond those of who asks.
fn is_under_python() -> bool {
    let mut walk = Walk::default();
    // SAFETY: `each` is given the pointer to `walk`, which nobody else uses meanwhile.
    unsafe { _Unwind_Backtrace(each, ptr::from_mut(&mut walk).cast()) };
    walk.found
}

extern "C" fn each(frame: *mut c_void, walk: *mut c_void) -> c_int {
    // SAFETY: `frame` is one of the walk, and `walk` what was given to it.
    let (walk, address) = unsafe { (&mut *walk.cast::<Walk>(), _Unwind_GetIP(frame)) };
    let own = library_of(each as *const () as usize);
    if library_of(address) != own {
        walk.left = true;
    } else if walk.left {
        walk.found = true;
    }
    0
}

/// Where the library begins that has an address; null if none has.
fn library_of(address: usize) -> *mut c_void {
    let mut found = libc::Dl_info {
        dli_fname: ptr::null(),
        dli_fbase: ptr::null_mut(),
        dli_sname: ptr::null(),
        dli_saddr: ptr::null_mut(),
    };
    // SAFETY: it is asked of any address, and writes to `found`.
    unsafe { libc::dladdr(address as *const c_void, &mut found) };
    found.dli_fbase
}

/// A field of what Python objects are dropped with: it stands before them, as their finalizers may be written in Python.
pub struct Entered;

impl Drop for Entered {
    fn drop(&mut self) {
        enter();
    }
}

/// Calls `f`.
pub fn call<'py, A>(f: &Bound<'py, PyAny>, args: A, kwargs: Option<&Bound<'py, PyDict>>) -> PyResult<Bound<'py, PyAny>>
where
    A: IntoPyObject<'py, Target = PyTuple>,
{
    enter();
    let args = args.into_pyobject(f.py()).map_err(Into::into)?.into_bound();
    f.call(args, kwargs)
}

/// Does what Python asked for; a panic, which is a defect, is an error like another one.
pub fn caught<T>(f: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    enter();
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|_| Err(panicked()))
}

/// So many rows are worked through before a `pause`.
pub const ROWS: usize = 1024;

/// Lets other threads run that wait for it, and looks at signals: between the pieces of what works under the GIL for long.
pub fn pause(py: Python<'_>) -> PyResult<()> {
    py.detach(|| ());
    py.check_signals()
}

/// Shows `f` what is in a dict. What `f` calls may run Python, which may change it: that is an error, as it is in Python.
pub fn entries<'py>(
    dict: &Bound<'py, PyDict>,
    mut f: impl FnMut(Bound<'py, PyAny>, Bound<'py, PyAny>) -> Outcome,
) -> Outcome {
    let length = dict.len();
    let mut left = dict.iter();
    for _ in 0..length {
        let changed = |what: &str| PyRuntimeError::new_err(format!("dictionary {what} during iteration"));
        if dict.len() != length {
            return Err(changed("changed size").into());
        }
        let (name, value) = left.next().ok_or_else(|| changed("keys changed"))?;
        f(name, value)?;
    }
    Ok(())
}

/// The id of a node, as an argument.
#[derive(Clone, Copy)]
pub struct Id(pub NodeId);

impl<'py> FromPyObject<'_, 'py> for Id {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        enter();
        match value.extract() {
            Ok(id) => Ok(Self(NodeId(id))),
            Err(e) => Err(no_id(&value.to_owned(), e)),
        }
    }
}

#[cold]
fn no_id(value: &Bound<'_, PyAny>, e: PyErr) -> PyErr {
    let py = value.py();
    if e.is_instance_of::<PyOverflowError>(py) {
        return PyOverflowError::new_err("the id of a node is from 1 to 2**64 - 1, and no other int");
    }
    // What its own conversion raised is the caller's.
    if !e.is_instance_of::<PyTypeError>(py) || value.hasattr("__index__").unwrap_or(true) {
        return e;
    }
    let more =
        if value.is_instance_of::<PyString>() { ": node_with_key and node_by_key find one by its key" } else { "" };
    wrong_type(format_args!("the id of a node is an int, and no {}{more}", type_name(value))).into()
}

/// A whole number, as an argument: for `from_py_with`.
pub fn whole<'py, T>(value: &Bound<'py, PyAny>) -> PyResult<T>
where
    T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    enter();
    value.extract()
}

/// A path, as an argument.
pub struct Path(pub std::path::PathBuf);

impl<'py> FromPyObject<'_, 'py> for Path {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        enter();
        value.extract().map(Self)
    }
}
