//! The names of one kind, both ways, and the ids that are free.

use crate::{
    error::{Error, Result},
    graph::LogIndex,
};
use rustc_hash::FxHashMap;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Ids up to so far beyond the others have their place among them. One that is farther away, because those between were
/// given up, is kept apart: what an id costs must not depend on how great it is.
const NEAR: usize = 1024;
/// So many free ids are left alone: a table that is filled and emptied all the time keeps its order.
const SPARED: usize = 1024;

/// A name that has an id.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub text: Arc<str>,
    /// The log index of the frame that defined it, if one has yet.
    pub defined: Option<LogIndex>,
    /// How many open transactions carry its definition. Not counted once it is defined.
    pub claims: u32,
    /// Whether a caller may know the id from a transaction that was given up.
    pub told: bool,
}

/// See the [module documentation](self).
#[derive(Debug, Default)]
pub(super) struct NameTable {
    by_name: FxHashMap<Arc<str>, u32>,
    /// By id: the first place stays empty, ids begin at 1.
    near: Vec<Option<Named>>,
    /// Ids after those.
    far: BTreeMap<u32, Named>,
    /// The ids within `near` that nobody has, and nobody outside may have kept.
    free: BTreeSet<u32>,
    /// No id up to this one is given out but those in `free`: somebody may have kept one whose name was given up.
    burnt: u32,
}

impl NameTable {
    /// The id of `name`.
    pub fn id(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// What has the id `id`.
    #[inline]
    pub fn get(&self, id: u32) -> Option<&Named> {
        match self.near.get(id as usize) {
            Some(named) => named.as_ref(),
            None => self.far.get(&id),
        }
    }

    /// As [`NameTable::get`], to change anything but the text.
    pub fn get_mut(&mut self, id: u32) -> Option<&mut Named> {
        match self.near.get_mut(id as usize) {
            Some(named) => named.as_mut(),
            None => self.far.get_mut(&id),
        }
    }

    /// An id that nobody has, nor may have kept: the one after all those, or the least one if many are free.
    pub fn next_id(&self) -> u32 {
        let least = self.free.first().filter(|_| self.free.len() > SPARED);
        least.copied().unwrap_or_else(|| {
            let mut next = (self.near.len().max(1) as u32).max(self.burnt.saturating_add(1));
            while self.far.contains_key(&next) {
                next = next.saturating_add(1);
            }
            next
        })
    }

    /// Gives `name`, which has none, an id that nobody has. Returns it.
    pub fn give(&mut self, name: &str) -> Result<u32> {
        let id = self.next_id();
        self.put(id, name)?;
        if id as usize >= self.near.len() {
            // The next one is not sought among those that are there already.
            self.burnt = self.burnt.max(id);
        }
        Ok(id)
    }

    /// Every id with its name, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Named)> {
        let near = self.near.iter().enumerate().filter_map(|(id, named)| Some((id as u32, named.as_ref()?)));
        near.chain(self.far.iter().map(|(id, named)| (*id, named)))
    }

    /// Gives `name` to `id`. Doing so again with the same pair changes nothing; a name or an id that stands for something
    /// else already is an error.
    pub fn put(&mut self, id: u32, name: &str) -> Result<&mut Named> {
        match (self.id(name), self.get(id)) {
            (Some(found), Some(_)) if found == id => {}
            (None, None) if id != 0 => self.insert(id, name.into()),
            _ => {
                let what = format_args!("name '{name}' with id {id} contradicts an earlier definition");
                return Err(Error::corrupt(what));
            }
        }
        self.get_mut(id).ok_or_else(|| Error::corrupt(format_args!("the name with id {id} was not kept")))
    }

    fn insert(&mut self, id: u32, text: Arc<str>) {
        // One that was told once stays so.
        let told = id <= self.burnt && !self.free.contains(&id);
        let named = Named { text: text.clone(), defined: None, claims: 0, told };
        self.by_name.insert(text, id);
        let at = id as usize;
        // Nor does `near` grow with ids that are burnt: it has a place for each name, and as many again.
        if at >= self.near.len() && (at > self.near.len() + NEAR || at > 2 * self.by_name.len() + 8 * NEAR) {
            self.far.insert(id, named);
            return;
        }
        if at >= self.near.len() {
            self.grow(at);
            self.near.push(Some(named));
            self.reach();
        } else {
            self.near[at] = Some(named);
            self.free.remove(&id);
        }
    }

    /// Makes `near` end before `at`.
    fn grow(&mut self, at: usize) {
        for id in self.near.len()..at {
            let named = self.far.remove(&(id as u32));
            if named.is_none() && id as u64 > u64::from(self.burnt) {
                self.free.insert(id as u32);
            }
            self.near.push(named);
        }
    }

    /// Takes in those that `near` has come close to.
    fn reach(&mut self) {
        while let Some(entry) = self.far.first_entry()
            && *entry.key() as usize == self.near.len()
        {
            let named = entry.remove();
            self.near.push(Some(named));
        }
    }

    /// Takes the name of `id` away. The id is free, unless somebody was told it.
    pub fn remove(&mut self, id: u32) {
        let told = self.get(id).is_some_and(|named| named.told);
        if told {
            self.burnt = self.burnt.max(id);
        } else if id == self.burnt {
            self.burnt -= 1;
        }
        let named = match self.near.get_mut(id as usize) {
            Some(named) => {
                let named = named.take();
                self.free.extend((named.is_some() && !told).then_some(id));
                named
            }
            None => self.far.remove(&id),
        };
        if let Some(named) = named {
            self.by_name.remove(&named.text);
        }
        while self.near.last().is_some_and(Option::is_none) {
            self.near.pop();
            self.free.remove(&(self.near.len() as u32));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Some ids near others, some far away.
    fn any_id() -> impl Strategy<Value = u32> {
        prop_oneof![1u32..12, 1020u32..1030, Just(5_000), Just(5_001), Just(u32::MAX - 1), Just(u32::MAX)]
    }

    proptest! {
        #[test]
        fn a_table_is_a_map_and_its_next_id_is_free_and_not_far_off(
            steps in prop::collection::vec((any_id(), 0u8..3), 0..60),
        ) {
            let (mut table, mut model) = (NameTable::default(), BTreeMap::new());
            for (id, what) in steps {
                match what {
                    0 => {
                        table.remove(id);
                        model.remove(&id);
                    }
                    1 => {
                        let id = table.next_id();
                        let name = format!("name {id}");
                        prop_assert!(table.put(id, &name).is_ok());
                        prop_assert!(model.insert(id, name).is_none(), "{} was not free", id);
                    }
                    _ => {
                        let name = format!("name {id}");
                        prop_assert!(table.put(id, &name).is_ok());
                        model.insert(id, name);
                    }
                }
                let read: BTreeMap<u32, String> = table.iter().map(|(id, n)| (id, n.text.to_string())).collect();
                prop_assert!(table.iter().is_sorted_by(|a, b| a.0 < b.0));
                prop_assert_eq!(&read, &model);
                prop_assert!(model.iter().all(|(id, name)| table.id(name) == Some(*id)));
                let next = table.next_id();
                prop_assert!(!model.contains_key(&next) && next as usize <= model.len() + SPARED + 1, "{}", next);
                prop_assert!(table.near.len() <= 2 * NEAR + 5_100, "{} places", table.near.len());
            }
        }
    }

    #[test]
    fn an_id_that_was_told_is_never_given_to_another_name_and_costs_no_place() {
        let mut table = NameTable::default();
        let mut given = std::collections::HashSet::new();
        for n in 0..100_000 {
            let id = table.give(&format!("name {n}")).unwrap();
            assert!(given.insert(id), "{id} was given twice");
            table.get_mut(id).unwrap().told = true;
            // Some are kept, most are given up a while later.
            if n % 100 != 0 {
                table.remove(id);
            }
        }
        assert!(table.near.len() <= 8 * NEAR + 2 * 1000 && table.free.is_empty(), "{}", table.near.len());
        // One that nobody was told is given again.
        let id = table.give("failed").unwrap();
        table.remove(id);
        assert_eq!(table.give("other").unwrap(), id);
        // Chosen by a caller, or by another node: it is told still when that is given up.
        table.put(2, "chosen").unwrap();
        table.remove(2);
        assert!(table.next_id() > id);
    }

    #[test]
    fn a_name_and_an_id_stand_for_one_thing() {
        let mut table = NameTable::default();
        table.put(1, "a").unwrap();
        table.put(1, "a").unwrap();
        for (id, name) in [(0, "zero"), (1, "b"), (2, "a"), (u32::MAX, "a")] {
            assert!(table.put(id, name).is_err(), "{id} {name}");
        }
    }
}
