//! Table 2: edges by their source. The properties ([`super::edge_props`]) and ranks ([`super::ranks`]) of its entries go
//! along.

use super::{RunBounds, Stage, TableKind, adjacency, ranks};
use crate::{
    error::Result,
    graph::{Direction, EdgeKey},
    store::{
        bounds::TableBounds,
        changes::Changes,
        merge::Merge,
        parts::{BlobWriter, ListWriter},
        row::{EntryKind, code},
        run::Run,
        run_writer::{RunWriter, out_of_order},
        section_writer::Sink,
    },
};

impl RunWriter<'_> {
    /// An edge at its source, with its properties' canonical bytes (none for [`EntryKind::Remove`]).
    #[inline]
    pub fn out_edge(&mut self, edge: EdgeKey, kind: EntryKind, props: &[u8]) -> Result<()> {
        let (stage, sink, meta) = self.at::<Writer>()?;
        adjacency::note_edge(meta, edge, kind)?;
        let Some(edges) = &mut stage.edges else { return Err(out_of_order(Writer::ROW)) };
        let number = edges.push(sink, edge.src.0, (code(edge.ty.0, kind), edge.dst.0, edge.rank))?;
        if edge.rank != 0 {
            ranks::write(&mut stage.ranks, sink, number, edge.rank)?;
        }
        if !props.is_empty() && kind != EntryKind::Remove {
            let Some(table) = &mut stage.props else { return Err(out_of_order("edge property list")) };
            table.begin(sink, number)?;
            table.push(sink, props)?;
        }
        Ok(())
    }
}

/// Edges being written by their source, with their properties and ranks.
pub struct Writer {
    pub(super) edges: Option<ListWriter>,
    pub(super) props: Option<BlobWriter>,
    pub(super) ranks: Option<BlobWriter>,
}

impl Stage for Writer {
    const ROW: &'static str = "out edge";

    fn begin(sink: &Sink<'_>, bounds: &RunBounds, _: &Run) -> Result<Self> {
        let units = ListWriter::units(bounds.out, bounds.max_type_id);
        let props = TableBounds { first: 0, last: units.saturating_sub(1), ..bounds.edge_props };
        Ok(Self {
            edges: adjacency::begin(sink, TableKind::Out, bounds.out, bounds)?,
            props: BlobWriter::new(sink, TableKind::EdgeProps, props)?,
            ranks: ranks::begin(sink, TableKind::OutRanks, bounds.out_ranks, units)?,
        })
    }

    fn finish(self, sink: &mut Sink<'_>, run: &mut Run) -> Result<()> {
        run.tables.out = ListWriter::finish_any(self.edges, sink)?;
        run.tables.edge_props = BlobWriter::finish_any(self.props, sink)?;
        run.tables.out_ranks = BlobWriter::finish_any(self.ranks, sink)?;
        Ok(())
    }

    fn measure(changes: &Changes<'_>, bounds: &mut RunBounds) {
        for (edge, _, props) in &changes.edges {
            bounds.out.add_item(edge.src.0);
            if !props.is_empty() {
                bounds.edge_props.add(0, props.len() as u64);
            }
            ranks::measure(edge.rank, &mut bounds.out_ranks);
            bounds.max_node_id = bounds.max_node_id.max(edge.src.0).max(edge.dst.0);
            bounds.max_type_id = bounds.max_type_id.max(edge.ty.0);
        }
    }

    fn write(changes: &Changes<'_>, writer: &mut RunWriter<'_>) -> Result<()> {
        changes.edges.iter().try_for_each(|(edge, kind, props)| writer.out_edge(*edge, *kind, props))
    }

    fn merge(merge: &mut Merge<'_>, writer: &mut RunWriter<'_>) -> Result<()> {
        let runs = merge.runs;
        merge.outgoing =
            adjacency::merge_edges(merge, Direction::Out, writer, |writer, edge, kind, (run, row), at| {
                match runs.get(run) {
                    Some(run) if kind != EntryKind::Remove => {
                        writer.out_edge(edge, kind, run.edge_props(&row, at)?.as_bytes())
                    }
                    _ => writer.out_edge(edge, kind, &[]),
                }
            })?;
        Ok(())
    }

    fn check(run: &Run) -> Result<()> {
        super::edge_props::check(run)?;
        ranks::check(run, Direction::Out)
    }
}
