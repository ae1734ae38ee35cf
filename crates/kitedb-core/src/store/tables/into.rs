//! Table 3: edges by their destination. The same edges as in `out`, with their ranks ([`super::ranks`]), without properties.

use super::{RunBounds, Stage, TableKind, adjacency, ranks};
use crate::{
    error::Result,
    graph::{Direction, EdgeKey},
    store::{
        changes::Changes,
        merge::{Merge, contradiction},
        parts::{BlobWriter, ListWriter},
        row::{EntryKind, code},
        run::Run,
        run_writer::{RunWriter, out_of_order},
        section_writer::Sink,
    },
};

impl RunWriter<'_> {
    /// An edge at its destination.
    #[inline]
    pub fn in_edge(&mut self, edge: EdgeKey, kind: EntryKind) -> Result<()> {
        let (stage, sink, meta) = self.at::<Writer>()?;
        adjacency::note_edge(meta, edge, kind)?;
        let Some(edges) = &mut stage.edges else { return Err(out_of_order(Writer::ROW)) };
        let number = edges.push(sink, edge.dst.0, (code(edge.ty.0, kind), edge.src.0, edge.rank))?;
        if edge.rank == 0 { Ok(()) } else { ranks::write(&mut stage.ranks, sink, number, edge.rank) }
    }
}

/// Edges being written by their destination.
pub struct Writer {
    edges: Option<ListWriter>,
    ranks: Option<BlobWriter>,
}

impl Stage for Writer {
    const ROW: &'static str = "in edge";

    fn begin(sink: &Sink<'_>, bounds: &RunBounds, _: &Run) -> Result<Self> {
        let units = ListWriter::units(bounds.into, bounds.max_type_id);
        Ok(Self {
            edges: adjacency::begin(sink, TableKind::In, bounds.into, bounds)?,
            ranks: ranks::begin(sink, TableKind::InRanks, bounds.in_ranks, units)?,
        })
    }

    fn finish(self, sink: &mut Sink<'_>, run: &mut Run) -> Result<()> {
        run.tables.into = ListWriter::finish_any(self.edges, sink)?;
        run.tables.in_ranks = BlobWriter::finish_any(self.ranks, sink)?;
        Ok(())
    }

    fn measure(changes: &Changes<'_>, bounds: &mut RunBounds) {
        let mut ends: Vec<u64> = changes.edges.iter().map(|(edge, _, _)| edge.dst.0).collect();
        ends.sort_unstable();
        ends.into_iter().for_each(|id| bounds.into.add_item(id));
        changes.edges.iter().for_each(|(edge, _, _)| ranks::measure(edge.rank, &mut bounds.in_ranks));
    }

    fn write(changes: &Changes<'_>, writer: &mut RunWriter<'_>) -> Result<()> {
        let mut incoming: Vec<(EdgeKey, EntryKind)> = changes.edges.iter().map(|(e, kind, _)| (*e, *kind)).collect();
        incoming.sort_unstable_by_key(|(e, _)| (e.dst, e.ty, e.src, e.rank));
        incoming.into_iter().try_for_each(|(edge, kind)| writer.in_edge(edge, kind))
    }

    fn merge(merge: &mut Merge<'_>, writer: &mut RunWriter<'_>) -> Result<()> {
        let incoming = adjacency::merge_edges(merge, Direction::In, writer, |writer, edge, kind, _, _| {
            writer.in_edge(edge, kind)
        })?;
        if incoming != merge.outgoing {
            return Err(contradiction("the edges at their sources are not those at their destinations"));
        }
        Ok(())
    }

    fn check(run: &Run) -> Result<()> {
        ranks::check(run, Direction::In)
    }
}
