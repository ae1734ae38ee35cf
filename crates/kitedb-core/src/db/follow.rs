//! A replica's way of committing: frames come as another node wrote them, go into this node's log verbatim, and are
//! folded by the code that recovers a log.

use super::{
    commit::no_log,
    engine::{Commit, Engine, NextIds},
    options::SyncMode,
    published_log::PublishedLog,
    role::would_overwrite,
    stored::levels_of,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::LogIndex,
    log::{Chunk, Control, FRAMES_PREFIX, FrameRef, FrameSpan, Quiet, WriterId},
    store::{Image, LogKind, LogLink, Part, Store},
};
use crate::{graph::Epoch, state::Levels, store::HistoryEntry};
use std::{path::Path, sync::Arc};

impl Engine {
    /// Appends and applies the frames of `chunk`, which must go on where this node ends: verifies them, appends
    /// them in as few writes as segments allow, syncs in [`SyncMode::Full`], folds them, publishes them. Returns
    /// how many were applied. After an error, what was applied before it stays.
    pub(crate) fn follow(&self, chunk: Chunk) -> Result<usize> {
        self.check_usable()?;
        self.require_writable()?;
        let mut commit = self.commit.lock();
        self.wait_for_room(&mut commit);
        self.check_usable()?;
        self.require_no_panic()?;
        self.require_undamaged()?;
        let verified = verify(&chunk, commit.last, self.env.host.known_level());
        let count = verified.as_ref().map_or_else(|(count, _)| *count, |()| chunk.frames.len());
        let applied = self
            .guarded_append("a replica's commit", &mut commit, |commit| self.append_and_fold(commit, chunk, count))?;
        let reached = commit.last;
        let due = commit.appender.as_ref().is_some_and(|appender| self.checkpoint_is_due(appender, &commit));
        drop(commit);
        self.maintenance.jobs.ask_for_sync();
        if due && self.options.auto_checkpoint {
            self.maintenance.jobs.ask_for_checkpoint();
        }
        match verified {
            Err((_, fault)) => Err(fault.context(format_args!("after the frame with log index {reached}"))),
            Ok(()) => Ok(applied),
        }
    }

    /// Fails if this replica's own log or state is of no more use.
    pub(crate) fn require_undamaged(&self) -> Result<()> {
        self.require_not_foreign()?;
        if let Some(damage) = self.damage() {
            if self.opened.has_beyond() {
                // Its own log has what it lacks.
                return Err(damage.recoded(ErrorCode::NeedsReseed).context("needs reseed"));
            }
            let what = "needs reseed: this replica's own log or state is damaged; reseed it from a snapshot";
            return Err(Error::new(ErrorCode::NeedsReseed, what));
        }
        Ok(())
    }

    /// Appends frames as the source wrote them, in one write, and folds each. Upholds I29.
    fn append_and_fold(&self, commit: &mut Commit, mut chunk: Chunk, count: usize) -> Result<usize> {
        if count == 0 {
            return Ok(0);
        }
        let mut known = commit.history.len();
        // The tail of its own log is a replica's cursor.
        let persist = |e: Error| match e.code() {
            ErrorCode::NeedsReseed => e,
            _ => e.context("cursor persist failed"),
        };
        let through = LogIndex(commit.last.0 + count as u64);
        self.require_appender(commit, chunk.epoch, chunk.writer_id, through).map_err(persist)?;
        let mut done = 0;
        while done < count {
            let Some(appender) = &mut commit.appender else { return Err(no_log()) };
            appender.control().pay()?;
            let (piece, mut bytes) = next_piece(&mut chunk, done, count, appender.room());
            let Some(last) = piece.last().copied() else { break };
            appender.append_verbatim(&mut bytes, &last.header).map_err(persist)?;
            if self.options.sync_mode == SyncMode::Full {
                self.sync_unseen(PublishedLog::of(appender), last.header.log_index).map_err(persist)?;
            }
            let base = piece[0].at;
            for place in piece {
                let from = place.at - base + FRAMES_PREFIX;
                let folded = FrameRef::parse_unverified(&bytes[from..from + place.len])
                    .ok_or_else(|| Error::corrupt("a frame that verified cannot be read"))
                    .and_then(|frame| self.fold(&frame, &chunk.writer_id));
                if let Err(e) = folded {
                    // The frame is in the log and can never be applied: the two graphs differ.
                    self.publish_followed(commit);
                    let e = e.recoded(ErrorCode::NeedsReseed).context("needs reseed");
                    self.fail_replica(e.clone());
                    return Err(e);
                }
                commit.last = place.header.log_index;
                commit.digest = place.header.digest;
                done += 1;
            }
            self.publish_followed(commit);
            if commit.history.len() > known {
                // A frame has told whose the epoch is: who waits for another writer's commit, beyond it, waits in vain.
                known = commit.history.len();
                self.signal().notify_all();
            }
        }
        Ok(done)
    }

    fn publish_followed(&self, commit: &Commit) {
        self.publish(commit.appender.as_ref().map(PublishedLog::of), commit.last);
    }

    /// Makes sure that there is a segment of that epoch and writer to append to, in which frames up to `last` count.
    fn require_appender(&self, commit: &mut Commit, epoch: Epoch, writer_id: WriterId, last: LogIndex) -> Result<()> {
        if commit.appender.is_none() {
            self.start_log(commit, epoch, writer_id)?;
        }
        let Some(appender) = &mut commit.appender else { return Err(no_log()) };
        if appender.control().fence()?.ended.is_some_and(|end| end.epoch == epoch && end.last < last) {
            // Where that epoch ended here is not where it ended on the history that this node follows: that of
            // another writer, by a forced promotion, or of a replica that kept more than this node when it led.
            appender.control().clear_end()?;
        }
        if (appender.epoch(), appender.writer_id()) != (epoch, writer_id) {
            appender.begin_epoch(epoch, writer_id)?;
        }
        commit.note_epoch(epoch, writer_id);
        if self.replication.follow(epoch) {
            // Who waits for a commit of the epoch before, beyond its end, waits in vain.
            self.signal().notify_all();
        }
        Ok(())
    }

    /// Fails if it is opened as a replica and is none.
    pub(crate) fn require_not_foreign(&self) -> Result<()> {
        self.replication.require_not_foreign()
    }

    /// Fails if this file's graph is no replica's and nobody asked for its end. Upholds I35.
    pub(crate) fn require_replaceable(&self) -> Result<()> {
        // Where nothing is left of what it led, nothing is replaced.
        let its_own = self.is_foreign() || (self.replication.is_on_trial() && self.published() > LogIndex(0));
        match its_own && !self.options.overwrite {
            true => Err(would_overwrite(&self.path, &self.view())),
            false => Ok(()),
        }
    }

    /// Takes over the graph that `image` holds in place of this one; what this replica had, and its log, go. A crash
    /// at any point leaves the one or the other. `record` remembers how far an interrupted copy came. Upholds I32
    /// and I43.
    pub(crate) fn adopt(
        &self,
        image: &dyn Image,
        record: &Path,
        pace: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        self.check_usable()?;
        self.require_writable()?;
        self.require_replaceable()?;
        // Of when it led: a frame of the log that goes now says how they end.
        self.end_submitted();
        self.guarded("a bootstrap", || self.adopt_guarded(image, record, pace))
    }

    fn adopt_guarded(&self, image: &dyn Image, record: &Path, pace: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
        let _no_checkpoint = self.maintenance.begin_checkpoint();
        let no_merge = self.maintenance.begin_merge();
        let (manifest, runs) = self.store.import(&self.env, image, record, pace)?;
        let levels = levels_of(&manifest, Arc::new(runs.clone().into()))?;
        let _publishing = self.maintenance.begin_publishing(&no_merge);
        let mut commit = self.commit.lock();
        self.check_usable()?;
        self.require_no_panic()?;
        let mark = manifest.checkpoint;
        let link = LogLink {
            id: self.env.host.random(),
            kind: LogKind::Sidecar,
            clean_tail: Some((mark.log_index, mark.digest)),
            part: Part::Follows(mark.epoch),
            hint: self.hint(),
            ..LogLink::default()
        };
        let (history, next) = (manifest.history.clone(), NextIds::of(&manifest));
        // A sync of the old log needs no commit lock: one that ended later would say how far that was durable, in the control
        // file that speaks of the next log by then. Upholds I38.
        let old = commit.appender.as_ref().map(|appender| appender.group_sync().clone());
        let quiet = old.as_ref().map(|old| old.quiet());
        self.leave_history(&commit)?;
        if let Some(control) = &self.sidecar {
            // What it says of the log that ends here must not pass for the next one's.
            control.lower_durable(mark.log_index)?;
        }
        if let Some(control) = self.sidecar.as_ref().filter(|control| !control.is_replica()) {
            // Who followed it when it led is not missed any more.
            control.set_roll(None)?;
            // Nor does a promotion go on that it, or what it was copied from, had begun before it led.
            control.set_promotion([0; 16])?;
            // Durable before the file is a replica's: who forgets it would go on as the writer that it copies.
            control.set_replica(true)?;
        }
        let next_log = link.id;
        if let Err(e) = self.store.publish_with_log(manifest, runs, link) {
            // A write that failed may have come to the file all the same. Written over, it names this graph; if that fails, too, the
            // next open finds out which of the two it names. Nothing more may be said of this log until then: in place of garbage
            // it would pass for a log that is newer than its file.
            let names_next = Store::peek(&self.env, &self.path).map_or(true, |peek| peek.log.id == next_log);
            if names_next
                && self.store.change_log(|link| link).is_err()
                && let Some(appender) = &commit.appender
            {
                appender.poison();
            }
            return Err(e);
        }
        // This was the one step that counts: from here on the file holds the new graph, and the old log, which has
        // another id, is garbage.
        quiet.into_iter().for_each(Quiet::retire);
        if let Some(control) = &self.sidecar {
            // Whatever its log knew of another file before.
            self.witnessed_by(control.clone());
        }
        if let Err(e) = self.store.change_log(|link| link) {
            // The next header does. Until then damage of this one would show what was here before. Upholds I46.
            tracing::warn!(path = %self.path.display(), "one header alone names the graph that was put in place: {e}");
        }
        commit.appender = None;
        commit.last = mark.log_index;
        commit.digest = mark.digest;
        let led: HistoryEntry = history.last().copied().unwrap_or(HistoryEntry {
            epoch: mark.epoch,
            writer_id: [0; 16],
            first: LogIndex(1),
        });
        (commit.epoch, commit.writer_id) = (led.epoch, led.writer_id);
        commit.history = history;
        commit.frozen_at_bytes = 0;
        self.replication.set_epoch(led.epoch);
        self.ids.restart(next);
        self.publish_anew(&commit, Levels { runs: self.store.runs(), ..levels }, mark.log_index);
        self.opened.forget_damage();
        self.opened.note_something();
        self.replication.become_replica();
        self.remember_files();
        self.poison.forget_log_failure();
        let named = self.name_adopted_log(&commit);
        drop(commit);
        if let Err(e) = Store::forget_import(&self.env, record) {
            tracing::warn!("what a bootstrap remembers of its copy was not removed: {e}");
        }
        self.signal().notify_all();
        named
    }

    /// Has the control file name the log that the header names since another graph was put in place, and removes the one before
    /// it. Until that is so, this node's log is the old one to who looks, and nothing more is pulled; the next pull tries it again,
    /// and the next open.
    fn name_adopted_log(&self, commit: &Commit) -> Result<()> {
        let Some(control) = &self.sidecar else { return Ok(()) };
        if let Err(e) = control.clear_end() {
            tracing::warn!("the end of an epoch of before a reseed may come back after a loss of power: {e}");
        }
        let log_id = self.store.log_link().id;
        // Else a segment of before, whose removal a loss of power takes back, may be missed as this log's.
        let session = control.set_not_begun(log_id).and_then(|()| control.set_current_log(log_id));
        let session = session.and_then(|()| control.set_sync_failed(false));
        session.and_then(|()| control.begin_session(&*self.env.host, commit.last)).map_err(|e| {
            let what = "the source's graph is in place, and the log's control file does not say so yet: it is tried again with \
                        the next pull, and when this replica is opened";
            e.context(what)
        })?;
        control.set_needs_reseed(false);
        control.set_filled();
        control.set_last_error(None);
        // Else a loss of power may bring back that log's end, or its id. If it fails, the next frame's log syncs it.
        let _ = control.sync();
        if let Err(e) = self.remove_log() {
            tracing::warn!("the log of before a reseed was not removed: {e}; it will be with the next frame");
        }
        Ok(())
    }

    /// Whether the control file names the log that the header names, and says of it that it ends with `last`.
    pub(crate) fn names_its_log(&self, last: LogIndex) -> bool {
        let link = self.store.log_link();
        let named = |control: &Control| control.current_log().log_id == link.id && control.published() == last;
        link.kind != LogKind::Sidecar || self.sidecar.as_deref().is_none_or(named)
    }

    /// Ends what a bootstrap could not, for want of room in its log's control file.
    pub(crate) fn end_adoption(&self) -> Result<()> {
        if self.names_its_log(self.published()) || self.opened.is_damaged() {
            return Ok(());
        }
        let commit = self.commit.lock();
        // Where frames are appended, the control file was told of their log first.
        let ended = commit.appender.is_some() || self.names_its_log(commit.last);
        if ended {
            return Ok(());
        }
        // A log that was begun, and whose name the header could not sync, looks the same, and may be named on the disk: what is
        // not named must be durable before it goes.
        self.store.change_log(|link| link)?;
        self.name_adopted_log(&commit)
    }

    /// Remembers what no other history will tell: that a promotion of this node is past, and which epochs have been.
    fn leave_history(&self, commit: &Commit) -> Result<()> {
        let Some(control) = &self.sidecar else { return Ok(()) };
        let fence = control.fence()?;
        // One that began its epoch here and never led is not past: its source may have ended for it, and only this node completes it.
        let is_past = |h: &HistoryEntry| h.first <= commit.last || h.epoch <= fence.epoch;
        if commit.history.iter().any(|h| h.writer_id == control.promotion() && is_past(h)) {
            control.set_promotion([0; 16])?;
        }
        if fence.follows && fence.epoch < self.epoch() {
            return control.set_fence(self.epoch());
        }
        control.sync()
    }
}

/// Checks that each frame verifies, goes on where the one before it ended, and needs no feature level above `known` (I44).
/// On failure: how many do.
fn verify(chunk: &Chunk, last: LogIndex, known: u16) -> Result<(), (usize, Error)> {
    for (at, place) in chunk.frames.iter().enumerate() {
        let expected = LogIndex(last.0 + 1 + at as u64);
        let bytes = chunk.bytes.get(place.at..place.at + place.len).unwrap_or_default();
        match FrameRef::parse(bytes) {
            None => {
                let what = format_args!("the frame with log index {expected} does not verify (CRC mismatch)");
                return Err((at, Error::corrupt(what)));
            }
            Some(frame) if frame.header.log_index != expected || frame.header.epoch != chunk.epoch => {
                let what = format_args!(
                    "missing log range: the frame with log index {expected} was to come next, but {} came",
                    frame.header.token()
                );
                return Err((at, Error::corrupt(what)));
            }
            Some(frame) => frame.header.require_known(known).map_err(|e| (at, e))?,
        }
    }
    Ok(())
}

/// The next frames that fit into `room` bytes (one in any case), of those from `done` to `count`, with their bytes.
fn next_piece(chunk: &mut Chunk, done: usize, count: usize, room: u64) -> (Vec<FrameSpan>, Vec<u8>) {
    let from = chunk.frames[done].at;
    let fits = |place: &&FrameSpan| (place.at + place.len - from) as u64 <= room;
    let take = chunk.frames[done..count].iter().take_while(fits).count().max(1);
    let piece = chunk.frames[done..done + take].to_vec();
    let end = chunk.frames[done + take - 1].at + chunk.frames[done + take - 1].len;
    if done == 0 && take == chunk.frames.len() {
        return (piece, std::mem::take(&mut chunk.bytes));
    }
    let mut bytes = vec![0; FRAMES_PREFIX];
    bytes.extend_from_slice(&chunk.bytes[from..end]);
    (piece, bytes)
}
