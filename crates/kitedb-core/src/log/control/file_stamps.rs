//! What the control file remembers of itself and of its database file, so that a copy of either is told from what it was
//! copied from: inode, birth time and generation, as far as the file system has them.
//!
//! Words 48 to 55: which fields are known (bit 0: any; for the control file bits 1 and 2, for the database file bits 3
//! and 4: birth time, generation); inode, birth time in ns since 1970 and generation of the control file, then of the
//! database file; a check of these seven. Words 56 and 57: the id under which a replica registers, zeros for its file id.

use super::{
    Control,
    layout::{REGISTRATION, STAMPS, STAMPS_CHECK},
};
use crate::{
    error::{Error, Result},
    io::{DiskFile, Stamp},
};

/// What was remembered: of the control file, and of the database file.
type Stamps = (Stamp, Stamp);

/// How the files that are there differ from those that a log remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Displaced {
    /// The log is a copy.
    pub log: bool,
    /// The database file is another one, or a copy.
    pub file: bool,
}

impl Displaced {
    /// Whether anything differs.
    pub fn any(self) -> bool {
        self.log || self.file
    }
}

impl Control {
    fn stamps(&self) -> Option<Stamps> {
        let words: [u64; 7] = std::array::from_fn(|at| self.load(STAMPS + at));
        let known = words[0];
        if known & 1 == 0 || self.load(STAMPS_CHECK) != check(&words) {
            return None;
        }
        let stamp = |at: usize, bit: u64| Stamp {
            inode: words[at],
            birth_ns: (known & bit != 0).then_some(words[at + 1]),
            generation: (known & (bit << 1) != 0).then_some(words[at + 2]),
            stable: true,
        };
        Some((stamp(1, 2), stamp(4, 8)))
    }

    /// Remembers this control file and the database file `file` as they are, durably.
    pub fn set_stamps(&self, file: &dyn DiskFile) -> Result<()> {
        let (own, file) = self.look(file)?;
        let known = |stamp: &Stamp, bit: u64| {
            (u64::from(stamp.birth_ns.is_some()) * bit) | (u64::from(stamp.generation.is_some()) * (bit << 1))
        };
        let words = [
            1 | known(&own, 2) | known(&file, 8),
            own.inode,
            own.birth_ns.unwrap_or(0),
            own.generation.unwrap_or(0),
            file.inode,
            file.birth_ns.unwrap_or(0),
            file.generation.unwrap_or(0),
        ];
        // Torn, they are not known, and remembered at the next open.
        self.store(STAMPS_CHECK, check(&words))?;
        self.store_all(STAMPS, &words)?;
        self.sync()
    }

    /// Whether this log remembers its files.
    pub fn has_stamps(&self) -> bool {
        self.stamps().is_some()
    }

    /// How this control file and the database file `file` differ from what the log remembers. Nothing differs where it
    /// remembers nothing, or where the file system's word proves nothing.
    pub fn displaced(&self, file: &dyn DiskFile) -> Result<Displaced> {
        let Some(known) = self.stamps() else { return Ok(Displaced::default()) };
        let now = self.look(file)?;
        let (log, other) = (!known.0.fits(&now.0), !known.1.fits(&now.1));
        let moved = Displaced { log: log && now.0.stable, file: other && now.1.stable };
        if (log || other) && !moved.any() {
            tracing::warn!(
                log = %self.path().display(),
                "the inode of a log or of its database file is another one than before; on this file system that does \
                 not tell a copy"
            );
        }
        Ok(moved)
    }

    /// Whether this control file is a copy of the one that wrote it, as far as the file system tells, wherever its database file
    /// is.
    pub fn is_copied(&self) -> Result<bool> {
        let Some((known, _)) = self.stamps() else { return Ok(false) };
        let now = self.file().stamp().map_err(|e| Error::io("look at", self.path(), e))?;
        Ok(!known.fits(&now) && now.stable)
    }

    /// How many names this control file has: of hard links another file's log may be one.
    pub fn links(&self) -> Result<u64> {
        self.file().links().map_err(|e| Error::io("look at", self.path(), e))
    }

    fn look(&self, file: &dyn DiskFile) -> Result<Stamps> {
        let io = |e| Error::io("look at", self.path(), e);
        Ok((self.file().stamp().map_err(io)?, file.stamp().map_err(io)?))
    }

    /// The id under which the replica whose log this is registers, if it is not that of its file.
    pub fn registration(&self) -> Option<[u8; 16]> {
        let id = self.load_id(REGISTRATION);
        (id != [0; 16]).then_some(id)
    }

    /// Gives the replica whose log this is an id of its own: its file is a copy of another replica's.
    pub fn set_registration(&self, id: [u8; 16]) -> Result<()> {
        self.store_id(REGISTRATION, id)
    }
}

fn check(words: &[u64; 7]) -> u64 {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    u64::from(crc32fast::hash(&bytes)) | 1 << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        graph::Epoch,
        io::{Disk, OpenMode, RealDisk},
        log::LogIdentity,
    };

    #[test]
    fn a_copy_is_told_from_what_it_was_copied_from_and_a_rename_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir(path("log")).unwrap();
        let log = LogIdentity { log_id: [1; 16], file_id: [2; 16] };
        let file = RealDisk.open(&path("file"), OpenMode::CreateNew).unwrap();
        let control = Control::create(&RealDisk, &path("log"), log, [3; 16], Epoch(1)).unwrap();
        assert!(!control.has_stamps());
        assert!(!control.displaced(&*file).unwrap().any());
        control.set_stamps(&*file).unwrap();
        assert!(control.has_stamps());
        assert!(!control.displaced(&*file).unwrap().any());

        std::fs::create_dir(path("copy")).unwrap();
        std::fs::copy(path("log/control"), path("copy/control")).unwrap();
        std::fs::copy(path("file"), path("copied")).unwrap();
        let copied = RealDisk.open(&path("copied"), OpenMode::ReadWrite).unwrap();
        let copy = Control::open(&RealDisk, &path("copy"), OpenMode::ReadWrite).unwrap().unwrap();
        assert_eq!(copy.displaced(&*copied).unwrap(), Displaced { log: true, file: true });
        assert_eq!(copy.displaced(&*file).unwrap(), Displaced { log: true, file: false });
        assert_eq!(control.displaced(&*copied).unwrap(), Displaced { log: false, file: true });

        std::fs::rename(path("log"), path("elsewhere")).unwrap();
        let renamed = Control::open(&RealDisk, &path("elsewhere"), OpenMode::Read).unwrap().unwrap();
        assert!(!renamed.displaced(&*file).unwrap().any());
        assert_eq!(renamed.registration(), None);
        control.set_registration([7; 16]).unwrap();
        assert_eq!(control.registration(), Some([7; 16]));
    }
}
