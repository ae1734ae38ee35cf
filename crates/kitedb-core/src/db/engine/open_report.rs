//! What an open found and made: the faults that it told nobody yet, and the files that go again if nothing comes of it.

use crate::{
    error::{Error, ErrorCode},
    lock::Mutex,
    log::{Keep, Proven},
};
use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

/// See the [module documentation](self).
#[derive(Debug, Default)]
pub struct OpenReport {
    /// Whether this open made the file.
    made_file: AtomicBool,
    /// Where that lies now which was in the place of the file that this open made.
    aside: Mutex<Option<PathBuf>>,
    /// Of a sidecar that this open made: what stays if it is taken back.
    made_sidecar: Option<Keep>,
    /// Of a sidecar that this open made in the place of one that is missing: what its folder held before.
    in_place: Option<Vec<String>>,
    /// Whether something came of this open, so that what it made in the place of what is missing stays.
    came_to_something: AtomicBool,
    /// Whether what the file was made for failed: what is empty still goes when it is closed.
    unwanted: AtomicBool,
    /// Whether this replica got another id to register under with this open, and has not registered since.
    registers_anew: AtomicBool,
    /// Why this open only reads, although its caller asked for more.
    refused: Option<Error>,
    /// What is wrong with the place of the replication log, for a reader: the files of a primary are copies, or the log is
    /// not there.
    log_fault: Option<Error>,
    /// What could not be read, by a read-only open or of a replica's log.
    damage: Mutex<Option<Error>>,
    /// Whether a reader read its log to the end, as nobody had it open, and not as far as somebody had published it.
    read_to_end: AtomicBool,
    /// What its log holds beyond its file, which is an older copy.
    beyond: Mutex<Option<Proven>>,
}

impl OpenReport {
    /// Of an open that only reads, although its caller asked for more, if `refused` says why.
    pub fn refused_for(refused: Option<Error>) -> Self {
        Self { refused, ..Self::default() }
    }

    /// Whether this open made the file.
    pub fn made_file(&self) -> bool {
        self.made_file.load(Ordering::Acquire)
    }

    /// Says whether this open made the file.
    pub fn note_file(&self, made: bool) {
        self.made_file.store(made, Ordering::Release);
    }

    /// Where that lies now which was in the place of the file that this open made, and was no database.
    pub fn aside(&self) -> Option<PathBuf> {
        self.aside.lock().clone()
    }

    /// Says where that lies.
    pub fn note_aside(&self, aside: Option<PathBuf>) {
        *self.aside.lock() = aside;
    }

    /// What stays of a sidecar that this open made if it is taken back; `None`: it made none.
    pub fn made_sidecar(&self) -> Option<Keep> {
        self.made_sidecar
    }

    /// This open made the sidecar.
    pub fn note_sidecar(&mut self, keep: Keep) {
        self.made_sidecar = Some(keep);
    }

    /// This open made the sidecar in the place of one that is missing; its folder held that before.
    pub fn note_in_place(&mut self, held: Vec<String>) {
        self.in_place = Some(held);
    }

    /// Of a sidecar that this open made in the place of one that is missing, and of which nothing came: what its folder held
    /// before.
    pub fn made_for_nothing(&self) -> Option<&[String]> {
        self.in_place.as_deref().filter(|_| !self.came_to_something.load(Ordering::Acquire))
    }

    /// Something came of this open. Returns whether that makes a sidecar stay that would have gone again.
    pub fn note_something(&self) -> bool {
        !self.came_to_something.swap(true, Ordering::AcqRel) && self.in_place.is_some()
    }

    /// Whether what is empty still goes when it is closed.
    pub fn is_unwanted(&self) -> bool {
        self.unwanted.load(Ordering::Acquire)
    }

    /// Says whether what is empty still goes when it is closed.
    pub fn set_unwanted(&self, unwanted: bool) {
        self.unwanted.store(unwanted, Ordering::Release);
    }

    /// This replica got another id to register under.
    pub fn note_new_id(&self) {
        self.registers_anew.store(true, Ordering::Release);
    }

    /// Whether this replica got another id to register under, and nobody asked since.
    pub fn take_new_id(&self) -> bool {
        self.registers_anew.swap(false, Ordering::AcqRel)
    }

    /// Why this open only reads, although its caller asked for more.
    pub fn refused(&self) -> Option<&Error> {
        self.refused.as_ref()
    }

    /// What is wrong with the place of the replication log, for a reader.
    pub fn log_fault(&self) -> Option<&Error> {
        self.log_fault.as_ref()
    }

    /// Says what is wrong with the place of the replication log, for a reader.
    pub fn set_log_fault(&mut self, fault: Option<Error>) {
        self.log_fault = fault;
    }

    /// How the files differ of a primary that was copied or restored since its log was written.
    pub fn copied(&self) -> Option<&Error> {
        self.refused().or(self.log_fault()).filter(|fault| fault.code() == ErrorCode::FilesMoved)
    }

    /// What could not be read.
    pub fn damage(&self) -> Option<Error> {
        self.damage.lock().clone()
    }

    /// Whether something could not be read.
    pub fn is_damaged(&self) -> bool {
        self.damage.lock().is_some()
    }

    /// Says what could not be read.
    pub fn set_damage(&self, damage: Option<Error>) {
        *self.damage.lock() = damage;
    }

    /// What could not be read, for who deals with it: it counts as read from then on.
    pub fn take_damage(&self) -> Option<Error> {
        self.damage.lock().take()
    }

    /// Whether a reader read its log to the end.
    pub fn has_read_to_end(&self) -> bool {
        self.read_to_end.load(Ordering::Acquire)
    }

    /// Says whether a reader read its log to the end.
    pub fn note_read_to_end(&self, to_end: bool) {
        self.read_to_end.store(to_end, Ordering::Release);
    }

    /// What its log holds beyond its file, which is an older copy.
    pub fn beyond(&self) -> Option<Proven> {
        self.beyond.lock().clone()
    }

    /// Whether its log holds commits beyond its file, which is an older copy.
    pub fn has_beyond(&self) -> bool {
        self.beyond.lock().is_some()
    }

    /// Says what its log holds beyond its file.
    pub fn set_beyond(&self, beyond: Option<Proven>) {
        *self.beyond.lock() = beyond;
    }

    /// Another graph took the place of what was damaged, and of its log.
    pub fn forget_damage(&self) {
        self.set_damage(None);
        self.set_beyond(None);
    }
}
