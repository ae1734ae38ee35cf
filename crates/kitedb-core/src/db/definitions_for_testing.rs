//! The calls that change definitions of indexes, for tests of the format: nothing builds what they define, so that it would
//! never be ready. They are no part of the interface.

use super::{
    dyn_graph::sealed::ReadState,
    indexes::{IndexOn, IndexSpec},
    read::GraphRead,
    transaction::Transaction,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{EdgeTypeId, IndexId, IndexState, IndexTarget, LabelId, Mutation, PropKeyId},
};

/// The calls that change definitions of indexes, for tests of the format: no part of the interface.
pub trait DefineIndexes {
    /// Defines an index, or finds the one that is defined so already.
    fn define_index(&mut self, name: &str, spec: &IndexSpec) -> Result<()>;
    /// Says how far an index has come.
    fn set_index_state(&mut self, name: &str, state: IndexState) -> Result<()>;
    /// Drops an index.
    fn drop_index(&mut self, name: &str) -> Result<()>;
}

impl DefineIndexes for Transaction {
    fn define_index(&mut self, name: &str, spec: &IndexSpec) -> Result<()> {
        if name.is_empty() || name.len() > 4096 {
            let what = format_args!("a name of an index has 1 to 4096 bytes; this one has {}", name.len());
            return Err(Error::invalid(what));
        }
        if let Some(there) = self.indexes().into_iter().find(|index| index.name == name) {
            if there.spec == *spec {
                return Ok(());
            }
            let what = format_args!("index '{name}' is defined already, in another way: drop it, or take another name");
            return Err(Error::invalid(what));
        }
        let id = self.engine.ids.next_index();
        self.attempt(|tx| {
            let on = match &spec.on {
                IndexOn::Label(label) => IndexTarget::Label(tx.name::<LabelId>(label.as_str())?),
                IndexOn::EdgeType(ty) => IndexTarget::EdgeType(tx.name::<EdgeTypeId>(ty.as_str())?),
            };
            let property = tx.name::<PropKeyId>(spec.property.as_str())?;
            tx.apply(&Mutation::DefineIndex { id, on, property, unique: spec.unique, name })
        })
    }

    fn set_index_state(&mut self, name: &str, state: IndexState) -> Result<()> {
        let id = existing(self, name)?;
        self.attempt(|tx| tx.apply(&Mutation::SetIndexState { id, state }))
    }

    fn drop_index(&mut self, name: &str) -> Result<()> {
        let id = existing(self, name)?;
        self.attempt(|tx| tx.apply(&Mutation::DropIndex { id }))
    }
}

fn existing(tx: &Transaction, name: &str) -> Result<IndexId> {
    let found = tx.reading().indexes().named(name).map(|def| def.id);
    found.ok_or_else(|| Error::new(ErrorCode::InvalidArgument, format_args!("there is no index '{name}'")))
}
