//! The two header slots. The valid one with the greater generation counts; publishing writes the other.
//!
//! Layout of a slot (512 bytes, so that it lies in one sector): magic (8), format (4), generation (8),
//! file id (16), manifest: offset (8), length (8), CRC-32 (4); the log: id (16), kind (1), open (1), boot id (16),
//! clean tail: known (1), index (8), digest (16); zeros; CRC-32 of all before (4).

use super::{device::Device, space::ALIGN};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Digest, LogIndex, codec::Reader},
};

const MAGIC: [u8; 8] = *b"KiteDB\x1a\n";
const FORMAT: u32 = 3;
const SLOT: usize = 512;
/// So many generations never pass; lock bytes stay within what operating systems can lock.
const MAX_GENERATION: u64 = 1 << 60;

/// Where a database's log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum LogKind {
    /// There is none: the file is complete in itself.
    #[default]
    None = 0,
    /// In the folder `<file>-wal`.
    Private = 1,
    /// In the replication sidecar.
    Sidecar = 2,
}

/// What the file knows of its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogLink {
    /// The log's identity.
    pub id: [u8; 16],
    /// Where it is.
    pub kind: LogKind,
    /// Whether commits may have been appended since the last clean close.
    pub open: bool,
    /// The boot of the machine that opened it.
    pub boot_id: [u8; 16],
    /// After a clean close, the last index and the state's digest at it.
    pub clean_tail: Option<(LogIndex, Digest)>,
}

/// Where a manifest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ManifestPlace {
    pub offset: u64,
    pub len: u64,
    pub crc: u32,
}

/// A header slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub generation: u64,
    pub file_id: [u8; 16],
    pub manifest: ManifestPlace,
    pub log: LogLink,
}

/// Why a slot does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlotFault {
    NoMagic,
    OtherFormat(u32),
    Damaged,
}

impl Slot {
    pub fn encode(&self) -> [u8; SLOT] {
        let mut out = Vec::with_capacity(SLOT);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.file_id);
        out.extend_from_slice(&self.manifest.offset.to_le_bytes());
        out.extend_from_slice(&self.manifest.len.to_le_bytes());
        out.extend_from_slice(&self.manifest.crc.to_le_bytes());
        out.extend_from_slice(&self.log.id);
        out.extend_from_slice(&[self.log.kind as u8, self.log.open.into()]);
        out.extend_from_slice(&self.log.boot_id);
        let (index, digest) = self.log.clean_tail.unwrap_or_default();
        out.push(self.log.clean_tail.is_some().into());
        out.extend_from_slice(&index.0.to_le_bytes());
        out.extend_from_slice(&digest.to_le_bytes());
        out.resize(SLOT - 4, 0);
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        let mut slot = [0; SLOT];
        slot.copy_from_slice(&out);
        slot
    }

    pub fn decode(bytes: &[u8; SLOT]) -> Result<Self, SlotFault> {
        if !bytes.starts_with(&MAGIC) {
            return Err(SlotFault::NoMagic);
        }
        let (body, crc) = bytes.split_at(SLOT - 4);
        if crc != crc32fast::hash(body).to_le_bytes() {
            return Err(SlotFault::Damaged);
        }
        let mut reader = Reader::new(body.get(MAGIC.len()..).unwrap_or_default());
        match reader.u32() {
            Ok(FORMAT) => Self::decode_body(reader).map_err(|_| SlotFault::Damaged),
            Ok(other) => Err(SlotFault::OtherFormat(other)),
            Err(_) => Err(SlotFault::Damaged),
        }
    }

    fn decode_body(mut r: Reader<'_>) -> Result<Self> {
        let generation = r.u64()?;
        let file_id = r.array()?;
        let manifest = ManifestPlace { offset: r.u64()?, len: r.u64()?, crc: r.u32()? };
        let id = r.array()?;
        let kind = match r.u8()? {
            0 => LogKind::None,
            1 => LogKind::Private,
            2 => LogKind::Sidecar,
            kind => return Err(Error::corrupt(format_args!("unknown kind of log {kind}"))),
        };
        let open = r.u8()? != 0;
        let boot_id = r.array()?;
        let known = r.u8()? != 0;
        let tail = (LogIndex(r.u64()?), Digest::from_le_bytes(r.array()?));
        let limit = 1 << 56;
        if generation == 0 || generation > MAX_GENERATION || manifest.offset > limit || manifest.len > limit {
            return Err(Error::corrupt("a header slot has impossible numbers"));
        }
        let log = LogLink { id, kind, open, boot_id, clean_tail: known.then_some(tail) };
        Ok(Self { generation, file_id, manifest, log })
    }
}

/// Both slots of a file that is complete in itself: without a log, and new to every reader.
pub(super) fn fresh_slots(file_id: [u8; 16], manifest: ManifestPlace) -> [Slot; 2] {
    [1, 2].map(|generation| Slot { generation, file_id, manifest, log: LogLink::default() })
}

/// Reads both slots.
pub(super) fn read_slots(device: &Device) -> Result<[Result<Slot, SlotFault>; 2]> {
    let read = |slot: usize| {
        let mut bytes = [0; SLOT];
        match device.file.read_exact_at(&mut bytes, slot as u64 * ALIGN) {
            Ok(()) => Ok(Slot::decode(&bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(Err(SlotFault::NoMagic)),
            Err(error) => Err(device.error("read", error)),
        }
    };
    Ok([read(0)?, read(1)?])
}

/// Writes a slot. Not synced.
pub(super) fn write_slot(device: &Device, number: usize, slot: &Slot) -> Result<()> {
    device.write(&slot.encode(), number as u64 * ALIGN)
}

/// The slot that counts, with its number.
pub(super) fn choose(slots: [Result<Slot, SlotFault>; 2], device: &Device) -> Result<(usize, Slot)> {
    let path = device.path.display();
    match slots {
        [Ok(a), Ok(b)] if a.generation > b.generation => Ok((0, a)),
        [_, Ok(b)] => Ok((1, b)),
        [Ok(a), Err(_)] => Ok((0, a)),
        [Err(SlotFault::NoMagic), Err(SlotFault::NoMagic)] => {
            Err(Error::new(ErrorCode::NotADatabase, format_args!("{path} is not a KiteDB database")))
        }
        [Err(SlotFault::OtherFormat(other)), Err(_)] | [Err(_), Err(SlotFault::OtherFormat(other))] => {
            let what = format_args!("{path} is a KiteDB database of format {other}; this version reads {FORMAT}");
            Err(Error::new(ErrorCode::NotADatabase, what))
        }
        [Err(_), Err(_)] => Err(Error::corrupt(format_args!(
            "both header slots of {path} (offsets 0 and {ALIGN}) do not match their checksums"
        ))),
    }
}
