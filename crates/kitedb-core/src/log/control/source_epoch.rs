//! The latest epoch that a replica saw at a source, of which it may have no frame: word 15 of its control file, twice the
//! epoch, and 1 where it is known to have begun, stored as word 16 stores an epoch, with a check; zeros, or what does not
//! verify: none. It only rises, and outlives the source.

use super::{
    Control, Fence,
    fence::{epoch_in, hot},
    layout::SEEN,
};
use crate::{error::Result, graph::Epoch};

/// What fits into the word.
const LAST: u64 = (1 << 39) - 1;

/// The latest epoch that a node saw at its source, of which it may have no frame. The default is that of who saw none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct SeenEpoch {
    /// The epoch.
    pub epoch: Epoch,
    /// Whether it is known to have begun: else a promotion raised a fence to it, and may have come to its end since.
    pub begun: bool,
}

impl SeenEpoch {
    /// What a fence tells.
    pub fn of(fence: &Fence) -> Self {
        Self { epoch: fence.epoch, begun: !fence.is_ending() }
    }

    /// The latest epoch that is known to have begun.
    pub fn begun(self) -> Epoch {
        Epoch(self.epoch.0.saturating_sub(u64::from(!self.begun)))
    }

    fn from_word(word: u64) -> Self {
        let Some(Epoch(twice)) = epoch_in(word) else { return Self::default() };
        Self { epoch: Epoch(twice >> 1), begun: twice & 1 == 1 }
    }

    fn to_word(self) -> u64 {
        hot(Epoch(self.epoch.0.min(LAST) << 1 | u64::from(self.begun)))
    }
}

impl Control {
    /// The latest epoch that this replica saw at a source.
    pub fn seen_epoch(&self) -> SeenEpoch {
        SeenEpoch::from_word(self.load(SEEN))
    }

    /// Remembers, durably, that `seen` was seen at a source.
    pub fn note_seen_epoch(&self, seen: SeenEpoch) -> Result<()> {
        if seen <= self.seen_epoch() && !self.is_unsynced() {
            return Ok(());
        }
        let later = |was| SeenEpoch::from_word(was).max(seen).to_word();
        self.words.update(SEEN, later).map_err(|e| self.not_stored(e))?;
        self.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        io::{
            Disk, OpenMode,
            sim::{Crash, FaultOn, FaultPlan, Loss, SimDisk},
        },
        log::LogIdentity,
    };
    use std::{io::ErrorKind, path::Path};

    const fn seen(epoch: u64, begun: bool) -> SeenEpoch {
        SeenEpoch { epoch: Epoch(epoch), begun }
    }

    #[test]
    fn an_epoch_that_was_seen_is_remembered_also_if_a_sync_failed_at_first() {
        let dir = Path::new("/log");
        for (seed, failing) in (0..8).flat_map(|seed| [(seed, false), (seed, true)]) {
            let disk = SimDisk::new(seed);
            disk.create_dir(dir).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
            let log = LogIdentity { log_id: [1; 16], file_id: [2; 16] };
            let control = Control::create(&disk, dir, log, [3; 16], Epoch(1)).unwrap();
            disk.sync_dir(dir).unwrap();
            assert_eq!(control.seen_epoch(), SeenEpoch::default());
            if failing {
                disk.fail(FaultPlan::new(FaultOn::Sync, 1, ErrorKind::Other));
                control.note_seen_epoch(seen(7, true)).unwrap_err();
            }
            // None takes the place of a later one.
            for (epoch, begun) in [(7, false), (7, true), (7, false), (3, true)] {
                control.note_seen_epoch(seen(epoch, begun)).unwrap();
            }
            let found = disk.restart(Crash::PowerLoss(Loss::LoseAllUnsynced));
            let found = Control::open(&found, dir, OpenMode::ReadWrite).unwrap().unwrap();
            assert_eq!(found.seen_epoch(), seen(7, true), "seed {seed}, failing {failing}");
        }
    }

    /// A number that nobody saw might be one that no epoch can follow.
    #[test]
    fn a_flipped_bit_makes_no_epoch() {
        let (disk, dir) = (SimDisk::new(1), Path::new("/log"));
        disk.create_dir(dir).unwrap();
        let log = LogIdentity { log_id: [1; 16], file_id: [2; 16] };
        let control = Control::create(&disk, dir, log, [3; 16], Epoch(1)).unwrap();
        control.note_seen_epoch(seen(7, true)).unwrap();
        for bit in 0..64 {
            let sound = control.load(SEEN);
            control.store(SEEN, sound ^ (1 << bit)).unwrap();
            assert_eq!(control.seen_epoch(), SeenEpoch::default(), "bit {bit}");
            control.store(SEEN, sound).unwrap();
        }
    }
}
