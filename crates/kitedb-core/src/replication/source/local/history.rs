//! Whether a replica is on its source's history: by the frames of the source's log, and by what its file says.

use super::{LocalSource, OpenLog};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Digest, LogIndex, Token, WriterTag},
    log::{Control, Position},
    replication::{
        node_file::store_of,
        source::{At, find_log::recovered_end},
    },
    store::CheckpointMark,
};
use std::sync::Arc;

impl OpenLog {
    /// Fails if `at` is not on this log's history. Whether it is there: what lies beyond its end, it cannot tell.
    /// Upholds I30.
    pub(super) fn verify(&mut self, at: &At) -> Result<bool> {
        let control = self.reader.control().clone();
        let head = control.published();
        let off = |what: &dyn std::fmt::Display| {
            Error::new(
                ErrorCode::NeedsReseed,
                format_args!("needs reseed: this replica is at {}:{}, {what}", at.epoch, at.index),
            )
            .with_token(at.token())
        };
        let other_graph = |there: Digest| {
            let error = off(&"where its source holds another graph (the state digests differ)");
            error.with_expected(there).with_found(at.digest)
        };
        match self.reader.position(at.index)? {
            Position::At { epoch, writer_id, digest } => {
                if epoch != at.epoch || (writer_id != at.writer_id && at.writer_id != [0; 16]) {
                    let what = format_args!("but its source has another history: epoch {epoch} there");
                    let there = Token::new(epoch, at.index).with_tag(WriterTag::of(&writer_id));
                    return Err(off(&what).with_expected(there.full()).with_found(at.token().full()));
                }
                if digest != at.digest {
                    return Err(other_graph(digest));
                }
            }
            Position::Before { digest } if digest != at.digest => return Err(other_graph(digest)),
            Position::Before { .. } => {}
            Position::BelowFloor => {
                let next = LogIndex(at.index.0 + 1);
                if let Some(damage) = self.reader.damage_at(next).filter(|_| at.index < head) {
                    return Err(damage);
                }
                let floor = self.reader.floor().unwrap_or_default();
                let what =
                    format_args!("below retained floor {floor} of its source: log index {} is gone", at.index.0 + 1);
                return Err(off(&what));
            }
            Position::Beyond(Some((epoch, writer_id)))
                if epoch > at.epoch || (epoch == at.epoch && writer_id != at.writer_id && at.writer_id != [0; 16]) =>
            {
                let what = format_args!("but its source has another history: epoch {epoch} began before that there");
                return Err(off(&what));
            }
            Position::Beyond(_) if at.index <= head && at.index.0 > 0 && self.reader.floor().is_some() => {
                return Err(match self.reader.why_missing(at.index) {
                    e if e.code() == ErrorCode::SourceUnavailable => e,
                    _ => match self.reader.damage_at(at.index) {
                        Some(damage) => damage,
                        None => off(&"where its source's log has a gap"),
                    },
                });
            }
            Position::Beyond(_)
                if at.index > head
                    && !control.is_replica()
                    && !is_of_its_successor(&control, at)?
                    && control.writer_lives()? =>
            {
                let what = format_args!("ahead of its source, which has only {head} and lost what came after");
                return Err(off(&what));
            }
            Position::Beyond(_) if self.reader.floor().is_none() && at.index < head => {
                let missing = self.reader.why_missing(LogIndex(at.index.0 + 1));
                if missing.code() != ErrorCode::NeedsReseed {
                    return Err(missing);
                }
                return Err(off(&"and its source kept no log of what came after"));
            }
            Position::Beyond(_) => return Ok(false),
        }
        Ok(true)
    }
}

/// Whether the log was ended for the epoch that the replica is of, or an earlier one: what the replica has beyond it came after that end.
fn is_of_its_successor(control: &Control, at: &At) -> Result<bool> {
    let fence = control.fence()?;
    Ok(fence.moved_by.is_some() && at.epoch >= fence.epoch)
}

impl LocalSource {
    /// Whether the source's file, which is that of the database `id`, is at that very position: then its log need not have it.
    pub(super) fn holds(&self, at: &At, id: [u8; 16]) -> bool {
        let Ok(store) = store_of(&self.env, &self.paths.db, id) else { return false };
        let manifest = store.manifest();
        let CheckpointMark { log_index, digest, .. } = manifest.checkpoint;
        let led = manifest.history.iter().rev().find(|h| h.first <= at.index);
        (log_index, digest) == (at.index, at.digest)
            && led.is_some_and(|led| (led.epoch, led.writer_id) == (at.epoch, at.writer_id))
    }

    /// Fails if, by what the source's file says, another writer than the replica's wrote the frame at that position, or has begun an
    /// epoch before it that is later than the replica's, or holds another graph there. Of the one before a log's first frame the log
    /// tells only the digest: it may be the log of a copy that was detached. A log that holds nothing yet tells nothing at all.
    pub(super) fn require_same_writer(&self, at: &At, id: [u8; 16]) -> Result<()> {
        let Ok(store) = store_of(&self.env, &self.paths.db, id) else { return Ok(()) };
        let manifest = store.manifest();
        let mark = &manifest.checkpoint;
        let Some(led) = manifest.history.iter().rev().find(|h| h.first <= at.index) else { return Ok(()) };
        let is_others = led.writer_id != at.writer_id && at.writer_id != [0; 16];
        let what = if at.index.0 == 0 {
            return Ok(());
        } else if is_others && at.index <= mark.log_index {
            "another writer's frame there".to_owned()
        } else if led.epoch > at.epoch || (is_others && led.epoch == at.epoch) {
            format!("epoch {} began before that there", led.epoch)
        } else if at.index == mark.log_index && at.digest != mark.digest {
            "another graph there (the state digests differ)".to_owned()
        } else {
            return Ok(());
        };
        let what = format_args!(
            "needs reseed: this replica is at {}:{}, but its source has another history: {what}",
            at.epoch, at.index
        );
        Err(Error::new(ErrorCode::NeedsReseed, what).with_token(at.token()).with_path(&self.paths.db))
    }

    /// Fails if this replica is ahead of a source that no process has open: of what it has, the source lost a part.
    pub(super) fn require_not_ahead(&self, at: &At, control: &Arc<Control>) -> Result<()> {
        let fence = control.fence()?;
        if fence.follows || fence.moved_by.is_some() || control.writer_lives()? {
            return Ok(());
        }
        let end = recovered_end(&self.env, &self.paths.db, control)?;
        if at.index <= end {
            return Ok(());
        }
        let what = format_args!(
            "needs reseed: this replica is at {}:{}, ahead of its source, which has only {end} and lost what came after (was \
             it restored from an older copy?); reseed this replica, or force its promotion to keep what it has",
            at.epoch, at.index
        );
        let error = Error::new(ErrorCode::NeedsReseed, what).with_token(at.token()).with_path(&self.paths.db);
        Err(error.with_expected(end).with_found(at.index))
    }
}
