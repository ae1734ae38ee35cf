//! A primary that was fenced begins to follow. Once it is a replica it takes the lead back by force only; so it stays what it is
//! where nobody leads yet: the promotion that fenced it was not completed, and whoever began it follows this very node still.

use super::Replica;
use crate::{
    error::{Error, ErrorCode, Result},
    log::Moved,
    replication::{
        begun_elsewhere::{has_begun, who_has_begun},
        source::{
            SourcePaths,
            source_fault::SourceFault,
            upstream::{Asking, leads_nowhere},
            upstream_node::UpstreamNode,
        },
    },
    shell::command,
};
use std::path::{Path, PathBuf};

impl Replica {
    /// Fails where this node is a primary that was fenced, would be a replica from the next pull on, and its source leads to nobody
    /// who leads, this node itself among them, while nothing tells that the promotion which fenced it was completed.
    pub(super) fn require_a_leader(&self) -> Result<()> {
        let (true, Some(paths)) = (self.engine.is_on_trial(), self.paths()) else { return Ok(()) };
        let asking = Asking::of(&self.engine, &self.control);
        let Some(fault) = leads_nowhere(&self.source_env, paths.clone(), &asking) else { return Ok(()) };
        match self.control.fence()?.moved() {
            Some(_) if self.control.fence_is_assumed() => {
                let lead = command("primary promote", &self.engine.path, "--force");
                let why = self.engine.fence_is_assumed(&lead, "primary_promote_to_next_epoch");
                Err(why.context(format_args!("nobody leads at {}, and nothing was changed", paths.db.display())))
            }
            Some(moved) if moved.ended.is_none() => {
                let what = self.not_taken_over(&paths, moved);
                let error = Error::new(ErrorCode::StalePrimary, format_args!("stale primary: {what}"));
                Err(error.with_epoch(moved.epoch).with_path(&self.engine.path))
            }
            // Whoever is to lead by that promotion follows this node still.
            Some(moved) if matches!(fault, SourceFault::Cycle { .. }) => match self.began(&paths, moved) {
                Some(began) => {
                    let what = self.nobody_leads_there(&paths, moved, &began);
                    Err(Error::new(ErrorCode::StalePrimary, format_args!("stale primary: {what}"))
                        .with_epoch(moved.epoch))
                }
                None => Ok(()),
            },
            // Who took over leads; where another one took over from that one since, its status tells.
            _ => Ok(()),
        }
    }

    /// That the promotion `moved` is to be completed first, where it was begun, if that is at `paths`.
    fn not_taken_over(&self, paths: &SourcePaths, moved: Moved) -> String {
        let source = UpstreamNode::at(&self.source_env, paths, None).ok();
        let who = match source.is_some_and(|source| has_begun(&source.control, moved.by)) {
            true => command("replica promote", &paths.db, "").to_string(),
            false => "promote the replica that began it".to_owned(),
        };
        format!(
            "{own} was fenced by promotion {by:032x}, which was begun and not completed, and nobody leads at {source}: complete it \
             ({who}), and follow then; or take the lead back ({lead}). Nothing was changed",
            own = self.engine.path.display(),
            by = u128::from_be_bytes(moved.by),
            source = paths.db.display(),
            lead = command("primary promote", &self.engine.path, "")
        )
    }

    /// The replica that began the promotion `moved`, and does not lead by it: the one at `paths`, or one that is registered here.
    fn began(&self, paths: &SourcePaths, moved: Moved) -> Option<PathBuf> {
        let source = UpstreamNode::at(&self.source_env, paths, None).ok();
        let is_source = source.is_some_and(|source| has_begun(&source.control, moved.by));
        is_source.then(|| paths.db.clone()).or_else(|| who_has_begun(&self.source_env, &self.control, moved))
    }

    /// That the node at `paths` follows this one, which the promotion `moved` ended, and that `began` completes that.
    fn nobody_leads_there(&self, paths: &SourcePaths, moved: Moved, began: &Path) -> String {
        format!(
            "{own} was fenced by promotion {by:032x}, to epoch {epoch}, and {source} leads to nobody who leads, but back to {own}: \
             it was begun at {began} and not completed, and nobody leads: complete it ({complete}), and follow that one then. \
             Nothing was changed",
            own = self.engine.path.display(),
            by = u128::from_be_bytes(moved.by),
            epoch = moved.epoch,
            source = paths.db.display(),
            complete = command("replica promote", began, ""),
            began = began.display(),
        )
    }
}
