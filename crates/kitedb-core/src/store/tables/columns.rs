//! Table 9: copies of what nodes have under a property key, in columns (see [`crate::store::dense`]). A run of many nodes
//! has one for each key and each kind of fixed width that at least a quarter of the ids from the first to the last that
//! has such a value have. They follow from the records and are written behind them; records stay whole.

use crate::{
    error::{Error, Result},
    graph::{Date, LocalTime, NodeId, NodeRecord, PropKeyId, ValueRef, codec::Reader},
    store::{
        dense::{ColumnKind, ColumnMeta, Dense, DenseColumn},
        dense_writer::{DenseWriter, GatheredColumn},
        keys::entry_record,
        parts::Blob,
        run::Run,
        section_writer::Sink,
        tables::TableKind,
    },
};
use rustc_hash::FxHashMap;

/// Nodes that make a column worth its bytes: the records of fewer are read through in less than a tenth of a second. Tests
/// see small ones.
pub(super) const LEAST: u64 = if cfg!(test) { 12 } else { 1 << 20 };
/// What the columns of one pass over the records may hold in memory. Tests see many passes.
const HELD: u64 = if cfg!(test) { 256 } else { 64 << 20 };
/// What a column that has a pass for itself may hold.
const PIECE: usize = if cfg!(test) { 100 } else { 1 << 20 };

/// The kinds of fixed width.
const KINDS: [ColumnKind; 5] =
    [ColumnKind::Bool, ColumnKind::I64, ColumnKind::F64, ColumnKind::Date, ColumnKind::LocalTime];

impl Run {
    /// The values of `kind` that its live nodes have under `key`, if there is a column of them.
    pub fn column(&self, key: PropKeyId, kind: ColumnKind) -> Result<Option<Column<'_>>> {
        let Some(columns) = &self.tables.columns else { return Ok(None) };
        Ok(columns.column(key, kind)?.map(Column))
    }
}

/// The values of one kind under one property key.
#[derive(Debug, Clone, Copy)]
pub struct Column<'a>(DenseColumn<'a>);

impl<'a> Column<'a> {
    /// The node's value; `None`: it has none of this kind.
    pub fn get(&self, id: NodeId) -> Result<Option<ValueRef<'a>>> {
        self.0.get(id.0)?.map(|bytes| self.value(bytes)).transpose()
    }

    /// Whether no live node of the run has a value of another kind under the key: who is not here has none at all.
    pub fn is_whole(&self) -> bool {
        self.0.meta.whole
    }

    /// How many values there are.
    pub fn len(&self) -> u64 {
        self.0.meta.count
    }

    fn value(&self, bytes: &[u8]) -> Result<ValueRef<'a>> {
        let mut number = [0; 8];
        number.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        let number = u64::from_le_bytes(number);
        let relative = self.0.meta.base.wrapping_add(number as i64);
        let outside = |e: Error| self.0.contradiction(&e.to_string());
        Ok(match self.0.meta.kind {
            ColumnKind::Bool => ValueRef::Bool(number != 0),
            ColumnKind::F64 => ValueRef::F64(f64::from_bits(number)),
            ColumnKind::Date => ValueRef::Date(Date::new(relative).map_err(outside)?),
            ColumnKind::LocalTime => ValueRef::LocalTime(LocalTime::new(relative as u64).map_err(outside)?),
            ColumnKind::I64 | ColumnKind::Vector => ValueRef::I64(relative),
        })
    }
}

/// As [`fixed`], of an encoded value; those of other kinds are not decoded.
fn decode_fixed(encoded: &[u8]) -> Result<Option<(ColumnKind, u64)>> {
    if !ValueRef::has_fixed_width(encoded) {
        return Ok(None);
    }
    ValueRef::decode(&mut Reader::new(encoded)).map(fixed)
}

/// The kind and the bits of a value of fixed width; `None`: it is of another kind.
fn fixed(value: ValueRef<'_>) -> Option<(ColumnKind, u64)> {
    match value {
        ValueRef::Bool(value) => Some((ColumnKind::Bool, value.into())),
        ValueRef::I64(value) => Some((ColumnKind::I64, value as u64)),
        ValueRef::F64(value) => Some((ColumnKind::F64, value.to_bits())),
        ValueRef::Date(value) => Some((ColumnKind::Date, value.days() as u64)),
        ValueRef::LocalTime(value) => Some((ColumnKind::LocalTime, value.nanos())),
        _ => None,
    }
}

/// What is known of the values under each key, once all records were seen.
#[derive(Debug, Default)]
pub(super) struct Tally(FxHashMap<PropKeyId, OfKey>);

#[derive(Debug, Default)]
struct OfKey {
    /// In the order of [`KINDS`].
    kinds: [OfKind; KINDS.len()],
    /// Values of other kinds.
    others: u64,
}

#[derive(Debug, Clone, Copy)]
struct OfKind {
    count: u64,
    first: u64,
    last: u64,
    min: i64,
    max: i64,
}

impl Default for OfKind {
    fn default() -> Self {
        Self { count: 0, first: 0, last: 0, min: i64::MAX, max: i64::MIN }
    }
}

impl Tally {
    /// Takes a record into account. Ids ascend.
    pub fn add(&mut self, record: &NodeRecord<'_>) -> Result<()> {
        if record.is_dead() {
            return Ok(());
        }
        let id = record.id().0;
        for prop in record.props()?.encoded() {
            let (key, encoded) = prop?;
            let of_key = self.0.entry(key).or_default();
            let Some((kind, bits)) = decode_fixed(encoded)? else {
                of_key.others += 1;
                continue;
            };
            for (of, _) in of_key.kinds.iter_mut().zip(KINDS).filter(|(_, other)| *other == kind) {
                of.first = if of.count == 0 { id } else { of.first };
                of.last = id;
                of.count += 1;
                (of.min, of.max) = (of.min.min(bits as i64), of.max.max(bits as i64));
            }
        }
        Ok(())
    }

    /// The columns that are worth it.
    fn columns(self) -> Vec<ColumnMeta> {
        let mut columns = Vec::new();
        for (key, OfKey { kinds, others }) in self.0 {
            let all = others + kinds.iter().map(|of| of.count).sum::<u64>();
            for (OfKind { count, first, last, min, max }, kind) in kinds.into_iter().zip(KINDS) {
                // A quarter of a span cannot overflow, as four times a count could.
                if count < LEAST || (last - first) / 4 >= count {
                    continue;
                }
                let (width, base) = match kind {
                    ColumnKind::Bool => (1, 0),
                    ColumnKind::F64 | ColumnKind::Vector => (8, 0),
                    ColumnKind::I64 | ColumnKind::Date | ColumnKind::LocalTime => {
                        (width(max.wrapping_sub(min) as u64), min)
                    }
                };
                let whole = count == all;
                columns.push(ColumnMeta { key, kind, whole, width, first, last, count, values: 0, lines: 0, base });
            }
        }
        columns.sort_unstable_by_key(|column| (column.key, column.kind));
        columns
    }
}

/// The bytes that numbers up to `max` take.
fn width(max: u64) -> u64 {
    match max {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}

/// Writes the columns that follow from `records`, which `tally` has seen. Reads them once for each group of columns that
/// fits into memory.
pub(super) fn build(sink: &mut Sink<'_>, records: &Blob, tally: Tally) -> Result<Option<Dense>> {
    let columns = tally.columns();
    let Some(mut table) = DenseWriter::new(sink, TableKind::Columns, &columns)? else { return Ok(None) };
    let mut rest = columns.as_slice();
    while let [first, others @ ..] = rest {
        let mut held = first.held();
        let more = others.iter().take_while(|column| {
            held = held.saturating_add(column.held());
            held <= HELD
        });
        let (group, after) = rest.split_at(1 + more.count());
        rest = after;
        let mut group: Vec<_> = group.iter().map(|meta| GatheredColumn::new(*meta)).collect();
        for row in records.scan(0) {
            gather(&mut group, &entry_record(row?.2)?)?;
            // One that has the pass for itself may be larger than memory.
            if let [alone] = group.as_mut_slice()
                && alone.held() >= PIECE
            {
                table.drain(sink, alone)?;
            }
        }
        group.into_iter().try_for_each(|column| table.end(sink, column))?;
    }
    table.finish(sink)
}

/// Adds what `record` has to the columns of `group`.
fn gather(group: &mut [GatheredColumn], record: &NodeRecord<'_>) -> Result<()> {
    if record.is_dead() {
        return Ok(());
    }
    for prop in record.props()?.encoded() {
        let (key, encoded) = prop?;
        let start = group.partition_point(|column| column.meta.key < key);
        let of_key = group.iter_mut().skip(start).take_while(|column| column.meta.key == key);
        let mut of_key = of_key.peekable();
        if of_key.peek().is_none() {
            continue;
        }
        let Some((kind, bits)) = decode_fixed(encoded)? else { continue };
        for column in of_key.filter(|column| column.meta.kind == kind) {
            let number = bits.wrapping_sub(column.meta.base as u64).to_le_bytes();
            let (value, _) = number.split_at(number.len().min(column.meta.width as usize));
            column.push(record.id().0, value)?;
        }
    }
    Ok(())
}

/// Fails if columns are not what follows from the records.
pub(super) fn check(run: &Run) -> Result<()> {
    let Some(table) = &run.tables.columns else { return Ok(()) };
    table.check()?;
    for stored in table.columns() {
        let stored = stored?;
        let (key, kind) = (stored.meta.key, stored.meta.kind);
        let Some(column) = run.column(key, kind)? else { continue };
        let (mut found, mut whole) = (0, true);
        for record in run.nodes_from(NodeId(0)) {
            let record = record?;
            let value = if record.is_dead() { None } else { record.props()?.get(key)? };
            let expected = value.and_then(fixed).filter(|(other, _)| *other == kind);
            whole &= value.is_some() == expected.is_some();
            found += u64::from(expected.is_some());
            if column.get(record.id())?.and_then(fixed) != expected {
                return Err(
                    stored.contradiction(&format!("its value of node {} is not that of the record", record.id()))
                );
            }
        }
        if found != column.len() || whole != column.is_whole() {
            return Err(stored.contradiction("it is not that of the records"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        error::ErrorCode,
        graph::{NodeRecordBuf, PropListBuf, Value},
        io::sim::SimDisk,
        store::{Changes, Run, tests},
    };
    use std::{collections::BTreeMap, sync::Arc};

    type Props = Vec<(u32, Value)>;

    fn run(nodes: &BTreeMap<u64, Props>) -> Arc<Run> {
        let record = |(id, props): (&u64, &Props)| {
            let pairs: Vec<_> = props.iter().map(|(key, value)| (PropKeyId(*key), value.clone())).collect();
            let props = PropListBuf::from_pairs(&pairs).unwrap();
            (NodeId(*id), NodeRecordBuf::default().live(NodeId(*id), None, &[], props.as_list()).to_vec())
        };
        let records: Vec<_> = nodes.iter().map(record).collect();
        let nodes = records.iter().map(|(id, record)| (*id, record.as_slice())).collect();
        let store = tests::create(&SimDisk::new(1));
        store.write_run(&Changes { nodes, ..Changes::default() }, &mut |_| Ok(())).unwrap()
    }

    /// 1000 nodes with numbers of every width, some with other values under the same key, and some with none.
    fn many() -> BTreeMap<u64, Props> {
        let wide = |id: u64, bytes: u32| Value::I64(-7 + (id as i64 % 2) * (1i64 << (8 * bytes - 1)).wrapping_sub(1));
        (1..=1000u64)
            .map(|id| {
                let mut props =
                    vec![(1, Value::I64(id as i64 % 3)), (2, wide(id, 2)), (3, wide(id, 4)), (4, wide(id, 8))];
                props.push((5, Value::F64(-(id as f64) / 3.0)));
                if id % 3 == 0 {
                    props.push((6, Value::Bool(id % 2 == 0)));
                }
                props.push((7, if id % 2 == 0 { Value::I64(i64::MIN) } else { Value::F64(f64::NAN) }));
                props.push((8, if id == 9 { "nine".into() } else { Value::I64(i64::MAX) }));
                if id % 5 == 0 {
                    props.push((9, Value::I64(1)));
                }
                if id < 10 {
                    props.push((10, Value::Bool(true)));
                }
                props.push((11, Date::new(id as i64 * 100 - 300_000_000_000).unwrap().into()));
                props.push((12, LocalTime::new(86_399_999_999_999 / id).unwrap().into()));
                (id, props)
            })
            .collect()
    }

    #[test]
    fn each_kind_that_a_quarter_of_the_nodes_have_lies_in_a_column() {
        use ColumnKind::{Bool, Date, F64, I64, LocalTime};
        let nodes = many();
        let run = run(&nodes);
        run.check().unwrap();
        let table = run.tables.columns.as_ref().unwrap();
        let found: Vec<_> = table
            .columns()
            .map(|column| column.unwrap().meta)
            .map(|meta| (meta.key.0, meta.kind, meta.width, meta.whole, meta.is_full()))
            .collect();
        let expected = [
            (1, I64, 1, true, true),
            (2, I64, 2, true, true),
            (3, I64, 4, true, true),
            (4, I64, 8, true, true),
            (5, F64, 8, true, true),
            (6, Bool, 1, true, false),
            (7, I64, 1, false, false),
            (7, F64, 8, false, false),
            (8, I64, 1, false, false),
            (11, Date, 4, true, true),
            (12, LocalTime, 8, true, true),
        ];
        // A fifth of the nodes have key 9, and fewer than are worth it have key 10.
        assert_eq!(found, expected);
        for (key, kind, ..) in expected {
            let column = run.column(PropKeyId(key), kind).unwrap().unwrap();
            for (id, props) in &nodes {
                let value = props.iter().find(|(other, _)| *other == key).map(|(_, value)| value);
                let expected = value.filter(|value| {
                    matches!(
                        (value, kind),
                        (Value::I64(_), I64)
                            | (Value::F64(_), F64)
                            | (Value::Bool(_), Bool)
                            | (Value::Date(_), Date)
                            | (Value::LocalTime(_), LocalTime)
                    )
                });
                let found = column.get(NodeId(*id)).unwrap().map(ValueRef::to_value);
                assert_eq!(format!("{found:?}"), format!("{:?}", expected.cloned()), "{key} {id}");
            }
            assert!([0, 1001, u64::MAX].iter().all(|id| column.get(NodeId(*id)).unwrap().is_none()));
        }
    }

    #[test]
    fn columns_that_are_not_those_of_the_records_are_found_by_a_check() {
        type Change = fn(&mut BTreeMap<u64, Props>);
        let changes: [(&str, Change); 6] = [
            ("a node lacks a date", |nodes| nodes.get_mut(&500).unwrap().retain(|(key, _)| *key != 11)),
            ("a value is another one", |nodes| nodes.get_mut(&500).unwrap()[4].1 = Value::F64(0.5)),
            ("a node lacks a value", |nodes| drop(nodes.get_mut(&500).unwrap().remove(0))),
            ("a node has a value more", |nodes| nodes.get_mut(&500).unwrap().insert(5, (6, Value::Bool(true)))),
            ("a node is not there", |nodes| drop(nodes.remove(&500))),
            ("a node has a value of another kind", |nodes| nodes.get_mut(&500).unwrap()[0].1 = "x".into()),
        ];
        for (what, change) in changes {
            let mut nodes = many();
            let (mut stored, fits) = (run(&nodes), run(&nodes));
            change(&mut nodes);
            let mut other = run(&nodes);
            let others = Arc::get_mut(&mut other).unwrap().tables.columns.take();
            Arc::get_mut(&mut stored).unwrap().tables.columns = others;
            assert_eq!(stored.check().unwrap_err().code(), ErrorCode::Corrupt, "{what}");
            fits.check().unwrap();
        }
    }
}
