//! What is noted of nodes by their ids: of few in a map, of many in pages, so that it costs memory where nodes are, and no search.

use super::budget::Budget;
use crate::{error::Result, graph::NodeId};
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

/// So many nodes are in the map at most, and so many it has room for at first.
const FEW: usize = 1024;
const AT_FIRST: usize = 100;
/// Nodes of one page.
const PAGE: usize = 512;
/// Pages up to this one are found by their number, and those of greater ids by a search.
const NEAR: u64 = 1 << 22;

/// A `T` for each node; [`Default`] is none. `T` is small and plain.
#[derive(Debug)]
pub(super) struct NodeTable<T> {
    /// Until there are pages.
    few: HashMap<u64, T, FxBuildHasher>,
    is_paged: bool,
    near: Vec<Option<Box<[T; PAGE]>>>,
    far: HashMap<u64, Box<[T; PAGE]>, FxBuildHasher>,
}

impl<T> Default for NodeTable<T> {
    fn default() -> Self {
        Self { few: HashMap::default(), is_paged: false, near: Vec::new(), far: HashMap::default() }
    }
}

impl<T: Copy + Default> NodeTable<T> {
    /// What is noted of a node.
    #[inline]
    pub fn get(&self, node: NodeId) -> T {
        if !self.is_paged {
            return self.few.get(&node.0).copied().unwrap_or_default();
        }
        let (page, at) = place(node);
        let found = match self.near.get(page as usize) {
            Some(found) => found.as_ref(),
            None if page < NEAR => None,
            None => self.far.get(&page),
        };
        found.map_or_else(T::default, |found| found[at])
    }

    /// Where it is noted.
    #[inline]
    pub fn entry(&mut self, node: NodeId, budget: &mut Budget) -> Result<&mut T> {
        if !self.is_paged {
            if self.few.len() < FEW {
                if self.few.is_empty() {
                    self.few.reserve(AT_FIRST);
                }
                budget.hold(size_of::<(u64, T)>())?;
                return Ok(self.few.entry(node.0).or_default());
            }
            self.turn_to_pages(budget)?;
        }
        self.page_entry(node, budget)
    }

    #[cold]
    fn turn_to_pages(&mut self, budget: &mut Budget) -> Result<()> {
        self.is_paged = true;
        for (id, noted) in std::mem::take(&mut self.few) {
            *self.page_entry(NodeId(id), budget)? = noted;
        }
        Ok(())
    }

    #[inline]
    fn page_entry(&mut self, node: NodeId, budget: &mut Budget) -> Result<&mut T> {
        let (page, at) = place(node);
        if page >= NEAR {
            return self.far_entry(page, at, budget);
        }
        let page = page as usize;
        if page >= self.near.len() {
            // Twice as many, so that a growing id does not copy them again and again.
            let more = (page + 1).max(self.near.len() * 2).min(NEAR as usize) - self.near.len();
            budget.hold(more * size_of::<usize>())?;
            self.near.resize_with(self.near.len() + more, || None);
        }
        let found = &mut self.near[page];
        if found.is_none() {
            budget.hold(size_of::<[T; PAGE]>())?;
        }
        Ok(&mut found.get_or_insert_with(|| Box::new([T::default(); PAGE]))[at])
    }

    #[cold]
    fn far_entry(&mut self, page: u64, at: usize, budget: &mut Budget) -> Result<&mut T> {
        if !self.far.contains_key(&page) {
            budget.hold(size_of::<[T; PAGE]>() + 4 * size_of::<usize>())?;
        }
        Ok(&mut self.far.entry(page).or_insert_with(|| Box::new([T::default(); PAGE]))[at])
    }
}

#[inline]
fn place(node: NodeId) -> (u64, usize) {
    (node.0 / PAGE as u64, (node.0 % PAGE as u64) as usize)
}
