//! A disk and a host for tests: everything that a disk may do to a database, from one seed.
//!
//! A [`SimDisk`] is a strict POSIX file system in memory. Written bytes are durable after a sync of their file, and
//! names (creations, renames, removals) after a sync of their folder. Until then a power loss may take any of
//! the writes, in any order and torn at sectors of 512 bytes, and the last of the names. Files and folders can be
//! linked, copied and moved, also while a process has them open or anchored. The disk counts the operations that change something, can crash
//! at any of them, fail, run full, copy on write, damage bytes, and it notes when a change touches a range that is still mapped.
//!
//! ```
//! use std::path::Path;
//! use kitedb_core::io::{Disk, DiskFile, OpenMode, sim::{Crash, Loss, SimDisk}};
//!
//! let disk = SimDisk::new(7);
//! let file = disk.open(Path::new("/log"), OpenMode::CreateNew)?;
//! disk.sync_dir(Path::new("/"))?;
//! file.write_at(b"durable", 0)?;
//! file.sync_data()?;
//! file.write_at(b"only cached", 0)?;
//!
//! let disk = disk.restart(Crash::PowerLoss(Loss::LoseAllUnsynced));
//! assert_eq!(disk.read("/log")?, b"durable");
//! assert!(file.write_at(b"by a dead process", 0).is_err());
//! # Ok::<(), std::io::Error>(())
//! ```

mod anchors;
mod contents;
mod disk;
mod faults;
mod file;
mod host;
mod links;
mod rng;
mod state;
mod tree;
mod walk;

pub use disk::SimDisk;
pub use faults::{FaultOn, FaultPlan, Refusals};
pub use host::SimHost;

/// How a simulated machine or process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The process dies; the system and what it holds in memory live on.
    Kill,
    /// The machine loses its memory.
    PowerLoss(Loss),
}

/// What a power loss takes of that which is not durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Any subset of the writes of each file, each whole or torn, and the last names of each folder.
    Random,
    /// Everything.
    LoseAllUnsynced,
    /// Nothing (but what a failed sync lost before).
    KeepAll,
}
