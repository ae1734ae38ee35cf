//! The manifest: everything about the database that changes with a checkpoint or a merge.

use super::meta::RunMeta;
use crate::{
    error::{Error, Result},
    graph::{
        Digest, Epoch, IndexDef, LogIndex,
        codec::{Reader, put_varint},
    },
    level::require_known,
};

const VERSION: u8 = 2;

/// The place in the log up to which the runs hold everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckpointMark {
    /// The last frame in it.
    pub log_index: LogIndex,
    /// That frame's epoch.
    pub epoch: Epoch,
    /// The state's digest after it.
    pub digest: Digest,
    /// When it was committed, in milliseconds since 1970.
    pub commit_ms: u64,
}

impl CheckpointMark {
    /// The state digest after the frame with that index, if it is the last one in it.
    pub fn digest_at(&self, index: LogIndex) -> Option<Digest> {
        (self.log_index == index).then_some(self.digest)
    }
}

/// Who led from which frame on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The epoch's number.
    pub epoch: Epoch,
    /// Its writer.
    pub writer_id: [u8; 16],
    /// Its first frame.
    pub first: LogIndex,
}

impl HistoryEntry {
    /// Whether `later` is the same writer's, in the same epoch.
    pub fn goes_on_as(&self, later: &Self) -> bool {
        (self.epoch, self.writer_id) == (later.epoch, later.writer_id) && self.first <= later.first
    }
}

/// See the [module documentation](self).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    /// The feature level that it, or what its runs hold, needs; what is written needs at least that of its writer.
    pub level: u16,
    /// The runs, oldest first. [`super::Store::publish`] fills this in.
    pub runs: Vec<RunMeta>,
    /// What the runs hold.
    pub checkpoint: CheckpointMark,
    /// Every epoch up to the checkpoint, ascending.
    pub history: Vec<HistoryEntry>,
    /// The next node id to give out.
    pub next_node_id: u64,
    /// The next rank to give a parallel edge.
    pub next_rank: u64,
    /// Live nodes.
    pub node_count: u64,
    /// Edges.
    pub edge_count: u64,
    /// Vectors.
    pub vector_count: u64,
    /// Edges of each type.
    pub type_counts: Vec<(u32, u64)>,
    /// Nodes with each label.
    pub label_counts: Vec<(u32, u64)>,
    /// The next index id to give out.
    pub next_index_id: u32,
    /// The definitions of indexes, ids ascending.
    pub indexes: Vec<IndexDef>,
}

impl Manifest {
    /// The binary form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_varint(&mut out, self.level.into());
        let mark = &self.checkpoint;
        for number in [mark.log_index.0, mark.epoch.0, mark.commit_ms] {
            put_varint(&mut out, number);
        }
        out.extend_from_slice(&mark.digest.to_le_bytes());
        for number in [self.next_node_id, self.next_rank, self.node_count, self.edge_count, self.vector_count] {
            put_varint(&mut out, number);
        }
        put_varint(&mut out, self.history.len() as u64);
        for entry in &self.history {
            put_varint(&mut out, entry.epoch.0);
            out.extend_from_slice(&entry.writer_id);
            put_varint(&mut out, entry.first.0);
        }
        for counts in [&self.type_counts, &self.label_counts] {
            put_varint(&mut out, counts.len() as u64);
            for &(id, count) in counts {
                put_varint(&mut out, id.into());
                put_varint(&mut out, count);
            }
        }
        put_varint(&mut out, self.runs.len() as u64);
        for run in &self.runs {
            run.encode(&mut out);
        }
        put_varint(&mut out, self.next_index_id.into());
        put_varint(&mut out, self.indexes.len() as u64);
        for index in &self.indexes {
            index.encode(&mut out);
        }
        out
    }

    /// Reads the binary form, of a file that needs no feature level above `known`. Lists grow as their items are read: a
    /// damaged length allocates nothing.
    pub fn decode(bytes: &[u8], known: u16) -> Result<Self> {
        let r = &mut Reader::new(bytes);
        match r.u8()? {
            VERSION => {}
            other => return Err(Error::corrupt(format_args!("the manifest has the unknown version {other}"))),
        }
        // Before anything that a greater level may have changed.
        let level = u16::try_from(r.varint()?).map_err(|_| Error::corrupt("the manifest has an impossible level"))?;
        require_known(known, level, "the manifest")?;
        let (log_index, epoch, commit_ms) = (LogIndex(r.varint()?), Epoch(r.varint()?), r.varint()?);
        let digest = Digest::from_le_bytes(r.array()?);
        let mut manifest = Self {
            level,
            checkpoint: CheckpointMark { log_index, epoch, digest, commit_ms },
            next_node_id: r.varint()?,
            next_rank: r.varint()?,
            node_count: r.varint()?,
            edge_count: r.varint()?,
            vector_count: r.varint()?,
            ..Self::default()
        };
        for _ in 0..r.varint()? {
            let (epoch, writer_id, first) = (Epoch(r.varint()?), r.array()?, LogIndex(r.varint()?));
            manifest.history.push(HistoryEntry { epoch, writer_id, first });
        }
        for counts in [&mut manifest.type_counts, &mut manifest.label_counts] {
            for _ in 0..r.varint()? {
                counts.push((r.varint32()?, r.varint()?));
            }
        }
        for _ in 0..r.varint()? {
            manifest.runs.push(RunMeta::decode(r)?);
        }
        manifest.next_index_id = r.varint32()?;
        for _ in 0..r.varint()? {
            let index = IndexDef::decode(r)?;
            if manifest.indexes.last().is_some_and(|last| last.id >= index.id) {
                return Err(Error::corrupt("the manifest's indexes are not ascending"));
            }
            manifest.indexes.push(index);
        }
        match r.is_empty() {
            true => Ok(manifest),
            false => Err(Error::corrupt("the manifest is longer than what it announces")),
        }
    }
}
