//! Checked bytes: a section is data, zeros up to a multiple of 8, and a CRC-32 per block of 16 KiB. The CRCs
//! are covered by one more in the manifest. A block is verified when it is first touched.

use super::{
    Damage,
    device::Device,
    meta::{BLOCK, SectionMeta},
    pace::Pace,
    space::Lease,
};
use crate::{
    error::{Error, Result},
    io::{DiskFile, Mapping},
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

/// What a [`Section::verify`] reads at once.
const PIECE: usize = 16 * BLOCK;

/// What is wrong with a range of a section.
struct Fault {
    what: String,
    /// The error of the disk that cannot read it.
    read: Option<std::io::Error>,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.read {
            None => f.write_str(&self.what),
            Some(e) => write!(f, "cannot {} the database file: {e}", self.what),
        }
    }
}

/// A section, mapped for reading.
pub(super) struct Section {
    map: Mapping,
    file: Arc<dyn DiskFile>,
    /// Bytes of data.
    len: usize,
    /// Blocks that were not verified yet. Once 0, reads go straight through.
    unverified: AtomicUsize,
    /// A bit for each verified block.
    verified: Box<[AtomicU64]>,
    crcs_verified: AtomicBool,
    /// Whether the disk failed to read something of it.
    failing: AtomicBool,
    meta: SectionMeta,
    // Dropped after the mapping: the space is nobody's only once nothing maps it. Upholds I16.
    lease: Lease,
}

impl Section {
    /// Maps the section that `meta` describes. The caller has checked that it lies inside the file.
    pub fn open(device: &Device, meta: SectionMeta, lease: Lease) -> Result<Self> {
        let map = device
            .file
            .map(meta.offset, meta.stored_len() as usize)
            .map_err(|error| device.error(&format!("map {} of", meta.id), error))?;
        let blocks = meta.blocks() as usize;
        Ok(Self {
            map,
            file: device.file.clone(),
            len: meta.len as usize,
            unverified: AtomicUsize::new(blocks),
            verified: (0..blocks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            crcs_verified: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            meta,
            lease,
        })
    }

    /// Bytes of data.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn meta(&self) -> &SectionMeta {
        &self.meta
    }

    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The bytes from `start` to `end`, verified. Upholds I17.
    #[inline(always)]
    pub fn slice(&self, start: usize, end: usize) -> Result<&[u8]> {
        if end > self.len {
            return Err(self.outside(start, end));
        }
        if self.unverified.load(Ordering::Relaxed) != 0 {
            self.touch(start, end)?;
        }
        match self.map.get(start..end) {
            Some(bytes) => Ok(bytes),
            None => Err(self.outside(start, end)),
        }
    }

    /// The `N` bytes from `start` on, verified.
    #[inline(always)]
    pub fn array<const N: usize>(&self, start: usize) -> Result<&[u8; N]> {
        match self.slice(start, start.saturating_add(N))?.first_chunk() {
            Some(bytes) => Ok(bytes),
            None => Err(self.outside(start, start)),
        }
    }

    fn touch(&self, start: usize, end: usize) -> Result<()> {
        for block in start / BLOCK..end.div_ceil(BLOCK) {
            let bit = 1 << (block % 64);
            if self.verified.get(block / 64).is_none_or(|word| word.load(Ordering::Relaxed) & bit == 0) {
                self.check(block)?;
            }
        }
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn check(&self, block: usize) -> Result<()> {
        if self.failing.load(Ordering::Relaxed) {
            // Through the mapping that would be a signal.
            self.require_readable(block * BLOCK, (block + 1) * BLOCK)?;
            self.require_readable(self.padded(), self.meta.stored_len() as usize)?;
        }
        if !self.crcs_verified.load(Ordering::Relaxed) {
            if crc32fast::hash(self.crcs()) != self.meta.crc {
                return Err(self.damaged(self.padded(), self.crcs().len(), "the checksums"));
            }
            self.crcs_verified.store(true, Ordering::Relaxed);
        }
        let (bytes, stored) = self.block(block);
        if stored != Some(crc32fast::hash(bytes)) {
            return Err(self.damaged(block * BLOCK, bytes.len(), "a block"));
        }
        let bit = 1 << (block % 64);
        if let Some(word) = self.verified.get(block / 64)
            && word.fetch_or(bit, Ordering::Relaxed) & bit == 0
        {
            self.unverified.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn require_readable(&self, start: usize, end: usize) -> Result<()> {
        let mut bytes = vec![0; end.min(self.meta.stored_len() as usize).saturating_sub(start)];
        self.file.read_exact_at(&mut bytes, self.meta.offset + start as u64).map_err(|e| {
            let offset = self.meta.offset + start as u64;
            Error::corrupt(format_args!("{} at offset {offset} of the database file cannot be read: {e}", self.meta.id))
        })
    }

    /// Has what lies from `start` on looked at again before it is believed, by who can fail: the disk could not read it.
    fn distrust(&self, start: usize, len: usize) {
        self.failing.store(true, Ordering::Relaxed);
        for block in start / BLOCK..(start + len).min(self.padded()).div_ceil(BLOCK) {
            let bit = 1 << (block % 64);
            if let Some(word) = self.verified.get(block / 64)
                && word.load(Ordering::Relaxed) & bit != 0
            {
                // Before the bit: nobody passes in between.
                self.unverified.fetch_add(1, Ordering::Relaxed);
                if word.fetch_and(!bit, Ordering::Relaxed) & bit == 0 {
                    self.unverified.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Reads every block, verified before or not, and adds the ranges that do not verify. It reads the file, not the mapping:
    /// what the disk cannot read is a range more, and no signal; nor is it one for who reads there from then on.
    /// `pace` is called with the length of each piece that was read; its error ends the reading.
    pub fn verify(&self, damage: &mut Vec<Damage>, pace: &mut Pace<'_>) -> Result<()> {
        self.inspect(pace, &mut |offset, len, fault| damage.push(Damage { offset, len, what: fault.to_string() }))
    }

    /// Fails where [`Section::verify`] finds damage. What the disk cannot read now need not be damaged.
    pub fn require_sound(&self, pace: &mut Pace<'_>) -> Result<()> {
        let mut first = None;
        self.inspect(pace, &mut |offset, len, fault| {
            first.get_or_insert((offset, len, fault));
        })?;
        match first {
            None => Ok(()),
            Some((_, _, Fault { what, read: Some(e) })) => Err(Error::io(&what, Path::new("the database file"), e)),
            Some((offset, len, fault)) => Err(Error::corrupt(format_args!(
                "{fault}, at offset {offset} of the database file ({len} bytes): runs are not merged as long as one is damaged"
            ))),
        }
    }

    fn inspect(&self, pace: &mut Pace<'_>, found: &mut dyn FnMut(u64, u64, Fault)) -> Result<()> {
        let mut found = |start: usize, len: usize, what: &str, read: Option<std::io::Error>| {
            let what = match read {
                None => format!("{}: {what}", self.meta.id),
                Some(_) => format!("read {what} of {} in", self.meta.id),
            };
            found(self.meta.offset + start as u64, len as u64, Fault { what, read });
        };
        let mut crcs = vec![0; self.meta.stored_len() as usize - self.padded()];
        match self.file.read_exact_at(&mut crcs, self.meta.offset + self.padded() as u64) {
            Err(e) => {
                self.distrust(0, self.padded());
                found(self.padded(), crcs.len(), "the table of checksums", Some(e));
                return Ok(());
            }
            Ok(()) if crc32fast::hash(&crcs) != self.meta.crc => {
                found(self.padded(), crcs.len(), "the table of checksums does not match its checksum", None);
            }
            Ok(()) => {}
        }
        let mut piece = vec![0; self.padded().min(PIECE)];
        for start in (0..self.padded()).step_by(PIECE) {
            let bytes = &mut piece[..PIECE.min(self.padded() - start)];
            pace(bytes.len() as u64)?;
            if let Err(e) = self.file.read_exact_at(bytes, self.meta.offset + start as u64) {
                self.distrust(start, bytes.len());
                found(start, bytes.len(), "blocks", Some(e));
                continue;
            }
            for (at, block) in bytes.chunks(BLOCK).enumerate() {
                let number = start / BLOCK + at;
                let stored = crcs.get(number * 4..).and_then(|rest| rest.first_chunk()).map(|b| u32::from_le_bytes(*b));
                if stored != Some(crc32fast::hash(block)) {
                    found(number * BLOCK, block.len(), "a block does not match its checksum", None);
                }
            }
        }
        Ok(())
    }

    fn padded(&self) -> usize {
        self.meta.padded() as usize
    }

    fn crcs(&self) -> &[u8] {
        self.map.get(self.padded()..).unwrap_or_default()
    }

    fn block(&self, block: usize) -> (&[u8], Option<u32>) {
        let end = ((block + 1) * BLOCK).min(self.padded());
        let stored = self.crcs().get(block * 4..).and_then(|rest| rest.first_chunk()).map(|b| u32::from_le_bytes(*b));
        (self.map.get(block * BLOCK..end).unwrap_or_default(), stored)
    }

    #[cold]
    #[inline(never)]
    fn damaged(&self, start: usize, len: usize, what: &str) -> Error {
        Error::corrupt(format_args!(
            "{what} of {} at offset {} of the database file ({len} bytes) does not match its checksum",
            self.meta.id,
            self.meta.offset + start as u64,
        ))
    }

    #[cold]
    #[inline(never)]
    fn outside(&self, start: usize, end: usize) -> Error {
        Error::corrupt(format_args!(
            "{} at offset {} of the database file has {} bytes; {start}..{end} was asked for",
            self.meta.id, self.meta.offset, self.len,
        ))
    }

    /// What is stored contradicts itself although the checksums hold.
    #[cold]
    #[inline(never)]
    pub fn inconsistent(&self, what: &str) -> Error {
        Error::corrupt(format_args!("{} at offset {} of the database file: {what}", self.meta.id, self.meta.offset))
    }
}

impl std::fmt::Debug for Section {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.meta.fmt(f)
    }
}
