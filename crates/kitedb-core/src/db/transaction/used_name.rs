//! What names a name that a transaction uses.

use crate::{graph::NameKind, state::Hashed};

/// A name that a transaction uses, so that its commit leaves it defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UsedName {
    pub kind: NameKind,
    pub id: u32,
}

impl Hashed for UsedName {
    fn hash(&self) -> u64 {
        (u64::from(self.id) << 2 | self.kind as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}
