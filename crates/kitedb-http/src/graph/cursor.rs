//! Where a page goes on: text that means something here only, and only for the question that it was an answer to.

use crate::error::Failure;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use kitedb_core::{Error, ErrorCode};
use sha2::{Digest, Sha256};

/// What it is made of: this, who it is for, the place, and a checksum.
const VERSION: u8 = 1;
const PURPOSE: usize = 8;
const CHECK: usize = 4;

/// The place as text, for who asks the same question again. `question` has all that it depends on.
pub fn written<const N: usize>(question: &[&str], place: [u8; N]) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&purpose(question));
    bytes.extend_from_slice(&place);
    bytes.extend_from_slice(&check(&bytes));
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The place that a text names.
///
/// # Errors
/// It is no cursor, or one for another question.
pub fn read<const N: usize>(question: &[&str], text: &str) -> Result<[u8; N], Failure> {
    let invalid = |what: &str| Failure::from(Error::new(ErrorCode::InvalidCursor, what));
    let no_cursor = || invalid("after is no cursor: give what `next` held, as it was");
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| no_cursor())?;
    let (rest, sum) = bytes.split_last_chunk::<CHECK>().ok_or_else(no_cursor)?;
    let (version, rest) = rest.split_first().ok_or_else(no_cursor)?;
    if *sum != check(&bytes[..bytes.len() - CHECK]) || *version != VERSION {
        return Err(no_cursor());
    }
    let (of, place) = rest.split_first_chunk::<PURPOSE>().ok_or_else(no_cursor)?;
    if *of != purpose(question) {
        return Err(invalid("after is the cursor of another question: ask the same one, or begin without a cursor"));
    }
    place.try_into().map_err(|_| no_cursor())
}

fn purpose(question: &[&str]) -> [u8; PURPOSE] {
    let mut hash = Sha256::new();
    for word in question {
        hash.update((word.len() as u64).to_le_bytes());
        hash.update(word);
    }
    first(hash)
}

fn check(bytes: &[u8]) -> [u8; CHECK] {
    first(Sha256::new().chain_update(bytes))
}

fn first<const N: usize>(hash: Sha256) -> [u8; N] {
    hash.finalize().first_chunk().copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_is_read_by_its_own_question_only(place: [u8; 8], label: String, other: String) {
            let text = written(&["nodes", &label], place);
            prop_assert_eq!(read(&["nodes", &label], &text).unwrap(), place);
            prop_assert_eq!(read::<8>(&["nodes", &other], &text).is_ok(), label == other);
            prop_assert!(read::<9>(&["nodes", &label], &text).is_err());
        }

        #[test]
        fn what_was_changed_is_no_cursor(place: [u8; 8], at: prop::sample::Index, to in "[A-Za-z0-9_-]") {
            let text = written(&["q"], place);
            let at = at.index(text.len());
            let changed = format!("{}{to}{}", &text[..at], &text[at + 1..]);
            prop_assume!(changed != text);
            prop_assert!(read::<8>(&["q"], &changed).is_err());
        }

        #[test]
        fn any_text_is_a_cursor_or_an_error(text: String) {
            let _ = read::<8>(&["q"], &text);
        }
    }
}
