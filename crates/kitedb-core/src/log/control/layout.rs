//! Which words of the control file hold what, and the bits of its flags: all of the file's layout is here.
//!
//! Words 0 to 7 are written once and covered by the CRC in word 8; the others change. Words 21 to 24, 33 and 35, and bit 1
//! of the flags, belong to the fence of a control file of before its records: they are read and never written.

/// How many words the file has.
pub const WORDS: usize = 512;
/// What word 0 holds.
pub const MAGIC: u64 = u64::from_le_bytes(*b"KITECTL\x01");
/// The number of the file's form, in word 1.
pub const NUMBER: u64 = 2;

/// Names the first word of each thing that the file holds, by the words that it takes.
macro_rules! layout {
    ($($(#[$doc:meta])* $name:ident: $words:expr;)*) => {
        $($(#[$doc])* pub const $name: usize = $words.start;)*

        #[cfg(test)]
        const LAYOUT: &[(&str, std::ops::Range<usize>)] = &[$((stringify!($name), $words)),*];
    };
}

layout! {
    /// The roll of the registered replicas: see `registered_replicas`.
    ROLL: 9..10;
    /// The id of the log that is known to have a segment: see `current_log`.
    BEGUN: 10..12;
    /// Counts what followers of the log look for: see `event_counts`.
    NEWS: 12..13;
    /// Counts what the log's writer is asked for: see `event_counts`.
    REQUESTS: 13..14;
    /// Odd: see [`Control::is_unsynced`](super::Control::is_unsynced).
    UNSYNCED: 14..15;
    /// The latest epoch that a replica saw at a source: see `source_epoch`.
    SEEN: 15..16;
    /// What a committer compares: see `fence`.
    FENCE: 16..17;
    /// How far frames may be read: see `announcements`.
    PUBLISHED: 17..18;
    /// How far frames are durable: see `announcements`.
    DURABLE: 18..19;
    /// Bits of [`flags`].
    FLAGS: 19..20;
    /// The process that took the writer's lock last.
    WRITER_PID: 20..21;
    /// Who moved the fence, of before its records.
    OLD_OWNER: 21..23;
    /// Where an epoch ended, of before the fence's records.
    OLD_END: 23..25;
    /// Whether a follower sleeps: see `event_counts`.
    SLEEPERS: 25..26;
    /// How many checkpoints were asked for: see `requests`.
    CHECKPOINT_ASKED: 26..27;
    /// How many of them are made: see `requests`.
    CHECKPOINT_DONE: 27..28;
    /// Length and CRC-32 of a replica's last error: see `replica_state`.
    ERROR_HEAD: 28..29;
    /// The id of the log whose segments count: see `current_log`.
    CURRENT_LOG: 29..31;
    /// The promotion that a replica has begun: see `replica_state`.
    PROMOTION: 31..33;
    /// The check of [`OLD_END`].
    OLD_END_CHECK: 33..34;
    /// Names the session of the log's writer: see `session`.
    SESSION: 34..35;
    /// The epoch that [`OLD_OWNER`] moved the fence to.
    OLD_OWNED: 35..36;
    /// The record of the fence, first: see `fence`.
    FENCE_RECORD: 36..42;
    /// The same record once more.
    FENCE_COPY: 42..48;
    /// What the files beside the log were: see `file_stamps`.
    STAMPS: 48..55;
    /// The check of [`STAMPS`].
    STAMPS_CHECK: 55..56;
    /// The id under which a replica registers: see `file_stamps`.
    REGISTRATION: 56..58;
    /// How many requests for retention there were, and how many are answered: see `requests`.
    RETENTION_COUNTS: 58..59;
    /// The head of such a request, or of its answer.
    RETENTION_HEAD: 59..60;
    /// The values of such a request, or of its answer.
    RETENTION_VALUES: 60..64;
    /// The text of a replica's last error.
    ERROR_TEXT: 64..510;
    /// The newest header of the database file, and a check of that: see `file_generation`.
    FILE_GENERATION: 510..WORDS;
}

/// The word that changes with every transition of the fence, on which waiters sleep: the check in the first record.
pub const FENCE_CHANGED: usize = FENCE_COPY - 1;

/// The bits of word [`FLAGS`].
pub mod flags {
    /// A sync of the log failed, and the log was not repaired since.
    pub const SYNC_FAILED: u64 = 1;
    /// The log is a replica's, of before the fence's records.
    pub const OLD_REPLICA: u64 = 1 << 1;
    /// The replica must be reseeded.
    pub const NEEDS_RESEED: u64 = 1 << 2;
    /// The replica is registered with its source.
    pub const REGISTERED: u64 = 1 << 3;
    /// The replica pulls although it could not register.
    pub const UNREGISTERED: u64 = 1 << 4;
    /// A sync of the log is under way.
    pub const SYNCING: u64 = 1 << 5;
    /// Nobody knows who moved the fence.
    pub const FENCE_ASSUMED: u64 = 1 << 6;
    /// The last attempt of the replica failed for want of a permission.
    pub const DENIED: u64 = 1 << 7;
    /// A bootstrap of the replica began and has not ended.
    pub const BOOTSTRAPPING: u64 = 1 << 8;
    /// The last attempt of the replica failed because a newer build wrote what comes next.
    pub const TOO_NEW: u64 = 1 << 9;
    /// The replica has had nothing from its source yet, not even that there is nothing.
    pub const UNFILLED: u64 = 1 << 10;
    /// The source of the replica was a replica itself when it was seen last.
    pub const SOURCE_FOLLOWS: u64 = 1 << 11;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_things_share_a_word() {
        let pairs = LAYOUT.windows(2);
        for ((name, words), (next, after)) in pairs.map(|pair| (&pair[0], &pair[1])) {
            assert!(
                words.end == after.start,
                "{name} ends at word {}, and {next} begins at {}",
                words.end,
                after.start
            );
        }
        assert_eq!(LAYOUT.first().map(|(_, words)| words.start), Some(9));
        assert_eq!(LAYOUT.last().map(|(_, words)| words.end), Some(WORDS));
    }
}
