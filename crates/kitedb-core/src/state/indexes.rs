//! The definitions of indexes as of each commit. They are few and change seldom: each change makes another set, which a
//! delta keeps beside the commits that it holds.

use crate::{
    graph::{IndexDef, IndexId, LogIndex},
    lock::RwLock,
};
use std::{collections::BTreeMap, sync::Arc};

/// The definitions of one state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexSet(BTreeMap<IndexId, IndexDef>);

impl IndexSet {
    /// These definitions.
    pub fn new(definitions: impl IntoIterator<Item = IndexDef>) -> Self {
        Self(definitions.into_iter().map(|def| (def.id, def)).collect())
    }

    /// What has that id.
    pub fn get(&self, id: IndexId) -> Option<&IndexDef> {
        self.0.get(&id)
    }

    /// What has that name.
    pub fn named(&self, name: &str) -> Option<&IndexDef> {
        self.iter().find(|def| &*def.name == name)
    }

    /// Every definition, ids ascending.
    pub fn iter(&self) -> impl Iterator<Item = &IndexDef> {
        self.0.values()
    }

    /// Puts a definition in the place of what had its id; `None` takes that away.
    pub fn put(&mut self, id: IndexId, def: Option<IndexDef>) {
        match def {
            Some(def) => drop(self.0.insert(id, def)),
            None => drop(self.0.remove(&id)),
        }
    }
}

/// The sets of the commits that a delta holds.
#[derive(Debug, Default)]
pub struct Indexes {
    /// Before the first of them.
    start: Arc<IndexSet>,
    /// From these commits on, ascending.
    later: RwLock<Vec<(u64, Arc<IndexSet>)>>,
}

impl Indexes {
    /// What there is before the first commit.
    pub fn new(start: Arc<IndexSet>) -> Self {
        Self { start, later: RwLock::default() }
    }

    /// The definitions as of the commit with log index `at`.
    pub fn at(&self, at: LogIndex) -> Arc<IndexSet> {
        let later = self.later.read();
        later.iter().rev().find(|(from, _)| *from <= at.0).map_or(&self.start, |(_, set)| set).clone()
    }

    /// What there is from the commit with log index `version` on. Only under the commit lock, in the order of commits.
    pub fn put(&self, version: u64, set: IndexSet) {
        self.later.write().push((version, Arc::new(set)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{IndexState, IndexTarget, LabelId, PropKeyId};

    #[test]
    fn each_commit_has_the_definitions_of_its_own_time() {
        let def = |id: u32| IndexDef {
            id: IndexId(id),
            name: format!("i{id}").into(),
            on: IndexTarget::Label(LabelId(1)),
            property: PropKeyId(1),
            unique: false,
            state: IndexState::Building,
        };
        let indexes = Indexes::new(Arc::new(IndexSet::new([def(1)])));
        indexes.put(5, IndexSet::new([def(1), def(2)]));
        indexes.put(9, IndexSet::new([def(2)]));
        let ids = |at| indexes.at(LogIndex(at)).iter().map(|def| def.id.0).collect::<Vec<_>>();
        assert_eq!([ids(4), ids(5), ids(8), ids(9), ids(99)], [vec![1], vec![1, 2], vec![1, 2], vec![2], vec![2]]);
        assert_eq!(indexes.at(LogIndex(6)).named("i2").map(|def| def.id), Some(IndexId(2)));
        assert_eq!(indexes.at(LogIndex(4)).named("i2"), None);
    }
}
