//! Table 0: the names that a run defines, one after the other. Each is its kind (a byte), its id, the dimension of the
//! vectors stored under it (0: none) and the length of its text (varints), and the text.

use super::{RunBounds, Shape, Stage, TableKind};
use crate::{
    error::Result,
    graph::{
        NameKind,
        codec::{Reader, put_varint},
    },
    store::{
        changes::Changes,
        merge::{Merge, contradiction},
        meta::{Part, RunMeta, SectionId, TableMeta},
        run::{Run, RunName},
        run_writer::{RunWriter, out_of_order},
        section::Section,
        section_writer::{SectionWriter, Sink},
        table::Pool,
    },
};
use std::collections::{BTreeMap, btree_map::Entry};

impl Run {
    /// The names that it defines, in the order they were written.
    pub fn names(&self) -> Result<Vec<RunName>> {
        let Some(Names(section)) = &self.tables.names else { return Ok(Vec::new()) };
        let mut reader = Reader::new(section.slice(0, section.len())?);
        let mut names = Vec::new();
        while !reader.is_empty() {
            let kind = NameKind::from_byte(reader.u8()?)?;
            names.push((kind, reader.varint32()?, reader.varint32()?, reader.text()?.to_owned()));
        }
        Ok(names)
    }
}

impl RunWriter<'_> {
    /// A name, with the dimension of the vectors stored under it (0: none).
    pub fn name(&mut self, kind: NameKind, id: u32, dimension: u32, name: &str) -> Result<()> {
        let (stage, sink, meta) = self.at::<Writer>()?;
        let Some(section) = &mut stage.section else { return Err(out_of_order(Writer::ROW)) };
        stage.head.clear();
        stage.head.push(kind as u8);
        put_varint(&mut stage.head, id.into());
        put_varint(&mut stage.head, dimension.into());
        put_varint(&mut stage.head, name.len() as u64);
        meta.names += 1;
        section.push(sink, &stage.head)?;
        section.push(sink, name.as_bytes())
    }
}

/// The names of a run.
#[derive(Debug)]
pub struct Names(Section);

impl Shape for Names {
    fn open(_: &RunMeta, kind: TableKind, pool: &mut Pool) -> Result<Option<Self>> {
        Ok(pool.take(kind, Part::Payload).map(Self))
    }

    fn meta(&self) -> Option<&TableMeta> {
        None
    }

    fn sections(&self) -> Vec<&Section> {
        vec![&self.0]
    }
}

/// Names being written.
pub struct Writer {
    section: Option<SectionWriter>,
    /// What stands before a name's text.
    head: Vec<u8>,
}

impl Stage for Writer {
    const ROW: &'static str = "name";

    fn begin(sink: &Sink<'_>, bounds: &RunBounds, _: &Run) -> Result<Self> {
        // Kind, id, dimension and length take at most 16 bytes.
        let bound = bounds.names.items + 16 * bounds.names.rows;
        let id = SectionId { table: TableKind::Names, part: Part::Payload };
        let section = (bounds.names.rows > 0).then(|| SectionWriter::new(sink, id, 1, bound)).transpose()?;
        Ok(Self { section, head: Vec::new() })
    }

    fn finish(self, sink: &mut Sink<'_>, run: &mut Run) -> Result<()> {
        run.tables.names = self.section.map(|section| section.finish(sink)).transpose()?.flatten().map(Names);
        Ok(())
    }

    fn measure(changes: &Changes<'_>, bounds: &mut RunBounds) {
        for (_, id, _, name) in &changes.names {
            bounds.names.add((*id).into(), name.len() as u64);
        }
    }

    fn write(changes: &Changes<'_>, writer: &mut RunWriter<'_>) -> Result<()> {
        changes.names.iter().try_for_each(|(kind, id, dimension, name)| writer.name(*kind, *id, *dimension, name))
    }

    fn merge(merge: &mut Merge<'_>, writer: &mut RunWriter<'_>) -> Result<()> {
        let mut names = BTreeMap::new();
        for run in merge.runs {
            for (kind, id, dimension, name) in run.names()? {
                match names.entry((kind, id)) {
                    Entry::Vacant(entry) => drop(entry.insert((dimension, name))),
                    Entry::Occupied(entry) if entry.get().1 != name => {
                        let (was, kind) = (&entry.get().1, kind.noun());
                        return Err(contradiction(format_args!("{kind} {id} is '{was}' and '{name}'")));
                    }
                    // The length of vectors may be fixed later than the name.
                    Entry::Occupied(mut entry) => entry.get_mut().0 = dimension,
                }
            }
        }
        names.into_iter().try_for_each(|((kind, id), (dimension, name))| writer.name(kind, id, dimension, &name))
    }
}
