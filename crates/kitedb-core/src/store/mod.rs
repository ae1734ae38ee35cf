//! Floor 2: the `.kitedb` file. Two header slots name a manifest, the manifest names immutable *runs*, a run
//! is sections of bytes with a CRC per block. Writing a run never touches what a published header needs;
//! publishing is one write of the slot that does not count, and one sync.
//!
//! From the bottom: `space` gives out and takes back extents; `section` and `section_writer` are checked
//! bytes; `column` and `row` are typed views of them; `table` and `table_writer` map keys to ranges;
//! `table_kind` is the list of tables, `shape` what each is made of; `parts` are the two kinds of table contents; `dense` and `dense_writer` are columns; `keys` is the hash index of node keys;
//! `tables` is the registry of the tables of a run, with a file for each (their bounds are `run_bounds`); `changes` is what a checkpoint writes; `run`,
//! `run_writer`, `merge` and `merge_runs` put them together; `link`, `header`, `manifest`, `live` and `file` are the file (`foreign` knows what is one
//! of other versions, and `in_place` whether it is still the one that was opened); `image` is
//! what another file copies of it, and `import`, which notes in an `import_record` how far it came, copies it.

#[cfg(target_endian = "big")]
compile_error!("KiteDB maps little-endian numbers straight from its file");
#[cfg(not(target_pointer_width = "64"))]
compile_error!("KiteDB maps files that a 32-bit address space cannot hold");

mod bounds;
mod changes;
mod column;
mod create;
mod dense;
mod dense_writer;
mod device;
mod file;
mod foreign;
mod header;
mod image;
mod import;
mod import_record;
mod in_place;
mod keys;
mod link;
mod live;
mod manifest;
mod merge;
mod merge_runs;
mod meta;
mod pace;
mod parts;
mod row;
mod run;
mod run_bounds;
mod run_writer;
mod section;
mod section_writer;
mod shape;
mod space;
mod table;
mod table_kind;
mod table_writer;
mod tables;
#[cfg(test)]
mod tests;
mod tiers;

pub use changes::Changes;
pub use column::Ints;
pub use file::{Peek, Store};
pub use foreign::folder as foreign_folder;
pub use image::{Image, StoreImage};
pub use link::{Hint, LogKind, LogLink, Part};
pub use manifest::{CheckpointMark, HistoryEntry, Manifest};
pub use merge_runs::merge;
pub use row::{EntryKind, Members, Row};
pub use run::{Run, Runs};
pub use tables::Ranks;
pub use tiers::{DEFAULT_MAX_RUNS, plan_merge};

/// The byte of the file whose lock the one writer holds (taken by the floor above).
pub const WRITER_LOCK: u64 = (1 << 62) - 1;
/// The byte of the file whose lock says that generation 0 is being read; that of generation g is g further on.
pub const READER_LOCK_BASE: u64 = 1 << 62;

/// A range of the file that does not verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where it starts in the file.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
    /// What lies there, and what is wrong with it.
    pub what: String,
}

/// Who is told of each header of a file that is named, once it is durable.
pub trait Witness: Send + Sync + std::fmt::Debug {
    /// Notes the header of that generation.
    fn note(&self, generation: u64);
}

impl Damage {
    /// Whether it is one of the two header slots, of which the other one verifies: the next write of a header mends it.
    pub fn is_header_slot(&self) -> bool {
        self.len == header::SLOT as u64 && [0, space::ALIGN].contains(&self.offset)
    }
}
