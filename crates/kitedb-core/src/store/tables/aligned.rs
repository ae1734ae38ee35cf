//! Table 10: vectors in columns (see [`crate::store::dense`]), in place of entries of table 6. The vectors of a property key
//! lie there if they are of one length, if at least a quarter of the ids from the first to the last that has one have one,
//! and if there are enough of them. Removals, and the rest, stay entries. No node has both under one key.

use super::{RunBounds, Stage, TableKind};
use crate::{
    error::Result,
    graph::{NodeId, PropKeyId, VectorRef},
    store::{
        bounds::TableBounds,
        changes::Changes,
        dense::{ColumnKind, ColumnMeta},
        dense_writer::{DenseWriter, GatheredColumn},
        merge::{Merge, for_each_key},
        run::Run,
        run_writer::{RunWriter, out_of_order},
        section_writer::Sink,
    },
};
use std::collections::BTreeMap;

/// Bytes of floats that make a column worth it: no less than it takes in the directory.
const LEAST: u64 = 64;
/// What a column may hold in memory.
const HELD: usize = 1 << 20;

impl Run {
    /// The vector of a node, if it lies in a column.
    #[inline]
    pub(super) fn aligned_vector(&self, node: NodeId, key: PropKeyId) -> Result<Option<VectorRef<'_>>> {
        let Some(aligned) = &self.tables.aligned else { return Ok(None) };
        match aligned.column(key, ColumnKind::Vector)? {
            Some(column) => Ok(column.get(node.0)?.map(VectorRef::from_bytes)),
            None => Ok(None),
        }
    }
}

/// What a run will say of vectors: which keys get a column, and the bounds of the entries that remain.
#[derive(Debug, Default)]
pub struct Plan {
    columns: Vec<ColumnMeta>,
    /// Bounds of table 6.
    pub rest: TableBounds,
}

impl Plan {
    /// Whether the vectors of `key` lie in a column.
    pub fn has(&self, key: PropKeyId) -> bool {
        self.columns.binary_search_by_key(&key, |column| column.key).is_ok()
    }

    /// The plan for `changes`.
    pub fn of(changes: &Changes<'_>) -> Self {
        let mut tally = Tally::default();
        changes.vectors.iter().for_each(|(node, key, vector)| tally.add(*node, *key, *vector));
        tally.plan()
    }
}

/// What is known of the vectors of each key.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<PropKeyId, OfKey>);

#[derive(Debug, Default)]
struct OfKey {
    /// Vectors, and as entries of table 6.
    vectors: TableBounds,
    removals: TableBounds,
    /// Bytes of the first vector, and whether all have as many.
    width: Option<u64>,
    mixed: bool,
}

impl Tally {
    /// Takes an entry into account. Nodes ascend.
    pub fn add(&mut self, node: NodeId, key: PropKeyId, vector: Option<&[u8]>) {
        let of = self.0.entry(key).or_default();
        match vector {
            None => of.removals.add(node.0, TableBounds::VECTOR_ENTRY),
            Some(floats) => {
                let width = floats.len() as u64;
                of.mixed |= *of.width.get_or_insert(width) != width;
                of.vectors.add(node.0, TableBounds::VECTOR_ENTRY + width);
            }
        }
    }

    /// What follows from all entries.
    pub fn plan(self) -> Plan {
        let mut plan = Plan::default();
        for (key, OfKey { vectors, removals, width, mixed }) in self.0 {
            let width = width.unwrap_or_default();
            plan.rest.join(removals);
            let TableBounds { rows: count, first, last, .. } = vectors;
            // A quarter of a span cannot overflow, as four times a count could.
            let dense = count > 0 && (last - first) / 4 < count && count.saturating_mul(width) >= LEAST;
            if mixed || !dense || !width.is_multiple_of(4) {
                plan.rest.join(vectors);
                continue;
            }
            let (kind, whole) = (ColumnKind::Vector, true);
            plan.columns.push(ColumnMeta { key, kind, whole, width, first, last, count, values: 0, lines: 0, base: 0 });
        }
        plan
    }
}

/// Columns of vectors being written.
pub struct Writer {
    table: Option<DenseWriter>,
}

/// Writes the columns of `plan`: `each` is called with a column's key, and hands its vectors on.
fn write(
    plan: &Plan,
    writer: &mut RunWriter<'_>,
    mut each: impl FnMut(PropKeyId, &mut dyn FnMut(NodeId, &[u8]) -> Result<()>) -> Result<()>,
) -> Result<()> {
    let (stage, sink, _) = writer.at::<Writer>()?;
    stage.table = DenseWriter::new(sink, TableKind::AlignedVectors, &plan.columns)?;
    for meta in &plan.columns {
        let Some(table) = &mut stage.table else { return Err(out_of_order(Writer::ROW)) };
        let mut column = GatheredColumn::new(*meta);
        each(meta.key, &mut |node, floats| {
            column.push(node.0, floats)?;
            if column.held() >= HELD { table.drain(sink, &mut column) } else { Ok(()) }
        })?;
        table.end(sink, column)?;
    }
    Ok(())
}

impl Stage for Writer {
    const ROW: &'static str = "column of vectors";

    fn begin(_: &Sink<'_>, _: &RunBounds, _: &Run) -> Result<Self> {
        Ok(Self { table: None })
    }

    fn finish(self, sink: &mut Sink<'_>, run: &mut Run) -> Result<()> {
        run.tables.aligned = self.table.map(|table| table.finish(sink)).transpose()?.flatten();
        Ok(())
    }

    fn measure(_: &Changes<'_>, _: &mut RunBounds) {}

    fn write(changes: &Changes<'_>, writer: &mut RunWriter<'_>) -> Result<()> {
        write(&Plan::of(changes), writer, |key, push| {
            let of_key = changes.vectors.iter().filter(|(_, other, _)| *other == key);
            of_key
                .filter_map(|(node, _, vector)| vector.map(|floats| (*node, floats)))
                .try_for_each(|(n, f)| push(n, f))
        })
    }

    fn merge(merge: &mut Merge<'_>, writer: &mut RunWriter<'_>) -> Result<()> {
        write(&merge.vectors, writer, |key, push| {
            for_each_key(merge.runs.iter().map(|run| run.vectors_from(NodeId(0))), |node, found| {
                // The newest run that says something of it decides.
                for (_, entries) in found.iter().rev() {
                    for entry in entries.clone() {
                        match entry? {
                            (other, Some(vector)) if other == key => return push(node, vector.as_bytes()),
                            (other, None) if other == key => return Ok(()),
                            _ => {}
                        }
                    }
                }
                Ok(())
            })
        })
    }

    fn check(run: &Run) -> Result<()> {
        run.tables.aligned.as_ref().map_or(Ok(()), |aligned| aligned.check())?;
        // Who has an entry as well as a value in a column is found by reading both.
        run.vectors_from(NodeId(0)).try_for_each(|item| item?.1.try_for_each(|entry| entry.map(drop)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        error::ErrorCode,
        io::sim::SimDisk,
        store::{merge, tests},
    };
    use std::sync::Arc;

    type Vectors = BTreeMap<(u64, u32), Option<Vec<f32>>>;

    fn run(store: &crate::store::Store, vectors: &Vectors) -> Arc<Run> {
        let bytes: Vec<_> = vectors.values().map(|v| v.as_ref().map(|v| bytemuck::cast_slice(v))).collect();
        let keys = vectors.keys().map(|(node, key)| (NodeId(*node), PropKeyId(*key)));
        let vectors = keys.zip(bytes).map(|((node, key), bytes)| (node, key, bytes)).collect();
        store.write_run(&Changes { vectors, ..Changes::default() }, &mut |_| Ok(())).unwrap()
    }

    fn read(run: &Run) -> Vectors {
        let mut vectors = Vectors::new();
        for item in run.vectors_from(NodeId(0)) {
            let (node, entries) = item.unwrap();
            for entry in entries {
                let (key, vector) = entry.unwrap();
                assert_eq!(run.vector(node, key).unwrap(), Some(vector));
                vectors.insert((node.0, key.0), vector.map(VectorRef::to_vec));
            }
        }
        vectors
    }

    fn columns(run: &Run) -> Vec<u32> {
        let columns = run.tables.aligned.iter().flat_map(|aligned| aligned.columns());
        columns.map(|column| column.unwrap().meta.key.0).collect()
    }

    /// Vectors of `length` floats of nodes from `first` on, each `step`th.
    fn some(key: u32, first: u64, step: u64, count: u64, length: usize) -> Vectors {
        (0..count).map(|at| ((first + at * step, key), Some(vec![at as f32; length]))).collect()
    }

    #[test]
    fn many_vectors_of_one_length_lie_aligned_in_place_of_entries() {
        let store = tests::create(&SimDisk::new(1));
        let mut vectors = some(1, 5, 1, 1000, 3);
        vectors.extend(some(3, 1, 3, 500, 2));
        // Too far from each other, too few, of two lengths, and none of any length.
        vectors.extend(some(2, 1, 5, 300, 3));
        vectors.extend(some(4, 1, 1, 5, 3));
        vectors.extend(some(5, 1, 1, 100, 3));
        vectors.extend(some(5, 200, 1, 100, 4));
        vectors.extend(some(6, 1, 1, 100, 0));
        vectors.insert((2, 1), None);
        let run = run(&store, &vectors);
        assert_eq!((columns(&run), read(&run)), (vec![1, 3], vectors));
        run.check().unwrap();
        let floats = run.vector(NodeId(6), PropKeyId(1)).unwrap().unwrap().unwrap().as_floats();
        assert_eq!(floats, Some([1.0; 3].as_slice()));
        assert_eq!(run.vector(NodeId(1005), PropKeyId(1)).unwrap(), None);
    }

    #[test]
    fn a_merge_moves_vectors_into_columns_and_back() {
        let store = tests::create(&SimDisk::new(1));
        // Given vectors far from each other, those between them, and removals of nearly all.
        let runs = [
            run(&store, &some(1, 1, 8, 100, 3)),
            run(&store, &(1..=800).filter(|id| id % 8 != 1).map(|id| ((id, 1), Some(vec![-1.0; 3]))).collect()),
            run(&store, &(2..800).map(|id| ((id, 1), None)).collect()),
        ];
        assert_eq!(runs.each_ref().map(|run| columns(run)), [vec![], vec![1], vec![]]);
        let mut expected = read(&runs[0]);
        expected.extend(read(&runs[1]));
        let merged = merge::merge_with(&store, &runs[..2], false, merge::Nodes::Unknown, &mut |_| Ok(())).unwrap();
        assert_eq!((columns(&merged), read(&merged)), (vec![1], expected.clone()));
        expected.extend(read(&runs[2]));
        for (oldest, runs) in
            [(false, runs.to_vec()), (false, vec![merged.clone(), runs[2].clone()]), (true, runs.to_vec())]
        {
            let merged = merge::merge_with(&store, &runs, oldest, merge::Nodes::Unknown, &mut |_| Ok(())).unwrap();
            expected.retain(|_, vector| vector.is_some() || !oldest);
            assert_eq!((columns(&merged), read(&merged)), (vec![], expected.clone()));
            merged.check().unwrap();
        }
    }

    #[test]
    fn a_node_with_an_entry_besides_its_vector_in_a_column_is_corrupt() {
        let store = tests::create(&SimDisk::new(1));
        let entries = Arc::into_inner(run(&store, &some(1, 50, 1, 1, 3))).unwrap().tables.vectors;
        let mut run = run(&store, &some(1, 1, 1, 100, 3));
        Arc::get_mut(&mut run).unwrap().tables.vectors = entries;
        let found = run.vectors_from(NodeId(0)).flat_map(|item| item.unwrap().1).find_map(Result::err);
        assert_eq!(found.unwrap().code(), ErrorCode::Corrupt);
        assert_eq!(run.check().unwrap_err().code(), ErrorCode::Corrupt);
        let merged = merge::merge_with(&store, &[run], true, merge::Nodes::Unknown, &mut |_| Ok(()));
        assert_eq!(merged.unwrap_err().code(), ErrorCode::Corrupt);
    }
}
