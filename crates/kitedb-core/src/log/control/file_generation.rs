//! The newest header of the database file that a log has seen named, by its generation: a file that counts fewer headers is an older
//! copy, or the newest of its headers is damaged. Of a word and a check of it; zeros, and what does not fit: not said. It is stored once
//! that header is durable, so that whatever crash comes, the log never says more than the file does.

use super::{Control, layout::FILE_GENERATION};
use crate::error::Result;

impl Control {
    /// The generation of the newest header that this log has seen named; 0: it has seen none named.
    pub fn file_generation(&self) -> u64 {
        let generation = self.load(FILE_GENERATION);
        if self.load(FILE_GENERATION + 1) == check(generation) { generation } else { 0 }
    }

    /// Notes that the header of that generation is named, and durable; or that the file which has it is the one that counts, though one
    /// with a newer one was seen.
    pub fn set_file_generation(&self, generation: u64) -> Result<()> {
        if self.file_generation() == generation {
            return Ok(());
        }
        // Between the two it is not said.
        self.store(FILE_GENERATION, generation)?;
        self.store(FILE_GENERATION + 1, check(generation))
    }
}

fn check(generation: u64) -> u64 {
    u64::from(crc32fast::hash(&generation.to_le_bytes())) | 1 << 32
}
