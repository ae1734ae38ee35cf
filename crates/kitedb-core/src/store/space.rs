//! Which parts of the file are free. Space is live while a [`Lease`] on it lives. What a published header
//! named goes to quarantine afterwards, until a newer header is durable and no foreign reader pins an older one.

use super::{READER_LOCK_BASE, device::Device};
use crate::{
    error::{Error, ErrorCode, Result},
    io::LockKind,
    lock::Mutex,
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Extents begin at multiples of this, so that each can be mapped.
pub(super) const ALIGN: u64 = 4096;
/// Where extents begin: behind both header slots.
pub(super) const FIRST: u64 = 2 * ALIGN;

/// A part of the file. Offset and length are multiples of [`ALIGN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub offset: u64,
    pub len: u64,
}

impl Extent {
    /// The extent at `offset` that holds `bytes` bytes.
    pub fn holding(offset: u64, bytes: u64) -> Self {
        Self { offset, len: bytes.next_multiple_of(ALIGN) }
    }

    pub fn end(self) -> u64 {
        self.offset + self.len
    }
}

/// The allocator of one open file.
#[derive(Debug)]
pub(super) struct Space {
    pub device: Arc<Device>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Offset to length; neighbours are joined.
    free: BTreeMap<u64, u64>,
    /// Space that the headers up to this generation named.
    quarantine: Vec<(u64, Extent)>,
    /// Nothing live, free or in quarantine lies beyond.
    end: u64,
    /// The greatest generation known to be durable.
    durable: u64,
}

/// The right to an extent. Dropping it gives the extent back.
#[derive(Debug)]
pub(super) struct Lease {
    space: Arc<Space>,
    extent: Extent,
    /// The last generation whose header named the extent; 0: none ever did.
    named_by: AtomicU64,
}

impl Space {
    /// The space of a file of `file_len` bytes, of which `live` is in use. The rest may be what readers of
    /// the generations before `generation` look at.
    pub fn new(device: Arc<Device>, file_len: u64, mut live: Vec<Extent>, generation: u64) -> Arc<Self> {
        live.sort_by_key(|extent| extent.offset);
        let mut quarantine = Vec::new();
        let mut at = FIRST;
        for extent in live {
            if extent.offset > at {
                quarantine.push((generation.saturating_sub(1), Extent { offset: at, len: extent.offset - at }));
            }
            at = at.max(extent.end());
        }
        let end = at.max(file_len.next_multiple_of(ALIGN));
        if end > at {
            quarantine.push((generation.saturating_sub(1), Extent { offset: at, len: end - at }));
        }
        let state = State { free: BTreeMap::new(), quarantine, end, durable: 0 };
        Arc::new(Self { device, state: Mutex::new(state) })
    }

    /// Leases an extent that [`Space::new`] was told is live, for the header of `generation` names it.
    pub fn adopt(self: &Arc<Self>, extent: Extent, generation: u64) -> Lease {
        Lease { space: self.clone(), extent, named_by: AtomicU64::new(generation) }
    }

    /// Leases space for `bytes` bytes that nobody needs.
    pub fn allocate(self: &Arc<Self>, bytes: u64) -> Result<Lease> {
        let len = bytes.max(1).checked_next_multiple_of(ALIGN).filter(|len| *len < 1 << 60).ok_or_else(|| {
            Error::new(ErrorCode::Internal, format_args!("asked for {bytes} bytes of the database file"))
        })?;
        let mut state = self.state.lock();
        let mut offset = state.take(len);
        if offset.is_none() && state.release(&self.device) {
            offset = state.take(len);
        }
        let offset = offset.unwrap_or_else(|| state.grow(len));
        drop(state);
        Ok(Lease { space: self.clone(), extent: Extent { offset, len }, named_by: AtomicU64::new(0) })
    }

    /// Leases the extent at `offset` that holds `bytes` bytes, if nobody needs any of it. It must begin inside the
    /// file as it is, and may reach past the end.
    pub fn allocate_at(self: &Arc<Self>, offset: u64, bytes: u64) -> Option<Lease> {
        let len = bytes.max(1).checked_next_multiple_of(ALIGN)?;
        let possible = offset.is_multiple_of(ALIGN) && offset.checked_add(len).is_some_and(|end| end < 1 << 60);
        let mut state = self.state.lock();
        // After an open the place is in quarantine with everything else that the manifest does not name.
        let taken =
            possible && (state.take_at(offset, len) || state.release(&self.device) && state.take_at(offset, len));
        drop(state);
        taken.then(|| Lease { space: self.clone(), extent: Extent { offset, len }, named_by: AtomicU64::new(0) })
    }

    /// The header of `generation` is durable.
    pub fn set_durable(&self, generation: u64) {
        let mut state = self.state.lock();
        state.durable = state.durable.max(generation);
    }

    /// Cuts the file where only free space follows.
    pub fn shrink(&self) -> Result<()> {
        let mut state = self.state.lock();
        let last_free = state.free.last_key_value().map_or(0, |(offset, len)| offset + len);
        let last_quarantined = state.quarantine.iter().map(|(_, extent)| extent.end()).max().unwrap_or(0);
        if last_quarantined == state.end {
            state.release(&self.device);
        } else if last_free != state.end {
            return Ok(());
        }
        if let Some((&offset, &len)) = state.free.last_key_value()
            && offset + len == state.end
        {
            state.free.remove(&offset);
            state.end = offset;
            // Under the lock, so that nobody is given what is being cut.
            if self.device.len()? > offset {
                self.device.file.set_len(offset).map_err(|error| self.device.error("cut", error))?;
            }
        }
        Ok(())
    }

    /// Free bytes, and bytes in quarantine.
    pub fn unused(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.free.values().sum(), state.quarantine.iter().map(|(_, extent)| extent.len).sum())
    }

    /// Whether another open file reads a generation before `generation`.
    pub fn is_pinned_before(&self, generation: u64) -> bool {
        // Under the lock, as every look of this kind.
        let _state = self.state.lock();
        generation > 0 && !is_unpinned(&self.device, generation - 1)
    }

    #[cfg(test)]
    pub fn in_use(&self) -> u64 {
        let (free, quarantined) = self.unused();
        self.state.lock().end - FIRST - free - quarantined
    }

    /// Frees what no header ever named; what one named waits in quarantine. Upholds I16.
    fn give_back(&self, extent: Extent, named_by: u64) {
        if extent.len == 0 {
            return;
        }
        let mut state = self.state.lock();
        match named_by {
            0 => state.insert(extent),
            generation => state.quarantine.push((generation, extent)),
        }
    }
}

impl State {
    /// First fit, so that the end of the file falls free.
    fn take(&mut self, len: u64) -> Option<u64> {
        let (offset, found) = self.free.iter().find(|(_, found)| **found >= len).map(|(o, l)| (*o, *l))?;
        self.free.remove(&offset);
        if found > len {
            self.free.insert(offset + len, found - len);
        }
        Some(offset)
    }

    /// Takes `len` bytes at `offset`, if they are free or lie behind what is free at the end.
    fn take_at(&mut self, offset: u64, len: u64) -> bool {
        let Some((start, end)) = self.free.range(..=offset).next_back().map(|(start, len)| (*start, start + len))
        else {
            return false;
        };
        if offset >= end || (offset + len > end && end < self.end) {
            return false;
        }
        self.free.remove(&start);
        if start < offset {
            self.free.insert(start, offset - start);
        }
        if offset + len < end {
            self.free.insert(offset + len, end - (offset + len));
        }
        self.end = self.end.max(offset + len);
        true
    }

    /// `len` bytes at the end, beginning with what is free there.
    fn grow(&mut self, len: u64) -> u64 {
        let mut offset = self.end;
        if let Some((&last, &last_len)) = self.free.last_key_value()
            && last + last_len == self.end
        {
            self.free.remove(&last);
            offset = last;
        }
        self.end = offset + len;
        offset
    }

    fn insert(&mut self, mut extent: Extent) {
        if let Some((&before, &len)) = self.free.range(..extent.offset).next_back()
            && before + len == extent.offset
        {
            self.free.remove(&before);
            extent = Extent { offset: before, len: len + extent.len };
        }
        if let Some(len) = self.free.remove(&extent.end()) {
            extent.len += len;
        }
        self.free.insert(extent.offset, extent.len);
    }

    /// Frees what no reader of this file can see any more; says whether there was any. Upholds I16.
    fn release(&mut self, device: &Device) -> bool {
        let mut generations: Vec<u64> = self.quarantine.iter().map(|(g, _)| *g).filter(|g| *g < self.durable).collect();
        generations.sort_unstable();
        generations.dedup();
        // If nobody pins a generation up to g, nobody pins one up to less. Mostly nobody pins any.
        let unpinned = match generations.last() {
            Some(&last) if is_unpinned(device, last) => generations.len(),
            _ => generations.partition_point(|&g| is_unpinned(device, g)),
        };
        let Some(&upto) = unpinned.checked_sub(1).and_then(|last| generations.get(last)) else { return false };
        for (generation, extent) in std::mem::take(&mut self.quarantine) {
            if generation <= upto {
                self.insert(extent);
            } else {
                self.quarantine.push((generation, extent));
            }
        }
        true
    }
}

/// Whether no other open file reads a generation up to `generation`.
fn is_unpinned(device: &Device, generation: u64) -> bool {
    let range = READER_LOCK_BASE..READER_LOCK_BASE + generation + 1;
    match device.file.try_lock(range.clone(), LockKind::Exclusive) {
        Ok(true) => device.file.unlock(range).is_ok(),
        _ => false,
    }
}

impl Lease {
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// Keeps only what holds the first `bytes` bytes.
    pub fn trim(&mut self, bytes: u64) {
        let kept = Extent::holding(self.extent.offset, bytes);
        if kept.len < self.extent.len {
            self.space.give_back(Extent { offset: kept.end(), len: self.extent.len - kept.len }, 0);
            self.extent = kept;
        }
    }

    /// The header of `generation` names this extent, or will.
    pub fn named_by(&self, generation: u64) {
        self.named_by.fetch_max(generation, Ordering::Relaxed);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.space.give_back(self.extent, self.named_by.load(Ordering::Relaxed));
    }
}
