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

/// The name that no property has: the query language reads a node's key under it.
pub const RESERVED_PROPERTY: &str = "_key";

/// How long a name is at most, in bytes.
const MAX_NAME: usize = 4096;

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

    /// Whether nothing of this kind may be called `name`, because the query language uses it.
    pub fn reserves(self, name: &str) -> bool {
        self == Self::PropKey && name == RESERVED_PROPERTY
    }

    /// Checks that something of this kind may be called `name`: the one place where names are refused.
    pub(crate) fn require(self, name: &str) -> Result<()> {
        let noun = self.noun();
        if name.is_empty() || name.len() > MAX_NAME {
            let what = format_args!("the name of each {noun} has 1 to {MAX_NAME} bytes; this one has {}", name.len());
            return Err(Error::invalid(what).with_key(name));
        }
        if self.reserves(name) {
            return Err(Error::invalid(format_args!(
                "no property can be called `{name}`: under that name queries read the key of a node; give the property \
                 another name, and a node its key when you create it"
            ))
            .with_key(name));
        }
        Ok(())
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
