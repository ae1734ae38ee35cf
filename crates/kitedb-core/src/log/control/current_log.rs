//! Which log the control file speaks of now, and whether that one is known to have a segment (words 10 and 11): so a log
//! is missed whose segments are all gone. Zeros: that is not noted.

use super::{
    Control,
    layout::{BEGUN, CURRENT_LOG},
};
use crate::{error::Result, log::LogIdentity};

impl Control {
    /// The log whose segments count now: a database that is reseeded begins another one beside the same control file.
    pub fn current_log(&self) -> LogIdentity {
        LogIdentity { log_id: self.load_id(CURRENT_LOG), ..self.identity }
    }

    /// Says whose segments count from now on.
    pub fn set_current_log(&self, log_id: [u8; 16]) -> Result<()> {
        self.store_id(CURRENT_LOG, log_id)
    }

    /// Whether the log of that id is known to have a segment: its newest one is never let go of.
    pub fn has_begun(&self, log_id: [u8; 16]) -> bool {
        log_id != [0; 16] && self.load_id(BEGUN) == log_id
    }

    /// Whether the log of that id is known to have none: another one had, which came before it.
    pub fn has_not_begun(&self, log_id: [u8; 16]) -> bool {
        let begun = self.load_id(BEGUN);
        begun != [0; 16] && begun != log_id
    }

    /// Notes that the log of that id has a segment.
    pub fn set_begun(&self, log_id: [u8; 16]) -> Result<()> {
        if self.load_id(BEGUN) == log_id { Ok(()) } else { self.store_id(BEGUN, log_id) }
    }
    /// Notes that the log of that id, which is the current one or about to be, has no segment: what is there is of one before it, or
    /// garbage.
    pub fn set_not_begun(&self, log_id: [u8; 16]) -> Result<()> {
        if self.has_not_begun(log_id) {
            return Ok(());
        }
        // Any id but its own says so. Where the one before it is not noted either, the file's does.
        let before = self.current_log().log_id;
        let before = if before == [0; 16] || before == log_id { self.identity.file_id } else { before };
        self.store_id(BEGUN, before)
    }
}
