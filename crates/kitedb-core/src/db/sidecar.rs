//! What a sidecar says when a database is opened: who led last, and whether this node may lead.

use super::{
    beyond::older_than_its_log,
    cut_short::CutShort,
    engine::Engine,
    history::merge_history,
    options::ReplicationRole,
    place::{LogPlace, anchored, files_moved, folder_of, is_absent, is_of_another, left_log_in},
    places::LogPlaces,
    promote::lock_fence,
    role::Standing,
    sidecar_files::{remove_sidecar, require_free, take_back},
    stale_fence::fence_by_header,
    unfilled::holds_nothing,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex},
    io::{Access, OpenMode, no_folder},
    log::{Control, Displaced, Fence, Keep, LogIdentity, NewControl, reaches_beyond, writers},
    shell::command,
    store::{Hint, LogKind, LogLink, Part},
};
use std::{path::Path, sync::Arc};

impl Engine {
    /// Opens the sidecar, if the role has one, and takes its lock. One is made where the file never had a log, and for a
    /// replica, which can be reseeded.
    pub(super) fn open_sidecar(&mut self, places: &LogPlaces, standing: Standing, accept_moved: bool) -> Result<()> {
        let role = self.role();
        let link = self.store.log_link();
        if role == ReplicationRole::Disabled {
            // One that is not named is cleared away by the first commit, which makes another.
            return if link.kind == LogKind::Private && link.open { self.hold_log_dir() } else { Ok(()) };
        }
        if Hint::to(&self.log_dir, folder_of(&self.path)).is_none() {
            let what = format_args!(
                "the path of the replication sidecar {} is longer than a file can remember ({} bytes): choose a \
                 shorter one, or one under the file's folder",
                self.log_dir.display(),
                Hint::MAX
            );
            return Err(Error::new(ErrorCode::InvalidOption, what));
        }
        if role == ReplicationRole::Replica && was_led(standing) {
            self.require_log_of_its_own(places)?;
        }
        self.hold_log_dir()?;
        if role == ReplicationRole::Primary
            && link.kind != LogKind::Sidecar
            && let Some(left) =
                left_log_in(&self.env, &self.log_dir, &self.path, self.store.file_id(), self.commit.get_mut().last)?
        {
            // What it led has more than this file: nothing of that is removed for the log that it would begin.
            return Err(left);
        }
        // Without it nobody can tell who leads, nor where the log ends.
        let needed = link.kind == LogKind::Sidecar && link.open;
        let damage = match &places.sidecar {
            LogPlace::Here(_) | LogPlace::Moved(..) => None,
            LogPlace::Damaged(_, e) => Some(e.clone()),
            _ if needed => places.gone(&self.path, &link),
            LogPlace::Missing(_) | LogPlace::Copied(_) | LogPlace::Another(_) => None,
        };
        let control = match (&places.sidecar, damage) {
            // A replica always opens, so that it can be reseeded. What it was to follow, its folder tells still. To a file that
            // never had a log, that folder is another's.
            (_, Some(e)) if role == ReplicationRole::Replica && link.kind == LogKind::Sidecar => {
                Control::clear(&*self.env.disk, &self.log_dir, self.store.file_id())?;
                self.opened.set_damage(needed.then_some(e));
                self.make_sidecar(link.kind, standing, true)?
            }
            (_, Some(e)) => return Err(e),
            (LogPlace::Here(_) | LogPlace::Moved(..), None) => match self.settled_control(places, &link) {
                Err(e) if role == ReplicationRole::Replica && e.code() == ErrorCode::Corrupt => {
                    Control::clear(&*self.env.disk, &self.log_dir, self.store.file_id())?;
                    self.opened.set_damage(needed.then_some(e));
                    self.make_sidecar(link.kind, standing, true)?
                }
                control => control?,
            },
            _ => {
                let named = link.hint.from(folder_of(&self.path)).filter(|_| link.kind == LogKind::Sidecar);
                self.make_sidecar(link.kind, standing, named.as_ref() == Some(&self.log_dir))?
            }
        };
        control.expect(self.store.file_id()).map_err(|e| e.context("replication sidecar"))?;
        if !control.lock_writer()? {
            let what = format_args!(
                "primary sidecar lock is held by another process ({}): {}",
                self.env.holder(control.writer_pid()),
                self.log_dir.display()
            );
            let error = Error::new(ErrorCode::Locked, what).with_path(&self.log_dir);
            return Err(error.with_pid(control.writer_pid()));
        }
        let moved = control.displaced(&**self.store.file())?;
        let never_was = matches!(standing, Standing::Unused(_) | Standing::StandAlone);
        if never_was && role == ReplicationRole::Primary && control.is_replica() {
            // It was to be a replica, and never was one.
            control.set_replica(false)?;
        }
        let copied = moved.log || matches!(places.sidecar, LogPlace::Copied(_));
        // What is a primary still, opened as a replica, may stay one: what tells that it is a copy outlives that.
        let stays_one = role == ReplicationRole::Replica && was_led(standing) && !control.is_replica();
        if copied && role == ReplicationRole::Replica {
            // A copy of another replica, which reports under its own id: this one needs one, too. Nor is a promotion of
            // that one this one's.
            let (mut id, file_id): ([u8; 16], _) = (self.env.host.random(), self.store.file_id());
            // By the second half it is known for one of this file's.
            id[8..].copy_from_slice(&file_id[8..]);
            control.set_registration(id)?;
            self.opened.note_new_id();
            if !stays_one {
                control.set_promotion([0; 16])?;
                // Of a copy that was taken in use the log may end earlier: what is missing comes from its source.
                control.lower_durable(self.store.manifest().checkpoint.log_index)?;
            }
        }
        // A primary that moved gets its stamps with the epoch that it begins, or once it is durably a replica; a log that is newer
        // than its file, once it is mended: until then they tell that something was put back.
        let put_back = moved.any() && places.newer_log(&self.env, &self.path, &link)?.is_some();
        let holds_back = accept_moved || put_back || (stays_one && moved.any());
        if !holds_back && (moved.any() || !control.has_stamps()) {
            control.set_stamps(&**self.store.file())?;
        }
        self.sidecar = Some(Arc::new(control));
        Ok(())
    }

    /// Fails where the log is the one that another file has, too, by a second name of its control file or of its folder: what
    /// makes this file a replica would make one of that one.
    fn require_log_of_its_own(&self, places: &LogPlaces) -> Result<()> {
        let LogPlace::Moved(dir, Displaced { log: false, .. }) = &places.sidecar else { return Ok(()) };
        let linked =
            places.control(&self.env)?.map(|control| control.links()).transpose()?.is_some_and(|links| links > 1);
        if !linked && !is_of_another(&self.env, &**self.store.file(), self.store.file_id(), dir) {
            return Ok(());
        }
        // Another code than that of a copy, which opens to be read.
        let what = format_args!(
            "{} is a copy of a primary, and its log in {} is not: that is the log of the primary itself, under a second name or \
             by hard links, and whatever makes a replica of this file would make one of that. Nothing was changed. Give this file \
             a log of its own first (`cp -a` that folder to another name, and move the copy into its place), or another path to \
             the replica",
            self.path.display(),
            dir.display()
        );
        Err(Error::new(ErrorCode::LogMismatch, what))
    }

    /// Has the log remember the files as they are, of what is durably a replica: what they were copied from is no matter any more.
    pub(super) fn remember_files(&self) {
        let Some(control) = self.sidecar.as_ref().filter(|control| control.is_replica()) else { return };
        let file = &**self.store.file();
        let remembered = control.displaced(file).and_then(|moved| match moved.any() {
            true => control.set_stamps(file),
            false => Ok(()),
        });
        if let Err(e) = remembered {
            // The next open does: it finds a replica.
            tracing::warn!(path = %self.path.display(), "what a replica that was a copy remembers of its files is old: {e}");
        }
    }

    /// The control file that is there, its fence as it is read.
    fn settled_control(&self, places: &LogPlaces, link: &LogLink) -> Result<Control> {
        let found = Control::open(&*self.env.disk, &self.log_dir, OpenMode::ReadWrite)?;
        let control = found.ok_or_else(|| places.log_is_gone(&self.path, &places.sidecar, link))?;
        control.expect(self.store.file_id()).map_err(|e| e.context("replication sidecar"))?;
        let _moving = lock_fence(&control)?;
        let fence = control.settle_fence()?;
        if let Some((fence, assumed)) = fence_by_header(&control, &fence, link, self.env.host.random()) {
            tracing::warn!(
                path = %self.path.display(),
                "the log's control file is older than what the file says of who leads: it may have been put back, and nobody \
                 leads by it before he is told to"
            );
            match assumed {
                true => control.put_assumed_fence(&fence)?,
                false => control.put_fence(&fence)?.durable()?,
            }
        }
        Ok(control)
    }

    /// Holds the folder of the log by a handle, if it is there.
    fn hold_log_dir(&mut self) -> Result<()> {
        let like = self.access()?;
        let io = |e| Error::io("look at", &self.log_dir, e);
        // Where it lies apart from the file, also the folder in which it is made.
        for dir in [folder_of(&self.log_dir), &self.log_dir] {
            if !is_absent(&self.env, dir) {
                self.env = anchored(&self.env, dir, like).map_err(io)?;
            }
        }
        Ok(())
    }

    /// Whose permissions everything beside the file gets.
    pub(super) fn access(&self) -> Result<Access> {
        self.store.file().access().map_err(|e| Error::io("look at", &self.path, e))
    }

    /// Makes the sidecar. In a folder that was this file's own, what lies beside the log is its own, too.
    fn make_sidecar(&mut self, kind: LogKind, standing: Standing, was_its_own: bool) -> Result<Control> {
        let (dir, role) = (self.log_dir.clone(), self.role());
        let io = |e| Error::io("create replication sidecar", &dir, e);
        if !was_its_own {
            require_free(&self.env, &self.path, &dir, self.store.file_id())?;
        }
        let is_new = is_absent(&self.env, &dir);
        if kind == LogKind::Sidecar && (role == ReplicationRole::Replica || !matches!(standing, Standing::Unused(_))) {
            let held = if is_new { Vec::new() } else { self.env.disk.list(&dir).map_err(io)? };
            self.opened.note_in_place(held);
        }
        self.env.disk.create_dir(&dir).map_err(|e| io(no_folder(&dir, e)))?;
        self.opened.note_sidecar(if is_new { Keep::Nothing } else { Keep::Folder });
        self.hold_log_dir()?;
        let log = LogIdentity { log_id: self.env.host.random(), file_id: self.store.file_id() };
        let commit = self.commit.get_mut();
        if kind == LogKind::Sidecar && role == ReplicationRole::Primary && !matches!(standing, Standing::Unused(_)) {
            // Its fence went with the old sidecar: who may have taken over since cannot be told. Upholds I42.
            let known = commit.epoch.max(self.store.log_link().part.epoch());
            (commit.epoch, commit.writer_id) = (Epoch(known.0 + 1), self.env.host.random());
        }
        let disk = &*self.env.disk;
        let follows = role == ReplicationRole::Replica;
        let new = match self.store.log_link().part {
            // What it led is its own until it is known to be on its source's history, although nobody knows any more where
            // its epoch ended.
            Part::Fenced { by, promotion, .. } if follows && standing == Standing::Fenced => {
                let fence = Fence { moved_by: Some(promotion), ..Fence::new(by) };
                NewControl { assumed: true, ..NewControl::of(fence) }
            }
            _ => {
                let registered = follows && was_its_own && kind == LogKind::Sidecar;
                // Until it hears from its source it is not known that there is nothing to have.
                let unfilled = follows && matches!(standing, Standing::Unused(_));
                NewControl { registered, unfilled, ..NewControl::of(Fence { follows, ..Fence::new(commit.epoch) }) }
            }
        };
        let control = Control::create_with(disk, &dir, log, self.env.host.random(), &new)?;
        disk.sync_dir(&dir).map_err(io)?;
        disk.sync_dir(folder_of(&dir)).map_err(io)?;
        Ok(control)
    }

    /// Leaves nothing of a sidecar that this open made in the place of one that is missing, if nothing came of it: the missing one
    /// may be put back. A command that fails makes none.
    pub(super) fn take_back_sidecar(&self) {
        let (Some(held), Some(keep)) = (self.opened.made_for_nothing(), self.opened.made_sidecar()) else { return };
        if let Err(e) = take_back(&self.env, &self.log_dir, self.store.file_id(), keep, held) {
            tracing::warn!(sidecar = %self.log_dir.display(), "a sidecar that nothing came of was not removed: {e}");
        }
    }

    /// Something came of this open: a sidecar that it made in the place of one that is missing stays, and is the one that the file
    /// names.
    pub(crate) fn came_to_something(&self) {
        if self.opened.note_something()
            && let Err(e) = self.say_in_header()
        {
            // The next open does.
            tracing::warn!(path = %self.path.display(), "where the log is was not noted in its file yet: {e}");
        }
    }

    /// Leaves nothing of a sidecar that this open made for a part that the file does not have. Returns whether none is left.
    pub(super) fn unmake_sidecar(&self) -> bool {
        let Some(keep) = self.opened.made_sidecar() else { return true };
        let file_id = self.store.file_id();
        // It may have been made beside what is left of an earlier log.
        let removed = match self.env.disk.is_dir(&self.log_dir) {
            true => match reaches_beyond(&self.env, &self.log_dir, file_id, None, LogIndex(0)) {
                Ok(true) => return false,
                Ok(false) => remove_sidecar(&self.env, &self.log_dir, file_id, keep),
                Err(e) => Err(e),
            },
            false => Ok(()),
        };
        if let Err(e) = &removed {
            tracing::warn!(sidecar = %self.log_dir.display(), "a sidecar that nobody needs was not removed: {e}");
        }
        removed.is_ok()
    }

    /// Leaves nothing of a file that was made for a bootstrap or an import which was refused.
    pub(super) fn unmake_file(&self) {
        // Without its file a sidecar would be that of another database, and in the way.
        if !self.unmake_sidecar() {
            return;
        }
        let disk = &*self.env.disk;
        if disk.identity(&self.path).ok() != self.store.file().identity().ok() {
            return;
        }
        let removed = disk.remove(&self.path).and_then(|()| disk.sync_dir(folder_of(&self.path)));
        if let Err(e) = removed {
            tracing::warn!(path = %self.path.display(), "a file that nobody needs was not removed: {e}");
            return;
        }
        let Some(aside) = self.opened.aside() else { return };
        if let Err(e) = disk.rename_new(&aside, &self.path) {
            tracing::warn!(aside = %aside.display(), "what was put aside for a replica stays there: {e}");
        }
    }

    /// After recovery: finds out who led last, and whether this node may lead.
    pub(super) fn take_up_sidecar(&self) -> Result<()> {
        let Some(control) = &self.sidecar else {
            self.replication.set_epoch(self.commit.lock().epoch);
            return Ok(());
        };
        let link = self.store.log_link();
        let mut commit = self.commit.lock();
        if commit.appender.is_none() && !link.open {
            if link.kind == LogKind::Sidecar {
                let log = LogIdentity { log_id: link.id, file_id: self.store.file_id() };
                let last = commit.last;
                // What begins another log lowers the durable word first.
                let more = if control.current_log() == log { control.published() } else { control.durable() };
                if self.role() == ReplicationRole::Primary && more > last {
                    let older = older_than_its_log(&self.path, &self.log_dir, last, more, link.part);
                    return Err(Error::new(ErrorCode::LogMismatch, older));
                }
                let found = writers(&self.env, &self.log_dir, log).unwrap_or_default();
                merge_history(&mut commit.history, &found, last, None);
                if let Some(leader) = commit.history.last().copied()
                    && leader.epoch >= commit.epoch
                {
                    (commit.epoch, commit.writer_id) = (leader.epoch, leader.writer_id);
                }
            }
            // A log that the file does not name ended before commits that were made in another role: nobody must take
            // it for the one that goes on.
            let damaged = self.opened.is_damaged();
            if control.current_log().log_id != link.id && !damaged {
                if control.fence()?.moved_by.is_none() {
                    // Nor for one that ended where an epoch of the log before it did. What another node fenced has ended.
                    control.clear_end()?;
                }
                control.lower_durable(commit.last)?;
                control.set_current_log(link.id)?;
                control.sync()?;
            }
        }
        let fence = control.fence()?;
        match self.role() {
            ReplicationRole::Replica if fence.follows || self.is_foreign() => {}
            // Another node took over from it. It is a replica of that one again once it is known to be on its history, also where
            // nothing of its own is left: until then it does not lead by being opened as a primary.
            ReplicationRole::Replica if fence.moved_by.is_some() => {
                self.replication.begin_trial();
            }
            // Durable before the first frame of another writer is in this log: who forgets it would go on as that writer.
            ReplicationRole::Replica => {
                if fence.moved().is_some_and(|moved| moved.ended.is_some()) {
                    // Whoever took over from it led after it: no promotion of this node goes on.
                    control.set_promotion([0; 16])?;
                }
                control.set_replica(true)?;
                self.remember_files();
            }
            _ if fence.follows || fence.moved_by.is_some() => {
                self.replication.set_fenced(true);
            }
            _ if fence.epoch > commit.epoch => {
                // A promotion ended before it had begun its epoch: complete it with the first commit.
                (commit.epoch, commit.writer_id) = (fence.epoch, self.env.host.random());
            }
            // A replica that holds nothing is no replica's file any more, and does not go on as the writer that it followed.
            _ if commit.last == LogIndex(0) && matches!(link.part, Part::Follows(_)) && !commit.history.is_empty() => {
                (commit.epoch, commit.writer_id) = (Epoch(commit.epoch.0 + 1), self.env.host.random());
                control.set_fence(commit.epoch)?;
            }
            _ if fence.epoch < commit.epoch => control.set_fence(commit.epoch)?,
            _ => {}
        }
        match self.opened.is_damaged() {
            // The next open must find out, too, that the log ends too early.
            true => control.begin_session_in_damage(&*self.env.host, commit.last)?,
            false => control.begin_session(&*self.env.host, commit.last)?,
        }
        self.replication.set_epoch(self.known_epoch(&commit, control)?);
        Ok(())
    }

    /// Brings what the header says of this file's part up to date, and of where its log is. A file without a log is not
    /// touched. Upholds I26.
    pub(super) fn say_in_header(&self) -> Result<()> {
        let link = self.store.log_link();
        if self.sidecar.is_none() || link.kind != LogKind::Sidecar || self.is_foreign() || self.opened.is_damaged() {
            // An older copy of the file would be one that counts as many headers as the one that it took the place of.
            return Ok(());
        }
        let (part, hint) = (self.part(self.commit.lock().epoch), self.hint());
        if (link.part, &link.hint) == (part, &hint) {
            Ok(())
        } else {
            self.store.change_log(|link| LogLink { part, hint, ..link })
        }
    }

    /// What part this file plays, whatever it is opened as: `epoch` is the one that it leads or follows.
    pub(super) fn part(&self, epoch: Epoch) -> Part {
        let Some(control) = &self.sidecar else { return Part::StandAlone };
        match control.fence() {
            Ok(Fence { follows: true, .. }) => Part::Follows(epoch),
            Ok(Fence { moved_by: Some(promotion), epoch: by, .. }) => Part::Fenced { led: epoch, by, promotion },
            Ok(_) => Part::Leads(epoch),
            // What the header says stays.
            Err(_) => self.store.log_link().part,
        }
    }

    pub(super) fn hint(&self) -> Hint {
        // One that is too long was refused at the open.
        Hint::to(&self.log_dir, folder_of(&self.path)).unwrap_or_default()
    }

    /// A primary that was fenced is found to be on its source's history: from here on it is a replica. Returns whether that
    /// is new.
    pub(crate) fn pass_trial(&self) -> Result<bool> {
        if !self.replication.is_on_trial() {
            return Ok(false);
        }
        if let Some(control) = &self.sidecar {
            // What this node led is past: it takes up no promotion of that time. Both are durable before the first frame of
            // another writer is in this log.
            control.set_promotion([0; 16])?;
            control.set_replica(true)?;
        }
        self.remember_files();
        self.replication.end_trial();
        self.say_in_header().map(|()| true)
    }

    /// Whether it is a replica, and known to be one: not what is only opened as one.
    pub(crate) fn is_replica(&self) -> bool {
        self.role() == ReplicationRole::Replica && !self.is_foreign() && !self.replication.is_on_trial()
    }

    /// Whether it was fenced as a primary, is opened as a replica, and has not followed yet.
    pub(crate) fn is_on_trial(&self) -> bool {
        self.replication.is_on_trial()
    }

    /// Whether it is a replica whose first copy is under way, or was cut short: it holds nothing yet.
    pub(crate) fn is_half_made(&self) -> bool {
        let half_made = || self.sidecar.as_ref().is_some_and(|control| control.is_half_made());
        self.role() == ReplicationRole::Replica && self.published() == LogIndex(0) && half_made()
    }

    /// As [`Engine::is_half_made`], also if no copy was begun.
    pub(crate) fn is_unfilled(&self) -> bool {
        let unfilled = || self.sidecar.as_ref().is_some_and(|control| control.is_unfilled());
        self.role() == ReplicationRole::Replica && self.published() == LogIndex(0) && unfilled()
    }

    /// Whether it is opened as a replica and is none.
    pub(crate) fn is_foreign(&self) -> bool {
        self.replication.is_foreign()
    }

    /// Why it does not follow, if it is opened as a replica and is none.
    pub(crate) fn foreign_reason(&self) -> Option<String> {
        self.replication.require_not_foreign().err().map(|e| e.to_string())
    }

    /// For a reader: what the sidecar says of this node's part, and of who leads.
    pub(super) fn look_at_sidecar(&mut self, places: &LogPlaces) -> Result<()> {
        let cut_short = CutShort::of(&self.path, &self.store.log_link());
        self.opened.set_log_fault(cut_short.map(|cut| cut.fault(&self.path)));
        let found = match &places.sidecar {
            LogPlace::Here(dir) | LogPlace::Moved(dir, _) => Control::open(&*self.env.disk, dir, OpenMode::Read),
            _ => {
                let link = self.store.log_link();
                if link.kind == LogKind::Sidecar && (link.open || self.checkpoint_index() > LogIndex(0)) {
                    let fault = log_not_seen(&self.path, places, &link, self.role());
                    self.opened.set_log_fault(Some(fault));
                } else if self.role() == ReplicationRole::Replica && self.checkpoint_index() == LogIndex(0) {
                    // Its bootstrap was cut short before it had a log.
                    let what = holds_nothing(&self.env, &self.path, places.sidecar.dir());
                    self.opened.set_log_fault(Some(Error::new(ErrorCode::LogMismatch, what)));
                }
                return Ok(());
            }
        };
        let control = match found {
            // Damage there locks nobody out of what the file holds.
            Err(e) if e.code() == ErrorCode::Corrupt => return Ok(()),
            found => found?,
        };
        let Some(control) = control else { return Ok(()) };
        let link = self.store.log_link();
        let unused = link.kind == LogKind::None && self.store.manifest().checkpoint.log_index == LogIndex(0);
        let fence = match control.fence() {
            Err(e) if e.code() == ErrorCode::Corrupt => return Ok(()),
            fence => fence?,
        };
        if link.kind != LogKind::Sidecar && !unused && fence.moved_by.is_none() {
            // Of before the commits that this file made without a part in replication.
            return Ok(());
        }
        self.log_dir = places.sidecar.dir().to_owned();
        let (role, fenced, epoch) = part_seen(&control, fence, &link);
        self.replication.set_role(role);
        self.replication.set_fenced(fenced);
        self.replication.set_epoch(epoch);
        if matches!(places.sidecar, LogPlace::Moved(..)) && !fence.follows {
            self.opened.set_log_fault(Some(files_moved(&self.path, &places.sidecar)));
        }
        self.sidecar = Some(Arc::new(control));
        Ok(())
    }

    /// Whether this node, which is open for reading only, has another part by what its control file says now than at its open.
    pub(super) fn has_another_part(&self, control: &Control) -> Result<bool> {
        if self.sidecar.is_none() {
            return Ok(false);
        }
        let seen = part_seen(control, control.fence()?, &self.store.log_link());
        Ok(seen != (self.role(), self.is_fenced(), self.epoch()))
    }

    /// A replica shows what could be folded of its log.
    pub(super) fn go_on_damaged(&self, damage: Error, history: &[(Epoch, [u8; 16], LogIndex)]) {
        let levels = self.publication.levels();
        let mut commit = self.commit.lock();
        commit.last = levels.active.last();
        commit.digest = levels.active.info(commit.last).digest;
        let reached = commit.last;
        let folded: Vec<_> = history.iter().filter(|(_, _, first)| *first <= reached).copied().collect();
        merge_history(&mut commit.history, &folded, reached, None);
        drop(commit);
        self.fail_replica(damage);
    }

    /// This replica's log or state is of no more use: nothing is appended until it is reseeded.
    pub(super) fn fail_replica(&self, damage: Error) {
        if let Some(control) = &self.sidecar {
            control.set_needs_reseed(true);
            control.set_last_error(Some(&damage.to_string()));
        }
        let reached = self.publication.levels().active.last();
        self.publish(None, reached);
        self.opened.set_damage(Some(damage));
    }
}

/// Whether what stands so led: it may go on as a primary, whatever it is opened as.
fn was_led(standing: Standing) -> bool {
    matches!(standing, Standing::Leads(_) | Standing::Fenced)
}

/// What a look takes a node for whose control file has that fence and whose header says `link`: its role, whether it is fenced, and the
/// epoch in which it commits or did.
fn part_seen(control: &Control, fence: Fence, link: &LogLink) -> (ReplicationRole, bool, Epoch) {
    let fence = fence_by_header(control, &fence, link, [u8::MAX; 16]).map_or(fence, |(fence, _)| fence);
    let role = if fence.follows { ReplicationRole::Replica } else { ReplicationRole::Primary };
    let fenced = fence.moved_by.is_some();
    (role, fenced, Epoch(if fenced { fence.epoch.0.saturating_sub(1) } else { fence.epoch.0 }))
}

/// What a reader is told of a node whose replication log he does not see.
fn log_not_seen(path: &Path, places: &LogPlaces, link: &LogLink, role: ReplicationRole) -> Error {
    let place = &places.sidecar;
    match (place, role) {
        (LogPlace::Damaged(_, e), _) => e.clone(),
        (LogPlace::Copied(_), ReplicationRole::Primary) => files_moved(path, place),
        (_, ReplicationRole::Replica) if !link.open => Error::new(
            ErrorCode::LogMismatch,
            format_args!(
                "the log of the replica {} should be in {}, and is not there{}: put it back, or say where it is \
                 (replication_sidecar_path, --sidecar); without it the replica begins a new one when it is told its source \
                 again ({})",
                path.display(),
                place.dir().display(),
                places.but_apart(),
                command("replica follow", path, "--source-db SOURCE")
            ),
        ),
        _ => places.log_is_gone(path, place, link),
    }
}
