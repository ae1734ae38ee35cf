//! Counts and sizes.

use super::{engine::Engine, pins::PinInfo, read::GraphRead};
use crate::{
    error::{Error, Result},
    graph::{Digest, LogIndex, Token},
};

/// Counts and sizes of a database; bytes unless a name says otherwise.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Nodes.
    pub nodes: u64,
    /// Edges.
    pub edges: u64,
    /// Vectors.
    pub vectors: u64,
    /// Labels in use, with how many nodes carry each.
    pub labels: Vec<(String, u64)>,
    /// Edge types in use, with how many edges each has.
    pub edge_types: Vec<(String, u64)>,
    /// Property keys in use.
    pub property_keys: Vec<String>,
    /// What names the last published commit.
    pub token: Token,
    /// The state digest at that commit.
    pub digest: Digest,
    /// The last log index that is in the file's runs.
    pub checkpoint_index: LogIndex,
    /// The file's generation: it grows with every change of its header.
    pub generation: u64,
    /// The sizes of the runs, oldest first.
    pub runs: Vec<u64>,
    /// The database file.
    pub file_bytes: u64,
    /// Room in the file that will be used again.
    pub free_bytes: u64,
    /// The log on disk.
    pub log_bytes: u64,
    /// What is held in memory of the log since the last checkpoint, roughly.
    pub delta_bytes: u64,
    /// Bytes of log written since the open, zeros written ahead included.
    pub bytes_logged: u64,
    /// Bytes of runs written by checkpoints since the open.
    pub bytes_checkpointed: u64,
    /// Bytes of runs written by merges since the open.
    pub bytes_compacted: u64,
    /// Checkpoints since the open.
    pub checkpoints: u64,
    /// Merges since the open.
    pub compactions: u64,
    /// Commits that failed at the log since the open.
    pub append_failures: u64,
    /// The views and transactions that are held for longest, the oldest first; at most [`Stats::MAX_PINS`].
    pub pins: Vec<PinInfo>,
    /// For how many ms the oldest state that a view or a transaction still holds has not been current: since a checkpoint
    /// or a merge took its place.
    pub oldest_pin_ms: Option<u64>,
    /// Memory that only views and transactions of such states hold, roughly: for each the commits in memory when it
    /// began, and those up to the next checkpoint.
    pub pinned_delta_bytes: u64,
    /// Bytes of runs that only they hold: space of the file that cannot be used again.
    pub pinned_run_bytes: u64,
    /// Whether another open of the file holds an earlier state: a reader in another process, or a view that outlived the
    /// close of the last handle to the file. Space of the file waits for it.
    pub pinned_elsewhere: bool,
    /// What the last failure in the background was, until the work succeeds.
    pub background_error: Option<String>,
    /// What a read-only open could not read; or that the file was removed, replaced, cut or written over since it was opened.
    pub damage: Option<String>,
}

impl Stats {
    /// How many pins are listed at most.
    pub const MAX_PINS: usize = 16;
}

impl Engine {
    /// Why less than was committed is shown, if it is.
    pub(crate) fn damage(&self) -> Option<Error> {
        self.opened.damage()
    }

    /// Fails where less than was committed would be shown, and the caller asked not to see that.
    pub(crate) fn require_complete(&self) -> Result<()> {
        self.damage().filter(|_| self.options.require_complete).map_or(Ok(()), Err)
    }

    /// The [figures](Engine::figures) of one state, with what takes longer to find out: names, and the sizes of files.
    pub(crate) fn stats(&self) -> Result<Stats> {
        self.sweep_pins();
        let view = self.view();
        let figures = self.figures_of(&view.levels, view.index);
        let (log_bytes, bytes_logged) = {
            let commit = self.commit.lock();
            commit.appender.as_ref().map_or((0, 0), |a| (a.disk_bytes(), a.written_bytes()))
        };
        let store = self.store.stats()?;
        let (oldest_pin_ms, work) = (figures.oldest_pin_ms(), figures.work);
        Ok(Stats {
            nodes: figures.totals.nodes,
            edges: figures.totals.edges,
            vectors: figures.totals.vectors,
            labels: view.labels().into_iter().map(|(id, name)| (name, view.count_nodes_by_label(id))).collect(),
            edge_types: view.etypes().into_iter().map(|(id, name)| (name, view.count_edges_by_type(id))).collect(),
            property_keys: view.propkeys().into_iter().map(|(_, name)| name).collect(),
            token: figures.head,
            digest: figures.digest,
            checkpoint_index: figures.checkpoint,
            generation: figures.generation,
            runs: figures.runs,
            file_bytes: store.file_len,
            free_bytes: store.free + store.quarantined,
            log_bytes,
            delta_bytes: figures.delta.bytes,
            bytes_logged,
            bytes_checkpointed: work.bytes_checkpointed,
            bytes_compacted: work.bytes_compacted,
            checkpoints: work.checkpoints,
            compactions: work.compactions,
            append_failures: work.append_failures,
            pins: self.oldest_pins(Stats::MAX_PINS),
            oldest_pin_ms,
            pinned_delta_bytes: figures.pins.delta_bytes,
            pinned_run_bytes: figures.pins.run_bytes,
            pinned_elsewhere: self.store.is_pinned_elsewhere(),
            background_error: figures.background_error,
            damage: figures.out_of_place.or(figures.damage),
        })
    }
}
