//! A promotion that fixed where a primary's epoch ends, and was cut short before it led: nobody leads, and only the replica that
//! began it can complete it, since nobody takes back what ended.

use crate::{
    error::{Error, ErrorCode, Result},
    io::{Env, OpenMode},
    log::{Control, WriterId},
    replication::{
        registry::Registry,
        source::{SourcePaths, remembered::remembered_in, upstream_node::UpstreamNode},
    },
    shell::command,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Whether the replica whose control file is `control` has begun the promotion `by`, and does not lead by it.
pub(in crate::replication) fn has_begun(control: &Control, by: WriterId) -> bool {
    control.is_replica() && control.promotion() == by
}

/// The file of the replica that began the promotion `by`, and does not lead by it, among those that are registered in the log whose
/// control file is `control`. `None`: none of those that can be looked at from here.
pub(in crate::replication) fn who_has_begun(env: &Env, control: &Arc<Control>, by: WriterId) -> Option<PathBuf> {
    let registry = Registry::look(env, control.dir(), control.clone()).ok()??;
    let files = registry.registrations().into_iter().filter_map(|found| found.labels.path.map(PathBuf::from));
    files.into_iter().find(|db| {
        let paths = SourcePaths { db: db.clone(), sidecar: None };
        UpstreamNode::at(env, &paths, None).is_ok_and(|node| has_begun(&node.control, by))
    })
}

/// Fails where the replica whose file is `path` and whose sidecar is `dir` is to lead by a promotion that ended its source's epoch:
/// once it is no replica, nobody completes that.
pub(crate) fn require_no_lead_begun(env: &Env, path: &Path, dir: &Path) -> Result<()> {
    // One that cannot be read tells of no promotion, and nothing could complete it.
    let Ok(Some(control)) = Control::open(&*env.disk, dir, OpenMode::Read) else { return Ok(()) };
    let promotion = control.promotion();
    if promotion == [0; 16] || !control.is_replica() {
        return Ok(());
    }
    let known = remembered_in(&*env.disk, dir, path, env);
    let source = known.and_then(|known| {
        let source = UpstreamNode::at(env, &known.paths, known.file_id).ok()?;
        let moved = source.fence.moved().filter(|moved| moved.by == promotion)?;
        moved.ended.map(|_| known.paths.db)
    });
    let Some(source) = source else { return Ok(()) };
    let what = format_args!(
        "{shown} has begun to take over from {source}, which was fenced for that and ended its epoch, and nobody else completes it: \
         complete it ({promote}); or give the lead up by name ({detach}, replication_overwrite), and then only {lead} leads on",
        shown = path.display(),
        source = source.display(),
        promote = command("replica promote", path, ""),
        detach = command("role", path, "detach --overwrite"),
        lead = command("primary promote", &source, "--force"),
    );
    Err(Error::new(ErrorCode::WouldOverwrite, what).with_path(path))
}
