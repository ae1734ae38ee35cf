//! What a file holds as of one header: what a replica imports, and what an export streams.

use super::{
    device::Device,
    header::{ManifestExtent, fresh_slots},
    live::live_extents,
    manifest::Manifest,
    run::Runs,
    space::{ALIGN, Lease},
};
use crate::error::{Error, Result};
use std::sync::Arc;

/// The image of a database at one checkpoint, to be copied: that of a local file, or one behind a network. It
/// stays the same while it lives. Nothing that it says is believed before it is verified.
pub trait Image: Send + Sync {
    /// The manifest, encoded.
    fn manifest_bytes(&self) -> Result<Vec<u8>>;
    /// Reads exactly `buf.len()` bytes at `offset` of the image's file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()>;
}

/// The [`Image`] of an open file, and its bytes as a file of its own. Made by [`super::Store::image`].
#[derive(Debug)]
pub struct StoreImage {
    device: Arc<Device>,
    manifest: Arc<Manifest>,
    /// Offset and bytes of what a copy consists of, ascending; all else of it is zeros.
    live: Vec<(u64, u64)>,
    /// The header slots of a copy.
    slots: [Vec<u8>; 2],
    /// Nobody writes to what these name.
    _held: (Arc<Lease>, Arc<Runs>),
}

impl StoreImage {
    pub(super) fn new(
        device: Arc<Device>,
        file_id: [u8; 16],
        manifest: Arc<Manifest>,
        place: ManifestExtent,
        held: (Arc<Lease>, Arc<Runs>),
    ) -> Self {
        let live = live_extents(&manifest, Some(&place)).into_iter().map(|(_, offset, len)| (offset, len)).collect();
        let slots =
            fresh_slots(manifest.level, file_id, place, super::link::Part::Unsaid).map(|slot| slot.encode().to_vec());
        Self { device, manifest, live, slots, _held: held }
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The length in bytes of the image as a database file of its own.
    pub fn image_len(&self) -> u64 {
        self.live.last().map_or(0, |(offset, len)| (offset + len).next_multiple_of(ALIGN))
    }

    /// Reads exactly `buf.len()` bytes at `offset` of the image as a database file of its own: with this file's id,
    /// without a log, what counts at the same places, and zeros elsewhere. Nothing is verified on the way.
    pub fn read_image(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.image_len()).ok_or_else(|| {
            let (want, len) = (buf.len(), self.image_len());
            Error::invalid(format_args!("{want} bytes at {offset} of an image of {len} bytes were asked for"))
        })?;
        buf.fill(0);
        // The part of `len` bytes at `at` that was asked for: where it begins, and its place in `buf`.
        let part = |at: u64, len: u64| {
            let (from, to) = (at.max(offset), (at + len).min(end));
            (from < to).then(|| (from, (from - offset) as usize..(to - offset) as usize))
        };
        for (at, slot) in [0, ALIGN].into_iter().zip(&self.slots) {
            if let Some((from, place)) = part(at, slot.len() as u64) {
                let skipped = (from - at) as usize;
                buf[place.clone()].copy_from_slice(&slot[skipped..skipped + place.len()]);
            }
        }
        let first = self.live.partition_point(|(at, len)| at + len <= offset);
        for &(at, len) in self.live[first..].iter().take_while(|(at, _)| *at < end) {
            if let Some((from, place)) = part(at, len) {
                self.device.read(&mut buf[place], from)?;
            }
        }
        Ok(())
    }
}

impl Image for StoreImage {
    fn manifest_bytes(&self) -> Result<Vec<u8>> {
        Ok(self.manifest.encode())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.device.read(buf, offset)
    }
}
