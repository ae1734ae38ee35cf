//! Whose slot is which: a replica takes one with its first report, writes it with each later one, and loses it when it goes.

use super::{
    LIMIT, MAX_ID, Progress, Registration, Registry, all_slots, find,
    slot::{self, Slot},
};
use crate::{
    error::{Error, ErrorCode, Result},
    io::FileWords,
    shell::command_by_log,
};
use std::collections::HashMap;

/// So many bytes has the id of a replica, in hexadecimal digits.
const ID_LEN: usize = 32;

impl Registry {
    /// Takes a report in, in place of the last one of the same replica.
    pub fn report(&self, progress: &Progress) -> Result<()> {
        check_id(&progress.replica_id)?;
        let mut here = self.here.lock();
        self.put(&mut here, progress)
    }

    /// As [`Registry::report`], and whoever was letting go of the log by earlier reports has ended: what is there
    /// afterwards is kept.
    pub fn reserve(&self, progress: &Progress) -> Result<()> {
        check_id(&progress.replica_id)?;
        let mut here = self.here.lock();
        self.put(&mut here, progress)?;
        // Whoever lets go of the log holds that lock, and looks at the reports under it.
        self.hold(0).map(drop)
    }

    fn put(&self, here: &mut HashMap<String, usize>, progress: &Progress) -> Result<()> {
        let id = &progress.replica_id;
        if let Some(at) = here.get(id) {
            let words = self.words.read().clone();
            let _lock = self.hold(*at)?;
            if let Some(slot) = Slot::of(&words, *at).filter(|slot| slot.is_of(id)) {
                return slot.write(progress).map_err(|e| self.not_written(e));
            }
        }
        // It is new here, or somebody removed it, and another replica may have its slot.
        here.remove(id);
        let at = self.put_anywhere(progress)?;
        here.insert(id.clone(), at);
        Ok(())
    }

    /// Writes the report to the replica's slot, wherever that is, or to a free one: under one lock, so that nobody removes
    /// the replica between the look for its slot and the report.
    fn put_anywhere(&self, progress: &Progress) -> Result<usize> {
        let _claiming = self.hold(0)?;
        let mut words = self.words();
        if let Some(at) = find(&words, &progress.replica_id) {
            let _lock = self.hold(at)?;
            let slot =
                Slot::of(&words, at).ok_or_else(|| Error::new(ErrorCode::Internal, "a slot that was found is none"))?;
            return slot.write(progress).map(|()| at).map_err(|e| self.not_written(e));
        }
        let free = |words: &FileWords| all_slots(words).find(|(_, slot)| slot.id().is_none()).map(|(at, _)| at);
        let at = match free(&words) {
            Some(at) => at,
            None => {
                words = self.grow(&words)?;
                free(&words).ok_or_else(|| Error::new(ErrorCode::Internal, "a registry that grew has no free slot"))?
            }
        };
        self.changing(&words, || self.take(&words, at, progress))?;
        Ok(at)
    }

    fn take(&self, words: &FileWords, at: usize, progress: &Progress) -> Result<()> {
        let taken = || {
            let _lock = self.hold(at)?;
            let Some(slot) = Slot::of(words, at) else { return Ok(()) };
            slot.claim(&progress.replica_id).and_then(|()| slot.write(progress)).map_err(|e| self.not_written(e))
        };
        // Synced: else a loss of power could take the replica's place, and the log with it.
        taken().and_then(|()| self.sync()).or_else(|e| self.free(words, [at]).and(Err(e)))
    }

    /// Adds slots. Call it under the first lock.
    fn grow(&self, words: &FileWords) -> Result<FileWords> {
        let parts = words.count() / slot::WORDS;
        let grown = (2 * parts).min(LIMIT + 1);
        if grown == parts {
            return Err(Error::invalid(format_args!(
                "{LIMIT} replicas are registered already, which is the limit: remove those that are gone \
                 ({} lists them, {} removes one)",
                command_by_log("primary status", self.dir(), ""),
                command_by_log("primary remove", self.dir(), "REPLICA")
            )));
        }
        let io = |e| Error::io("extend replica registry", &self.path, e);
        let bytes = slot::WORDS * 8;
        self.file.write_at(&vec![0; (grown - parts) * bytes], (parts * bytes) as u64).map_err(io)?;
        let words = self.file.clone().map_words(grown * slot::WORDS).map_err(io)?;
        *self.words.write() = words.clone();
        Ok(words)
    }

    /// Forgets a replica: the log is no longer kept for it. Returns whether it was known.
    pub fn remove(&self, id: &str) -> Result<bool> {
        let mut here = self.here.lock();
        here.remove(id);
        let _claiming = self.hold(0)?;
        let words = self.words();
        let Some(at) = find(&words, id) else { return Ok(false) };
        self.changing(&words, || self.free(&words, [at]).and_then(|()| self.sync()))?;
        Ok(true)
    }

    /// Forgets who was registered at the place of the replica `id` before it, which was restored there or put back: ids that
    /// were given to one file have the second half in common, and no two files are at one place.
    pub fn supersede(&self, id: &str, path: &str) -> Result<()> {
        let mut here = self.here.lock();
        let _claiming = self.hold(0)?;
        let words = self.words();
        let half = |id: &str| id.get(ID_LEN / 2..ID_LEN).map(ToOwned::to_owned);
        let before = |found: &Registration| {
            let same_file = half(&found.replica_id).is_some_and(|kin| half(id) == Some(kin));
            same_file && found.replica_id != id && found.labels.path.as_deref() == Some(path)
        };
        let slots: Vec<_> = all_slots(&words).filter(|(_, slot)| slot.read().as_ref().is_some_and(before)).collect();
        if slots.is_empty() {
            return Ok(());
        }
        let slots: Vec<usize> = slots.into_iter().map(|(at, _)| at).collect();
        here.retain(|_, at| !slots.contains(at));
        self.changing(&words, || self.free(&words, slots.iter().copied()).and_then(|()| self.sync()))
    }

    pub(super) fn free(&self, words: &FileWords, slots: impl IntoIterator<Item = usize>) -> Result<()> {
        for at in slots {
            let _lock = self.hold(at)?;
            Slot::of(words, at).map_or(Ok(()), |slot| slot.free()).map_err(|e| self.not_written(e))?;
        }
        Ok(())
    }
}

fn check_id(id: &str) -> Result<()> {
    if id.is_empty() || id.len() > MAX_ID {
        return Err(Error::invalid(format_args!("a replica id has 1 to {MAX_ID} bytes; this one has {}", id.len())));
    }
    Ok(())
}
