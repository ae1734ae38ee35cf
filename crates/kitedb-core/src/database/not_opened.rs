//! The error of an open of a replica's file that holds no database any more, or is damaged beyond opening: a reseed in place mends
//! that, and nobody has to be promoted.

use crate::{
    db::{OpenOptions, Revivable, default_sidecar, resolved},
    error::{Error, ErrorCode},
    io::Env,
    replication::remembered_in,
    shell::{command, shell_word},
};
use std::path::Path;

/// The error of an open of the file at `path`, with what to do where it is a replica's.
pub(super) fn with_its_reseed(e: Error, (env, source_env): (&Env, &Env), path: &Path, options: &OpenOptions) -> Error {
    if !matches!(e.code(), ErrorCode::Corrupt | ErrorCode::NotADatabase) {
        return e;
    }
    let Ok(path) = resolved(env, path) else { return e };
    let Some(Revivable { dir, process }) = Revivable::at(env, &path, options) else { return e };
    let elsewhere = (dir != default_sidecar(&path)).then(|| format!("--sidecar {}", shell_word(&dir)));
    let unnamed = remembered_in(&*env.disk, &dir, &path, source_env).is_none().then(|| "--source-db SOURCE".to_owned());
    let rest: Vec<_> = unnamed.into_iter().chain(elsewhere).collect();
    let stop = process.map_or_else(String::new, |process| format!("stop process {process}, which has it open, and "));
    e.and(format_args!(
        "its log, in {}, is that of a replica: {stop}reseed it in place ({}), which copies its source anew and keeps what is in \
         the file now, if anything is, as {}.damaged",
        dir.display(),
        command("replica reseed", &path, rest.join(" ")),
        path.display()
    ))
}
