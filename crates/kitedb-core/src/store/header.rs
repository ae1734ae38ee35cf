//! The two header slots. The valid one with the greater generation counts; publishing writes the other.
//!
//! Layout of a slot (512 bytes, so that it lies in one sector): magic (8), format (4), generation (8),
//! file id (16), manifest: offset (8), length (8), CRC-32 (4); what is said of the log (see [`super::link`]); zeros;
//! CRC-32 of all before (4).

use super::{device::Device, link::LogLink, space::ALIGN};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::codec::Reader,
};

const MAGIC: [u8; 8] = *b"KiteDB\x1a\n";
const FORMAT: u32 = 3;
pub(super) const SLOT: usize = 512;
/// So many generations never pass; lock bytes stay within what operating systems can lock.
const MAX_GENERATION: u64 = 1 << 60;

/// Where a manifest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ManifestPlace {
    pub offset: u64,
    pub len: u64,
    pub crc: u32,
}

/// A header slot.
#[derive(Debug, Clone, PartialEq, Eq)]
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
        self.log.encode(&mut out);
        out.resize(SLOT - 4, 0);
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        let mut slot = [0; SLOT];
        slot.copy_from_slice(&out);
        slot
    }

    /// Whether nothing was published since the file was made.
    pub fn is_fresh(&self) -> bool {
        self.generation <= FRESH && self.log == LogLink::default()
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
        let log = LogLink::decode(&mut r)?;
        let limit = 1 << 56;
        if generation == 0 || generation > MAX_GENERATION || manifest.offset > limit || manifest.len > limit {
            return Err(Error::corrupt("a header slot has impossible numbers"));
        }
        Ok(Self { generation, file_id, manifest, log })
    }
}

/// How many generations a file has when it is complete in itself.
const FRESH: u64 = 2;

/// Both slots of a file that is complete in itself: without a log, and new to every reader.
pub(super) fn fresh_slots(file_id: [u8; 16], manifest: ManifestPlace) -> [Slot; 2] {
    [1, FRESH].map(|generation| Slot { generation, file_id, manifest, log: LogLink::default() })
}

/// So often a slot that does not verify is read again, as long as it changes.
const LOOKS: usize = 100;

/// Reads both slots. One that is being written while it is read need not verify: it is read again until it does, or is the
/// same as before.
pub(super) fn read_slots(device: &Device) -> Result<[Result<Slot, SlotFault>; 2]> {
    let mut before = None;
    for _ in 0..LOOKS {
        let bytes = [read_slot(device, 0)?, read_slot(device, 1)?];
        let slots = bytes.each_ref().map(|bytes| bytes.as_ref().map_or(Err(SlotFault::NoMagic), Slot::decode));
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
