//! A source's files: its log is found through its file, which names it; a path that was given for it is a hint.

use super::replica::SourcePaths;
use crate::{
    db::{LogPlace, Search, resolved},
    error::{Error, ErrorCode, Result},
    io::Env,
    store::Store,
};

/// Looks for the log of the source at `paths`.
pub(super) fn locate(env: &Env, paths: &SourcePaths) -> Result<LogPlace> {
    let away = |e: Error| Error::new(ErrorCode::SourceUnavailable, format_args!("the source cannot be looked at: {e}"));
    let path = resolved(env, &paths.db).map_err(away)?;
    let file = match Store::peek(env, &path) {
        Ok(file) => file,
        // A promotion needs its log and control file only, and they say whose they are.
        Err(e) if matches!(e.code(), ErrorCode::Corrupt | ErrorCode::NotADatabase) => {
            return Ok(LogPlace::Here(paths.sidecar_shown()));
        }
        Err(e) => return Err(away(e)),
    };
    let search = Search {
        env,
        path: &path,
        file: &*file.file,
        file_id: file.file_id,
        link: &file.log,
        given: paths.sidecar.as_deref(),
        given_is_hint: true,
    };
    search.sidecar()
}
