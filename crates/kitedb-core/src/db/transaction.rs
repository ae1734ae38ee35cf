//! Write transactions: optimistic, snapshot isolation, read-your-own-writes, first committer wins.

mod attempt;
mod edges;
mod names;
mod new_node;
mod nodes;
pub(super) mod submit;
mod upsert;
mod used_name;
mod vectors;

pub use new_node::NewNode;

use super::{
    dyn_graph::{Graph, expired, sealed},
    engine::{Engine, Submitted},
    lease::Lease,
    options::ReplicationRole,
    read::GraphRead,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{LogIndex, Mutation, NameKind, NodeId, Token},
    log::{FRAME_PREFIX, MAX_PAYLOAD},
    state::{Claims, Indexed, Levels, Overlay, ReaderKind, ReaderSlot, Reading, Site},
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use used_name::UsedName;

/// Changes that become visible and durable together, at [`Transaction::commit`]; dropped, it leaves no trace.
///
/// It reads the state as of its beginning under its own writes, may be sent between threads, and costs others
/// nothing while it is open. A write that fails changes nothing, not even a name; the transaction can go on. Only where it
/// failed for another reason than its input (of kind [`ErrorKind::Input`](crate::ErrorKind::Input)), as by a damaged block,
/// the transaction does not commit any more.
pub struct Transaction {
    pub(super) engine: Arc<Engine>,
    pub(super) levels: Arc<Levels>,
    pub(super) snapshot: LogIndex,
    pub(super) overlay: Overlay,
    /// The frame to be: room for its head, then the mutations.
    pub(super) buffer: Vec<u8>,
    /// That of the handle for which this writes.
    pub(super) lease: Arc<Lease>,
    /// The commit that it began after, if that had not ended then.
    pub(super) after: Option<Arc<Submitted>>,
    /// Names that need no definition from this transaction (any more).
    used: Indexed<UsedName>,
    /// Keeps the ids of those that it defines.
    claims: Claims,
    /// Why it can be of no more use.
    pub(super) failed: Option<Error>,
    pub(super) hold: ReaderSlot,
    /// Which one of those that were [`marked`](Transaction::mark) it is; 0: of none.
    number: u64,
}

/// How many were marked.
static MARKED: AtomicU64 = AtomicU64::new(0);

/// Never what is in the graph, nor what the transaction is to write there.
impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("path", &self.engine.path)
            .field("snapshot", &self.snapshot.0)
            .field("failed", &self.failed.as_ref().map(Error::code))
            .finish_non_exhaustive()
    }
}

impl Transaction {
    /// How many bytes of the log a transaction may take: 64 MiB.
    pub const MAX_LOG_BYTES: usize = MAX_PAYLOAD;

    pub(crate) fn new(engine: Arc<Engine>, lease: Arc<Lease>, site: Site) -> Self {
        let held = engine.publication.hold_current(ReaderKind::Transaction, site);
        Self::on(engine, lease, held, None)
    }

    /// One that sees `after`, which has not ended, and all before it.
    pub(crate) fn after(engine: Arc<Engine>, lease: Arc<Lease>, site: Site, after: Arc<Submitted>) -> Self {
        let held = engine.publication.hold_after(after.token.log_index, ReaderKind::Transaction, site);
        Self::on(engine, lease, held, Some(after))
    }

    #[inline]
    fn on(
        engine: Arc<Engine>,
        lease: Arc<Lease>,
        (levels, snapshot, hold): (Arc<Levels>, LogIndex, ReaderSlot),
        after: Option<Arc<Submitted>>,
    ) -> Self {
        let mut buffer = Vec::with_capacity(FRAME_PREFIX + 160);
        buffer.resize(FRAME_PREFIX, 0);
        Self {
            engine,
            levels,
            snapshot,
            overlay: Overlay::default(),
            buffer,
            lease,
            after,
            used: Indexed::default(),
            claims: Claims::default(),
            failed: None,
            hold,
            number: 0,
        }
    }

    /// Makes it one that can be told from all others, by the number that is returned.
    pub(crate) fn mark(&mut self) -> u64 {
        self.number = MARKED.fetch_add(1, Ordering::Relaxed) + 1;
        self.number
    }

    /// Whether it is the one of that number.
    pub(crate) fn is_marked(&self, number: u64) -> bool {
        self.number == number
    }

    /// Statistics show it under that name from now on, in place of where in the program it was begun. For who begins
    /// transactions for others: a binding, a server.
    pub fn set_origin(&mut self, origin: impl Into<Arc<str>>) {
        self.hold.set_label(origin.into());
    }

    /// Whether it was held for longer than [`OpenOptions::max_pin_ms`](crate::OpenOptions::max_pin_ms) allows: nothing can be
    /// read from it any more, and it does not commit.
    pub fn is_expired(&self) -> bool {
        self.hold.is_past_its_limit()
    }

    /// Fails if it was held for longer than it may be, by the clock.
    #[inline]
    pub(super) fn require_unexpired(&self) -> Result<()> {
        let limited = self.engine.publication.held.limit_ms().is_some();
        if limited && self.hold.is_past_its_limit() { Err(expired()) } else { Ok(()) }
    }

    /// Does a mutation. What it leaves in the buffer if it fails, its caller's [`Transaction::attempt`] takes away.
    pub(super) fn apply(&mut self, mutation: &Mutation<'_>) -> Result<()> {
        mutation.encode(&mut self.buffer);
        self.check_size()?;
        let base = Reading::new(&self.levels, self.snapshot, None);
        self.overlay.apply(&base, mutation)
    }

    /// How many bytes of the log its commit takes so far: at most [`Transaction::MAX_LOG_BYTES`], and some for what stands before each.
    pub fn log_bytes(&self) -> usize {
        self.buffer.len()
    }

    #[inline]
    fn check_size(&self) -> Result<()> {
        if self.buffer.len() <= FRAME_PREFIX + MAX_PAYLOAD {
            return Ok(());
        }
        let what = "frame payload too large: this transaction exceeds 64 MiB of log; split it, or use a bulk loader";
        let (most, found) = (FRAME_PREFIX + MAX_PAYLOAD, self.buffer.len());
        Err(Error::new(ErrorCode::TransactionTooLarge, what).with_expected(most).with_found(found))
    }

    /// Makes the changes visible and, by the sync mode, durable. Returns the token that names them. A transaction
    /// without changes commits nothing and returns the token of the last commit that it saw.
    ///
    /// # Errors
    /// [`ErrorCode::Conflict`] if something it writes was changed by a transaction that committed first: nothing
    /// has happened, run it again ([`ErrorCode::ConflictUnpublished`]: by one that this handle submitted; that one has ended since).
    /// [`ErrorCode::OutcomeUnknown`]: a sync failed, or the promotion of another node has not
    /// said yet which commits it keeps; whether this one counts is unknown, so look before you run it again.
    /// [`ErrorCode::StalePrimary`]: it does not count, another node leads. [`ErrorCode::Closed`]: the handle that began it
    /// was closed. [`ErrorCode::SnapshotExpired`]: it was held for too long; nothing has happened, run it again. If an
    /// operation of it failed for another reason than its input, that one's error.
    pub fn commit(self) -> Result<Token> {
        let engine = self.engine.clone();
        engine.measured_commit(self)
    }

    /// As [`Transaction::commit`]; the token is `None` unless this database is a primary.
    pub fn commit_with_token(self) -> Result<Option<Token>> {
        let primary = self.engine.role() == ReplicationRole::Primary;
        self.commit().map(|token| primary.then_some(token))
    }

    /// Gives the changes up, as dropping does.
    pub fn rollback(self) {}

    /// Whether a commit would change nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.overlay.is_empty() && self.overlay.names.is_empty()
    }

    fn require_node(&self, id: NodeId) -> Result<()> {
        if self.node_exists(id)? {
            return Ok(());
        }
        Err(Error::new(ErrorCode::NodeNotFound, format_args!("node {id} does not exist")).with_key(id))
    }
}

impl sealed::ReadState for Transaction {
    #[inline(always)]
    fn is_expired(&self) -> bool {
        self.hold.is_expired()
    }

    #[inline]
    fn reading(&self) -> Reading<'_> {
        Reading::new(&self.levels, self.snapshot, Some(&self.overlay))
    }

    fn find_name(&self, kind: NameKind, name: &str) -> Option<u32> {
        self.visible_name(kind, name)
    }

    fn name_of(&self, kind: NameKind, id: u32) -> Option<Arc<str>> {
        let own = || self.levels.names.any_name(kind, id).filter(|_| self.uses(kind, id));
        self.levels.names.name(kind, id, self.snapshot).or_else(own)
    }

    fn list_names(&self, kind: NameKind) -> Vec<(u32, Arc<str>)> {
        self.visible_names(kind)
    }

    #[inline]
    fn as_dyn(&self) -> &dyn Graph {
        self
    }
}

impl Graph for Transaction {}
