//! The names in use, shared by all transactions. A name gets its id when a transaction first asks for it, but
//! exists only from the frame on that defines it: until then every transaction that uses it carries the
//! definition, so that whichever commits first defines it for all.

use crate::{
    error::{Error, ErrorCode, Result},
    graph::{LogIndex, NameKind, NameTable, PropKeyId},
};
use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// See the [module documentation](self).
#[derive(Debug, Default)]
pub struct Names {
    inner: RwLock<Inner>,
    /// How many names of each kind frames have defined: for who must not wait.
    counts: [AtomicU64; 3],
}

#[derive(Debug, Default)]
struct Inner {
    tables: [NameTable; 3],
    /// The log index plus one that defined each name, by kind and id; 0 = no frame has yet.
    defined: [Vec<u64>; 3],
    /// Fixed vector lengths, and the log index that fixed each.
    dimensions: FxHashMap<u32, (u32, u64)>,
}

fn at(kind: NameKind) -> usize {
    kind as usize - 1
}

impl Inner {
    fn defined_at(&self, kind: NameKind, id: u32) -> Option<u64> {
        self.defined[at(kind)].get(id as usize).and_then(|&d| d.checked_sub(1))
    }
}

impl Names {
    /// The id of `name`, given out now if need be; the flag says whether a frame has defined it.
    pub fn id_or_create(&self, kind: NameKind, name: &str) -> Result<(u32, bool)> {
        if name.is_empty() || name.len() > 4096 {
            let noun = kind.noun();
            return Err(Error::invalid(format_args!(
                "a name of a {noun} has 1 to 4096 bytes; this one has {}",
                name.len()
            )));
        }
        let found = |inner: &Inner| {
            let id = inner.tables[at(kind)].id(name)?;
            Some((id, inner.defined_at(kind, id).is_some()))
        };
        if let Some(found) = found(&self.inner.read()) {
            return Ok(found);
        }
        let mut inner = self.inner.write();
        if let Some(found) = found(&inner) {
            return Ok(found);
        }
        let id = inner.tables[at(kind)].next_id();
        inner.tables[at(kind)].define(id, name)?;
        Ok((id, false))
    }

    /// The id of `name`, if it is defined as of `index`.
    pub fn id(&self, kind: NameKind, name: &str, index: LogIndex) -> Option<u32> {
        let inner = self.inner.read();
        let id = inner.tables[at(kind)].id(name)?;
        inner.defined_at(kind, id).filter(|&d| d <= index.0)?;
        Some(id)
    }

    /// The id of `name`, whether or not a frame has defined it.
    pub fn any_id(&self, kind: NameKind, name: &str) -> Option<u32> {
        self.inner.read().tables[at(kind)].id(name)
    }

    /// The name of `id`, whether or not a frame has defined it.
    pub fn name(&self, kind: NameKind, id: u32) -> Option<Arc<str>> {
        self.inner.read().tables[at(kind)].name(id).cloned()
    }

    /// Whether a frame has defined `id`; an error if no name has that id.
    pub fn is_defined(&self, kind: NameKind, id: u32) -> Result<bool> {
        let inner = self.inner.read();
        if inner.tables[at(kind)].name(id).is_none() {
            let noun = kind.noun();
            return Err(Error::new(
                ErrorCode::UnknownName,
                format_args!("no {noun} has the id {id}: define its name first"),
            ));
        }
        Ok(inner.defined_at(kind, id).is_some())
    }

    /// Every name of a kind that is defined as of `index`, by id.
    pub fn list(&self, kind: NameKind, index: LogIndex) -> Vec<(u32, Arc<str>)> {
        let inner = self.inner.read();
        let defined = |id| inner.defined_at(kind, id).is_some_and(|d| d <= index.0);
        inner.tables[at(kind)].iter().filter(|(id, _)| defined(*id)).map(|(id, name)| (id, name.clone())).collect()
    }

    /// How many names of a kind frames have defined. Takes no lock.
    pub fn count(&self, kind: NameKind) -> u64 {
        self.counts[at(kind)].load(Ordering::Relaxed)
    }

    /// Takes note that the frame with log index `index` defines a name. Returns whether it is the first one to.
    pub fn define(&self, kind: NameKind, id: u32, name: &str, index: LogIndex) -> Result<bool> {
        let mut inner = self.inner.write();
        inner.tables[at(kind)].define(id, name)?;
        if inner.defined_at(kind, id).is_some() {
            return Ok(false);
        }
        let defined = &mut inner.defined[at(kind)];
        if defined.len() <= id as usize {
            defined.resize(id as usize + 1, 0);
        }
        defined[id as usize] = index.0 + 1;
        self.counts[at(kind)].fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }

    /// The fixed length of vectors under `key`.
    pub fn dimension(&self, key: PropKeyId) -> Option<u32> {
        self.inner.read().dimensions.get(&key.0).map(|&(dimension, _)| dimension)
    }

    /// Takes note that the frame with log index `index` fixes the length of vectors under `key`.
    pub fn define_dimension(&self, key: PropKeyId, dimension: u32, index: LogIndex) -> Result<()> {
        let mut inner = self.inner.write();
        let &mut (found, _) = inner.dimensions.entry(key.0).or_insert((dimension, index.0));
        if found == dimension {
            return Ok(());
        }
        Err(Error::corrupt(format_args!("vectors of property key {key} have {found} floats; a frame says {dimension}")))
    }

    /// What frames in `(after, through]` defined: kind, id, vector length or 0, name.
    pub fn defined_in(&self, after: LogIndex, through: LogIndex) -> Vec<(NameKind, u32, u32, Arc<str>)> {
        let inner = self.inner.read();
        let new = |index: Option<u64>| index.is_some_and(|i| i > after.0 && i <= through.0);
        let mut out = Vec::new();
        for kind in NameKind::ALL {
            for (id, name) in inner.tables[at(kind)].iter() {
                let fixed = inner.dimensions.get(&id).filter(|_| kind == NameKind::PropKey);
                let fixed = fixed.filter(|(_, index)| *index <= through.0);
                if new(inner.defined_at(kind, id)) || new(fixed.map(|f| f.1)) {
                    out.push((kind, id, fixed.map_or(0, |f| f.0), name.clone()));
                }
            }
        }
        out
    }
}
