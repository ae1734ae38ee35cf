//! Whether two databases hold the same graph: their digests at an index that both have reached, and where these
//! differ, the frame with which their logs part and the elements that are not the same.

use crate::{
    db::{Difference, Differences, Engine, GraphRead, View},
    error::Result,
    graph::{Digest, LogIndex, Token},
    log::{LogReader, PageLimits, Position},
    watch::Watch,
};
use std::collections::VecDeque;

/// So much of a log is read at once, in bytes.
const PAGE: usize = 4 << 20;

/// What [`kitedb_core::compare`](crate::compare) found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Comparison {
    /// The first database.
    pub a: ComparedState,
    /// The second one.
    pub b: ComparedState,
    /// The last index that both have reached: their digests are compared there.
    pub log_index: LogIndex,
    /// Whether they hold the same graph at that index. `None`: it cannot be told, because the log of the one that is
    /// ahead does not reach back to it, or because only one of them holds any commit.
    pub equal: Option<bool>,
    /// Where their logs part, if the digests differ and the logs still tell.
    pub parted: Option<Parting>,
    /// What is not the same in their last states, unless the digests are equal: names, definitions of indexes, nodes with
    /// their vectors, and edges, each in the order of their ids. At most [`Comparison::MAX_LISTED`].
    pub differences: Vec<Difference>,
    /// How many elements are not the same.
    pub difference_count: u64,
    /// Whether every element was read and compared: where the digests are not equal, and where that was asked for, of two
    /// databases at the same commit ([`kitedb_core::compare_deep`](crate::compare_deep)).
    pub elements_compared: bool,
}

/// One side of a [`Comparison`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ComparedState {
    /// The last commit.
    pub token: Token,
    /// The state digest after it.
    pub digest: Digest,
    /// The state digest at the index of the comparison, if it is known.
    pub digest_at_index: Option<Digest>,
    /// Nodes in the last state.
    pub nodes: u64,
    /// Edges in the last state.
    pub edges: u64,
    /// Vectors in the last state.
    pub vectors: u64,
}

/// Where two logs part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Parting {
    /// The states are equal up to the frame before this one, and differ after it.
    At(LogIndex),
    /// They differ at this index already, and one of the logs holds nothing from before it.
    AtOrBefore(LogIndex),
}

impl Comparison {
    /// How many differences are listed at most.
    pub const MAX_LISTED: usize = 100;

    /// By how many commits the first database is ahead of the second one; negative if it is behind.
    pub fn lead(&self) -> i64 {
        self.a.token.log_index.0.cast_signed() - self.b.token.log_index.0.cast_signed()
    }
}

/// A log and the state that its database shows, to look back from.
struct Past {
    view: View,
    log: Option<LogReader>,
    /// Frames that were read and not looked at yet: index and digest after each.
    ahead: VecDeque<(LogIndex, Digest)>,
}

/// See [`kitedb_core::compare`](crate::compare). `deep`: reads every element also where the digests are equal.
pub fn compare(a: &Engine, b: &Engine, deep: bool, watch: &Watch) -> Result<Comparison> {
    watch.require_uncancelled()?;
    let (mut a, mut b) = (Past::of(a)?, Past::of(b)?);
    let log_index = a.view.token().log_index.min(b.view.token().log_index);
    let digests = (a.digest_at(log_index)?, b.digest_at(log_index)?);
    let comparable = log_index > LogIndex(0) || a.view.token() == b.view.token();
    let equal = digests.0.zip(digests.1).filter(|_| comparable).map(|(a, b)| a == b);
    let mut comparison = Comparison {
        a: a.state(digests.0),
        b: b.state(digests.1),
        log_index,
        equal,
        parted: None,
        differences: Vec::new(),
        difference_count: 0,
        elements_compared: false,
    };
    // What one of them has beyond the other is no difference, and cannot be told from one.
    let at_one_commit = a.view.token().log_index == b.view.token().log_index;
    if equal == Some(true) && !(deep && at_one_commit) {
        return Ok(comparison);
    }
    if equal == Some(false) {
        comparison.parted = Some(parting(&mut a, &mut b, log_index, watch)?);
    }
    let found = Differences::between(&a.view, &b.view, Comparison::MAX_LISTED, watch)?;
    (comparison.differences, comparison.difference_count) = (found.listed, found.count);
    comparison.elements_compared = true;
    // Digests that commits left say what should be there; this is what is.
    comparison.equal = comparison.equal.map(|equal| equal && found.count == 0);
    Ok(comparison)
}

/// The first frame after which two states differ that are known to differ at `last`.
fn parting(a: &mut Past, b: &mut Past, last: LogIndex, watch: &Watch) -> Result<Parting> {
    let from = a.earliest(last).max(b.earliest(last));
    if a.digest_at(from)? != b.digest_at(from)? {
        return Ok(Parting::AtOrBefore(from));
    }
    let mut at = from;
    while at < last {
        watch.require_uncancelled()?;
        let (Some(in_a), Some(in_b)) = (a.next(at, last)?, b.next(at, last)?) else {
            return Ok(Parting::AtOrBefore(last));
        };
        at = LogIndex(at.0 + 1);
        if in_a != in_b {
            return Ok(Parting::At(at));
        }
    }
    Ok(Parting::AtOrBefore(last))
}

impl Past {
    fn of(engine: &Engine) -> Result<Self> {
        // The view first: the log then holds what the view shows, and perhaps more.
        let view = engine.view();
        Ok(Self { view, log: engine.read_log()?, ahead: VecDeque::new() })
    }

    fn state(&self, digest_at_index: Option<Digest>) -> ComparedState {
        let view = &self.view;
        ComparedState {
            token: view.token(),
            digest: view.digest(),
            digest_at_index,
            nodes: view.count_nodes(),
            edges: view.count_edges(),
            vectors: view.count_vectors(),
        }
    }

    /// The state digest at `index`, which this database has reached.
    fn digest_at(&mut self, index: LogIndex) -> Result<Option<Digest>> {
        if index == self.view.token().log_index {
            return Ok(Some(self.view.digest()));
        }
        if index == LogIndex(0) {
            return Ok(Some(Digest::default()));
        }
        let Some(log) = &mut self.log else { return Ok(None) };
        Ok(match log.position(index)? {
            Position::At { digest, .. } | Position::Before { digest } => Some(digest),
            Position::BelowFloor | Position::Beyond(_) => None,
        })
    }

    /// The earliest index up to `last` whose digest is known, with those of all frames after it.
    fn earliest(&self, last: LogIndex) -> LogIndex {
        let floor = self.log.as_ref().and_then(LogReader::floor);
        floor.map_or(last, |floor| LogIndex(floor.0.saturating_sub(1)).min(last))
    }

    /// The digest after the frame that follows `after`, which is before `through`.
    fn next(&mut self, after: LogIndex, through: LogIndex) -> Result<Option<Digest>> {
        if self.ahead.is_empty()
            && let Some(log) = &mut self.log
        {
            let limits = PageLimits { max_frames: usize::MAX, max_bytes: PAGE, through };
            let page = log.read(after, limits)?;
            let frames = page.chunks.iter().flat_map(|chunk| &chunk.frames);
            self.ahead.extend(frames.map(|frame| (frame.header.log_index, frame.header.digest)));
        }
        let next = self.ahead.pop_front();
        Ok(next.filter(|(index, _)| index.0 == after.0 + 1).map(|(_, digest)| digest))
    }
}
