//! What a transaction does to edges and their properties.

use super::{
    Overlay, adjacency,
    changes::EdgeChange,
    faults::{edge_exists, no_edge, no_node},
    parallels,
};
use crate::{
    error::Result,
    graph::{Digest, EdgeKey, PropKeyId, PropList, PropListBuf},
    state::reading::Reading,
};

impl Overlay {
    /// Adds an edge between nodes that are there, and notes whether it existed; `new`: it has a rank that nothing had before,
    /// so that it is not looked for. Upholds I18 and I22.
    pub fn add_edge(&mut self, base: &Reading<'_>, edge: EdgeKey, props: PropList<'_>, new: bool) -> Result<()> {
        for end in [edge.src, edge.dst] {
            if !base.over(self).node_exists(end)? {
                return Err(no_node(end));
            }
        }
        let props = (!props.is_empty()).then(|| props.as_bytes().into());
        let touched = if new { None } else { self.find_edge(edge) };
        let there = match touched {
            Some(at) => self.edges.items()[at].props.is_some(),
            None => !new && base.edge_exists(edge)?,
        };
        if there {
            return Err(edge_exists(&base.levels.names, edge));
        }
        match touched {
            Some(at) => self.edges.item_mut(at).props = Some(props),
            None => {
                self.push_edge(EdgeChange { edge, existed: false, before: Digest::default(), props: Some(props) });
            }
        }
        self.greatest_rank = self.greatest_rank.max(edge.rank);
        self.count_edge(edge, 1);
        Ok(())
    }

    pub(super) fn count_edge(&mut self, edge: EdgeKey, change: i64) {
        self.totals[1] += change;
        *self.type_counts.entry(edge.ty.0).or_default() += change;
    }

    fn push_edge(&mut self, change: EdgeChange) -> usize {
        let edge = change.edge;
        let at = self.edges.push(change);
        if let Some(adjacency) = self.adjacency.get_mut() {
            adjacency::link(adjacency, edge, at as u32);
        }
        self.ranked |= edge.rank != 0;
        if let Some(index) = self.parallels.get_mut() {
            parallels::link(index, edge, at as u32);
        }
        at
    }

    /// The position of an edge that is there, taking note of it first if need be.
    fn present_edge(&mut self, base: &Reading<'_>, edge: EdgeKey) -> Result<usize> {
        if let Some(at) = self.find_edge(edge) {
            let present = self.edges.items()[at].props.is_some();
            return if present { Ok(at) } else { Err(no_edge(&base.levels.names, edge)) };
        }
        let props = base.edge(edge)?.ok_or_else(|| no_edge(&base.levels.names, edge))?.as_bytes();
        let before = Digest::of_edge(edge, props);
        let props = Some((!props.is_empty()).then(|| props.into()));
        Ok(self.push_edge(EdgeChange { edge, existed: true, before, props }))
    }

    pub(super) fn remove_edge(&mut self, base: &Reading<'_>, edge: EdgeKey) -> Result<()> {
        let at = self.present_edge(base, edge)?;
        let change = self.edges.item_mut(at);
        change.props = None;
        self.cancelled |= !change.existed;
        self.count_edge(edge, -1);
        Ok(())
    }

    /// Puts encoded values under property keys of an edge; `None` removes one.
    pub fn change_edge_props<'v>(
        &mut self,
        base: &Reading<'_>,
        edge: EdgeKey,
        changes: impl IntoIterator<Item = (PropKeyId, Option<&'v [u8]>)>,
    ) -> Result<()> {
        let at = self.present_edge(base, edge)?;
        let held = self.edges.items()[at].props.as_ref().and_then(Option::as_deref).unwrap_or_default();
        let mut props = PropListBuf::from_list(PropList::from_bytes(held));
        for (key, value) in changes {
            props.replace(key, value)?;
        }
        let bytes = props.as_list().as_bytes();
        self.edges.item_mut(at).props = Some((!bytes.is_empty()).then(|| bytes.into()));
        Ok(())
    }
}
