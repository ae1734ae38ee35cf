//! Names of labels, edge types and property keys: ids from 1, one space for each kind.

use crate::error::{Error, Result};
use rustc_hash::FxHashMap;
use std::sync::Arc;

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

/// The names of one kind, both ways.
#[derive(Debug, Default, Clone)]
pub struct NameTable {
    by_name: FxHashMap<Arc<str>, u32>,
    by_id: Vec<Option<Arc<str>>>,
}

impl NameTable {
    /// The id of `name`.
    pub fn id(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// The name of `id`.
    pub fn name(&self, id: u32) -> Option<&Arc<str>> {
        self.by_id.get(id as usize)?.as_ref()
    }

    /// The id after the greatest one in use.
    pub fn next_id(&self) -> u32 {
        self.by_id.len().max(1) as u32
    }

    /// Every id with its name, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Arc<str>)> {
        self.by_id.iter().enumerate().filter_map(|(id, name)| Some((id as u32, name.as_ref()?)))
    }

    /// Gives `name` to `id`. Doing so again with the same pair changes nothing and returns `false`; a name or
    /// an id that stands for something else already is an error.
    pub fn define(&mut self, id: u32, name: &str) -> Result<bool> {
        match (self.id(name), self.name(id)) {
            (Some(found), _) if found == id => return Ok(false),
            (None, None) => {}
            _ => {
                return Err(Error::corrupt(format_args!(
                    "name '{name}' with id {id} contradicts an earlier definition"
                )));
            }
        }
        // Ids are given out one by one; a jump means damage, and must not become a huge allocation.
        if id == 0 || id as usize > self.by_id.len() + 1_000_000 {
            return Err(Error::corrupt(format_args!("name '{name}' has the impossible id {id}")));
        }
        if self.by_id.len() <= id as usize {
            self.by_id.resize(id as usize + 1, None);
        }
        let name: Arc<str> = name.into();
        self.by_id[id as usize] = Some(name.clone());
        self.by_name.insert(name, id);
        Ok(true)
    }
}
