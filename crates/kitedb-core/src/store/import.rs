//! Copies the image of another database file into this one: sections are written as they are into new extents and
//! verified as they pass. Publishing them is the caller's, so a crash leaves the old graph or the new one.
//!
//! A copy that was cut short goes on where it was. An entry of the record (see `import_record`) says that so much of a
//! section lay durable at a place once. If that place is nobody's now, its pieces are verified from the first on,
//! and what follows the last good one is copied. The entry counts because of a failed sync: what that lost can
//! still be read and verified, and would be gone with the power after it was published. Therefore an entry is made
//! only after a sync, and taken back before the place is written again.

use super::{
    device::SyncMark,
    file::Store,
    image::Image,
    import_record::{Entry, Record, identity},
    live::{live_extents, misplaced},
    manifest::Manifest,
    meta::{BLOCK, SectionMeta},
    pace::Pace,
    run::Run,
    section::Section,
    space::{Lease, Space},
};
use crate::{
    error::{Error, Result},
    io::Env,
};
use std::{io, path::Path, sync::Arc};

/// What is read, verified and written at once: whole blocks, which stay in the processor's cache meanwhile.
pub(super) const PIECE: usize = if cfg!(test) { 2 * BLOCK } else { 1 << 20 };
/// What may wait for a sync.
const SYNC_EVERY: u64 = if cfg!(test) { 2 * PIECE as u64 } else { 16 << 20 };
/// What may be copied again after the process or the machine died.
pub(super) const NOTE_EVERY: u64 = if cfg!(test) { 4 * PIECE as u64 } else { 64 << 20 };

impl Store {
    /// Copies what `image` holds into this file, without publishing it. Returns its manifest, without runs, and the runs
    /// as they lie in this file, oldest first: [`Store::publish`] makes both the database.
    ///
    /// `record` is the path of a small file that the copy keeps (one copy at a time), so that it can go on after an
    /// error or a crash, also from a later image with some of the same sections. `pace` is called with the length
    /// of each piece, at most 1 MiB, copied or found from before: the lengths add up to those of all sections. Its
    /// error ends the copy.
    ///
    /// [`ErrorCode::Corrupt`](crate::ErrorCode::Corrupt) names the place in the image that does not verify. After
    /// any error the space is free again, nothing of this database has changed, and the same call goes on.
    pub fn import(
        &self,
        env: &Env,
        image: &dyn Image,
        record: &Path,
        pace: &mut Pace<'_>,
    ) -> Result<(Manifest, Vec<Arc<Run>>)> {
        let manifest = verified_manifest(image, env.host.known_level())?;
        let space = self.space_to_write()?;
        let record = Record::open(env, record)?;
        let mark = space.device.mark();
        let target = Target { space, record, pace, mark, unsynced: 0, unnoted: 0, progress: Vec::new() };
        let mut copy = Copy { image, target, piece: Vec::new() };
        let runs = copy.runs(&manifest);
        // After a failure as well, for what is noted is not copied again.
        let noted = copy.target.note();
        let runs = runs?;
        noted?;
        Ok((Manifest { runs: Vec::new(), ..manifest }, runs))
    }

    /// Removes the record of an import, once its runs are published or it is given up.
    pub fn forget_import(env: &Env, record: &Path) -> Result<()> {
        match env.disk.remove(record) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", record, error)),
            _ => Ok(()),
        }
    }
}

/// The image's manifest, if it may be one. That its sections lie apart bounds how much there can be to copy.
fn verified_manifest(image: &dyn Image, known: u16) -> Result<Manifest> {
    let context = |error: Error| error.context("the image's manifest");
    let manifest = Manifest::decode(&image.manifest_bytes()?, known).map_err(context)?;
    match misplaced(&live_extents(&manifest, None), u64::MAX).first() {
        None => Ok(manifest),
        Some(damage) => Err(context(Error::corrupt(format_args!("at offset {}: {}", damage.offset, damage.what)))),
    }
}

/// A copy under way.
struct Copy<'a, 'p> {
    image: &'a dyn Image,
    target: Target<'a, 'p>,
    piece: Vec<u8>,
}

impl Copy<'_, '_> {
    fn runs(&mut self, manifest: &Manifest) -> Result<Vec<Arc<Run>>> {
        let sections: Vec<_> = manifest.runs.iter().flat_map(|run| &run.sections).collect();
        // All of them, before anything new is allocated where they lie.
        let mut found = self.target.found(&sections).into_iter();
        let mut runs = Vec::with_capacity(manifest.runs.len());
        for run in &manifest.runs {
            let sections = run.sections.iter().map(|section| self.section(section, found.next().flatten()));
            let sections = sections.collect::<Result<_>>()?;
            runs.push(Run::assemble(run, sections).map_err(|error| error.context("a run of the image"))?);
        }
        Ok(runs)
    }

    /// Copies a section to the place where a part of it was found, or to a new one. First its table of checksums,
    /// which tells of each piece whether it is good, then its data.
    fn section(&mut self, source: &SectionMeta, found: Option<Lease>) -> Result<Section> {
        let lease = match found {
            Some(lease) => lease,
            None => self.target.space.allocate(source.stored_len())?,
        };
        let meta = SectionMeta { offset: lease.extent().offset, ..source.clone() };
        let mut entry = Entry { section: identity(source), offset: meta.offset, done: 0 };
        let durable = self.target.record.done(entry.section, entry.offset);
        let kept = if durable == 0 { None } else { self.target.kept(&meta, durable, &mut self.piece)? };
        let (table, mut at) = match kept {
            Some((table, at)) => {
                entry.done = table.len() as u64 + at;
                self.target.begin(entry)?;
                (table, at)
            }
            None => {
                let table = read_table(source, &mut |buf, offset| self.image.read_at(buf, offset))?
                    .ok_or_else(|| damaged(source, source.padded(), table_len(source), "the table of checksums"))?;
                self.target.begin(entry)?;
                let mut at = meta.offset + meta.padded();
                for piece in table.chunks(PIECE) {
                    self.target.write(piece, at)?;
                    at += piece.len() as u64;
                }
                (table, 0)
            }
        };
        while at < source.padded() {
            self.piece.resize((source.padded() - at).min(PIECE as u64) as usize, 0);
            self.image.read_at(&mut self.piece, source.offset + at)?;
            if let Some((start, len)) = first_damage(&self.piece, at, &table) {
                return Err(damaged(source, start, len, "a block"));
            }
            self.target.write(&self.piece, meta.offset + at)?;
            at += self.piece.len() as u64;
        }
        Section::open(&self.target.space.device, meta, lease)
    }
}

/// Where a copy goes.
struct Target<'a, 'p> {
    space: Arc<Space>,
    record: Record,
    pace: &'a mut Pace<'p>,
    mark: SyncMark,
    unsynced: u64,
    unnoted: u64,
    /// How far each section has come that was written to since the last note; the last one is the one being written.
    progress: Vec<Entry>,
}

impl Target<'_, '_> {
    /// For each section the place where a part of it may lie still.
    fn found(&self, sections: &[&SectionMeta]) -> Vec<Option<Lease>> {
        let identities: Vec<_> = sections.iter().map(|meta| identity(meta)).collect();
        let mut found: Vec<Option<Lease>> = sections.iter().map(|_| None).collect();
        for entry in self.record.entries().filter(|entry| entry.done > 0) {
            let open = |at: &usize| identities[*at] == entry.section && found[*at].is_none();
            if let Some(at) = (0..sections.len()).find(open) {
                found[at] = self.space.allocate_at(entry.offset, sections[at].stored_len());
            }
        }
        found
    }

    /// The table of checksums, and how many bytes of data from the first on are good, of a section of which `durable`
    /// bytes lay where `meta` says. `None` if the table does not. What cannot be read is not good.
    fn kept(&mut self, meta: &SectionMeta, durable: u64, piece: &mut Vec<u8>) -> Result<Option<(Vec<u8>, u64)>> {
        let Some(durable) = durable.checked_sub(table_len(meta)) else { return Ok(None) };
        let device = &self.space.device;
        let Ok(Some(table)) = read_table(meta, &mut |buf, offset| device.read(buf, offset)) else { return Ok(None) };
        (self.pace)(table.len() as u64)?;
        let (mut at, end) = (0, durable.min(meta.padded()));
        while at < end {
            piece.resize((meta.padded() - at).min(PIECE as u64) as usize, 0);
            let next = at + piece.len() as u64;
            if next > end
                || self.space.device.read(piece, meta.offset + at).is_err()
                || first_damage(piece, at, &table).is_some()
            {
                break;
            }
            (self.pace)(piece.len() as u64)?;
            at = next;
        }
        Ok(Some((table, at)))
    }

    /// The next section. Its entry says what is kept of it: what more an older one says is void from now on.
    fn begin(&mut self, entry: Entry) -> Result<()> {
        self.record.note(&[entry])?;
        self.progress.push(entry);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        let len = bytes.len() as u64;
        self.space.device.write(bytes, offset)?;
        if let Some(entry) = self.progress.last_mut() {
            entry.done += len;
        }
        self.unsynced += len;
        self.unnoted += len;
        if self.unnoted >= NOTE_EVERY {
            self.note()?;
        } else if self.unsynced >= SYNC_EVERY {
            self.sync()?;
        }
        (self.pace)(len)
    }

    fn sync(&mut self) -> Result<()> {
        self.space.device.sync(self.mark)?;
        self.unsynced = 0;
        Ok(())
    }

    /// Makes everything written durable, and then the record of it.
    fn note(&mut self) -> Result<()> {
        if self.unnoted == 0 {
            return Ok(());
        }
        self.sync()?;
        self.record.note(&self.progress)?;
        self.record.sync()?;
        self.unnoted = 0;
        self.progress.drain(..self.progress.len().saturating_sub(1));
        Ok(())
    }
}

fn table_len(meta: &SectionMeta) -> u64 {
    4 * meta.blocks()
}

/// The table of checksums of the section that lies where `meta` says; `None` if it does not verify.
fn read_table(meta: &SectionMeta, read: &mut dyn FnMut(&mut [u8], u64) -> Result<()>) -> Result<Option<Vec<u8>>> {
    let mut table = Vec::new();
    // It grows as it is read: its length comes from outside.
    while (table.len() as u64) < table_len(meta) {
        let at = table.len();
        table.resize(at + (table_len(meta) - at as u64).min(PIECE as u64) as usize, 0);
        read(&mut table[at..], meta.offset + meta.padded() + at as u64)?;
    }
    Ok((crc32fast::hash(&table) == meta.crc).then_some(table))
}

/// The first block of `piece` that does not match its checksum: where in its section it begins, and its length. The
/// piece lies `at` bytes into the section, a multiple of [`BLOCK`].
fn first_damage(piece: &[u8], at: u64, table: &[u8]) -> Option<(u64, u64)> {
    let stored = table.get(at as usize / BLOCK * 4..).unwrap_or_default();
    let mut blocks = piece.chunks(BLOCK).zip(stored.chunks(4));
    let bad = blocks.position(|(block, stored)| crc32fast::hash(block).to_le_bytes() != stored)?;
    let len = piece.chunks(BLOCK).nth(bad).map_or(0, <[u8]>::len);
    Some((at + (bad * BLOCK) as u64, len as u64))
}

fn damaged(source: &SectionMeta, start: u64, len: u64, what: &str) -> Error {
    Error::corrupt(format_args!(
        "{what} of {} at offset {} of the image ({len} bytes) does not match its checksum: copy it again, and if that \
         does not help, check the database that it comes from",
        source.id,
        source.offset + start,
    ))
}
