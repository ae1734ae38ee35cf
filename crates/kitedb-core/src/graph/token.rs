//! What names a committed transaction: where it is in the log, and whose log that is.

use super::id::{Epoch, LogIndex, number};
use crate::error::{Error, Result};
use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

/// Tells the writer of an epoch from another one that has led an epoch of the same number: the first 32 bits of its id, as
/// 8 hexadecimal digits in text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriterTag(pub u32);

impl WriterTag {
    /// That of the writer with an id; `None`: the id is nobody's.
    #[inline]
    pub(crate) fn of(writer_id: &[u8; 16]) -> Option<Self> {
        let [a, b, c, d, ..] = *writer_id;
        (*writer_id != [0; 16]).then_some(Self(u32::from_be_bytes([a, b, c, d])))
    }
}

impl fmt::Display for WriterTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl FromStr for WriterTag {
    type Err = Error;

    /// Reads exactly 8 hexadecimal digits, of either case.
    fn from_str(text: &str) -> Result<Self> {
        let digits = text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let value = u32::from_str_radix(text, 16).ok().filter(|_| digits);
        value
            .map(Self)
            .ok_or_else(|| Error::invalid(format_args!("invalid tag '{text}': give 8 hexadecimal digits, or no tag")))
    }
}

/// What names a committed transaction: `epoch:log_index` in text, and `epoch:log_index.tag` in full; both are read.
///
/// An epoch's number alone does not tell whose epoch it is: after a forced promotion, or on a copy, two nodes may have led one
/// of the same number. The tag does. A token that a node gives has it; one that was read from the short text has not, and
/// counts for either.
///
/// Equality, order and hash are those of the place, epoch and then index, and leave the tag out: so a token is equal to what
/// is read from its short text, and of several tokens of one history the greatest is the latest. Whether two tokens can be of
/// one commit, [`Token::agrees_with`] says.
///
/// ```
/// # use kitedb_core::Token;
/// let token: Token = "2:17.9f3c21aa".parse()?;
/// assert_eq!((token.to_string(), token.full()), ("2:17".into(), "2:17.9f3c21aa".into()));
/// let (short, another): (Token, Token) = ("2:17".parse()?, "2:17.00c0ffee".parse()?);
/// assert!(token == short && token.agrees_with(short));
/// assert!(token == another && !token.agrees_with(another));
/// # Ok::<(), kitedb_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Token {
    /// The epoch in which it was committed.
    pub epoch: Epoch,
    /// Its place in the log.
    pub log_index: LogIndex,
    tag: Option<WriterTag>,
}

impl Token {
    /// That of the commit with an index, in an epoch of whatever writer.
    #[inline]
    pub const fn new(epoch: Epoch, log_index: LogIndex) -> Self {
        Self { epoch, log_index, tag: None }
    }

    /// The same with the tag of its epoch's writer, or without one.
    #[inline]
    #[must_use]
    pub fn with_tag(self, tag: impl Into<Option<WriterTag>>) -> Self {
        Self { tag: tag.into(), ..self }
    }

    /// The tag of its epoch's writer, if it has one.
    #[inline]
    pub fn tag(self) -> Option<WriterTag> {
        self.tag
    }

    /// The long text, `epoch:log_index.tag`, which tells histories apart; without a tag, the short one.
    pub fn full(self) -> String {
        match self.tag {
            Some(tag) => format!("{self}.{tag}"),
            None => self.to_string(),
        }
    }

    /// Whether both can be of one commit: they are of one place, and no tag says that their writers differ.
    #[inline]
    pub fn agrees_with(self, other: Self) -> bool {
        self == other && self.tag.zip(other.tag).is_none_or(|(own, others)| own == others)
    }

    /// What equality, order and hash look at.
    #[inline]
    fn place(self) -> (Epoch, LogIndex) {
        (self.epoch, self.log_index)
    }
}

impl PartialEq for Token {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Token {}

impl Ord for Token {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for Token {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Token {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.place().hash(state);
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.log_index)
    }
}

impl FromStr for Token {
    type Err = Error;

    /// Reads `epoch:log_index` or `epoch:log_index.tag`: each number one or more ASCII digits that fit 64 bits, the tag 8
    /// hexadecimal digits.
    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.split(':');
        let epoch = Epoch(number(parts.next().unwrap_or_default(), "epoch")?);
        let rest =
            parts.next().ok_or_else(|| Error::invalid(format_args!("invalid token '{text}' (log_index missing)")))?;
        let (index, tag) = rest.split_once('.').map_or((rest, None), |(index, tag)| (index, Some(tag)));
        let log_index = LogIndex(number(index, "log_index")?);
        let tag = tag.map(WriterTag::from_str).transpose()?;
        match parts.next() {
            None => Ok(Self { epoch, log_index, tag }),
            Some(_) => Err(Error::invalid(format_args!(
                "invalid token format '{text}': give epoch:log_index or epoch:log_index.tag"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    fn any_token() -> impl Strategy<Value = Token> {
        let part = || prop_oneof![0u64..3, any::<u64>(), Just(u64::MAX)];
        let tag = proptest::option::of(prop_oneof![0u32..2, any::<u32>(), Just(u32::MAX)]);
        (part(), part(), tag)
            .prop_map(|(epoch, index, tag)| Token::new(Epoch(epoch), LogIndex(index)).with_tag(tag.map(WriterTag)))
    }

    proptest! {
        #[test]
        fn both_texts_are_read_back(token in any_token()) {
            let (short, full): (Token, Token) = (token.to_string().parse().unwrap(), token.full().parse().unwrap());
            prop_assert_eq!((short, short.tag()), (token, None));
            prop_assert_eq!((full, full.tag()), (token, token.tag()));
            prop_assert_eq!(token.full().to_uppercase().parse::<Token>().unwrap().tag(), token.tag());
        }

        /// Against what they are by their definition: the tuple of both numbers.
        #[test]
        fn equality_order_and_hash_are_of_the_place_alone(a in any_token(), b in any_token()) {
            let place = |token: Token| (token.epoch.0, token.log_index.0);
            prop_assert_eq!(a.cmp(&b), place(a).cmp(&place(b)));
            prop_assert_eq!(a == b, place(a) == place(b));
            let hash = |token| BuildHasherDefault::<DefaultHasher>::default().hash_one(token);
            prop_assert!(a != b || hash(a) == hash(b));
            let differ = matches!((a.tag(), b.tag()), (Some(own), Some(others)) if own != others);
            prop_assert_eq!(a.agrees_with(b), place(a) == place(b) && !differ);
            prop_assert_eq!(a.agrees_with(b), b.agrees_with(a));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "[0-9a-f:.]{0,28}|\\PC{0,20}") {
            if let Ok(token) = text.parse::<Token>() {
                prop_assert_eq!(text.contains('.'), token.tag().is_some());
            }
        }
    }

    #[test]
    fn tokens_read_back_what_they_print_and_refuse_the_rest() {
        let token: Token = "3:0042".parse().unwrap();
        assert_eq!((token.to_string(), token.full()), ("3:42".into(), "3:42".into()));
        for (bad, phrase) in [
            ("", "invalid epoch"),
            ("3", "(log_index missing)"),
            ("3:", "invalid log_index"),
            ("+3:1", "invalid epoch"),
            ("3: 1", "invalid log_index"),
            ("1:2:3", "invalid token format"),
            ("1:18446744073709551616", "overflow"),
            ("1:2.", "invalid tag ''"),
            ("1:2.9f3c21a", "invalid tag"),
            ("1:2.9f3c21aab", "invalid tag"),
            ("1:2.+f3c21aa", "invalid tag"),
            ("1:2.9f3c21ag", "invalid tag"),
            ("1:2.9f3c21aa.", "invalid tag"),
            ("1:2.9f3c21aä", "invalid tag"),
            ("1:.9f3c21aa", "invalid log_index"),
            ("1.9f3c21aa:2", "invalid epoch"),
            ("1:2.9f3c21aa:3", "invalid token format"),
        ] {
            let error = bad.parse::<Token>().unwrap_err().to_string();
            assert!(error.contains(phrase), "{bad}: {error}");
        }
    }

    #[test]
    fn a_tag_is_what_the_text_of_its_writers_id_begins_with() {
        let id = [0x9f, 0x3c, 0x21, 0xaa, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
        assert_eq!(WriterTag::of(&id).unwrap().to_string(), "9f3c21aa");
        assert_eq!(WriterTag::of(&[0; 16]), None);
        // A writer whose id begins with zeros is one all the same.
        assert_eq!(WriterTag::of(&[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Some(WriterTag(0)));
    }
}
