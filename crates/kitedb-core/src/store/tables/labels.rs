//! Table 5: the members of labels. A row is entries of nodes; a code tells whether the node gets the label or loses it.

use super::{RunBounds, Stage, TableKind};
use crate::{
    error::Result,
    graph::{LabelId, NodeId},
    store::{
        changes::Changes,
        merge::{Merge, for_each_entry, for_each_key, settled},
        parts::{ListScan, ListWriter},
        row::{EntryKind, Members, Row, code},
        run::Run,
        run_writer::{RunWriter, out_of_order},
        section_writer::Sink,
    },
};

impl Run {
    /// Whether it says anything of any label's members.
    pub fn has_labels(&self) -> bool {
        self.tables.labels.is_some()
    }

    /// What it says of a label's members.
    pub fn label_members(&self, label: LabelId) -> Result<Members<'_>> {
        match &self.tables.labels {
            Some(labels) => labels.get(label.0.into()).map(Members),
            None => Ok(Members(Row::EMPTY)),
        }
    }

    /// Labels with their members, ascending.
    pub fn labels(&self) -> LabelScan<'_> {
        LabelScan(self.tables.labels.as_ref().map(|labels| labels.scan(0)))
    }
}

/// Labels with their members, ascending. Nothing follows an error.
#[derive(Debug)]
pub struct LabelScan<'a>(Option<ListScan<'a>>);

impl<'a> Iterator for LabelScan<'a> {
    type Item = Result<(LabelId, Members<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.as_mut()?.next()?.map(|(id, row)| (LabelId(id as u32), Members(row))))
    }
}

impl RunWriter<'_> {
    /// A member of a label, or its removal.
    pub fn label_member(&mut self, label: LabelId, node: NodeId, kind: EntryKind) -> Result<()> {
        let (stage, sink, meta) = self.at::<Writer>()?;
        let Some(members) = &mut stage.members else { return Err(out_of_order(Writer::ROW)) };
        meta.max_node_id = meta.max_node_id.max(node.0);
        members.push(sink, label.0.into(), (code(0, kind), node.0, 0)).map(drop)
    }
}

/// Members of labels being written.
pub struct Writer {
    members: Option<ListWriter>,
}

impl Stage for Writer {
    const ROW: &'static str = "label member";

    fn begin(sink: &Sink<'_>, bounds: &RunBounds, _: &Run) -> Result<Self> {
        Ok(Self { members: ListWriter::new(sink, TableKind::Labels, bounds.labels, bounds.max_node_id, 0)? })
    }

    fn finish(self, sink: &mut Sink<'_>, run: &mut Run) -> Result<()> {
        run.tables.labels = ListWriter::finish_any(self.members, sink)?;
        Ok(())
    }

    fn measure(changes: &Changes<'_>, bounds: &mut RunBounds) {
        for (label, node, _) in &changes.members {
            bounds.labels.add_item(label.0.into());
            bounds.max_node_id = bounds.max_node_id.max(node.0);
        }
    }

    fn write(changes: &Changes<'_>, writer: &mut RunWriter<'_>) -> Result<()> {
        changes.members.iter().try_for_each(|(label, node, kind)| writer.label_member(*label, *node, *kind))
    }

    fn merge(merge: &mut Merge<'_>, writer: &mut RunWriter<'_>) -> Result<()> {
        let oldest = merge.oldest;
        let scans =
            merge.runs.iter().map(|run| run.labels().map(|item| item.map(|(label, members)| (label, members.0))));
        for_each_key(scans, |label, rows| {
            for_each_entry(
                rows,
                |_, _| Ok(0),
                |(entry, _), kind, _, _| match kind {
                    kind if oldest => writer.label_member(label, entry.other, settled(kind)?),
                    // Removed and added again: a member as older runs have it.
                    EntryKind::Replace => Ok(()),
                    kind => writer.label_member(label, entry.other, kind),
                },
            )
        })
    }
}
