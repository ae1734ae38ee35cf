//! Ids and vectors of many nodes at once: in as any buffer or iterable, out as buffers that NumPy takes without a copy.

use crate::{
    buffers::{self, Number, buffer_of, format_of, numbers_in, push, reserve, room},
    calls::{Id, enter},
    elements::{Types, Way},
    errors::{Outcome, wrong_type, wrong_value},
    reader::GraphReader,
    values,
    writer::GraphWriter,
};
use kitedb::{EdgeKey, GraphRead, NodeId};
use pyo3::{prelude::*, types::PyMemoryView};

/// How many nodes are looked after before signals are looked at, and other threads may run.
const PIECE: usize = 4096;
/// Up to so many nodes, giving the GIL up takes longer than what is done meanwhile.
const FEW: usize = 64;

/// Ids: a buffer of integers of 64 bits, or integers one by one.
pub fn ids_of(value: &Bound<'_, PyAny>, what: &str) -> Outcome<Vec<u64>> {
    enter();
    values::require_sequence(value, what, "give ids of nodes, as a list or an array has them")?;
    let Ok(buffer) = buffer_of(value)? else {
        let mut ids = Vec::new();
        for id in value.try_iter()? {
            push(&mut ids, id?.extract::<Id>()?.0.0)?;
        }
        return Ok(ids);
    };
    if buffer.dimensions() != 1 {
        let what = format_args!("{what} has {} dimensions: give ids of nodes in one", buffer.dimensions());
        return Err(wrong_value(what));
    }
    if u64::is_in(&buffer) {
        return Ok(numbers_in(value)?);
    }
    if !i64::is_in(&buffer) {
        let format = format_of(&buffer);
        return Err(wrong_type(format_args!(
            "{what} is a buffer of format '{format}': give one of integers of 64 bits, as numpy.asarray(x, 'uint64') makes it"
        )));
    }
    let id = |id: i64| u64::try_from(id).map_err(|_| wrong_value(format_args!("{what} has {id}: ids begin at 1")));
    numbers_in::<i64>(value)?.into_iter().map(id).collect()
}

/// Lets `f` work through many, piece by piece and without the GIL.
fn in_pieces<T: Sync>(py: Python<'_>, all: &[T], mut f: impl FnMut(&[T]) -> kitedb::Result<()> + Send) -> Outcome {
    if all.len() <= FEW {
        return Ok(f(all)?);
    }
    for piece in all.chunks(PIECE) {
        py.detach(|| f(piece))?;
        py.check_signals()?;
    }
    Ok(())
}

#[pymethods]
impl GraphReader {
    /// The ids of the neighbours of many nodes: `(offsets, ids)`, memoryviews of format 'Q' (`numpy.asarray` takes them as they are). The
    /// neighbours of the node at place `i` are `ids[offsets[i]:offsets[i + 1]]`, in no particular order, each once for every edge.
    fn neighbor_ids_batch<'py>(
        &self,
        py: Python<'py>,
        ids: &Bound<'py, PyAny>,
        direction: Way,
        types: Types,
    ) -> Outcome<(Bound<'py, PyMemoryView>, Bound<'py, PyMemoryView>)> {
        let of = ids_of(ids, "ids")?;
        let mut offsets = room(of.len().saturating_add(1))?;
        let mut found = room(of.len().saturating_mul(8))?;
        offsets.push(0);
        self.source.read(|graph| {
            in_pieces(py, &of, |piece| {
                for id in piece {
                    graph.for_each_neighbor(NodeId(*id), direction.0, types.filter(), |node| found.push(node.0))?;
                    offsets.push(found.len() as u64);
                }
                Ok(())
            })
        })?;
        Ok((buffers::ids(py, offsets, None)?, buffers::ids(py, found, None)?))
    }

    /// The vectors of many nodes under a name, as one memoryview of format 'f' with a row for each (`numpy.asarray` takes it as it is).
    /// The row of a node that has none is NaN, which no vector that is stored has. None where no vector was ever stored under that name.
    fn node_vectors<'py>(
        &self,
        py: Python<'py>,
        ids: &Bound<'py, PyAny>,
        name: &str,
    ) -> Outcome<Option<Bound<'py, PyMemoryView>>> {
        let of = ids_of(ids, "ids")?;
        self.source.read(|graph| {
            let (Some(dimension), Some(key)) = (graph.vector_dimension(name), graph.propkey_id(name)) else {
                return Ok(None);
            };
            let dimension = dimension as usize;
            let mut floats = room(of.len().saturating_mul(dimension))?;
            in_pieces(py, &of, |piece| {
                for id in piece {
                    let node = graph.node(NodeId(*id))?;
                    match node.as_ref().map(|node| node.vector(key)).transpose()?.flatten() {
                        Some(vector) => floats.extend(vector.iter()),
                        None => floats.resize(floats.len() + dimension, f32::NAN),
                    }
                }
                Ok(())
            })?;
            Ok(Some(buffers::floats(py, floats, dimension)?))
        })
    }
}

/// Vectors of one length, one after the other, and that length.
fn rows_of(vectors: &Bound<'_, PyAny>, nodes: usize) -> Outcome<(Vec<f32>, usize)> {
    let (floats, rows, length) = match buffer_of(vectors)? {
        Ok(buffer) => {
            if !f32::is_in(&buffer) {
                let format = format_of(&buffer);
                return Err(wrong_type(format_args!(
                    "vectors are a buffer of format '{format}': give one of float32 ('f'), as numpy.asarray(x, 'float32') makes it"
                )));
            }
            let [rows, length] = *buffer.shape() else {
                let dimensions = buffer.dimensions();
                return Err(wrong_value(format_args!(
                    "vectors have {dimensions} dimensions: give a row for each node"
                )));
            };
            (numbers_in(vectors)?, rows, length)
        }
        Err(_) => {
            let (mut floats, mut rows, mut length) = (Vec::new(), 0, None);
            values::require_sequence(vectors, "vectors", "give a row for each node")?;
            for vector in vectors.try_iter()? {
                let vector = values::vector(&vector?)?;
                let first = *length.get_or_insert(vector.len());
                if vector.len() != first {
                    let what = format_args!("a vector has {} components, and one before it {first}", vector.len());
                    return Err(wrong_value(what));
                }
                reserve(&mut floats, vector.len())?;
                floats.extend(vector);
                rows += 1;
            }
            (floats, rows, length.unwrap_or(0))
        }
    };
    if rows != nodes {
        return Err(wrong_value(format_args!("there are {nodes} ids and {rows} vectors: give one for each")));
    }
    Ok((floats, length))
}

#[pymethods]
impl GraphWriter {
    /// Stores a vector for each of many nodes: all of them, or none. `vectors` is a buffer of float32 with a row for each, as a matrix of
    /// NumPy is, or as many vectors. Raises as `set_node_vector` does.
    fn set_node_vectors(
        slf: &Bound<'_, Self>,
        ids: &Bound<'_, PyAny>,
        name: &str,
        vectors: &Bound<'_, PyAny>,
    ) -> Outcome {
        let of = ids_of(ids, "ids")?;
        let (floats, length) = rows_of(vectors, of.len())?;
        Self::write_many(slf, of.len(), |tx| {
            let vector = |(place, id): (usize, u64)| {
                (NodeId(id), floats.get(place * length..(place + 1) * length).unwrap_or_default())
            };
            let vectors: Vec<_> = of.into_iter().enumerate().map(vector).collect();
            tx.set_node_vectors_batch(name, &vectors)
        })
    }

    /// Adds many edges of one type: from each node of `src` to the one at the same place of `dst`. All of them, or none. Raises as
    /// `add_edge` does.
    fn add_edges_of_type(
        slf: &Bound<'_, Self>,
        r#type: &str,
        src: &Bound<'_, PyAny>,
        dst: &Bound<'_, PyAny>,
    ) -> Outcome {
        let (src, dst) = (ids_of(src, "src")?, ids_of(dst, "dst")?);
        if src.len() != dst.len() {
            let (from, to) = (src.len(), dst.len());
            return Err(wrong_value(format_args!("there are {from} ids in src and {to} in dst: give one for each")));
        }
        Self::write_many(slf, src.len(), move |tx| {
            if src.is_empty() {
                return Ok(());
            }
            let ty = tx.etype_id_or_create(r#type)?;
            let edge = |(src, dst): (u64, u64)| (EdgeKey::new(NodeId(src), ty, NodeId(dst)), [].as_slice());
            let edges: Vec<_> = src.into_iter().zip(dst).map(edge).collect();
            tx.add_edges_with_props_batch(&edges)
        })
    }
}
