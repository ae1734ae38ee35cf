//! Which nodes got which label in a delta: for each label a chain on which a node stands once, however often it is
//! written, loses the label and gets it again. Written by one thread, under the commit lock; read by any.

use super::slots::{SlotTable, hash_edge};
use crate::graph::{LabelId, NodeId, NodeRecord};
use std::sync::atomic::{AtomicU32, Ordering};

#[derive(Debug)]
struct Link {
    node: NodeId,
    label: LabelId,
    /// The link before it, plus one.
    next: u32,
}

/// See the [module documentation](self).
#[derive(Debug, Default)]
pub struct Labelled {
    /// The newest link of each label, plus one.
    heads: boxcar::Vec<AtomicU32>,
    links: boxcar::Vec<Link>,
    /// The links of nodes that got a label by a later record than their first in this delta. For the first one, which is
    /// mostly the only one, the record itself tells.
    later: SlotTable,
}

impl Labelled {
    /// Takes note of the labels of a node's first record in the delta.
    pub fn note_first(&self, node: NodeId, record: &NodeRecord<'_>) {
        for label in record.labels() {
            self.link(node, label);
        }
    }

    /// Takes note of the labels of a later one, which has others than the one before it. `earlier` are the first one and
    /// the one before it; `None`: it has no labels.
    #[cold]
    pub fn note_later(&self, node: NodeId, record: &NodeRecord<'_>, earlier: [Option<NodeRecord<'_>>; 2]) {
        // All ascend.
        let [mut first, mut newest] = earlier.map(|r| r.into_iter().flat_map(|r| r.labels()).peekable());
        for label in record.labels() {
            let [in_first, in_newest] = [&mut first, &mut newest].map(|old| {
                while old.next_if(|old| *old < label).is_some() {}
                old.peek() == Some(&label)
            });
            if !in_first && !in_newest {
                self.link_once(node, label);
            }
        }
    }

    fn link_once(&self, node: NodeId, label: LabelId) {
        let hash = hash_edge(node.0, label.0, 0);
        let is = |link: u32| self.links.get(link as usize).is_some_and(|l| l.node == node && l.label == label);
        if self.later.find(hash, is).is_none() {
            let link = self.link(node, label);
            self.later.insert(hash, link);
        }
    }

    fn link(&self, node: NodeId, label: LabelId) -> u32 {
        while self.heads.count() <= label.0 as usize {
            self.heads.push(AtomicU32::new(0));
        }
        let head = &self.heads[label.0 as usize];
        let link = self.links.push(Link { node, label, next: head.load(Ordering::Relaxed) }) as u32;
        head.store(link + 1, Ordering::Release);
        link
    }

    /// The newest link of a label, plus one; 0 = none.
    pub fn head(&self, label: LabelId) -> u32 {
        self.heads.get(label.0 as usize).map_or(0, |head| head.load(Ordering::Acquire))
    }

    /// The nodes that got the label at some time, from the link `head` back to the link `until`, which is left out.
    pub fn chain(&self, head: u32, until: u32) -> impl Iterator<Item = NodeId> {
        let mut next = head;
        std::iter::from_fn(move || {
            if next <= until {
                return None;
            }
            let link = self.links.get(next as usize - 1)?;
            next = link.next;
            Some(link.node)
        })
    }

    /// Every node with every label that it got at some time, in no order.
    pub fn all(&self) -> impl Iterator<Item = (LabelId, NodeId)> {
        self.links.iter().map(|(_, link)| (link.label, link.node))
    }

    /// Bytes of memory, roughly.
    pub fn bytes(&self) -> u64 {
        (self.links.count() * size_of::<Link>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{NodeRecordBuf, PropList};
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    proptest! {
        /// Against a set of pairs: each is linked once, and none is missed.
        #[test]
        fn a_node_stands_once_under_each_label_that_it_had(
            writes in prop::collection::vec((1u64..5, prop::collection::btree_set(1u32..7, 0..4), any::<bool>()), 0..80),
        ) {
            let labelled = Labelled::default();
            let mut records: BTreeMap<u64, Vec<Vec<u8>>> = BTreeMap::new();
            let mut had = BTreeSet::new();
            for (node, labels, dead) in writes {
                let (mut record, labels) = (NodeRecordBuf::default(), Vec::from_iter(labels.into_iter().map(LabelId)));
                let node = NodeId(node);
                let record = match dead {
                    true => record.dead(node, None).to_vec(),
                    false => record.live(node, None, &labels, PropList::from_bytes(&[])).to_vec(),
                };
                let earlier = records.entry(node.0).or_default();
                let new = NodeRecord::parse(&record).unwrap();
                match &earlier[..] {
                    [] => labelled.note_first(node, &new),
                    [first, ..] => {
                        let newest = earlier.last().unwrap_or(first);
                        labelled.note_later(node, &new, [first, newest].map(|bytes| NodeRecord::parse(bytes).ok()));
                    }
                }
                if !dead {
                    had.extend(labels.iter().map(|label| (*label, node)));
                }
                earlier.push(record);
            }
            let all: Vec<_> = labelled.all().collect();
            prop_assert_eq!(all.len(), had.len());
            prop_assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), had.clone());
            for label in (1..7).map(LabelId) {
                let chain: BTreeSet<_> = labelled.chain(labelled.head(label), 0).map(|node| (label, node)).collect();
                prop_assert_eq!(chain, had.iter().filter(|(l, _)| *l == label).copied().collect::<BTreeSet<_>>());
            }
        }
    }
}
