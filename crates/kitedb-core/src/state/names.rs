//! The names in use, shared by all transactions. A name gets its id when a transaction first asks for it, but
//! exists only from the frame on that defines it: until then every transaction that uses it carries the
//! definition, so that whichever commits first defines it for all.
//!
//! A name that no frame has defined and no transaction carries is *idle*: those that carried it were given up. It keeps
//! its id for a while, so that who tries again does not use up ids; only the last [`IDLE`] of a kind do. An id that a caller
//! may have kept is never given to another name while the database is open: whoever comes with it is refused, and never
//! writes under a name that he does not mean.

use super::name_table::{NameTable, Named};
use crate::{
    error::{Error, ErrorCode, Result, bounded},
    graph::{LogIndex, NameKind, PropKeyId},
    lock::RwLock,
};
use rustc_hash::FxHashMap;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// How many idle names of a kind keep their ids.
const IDLE: usize = 4096;

/// The greatest id that a caller may choose for a name, or that is given out: what is counted by id takes memory by the
/// greatest one.
const GREATEST_CHOSEN: u32 = 1 << 24;

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
    /// Ids that became idle, oldest first. Some may be in use again, or be there twice.
    idle: [VecDeque<u32>; 3],
    /// Fixed vector lengths, and the log index that fixed each.
    dimensions: FxHashMap<u32, (u32, u64)>,
    /// Whether frames of another node alone give out ids.
    follows: bool,
}

fn at(kind: NameKind) -> usize {
    kind as usize - 1
}

impl Inner {
    fn get(&self, kind: NameKind, id: u32) -> Option<&Named> {
        self.tables[at(kind)].get(id)
    }

    /// The id of a name, and whether a frame has defined it.
    fn find(&self, kind: NameKind, name: &str) -> Option<(u32, bool)> {
        let id = self.tables[at(kind)].id(name)?;
        Some((id, self.get(kind, id)?.defined.is_some()))
    }

    /// Takes note that a transaction carries the definition of `id`, if it needs one. Returns whether it does.
    fn claim(&mut self, kind: NameKind, id: u32) -> Option<bool> {
        let named = self.tables[at(kind)].get_mut(id)?;
        let claims = named.defined.is_none();
        named.claims += u32::from(claims);
        Some(claims)
    }

    /// Takes note that a transaction does not carry the definition of `id` any more, which it may have `told` to its caller.
    fn release(&mut self, kind: NameKind, id: u32, told: bool) {
        let (table, idle) = (&mut self.tables[at(kind)], &mut self.idle[at(kind)]);
        let Some(named) = table.get_mut(id).filter(|named| named.defined.is_none()) else { return };
        named.claims = named.claims.saturating_sub(1);
        named.told |= told;
        if named.claims > 0 {
            return;
        }
        if !named.told {
            table.remove(id);
            return;
        }
        idle.push_back(id);
        if idle.len() > IDLE
            && let Some(oldest) = idle.pop_front()
            && table.get(oldest).is_some_and(|named| named.defined.is_none() && named.claims == 0)
        {
            table.remove(oldest);
        }
    }
}

impl Names {
    /// The id of `name`, whether or not a frame has defined it, and whether one has.
    pub fn find(&self, kind: NameKind, name: &str) -> Option<(u32, bool)> {
        self.inner.read().find(kind, name)
    }

    /// The id of `name`, given out now if need be; the flag says whether the caller has to carry its definition, which
    /// it says in `claims`.
    pub fn claim(self: &Arc<Self>, kind: NameKind, name: &str, claims: &mut Claims) -> Result<(u32, bool)> {
        kind.require(name)?;
        let mut inner = self.inner.write();
        let id = match inner.find(kind, name) {
            Some((id, _)) => id,
            None if inner.follows => {
                let (noun, shown) = (kind.noun(), bounded(name));
                let what = format_args!(
                    "stale primary: this node takes over from its source, which gives out names until then: the {noun} \
                     '{shown}' is new"
                );
                return Err(Error::new(ErrorCode::StalePrimary, what).with_key(shown));
            }
            None => {
                let table = &mut inner.tables[at(kind)];
                if table.next_id() > GREATEST_CHOSEN {
                    let what = format_args!(
                        "no id is left for the {} '{}': {GREATEST_CHOSEN} were given out since this database was opened, to \
                         transactions that were given up, too; close it everywhere and open it again",
                        kind.noun(),
                        bounded(name)
                    );
                    return Err(Error::new(ErrorCode::Poisoned, what).with_key(bounded(name)));
                }
                table.give(name)?
            }
        };
        let claimed = inner.claim(kind, id).unwrap_or_default();
        drop(inner);
        if claimed {
            claims.add(self, kind, id);
        }
        Ok((id, claimed))
    }

    /// As [`Names::claim`], for a name that is to have `id`. An error if it has another one, or `id` is another name's.
    pub fn claim_as(self: &Arc<Self>, kind: NameKind, id: u32, name: &str, claims: &mut Claims) -> Result<bool> {
        kind.require(name)?;
        let noun = kind.noun();
        if !(1..=GREATEST_CHOSEN).contains(&id) {
            let what = format_args!("the id {id} of the {noun} '{name}' is not between 1 and {GREATEST_CHOSEN}");
            return Err(Error::invalid(what).with_key(name).with_found(id));
        }
        let mut inner = self.inner.write();
        let table = &mut inner.tables[at(kind)];
        match (table.id(name), table.get(id)) {
            (Some(found), _) if found == id => {}
            (Some(found), _) => {
                let what = format_args!("the {noun} '{name}' has the id {found} already, it cannot have {id}");
                return Err(Error::invalid(what).with_key(name).with_expected(id).with_found(found));
            }
            (None, Some(named)) => {
                let what = format_args!("the id {id} belongs to the {noun} '{}' already, not to '{name}'", named.text);
                return Err(Error::invalid(what).with_key(name).with_found(&named.text));
            }
            (None, None) => drop(table.put(id, name)?),
        }
        let claimed = inner.claim(kind, id).unwrap_or_default();
        drop(inner);
        if claimed {
            claims.add(self, kind, id);
        }
        Ok(claimed)
    }

    /// Fails unless a frame has defined the name of `id`. What only another transaction defines does not count: it may never
    /// commit, and its id means something to that one alone.
    pub fn require_defined(&self, kind: NameKind, id: u32) -> Result<()> {
        if self.inner.read().get(kind, id).is_some_and(|named| named.defined.is_some()) {
            return Ok(());
        }
        let noun = kind.noun();
        let what = format_args!(
            "no {noun} has the id {id}: it was never given out, or to a transaction that has not committed; ask for the id by \
             its name in this transaction"
        );
        Err(Error::new(ErrorCode::UnknownName, what).with_key(id))
    }

    /// Leaves it to the frames of another node to give out ids, or ends that. Names that nobody carries, and that no frame
    /// has defined, are forgotten, so that none of them contradicts a frame. Returns whether that is all of these: if not, nothing
    /// is left to the frames.
    pub fn follow(&self, follows: bool) -> bool {
        let mut inner = self.inner.write();
        inner.follows = follows;
        for kind in NameKind::ALL {
            let table = &mut inner.tables[at(kind)];
            let idle = table.iter().filter(|(_, named)| named.defined.is_none() && named.claims == 0);
            idle.map(|(id, _)| id).collect::<Vec<_>>().into_iter().for_each(|id| table.remove(id));
            if follows && table.iter().any(|(_, named)| named.defined.is_none()) {
                inner.follows = false;
                return false;
            }
        }
        true
    }

    fn release(&self, claims: impl Iterator<Item = (NameKind, u32)>, told: bool) {
        let mut inner = self.inner.write();
        claims.for_each(|(kind, id)| inner.release(kind, id, told));
    }

    /// The id of `name`, if it is defined as of `index`.
    pub fn id(&self, kind: NameKind, name: &str, index: LogIndex) -> Option<u32> {
        let inner = self.inner.read();
        let id = inner.tables[at(kind)].id(name)?;
        inner.get(kind, id)?.defined.filter(|&d| d <= index)?;
        Some(id)
    }

    /// The name of `id`, if it is defined as of `index`.
    pub fn name(&self, kind: NameKind, id: u32, index: LogIndex) -> Option<Arc<str>> {
        let inner = self.inner.read();
        inner.get(kind, id).filter(|named| named.defined.is_some_and(|d| d <= index)).map(|named| named.text.clone())
    }

    /// The name of `id`, whether or not a frame has defined it.
    pub fn any_name(&self, kind: NameKind, id: u32) -> Option<Arc<str>> {
        self.inner.read().get(kind, id).map(|named| named.text.clone())
    }

    /// Every name of a kind that is defined as of `index`, by id.
    pub fn list(&self, kind: NameKind, index: LogIndex) -> Vec<(u32, Arc<str>)> {
        let inner = self.inner.read();
        let defined = |named: &Named| named.defined.is_some_and(|d| d <= index);
        let table = &inner.tables[at(kind)];
        table.iter().filter(|(_, named)| defined(named)).map(|(id, named)| (id, named.text.clone())).collect()
    }

    /// The greatest id of a kind whose name a frame has defined; 0 if there is none.
    pub fn greatest_id(&self, kind: NameKind) -> u32 {
        let inner = self.inner.read();
        inner.tables[at(kind)].iter().filter(|(_, named)| named.defined.is_some()).last().map_or(0, |(id, _)| id)
    }

    /// How many names of a kind frames have defined. Takes no lock.
    pub fn count(&self, kind: NameKind) -> u64 {
        self.counts[at(kind)].load(Ordering::Relaxed)
    }

    /// Takes note that the frame with log index `index` defines a name. Returns whether it is the first one to.
    pub fn define(&self, kind: NameKind, id: u32, name: &str, index: LogIndex) -> Result<bool> {
        if kind.reserves(name) {
            return Err(Error::corrupt(format_args!("a {} is called `{name}`, which is reserved", kind.noun())));
        }
        let mut inner = self.inner.write();
        let named = inner.tables[at(kind)].put(id, name)?;
        if named.defined.is_some() {
            return Ok(false);
        }
        named.defined = Some(index);
        self.counts[at(kind)].fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }

    /// The fixed length of vectors under `key`.
    pub fn dimension(&self, key: PropKeyId) -> Option<u32> {
        self.inner.read().dimensions.get(&key.0).map(|&(dimension, _)| dimension)
    }

    /// As [`Names::dimension`], with the log index of the frame that fixed it.
    pub fn dimension_since(&self, key: PropKeyId) -> Option<(u32, LogIndex)> {
        self.inner.read().dimensions.get(&key.0).map(|&(dimension, index)| (dimension, LogIndex(index)))
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
            for (id, named) in inner.tables[at(kind)].iter() {
                let fixed = inner.dimensions.get(&id).filter(|_| kind == NameKind::PropKey);
                let fixed = fixed.filter(|(_, index)| *index <= through.0);
                if new(named.defined.map(|index| index.0)) || new(fixed.map(|f| f.1)) {
                    out.push((kind, id, fixed.map_or(0, |f| f.0), named.text.clone()));
                }
            }
        }
        out
    }
}

/// The names whose definitions a transaction carries. Dropped, it carries them no more.
#[derive(Debug, Default)]
pub struct Claims {
    /// Known from the first claim on: most transactions have none.
    names: Option<Arc<Names>>,
    held: Vec<(NameKind, u32)>,
}

impl Claims {
    fn add(&mut self, names: &Arc<Names>, kind: NameKind, id: u32) {
        self.names.get_or_insert_with(|| names.clone());
        self.held.push((kind, id));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Gives up all but the first `len`, of an operation that failed: nobody knows their ids.
    pub fn truncate(&mut self, len: usize) {
        self.give_up(len, false);
    }

    fn give_up(&mut self, len: usize, told: bool) {
        if let Some(names) = self.names.as_ref().filter(|_| self.held.len() > len) {
            // The last one first: ids that are given back in that order leave no hole.
            names.release(self.held.drain(len..).rev(), told);
        }
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        self.give_up(0, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(names: &Arc<Names>, name: &str) -> (u32, bool, Claims) {
        let mut claims = Claims::default();
        let (id, carries) = names.claim(NameKind::Label, name, &mut claims).unwrap();
        (id, carries, claims)
    }

    #[test]
    fn where_frames_of_another_node_give_out_ids_none_is_kept_for_who_gave_up() {
        let names = Arc::new(Names::default());
        let (id, _, carried) = claim(&names, "carried");
        let (gone, _, given_up) = claim(&names, "given up");
        drop(given_up);
        assert!(!names.follow(true), "one is carried");
        assert!(names.claim(NameKind::Label, "another", &mut Claims::default()).is_ok());
        drop(carried);
        assert!(names.follow(true));
        names.define(NameKind::Label, id, "theirs", LogIndex(1)).unwrap();
        names.define(NameKind::Label, gone, "theirs, too", LogIndex(2)).unwrap();
        let refused = names.claim(NameKind::Label, "ours", &mut Claims::default()).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::StalePrimary);
        assert!(names.claim(NameKind::Label, "theirs", &mut Claims::default()).is_ok());
        names.follow(false);
        assert!(names.claim(NameKind::Label, "ours", &mut Claims::default()).is_ok());
    }

    #[test]
    fn a_name_keeps_its_id_as_long_as_somebody_carries_it_or_a_frame_defined_it() {
        let names = Arc::new(Names::default());
        let (carried, _, first) = claim(&names, "carried");
        let (defined, ..) = claim(&names, "defined");
        names.define(NameKind::Label, defined, "defined", LogIndex(1)).unwrap();
        assert_eq!(claim(&names, "carried").0, carried);
        for n in 0..3 * IDLE {
            assert!(claim(&names, &format!("given up {n}")).1);
        }
        assert_eq!(names.find(NameKind::Label, "carried"), Some((carried, false)));
        assert_eq!(names.find(NameKind::Label, "defined"), Some((defined, true)));
        assert!(!claim(&names, "defined").1);
        drop(first);
        for n in 0..=IDLE {
            claim(&names, &format!("later {n}"));
        }
        assert_eq!(names.find(NameKind::Label, "carried"), None);
        let greatest = names.inner.read().tables[0].iter().last().unwrap().0;
        assert_eq!(greatest as usize, 4 * IDLE + 3, "each that was told is another one");
        let idle = &names.inner.read().idle[0];
        assert!(idle.len() <= IDLE);
    }

    #[test]
    fn a_name_whose_id_nobody_knows_is_forgotten_at_once() {
        let names = Arc::new(Names::default());
        let (_, _, mut unknown) = claim(&names, "unknown");
        let (id, _, mut known) = claim(&names, "known");
        let (same, _, other) = claim(&names, "known");
        assert_eq!(id, same);
        drop(other);
        unknown.truncate(0);
        known.truncate(0);
        assert_eq!(names.find(NameKind::Label, "unknown"), None);
        assert_eq!(names.find(NameKind::Label, "known"), Some((id, false)));
    }
}
