//! Kinds of names: labels, edge types and property keys have ids from 1, one space for each kind.

use crate::error::{Error, Result};

/// What a name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum NameKind {
    /// A label.
    Label = 1,
    /// An edge type.
    EdgeType = 2,
    /// A property key.
    PropKey = 3,
}

impl NameKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Label, Self::EdgeType, Self::PropKey];

    /// Reads a stored kind.
    pub fn from_byte(byte: u8) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| *kind as u8 == byte)
            .ok_or_else(|| Error::corrupt(format_args!("unknown kind of name {byte}")))
    }

    /// How messages call it.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::EdgeType => "edge type",
            Self::PropKey => "property key",
        }
    }
}
