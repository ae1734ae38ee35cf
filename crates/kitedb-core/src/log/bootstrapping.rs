//! Whether a bootstrap of the replica whose log this is began and has not ended: bit 8 of the flags of its control file. It
//! tells a replica that holds nothing because its copy is under way, or was cut short, from one whose source had nothing.

use super::Control;

const BOOTSTRAPPING: u64 = 256;

impl Control {
    /// Whether this is the log of a replica whose first copy is under way, or was cut short: it has published nothing yet.
    pub fn is_half_made(&self) -> bool {
        self.flag(BOOTSTRAPPING) && self.is_replica() && self.published().0 == 0
    }

    /// Remembers, beyond this process, whether a bootstrap of this replica began and has not ended.
    pub fn set_bootstrapping(&self, bootstrapping: bool) {
        self.note_flag(BOOTSTRAPPING, bootstrapping);
    }
}
