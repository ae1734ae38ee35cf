//! What an import has copied and made durable, in a small file beside the database: where a copy that was cut short
//! goes on. It says where to look; that the bytes are there is verified.
//!
//! An entry (36 bytes): the section: table (1), part (1), width (1), zero (1), CRC-32 (4), length (8); where its copy
//! begins (8); how many bytes of it are durable, the table of checksums counted first (8); CRC-32 of all before (4).
//! Entries are only added, and the last one about a section at a place counts. What does not verify is passed over.

use super::{meta::SectionMeta, space::ALIGN};
use crate::{
    error::{Error, Result},
    io::{DiskFile, Env, OpenMode, clear_name},
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

const ENTRY: usize = 36;
/// Longer than the record of any copy: such a file is none.
const MAX_LEN: u64 = 16 << 20;

/// What tells a section's contents from others', wherever they lie.
pub(super) type Identity = [u8; 16];

/// See [`Identity`].
pub(super) fn identity(meta: &SectionMeta) -> Identity {
    let [crc, len] = [meta.crc.into(), meta.len].map(u64::to_le_bytes);
    let mut identity = [0; 16];
    identity[..3].copy_from_slice(&[meta.id.table as u8, meta.id.part as u8, meta.width]);
    identity[4..8].copy_from_slice(&crc[..4]);
    identity[8..].copy_from_slice(&len);
    identity
}

/// How far the copy of one section came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub section: Identity,
    /// Where the copy begins.
    pub offset: u64,
    /// Bytes of it that are durable.
    pub done: u64,
}

impl Entry {
    fn encode(&self) -> [u8; ENTRY] {
        let mut out = [0; ENTRY];
        out[..16].copy_from_slice(&self.section);
        out[16..24].copy_from_slice(&self.offset.to_le_bytes());
        out[24..32].copy_from_slice(&self.done.to_le_bytes());
        let crc = crc32fast::hash(&out[..32]);
        out[32..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8; ENTRY]) -> Option<Self> {
        let number = |at: usize| bytes[at..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let entry = Self { section: *bytes.first_chunk()?, offset: number(16)?, done: number(24)? };
        (entry.encode() == *bytes && entry.offset.is_multiple_of(ALIGN)).then_some(entry)
    }
}

/// What a file holds; no more than tells that it is too long for a record.
fn read(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; file.len()?.min(MAX_LEN + 1) as usize];
    file.read_exact_at(&mut bytes, 0).map(|()| bytes)
}

/// Whether a file that holds these bytes can be a record: one of its entries verifies, or none was written as a whole.
fn is_record(bytes: &[u8]) -> bool {
    let (entries, torn) = bytes.as_chunks::<ENTRY>();
    let blank =
        || bytes.iter().all(|byte| *byte == 0) || (entries.is_empty() && torn.first().is_some_and(|kind| *kind < 16));
    bytes.len() as u64 <= MAX_LEN && (entries.iter().any(|entry| Entry::decode(entry).is_some()) || blank())
}

/// The open record.
#[derive(Debug)]
pub(super) struct Record {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    /// One for each section at a place, the last one to be noted last.
    entries: Vec<Entry>,
    end: u64,
}

impl Record {
    /// Opens the record at `path`, an empty one if there is none. What is there and is none is put aside.
    pub fn open(env: &Env, path: &Path) -> Result<Self> {
        let failed = |action, error| Error::io(action, path, error);
        let opened = match env.disk.open(path, OpenMode::ReadWrite) {
            Ok(file) => Some(read(&*file).map_err(|error| failed("read", error))?).map(|bytes| (file, bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed("open", error)),
        };
        let (file, bytes) = match opened {
            Some((file, bytes)) if is_record(&bytes) => (file, bytes),
            _ => {
                clear_name(&*env.disk, path, |_| false).map_err(|error| failed("replace", error))?;
                let file = env.disk.open(path, OpenMode::CreateNew).map_err(|error| failed("create", error))?;
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
                env.disk.sync_dir(folder).map_err(|error| failed("sync the folder of", error))?;
                (file, Vec::new())
            }
        };
        let len = bytes.len() as u64;
        // What follows the last whole entry is torn, and overwritten.
        let end = len - len % ENTRY as u64;
        let mut record = Self { file, path: path.to_owned(), entries: Vec::new(), end };
        let (entries, _) = bytes.as_chunks();
        entries.iter().filter_map(Entry::decode).for_each(|entry| record.remember(entry));
        Ok(record)
    }

    /// What is noted, the last first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().rev()
    }

    /// How much of a section at a place is durable.
    pub fn done(&self, section: Identity, offset: u64) -> u64 {
        self.entries().find(|entry| (entry.section, entry.offset) == (section, offset)).map_or(0, |entry| entry.done)
    }

    /// Notes entries that say something new.
    pub fn note(&mut self, entries: &[Entry]) -> Result<()> {
        let new = entries.iter().filter(|entry| self.done(entry.section, entry.offset) != entry.done);
        let bytes: Vec<u8> = new.flat_map(|entry| entry.encode()).collect();
        if bytes.is_empty() {
            return Ok(());
        }
        self.file.write_at(&bytes, self.end).map_err(|error| Error::io("write to", &self.path, error))?;
        self.end += bytes.len() as u64;
        entries.iter().for_each(|entry| self.remember(*entry));
        Ok(())
    }

    /// Makes what is noted durable.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|error| Error::io("sync", &self.path, error))
    }

    fn remember(&mut self, entry: Entry) {
        self.entries.retain(|known| (known.section, known.offset) != (entry.section, entry.offset));
        self.entries.push(entry);
    }
}
