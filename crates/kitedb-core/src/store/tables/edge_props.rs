//! Table 4: the properties of edges, by the number of their entry in `out`. A row is the canonical bytes of a property
//! list; an edge without properties has none. `out` writes and merges it along with its entries.

use crate::{
    error::Result,
    graph::{Direction, NodeId, PropList},
    store::{row::Row, run::Run},
};

impl Run {
    /// The properties of the entry at `at` of `row`, an outgoing row of this run.
    #[inline]
    pub fn edge_props(&self, row: &Row<'_>, at: usize) -> Result<PropList<'_>> {
        self.numbered_edge_props(row.ordinal(at))
    }

    /// The properties of the entry of that number ([`Row::ordinal`]) among those of outgoing rows of this run.
    #[inline]
    pub fn numbered_edge_props(&self, number: u64) -> Result<PropList<'_>> {
        let Some(props) = &self.tables.edge_props else { return Ok(PropList::default()) };
        Ok(PropList::from_bytes(props.get(number)?.unwrap_or_default()))
    }

    /// Whether any edge of this run has properties.
    pub fn has_edge_props(&self) -> bool {
        self.tables.edge_props.is_some()
    }
}

/// Fails if properties are those of no entry.
pub(super) fn check(run: &Run) -> Result<()> {
    let Some(props) = &run.tables.edge_props else { return Ok(()) };
    let mut rows = run.rows_from(Direction::Out, NodeId(0));
    let mut entries = 0..0;
    for list in props.scan(0) {
        let (number, _, _) = list?;
        while number >= entries.end {
            let Some(row) = rows.next() else { return Err(props.payload.inconsistent("properties of no edge")) };
            let (_, row) = row?;
            entries = row.ordinal(0)..row.ordinal(row.len());
        }
        if !entries.contains(&number) {
            return Err(props.payload.inconsistent("properties of no edge"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::{
        error::ErrorCode,
        graph::{EdgeKey, EdgeTypeId, NodeId},
        io::sim::SimDisk,
        store::{row::EntryKind, run_bounds::RunBounds, tables::out, tests},
    };

    #[test]
    fn properties_of_no_edge_are_found_by_a_check() {
        for (number, fits) in [(0, true), (1, false), (5, false)] {
            let store = tests::create(&SimDisk::new(1));
            let mut bounds = RunBounds { max_node_id: 2, ..RunBounds::default() };
            bounds.out.add(1, 10);
            bounds.edge_props.add(0, 10);
            let mut pace = |_| Ok(());
            let mut writer = store.begin_run(&bounds, &mut pace).unwrap();
            writer.out_edge(EdgeKey::new(NodeId(1), EdgeTypeId(0), NodeId(2)), EntryKind::Add, &[]).unwrap();
            let (stage, sink, _) = writer.at::<out::Writer>().unwrap();
            let props = stage.props.as_mut().unwrap();
            props.begin(sink, number).unwrap();
            props.push(sink, &[1, 0]).unwrap();
            let found = writer.finish().unwrap().check().map_err(|e| e.code());
            assert_eq!(found, if fits { Ok(()) } else { Err(ErrorCode::Corrupt) }, "{number}");
        }
    }
}
