//! The nodes that the runs list under a label. The newest run that lists a node there decides.

use super::levels::Levels;
use crate::{
    error::Result,
    graph::{LabelId, NodeId},
    store::{EntryKind, Members},
};
use std::{cmp::Reverse, collections::BinaryHeap};

/// See the [module documentation](self). Ascending.
#[derive(Debug)]
pub struct StoredMembers<'a> {
    /// Newest run first.
    lists: Vec<(Members<'a>, usize)>,
    /// The next node of each list, the least first and of those that of the newest run.
    heads: BinaryHeap<Reverse<(NodeId, usize)>>,
}

impl<'a> StoredMembers<'a> {
    pub(super) fn new(levels: &'a Levels, label: LabelId, from: NodeId) -> Result<Self> {
        let mut found = Self { lists: Vec::new(), heads: BinaryHeap::new() };
        for run in levels.runs.iter().rev() {
            let members = run.label_members(label)?;
            let at = members.seek(from);
            if let Some((node, _)) = members.get(at) {
                found.heads.push(Reverse((node, found.lists.len())));
                found.lists.push((members, at));
            }
        }
        Ok(found)
    }

    /// Takes the least head, and says whether its run adds it.
    fn pop(&mut self) -> Option<(NodeId, bool)> {
        let Reverse((node, list)) = self.heads.pop()?;
        let (members, at) = self.lists.get_mut(list)?;
        let kind = members.get(*at).map(|(_, kind)| kind);
        *at += 1;
        if let Some((next, _)) = members.get(*at) {
            self.heads.push(Reverse((next, list)));
        }
        Some((node, kind == Some(EntryKind::Add)))
    }
}

impl Iterator for StoredMembers<'_> {
    type Item = NodeId;

    fn next(&mut self) -> Option<NodeId> {
        loop {
            let (node, added) = self.pop()?;
            while self.heads.peek().is_some_and(|Reverse((next, _))| *next == node) {
                self.pop();
            }
            if added {
                return Some(node);
            }
        }
    }
}
