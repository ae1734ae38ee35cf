//! What a sidecar says when a database is opened: who led last, and whether this node may lead.

use super::{engine::Engine, open::merge_history, options::ReplicationRole, promote::FenceLock};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex},
    io::OpenMode,
    log::{Control, LogIdentity, writers},
    store::LogKind,
};
use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
};

impl Engine {
    /// Opens the sidecar, if the role has one, and takes its lock.
    pub(super) fn open_sidecar(&mut self) -> Result<()> {
        if self.role() == ReplicationRole::Disabled {
            return Ok(());
        }
        let (disk, dir, file_id) = (&*self.env.disk, self.log_dir.clone(), self.store.file_id());
        let link = self.store.log_link();
        // Without it nobody can tell who leads, nor where the log ends.
        let needed = link.kind == LogKind::Sidecar && link.open;
        let found = Control::open(disk, &dir, OpenMode::ReadWrite).and_then(|found| match found {
            None if needed => Err(no_control(&dir, self.store.manifest().checkpoint.log_index)),
            Some(control) if control.expect(file_id).is_ok() => {
                FenceLock::take(&control).and_then(|_fence| control.settle_fence())?;
                Ok(Some(control))
            }
            found => Ok(found),
        });
        let found = match found {
            // A replica always opens, so that it can be reseeded.
            Err(e)
                if self.options.role == ReplicationRole::Replica
                    && matches!(e.code(), ErrorCode::Corrupt | ErrorCode::LogMismatch) =>
            {
                Control::remove(disk, &dir)?;
                *self.damage.get_mut() = needed.then_some(e);
                None
            }
            found => found?,
        };
        let control = match found {
            Some(control) => control,
            None => {
                let io = |e| Error::io("create replication sidecar", &dir, e);
                disk.create_dir(&dir).map_err(io)?;
                let log = LogIdentity { log_id: self.env.host.random(), file_id };
                let commit = self.commit.get_mut();
                if link.kind == LogKind::Sidecar && !link.open && self.options.role == ReplicationRole::Primary {
                    // Its fence went with the old sidecar: who may have taken over cannot be told.
                    (commit.epoch, commit.writer_id) = (Epoch(commit.epoch.0 + 1), self.env.host.random());
                }
                let control = Control::create(disk, &dir, log, self.env.host.random(), commit.epoch)?;
                control.set_replica(self.options.role == ReplicationRole::Replica)?;
                disk.sync_dir(&dir).map_err(io)?;
                if let Some(parent) = dir.parent().filter(|p| !p.as_os_str().is_empty()) {
                    disk.sync_dir(parent).map_err(io)?;
                }
                control
            }
        };
        control.expect(file_id).map_err(|e| e.context("replication sidecar"))?;
        if !control.lock_writer()? {
            let what = format_args!(
                "primary sidecar lock is held by another process (process id {}): {}",
                control.writer_pid(),
                dir.display()
            );
            return Err(Error::new(ErrorCode::Locked, what));
        }
        self.sidecar = Some(Arc::new(control));
        Ok(())
    }

    /// After recovery: finds out who led last, and whether this node may lead.
    pub(super) fn take_up_sidecar(&self) -> Result<()> {
        let Some(control) = &self.sidecar else {
            self.epoch.store(self.commit.lock().epoch.0, Ordering::Release);
            return Ok(());
        };
        let link = self.store.log_link();
        let mut commit = self.commit.lock();
        if commit.appender.is_none() && !link.open {
            if link.kind == LogKind::Sidecar {
                let log = LogIdentity { log_id: link.id, file_id: self.store.file_id() };
                let last = commit.last;
                if self.role() == ReplicationRole::Primary && control.current_log() == log && control.published() > last
                {
                    return Err(Error::new(
                        ErrorCode::LogMismatch,
                        format_args!(
                            "{} holds commits up to log index {} and {} only those up to log index {last}: was it \
                             restored from an older copy? Put the newer file back, or move that folder away to go on \
                             without the commits after log index {last}",
                            self.log_dir.display(),
                            control.published(),
                            self.path.display()
                        ),
                    ));
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
            if control.current_log().log_id != link.id {
                if control.fence()?.moved_by.is_none() {
                    // Nor for one that ended where an epoch of the log before it did. What another node fenced has ended.
                    control.clear_end()?;
                }
                control.set_current_log(link.id);
                control.sync()?;
            }
        }
        let fence = control.fence()?;
        match self.role() {
            // Durable before the first frame of another writer is in this log: who forgets it would go on as that writer.
            ReplicationRole::Replica => control.set_replica(true)?,
            _ if fence.follows || fence.moved_by.is_some() => {
                self.fenced.store(true, Ordering::Release);
            }
            _ if fence.epoch > commit.epoch => {
                // A promotion ended before it had begun its epoch: complete it with the first commit.
                (commit.epoch, commit.writer_id) = (fence.epoch, self.env.host.random());
            }
            _ if fence.epoch < commit.epoch => control.set_fence(commit.epoch)?,
            _ => {}
        }
        control.begin_session(&*self.env.host, commit.last);
        self.epoch.store(self.known_epoch(&commit, control)?.0, Ordering::Release);
        Ok(())
    }

    /// For a reader in a replication role: what the sidecar says of this node's part, and of who leads.
    pub(super) fn look_at_sidecar(&mut self) -> Result<()> {
        if self.role() == ReplicationRole::Disabled {
            return Ok(());
        }
        let control = match Control::open(&*self.env.disk, &self.log_dir, OpenMode::Read) {
            // Damage there locks nobody out of what the file holds.
            Err(e) if e.code() == ErrorCode::Corrupt => None,
            found => found?,
        };
        let Some(control) = control else { return Ok(()) };
        control.expect(self.store.file_id()).map_err(|e| e.context("replication sidecar"))?;
        let fence = match control.fence() {
            Err(e) if e.code() == ErrorCode::Corrupt => return Ok(()),
            fence => fence?,
        };
        self.set_role(if fence.follows { ReplicationRole::Replica } else { ReplicationRole::Primary });
        let fenced = fence.moved_by.is_some();
        self.fenced.store(fenced, Ordering::Release);
        let leads = fence.epoch.0;
        self.epoch.store(if fenced { leads.saturating_sub(1) } else { leads }, Ordering::Release);
        self.sidecar = Some(Arc::new(control));
        Ok(())
    }

    /// A replica shows what could be folded of its log.
    pub(super) fn go_on_damaged(&self, damage: Error, history: &[(Epoch, [u8; 16], LogIndex)]) {
        let levels = self.levels.load();
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
        let reached = self.levels.load().active.last();
        self.publish(reached);
        *self.damage.lock() = Some(damage);
    }
}

fn no_control(dir: &Path, index: LogIndex) -> Error {
    Error::new(
        ErrorCode::LogMismatch,
        format_args!(
            "commits after log index {index} are not in the database file: they should be in {}, which has no control \
             file; put that back, or open read-only to read the state at index {index}",
            dir.display()
        ),
    )
}
