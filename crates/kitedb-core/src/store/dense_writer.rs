//! Writes a table of columns (see [`super::dense`]): one column after the other, each within what was found beforehand.

use super::{
    dense::{ColumnMeta, Dense, LINE, LINE_IDS},
    meta::{Part, SectionId, TableMeta},
    row::impossible,
    section_writer::{SectionWriter, Sink},
    table_kind::TableKind,
};
use crate::error::Result;

/// A table of columns being written.
pub(super) struct DenseWriter {
    meta: TableMeta,
    payload: SectionWriter,
    /// `None`: each column is full.
    presence: Option<SectionWriter>,
    directory: SectionWriter,
}

impl DenseWriter {
    /// A table for `columns`, which says everything of them but their places. `None`: there are none.
    pub fn new(sink: &Sink<'_>, kind: TableKind, columns: &[ColumnMeta]) -> Result<Option<Self>> {
        let section = |part, width, bound| SectionWriter::new(sink, SectionId { table: kind, part }, width, bound);
        let values = |column: &ColumnMeta| (column.count * column.width).next_multiple_of(LINE as u64);
        let lines = columns.iter().map(ColumnMeta::line_count).sum::<u64>() * LINE as u64;
        let (Some(first), Some(last)) = (columns.iter().map(|c| c.first).min(), columns.iter().map(|c| c.last).max())
        else {
            return Ok(None);
        };
        Ok(Some(Self {
            meta: TableMeta { kind, first, last, rows: 0, items: 0, code_width: 0, sparse: None },
            payload: section(Part::Payload, 1, columns.iter().map(values).sum())?,
            presence: if lines > 0 { Some(section(Part::Presence, 8, lines)?) } else { None },
            directory: section(Part::Directory, 8, (columns.len() * LINE) as u64)?,
        }))
    }

    /// Writes what `column` has gathered so far. Between the first piece of a column and its end there is no other column.
    pub fn drain(&mut self, sink: &mut Sink<'_>, column: &mut GatheredColumn) -> Result<()> {
        if !column.begun {
            column.meta.values = self.payload.len();
            column.meta.lines = match &self.presence {
                Some(presence) if !column.meta.is_full() => presence.len(),
                _ => 0,
            };
            column.begun = true;
        }
        self.payload.push(sink, &column.values)?;
        column.values.clear();
        if let Some(presence) = &mut self.presence {
            presence.push(sink, &column.lines)?;
        }
        column.lines.clear();
        Ok(())
    }

    /// Ends `column`, which comes after all that were ended before.
    pub fn end(&mut self, sink: &mut Sink<'_>, mut column: GatheredColumn) -> Result<()> {
        column.end_line();
        self.drain(sink, &mut column)?;
        let meta = column.meta;
        if column.count != meta.count || column.last != Some(meta.last) {
            return Err(impossible(format_args!("a column has {} values, announced was {meta:?}", column.count)));
        }
        let rest = self.payload.len().next_multiple_of(LINE as u64) - self.payload.len();
        self.payload.push(sink, &[0; LINE][..rest as usize])?;
        self.meta.rows += meta.count;
        self.meta.items += meta.count * meta.width;
        self.directory.push(sink, &meta.encode())
    }

    pub fn finish(self, sink: &mut Sink<'_>) -> Result<Option<Dense>> {
        let presence = self.presence.map(|presence| presence.finish(sink)).transpose()?.flatten();
        let (directory, payload) = (self.directory.finish(sink)?, self.payload.finish(sink)?);
        let both = directory.zip(payload);
        both.map(|(directory, payload)| Dense::new(self.meta, directory, payload, presence)).transpose()
    }
}

/// Values of one column, gathered in memory until they are drained.
pub(super) struct GatheredColumn {
    /// What was found beforehand.
    pub meta: ColumnMeta,
    values: Vec<u8>,
    lines: Vec<u8>,
    /// The line that the last value belongs to, and its number.
    line: [u64; 8],
    number: u64,
    count: u64,
    last: Option<u64>,
    begun: bool,
}

impl GatheredColumn {
    pub fn new(meta: ColumnMeta) -> Self {
        let (values, lines) = (Vec::new(), Vec::new());
        Self { meta, values, lines, line: [0; 8], number: 0, count: 0, last: None, begun: false }
    }

    /// Bytes that it holds in memory.
    pub fn held(&self) -> usize {
        self.values.len() + self.lines.len()
    }

    /// Adds the value of a node, after those of lesser ids.
    #[inline]
    pub fn push(&mut self, id: u64, value: &[u8]) -> Result<()> {
        let ColumnMeta { first, last, width, .. } = self.meta;
        let follows = self.last.map_or(id == first, |before| before < id);
        if !follows || id > last || value.len() as u64 != width {
            return Err(impossible(format_args!("value of node {id} in column {:?} after {:?}", self.meta, self.last)));
        }
        if !self.meta.is_full() {
            let at = id - first;
            while self.number < at / LINE_IDS {
                self.end_line();
                self.number += 1;
                self.line = [self.count, 0, 0, 0, 0, 0, 0, 0];
            }
            let bit = at % LINE_IDS;
            if let Some(word) = self.line.get_mut(1 + (bit / 64) as usize) {
                *word |= 1 << (bit % 64);
            }
        }
        self.values.extend_from_slice(value);
        self.count += 1;
        self.last = Some(id);
        Ok(())
    }

    fn end_line(&mut self) {
        if !self.meta.is_full() {
            self.lines.extend_from_slice(bytemuck::bytes_of(&self.line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        graph::PropKeyId,
        io::sim::SimDisk,
        store::{dense::ColumnKind, pace::Pace, tests},
    };
    use proptest::prelude::*;

    fn meta(key: u32, ids: &[u64]) -> ColumnMeta {
        let (first, last) = (ids[0], ids[ids.len() - 1]);
        let (kind, count) = (ColumnKind::I64, ids.len() as u64);
        ColumnMeta {
            key: PropKeyId(key),
            kind,
            whole: true,
            width: 8,
            first,
            last,
            count,
            values: 0,
            lines: 0,
            base: 0,
        }
    }

    proptest! {
        #[test]
        fn columns_read_back(
            columns in prop::collection::vec(prop::collection::btree_set(1u64..3000, 1..400), 1..4),
            from in prop_oneof![Just(0u64), Just(1 << 40), Just(u64::MAX - 4000)],
            drained in 1usize..3000,
        ) {
            let columns: Vec<Vec<u64>> = columns.iter().map(|ids| ids.iter().map(|id| from + id).collect()).collect();
            let store = tests::create(&SimDisk::new(1));
            let mut pace = |_| Ok(());
            let mut sink = Sink::new(store.space_to_write().unwrap(), &mut pace as &mut Pace<'_>);
            let metas: Vec<_> = columns.iter().enumerate().map(|(key, ids)| meta(key as u32, ids)).collect();
            let mut table = DenseWriter::new(&sink, TableKind::Columns, &metas).unwrap().unwrap();
            for (meta, ids) in metas.iter().zip(&columns) {
                let mut column = GatheredColumn::new(*meta);
                for id in ids {
                    column.push(*id, &id.to_le_bytes()).unwrap();
                    if column.held() >= drained {
                        table.drain(&mut sink, &mut column).unwrap();
                    }
                }
                table.end(&mut sink, column).unwrap();
            }
            let dense = table.finish(&mut sink).unwrap().unwrap();
            dense.check().unwrap();
            for (key, ids) in columns.iter().enumerate() {
                let column = dense.column(PropKeyId(key as u32), ColumnKind::I64).unwrap().unwrap();
                for id in from..from + 3001 {
                    let expected = ids.binary_search(&id).ok().map(|_| id.to_le_bytes());
                    prop_assert_eq!(column.get(id).unwrap(), expected.as_ref().map(|bytes| bytes.as_slice()));
                    let next = ids.iter().position(|other| *other >= id).map(|place| (ids[place], place as u64));
                    prop_assert_eq!(column.next_from(id).unwrap(), next);
                }
            }
        }
    }

    #[test]
    fn a_column_that_is_not_what_was_found_beforehand_is_refused() {
        let store = tests::create(&SimDisk::new(1));
        for (ids, fits) in [
            ([5, 6, 9].as_slice(), true),
            (&[5, 9], false),
            (&[6, 7, 9], false),
            (&[5, 6, 10], false),
            (&[5, 5, 9], false),
        ] {
            let mut pace = |_| Ok(());
            let mut sink = Sink::new(store.space_to_write().unwrap(), &mut pace as &mut Pace<'_>);
            let meta = meta(1, &[5, 6, 9]);
            let mut table = DenseWriter::new(&sink, TableKind::Columns, &[meta]).unwrap().unwrap();
            let mut column = GatheredColumn::new(meta);
            let pushed = ids.iter().try_for_each(|id| column.push(*id, &[0; 8]));
            let written = pushed.and_then(|()| table.end(&mut sink, column));
            assert_eq!(written.is_ok(), fits, "{ids:?}: {written:?}");
        }
    }
}
