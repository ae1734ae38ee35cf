//! A detachment that was cut short is ended by whoever opens the file for writing next: the first commit would take the place of
//! what its header says of it, and the source would keep its log for a replica that is none any more.

use crate::{
    db::{CutShort, OpenOptions, end_detachment, env_of},
    error::Result,
    io::Env,
    replication::Leaving,
};
use std::path::Path;

/// Ends the detachment of the file at the resolved `path`, if one was cut short. Fails where the source that it followed cannot
/// be told: [`Database::detach`](super::Database::detach) names that one, and ends it all the same.
pub(super) fn end_what_was_cut_short(env: &Env, source_env: &Env, path: &Path, options: &OpenOptions) -> Result<()> {
    let Some(cut) = CutShort::peek(env, path) else { return Ok(()) };
    let here = env_of(env, path)?;
    let replica = cut.of_replica(&here, path).unwrap_or_default();
    let leaving = replica.and_then(|(dir, file_id)| Leaving::of((env, source_env), path, &dir, file_id));
    // What remembered the source goes only after that was told.
    let leaving = leaving.filter(|leaving| leaving.source_db_path().is_some());
    if let Some(Err(e)) = leaving.map(|leaving| leaving.leave()) {
        return Err(cut.fault(path).context(format_args!("its source cannot be told now ({e})")));
    }
    let options = OpenOptions { role: None, read_only: false, ..options.clone() };
    let left = end_detachment(&here, path, &options, &cut)?;
    tracing::info!(path = %path.display(), ?left, "a detachment that was cut short is ended");
    Ok(())
}
