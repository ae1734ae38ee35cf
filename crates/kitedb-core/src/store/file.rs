//! The open `.kitedb` file.

use super::{
    Damage, READER_LOCK_BASE, Witness,
    changes::Changes,
    device::Device,
    header::{ManifestExtent, Slot, SlotFault, choose, read_slots, write_slot},
    image::StoreImage,
    in_place::{Named, require_in_place},
    link::{LogKind, LogLink},
    live::{live_extents, misplaced},
    manifest::{HistoryEntry, Manifest},
    pace::Pace,
    run::{Run, Runs},
    run_bounds::RunBounds,
    run_writer::RunWriter,
    space::{Extent, FIRST, Lease, Space},
};
use crate::{
    error::{Error, ErrorCode, Result},
    io::{DiskFile, Env, Host, LockKind, OpenMode},
    level::Levels,
    lock::{Mutex, RwLock},
};
use std::{
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// An open database file: what its header names, and the right to name something newer.
#[derive(Debug)]
pub struct Store {
    device: Arc<Device>,
    space: Arc<Space>,
    file_id: [u8; 16],
    writable: bool,
    current: RwLock<Current>,
    /// As in `current`: for who must not wait.
    generation: AtomicU64,
    publishing: Mutex<Publishing>,
    witness: RwLock<Option<Arc<dyn Witness>>>,
}

/// Pins what views see that outlive the close of their database.
#[derive(Debug)]
pub struct ViewsPin {
    device: Arc<Device>,
    pinned: Range<u64>,
    host: Arc<dyn Host>,
}

impl Drop for ViewsPin {
    fn drop(&mut self) {
        // A forked child has the lock in common with its parent.
        if !self.host.forked() {
            let _ = self.device.file.unlock(self.pinned.clone());
        }
    }
}

/// What a header says of its file, for who looks at it without opening it.
#[derive(Debug)]
pub struct Peek {
    /// The file's identity.
    pub file_id: [u8; 16],
    /// What it knows of its log.
    pub log: LogLink,
    /// How many headers were published before it.
    pub generation: u64,
    /// The file itself.
    pub file: Arc<dyn DiskFile>,
}

/// What the header that counts says.
#[derive(Debug, Clone)]
struct Current {
    file_id: [u8; 16],
    generation: u64,
    slot: usize,
    manifest: Arc<Manifest>,
    place: ManifestExtent,
    lease: Arc<Lease>,
    runs: Arc<Runs>,
    log: LogLink,
}

impl Current {
    /// What must be in the file for as long as this is what counts.
    fn named(&self, writable: bool) -> Named {
        let runs = self.manifest.runs.iter().flat_map(|run| &run.sections);
        let ends = runs.map(|section| section.offset + section.stored_len());
        Named {
            slot: writable.then_some(self.slot),
            file_id: self.file_id,
            generation: self.generation,
            manifest: self.place,
            end: ends.fold(self.place.offset + self.place.len, u64::max),
        }
    }
}

#[derive(Debug)]
struct Publishing {
    /// Never used before, not even by an attempt that failed: its slot may be in the file.
    next_generation: u64,
    /// Whether the header that counts is known to be durable.
    durable: bool,
}

/// How full the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreStats {
    /// Its length.
    pub file_len: u64,
    /// Bytes that can be written at once.
    pub free: u64,
    /// Bytes that can be written once no foreign reader looks at them.
    pub quarantined: u64,
    /// The generation of the header.
    pub generation: u64,
    /// How many runs there are.
    pub runs: usize,
    /// Bytes of all runs.
    pub run_bytes: u64,
}

impl Store {
    /// Opens a database file. Writes nothing. Opened for reading only, the store pins the generation it shows
    /// for as long as it, or one of its runs, lives.
    pub fn open(env: &Env, path: &Path, writable: bool) -> Result<Self> {
        let mode = if writable { OpenMode::ReadWrite } else { OpenMode::Read };
        let file = env.disk.open(path, mode).map_err(|error| Error::io("open", path, error))?;
        Self::from_file(file, path, writable, Levels::of(&*env.host))
    }

    /// What the header of the file at `path` says now, without its contents.
    pub fn peek(env: &Env, path: &Path) -> Result<Peek> {
        let file = env.disk.open(path, OpenMode::Read).map_err(|error| Error::io("open", path, error))?;
        Self::peek_at(&Device::new(file, path, Levels::of(&*env.host)))
    }

    /// What the header of this file says now.
    pub fn peek_here(&self) -> Result<Peek> {
        Self::peek_at(&self.device)
    }

    fn peek_at(device: &Device) -> Result<Peek> {
        let (_, slot) = choose(read_slots(device)?, device)?;
        Ok(Peek { file_id: slot.file_id, log: slot.log, generation: slot.generation, file: device.file.clone() })
    }

    /// Makes this file another one: with a new id, `history` and no log. Whoever has it open sees what he saw.
    pub fn renew(&self, file_id: [u8; 16], history: Vec<HistoryEntry>, log: LogLink) -> Result<()> {
        let mut publishing = self.publishing.lock();
        let (manifest, runs) = self.snapshot();
        let manifest = Manifest { history, ..(*manifest).clone() };
        self.publish_as(&mut publishing, file_id, manifest, runs.to_vec(), Some(log))?;
        // The other slot, too: a file whose slots named two ids would be another one with one of them damaged.
        self.name_as(&mut publishing, file_id, |current| current)
    }

    pub(super) fn from_file(file: Arc<dyn DiskFile>, path: &Path, writable: bool, levels: Levels) -> Result<Self> {
        let device = Arc::new(Device::new(file, path, levels));
        let (number, slot) =
            if writable { choose(read_slots(&device)?, &device)? } else { pin_newest_generation(&device)? };
        let manifest = read_manifest(&device, &slot.manifest)?;
        let live = live_extents(&manifest, Some(&slot.manifest));
        let file_len = device.len()?;
        if let Some(damage) = misplaced(&live, file_len).first() {
            let Damage { offset, len, what } = damage;
            return Err(Error::corrupt(format_args!("{}: {what} ({len} bytes at {offset})", path.display())));
        }
        let extents = live.iter().map(|(_, offset, len)| Extent::holding(*offset, *len)).collect();
        let space = Space::new(device.clone(), file_len, extents, slot.generation);
        let open = |meta| Run::open(&space, &device, meta, slot.generation);
        let runs = manifest.runs.iter().map(open).collect::<Result<Vec<_>>>()?;
        let lease = space.adopt(Extent::holding(slot.manifest.offset, slot.manifest.len), slot.generation);
        let current = Current {
            file_id: slot.file_id,
            generation: slot.generation,
            slot: number,
            manifest: Arc::new(manifest),
            place: slot.manifest,
            lease: Arc::new(lease),
            runs: Arc::new(runs.into()),
            log: slot.log,
        };
        let publishing = Publishing { next_generation: slot.generation + 1, durable: false };
        let generation = AtomicU64::new(slot.generation);
        let (current, publishing) = (RwLock::new(current), Mutex::new(publishing));
        let witness = RwLock::new(None);
        Ok(Self { device, space, file_id: slot.file_id, writable, current, generation, publishing, witness })
    }

    /// Tells `witness` of the header that counts, and of each one that is named from now on and says something else than the one before:
    /// where both slots say the same, either may be damaged.
    pub fn set_witness(&self, witness: Arc<dyn Witness>) {
        // No header is named meanwhile.
        let _publishing = self.publishing.lock();
        witness.note(self.said_since());
        *self.witness.write() = Some(witness);
    }

    /// Tells nobody of headers any more, and lets go of who was told.
    pub fn set_no_witness(&self) {
        *self.witness.write() = None;
    }

    /// The generation of the first of the headers that are in the file and say what is so.
    fn said_since(&self) -> u64 {
        let now = self.current.read().clone();
        let says_it = |slot: &Slot| (slot.file_id, slot.manifest, &slot.log) == (now.file_id, now.place, &now.log);
        let slots = read_slots(&self.device).into_iter().flatten().flatten();
        slots.filter(says_it).map(|slot| slot.generation).min().map_or(now.generation, |said| said.min(now.generation))
    }

    /// The file itself, for locks.
    pub fn file(&self) -> &Arc<dyn DiskFile> {
        &self.device.file
    }

    /// The file's identity.
    pub fn file_id(&self) -> [u8; 16] {
        self.file_id
    }

    /// The published manifest.
    pub fn manifest(&self) -> Arc<Manifest> {
        self.current.read().manifest.clone()
    }

    /// The published runs, oldest first.
    pub fn runs(&self) -> Arc<Runs> {
        self.current.read().runs.clone()
    }

    /// Manifest and runs of one moment.
    pub fn snapshot(&self) -> (Arc<Manifest>, Arc<Runs>) {
        let current = self.current.read();
        (current.manifest.clone(), current.runs.clone())
    }

    /// What the header says of the log.
    pub fn log_link(&self) -> LogLink {
        self.current.read().log.clone()
    }

    /// The generation of the header. Takes no lock.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Writes `changes` as a run that is synced, but not published. `pace` is called after each piece that is written.
    pub fn write_run<'a>(&self, changes: &Changes<'_>, pace: &'a mut Pace<'a>) -> Result<Arc<Run>> {
        let mut writer = self.begin_run(&changes.bounds(), pace)?;
        changes.write_to(&mut writer)?;
        writer.finish()
    }

    /// Begins a run within `bounds`. `pace` is called after each piece that is written.
    pub(super) fn begin_run<'a>(&self, bounds: &RunBounds, pace: &'a mut Pace<'a>) -> Result<RunWriter<'a>> {
        Ok(RunWriter::new(self.space_to_write()?, bounds, pace))
    }

    /// The file's space, once something may be written to it.
    pub(super) fn space_to_write(&self) -> Result<Arc<Space>> {
        self.settle(&mut self.publishing.lock())?;
        Ok(self.space.clone())
    }

    /// What the header names now, to be copied. While the image lives its space is not reused: let go of it before
    /// the store is closed.
    pub fn image(&self) -> StoreImage {
        let Current { manifest, place, lease, runs, .. } = self.current.read().clone();
        StoreImage::new(self.device.clone(), self.file_id, manifest, place, (lease, runs))
    }

    /// Makes `runs` (oldest first) and `manifest` the database. What the header says of the log stays what it says when they
    /// are named: commits begin and end logs meanwhile. After an error nothing has changed for readers of this store; which of
    /// both states the file shows after a crash is then open. Upholds I14.
    pub fn publish(&self, manifest: Manifest, runs: Vec<Arc<Run>>) -> Result<()> {
        self.publish_as(&mut self.publishing.lock(), self.file_id, manifest, runs, None)
    }

    /// As [`Store::publish`], with another log.
    pub fn publish_with_log(&self, manifest: Manifest, runs: Vec<Arc<Run>>, log: LogLink) -> Result<()> {
        self.publish_as(&mut self.publishing.lock(), self.file_id, manifest, runs, Some(log))
    }

    fn publish_as(
        &self,
        publishing: &mut Publishing,
        file_id: [u8; 16],
        mut manifest: Manifest,
        runs: Vec<Arc<Run>>,
        log: Option<LogLink>,
    ) -> Result<()> {
        self.settle(publishing)?;
        manifest.runs = runs.iter().map(|run| run.meta().clone()).collect();
        manifest.level = manifest.level.max(self.device.levels.written);
        let bytes = manifest.encode();
        let mark = self.device.mark();
        let lease = self.space.allocate(bytes.len() as u64)?;
        let offset = lease.extent().offset;
        self.device.write(&bytes, offset)?;
        // The slot must not reach the disk before what it names.
        self.device.sync(mark)?;
        let place = ManifestExtent { offset, len: bytes.len() as u64, crc: crc32fast::hash(&bytes) };
        let (manifest, lease, runs) = (Arc::new(manifest), Arc::new(lease), Arc::new(Runs::from(runs)));
        self.name_as(publishing, file_id, |current| {
            let log = log.unwrap_or(current.log);
            Current { manifest, place, lease, runs, log, ..current }
        })?;
        // The file is published; that it stays longer than it must is no failure.
        let _ = self.space.shrink();
        Ok(())
    }

    /// Changes only what the header says of the log.
    pub fn mark_log(&self, log: LogLink) -> Result<()> {
        self.change_log(|_| log)
    }

    /// As [`Store::mark_log`], of what it says now.
    pub fn change_log(&self, change: impl FnOnce(LogLink) -> LogLink) -> Result<()> {
        let mut publishing = self.publishing.lock();
        self.settle(&mut publishing)?;
        let before = self.current.read().log.kind;
        self.name(&mut publishing, |current| {
            let log = change(current.log);
            Current { log, ..current }
        })?;
        let now = self.current.read().log.kind;
        if before != now && [before, now].contains(&LogKind::Sidecar) {
            // The other slot, too: with the newest one damaged, it would be a database of before it had a part in replication, and
            // know neither of a fence nor of the commits in its log. Upholds I46.
            self.name(&mut publishing, |current| current)?;
        }
        Ok(())
    }

    /// Writes the slot that does not count, syncs it, and makes it the one that counts. Upholds I14.
    fn name(&self, publishing: &mut Publishing, change: impl FnOnce(Current) -> Current) -> Result<()> {
        self.name_as(publishing, self.file_id, change)
    }

    fn name_as(
        &self,
        publishing: &mut Publishing,
        file_id: [u8; 16],
        change: impl FnOnce(Current) -> Current,
    ) -> Result<()> {
        let now = self.current.read().clone();
        let generation = publishing.next_generation;
        publishing.next_generation += 1;
        let slot = 1 - now.slot;
        let next = Current { file_id, generation, slot, ..change(now) };
        // Before the write: even if it fails, a reader may find the slot in the file.
        next.runs.iter().for_each(|run| run.named_by(generation));
        next.lease.named_by(generation);
        let level = next.manifest.level;
        let written = Slot { level, generation, file_id, manifest: next.place, log: next.log.clone() };
        let mark = self.device.mark();
        write_slot(&self.device, slot, &written)?;
        self.device.sync(mark)?;
        self.space.set_durable(generation);
        let says_something_else = {
            let now = self.current.read();
            (now.file_id, now.place, &now.log) != (next.file_id, next.place, &next.log)
        };
        let before = std::mem::replace(&mut *self.current.write(), next);
        self.generation.store(generation, Ordering::Release);
        if let Some(witness) = self.witness.read().as_ref().filter(|_| says_something_else) {
            witness.note(generation);
        }
        // Outside the lock: these may be the last references to runs.
        drop(before);
        Ok(())
    }

    /// Before the first change: makes sure that what the header names is durable. A writer that was killed, or
    /// whose sync failed, may have left it in the page cache, and the other slot is all there is after a loss of
    /// power. It is written again, because after a failed sync a mere sync would not bring it to the disk. Upholds I15.
    fn settle(&self, publishing: &mut Publishing) -> Result<()> {
        if !self.writable {
            let what = format_args!("{} is open for reading only", self.device.path.display());
            return Err(Error::new(ErrorCode::ReadOnly, what));
        }
        let now = self.current.read().clone();
        require_in_place(&self.device, &now.named(self.writable))?;
        if !publishing.durable {
            let (number, generation, level) = (now.slot, now.generation, now.manifest.level);
            let slot = Slot { level, generation, file_id: now.file_id, manifest: now.place, log: now.log };
            let mark = self.device.mark();
            write_slot(&self.device, number, &slot)?;
            self.device.sync(mark)?;
            self.space.set_durable(generation);
            publishing.durable = true;
        }
        Ok(())
    }

    /// Fails if the file is not what this process has open any more: it was removed or replaced, cut or written over. Upholds I45.
    pub fn require_in_place(&self) -> Result<()> {
        loop {
            let now = self.current.read().named(self.writable);
            let found = require_in_place(&self.device, &now);
            // A header that was named meanwhile may have been read, or half of it.
            if found.is_ok() || self.generation() == now.generation {
                return found;
            }
        }
    }

    /// Called by who closes: what is returned pins what views see that outlive the close, until the last of them has let go of
    /// it. Those of a writer, which are foreign readers to whoever opens the file next from now on, pin every generation.
    pub fn pin_for_views(&self, env: &Env) -> Arc<ViewsPin> {
        if self.writable
            && let Err(error) = self.device.file.try_lock(READER_LOCK_BASE..READER_LOCK_BASE + 1, LockKind::Shared)
        {
            tracing::warn!("views of {} that outlive its close are not protected: {error}", self.device.path.display());
        }
        let pinned = READER_LOCK_BASE..READER_LOCK_BASE + self.generation() + 1;
        Arc::new(ViewsPin { device: self.device.clone(), pinned, host: env.host.clone() })
    }

    /// Whether another open of the file holds a state before this one: a reader in another process, or a view that
    /// outlived the close of the handle that it came from. Always false if the file is open for reading only.
    pub fn is_pinned_elsewhere(&self) -> bool {
        self.writable && self.space.is_pinned_before(self.generation())
    }

    /// How full the file is.
    pub fn stats(&self) -> Result<StoreStats> {
        let (free, quarantined) = self.space.unused();
        let current = self.current.read().clone();
        let run_bytes = current.runs.iter().map(|run| run.bytes()).sum();
        let (generation, runs) = (current.generation, current.runs.len());
        Ok(StoreStats { file_len: self.device.len()?, free, quarantined, generation, runs, run_bytes })
    }

    /// Reads the whole database file and returns every range that does not verify.
    ///
    /// `pace` is called with the length of each piece; its error ends the reading, and is the only one.
    pub fn verify(&self, pace: &mut Pace<'_>) -> Result<Vec<Damage>> {
        let current = self.current.read().clone();
        let mut damage = Vec::new();
        let mut add = |offset, len, what: String| damage.push(Damage { offset, len, what });
        match read_slots(&self.device) {
            Ok(slots) => {
                for (number, slot) in slots.into_iter().enumerate() {
                    // One that a newer build wrote before is sound; it does not count.
                    if let Err(fault @ (SlotFault::NoMagic | SlotFault::Damaged)) = slot {
                        add(number as u64 * 4096, 512, format!("header slot {number}: {fault:?}"));
                    }
                }
            }
            Err(error) => add(0, FIRST, error.to_string()),
        }
        if let Err(error) = read_manifest(&self.device, &current.place) {
            add(current.place.offset, current.place.len, error.to_string());
        }
        match self.device.len() {
            Ok(len) => damage.extend(misplaced(&live_extents(&current.manifest, Some(&current.place)), len)),
            Err(error) => add(0, 0, error.to_string()),
        }
        current.runs.iter().try_for_each(|run| run.verify(&mut damage, pace))?;
        Ok(damage)
    }
}

/// Finds the slot that counts and locks its generation against reuse of what it names.
fn pin_newest_generation(device: &Device) -> Result<(usize, Slot)> {
    for _ in 0..10_000 {
        let (_, seen) = choose(read_slots(device)?, device)?;
        let byte = READER_LOCK_BASE + seen.generation;
        let locked = device.file.try_lock(byte..byte + 1, LockKind::Shared);
        if locked.map_err(|error| device.error("lock a generation of", error))? {
            // Published and freed before the lock was there: the lock protects nothing.
            let (number, now) = choose(read_slots(device)?, device)?;
            if now.generation == seen.generation {
                return Ok((number, now));
            }
            device.file.unlock(byte..byte + 1).map_err(|error| device.error("unlock a generation of", error))?;
        }
        // The writer holds the range for a moment while it asks.
        crate::lock::yield_now();
    }
    let what = format_args!("{} changes too fast to be opened", device.path.display());
    Err(Error::new(ErrorCode::Locked, what))
}

fn read_manifest(device: &Device, place: &ManifestExtent) -> Result<Manifest> {
    let damaged = || {
        Error::corrupt(format_args!(
            "the manifest at offset {} of {} does not match its checksum",
            place.offset,
            device.path.display()
        ))
    };
    // Before the allocation: a length is not believed that the file cannot hold.
    if place.offset + place.len > device.len()? {
        return Err(damaged());
    }
    let mut bytes = vec![0; place.len as usize];
    device.read(&mut bytes, place.offset)?;
    if crc32fast::hash(&bytes) != place.crc {
        return Err(damaged());
    }
    let context = |e: Error| e.context(device.path.display());
    Manifest::decode(&bytes, device.levels.known).map_err(context)
}

#[cfg(test)]
impl Store {
    /// The file's length.
    pub(super) fn file_len(&self) -> Result<u64> {
        self.device.len()
    }

    /// Bytes of the file that are neither free nor in quarantine.
    pub(super) fn space_in_use(&self) -> u64 {
        self.space.in_use()
    }
}
