//! A source's files: its log is found through its file, which names it; a path that was given for it is a hint.

use crate::{
    db::{LogPlace, Search, Word, beyond_file, is_absent, newer_than, older_than_its_log, take_from_a_replica},
    error::{Error, ErrorCode, Result},
    graph::LogIndex,
    io::{DiskFile, Env, OpenMode},
    log::{Control, Fence, LogIdentity, begins_after, end_of_log},
    replication::{
        node_file::{NodeFile, log_dirs, peek_of, store_of},
        source::SourcePaths,
    },
    shell::command,
    store::{LogKind, LogLink, Peek},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Looks for the log of the source at `paths`, which was followed as the database `known_as`, if that is known.
pub(in crate::replication) fn locate(env: &Env, paths: &SourcePaths, known_as: Option<[u8; 16]>) -> Result<LogPlace> {
    let away = |e: Error| {
        // Nothing but a permission, or another build, mends the one, and the other may pass.
        let code = match e.code() {
            denied @ ErrorCode::PermissionDenied => denied,
            version if e.is_other_version() => version,
            _ => ErrorCode::SourceUnavailable,
        };
        e.recoded(code).context("the source cannot be looked at")
    };
    let (path, file) = NodeFile::of(env, paths, known_as).map_err(away)?;
    let file = match file {
        NodeFile::Database(file) => file,
        // A promotion needs its log and control file only, and they say whose they are.
        NodeFile::Absent(e) | NodeFile::Unreadable(e) => {
            return log_left(env, paths, &path, known_as)?.map(LogPlace::Here).ok_or_else(|| away(e));
        }
    };
    let search = Search {
        env,
        path: &path,
        file: &*file.file,
        file_id: file.file_id,
        link: &file.log,
        given: paths.sidecar.as_deref(),
        given_is_hint: true,
        repairs: false,
    };
    search.sidecar()
}

/// Where the log of a source lies whose file says nothing. `None`: nowhere. Fails if what is there is not that of the database
/// `known_as`.
pub(super) fn log_left(
    env: &Env,
    paths: &SourcePaths,
    path: &Path,
    known_as: Option<[u8; 16]>,
) -> Result<Option<PathBuf>> {
    let mut strange = None;
    for dir in log_dirs(paths, path) {
        let Some(control) = Control::open(&*env.disk, &dir, OpenMode::Read)? else { continue };
        match known_as.map_or(Ok(()), |id| control.expect(id)) {
            Ok(()) => return Ok(Some(dir)),
            Err(e) => strange = strange.or(Some(e)),
        }
    }
    strange.map_or(Ok(None), |e| {
        let what = format_args!("the source {} is not there, or cannot be read, and {e}", paths.db.display());
        Err(Error::new(ErrorCode::SourceUnavailable, what))
    })
}

/// Whether a log is the one that a source uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::replication) enum InUse {
    Yes,
    /// It is a copy.
    No,
    /// The source's file, which would tell, is not there.
    Unknown,
}

/// Whether the log in `dir`, which was found for the source at `db`, is the one that this uses: as its file tells, or, where that is
/// damaged or gone, or another database's, what the log remembers of it, or a process that has it open.
pub(in crate::replication) fn in_use(env: &Env, db: &Path, dir: &Path) -> Result<InUse> {
    let (path, file) = NodeFile::at(env, db)?;
    let control = Control::open(&*env.disk, dir, OpenMode::Read)?;
    let is_its = |id| control.as_ref().is_none_or(|control| control.identity().file_id == id);
    if file.file_id().is_some_and(is_its) {
        // It led to the log, and how the two fit was looked at there.
        return Ok(InUse::Yes);
    }
    control.map_or(Ok(InUse::Unknown), |control| in_use_at(env, &path, &control))
}

/// As [`in_use`], of the log whose control file is `control`, by what that remembers of the file at `path`.
pub(in crate::replication) fn in_use_at(env: &Env, path: &Path, control: &Control) -> Result<InUse> {
    if control.is_copied()? {
        return Ok(InUse::No);
    }
    // Damage moves no file.
    let fits = |file: &dyn DiskFile| Ok::<_, Error>(control.has_stamps() && !control.displaced(file)?.any());
    let fits = env.disk.open(path, OpenMode::Read).map_or(Ok(false), |file| fits(&*file))?;
    Ok(if fits || control.writer_lives()? { InUse::Yes } else { InUse::Unknown })
}

/// Fails where the file of a source holds less than its log in the folder of `control`: an older copy of it was put in its place, and
/// nobody opened it since.
fn require_not_older(env: &Env, db: &Path, peek: &Peek, control: &Control) -> Result<()> {
    let word = Word { file_id: peek.file_id, link: &peek.log, checkpoint: Default::default() };
    let known = peek.log.clean_tail.is_some() && !peek.log.open;
    let beyond = match known && control.identity().file_id == peek.file_id {
        true => beyond_file(env, word, control.dir(), Some(control), control.is_copied()?)?,
        false => None,
    };
    let Some(held) = beyond else { return Ok(()) };
    let older = older_than_its_log(db, control.dir(), word.holds().0, held.last, peek.log.part);
    Err(Error::new(ErrorCode::SourceUnavailable, older))
}

/// Whether no file of a source is at `path`: none at all, or an empty one in its place.
pub(in crate::replication) fn is_no_source(env: &Env, path: &Path) -> bool {
    let is_empty = || env.disk.open(path, OpenMode::Read).and_then(|file| file.len()).is_ok_and(|len| len == 0);
    is_absent(env, path) || is_empty()
}

/// Fails if the source's file at `db` names another log than its control file does, and nobody has it open: a copy took the place of
/// its graph, and its process or machine ended before the control file said so, durably. What that names is the log of a graph that
/// is gone.
pub(super) fn require_its_log(env: &Env, db: &Path, control: &Control) -> Result<()> {
    peek_of(env, db, control.identity().file_id).map_or(Ok(()), |peek| is_its_log(env, db, &peek.log, control))
}

fn is_its_log(env: &Env, db: &Path, link: &LogLink, control: &Control) -> Result<()> {
    let Some(tail) = link.clean_tail.filter(|_| link.kind == LogKind::Sidecar && !link.open) else { return Ok(()) };
    if control.current_log().log_id == link.id || control.writer_lives()? {
        return Ok(());
    }
    // It began another log after what it holds, and ended before its header said so: nothing was given up.
    if begins_after(env, control.dir(), control.current_log(), tail)? {
        return Ok(());
    }
    // What takes the place of a graph lowers the durable word first: one that is above the file tells that this is an older one.
    if let Some(older) = newer_than(db, control.dir(), link, control.durable()) {
        return Err(Error::new(ErrorCode::SourceUnavailable, older));
    }
    let what = format_args!(
        "the source {} gave its graph up for a copy, which was cut short, and its log is still that of the graph that is gone: \
         open it, so that it goes on",
        db.display()
    );
    Err(Error::new(ErrorCode::SourceUnavailable, what))
}

/// Fails if the source's file at `db` tells of commits that are not in the log that is here, or of another log: a replica
/// that has all of this one would say that it follows. Also where no process has the source open.
pub(in crate::replication) fn told_by_file(env: &Env, db: &Path, control: &Control) -> Result<()> {
    // A file that cannot be read, or that is another database's, tells nothing; its log does.
    let Ok(peek) = peek_of(env, db, control.identity().file_id) else { return Ok(()) };
    let link = &peek.log;
    let shown = db.display();
    let off = |what: std::fmt::Arguments<'_>| Err(Error::new(ErrorCode::SourceUnavailable, what));
    is_its_log(env, db, link, control)?;
    let published = control.published();
    match (link.kind, link.clean_tail) {
        (LogKind::Sidecar, Some((last, _))) if !link.open && last > published => off(format_args!(
            "the source {shown} holds commits up to log index {last}, and its log ends at {published}: that is an older \
             one"
        )),
        (LogKind::Private, _) | (LogKind::None, Some(_)) => {
            off(format_args!("the source {shown} went on without its log: its last commits are not in it"))
        }
        // While somebody writes, its file is behind its log at times.
        (LogKind::Sidecar, Some(_)) if !link.open && !control.writer_lives()? => {
            require_not_older(env, db, &peek, control)
        }
        _ => Ok(()),
    }
}

/// That the file at `db` is an older one than its log: what is in its place commits nothing, and a replica of that kind pulls
/// nothing, before that is mended.
pub(in crate::replication) fn older_file(env: &Env, db: &Path, control: &Control) -> Option<String> {
    // In this order: who opens the file meanwhile says so in its header before it appends.
    let durable = control.durable();
    let file = peek_of(env, db, control.identity().file_id).ok()?;
    newer_than(db, control.dir(), &file.log, durable)
}

/// What is so, and what to do, where the log of the primary at `db` lost commits that were durable, and nobody has it open: it is
/// not written to before that is mended, and neither a pull nor a copy gets beyond what is left.
pub(in crate::replication) fn lost_its_end(env: &Env, db: &Path, control: &Arc<Control>) -> Option<Error> {
    let leads = |fence: Fence| !fence.follows && fence.moved_by.is_none();
    let at_rest = || control.writer_lives().is_ok_and(|lives| !lives);
    if !control.fence().is_ok_and(leads) || !at_rest() {
        return None;
    }
    let lost = recovered_end(env, db, control).err().filter(|e| e.code() == ErrorCode::Corrupt)?;
    at_rest().then(|| {
        lost.and(format_args!(
            "nobody writes to {shown} before that is mended: put back what is missing; or {take}; {repair} says what can be \
             kept without",
            shown = db.display(),
            take = take_from_a_replica(db),
            repair = command("repair", db, "--dry-run")
        ))
    })
}

/// The last frame of the log of the source at `db`, whose writer is gone, as its own recovery will find it: after a loss of
/// power what the writer had published tells nothing. Of the source's file only the header is read, and not even that is needed.
pub(in crate::replication) fn recovered_end(env: &Env, db: &Path, control: &Arc<Control>) -> Result<LogIndex> {
    let dir = control.dir();
    let peeked = peek_of(env, db, control.identity().file_id);
    if let Ok(peek) = &peeked {
        require_not_older(env, db, peek, control)?;
    }
    let peeked = peeked.map(|peek| (peek.file_id, peek.log));
    let log = match peeked {
        Ok((_, link)) if link.kind == LogKind::Private && link.open => {
            let what =
                "the source was opened without a part in replication since: its log is not that of its last commits";
            return Err(Error::new(ErrorCode::SourceUnavailable, what));
        }
        Ok((_, LogLink { open: false, clean_tail: Some((last, _)), .. })) => return Ok(last),
        // It was never written to: what it holds came with it.
        Ok((_, LogLink { open: false, .. })) => {
            let held = store_of(env, db, control.identity().file_id);
            return Ok(held.map_or(control.published(), |held| held.manifest().checkpoint.log_index));
        }
        Ok((file_id, link)) => LogIdentity { log_id: link.id, file_id },
        Err(e) => {
            tracing::warn!("the source's file cannot be read, its log alone is asked for its end: {e}");
            control.current_log()
        }
    };
    let end = end_of_log(env, dir, control, log)?;
    end.ok_or_else(|| {
        let what = format_args!(
            "the segments of the source's log are not in {}: is that folder being moved, restored or mounted? Put them \
             back, or try it again",
            dir.display()
        );
        Error::new(ErrorCode::SourceUnavailable, what)
    })
}
