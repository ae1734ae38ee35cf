//! Numbers in memory, shown to Python by the buffer protocol: NumPy takes them as they are.

// The protocol is one of pointers: what it asks for stands in `__getbuffer__`, and nowhere else.
#![allow(unsafe_code)]

use crate::errors::{Outcome, wrong_type};
use pyo3::{
    buffer::{Element, PyBuffer, PyUntypedBuffer},
    exceptions::{PyBufferError, PyMemoryError},
    ffi,
    prelude::*,
    types::{PyBytes, PyMemoryView},
};
use std::{
    ffi::{CStr, c_int, c_void},
    ptr,
};

/// The format of a buffer, without what says that its numbers are as those of this machine.
pub fn format_of(buffer: &PyUntypedBuffer) -> String {
    buffer.format().to_string_lossy().trim_start_matches(['@', '=', '<']).to_owned()
}

/// The buffer of a value, or why it has none.
///
/// # Errors
/// `TypeError`: some of its numbers are masked, which the buffer does not tell.
pub fn buffer_of(value: &Bound<'_, PyAny>) -> Outcome<PyResult<PyUntypedBuffer>> {
    let buffer = PyUntypedBuffer::get(value);
    // That of numpy.ma: what lies beneath a mask is no value. (The mask of a table is a method.)
    if value.hasattr("dtype")? && value.getattr_opt("mask")?.is_some_and(|mask| !mask.is_callable()) {
        let what = "a masked array is given, whose masked numbers would count: give its filled(), or its compressed()";
        return Err(wrong_type(what));
    }
    Ok(buffer)
}

/// Numbers that a buffer can hold.
pub trait Number: Element + Default {
    /// Whether a buffer holds such.
    fn is_in(buffer: &PyUntypedBuffer) -> bool;

    /// Those in bytes.
    fn all_in(bytes: &[u8]) -> Vec<Self>;
}

macro_rules! numbers {
    ($($number:ty: $($format:literal)*;)*) => {$(
        impl Number for $number {
            fn is_in(buffer: &PyUntypedBuffer) -> bool {
                buffer.item_size() == size_of::<Self>() && [$($format),*].contains(&format_of(buffer).as_str())
            }

            fn all_in(bytes: &[u8]) -> Vec<Self> {
                bytes.as_chunks().0.iter().map(|bytes| Self::from_ne_bytes(*bytes)).collect()
            }
        }
    )*};
}

numbers! {
    f32: "f";
    u64: "Q" "L" "N";
    i64: "q" "l" "n";
}

/// What a buffer of such numbers holds, row after row.
pub fn numbers_in<T: Number>(value: &Bound<'_, PyAny>) -> PyResult<Vec<T>> {
    match PyBuffer::<T>::get(value) {
        Ok(buffer) => {
            // There may be more of them than bytes in memory: a broadcast array has one number at many places.
            let mut numbers = room(buffer.item_count())?;
            numbers.resize(buffer.item_count(), T::default());
            buffer.copy_to_slice(value.py(), &mut numbers)?;
            Ok(numbers)
        }
        // They lie across the places where such numbers lie, or there are none, wherever.
        Err(_) => Ok(T::all_in(PyMemoryView::from(value)?.call_method0("tobytes")?.cast::<PyBytes>()?.as_bytes())),
    }
}

/// An empty `Vec` with room for `n`, which a caller gave.
///
/// # Errors
/// `MemoryError` where there is none.
pub fn room<T>(n: usize) -> PyResult<Vec<T>> {
    let mut room = Vec::new();
    reserve(&mut room, n)?;
    Ok(room)
}

/// Makes room for `n` more.
///
/// # Errors
/// `MemoryError` where there is none.
pub fn reserve<T>(of: &mut Vec<T>, n: usize) -> PyResult<()> {
    of.try_reserve(n).map_err(|_| {
        let bytes = of.len().saturating_add(n).saturating_mul(size_of::<T>());
        PyMemoryError::new_err(format!("there is no memory for {bytes} bytes: give less at once"))
    })
}

/// Adds one.
///
/// # Errors
/// `MemoryError` where there is no room.
#[inline]
pub fn push<T>(to: &mut Vec<T>, item: T) -> PyResult<()> {
    if to.len() == to.capacity() {
        reserve(to, 1)?;
    }
    to.push(item);
    Ok(())
}

enum Data {
    Ids(Box<[u64]>),
    Floats(Box<[f32]>),
}

/// Numbers that are only read, in one row or in several of one length.
#[pyclass(frozen, module = "kitedb._kitedb")]
struct Numbers {
    data: Data,
    /// How many rows, and how many in each; the second counts with two dimensions only.
    shape: [isize; 2],
    /// From one to the next, in bytes.
    strides: [isize; 2],
    dimensions: c_int,
}

impl Numbers {
    fn new(data: Data, columns: Option<usize>) -> Self {
        let (length, size) = match &data {
            Data::Ids(ids) => (ids.len(), size_of::<u64>()),
            Data::Floats(floats) => (floats.len(), size_of::<f32>()),
        };
        let (length, size) = (length as isize, size as isize);
        let Some(columns) = columns.map(|columns| columns as isize) else {
            return Self { data, shape: [length, 1], strides: [size, size], dimensions: 1 };
        };
        let rows = length.checked_div(columns).unwrap_or(0);
        Self { data, shape: [rows, columns], strides: [size * columns, size], dimensions: 2 }
    }

    fn shown(self, py: Python<'_>) -> PyResult<Bound<'_, PyMemoryView>> {
        PyMemoryView::from(Bound::new(py, self)?.as_any())
    }
}

/// Ids as a `memoryview` of format `Q`: with `columns`, in rows of so many.
pub fn ids(py: Python<'_>, ids: Vec<u64>, columns: Option<usize>) -> PyResult<Bound<'_, PyMemoryView>> {
    Numbers::new(Data::Ids(ids.into()), columns).shown(py)
}

/// Rows of `columns` floats each, as a `memoryview` of format `f`.
pub fn floats(py: Python<'_>, floats: Vec<f32>, columns: usize) -> PyResult<Bound<'_, PyMemoryView>> {
    Numbers::new(Data::Floats(floats.into()), Some(columns)).shown(py)
}

#[pymethods]
impl Numbers {
    /// # Safety
    /// Python calls it, with a place for a view that may be written to.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let refuse = |what| Err(PyBufferError::new_err(what));
        if view.is_null() {
            return refuse("there is no place for the view");
        }
        let this = slf.get();
        let of_columns = ffi::PyBUF_F_CONTIGUOUS & !ffi::PyBUF_STRIDES;
        let refused = if flags & ffi::PyBUF_WRITABLE != 0 {
            Some("what was read of a graph is not written to: copy it, as numpy.array(x) does")
        } else if this.dimensions > 1 && flags & of_columns != 0 {
            Some("these numbers lie in rows")
        } else {
            None
        };
        let (start, length, size, format): (*const c_void, _, _, &'static CStr) = match &this.data {
            Data::Ids(ids) => (ids.as_ptr().cast(), size_of_val(&**ids), size_of::<u64>(), c"Q"),
            Data::Floats(floats) => (floats.as_ptr().cast(), size_of_val(&**floats), size_of::<f32>(), c"f"),
        };
        // What was not asked for is left out.
        let asked = |flag: c_int, pointer: *mut isize| if flags & flag == flag { pointer } else { ptr::null_mut() };
        let shape = asked(ffi::PyBUF_ND, this.shape.as_ptr().cast_mut());
        let strides = asked(ffi::PyBUF_STRIDES, this.strides.as_ptr().cast_mut());
        let dimensions = this.dimensions;
        // SAFETY: `view` is a place for a view, which is whole after this. Its pointers are to a constant, and to an object and what
        // that owns: it is frozen, so that none of it moves or changes, and the view holds a reference to it (`obj`) for as long as
        // it is used. Nobody writes through them: the view says that it is read-only.
        unsafe {
            (*view).obj = ptr::null_mut();
            if let Some(what) = refused {
                return refuse(what);
            }
            (*view).buf = start.cast_mut();
            (*view).len = length as isize;
            (*view).itemsize = size as isize;
            (*view).readonly = 1;
            (*view).ndim = dimensions;
            (*view).format = if flags & ffi::PyBUF_FORMAT != 0 { format.as_ptr().cast_mut() } else { ptr::null_mut() };
            (*view).shape = shape;
            (*view).strides = strides;
            (*view).suboffsets = ptr::null_mut();
            (*view).internal = ptr::null_mut();
            (*view).obj = slf.into_any().into_ptr();
        }
        Ok(())
    }
}
