//! What a registry has lost: the replicas that its log's control file remembers, and it does not hold.
//!
//! Which they are is not known, so that nothing of the log can be told to be of no use to them. It is whole again once
//! all of them have reported, and nobody else; or by the word of the operator, that those who have are all.

use super::{FIRST_LEN, MAGIC, Registry, all_slots, found};
use crate::{
    db::Reported,
    error::{Error, ErrorCode, Result},
    io::{DiskFile, Env, FileWords, LockKind, OpenMode, words_of_text},
    log::{Control, Roll},
    replication::short_id,
    shell::command_by_log,
};
use std::{path::Path, sync::Arc};

impl Registry {
    /// Why replicas that were registered are not known any more; `None`: all of them are.
    pub fn loss(&self, env: &Env) -> Result<Option<Error>> {
        if self.is_whole(env) {
            return Ok(None);
        }
        if self.mapped {
            // Somebody may be taking or freeing a slot.
            return Ok((!self.locked(|| self.is_whole(env))?).then(|| lost(&self.path, &self.control)));
        }
        look_again(env, self.dir())
    }

    /// Of a registry that is not there, or does not verify, as who only reads finds it.
    pub fn loss_of_none(env: &Env, dir: &Path, control: &Control) -> Result<Option<Error>> {
        let path = dir.join(super::NAME);
        if !control.had_a_roll() && is_half_made(env, &path) {
            return Ok(None);
        }
        let there = env.disk.identity(&path).is_ok();
        match there || control.roll().is_some_and(|roll| roll != Roll::of([])) {
            true => look_again(env, dir),
            false => Ok(None),
        }
    }

    /// As [`Registry::loss`], of what is in the folder `dir`, which nobody has open for writing.
    pub fn loss_at(env: &Env, dir: &Path) -> Result<Option<Error>> {
        let control = Control::open(&*env.disk, dir, OpenMode::Read)?;
        let Some(control) = control.map(Arc::new) else { return Ok(None) };
        match Self::look(env, dir, control.clone())? {
            Some(registry) => registry.loss(env),
            None => Self::loss_of_none(env, dir, &control),
        }
    }

    /// What the replicas reported that are registered in the folder `dir`, as far as it can be told without the control file
    /// there; `None`: there is no registry, or one that cannot be read: who was registered is not known.
    pub fn reported_in(env: &Env, dir: &Path) -> Option<Vec<Reported>> {
        let read = || {
            let (file, count) = found(env, &dir.join(super::NAME), OpenMode::Read).ok()??;
            let mut bytes = vec![0; count * 8];
            file.read_exact_at(&mut bytes, 0).ok()?;
            Some(FileWords::seen(&words_of_text(&bytes)))
        };
        // It doubles: one of another length was cut short.
        let whole = |words: &FileWords| (words.count() / super::slot::WORDS).is_power_of_two();
        let words = read().filter(|words| words.load(0) == MAGIC && whole(words))?;
        let reported = all_slots(&words).filter_map(|(_, slot)| slot.read()).map(|found| {
            let id = short_id(&found.replica_id).to_owned();
            let who = found.labels.name.or(found.labels.path).map_or(id.clone(), |label| format!("{label} ({id})"));
            Reported { who, epoch: found.epoch, durable: found.durable }
        });
        Some(reported.collect())
    }

    /// Notes that who was registered is not known any more, before a registry is made in the place of what is there and is none,
    /// where nothing else would tell: it was damaged while a slot was taken or freed.
    pub(super) fn note_loss(env: &Env, dir: &Path, control: &Control) -> Result<()> {
        let told = control.roll().is_some() || !control.had_a_roll();
        match told || !is_damaged(env, &dir.join(super::NAME)) {
            true => Ok(()),
            false => control.set_roll(Some(Roll::lost())),
        }
    }

    fn is_whole(&self, env: &Env) -> bool {
        let words = self.words();
        let sound = words.load(0) == MAGIC;
        sound && (!self.mapped || self.is_current(env)) && self.is_on(self.control.roll(), &words)
    }

    fn is_on(&self, roll: Option<Roll>, words: &FileWords) -> bool {
        // Of nobody none can be lost: a slot that a loss of power brought back is one too many.
        roll.is_none_or(|roll| roll == held(words) || roll == Roll::of([]))
    }

    /// Whether who is registered can be noted in the control file, as this opened it.
    pub fn can_note(&self) -> bool {
        self.control.require_mapped().is_ok()
    }

    /// Changes who holds a slot. Call it under the first lock. Where nobody is lost, the roll is not noted until the
    /// change is durable: what a crash leaves in between is taken as it is. Where somebody is, the roll stays.
    pub(super) fn changing<T>(&self, words: &FileWords, change: impl FnOnce() -> Result<T>) -> Result<T> {
        self.control.require_mapped()?;
        if !self.is_on(self.control.roll(), words) {
            return change();
        }
        let was_noted = self.control.roll().is_some();
        self.control.set_roll(None)?;
        let changed = change()?;
        match was_noted {
            true => self.control.set_roll(Some(held(words)))?,
            // A change before this one failed.
            false => self.note_roll()?,
        }
        Ok(changed)
    }

    /// Notes who is registered where that was not noted before.
    pub(super) fn begin_roll(&self) -> Result<()> {
        self.locked(|| if self.control.roll().is_none() { self.note_roll() } else { Ok(()) })?
    }

    /// What is noted is durable in the file: else a loss of power would leave another registry than that. Written again first:
    /// where a sync failed, the next one may succeed without what the first was for.
    fn note_roll(&self) -> Result<()> {
        let words = self.words();
        for (_, slot) in all_slots(&words) {
            let (at, said) = slot.said();
            let bytes: Vec<u8> = said.into_iter().flat_map(u64::to_ne_bytes).collect();
            if !bytes.is_empty() {
                self.file.write_at(&bytes, at as u64 * 8).map_err(|e| self.not_written(e))?;
            }
        }
        self.sync()?;
        self.control.set_roll(Some(held(&words)))
    }

    /// As [`Registry::loss`], for who holds the first lock.
    pub fn require_whole(&self, env: &Env) -> Result<()> {
        if self.is_whole(env) { Ok(()) } else { Err(lost(&self.path, &self.control)) }
    }

    /// Takes the operator's word that who is registered now are all that there are.
    pub fn confirm(&self) -> Result<()> {
        self.locked(|| self.note_roll())?
    }
}

/// Who holds a slot.
fn held(words: &FileWords) -> Roll {
    let ids: Vec<String> = all_slots(words).filter_map(|(_, slot)| slot.id()).collect();
    Roll::of(ids.iter().map(String::as_str))
}

/// Whether the registry at `path` is one whose making was cut short: there is no more in it than a part of how it begins. Who is
/// registered is noted once it is whole, so that before that nobody was.
fn is_half_made(env: &Env, path: &Path) -> bool {
    let begins = MAGIC.to_le_bytes();
    let read = || {
        let file = env.disk.open(path, OpenMode::Read).ok()?;
        let mut bytes = vec![0; usize::try_from(file.len().ok()?).ok().filter(|len| *len <= FIRST_LEN)?];
        file.read_exact_at(&mut bytes, 0).ok().map(|()| bytes)
    };
    let is_part = |(at, byte): (usize, &u8)| *byte == 0 || begins.get(at) == Some(byte);
    read().is_some_and(|bytes| bytes.iter().enumerate().all(is_part))
}

/// Whether what is at `path` is no registry, and not one of an earlier version either, whose replicas report again.
fn is_damaged(env: &Env, path: &Path) -> bool {
    let mut begin = [0; 7];
    let read = |file: Arc<dyn DiskFile>| file.read_at(&mut begin, 0).is_ok();
    env.disk.open(path, OpenMode::Read).is_ok_and(read) && begin[..] != MAGIC.to_le_bytes()[..7]
}

/// Looks while nobody takes or frees a slot, as far as who only reads can see to that.
fn look_again(env: &Env, dir: &Path) -> Result<Option<Error>> {
    let path = dir.join(super::NAME);
    let control = Control::open(&*env.disk, dir, OpenMode::Read)?;
    let Some(control) = control.map(Arc::new) else { return Ok(None) };
    let Some(first) = Registry::look(env, dir, control.clone())? else { return Ok(Some(lost(&path, &control))) };
    let _claiming = first.hold_as(0, LockKind::Shared);
    let control = Control::open(&*env.disk, dir, OpenMode::Read)?;
    let Some(control) = control.map(Arc::new) else { return Ok(None) };
    let whole = Registry::look(env, dir, control.clone())?.is_some_and(|registry| registry.is_whole(env));
    Ok((!whole).then(|| lost(&path, &control)))
}

fn lost(path: &Path, control: &Control) -> Error {
    let dir = path.parent().unwrap_or(path);
    let status = if control.is_replica() { "replica status" } else { "primary status" };
    Error::new(
        ErrorCode::RegistryLost,
        format_args!(
            "the registry of replicas {} was damaged or removed: replicas that were registered are not known any more, so \
             that nothing of the log is let go. Open the database for writing, let every replica \
             follow, and see that {} lists them all; if it says so still, confirm that they are all ({})",
            path.display(),
            command_by_log(status, dir, ""),
            command_by_log("primary retention", dir, "--replicas-complete")
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Progress, tests::control},
        *,
    };
    use crate::{
        graph::{Epoch, LogIndex},
        io::sim::{Crash, FaultOn, FaultPlan, Loss, SimDisk, SimHost},
    };

    fn report(registry: &Registry, id: &str) {
        let (epoch, applied, durable) = (Epoch(1), LogIndex(1), LogIndex(1));
        let replica_id = id.to_owned();
        registry
            .report(&Progress { replica_id, labels: None, epoch, applied, durable, reserved: None, reported_at_ms: 1 })
            .unwrap();
    }

    #[test]
    fn a_change_that_was_cut_short_is_no_loss() {
        let env = Env { disk: Arc::new(SimDisk::new(1)), host: Arc::new(SimHost::new(1)) };
        let dir = Path::new("/log");
        env.disk.create_dir(dir).unwrap();
        let control = control(&env);
        let registry = Registry::create(&env, dir, control.clone()).unwrap();
        report(&registry, "a");
        assert!(registry.loss(&env).unwrap().is_none());

        // As it is in the midst of a change.
        control.set_roll(None).unwrap();
        assert!(registry.loss(&env).unwrap().is_none());
        report(&registry, "b");
        assert_eq!(control.roll(), Some(Roll::of(["a", "b"])));
        control.set_roll(None).unwrap();
        assert!(registry.remove("b").unwrap());
        assert_eq!(control.roll(), Some(Roll::of(["a"])));

        control.set_roll(Some(Roll::of(["a", "c"]))).unwrap();
        assert_eq!(registry.loss(&env).unwrap().unwrap().code(), ErrorCode::RegistryLost);
        report(&registry, "c");
        assert!(registry.loss(&env).unwrap().is_none());
    }

    /// A registry that was zeroed while a slot was taken is damage, and stays that over an open that makes it anew; one whose making
    /// was cut short is not, for nobody was noted before it was whole.
    #[test]
    fn a_registry_that_is_zeroed_in_the_midst_of_a_change_is_no_half_made_one() {
        for lost in [false, true] {
            let env = Env { disk: Arc::new(SimDisk::new(1)), host: Arc::new(SimHost::new(1)) };
            let dir = Path::new("/log");
            env.disk.create_dir(dir).unwrap();
            let control = control(&env);
            if lost {
                let registry = Registry::create(&env, dir, control.clone()).unwrap();
                report(&registry, "a");
                control.set_roll(None).unwrap();
            }
            let path = dir.join(super::super::NAME);
            if env.disk.identity(&path).is_ok() {
                env.disk.remove(&path).unwrap();
            }
            let file = env.disk.open(&path, OpenMode::CreateNew).unwrap();
            file.write_at(&[0; FIRST_LEN], 0).unwrap();
            let is_told = |found: Option<Error>| found.map(|e| e.code()) == Some(ErrorCode::RegistryLost);
            assert_eq!(is_told(Registry::loss_at(&env, dir).unwrap()), lost);
            let made = Registry::create(&env, dir, control.clone()).unwrap();
            assert_eq!(is_told(made.loss(&env).unwrap()), lost);
            made.confirm().unwrap();
            assert!(made.loss(&env).unwrap().is_none());
        }
    }

    /// What another process changed is seen, and what cannot be noted is not changed.
    #[test]
    fn who_may_not_write_to_the_control_file_changes_nothing() {
        let env = Env { disk: Arc::new(SimDisk::new(1)), host: Arc::new(SimHost::new(1)) };
        let dir = Path::new("/log");
        env.disk.create_dir(dir).unwrap();
        let writer = Registry::create(&env, dir, control(&env)).unwrap();
        report(&writer, "a");
        let seen = Arc::new(Control::open(&*env.disk, dir, OpenMode::Read).unwrap().unwrap());
        let registry = Registry::open(&env, dir, seen).unwrap().unwrap();
        report(&writer, "b");
        assert!(registry.loss(&env).unwrap().is_none());
        assert_eq!(registry.remove("a").unwrap_err().code(), ErrorCode::PermissionDenied);
        assert_eq!(writer.registrations().len(), 2);
        assert!(writer.loss(&env).unwrap().is_none());
    }

    /// What a killed process left in the file without a sync is noted only once a loss of power cannot take it.
    #[test]
    fn what_is_noted_at_an_open_outlives_a_loss_of_power() {
        let disk = SimDisk::new(1);
        let env = Env { disk: Arc::new(disk.clone()), host: Arc::new(SimHost::new(1)) };
        let dir = Path::new("/log");
        env.disk.create_dir(dir).unwrap();
        env.disk.sync_dir(Path::new("/")).unwrap();
        let registry = Registry::create(&env, dir, control(&env)).unwrap();
        report(&registry, "a");
        // Cut short before its sync.
        let words = registry.words();
        registry.control.set_roll(None).unwrap();
        registry.free(&words, [1]).unwrap();
        drop(Registry::create(&env, dir, control(&env)).unwrap());
        let env = Env { disk: Arc::new(disk.restart(Crash::PowerLoss(Loss::LoseAllUnsynced))), host: env.host };
        let found = Registry::open(&env, dir, control(&env)).unwrap().unwrap();
        assert!(found.loss(&env).unwrap().is_none());
        assert!(found.registrations().is_empty());
    }

    /// A sync of the registry failed, which is told once, and took what it was for with it. The next change, or the next open, is
    /// not deceived by a sync that succeeds.
    #[test]
    fn what_is_noted_after_a_failed_sync_outlives_a_loss_of_power() {
        let dir = Path::new("/log");
        for anew in [false, true] {
            let disk = SimDisk::new(1);
            let env = Env { disk: Arc::new(disk.clone()), host: Arc::new(SimHost::new(1)) };
            env.disk.create_dir(dir).unwrap();
            env.disk.sync_dir(Path::new("/")).unwrap();
            let registry = Registry::create(&env, dir, control(&env)).unwrap();
            report(&registry, "a");
            disk.fail(FaultPlan::new(FaultOn::Sync, 1, std::io::ErrorKind::Other).on_path("replicas"));
            registry.remove("a").unwrap_err();
            match anew {
                true => drop(Registry::create(&env, dir, control(&env)).unwrap()),
                false => report(&registry, "b"),
            }
            let env = Env { disk: Arc::new(disk.restart(Crash::PowerLoss(Loss::LoseAllUnsynced))), host: env.host };
            let found = Registry::open(&env, dir, control(&env)).unwrap().unwrap();
            assert!(found.loss(&env).unwrap().is_none(), "opened anew: {anew}");
        }
    }

    /// A sync of the control file failed, the change was tried again, and the power went in the midst of that.
    #[test]
    fn a_change_that_is_tried_again_after_a_failed_sync_is_no_loss() {
        let dir = Path::new("/log");
        for seed in 0..8 {
            for op in 1..20 {
                let disk = SimDisk::new(seed);
                let env = Env { disk: Arc::new(disk.clone()), host: Arc::new(SimHost::new(1)) };
                env.disk.create_dir(dir).unwrap();
                env.disk.sync_dir(Path::new("/")).unwrap();
                let registry = Registry::create(&env, dir, control(&env)).unwrap();
                report(&registry, "a");
                disk.fail(FaultPlan::new(FaultOn::Sync, 1, std::io::ErrorKind::Other).on_path("control"));
                let (epoch, applied, durable) = (Epoch(1), LogIndex(1), LogIndex(1));
                let progress = Progress {
                    replica_id: "b".to_owned(),
                    labels: None,
                    epoch,
                    applied,
                    durable,
                    reserved: None,
                    reported_at_ms: 1,
                };
                registry.report(&progress).unwrap_err();
                disk.crash_at(disk.ops() + op);
                let _ = registry.report(&progress);
                let disk = disk.restart(Crash::PowerLoss(Loss::LoseAllUnsynced));
                let env = Env { disk: Arc::new(disk), host: Arc::new(SimHost::new(2)) };
                let found = Registry::open(&env, dir, control(&env)).unwrap().unwrap();
                assert!(found.loss(&env).unwrap().is_none(), "seed {seed}, operation {op}");
            }
        }
    }
}
