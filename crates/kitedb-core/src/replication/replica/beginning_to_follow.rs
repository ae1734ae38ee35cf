//! A primary that was fenced begins to follow. Once it is a replica it takes the lead back by force only; so it stays what it is
//! where nobody leads yet: the promotion that fenced it was not completed, and whoever began it follows this very node still.

use super::Replica;
use crate::{
    error::{Error, ErrorCode, Result},
    log::{Control, Moved},
    replication::source::{
        SourcePaths,
        upstream::{Asking, leads_nowhere},
        upstream_node::UpstreamNode,
    },
    shell::command,
};

impl Replica {
    /// Fails where this node is a primary that was fenced, would be a replica from the next pull on, and its source leads to nobody
    /// who leads, this node itself among them, while nothing tells that the promotion which fenced it was completed.
    pub(super) fn require_a_leader(&self) -> Result<()> {
        let (true, Some(paths)) = (self.engine.is_on_trial(), self.paths()) else { return Ok(()) };
        let asking = Asking::of(&self.engine, &self.control);
        if leads_nowhere(&self.source_env, paths.clone(), &asking).is_none() {
            return Ok(());
        }
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
            // Who took over leads; where the source does not follow that one yet, its status tells.
            _ => Ok(()),
        }
    }

    /// That the promotion `moved` is to be completed first, where it was begun, if that is at `paths`.
    fn not_taken_over(&self, paths: &SourcePaths, moved: Moved) -> String {
        let began = |control: &Control| control.is_replica() && control.promotion() == moved.by;
        let source = UpstreamNode::at(&self.source_env, paths, None).ok();
        let who = match source.is_some_and(|source| began(&source.control)) {
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
}
