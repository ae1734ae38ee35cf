//! A registered replica that leads in place of the primary which looks: an older backup was put in that one's place, or the replica
//! was promoted by force where it could not reach it. Neither one's own files tell the primary of it.

use crate::{
    db::default_sidecar,
    graph::Epoch,
    io::{Env, OpenMode},
    log::Control,
    replication::{node_file::place_named, registry::Registry, related::Related, rivals::Rival, source::SourcePaths},
    shell::{command, command_by_log, shell_word},
    store::{Part, Store},
};
use std::path::{Path, PathBuf};

/// The node that leads in place of the primary at `path`, whose log is in `dir` and which leads `epoch`: one of those that are
/// registered there, as far as they can be looked at from here; the latest one. Of a replica that follows its header and its control
/// file are read, and no lock is waited for.
pub(in crate::replication) fn led_elsewhere(
    env: &Env,
    (path, dir): (&Path, &Path),
    registry: Option<&Registry>,
    epoch: Epoch,
) -> Option<Rival> {
    let registered = registry.map(Registry::registrations).unwrap_or_default();
    let registered = registered.into_iter().filter_map(|found| found.labels.path.map(PathBuf::from));
    let leads: Vec<PathBuf> = registered.filter(|db| says_it_leads(env, db, epoch)).collect();
    if leads.is_empty() {
        return None;
    }
    // What is at a path where a replica was may be of another database by now.
    let own = Related::at(env, &SourcePaths { db: path.to_owned(), sidecar: Some(dir.to_owned()) })?;
    let there = leads.into_iter().filter_map(|db| Related::at(env, &SourcePaths { db, sidecar: None }));
    let there: Vec<_> = there.filter(|node| node.is_of(&own, env)).collect();
    own.rivals(&there).into_iter().find(Rival::can_be_followed)
}

/// Whether the files of the node at `db` say that it leads `epoch`, or a later one.
fn says_it_leads(env: &Env, db: &Path, epoch: Epoch) -> bool {
    let path = place_named(env, db);
    let Ok(peek) = Store::peek(env, &path) else { return false };
    // A promotion says it in the control file first.
    let by_control = || {
        let control = Control::open(&*env.disk, &default_sidecar(&path), OpenMode::Read).ok()??;
        let fence = control.fence().ok().filter(|_| control.identity().file_id == peek.file_id)?;
        Some(!fence.follows && fence.moved_by.is_none() && fence.epoch >= epoch)
    };
    match peek.log.part {
        Part::Leads(led) => led >= epoch,
        Part::Follows(_) => by_control().unwrap_or_default(),
        _ => false,
    }
}

/// That `rival` leads in place of the primary whose log is in `dir`, and what to do.
pub(in crate::replication) fn told(dir: &Path, rival: &Rival) -> String {
    let follow = format!("--source-db {} --overwrite", shell_word(&rival.db));
    format!(
        "{rival}, and is registered here as a replica: an older backup was put back here, or that one was \
         promoted by force. Two nodes \
         lead; stop writing here. To keep what that one has, make this node a \
         replica of it ({follow}), which gives up what only this \
         one has; only if what that one has is to be given up, let this one lead by force \
         ({lead}), and reseed that one ({give_up})",
        follow = command_by_log("replica reseed", dir, follow),
        lead = command_by_log("primary promote", dir, "--force"),
        give_up = command("replica reseed", &rival.db, "--overwrite"),
    )
}
