//! Mutations, applied to a transaction's changes.

use super::{
    Overlay,
    faults::{no_node, no_vector},
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{MAX_NODE_ID, MAX_RANK, Mutation},
    state::reading::Reading,
};

impl Overlay {
    /// Applies one mutation over `base`, the state that the transaction reads (without this overlay). On error
    /// nothing has changed. Upholds I21: commits and replays go through it.
    pub fn apply(&mut self, base: &Reading<'_>, mutation: &Mutation<'_>) -> Result<()> {
        match *mutation {
            Mutation::DefineName { kind, id, name } => self.names.push((kind, id, name.into())),
            Mutation::DefineVector { key, dimension } => self.dimensions.push((key, dimension)),
            Mutation::CreateNode { id, key, labels, props } => {
                if id.0 == 0 || id.0 > MAX_NODE_ID {
                    return Err(
                        Error::invalid(format_args!("node id {id} is not between 1 and {MAX_NODE_ID}")).with_key(id)
                    );
                }
                if base.over(self).node_exists(id)? {
                    let what = format_args!("node {id} exists already");
                    return Err(Error::new(ErrorCode::NodeExists, what).with_key(id));
                }
                self.create_node(base, id, key, labels, props)?;
            }
            Mutation::DeleteNode { id } => self.delete_node(base, id)?,
            Mutation::SetNodeProp { id, key, value } => self.change_props(base, id, [(key, Some(value))])?,
            Mutation::RemoveNodeProp { id, key } => self.change_props(base, id, [(key, None)])?,
            Mutation::AddLabel { id, label } => self.change_label(base, id, label, true)?,
            Mutation::RemoveLabel { id, label } => self.change_label(base, id, label, false)?,
            Mutation::AddEdge { edge, props } => {
                if edge.rank > MAX_RANK {
                    return Err(Error::invalid(format_args!("rank {} is not between 0 and {MAX_RANK}", edge.rank)));
                }
                self.add_edge(base, edge, props, false)?;
            }
            Mutation::RemoveEdge { edge } => self.remove_edge(base, edge)?,
            Mutation::SetEdgeProp { edge, key, value } => self.change_edge_props(base, edge, [(key, Some(value))])?,
            Mutation::RemoveEdgeProp { edge, key } => self.change_edge_props(base, edge, [(key, None)])?,
            Mutation::SetVector { node, key, vector } => {
                if base.over(self).node(node)?.is_none() {
                    return Err(no_node(node));
                }
                self.put_vector(base, node, key, Some(vector.as_bytes().into()))?;
            }
            Mutation::RemoveVector { node, key } => {
                if base.over(self).vector(node, key)?.is_none() {
                    return Err(no_vector(&base.levels.names, node, key));
                }
                self.put_vector(base, node, key, None)?;
            }
            Mutation::DefineIndex { .. } | Mutation::SetIndexState { .. } | Mutation::DropIndex { .. } => {
                self.change_index(base, mutation)?;
            }
        }
        Ok(())
    }
}
