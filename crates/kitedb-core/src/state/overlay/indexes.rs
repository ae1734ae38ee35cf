//! What a transaction changes of the definitions of indexes.

use super::{Overlay, changes::IndexChange, faults::conflict};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Digest, IndexDef, IndexId, IndexState, Mutation},
    state::{indexes::IndexSet, reading::Reading},
};
use std::sync::Arc;

impl Overlay {
    /// The definitions as the transaction left them, over those of the state that it reads.
    pub fn indexes_over(&self, base: Arc<IndexSet>) -> Arc<IndexSet> {
        if self.indexes.is_empty() {
            return base;
        }
        let mut set = (*base).clone();
        for (id, change) in &self.indexes {
            set.put(*id, change.after.clone());
        }
        Arc::new(set)
    }

    /// Applies a mutation of a definition. What is so already is not changed.
    pub(super) fn change_index(&mut self, base: &Reading<'_>, mutation: &Mutation<'_>) -> Result<()> {
        let now = base.over(self).indexes();
        let (id, after) = match *mutation {
            Mutation::DefineIndex { id, on, property, unique, name } => {
                let def = IndexDef { id, name: name.into(), on, property, unique, state: IndexState::Building };
                let there = now.get(id).or_else(|| now.named(name));
                match there.map(|there| IndexDef { state: IndexState::Building, ..there.clone() }) {
                    Some(there) if there == def => return Ok(()),
                    Some(there) => {
                        let what = format_args!(
                            "index '{name}' with id {id} contradicts index '{}' with id {}, which there is",
                            there.name, there.id
                        );
                        return Err(Error::new(ErrorCode::InvalidArgument, what).with_key(name));
                    }
                    None => (id, Some(def)),
                }
            }
            Mutation::SetIndexState { id, state } => {
                let def = now.get(id).ok_or_else(|| no_index(id))?;
                (id, Some(IndexDef { state, ..def.clone() }))
            }
            Mutation::DropIndex { id } => (id, None),
            _ => return Ok(()),
        };
        let before = now.get(id).cloned();
        if before == after {
            // Nothing that validation could see: so the frame may not have it either. Another transaction may take away what
            // this one found to be so.
            self.cancelled = true;
            return Ok(());
        }
        let change = self.indexes.entry(id).or_insert(IndexChange { before, after: None });
        self.cancelled |= after.is_none() && change.before.is_none();
        change.after = after;
        Ok(())
    }

    /// What the changes of definitions add to the digest.
    pub(super) fn index_digest(&self) -> Digest {
        let mut sum = Digest::default();
        for IndexChange { before, after } in self.indexes.values() {
            sum -= before.as_ref().map(Digest::of_index).unwrap_or_default();
            sum += after.as_ref().map(Digest::of_index).unwrap_or_default();
        }
        sum
    }

    /// Fails with a conflict if a definition that the transaction changes, or its name, is another one in `now` than in
    /// `before`, the state that it read.
    pub fn validate_indexes(&self, before: &Reading<'_>, now: &Reading<'_>) -> Result<()> {
        if self.indexes.is_empty() {
            return Ok(());
        }
        let (before, now) = (before.indexes(), now.indexes());
        for (id, change) in &self.indexes {
            let name = change.after.as_ref().map(|after| &*after.name);
            let changed =
                before.get(*id) != now.get(*id) || name.is_some_and(|name| before.named(name) != now.named(name));
            if changed {
                let named = change.before.as_ref().or(change.after.as_ref());
                return match named.map(|def| &*def.name) {
                    Some(name) => conflict(format_args!("index '{name}' with id {id}, or one of its name,"), name),
                    None => conflict(format_args!("index {id}"), id),
                };
            }
        }
        Ok(())
    }

    /// Appends what the changes of definitions come to: what is dropped first, because its name may be another one's now.
    pub(super) fn encode_indexes(&self, out: &mut Vec<u8>) {
        for (&id, _) in self.indexes.iter().filter(|(_, change)| change.after.is_none()) {
            Mutation::DropIndex { id }.encode(out);
        }
        for (&id, IndexChange { before, after }) in &self.indexes {
            let Some(IndexDef { name, on, property, unique, state, .. }) = after else { continue };
            if before.is_none() {
                let (on, property, unique) = (*on, *property, *unique);
                Mutation::DefineIndex { id, on, property, unique, name }.encode(out);
            }
            let was = before.as_ref().map_or(IndexState::Building, |before| before.state);
            if was != *state {
                Mutation::SetIndexState { id, state: *state }.encode(out);
            }
        }
    }
}

fn no_index(id: IndexId) -> Error {
    Error::new(ErrorCode::InvalidArgument, format_args!("no index has the id {id}")).with_key(id)
}
