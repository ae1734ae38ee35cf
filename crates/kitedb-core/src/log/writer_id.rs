//! What names the writer of an epoch.

/// Random, because an epoch's number alone identifies nothing. That of an epoch which an operator began who was told what other
/// nodes have says so ([`by_word`]): the id is in each history that the epoch is in, so whoever has commits that were given up
/// then learns of it.
pub type WriterId = [u8; 16];

/// Of this many bytes at its front an id that says so ends with the check.
const RANDOM: usize = 12;

/// The id of a writer whose epoch begins by the word of an operator, who gives up what other nodes have after the commits of this
/// one. The front of `random` stays.
pub fn by_word(random: [u8; 16]) -> WriterId {
    let mut id = random;
    id[RANDOM..].copy_from_slice(&crc32fast::hash(&random[..RANDOM]).to_le_bytes());
    id
}

/// Whether the epoch of that writer began by such a word. One in 2^32 other ids says so, too.
pub fn is_by_word(id: WriterId) -> bool {
    by_word(id) == id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_that_was_made_to_say_so_says_that_its_epoch_began_by_word() {
        for seed in 0..=255 {
            let random = [seed; 16];
            assert!(is_by_word(by_word(random)), "{seed}");
            assert!(!is_by_word(random), "{seed}");
            assert_eq!(by_word(random)[..RANDOM], random[..RANDOM]);
        }
    }
}
