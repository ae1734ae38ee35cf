//! Checkpoints and compaction: moving what the log holds into runs, and runs into fewer runs. Commits and reads
//! go on meanwhile; the commit lock is held only to freeze the delta and to exchange the levels. Upholds I45.

use super::{
    engine::{CheckpointGuard, Engine, MergeGuard},
    published_log::{PublishedLog, keep},
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{LabelId, LogIndex, NodeId, NodeRecord},
    log::Appender,
    state::{Delta, Levels, MAX_READABLE_RUNS},
    store::{Changes, CheckpointMark, EntryKind, HistoryEntry, Manifest, Run, merge, plan_merge},
    watch::{Phase, Stage, Watch, require_no_report},
};
use std::sync::Arc;

impl Engine {
    /// Writes every commit so far to the file and lets go of the log behind it.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        self.checkpoint_watched(&Watch::nobody())
    }

    /// The same. Where it is ended, the delta stays frozen, in memory and in the log, and the next checkpoint writes it.
    pub(crate) fn checkpoint_watched(&self, watch: &Watch) -> Result<()> {
        self.checkpoint_and(watch, |_| Ok(()))
    }

    /// The same, and the log goes on in a new segment right after what is in the file then: who copies the file can
    /// follow from there, whatever became of the segment before.
    pub(crate) fn checkpoint_to_be_copied(&self) -> Result<()> {
        self.checkpoint_and(&Watch::nobody(), Appender::leave_segment)
    }

    fn checkpoint_and(&self, watch: &Watch, begin: impl FnOnce(&mut Appender) -> Result<()>) -> Result<()> {
        require_no_report("a checkpoint")?;
        watch.require_uncancelled()?;
        let one_at_a_time = self.maintenance.begin_checkpoint();
        self.require_no_panic()?;
        // Before anything is frozen for a file that is not there.
        self.require_in_place()?;
        let result = self.guarded("a checkpoint", || {
            // A checkpoint that failed left its delta frozen: it comes first.
            self.write_frozen(&one_at_a_time, watch)?;
            self.freeze(begin)?;
            self.write_frozen(&one_at_a_time, watch)
        });
        self.maintenance.wake_committers();
        drop(one_at_a_time);
        self.sweep_pins();
        result
    }

    /// Ends the active delta and begins another one over it, if it holds anything.
    fn freeze(&self, begin: impl FnOnce(&mut Appender) -> Result<()>) -> Result<()> {
        let mut commit = self.commit.lock();
        commit.appender.as_mut().map_or(Ok(()), begin)?;
        let levels = self.publication.levels_held();
        if levels.active.is_empty() {
            return Ok(());
        }
        if let Some(appender) = &commit.appender {
            commit.frozen_at_bytes = appender.written_bytes();
        }
        let last = commit.last;
        let [types, labels] = levels.active.all_counts(last.0);
        let indexes = levels.active.indexes.at(last);
        let next = Arc::new(Delta::new(last, *levels.active.info(last), &types, &labels, indexes));
        let frozen = levels.active.clone();
        self.exchange_levels(&commit, Levels { active: next.clone(), frozen: Some(frozen.clone()), ..levels.same() });
        frozen.freeze(&next);
        Ok(())
    }

    /// Writes the frozen delta, if there is one, as a new run. Upholds I28.
    fn write_frozen(&self, one_at_a_time: &CheckpointGuard<'_>, watch: &Watch) -> Result<()> {
        let levels = self.publication.levels_held();
        let Some(frozen) = levels.frozen.clone() else { return Ok(()) };
        self.make_room_for_a_run(watch)?;
        let through = frozen.last();
        // Whoever fences this log after that look finds every frame up to `through` in it; a frame that came too
        // late for a fence must not get into the file.
        self.require_unfenced_through(through)?;
        let kept = self.commit.lock().appender.as_ref().map(keep);
        let log = kept.as_ref().map(PublishedLog::kept);
        if let Some(log) = log {
            self.sync_and_publish(log, through, self.epoch())?;
        }
        // A fence that was moved since then counts all of these, and may not have said so yet. No view may show
        // less than what the file holds from here on.
        self.publish(log, through);
        let mut stage = watch.begin(Phase::Checkpoint, None)?;
        let run = self.write_run(&levels, &frozen, through, &mut stage)?;
        stage.end()?;
        self.measures.count_run(run.bytes());
        self.publish_checkpoint(one_at_a_time, &frozen, through, run)?;
        self.measures.count_checkpoint(frozen.figures());
        if self.options.auto_compaction {
            self.maintenance.jobs.ask_for_compaction();
        }
        Ok(())
    }

    /// Every read looks into every run: where merging in the background lags behind, checkpoints, and in the end
    /// committers, wait for it.
    fn make_room_for_a_run(&self, watch: &Watch) -> Result<()> {
        let runs = || self.store.runs().len();
        if self.options.auto_compaction
            && self.maintenance.jobs.running()
            && runs() >= 2 * self.options.max_runs
            && let Err(e) = self.compact_once(watch)
        {
            watch.require_uncancelled()?;
            tracing::warn!(path = %self.path.display(), "merging runs before a checkpoint failed: {e}");
        }
        // So many runs, and no more, can be looked into at once.
        if runs() >= MAX_READABLE_RUNS { self.compact_fully(watch) } else { Ok(()) }
    }

    fn publish_checkpoint(
        &self,
        one_at_a_time: &CheckpointGuard<'_>,
        frozen: &Delta,
        through: LogIndex,
        run: Arc<Run>,
    ) -> Result<()> {
        let publishing = self.maintenance.begin_publishing(one_at_a_time);
        let history = self.commit.lock().history.iter().filter(|h| h.first <= through).copied().collect();
        let mut runs = self.store.runs().to_vec();
        runs.push(run);
        let manifest = self.manifest_of(frozen, through, history);
        self.store.publish(manifest, runs)?;
        let commit = self.commit.lock();
        let now = self.publication.levels_held();
        self.exchange_levels(&commit, Levels { frozen: None, runs: self.store.runs(), ..now.same() });
        let folded = match &commit.appender {
            // A sidecar is cut by retention.
            Some(appender) if self.sidecar.is_none() => appender.folded_through(through),
            _ => Vec::new(),
        };
        drop(commit);
        // Neither a commit nor a merge waits for the file system to let go of them. Upholds I11: the header is durable.
        drop(publishing);
        self.remove_segments(&folded).map(drop)
    }

    fn manifest_of(&self, frozen: &Delta, through: LogIndex, history: Vec<HistoryEntry>) -> Manifest {
        let info = frozen.info(through);
        let pairs = |counts: Vec<u64>| -> Vec<(u32, u64)> {
            counts.into_iter().enumerate().filter(|(_, n)| *n > 0).map(|(id, n)| (id as u32, n)).collect()
        };
        let [types, labels] = frozen.all_counts(through.0).map(pairs);
        let next = self.ids.next();
        Manifest {
            runs: Vec::new(),
            checkpoint: CheckpointMark {
                log_index: through,
                epoch: info.epoch,
                digest: info.digest,
                commit_ms: info.commit_ms,
            },
            history,
            next_node_id: next.node,
            next_rank: next.rank,
            node_count: info.totals.nodes,
            edge_count: info.totals.edges,
            vector_count: info.totals.vectors,
            type_counts: types,
            label_counts: labels,
            // What the runs hold needs what it needed, until it is written anew.
            level: self.store.manifest().level,
            next_index_id: next.index,
            indexes: frozen.indexes.at(through).iter().cloned().collect(),
        }
    }

    /// Writes a delta as of `through` as a run over the current ones.
    fn write_run(&self, levels: &Levels, delta: &Delta, through: LogIndex, stage: &mut Stage<'_>) -> Result<Arc<Run>> {
        let changes = gather(levels, delta, through, &mut || stage.advance(0))?;
        let mut pace = |bytes: u64| stage.advance(bytes);
        self.store.write_run(&changes, &mut pace)
    }

    /// Merges what the size tiers ask for, once. Returns whether there was anything to merge.
    pub(crate) fn compact_once(&self, watch: &Watch) -> Result<bool> {
        require_no_report("a merge")?;
        watch.require_uncancelled()?;
        let one_at_a_time = self.maintenance.begin_merge();
        let sizes: Vec<u64> = self.store.runs().iter().map(|run| run.bytes()).collect();
        match plan_merge(&sizes, self.options.max_runs) {
            Some(range) => self.merge_runs(&one_at_a_time, range.start, range.len(), watch).map(|()| true),
            None => Ok(false),
        }
    }

    /// Merges all runs into one. Where it is ended, the runs are as they were.
    pub(crate) fn compact_fully(&self, watch: &Watch) -> Result<()> {
        require_no_report("a merge")?;
        watch.require_uncancelled()?;
        let one_at_a_time = self.maintenance.begin_merge();
        let count = self.store.runs().len();
        if count > 1 { self.merge_runs(&one_at_a_time, 0, count, watch) } else { Ok(()) }
    }

    fn merge_runs(&self, one_at_a_time: &MergeGuard<'_>, start: usize, count: usize, watch: &Watch) -> Result<()> {
        self.require_no_panic()?;
        // Before what it holds is read.
        self.require_in_place()?;
        self.guarded("a merge", || self.merge_runs_guarded(one_at_a_time, start, count, watch))?;
        self.sweep_pins();
        Ok(())
    }

    fn merge_runs_guarded(
        &self,
        one_at_a_time: &MergeGuard<'_>,
        start: usize,
        count: usize,
        watch: &Watch,
    ) -> Result<()> {
        let chosen = self.store.runs()[start..start + count].to_vec();
        let mut stage = watch.begin(Phase::Merge, Some(chosen.iter().map(|run| run.bytes()).sum()))?;
        let mut pace = |bytes: u64| {
            self.maintenance.jobs.pace(bytes)?;
            stage.advance(bytes)
        };
        let merged = merge(&self.store, &chosen, start == 0, &mut pace)?;
        stage.end()?;
        self.measures.count_merged_run(merged.bytes());
        let _publishing = self.maintenance.begin_publishing(one_at_a_time);
        // Checkpoints may have added newer runs meanwhile; those below have not moved.
        let (manifest, current) = self.store.snapshot();
        let mut runs = current.to_vec();
        let same =
            runs.get(start..start + count).is_some_and(|now| now.iter().zip(&chosen).all(|(a, b)| Arc::ptr_eq(a, b)));
        if !same {
            return Err(Error::new(ErrorCode::Internal, "runs moved during a merge"));
        }
        runs.splice(start..start + count, [merged]);
        self.store.publish((*manifest).clone(), runs)?;
        let commit = self.commit.lock();
        let now = self.publication.levels_held();
        self.exchange_levels(&commit, Levels { runs: self.store.runs(), ..now.same() });
        self.measures.count_merge();
        Ok(())
    }
}

/// What a delta changes as of `through`, in order, without what came and went within it. Upholds I18 and I19.
fn gather<'a>(
    levels: &Levels,
    delta: &'a Delta,
    through: LogIndex,
    go_on: &mut dyn FnMut() -> Result<()>,
) -> Result<Changes<'a>> {
    let at = through.0;
    let (mut nodes, mut members) = (Vec::new(), Vec::new());
    for (id, state, below) in delta.changed_nodes(at) {
        go_on()?;
        if state.dead && !below {
            continue;
        }
        nodes.push((id, &*state.record));
        let new: Vec<LabelId> = NodeRecord::parse(&state.record)?.labels().collect();
        let old: Vec<LabelId> = if below { stored_labels(levels, id)? } else { Vec::new() };
        members.extend(new.iter().filter(|l| old.binary_search(l).is_err()).map(|l| (*l, id, EntryKind::Add)));
        members.extend(old.iter().filter(|l| new.binary_search(l).is_err()).map(|l| (*l, id, EntryKind::Remove)));
    }
    nodes.sort_unstable_by_key(|(id, _)| *id);
    members.sort_unstable_by_key(|(label, id, _)| (*label, *id));
    let mut edges = Vec::new();
    for (edge, props, below) in delta.changed_edges(at) {
        go_on()?;
        let kind = match (props, below) {
            (Some(_), false) => EntryKind::Add,
            (Some(_), true) => EntryKind::Replace,
            (None, true) => EntryKind::Remove,
            (None, false) => continue,
        };
        edges.push((edge, kind, props.unwrap_or_default()));
    }
    edges.sort_unstable_by_key(|(edge, _, _)| *edge);
    let mut vectors: Vec<_> =
        delta.changed_vectors(at).map(|(node, key, bytes)| (node, key, bytes.as_deref())).collect();
    if levels.runs.is_empty() {
        vectors.retain(|(_, _, bytes)| bytes.is_some());
    }
    vectors.sort_unstable_by_key(|(node, key, _)| (*node, *key));
    let names = levels.names.defined_in(delta.base(), through);
    Ok(Changes { names, nodes, edges, members, vectors })
}

/// A node's labels as the runs have them.
fn stored_labels(levels: &Levels, id: NodeId) -> Result<Vec<LabelId>> {
    for run in levels.runs.iter().rev() {
        if let Some(record) = run.node(id)? {
            return Ok(if record.is_dead() { Vec::new() } else { record.labels().collect() });
        }
    }
    Ok(Vec::new())
}
