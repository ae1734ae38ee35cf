//! The head of the registry: what part the node plays, and the windows of the log's last writer.

use super::{Registry, all_slots};
use crate::{
    db::RetentionOptions,
    error::Result,
    replication::retention::{Part, registrations_end},
};

const PART: usize = 1;
const WINDOWS: usize = 2;

impl Registry {
    /// Notes what part the node plays from now on, and ends the registrations that do not outlive that.
    pub fn take_part(&self, part: Part) -> Result<()> {
        if self.part() == Some(part) {
            return Ok(());
        }
        let _here = self.here.lock();
        let _claiming = self.hold(0)?;
        let (words, was) = (self.words(), self.part());
        let change = || {
            if registrations_end(was, part) {
                let taken = all_slots(&words).filter(|(_, slot)| slot.id().is_some()).map(|(at, _)| at);
                self.free(&words, taken.collect::<Vec<_>>())?;
            }
            let played = if part == Part::Leads { 1 } else { 2 };
            words.store(PART, played).map_err(|e| self.not_written(e))?;
            self.sync()
        };
        if was == Some(Part::Leads) && registrations_end(was, part) {
            // Also of those that were lost.
            self.control.set_roll(None)?;
        }
        self.changing(&words, change)
    }

    fn part(&self) -> Option<Part> {
        match self.words.read().load(PART) {
            1 => Some(Part::Leads),
            2 => Some(Part::Follows),
            _ => None,
        }
    }

    /// Tells who looks at this log what the windows of its writer are.
    pub fn set_windows(&self, windows: &RetentionOptions) -> Result<()> {
        let words = self.words.read().clone();
        let given = [Some(windows.min_entries), windows.min_ms, windows.max_bytes, windows.max_lag_ms];
        let bits = given.iter().enumerate().map(|(at, given)| u64::from(given.is_some()) << at).sum();
        let values = given.map(Option::unwrap_or_default);
        let stored = words.store(WINDOWS, bits).and_then(|()| words.store_all(WINDOWS + 1, &values));
        stored.map_err(|e| self.not_written(e))
    }

    /// The windows of the log's last writer, if they are known.
    pub fn windows(&self) -> Option<RetentionOptions> {
        let words = self.words.read().clone();
        let bits = words.load(WINDOWS);
        let given = |at: usize| (bits >> at & 1 == 1).then(|| words.load(WINDOWS + 1 + at));
        let min_entries = given(0)?;
        let (min_ms, max_bytes, max_lag_ms) = (given(1), given(2), given(3));
        Some(RetentionOptions { min_entries, min_ms, max_bytes, max_lag_ms, interval_ms: None })
    }
}
