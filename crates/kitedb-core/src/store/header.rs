//! The two header slots. The valid one with the greater generation counts; publishing writes the other.
//!
//! Layout of a slot (512 bytes, so that it lies in one sector): magic (8), format (2), feature level that the file needs
//! (2), generation (8), file id (16), manifest: offset (8), length (8), CRC-32 (4); what is said of the log (see
//! [`super::link`]); zeros; CRC-32 of all before (4).
//!
//! Magic, format, level, generation and CRC are where they are in every format and level, so that a slot which this build
//! cannot read is told from a damaged one, and an older slot beside it is not taken for the one that counts.

use super::{
    device::Device,
    foreign,
    link::{LogLink, Part},
    space::ALIGN,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::codec::Reader,
    level::require_known,
};

const MAGIC: [u8; 8] = *b"KiteDB\x1a\n";
const FORMAT: u16 = 4;
pub(super) const SLOT: usize = 512;
/// So many generations never pass; lock bytes stay within what operating systems can lock.
const MAX_GENERATION: u64 = 1 << 60;

/// Where a manifest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ManifestExtent {
    pub offset: u64,
    pub len: u64,
    pub crc: u32,
}

/// A header slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    /// The feature level that the file needs.
    pub level: u16,
    pub generation: u64,
    pub file_id: [u8; 16],
    pub manifest: ManifestExtent,
    pub log: LogLink,
}

/// Why a slot does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlotFault {
    NoMagic,
    /// It verifies, and is of another format.
    OtherFormat {
        format: u16,
        generation: u64,
    },
    /// It verifies, and needs a greater feature level than this build's.
    TooNew {
        level: u16,
        generation: u64,
    },
    Damaged,
}

impl Slot {
    pub fn encode(&self) -> [u8; SLOT] {
        let mut out = Vec::with_capacity(SLOT);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&self.level.to_le_bytes());
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.file_id);
        out.extend_from_slice(&self.manifest.offset.to_le_bytes());
        out.extend_from_slice(&self.manifest.len.to_le_bytes());
        out.extend_from_slice(&self.manifest.crc.to_le_bytes());
        self.log.encode(&mut out);
        out.resize(SLOT - 4, 0);
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        let mut slot = [0; SLOT];
        slot.copy_from_slice(&out);
        slot
    }

    /// Whether nothing was published since the file was made.
    pub fn is_fresh(&self) -> bool {
        self.generation <= FRESH && self.log.names_no_log()
    }

    /// Reads a slot, of a file that needs no feature level above `known`.
    pub fn decode(bytes: &[u8; SLOT], known: u16) -> Result<Self, SlotFault> {
        if !bytes.starts_with(&MAGIC) {
            return Err(SlotFault::NoMagic);
        }
        let (body, crc) = bytes.split_at(SLOT - 4);
        if crc != crc32fast::hash(body).to_le_bytes() {
            return Err(SlotFault::Damaged);
        }
        let mut reader = Reader::new(body.get(MAGIC.len()..).unwrap_or_default());
        let mut head = || Ok::<_, Error>((reader.u16()?, reader.u16()?, reader.u64()?));
        match head().map_err(|_| SlotFault::Damaged)? {
            (FORMAT, level, generation) if level > known => Err(SlotFault::TooNew { level, generation }),
            (FORMAT, level, generation) => Self::decode_body(level, generation, reader).map_err(|_| SlotFault::Damaged),
            (format, _, generation) => Err(SlotFault::OtherFormat { format, generation }),
        }
    }

    fn decode_body(level: u16, generation: u64, mut r: Reader<'_>) -> Result<Self> {
        let file_id = r.array()?;
        let manifest = ManifestExtent { offset: r.u64()?, len: r.u64()?, crc: r.u32()? };
        let log = LogLink::decode(&mut r)?;
        let limit = 1 << 56;
        if level == 0
            || generation == 0
            || generation > MAX_GENERATION
            || manifest.offset > limit
            || manifest.len > limit
        {
            return Err(Error::corrupt("a header slot has impossible numbers"));
        }
        Ok(Self { level, generation, file_id, manifest, log })
    }
}

/// How many generations a file has when it is complete in itself.
const FRESH: u64 = 2;

/// Both slots of a file that is complete in itself: without a log, and new to every reader.
pub(super) fn fresh_slots(level: u16, file_id: [u8; 16], manifest: ManifestExtent, part: Part) -> [Slot; 2] {
    let log = LogLink { part, ..LogLink::default() };
    [1, FRESH].map(|generation| Slot { level, generation, file_id, manifest, log: log.clone() })
}

/// So often a slot that does not verify is read again, as long as it changes.
const LOOKS: usize = 100;

/// Reads both slots. One that is being written while it is read need not verify: it is read again until it does, or is the
/// same as before.
pub(super) fn read_slots(device: &Device) -> Result<[Result<Slot, SlotFault>; 2]> {
    let mut before = None;
    for _ in 0..LOOKS {
        let bytes = [read_slot(device, 0)?, read_slot(device, 1)?];
        let decode = |bytes: &[u8; SLOT]| Slot::decode(bytes, device.levels.known);
        let slots = bytes.each_ref().map(|bytes| bytes.as_ref().map_or(Err(SlotFault::NoMagic), decode));
        if slots.iter().all(Result::is_ok) || before.as_ref() == Some(&bytes) {
            return Ok(slots);
        }
        before = Some(bytes);
        std::thread::yield_now();
    }
    Err(Error::new(ErrorCode::Locked, format_args!("{} changes too fast to be read", device.path.display())))
}

/// `None`: the file ends before it does.
fn read_slot(device: &Device, number: u64) -> Result<Option<[u8; SLOT]>> {
    let mut bytes = [0; SLOT];
    match device.file.read_exact_at(&mut bytes, number * ALIGN) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(device.error("read", error)),
    }
}

/// Writes a slot. Not synced.
pub(super) fn write_slot(device: &Device, number: usize, slot: &Slot) -> Result<()> {
    device.write(&slot.encode(), number as u64 * ALIGN)
}

/// The slot that counts, with its number: of those that verify the newest one, be it that this build cannot read it.
/// Upholds I44.
pub(super) fn choose(slots: [Result<Slot, SlotFault>; 2], device: &Device) -> Result<(usize, Slot)> {
    let path = device.path.display();
    let without_magic = slots.iter().all(|slot| matches!(slot, Err(SlotFault::NoMagic)));
    let verified = slots.into_iter().enumerate().filter_map(|(number, slot)| match slot {
        Ok(slot) => Some((slot.generation, number, Ok(slot))),
        Err(fault @ (SlotFault::OtherFormat { generation, .. } | SlotFault::TooNew { generation, .. })) => {
            Some((generation, number, Err(fault)))
        }
        Err(SlotFault::NoMagic | SlotFault::Damaged) => None,
    });
    match verified.max_by_key(|(generation, number, _)| (*generation, *number)) {
        Some((_, number, Ok(slot))) => Ok((number, slot)),
        Some((_, _, Err(SlotFault::TooNew { level, .. }))) => {
            let known = require_known(device.levels.known, level, format_args!("the database file {path}"));
            known.map_err(|e| e.with_path(&device.path))?;
            Err(Error::new(ErrorCode::Internal, "a slot of a known level was not read"))
        }
        Some((_, _, Err(SlotFault::OtherFormat { format, .. }))) => Err(other_format(device, format)),
        None if without_magic => Err(foreign::file(device)),
        _ => Err(Error::corrupt(format_args!(
            "both header slots of {path} (offsets 0 and {ALIGN}) do not match their checksums"
        ))
        .with_path(&device.path)),
    }
}

fn other_format(device: &Device, format: u16) -> Error {
    let path = device.path.display();
    if format > FORMAT {
        let what = format_args!(
            "{path} is a KiteDB database of format {format}, and this build reads format {FORMAT}: a newer KiteDB wrote it. \
             Nothing is damaged; use a newer KiteDB"
        );
        return Error::new(ErrorCode::TooNew, what).with_path(&device.path).with_expected(FORMAT).with_found(format);
    }
    let what = format_args!(
        "{path} is a KiteDB database of format {format}, which no released version wrote, and this one reads format {FORMAT}: \
         import the source data again, into another file"
    );
    Error::new(ErrorCode::OldFormat, what).with_path(&device.path).with_expected(FORMAT).with_found(format)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        io::sim::SimDisk,
        io::{Disk, OpenMode},
        level::Levels,
    };
    use std::path::Path;

    /// What is said of a file whose slots have these formats, levels and generations.
    fn chosen(slots: [(u16, u16, u64); 2]) -> Result<u64> {
        let disk = SimDisk::new(1);
        let path = Path::new("/graph.kitedb");
        let file = disk.open(path, OpenMode::CreateNew).unwrap();
        for (number, (format, level, generation)) in slots.into_iter().enumerate() {
            let manifest = ManifestExtent { offset: 8192, len: 10, crc: 0 };
            let slot = Slot { level, generation, file_id: [7; 16], manifest, log: LogLink::default() };
            let mut bytes = slot.encode();
            bytes[8..10].copy_from_slice(&format.to_le_bytes());
            let crc = crc32fast::hash(&bytes[..SLOT - 4]);
            bytes[SLOT - 4..].copy_from_slice(&crc.to_le_bytes());
            file.write_at(&bytes, number as u64 * ALIGN).unwrap();
        }
        let device = Device::new(file, path, Levels { known: 1, written: 1 });
        choose(read_slots(&device)?, &device).map(|(_, slot)| slot.generation)
    }

    #[test]
    fn an_older_slot_does_not_count_beside_a_newer_one_that_this_build_cannot_read() {
        assert_eq!(chosen([(4, 1, 6), (4, 1, 5)]).unwrap(), 6);
        // It was lowered again: what the older slot needed is needed no more.
        assert_eq!(chosen([(4, 2, 5), (4, 1, 6)]).unwrap(), 6);
        for (slots, code) in [
            ([(4, 1, 5), (4, 2, 6)], ErrorCode::TooNew),
            ([(4, 2, 6), (4, 1, 5)], ErrorCode::TooNew),
            ([(4, 1, 5), (5, 1, 6)], ErrorCode::TooNew),
            ([(3, 0, 1), (3, 0, 2)], ErrorCode::OldFormat),
        ] {
            assert_eq!(chosen(slots).unwrap_err().code(), code, "{slots:?}");
        }
    }
}
