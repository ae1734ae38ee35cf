//! The merge of runs of an open file: what is read is verified, before anything of it is copied and after.

use super::{
    file::Store,
    merge::{Merge, Nodes},
    pace::Pace,
    run::Run,
    run_bounds::RunBounds,
    tables::{EdgeSum, VectorPlan},
};
use crate::error::Result;
use std::sync::Arc;

/// Merges `runs`, adjacent and oldest first, into one run that is written and synced, but not published.
/// `oldest`: no older run remains, so that tombstones have nothing left to hide.
pub fn merge<'a>(store: &Store, runs: &[Arc<Run>], oldest: bool, pace: &'a mut Pace<'a>) -> Result<Arc<Run>> {
    let nodes = if oldest { Nodes::AllHere } else { Nodes::DeadHere };
    merge_with(store, runs, oldest, nodes, pace)
}

/// As [`merge`], with what is known of nodes.
pub(super) fn merge_with<'a>(
    store: &Store,
    runs: &[Arc<Run>],
    oldest: bool,
    nodes: Nodes,
    pace: &'a mut Pace<'a>,
) -> Result<Arc<Run>> {
    // What the disk cannot read is an error here, and a signal once it is copied from the mapping.
    require_sound(runs, &mut |_bytes| pace(0))?;
    let bounds = RunBounds::of_merge(runs.iter().map(|run| run.meta()));
    let mut writer = store.begin_run(&bounds, pace)?;
    Merge { runs, oldest, nodes, outgoing: EdgeSum::default(), vectors: VectorPlan::default() }
        .write_to(&mut writer)?;
    require_sound(runs, &mut |_bytes| Ok(()))?;
    writer.finish()
}

/// Fails if what was copied does not verify. A block is verified when it is first touched, perhaps long before a merge: what
/// became of it since would get a good checksum. Asked after the copy, so that nothing of it escapes.
fn require_sound(runs: &[Arc<Run>], pace: &mut Pace<'_>) -> Result<()> {
    runs.iter().flat_map(|run| run.sections()).try_for_each(|section| section.require_sound(pace))
}
