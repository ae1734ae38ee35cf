//! Bootstrap and reseed: a replica takes its source's graph in place of its own, as far as nothing is given up unasked.

use super::{PAGE_BYTES, Replica};
use crate::{
    db::{merge_history, resolved},
    error::{Error, ErrorCode, Result},
    graph::{Digest, LogIndex},
    log::{FrameRef, PageLimits, proven},
    replication::{
        registry::Progress,
        replica::{
            alike::Comparison,
            copied::{Before, Copied, LeftBehind, SamePath},
            given_up_commits::{Common, GivenUp, common, last_common},
        },
        rivals::{Rival, rivals_of},
        source::{
            At, Lineage, Snapshot, Source, SourcePaths,
            local::{LocalSource, exchanged},
            remembered::{remember, remembered},
            upstream::HOW_TO_REGISTER,
        },
        status::ReplicaState,
    },
    shell::{command, shell_word},
    store::{HistoryEntry, Image, Manifest, Part, Store},
    watch::{Phase, Watch},
};
use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

/// Where an interrupted copy is remembered, in the replica's sidecar.
const RECORD: &str = "bootstrap.progress";

/// So many frames are applied between two looks at whether a bootstrap is to end.
const FRAMES_AT_ONCE: usize = 4096;

impl Replica {
    /// Has the source keep its log from a snapshot on, and from where this node is, which it is as long as the copy is not
    /// whole; unless this replica is not to be registered. Returns whether it is registered there now.
    fn reserve(&self, source: &dyn Source, snapshot: LogIndex) -> Result<bool> {
        if self.engine.options.replication_unregistered {
            return Ok(false);
        }
        source.reserve(&Progress { reserved: Some(snapshot), ..self.progress() }).map_err(|e| match e.code() {
            // Refused, not merely failed.
            ErrorCode::Io | ErrorCode::PermissionDenied | ErrorCode::InvalidArgument => e
                .recoded(ErrorCode::Unregistered)
                .context("the source would not keep its log for this replica")
                .and(HOW_TO_REGISTER),
            _ => e,
        })?;
        if !self.engine.is_foreign() {
            // Whoever takes this replica away tells the source.
            self.control.set_registered(true, false);
        }
        Ok(true)
    }

    /// Replaces this replica's graph by a snapshot of its source's, and catches up to what the source had published
    /// when this began. The source is not stopped or slowed. A crash leaves the old graph or the new one; a copy
    /// that was interrupted resumes. Returns what that did to others.
    ///
    /// Where `watch` ends it, what is there of a copy stays, and goes on with the next call.
    pub fn bootstrap(&self, watch: &Watch) -> Result<Copied> {
        watch.require_uncancelled()?;
        let mut work = self.working.lock();
        self.require_replica()?;
        self.engine.require_replaceable()?;
        if let Some(paths) = self.paths() {
            self.require_no_circle(paths)?;
        }
        let (of, common) = match self.require_known_to_source() {
            Ok(known) => known,
            Err(e) => {
                // What is refused changes nothing.
                if e.code() != ErrorCode::WouldOverwrite {
                    self.note_failure(&e);
                }
                return Err(e);
            }
        };
        self.enter(ReplicaState::Bootstrapping);
        if self.engine.is_replica() {
            self.control.set_bootstrapping(true);
        }
        if self.engine.is_half_made() {
            // What cut it short before is past.
            self.control.set_last_error(None);
        }
        let was_foreign = self.engine.is_foreign();
        let led = self.control.fence().ok().filter(|fence| was_foreign && !fence.follows && fence.moved_by.is_none());
        let gave_up_lead = led.map(|fence| fence.epoch.0);
        let (was_registered, mut reserved) = (self.control.is_registered(), false);
        let (held, before) = (self.held(), self.followed_log.before_a_copy());
        let copied = self.copy_and_catch_up(of, &mut reserved, watch);
        let result = match self.paths() {
            // It is a replica from now on, also if it did not catch up.
            Some(paths) if was_foreign && !self.engine.is_foreign() => {
                copied.and(remember(&self.engine, &self.source_env, &paths, true))
            }
            _ => copied,
        };
        if let Err(e) = &result {
            // What is there of a copy that can go on stays.
            let record = self.engine.log_dir.join(RECORD);
            let in_place = !self.engine.names_its_log(self.engine.published());
            let nothing_copied = self.engine.env.disk.identity(&record).is_err() && !in_place;
            self.engine.opened.set_unwanted(nothing_copied);
            if nothing_copied {
                self.control.set_bootstrapping(false);
                if reserved && !was_registered {
                    self.take_back_reservation();
                }
            }
            if e.code() == ErrorCode::Cancelled && !self.engine.is_half_made() && !self.control.needs_reseed() {
                // What is here is whole still, and nothing failed.
                self.enter(self.pace());
            } else {
                self.note_failure(e);
            }
            return result.map(|()| Copied::default());
        }
        let left_behind = self.left_behind(held, common, before);
        self.engine.opened.set_unwanted(false);
        work.noted = false;
        let remembers = self.leave_old_sources(&mut work);
        self.settle(&mut work, Ok(0)).and(remembers)?;
        let (same_path, put_aside) = (self.registered_from_the_same_path(), self.engine.opened.aside());
        Ok(Copied { left_behind, same_path, put_aside, ahead_of_source: Vec::new(), gave_up_lead })
    }

    /// Who followed what was here, `held`, of which the source had what is up to `shared`, and cannot go on here now. The source, which may have followed it, does not, nor does who
    /// leads since, as far as that is seen from here.
    fn left_behind(
        &self,
        held: Option<(At, Vec<HistoryEntry>)>,
        shared: Option<LogIndex>,
        before: Before,
    ) -> Vec<LeftBehind> {
        let now = (self.engine.published(), self.engine.history());
        let common = held.and_then(|(here, history)| last_common((here.index, &history), (now.0, &now.1)));
        // Where nothing tells, its own pull does.
        let common = common.unwrap_or(before.last).min(shared.unwrap_or(before.last));
        let mut left = self.followed_log.adopted(before, common);
        let source = self.paths().map(|paths| paths.db.to_string_lossy().into_owned());
        let leads = |path: &str| {
            let peek =
                resolved(&self.source_env, Path::new(path)).and_then(|path| Store::peek(&self.source_env, &path));
            peek.is_ok_and(|peek| matches!(peek.log.part, Part::Leads(_)))
        };
        left.retain(|left| source.is_none() || left.path != source);
        left.retain(|left| !left.path.as_deref().is_some_and(leads));
        left
    }

    /// The nodes that lead in place of the source, or hold commits that it lacks, as far as they can be reached from it.
    pub fn ahead_of_source(&self) -> Vec<Rival> {
        let Some(SourcePaths { db, sidecar }) = self.paths() else { return Vec::new() };
        let mut found = rivals_of(&self.source_env, &db, sidecar);
        // It may have gone on since it was looked at.
        let head = self.source().head().unwrap_or_default();
        let ahead = |rival: &Rival| rival.leads.or(rival.knows_epoch).is_some() || rival.last_token.log_index > head;
        found.retain(ahead);
        found
    }

    /// Who else is registered with the source from a path like that of this replica.
    fn registered_from_the_same_path(&self) -> Vec<SamePath> {
        let (true, Some(path)) = (self.control.is_registered(), &self.labels.path) else { return Vec::new() };
        let found = self.source().others_at(&self.id, path).unwrap_or_else(|e| {
            tracing::warn!("who is registered from the path of this replica could not be looked at: {e}");
            Vec::new()
        });
        found.into_iter().map(SamePath::from).collect()
    }

    /// Fails where the source's graph would replace commits that the source does not have, and nobody asked for that. Returns
    /// the id of the source's file that was looked at, and the last commit that both have, as far as that can be told.
    fn require_known_to_source(&self) -> Result<(Option<[u8; 16]>, Option<LogIndex>)> {
        let told = self.engine.options.overwrite || self.engine.is_foreign();
        let is_damaged = self.engine.damage().is_some();
        let Some(held) = self.held() else {
            if told || !is_damaged || self.engine.is_unfilled() {
                return Ok((None, None));
            }
            let lineage = self.source().lineage()?;
            self.require_the_same_source(&lineage)?;
            return Ok((Some(lineage.file_id), None));
        };
        let source = self.source();
        let lineage = source.lineage()?;
        if told {
            // Who follows this node is told nevertheless; but what no disk reads is in the way of nothing.
            let common = match self.common(&*source, &lineage, &held) {
                Err(e) if e.code() == ErrorCode::Io => None,
                told => told?,
            };
            return Ok((None, common.map(|common| common.last)));
        }
        let claimed = last_common((held.0.index, &held.1), (lineage.end, &lineage.history));
        if is_damaged && claimed.is_none() {
            self.require_the_same_source(&lineage)?;
        }
        let common = self.common(&*source, &lineage, &held)?;
        match (common.and_then(|common| common.given_up(&held.0, lineage.end)), self.paths()) {
            // As long as its file does not have them, it does not lead with them either.
            (Some(given_up), Some(paths)) if self.engine.opened.has_beyond() => {
                Err(given_up.refused_in_log(&self.engine.path, &paths))
            }
            (Some(given_up), Some(paths)) if is_damaged => {
                Err(given_up.refused_of_damaged(&self.engine.path, &self.engine.log_dir, &paths))
            }
            (Some(given_up), Some(paths)) => Err(given_up.refused(&self.engine.path, &paths, self.other_leader())),
            _ => Ok((Some(lineage.file_id), common.map(|common| common.last))),
        }
    }

    /// Fails unless the source, whose lineage is `lineage`, is the database that this replica followed: neither its file nor its log
    /// tells of what history it was.
    fn require_the_same_source(&self, lineage: &Lineage) -> Result<()> {
        let known = remembered(&self.engine, &self.source_env).and_then(|known| known.file_id);
        let (false, Some(paths)) = (known == Some(lineage.file_id), self.paths()) else { return Ok(()) };
        let what = format_args!(
            "{shown} is damaged, and nothing tells whether it is a replica of {source}: neither its log nor what it remembers of its \
             source does. Give it the source that it followed (--source-db); to take the graph of {source} whatever was here, ask for \
             that by name (replication_overwrite, --overwrite)",
            shown = self.engine.path.display(),
            source = paths.db.display(),
        );
        Err(Error::new(ErrorCode::WouldOverwrite, what).with_path(&self.engine.path))
    }

    /// The commits here that a reseed would give up.
    fn given_up(&self) -> Result<Option<GivenUp>> {
        let Some(held) = self.held() else { return Ok(None) };
        let source = self.source();
        let lineage = source.lineage()?;
        let common = self.common(&*source, &lineage, &held)?;
        Ok(common.and_then(|common| common.given_up(&held.0, lineage.end)))
    }

    /// What this node, which is at `here` and of that history, has in common with `source`; `None` where nothing tells.
    fn common(
        &self,
        source: &dyn Source,
        lineage: &Lineage,
        (here, history): &(At, Vec<HistoryEntry>),
    ) -> Result<Option<Common>> {
        let compared = RefCell::new(Comparison::new(&self.engine, source));
        let (marks, alike) = (&mut || compared.borrow_mut().marks(), &mut |index| compared.borrow_mut().alike(index));
        let found = common((here, history), lineage, marks, alike)?;
        match compared.into_inner().failed() {
            Some(e) if found.is_none_or(|found| !found.compared) => Err(e.and(
                "so it is not known whether the source has all that this replica has: try again; or ask by name to give up what it \
                 may lack (replication_overwrite, --overwrite)",
            )),
            _ => self.unless_another_tells(found, (here, history)),
        }
    }

    /// What is in common as far as the source tells, unless it cannot compare, and the source that this replica followed until now
    /// tells that one writer has two histories: then that is not known of this source.
    fn unless_another_tells(
        &self,
        found: Option<Common>,
        (here, history): (&At, &[HistoryEntry]),
    ) -> Result<Option<Common>> {
        let Some(claimed) = found.filter(|found| !found.compared && found.last == here.index) else { return Ok(found) };
        let known = remembered(&self.engine, &self.source_env).map(|known| known.paths);
        let Some(known) = known.filter(|known| self.paths().is_none_or(|paths| paths.db != known.db)) else {
            return Ok(found);
        };
        let before = LocalSource::new(self.source_env.clone(), known, Arc::new(|_: &Path| None));
        let parted = || {
            let lineage = before.lineage()?;
            let told = last_common((here.index, history), (lineage.end, &lineage.history));
            let compared = RefCell::new(Comparison::new(&self.engine, &before));
            let (marks, alike) =
                (&mut || compared.borrow_mut().marks(), &mut |index| compared.borrow_mut().alike(index));
            let common = common((here, history), &lineage, marks, alike)?;
            Ok::<_, Error>(common.filter(|common| told == Some(claimed.last) && common.last < claimed.last))
        };
        // One that is gone tells nothing.
        Ok(parted().ok().flatten().map(|common| Common { at_most: true, ..common }).or(found))
    }

    /// Another node than the source that leads: the one that can be reached; else, where the source is a replica itself, some other one.
    fn other_leader(&self) -> Option<PathBuf> {
        let follows = || self.source().seen().map_or(self.control.source_follows(), |seen| seen.fence.follows);
        self.leader_elsewhere().map(|(db, _)| db).or_else(|| follows().then(|| "PRIMARY".into()))
    }

    /// Where this node is, and on which history; `None`: it holds nothing.
    fn held(&self) -> Option<(At, Vec<HistoryEntry>)> {
        let (epoch, writer_id, index, digest) = self.engine.position();
        let (mut here, mut history) = (At { epoch, writer_id, index, digest }, self.engine.history());
        // Of a file that is damaged its log tells.
        let in_log =
            || proven(&self.engine.env, &self.engine.log_dir, self.engine.store.file_id(), Some(&self.control));
        let damaged = self.engine.damage().and_then(|_| in_log().ok().flatten()).filter(|held| held.last > index);
        if let Some(held) = self.engine.opened.beyond().or(damaged) {
            here = At { epoch: held.epoch, writer_id: held.writer_id, index: held.last, digest };
            merge_history(&mut history, &held.wrote, held.last, None);
        }
        (here.index > LogIndex(0)).then_some((here, history))
    }

    /// The error of a replica that cannot go on, where only a reseed that gives up commits would help, with that choice.
    pub(super) fn with_both_ways(&self, e: Error) -> Error {
        if e.code() != ErrorCode::NeedsReseed || self.engine.require_undamaged().is_err() {
            return e;
        }
        match (self.given_up(), self.paths()) {
            (Ok(Some(given_up)), Some(paths)) => given_up.both_ways(e, &self.engine.path, &paths, self.other_leader()),
            _ => e,
        }
    }

    /// What is noted of a failed attempt. Another source than the one that is known is remembered once it was followed: who
    /// asks before has to be told which one it was that a reseed is needed from.
    pub(super) fn told_with_its_source(&self, e: &Error) -> String {
        if e.code() != ErrorCode::NeedsReseed || e.names_a_command() {
            return e.to_string();
        }
        let known = remembered(&self.engine, &self.source_env);
        match self.paths().filter(|paths| known.is_none_or(|known| known.paths.db != paths.db)) {
            Some(paths) => {
                let source = format!("--source-db {}", shell_word(&paths.db));
                let reseed = command("replica reseed", &self.engine.path, source);
                format!("{e}; {reseed} copies that source anew")
            }
            None => e.to_string(),
        }
    }

    /// The source need not keep its log for a copy that was not made, and that does not go on.
    fn take_back_reservation(&self) {
        match self.source().forget(&self.id) {
            Ok(_) if self.engine.is_foreign() => {}
            Ok(_) => self.control.set_registered(false, false),
            Err(e) => tracing::warn!("the source may keep its log for a bootstrap that was refused: {e}"),
        }
    }

    /// `of`: the id of the file that was looked at, and is copied; `None`: whichever is there first. `reserved` says whether the
    /// source keeps its log for a snapshot that is not in place yet.
    fn copy_and_catch_up(&self, of: Option<[u8; 16]>, reserved: &mut bool, watch: &Watch) -> Result<()> {
        let source = self.source();
        let head = source.head()?;
        self.source_head.store(head.0, Ordering::Release);
        let mut snapshot = source.snapshot(false)?;
        let (of, of_compared) = (of.unwrap_or(snapshot.file_id()), of.is_some());
        let require_same = |snapshot: &dyn Snapshot| match (snapshot.file_id() == of, self.paths()) {
            (false, Some(paths)) => Err(exchanged(&paths.db)),
            _ => Ok(()),
        };
        require_same(&*snapshot)?;
        if snapshot.checkpoint().log_index < self.engine.published().min(head) {
            // So that readers here do not see the graph go back, if that can be helped.
            match source.snapshot(true) {
                Ok(newer) => snapshot = newer,
                Err(e) => tracing::info!("a bootstrap takes the source's last checkpoint, not a new one: {e}"),
            }
        }
        // First the log is kept from the snapshot on, then the snapshot is looked at again: what follows it cannot be
        // let go any more. Where it was already, or is damaged, a newer snapshot passes over that.
        for fresh in [false, true] {
            if fresh {
                snapshot = source.snapshot(true)?;
            }
            require_same(&*snapshot)?;
            if of_compared {
                // Its files may have been written over since, and are the same ones still; now the snapshot is held.
                self.require_known_to_source()?;
            }
            let mark = snapshot.checkpoint();
            *reserved |= self.reserve(&*source, mark.log_index)?;
            match self.log_is_whole(&*source, mark.log_index, mark.digest, head, watch) {
                Ok(()) => break,
                Err(e) if fresh || e.code() == ErrorCode::Cancelled => return Err(e),
                Err(e) => {
                    tracing::info!("the source's log after its checkpoint cannot be read, asking for a new one: {e}")
                }
            }
        }
        let record = self.engine.log_dir.join(RECORD);
        let mut stage = watch.begin(Phase::Copy, self.bytes_of(snapshot.image()))?;
        let adopted = self.engine.adopt(snapshot.image(), &record, &mut |bytes| {
            self.engine.check_usable()?;
            stage.advance(bytes)
        });
        adopted.map_err(|e| self.of_source(e))?;
        drop(snapshot);
        self.look_at_epoch();
        let frames = head.0.saturating_sub(self.engine.published().0);
        let mut stage = watch.begin(Phase::CatchUp, Some(frames))?;
        while self.engine.published() < head {
            match self.pull(FRAMES_AT_ONCE, head)? {
                0 => break,
                applied => stage.advance(applied as u64)?,
            }
        }
        // It is done, whoever wanted to end it.
        let _ = stage.end();
        Ok(())
    }

    /// How many bytes a copy of `image` takes, if it says so.
    fn bytes_of(&self, image: &dyn Image) -> Option<u64> {
        let manifest = Manifest::decode(&image.manifest_bytes().ok()?, self.engine.env.host.known_level()).ok()?;
        Some(manifest.runs.iter().flat_map(|run| &run.sections).map(|section| section.stored_len()).sum())
    }

    /// Damage that a copy met: it is the source's, whose every block is verified before it is written here.
    fn of_source(&self, e: Error) -> Error {
        match self.paths() {
            Some(paths) if e.code() == ErrorCode::Corrupt && !e.names_a_command() => {
                let look = command("check", &paths.db, "");
                e.context(format_args!("the source {} is damaged", paths.db.display())).and(format_args!(
                    "nothing was changed here; {look} lists the damage, and where a replica of it is whole, let that one lead, \
                     and copy that"
                ))
            }
            _ => e,
        }
    }

    /// Whether the log goes on after a snapshot, and every frame up to `head` can be read.
    fn log_is_whole(
        &self,
        source: &dyn Source,
        index: LogIndex,
        digest: Digest,
        head: LogIndex,
        watch: &Watch,
    ) -> Result<()> {
        let mut at = At { index, digest, ..At::start() };
        loop {
            watch.require_uncancelled()?;
            let limits = PageLimits { max_frames: usize::MAX, max_bytes: PAGE_BYTES, through: head };
            let page = source.page_unattributed(&at, limits)?.page;
            for chunk in &page.chunks {
                for place in &chunk.frames {
                    let bytes = &chunk.bytes[place.at..place.at + place.len];
                    if FrameRef::parse(bytes).is_none() {
                        let index = place.header.log_index;
                        return Err(Error::corrupt(format_args!("the frame with log index {index} does not verify")));
                    }
                    place.header.require_known(self.engine.env.host.known_level())?;
                }
            }
            let Some(last) = page.last().map(|last| last.header) else {
                return page.fault.map_or_else(|| Ok(()), Err);
            };
            (at.index, at.digest) = (last.log_index, last.digest);
            if at.index >= head {
                return Ok(());
            }
        }
    }
}
