//! What a replica follows, for who writes a source of his own: one that is reached over a network, for example.
//!
//! A [`Source`] serves a replica pages of its log and snapshots, takes in how far the replica is, and can be fenced, so that the
//! replica takes over. [`Database::source_at`](crate::Database::source_at) makes the source at a place of this machine;
//! [`Database::open_with_source`](crate::Database::open_with_source) opens a replica that follows any source.
//!
//! Who writes a source makes what it hands over: so the fields of these types are public, and fixed with the format of the log.

pub use crate::{
    io::WatchedWord,
    log::{Chunk, EpochEnd, Fence, FrameHeader, FrameSpan, LogPage, Moved, PageLimits, SeenEpoch, WriterId},
    replication::{
        Asking, At, Fenced, Fencing, Labels, Lineage, News, Progress, Pulled, Registration, Seen, Snapshot, Source,
        SourcePlace, Upstream,
    },
    store::{CheckpointMark, HistoryEntry, Image},
};
