//! What the replica whose log this is remembers of itself beyond its process: how its attempts to follow went, how far a
//! bootstrap or a promotion got, and what it met last.

use super::{
    Control,
    layout::{
        ERROR_HEAD, ERROR_TEXT, FILE_GENERATION, PROMOTION,
        flags::{BOOTSTRAPPING, DENIED, NEEDS_RESEED, REGISTERED, SOURCE_FOLLOWS, TOO_NEW, UNFILLED, UNREGISTERED},
    },
};
use crate::{error::Result, io::words_of_text, log::WriterId};

impl Control {
    /// Whether the replica whose log this is must be reseeded.
    pub fn needs_reseed(&self) -> bool {
        self.flag(NEEDS_RESEED)
    }

    /// Remembers, beyond this process, whether this replica must be reseeded.
    pub fn set_needs_reseed(&self, needed: bool) {
        self.note_flag(NEEDS_RESEED, needed);
    }

    /// Whether the source of the replica whose log this is keeps its log for it, as far as the last report tells.
    pub fn is_registered(&self) -> bool {
        self.flag(REGISTERED)
    }

    /// Whether this replica pulls although it could not register.
    pub fn is_unregistered(&self) -> bool {
        self.flag(UNREGISTERED)
    }

    /// Remembers, beyond this process, whether this replica is registered, and whether it pulls though it could not be.
    pub fn set_registered(&self, registered: bool, failed: bool) {
        self.note_flag(REGISTERED, registered);
        self.note_flag(UNREGISTERED, failed);
    }

    /// Whether the last attempt of this replica failed because its process lacks a permission.
    pub fn is_denied(&self) -> bool {
        self.flag(DENIED)
    }

    /// Remembers, beyond this process, whether its last attempt failed for want of a permission.
    pub fn set_denied(&self, denied: bool) {
        self.note_flag(DENIED, denied);
    }

    /// Whether the last attempt of the replica failed because a newer build wrote what comes next.
    pub fn is_too_new(&self) -> bool {
        self.flag(TOO_NEW)
    }

    /// Says whether it did.
    pub fn set_too_new(&self, too_new: bool) {
        self.note_flag(TOO_NEW, too_new);
    }

    /// Whether the source of this replica was a replica itself when it was seen last: then it is another node that leads.
    pub fn source_follows(&self) -> bool {
        self.flag(SOURCE_FOLLOWS)
    }

    /// Remembers, beyond this process, whether it was.
    pub fn set_source_follows(&self, follows: bool) {
        self.note_flag(SOURCE_FOLLOWS, follows);
    }

    /// Whether this is the log of a replica whose first copy is under way, or was cut short: it has published nothing yet.
    /// That tells it from one whose source had nothing.
    pub fn is_half_made(&self) -> bool {
        self.flag(BOOTSTRAPPING) && self.is_replica() && self.published().0 == 0
    }

    /// Whether a bootstrap of this replica began, of its first copy or another one, and has not ended.
    pub fn is_bootstrapping(&self) -> bool {
        self.flag(BOOTSTRAPPING)
    }

    /// Remembers, beyond this process, whether a bootstrap of this replica began and has not ended.
    pub fn set_bootstrapping(&self, bootstrapping: bool) {
        self.note_flag(BOOTSTRAPPING, bootstrapping);
    }

    /// Whether this is the log of a replica that has had nothing from its source yet, as from its first moment on, or whose
    /// first copy was cut short. One whose source had nothing is not.
    pub fn is_unfilled(&self) -> bool {
        (self.flag(UNFILLED) || self.flag(BOOTSTRAPPING)) && self.is_replica() && self.published().0 == 0
    }

    /// Remembers that this replica holds all up to where it is, however that came.
    pub fn set_filled(&self) {
        self.note_flag(BOOTSTRAPPING, false);
        self.note_flag(UNFILLED, false);
    }

    /// The promotion that the replica whose log this is has begun; zeros: none.
    pub fn promotion(&self) -> WriterId {
        self.load_id(PROMOTION)
    }

    /// Remembers the promotion that this replica begins, so that it can complete it after a crash.
    pub fn set_promotion(&self, id: WriterId) -> Result<()> {
        self.store_id(PROMOTION, id)
    }

    /// What the replica whose log this is met last, if that was a failure.
    pub fn last_error(&self) -> Option<String> {
        let head = self.load(ERROR_HEAD);
        let (len, crc) = ((head & 0xFFFF_FFFF) as usize, (head >> 32) as u32);
        let words = (ERROR_TEXT..FILE_GENERATION).take(len.div_ceil(8));
        let mut text: Vec<u8> = words.flat_map(|at| self.load(at).to_le_bytes()).collect();
        text.truncate(len);
        // A text that is being written, or was torn, does not verify.
        if len == 0 || crc32fast::hash(&text) != crc {
            return None;
        }
        String::from_utf8(text).ok()
    }

    /// Remembers, beyond this process, what a replica met last. Long texts are cut.
    pub fn set_last_error(&self, text: Option<&str>) {
        if self.last_error().as_deref() == text {
            return;
        }
        let text = text.unwrap_or_default();
        let text = &text[..text.floor_char_boundary((FILE_GENERATION - ERROR_TEXT) * 8)];
        let head = match text.len() {
            0 => 0,
            len => len as u64 | u64::from(crc32fast::hash(text.as_bytes())) << 32,
        };
        self.noted(self.store_error(text, head));
    }

    fn store_error(&self, text: &str, head: u64) -> Result<()> {
        self.store_all(ERROR_TEXT, &words_of_text(text.as_bytes()))?;
        self.store(ERROR_HEAD, head)
    }
}
