//! Where a replica gets its frames and snapshots from. One trait: local paths implement it here, a network can.

pub(super) mod find_log;
pub(in crate::replication) mod guarded;
mod lineage;
pub(super) mod local;
pub(super) mod not_configured;
mod paths;
pub(super) mod remembered;
pub(super) mod source_fault;
pub(super) mod upstream;
pub(in crate::replication) mod upstream_node;

pub use lineage::Lineage;
pub use paths::{SourcePaths, SourcePlace};

use crate::{
    error::Result,
    graph::{Digest, Epoch, LogIndex, Token, WriterTag},
    io::WatchedWord,
    log::{Control, Fence, LogPage, Moved, PageLimits, SeenEpoch, WriterId},
    replication::registry::{Progress, Registration},
    store::{CheckpointMark, Image},
};
use std::{fmt, sync::Arc, time::Duration};
use upstream::{Asking, Upstream};

/// Where a replica is in the history that it follows. Every request carries it: a number alone identifies nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct At {
    /// The epoch of its last frame.
    pub epoch: Epoch,
    /// Who wrote that epoch.
    pub writer_id: WriterId,
    /// Its last frame; 0 before the first.
    pub index: LogIndex,
    /// The state digest after it.
    pub digest: Digest,
}

impl At {
    /// What names its last frame.
    pub fn token(&self) -> Token {
        Token::new(self.epoch, self.index).with_tag(WriterTag::of(&self.writer_id))
    }

    /// Before the first frame.
    pub fn start() -> Self {
        Self { epoch: Epoch(0), writer_id: [0; 16], index: LogIndex(0), digest: Digest::default() }
    }
}

/// What a source answers to a request for frames.
#[derive(Debug)]
#[non_exhaustive]
pub struct Pulled {
    /// Frames after the position, perhaps none.
    pub page: LogPage,
    /// The last frame that the source has published.
    pub head: LogIndex,
    /// What its fence said then.
    pub seen: Seen,
}

impl Pulled {
    /// Frames after the position that was asked for, of a source whose last published frame is `head`.
    pub fn new(page: LogPage, head: LogIndex, seen: Seen) -> Self {
        Self { page, head, seen }
    }
}

/// What the control file of a source says of who leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// Its fence.
    pub fence: Fence,
    /// What it saw at its own source, if it is a replica.
    pub known: SeenEpoch,
    /// Whether that fence stands in place of one that was lost with the control file: nobody need have moved it.
    pub assumed: bool,
}

impl Seen {
    /// What a source says: its fence; the latest epoch that it saw at its own source; and whether that fence stands in place of
    /// one that was lost.
    pub fn new(fence: Fence, known: SeenEpoch, assumed: bool) -> Self {
        Self { fence, known, assumed }
    }

    /// What `control` says now.
    pub(crate) fn of(control: &Control) -> Result<Self> {
        let fence = control.fence()?;
        Ok(Self { fence, known: control.seen_epoch(), assumed: control.fence_is_assumed() })
    }

    /// The promotion that fenced the source last, which may not have been completed; `None` if it leads.
    pub fn moved(&self) -> Option<Moved> {
        self.fence.moved()
    }

    /// The latest epoch that has begun, or may have, at the source or beyond, beside the one that the promotion `own` begins.
    pub fn beside(&self, own: WriterId) -> SeenEpoch {
        let before_own = SeenEpoch { epoch: Epoch(self.fence.epoch.0.saturating_sub(1)), begun: true };
        let here = if self.fence.moved_by == Some(own) { before_own } else { SeenEpoch::of(&self.fence) };
        here.max(self.known)
    }
}

/// A fenced source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fenced {
    /// The epoch that ended.
    pub ended: Epoch,
    /// Its last frame: everything that was acknowledged is at or below it.
    pub last: LogIndex,
    /// The epoch that may follow.
    pub next: Epoch,
}

impl Fenced {
    /// The epoch `ended` ended with the frame `last`, and `next` may follow.
    pub fn new(ended: Epoch, last: LogIndex, next: Epoch) -> Self {
        Self { ended, last, next }
    }
}

/// A source that is being fenced: nobody else moves its fence while this lives. If it ends without
/// [`Fencing::complete`], the source is fenced, and where its epoch ends is not known: the next promotion fixes that anew,
/// or the source takes the lead back.
pub trait Fencing: Send + fmt::Debug {
    /// What ends where. Frames up to there can be pulled, published or not.
    fn fenced(&self) -> Fenced;
    /// Says at the source where its epoch ended: from then on commits up to there are acknowledged, and no other ones.
    /// Returns whether the fence is durable there. [`crate::ErrorCode::StalePrimary`] if another one moved it meanwhile.
    fn complete(&self) -> Result<bool>;
}

/// An image of the source's database at one checkpoint, which stays readable while this lives.
pub trait Snapshot: Send + Sync {
    /// The id of the file that it is of.
    fn file_id(&self) -> [u8; 16];
    /// What it holds.
    fn checkpoint(&self) -> CheckpointMark;
    /// Its contents.
    fn image(&self) -> &dyn Image;
}

/// Whether a source has more than its replica, or how that will be known.
#[derive(Debug)]
#[non_exhaustive]
pub enum News {
    /// It may have more now.
    Here,
    /// It has more once that word is changed or woken.
    Changes(WatchedWord),
}

/// Where a replica gets its frames and snapshots from. Its replica asks from several threads. What a source says is verified
/// before it is believed: frames by their checksums, epochs and digests, a snapshot by its own.
///
/// While it is asked it may read its replica, and must neither close it nor have it pull, bootstrap, promote, repoint or follow
/// (each an [`InvalidArgument`](crate::ErrorCode::InvalidArgument)): that would wait for the call under way. One that panics has
/// failed, as by [`SourceUnavailable`](crate::ErrorCode::SourceUnavailable), and is asked again later.
///
/// Methods that are added later have defaults.
pub trait Source: Send + Sync + fmt::Debug {
    /// The last frame that is published.
    fn head(&self) -> Result<LogIndex>;
    /// Frames after `at`, within `limits`. [`crate::ErrorCode::NeedsReseed`] if `at` is not on this source's
    /// history, or what follows it is gone.
    fn page(&self, at: &At, limits: PageLimits) -> Result<Pulled>;
    /// As [`Source::page`], for a position of which only index and digest are known.
    fn page_unattributed(&self, at: &At, limits: PageLimits) -> Result<Pulled>;
    /// Who wrote the frame with that index: its epoch, and the writer. `None` where its log does not tell.
    fn writer_at(&self, index: LogIndex) -> Result<Option<(Epoch, WriterId)>>;
    /// The state digest after the frame with that index, which must be at or before its end. `None` where neither its log nor its
    /// file tells: retention let go of that, or it is damaged.
    fn digest_at(&self, index: LogIndex) -> Result<Option<Digest>>;
    /// Indexes at which [`Source::digest_at`] is likely to tell, in any order: those before its log's segments, and what its file
    /// holds. By default none: then only the replica's own are asked.
    fn digest_marks(&self) -> Result<Vec<LogIndex>> {
        Ok(Vec::new())
    }
    /// Its history, as far as it goes.
    fn lineage(&self) -> Result<Lineage>;
    /// Pins a snapshot, after a new checkpoint if `fresh`.
    fn snapshot(&self, fresh: bool) -> Result<Box<dyn Snapshot>>;
    /// Takes in how far a replica is: the log is kept for it from there on.
    fn report(&self, progress: &Progress) -> Result<()>;
    /// Forgets a replica that follows another source, or is none any more: the log is no longer kept for it. Returns whether
    /// it was known.
    fn forget(&self, replica_id: &str) -> Result<bool>;
    /// Forgets who was registered from the same file and the same path as this replica before it got another id.
    fn supersede(&self, replica_id: &str, path: &str) -> Result<()>;
    /// Who else than this replica is registered from a path of that name: on another machine, perhaps, or gone.
    /// By default nobody: a bootstrap names them, and nothing rests on it.
    fn others_at(&self, replica_id: &str, path: &str) -> Result<Vec<Registration>> {
        let _ = (replica_id, path);
        Ok(Vec::new())
    }
    /// Fails where [`Source::fence`] would fail whatever the replica does meanwhile. It changes nothing at the source. Returns
    /// whether the log that it would fence is known to be the one that the source uses: where its file is gone, and no process has
    /// it open, nothing tells, and `told` says that it is to be fenced all the same.
    fn require_fenceable(&self, told: bool) -> Result<bool>;
    /// Ends the epoch that the source leads, on behalf of `owner`, who begins the next one. It can be called again, by the
    /// same owner or another one, as long as it was not completed. `held` is the last frame that the owner has: if those
    /// after it cannot all be read, nothing is fenced.
    fn fence(&self, owner: WriterId, held: LogIndex) -> Result<Box<dyn Fencing>>;
    /// As [`Source::report`], and what of the log after that position, and after what is reserved, is there when this returns
    /// will be kept.
    fn reserve(&self, progress: &Progress) -> Result<()>;
    /// What its fence says.
    fn seen(&self) -> Result<Seen>;
    /// What can be seen of this source, and of what it follows in turn, by the replica that asks, and whether that is registered.
    /// Not for every pull: it looks at the files of each node on the way to the primary.
    fn upstream(&self, asking: &Asking<'_>) -> Upstream;
    /// Sleeps until more than `seen` is published, where that can be known, it is woken, or `timeout` has passed; not at
    /// all unless `still` holds, which is asked when a wake is heard already. May return early.
    fn wait(&self, seen: LogIndex, timeout: Duration, still: &dyn Fn() -> bool);
    /// How it will be known that more than `seen` is published, so that nobody need sleep in [`Source::wait`]; `None`: only
    /// that tells. `still` as there.
    fn news(&self, seen: LogIndex, still: &dyn Fn() -> bool) -> Option<News> {
        let _ = (seen, still);
        None
    }
    /// Ends the waits under way, and those that begin before what they ask has changed.
    fn wake(&self);
    /// Whether this thread is in a call of this source, which its replica made.
    #[doc(hidden)]
    fn is_asked_here(&self) -> bool {
        false
    }
    /// Whether it passes on what `own` says.
    #[doc(hidden)]
    fn stands_for(&self, own: &Arc<dyn Source>) -> bool {
        let _ = own;
        false
    }
}
