//! Replicas that are not to be followed yet: they hold nothing, or their files do not tell what they hold.

use super::place::{SOURCE, is_absent};
use crate::{
    error::Result,
    io::Env,
    log::{Control, has_segments},
    shell::{Command, command},
    store::{LogKind, Store},
};
use std::path::Path;

/// Why a replica that holds nothing yet, and whose sidecar is `dir`, cannot be used as one.
pub(crate) fn half_made(env: &Env, path: &Path, dir: &Path) -> String {
    format!(
        "{} is a replica that holds nothing yet: its first copy was cut short, or is under way. Begin it again ({}): it goes on \
         where it was",
        path.display(),
        bootstrap_of(env, path, dir)
    )
}

/// The command that copies the source of the replica at `path`, whose sidecar is `dir`: where nothing there remembers the source,
/// it is to be named.
fn bootstrap_of(env: &Env, path: &Path, dir: &Path) -> Command {
    let remembered = !is_absent(env, &dir.join(SOURCE));
    command("replica bootstrap", path, if remembered { "" } else { "--source-db SOURCE" })
}

/// Why the replica at `path` cannot be followed, if it has had nothing from its source.
pub(crate) fn unfilled(env: &Env, path: &Path, control: &Control) -> Option<String> {
    half_copied(env, path, control).or_else(|| control.is_unfilled().then(|| holds_nothing(env, path, control.dir())))
}

/// Why the replica at `path` cannot be followed, if a copy that it makes of its source is under way, or was cut short, and neither
/// what it had nor the copy can be told from its files.
pub(crate) fn half_copied(env: &Env, path: &Path, control: &Control) -> Option<String> {
    match control.is_half_made() {
        true => Some(half_made(env, path, control.dir())),
        false => (control.is_bootstrapping() && !is_told(env, path, control).unwrap_or(true)).then(|| untold(path)),
    }
}

/// Whether `control` speaks of the graph that the file at `path` holds.
fn is_told(env: &Env, path: &Path, control: &Control) -> Result<bool> {
    let store = Store::open(env, path, false)?;
    let (link, current) = (store.log_link(), control.current_log());
    if store.file_id() != control.identity().file_id || link.kind != LogKind::Sidecar || link.id != current.log_id {
        return Ok(link.kind != LogKind::Sidecar);
    }
    // A log of which nothing was written begins where its file ends.
    Ok(store.manifest().checkpoint.log_index == control.published() || has_segments(env, control.dir(), None, current)?)
}

/// Why a replica whose file is a copy already, of which its control file does not know, cannot be followed.
fn untold(path: &Path) -> String {
    format!(
        "{} is a replica whose copy of its source is in place, and its log's control file does not say so yet: that is done with \
         its next pull, and when it is opened",
        path.display()
    )
}

/// Why a replica that no bootstrap was begun of cannot be used as one. `dir`: its sidecar, or where that would be.
pub(crate) fn holds_nothing(env: &Env, path: &Path, dir: &Path) -> String {
    format!(
        "{} is a replica that holds nothing yet, and nothing is under way that would change that: copy its source ({}, \
         replica_bootstrap_from_snapshot)",
        path.display(),
        bootstrap_of(env, path, dir)
    )
}
