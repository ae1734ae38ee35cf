//! A promotion that fixed where a primary's epoch ends, and was cut short before it led: nobody leads, and only the replica that
//! began it can complete it, since nobody takes back what ended.

use crate::{
    db::default_sidecar,
    error::{Error, ErrorCode, Result},
    graph::LogIndex,
    io::{Env, OpenMode},
    log::{Control, LogIdentity, Moved, WriterId, writers},
    replication::{
        node_file::place_named,
        registry::Registry,
        rivals::{Rival, rivals_of_replica},
        source::{SourcePaths, remembered::remembered_in, upstream_node::UpstreamNode},
    },
    shell::command,
    store::{LogKind, Part, Store},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Whether the replica whose control file is `control` has begun the promotion `by`, and does not lead by it.
pub(in crate::replication) fn has_begun(control: &Control, by: WriterId) -> bool {
    control.is_replica() && control.promotion() == by
}

/// The file of the replica that began the promotion `moved`, and does not lead by it, among those that are registered in the log whose
/// control file is `control`. `None`: none of those that can be looked at from here.
pub(in crate::replication) fn who_has_begun(env: &Env, control: &Arc<Control>, moved: Moved) -> Option<PathBuf> {
    let registry = Registry::look(env, control.dir(), control.clone()).ok()??;
    let files = registry.registrations().into_iter().filter_map(|found| found.labels.path.map(PathBuf::from));
    files.into_iter().find(|db| {
        let paths = SourcePaths { db: db.clone(), sidecar: None };
        let by_control = UpstreamNode::at(env, &paths, None).is_ok_and(|node| has_begun(&node.control, moved.by));
        by_control || has_begun_by_its_log_alone(env, db, moved)
    })
}

/// Whether the replica at `db` lost the control file that knew of the promotion `moved`, and its log tells of that.
fn has_begun_by_its_log_alone(env: &Env, db: &Path, moved: Moved) -> bool {
    let path = place_named(env, db);
    let dir = default_sidecar(&path);
    !matches!(Control::open(&*env.disk, &dir, OpenMode::Read), Ok(Some(_))) && log_has_begun(env, &path, &dir, moved)
}

/// Whether the log in `dir` of the replica at `path` ends with the segment, without a frame, that the promotion `moved` made for its
/// epoch: it makes that before it says at the source where the epoch before ends, and under its own id.
fn log_has_begun(env: &Env, path: &Path, dir: &Path, moved: Moved) -> bool {
    let (Ok(peek), Some(ended)) = (Store::peek(env, path), moved.ended) else { return false };
    let link = peek.log;
    // Its header says so once it led.
    if link.kind != LogKind::Sidecar || !matches!(link.part, Part::Follows(_)) {
        return false;
    }
    let holds = link.clean_tail.map_or(LogIndex(0), |(last, _)| last);
    let all = writers(env, dir, LogIdentity { log_id: link.id, file_id: peek.file_id }).unwrap_or_default();
    all.last().is_some_and(|(_, by, first)| *by == moved.by && first.0 == ended.0 + 1 && holds <= ended)
}

/// After a repair of the replica at `path`, whose log is in `dir`: has it go on with the promotion that ended its source's epoch, where
/// the control file that knew of that was lost, and its log and its source tell of it. Not where another node is seen to lead. Returns
/// whether it does since now.
pub(crate) fn go_on_with_lead_begun(env: &Env, source_env: &Env, path: &Path, dir: &Path) -> Result<bool> {
    let Some(control) = Control::open(&*env.disk, dir, OpenMode::ReadWrite)? else { return Ok(false) };
    if !control.is_replica() || control.promotion() != [0; 16] {
        return Ok(false);
    }
    let moved = || {
        let known = remembered_in(&*env.disk, dir, path, source_env)?;
        let source = UpstreamNode::at(source_env, &known.paths, known.file_id).ok()?;
        source.fence.moved().filter(|_| !source.control.fence_is_assumed())
    };
    let Some(moved) = moved().filter(|moved| log_has_begun(env, path, dir, *moved)) else { return Ok(false) };
    // The source knows of the epoch that this very promotion was to begin.
    let leads = |rival: &Rival| rival.leads.or(rival.knows_epoch.filter(|knows| *knows > moved.epoch.0)).is_some();
    if rivals_of_replica(source_env, path, dir).iter().any(leads) {
        return Ok(false);
    }
    let Some(_no_writer) = control.lock_out_writers()? else { return Ok(false) };
    control.set_promotion(moved.by)?;
    control.sync()?;
    Ok(true)
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
