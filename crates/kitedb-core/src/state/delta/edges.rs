//! The edges that a delta touched: those of a node in a chain for each direction, the parallel ones of two nodes in another.

use super::{memory::Memory, nodes::Nodes};
use crate::{
    graph::{Direction, EdgeKey},
    state::{
        arena::WordArena,
        elements::{EdgeSlot, Touched, WORDS},
        figures::Tally,
        parallels::{Pair, Parallels},
        slots::{SlotTable, hash_edge_key},
        versions::Arena,
    },
};
use std::sync::{Arc, atomic::Ordering};

/// An edge's properties as read: `None` if the edge does not exist, empty if it has none.
pub type EdgeProps<'a> = Option<&'a [u8]>;

/// An edge's properties; most edges have none, and then nothing is allocated.
pub type Props = Option<Arc<[u8]>>;

/// A touched edge, its properties with whether it was visible below the delta (`None` if it was touched only later), and the
/// number, plus one, of the next one of the same node; 0 = none.
pub type TouchedEdge<'a> = (EdgeKey, Option<(EdgeProps<'a>, bool)>, u32);

/// See the [module documentation](self).
#[derive(Debug)]
pub struct Edges {
    slots: WordArena<WORDS>,
    table: SlotTable,
    parallels: Parallels,
    /// Later versions: most edges have none.
    states: Arena<Option<Props>>,
    props: boxcar::Vec<Arc<[u8]>>,
}

impl Default for Edges {
    fn default() -> Self {
        Self {
            slots: WordArena::default(),
            table: SlotTable::default(),
            parallels: Parallels::default(),
            states: Arena::new(),
            props: boxcar::Vec::new(),
        }
    }
}

impl Edges {
    /// How many were touched.
    #[inline]
    pub fn count(&self) -> u32 {
        self.slots.len()
    }

    /// How many versions there are of them.
    pub fn versions(&self) -> usize {
        self.states.count() + self.slots.len() as usize
    }

    /// Whether one of another rank than 0 was touched.
    #[inline]
    pub fn has_ranks(&self) -> bool {
        !self.parallels.is_empty()
    }

    /// The one that was touched as number `number`.
    #[inline]
    pub fn numbered(&self, number: u32) -> Option<EdgeSlot<'_>> {
        self.slots.get(number).map(EdgeSlot)
    }

    /// The number of the one that may be this edge: its table alone is looked at.
    #[inline]
    pub fn peek(&self, edge: EdgeKey) -> Option<u32> {
        self.table.peek(hash_edge_key(edge))
    }

    #[inline]
    fn slot(&self, edge: EdgeKey) -> Option<EdgeSlot<'_>> {
        let mut found = None;
        self.table.find(hash_edge_key(edge), |slot| {
            found = self.slots.get(slot).map(EdgeSlot).filter(|s| s.edge() == edge);
            found.is_some()
        })?;
        found
    }

    /// The edge as of `at`: `None` if it was not touched by then.
    #[inline]
    pub fn at(&self, edge: EdgeKey, at: u64) -> Option<EdgeProps<'_>> {
        self.slot_at(self.slot(edge)?, at)
    }

    #[inline]
    fn slot_at<'a>(&'a self, slot: EdgeSlot<'a>, at: u64) -> Option<EdgeProps<'a>> {
        if let Some(later) = slot.later().at(&self.states, at) {
            return Some(later.as_ref().map(|props| props.as_deref().unwrap_or_default()));
        }
        if slot.version() > at {
            return None;
        }
        let props = || match (slot.props() as usize).checked_sub(1).and_then(|number| self.props.get(number)) {
            Some(props) => &props[..],
            None => &[],
        };
        Some(slot.exists().then(props))
    }

    /// The edge of a chain that has number `number` minus one, as of `at`.
    #[inline]
    pub fn of_chain(&self, number: u32, direction: Direction, at: u64) -> Option<TouchedEdge<'_>> {
        let slot = EdgeSlot(self.slots.get(number.checked_sub(1)?)?);
        let state = self.slot_at(slot, at).map(|props| (props, slot.below()));
        Some((slot.edge(), state, slot.next(direction)))
    }

    /// Those of other ranks than 0 with the ends and type of `edge` as of `at`, in no order: those that were not touched by
    /// then are not among them.
    pub fn parallels_of(&self, edge: EdgeKey, at: u64) -> impl Iterator<Item = (EdgeKey, EdgeProps<'_>)> {
        let mut next = self.parallels.find(edge).map_or(0, Pair::first);
        std::iter::from_fn(move || {
            let slot = EdgeSlot(self.slots.get(next.checked_sub(1)?)?);
            next = slot.next_parallel();
            Some(slot)
        })
        .filter_map(move |slot| Some((slot.edge(), self.slot_at(slot, at)?)))
    }

    /// Every one as of `at`, in no order; the flag says whether it was there below.
    pub fn changed(&self, at: u64) -> impl Iterator<Item = (EdgeKey, EdgeProps<'_>, bool)> {
        self.slots
            .iter()
            .map(EdgeSlot)
            .filter_map(move |slot| Some((slot.edge(), self.slot_at(slot, at)?, slot.below())))
    }

    /// Whether the edge was written after `snapshot`.
    pub fn written_after(&self, edge: EdgeKey, snapshot: u64) -> bool {
        self.slot(edge)
            .is_some_and(|s| s.later().newest(&self.states).map_or(s.version(), |(version, _)| version) > snapshot)
    }

    /// Writes an edge: `props` as it is now (`None`: it is not there), `existed` before this commit. An edge that is
    /// added relies on both its ends. Only under the commit lock.
    pub fn put(
        &self,
        (memory, tally, nodes): (&Memory, &Tally, &Nodes),
        edge: EdgeKey,
        version: u64,
        props: Option<Props>,
        existed: bool,
    ) {
        memory.grow_by(props.iter().flatten().map(|props| props.len() + 32).sum());
        let exists = props.is_some();
        let ends = [(edge.src, Direction::Out), (edge.dst, Direction::In)]
            .map(|(id, direction)| (nodes.touch(memory, id), direction));
        let below = match self.slot(edge) {
            Some(slot) => {
                slot.later().push(&self.states, version, props);
                slot.below()
            }
            None => {
                let next = ends.map(|(end, direction)| end.first_edge(direction).load(Ordering::Relaxed) as u32);
                let props = props.flatten().map_or(0, |props| self.props.push(props) as u32 + 1);
                let pair = (edge.rank != 0).then(|| self.parallels.pair_of(edge));
                let parallel = pair.map_or(0, |pair| pair.first());
                let touched = Touched { next, parallel, exists, below: existed, props };
                let (number, _) = self.slots.push(EdgeSlot::fresh(edge, version, touched));
                self.table.insert(hash_edge_key(edge), number);
                memory.grow_by(80);
                if let Some(pair) = pair {
                    pair.set_first(number + 1);
                    memory.grow_by(16);
                }
                for (end, direction) in ends {
                    end.first_edge(direction).store(u64::from(number) + 1, Ordering::Release);
                }
                existed
            }
        };
        tally.edge(below, existed, exists);
        for (end, direction) in ends {
            if exists && !existed {
                end.guard().store(version, Ordering::Release);
            }
            if !exists && below {
                end.set_hides(direction);
            }
        }
    }
}
