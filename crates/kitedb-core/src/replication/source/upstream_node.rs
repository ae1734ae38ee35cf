//! A node on the way from a replica to the primary that it follows: what its files say of it, to who only looks.

use crate::{
    db::{Engine, LogPlace, Search, half_copied},
    error::{Error, ErrorCode, Result},
    graph::{Digest, Epoch, LogIndex},
    io::{Env, OpenMode},
    log::{Control, Fence, LogReader, Position, WriterId},
    replication::{
        node_file::{NodeFile, is_no_file, store_of},
        source::{
            SourcePaths,
            find_log::{is_no_source, log_left, older_file, recovered_end, told_by_file},
            source_fault::SourceFault,
            upstream::Asking,
        },
    },
    store::{CheckpointMark, HistoryEntry, LogKind, Part, Peek},
};
use std::{path::Path, sync::Arc};

/// See the [module documentation](self).
pub(in crate::replication) struct UpstreamNode {
    pub place: LogPlace,
    pub control: Control,
    pub fence: Fence,
    /// The id of its file; where that is not there, or cannot be read, that of the file whose log it is.
    pub file_id: [u8; 16],
    /// Why its file cannot be read as a database, though its log can be followed.
    pub unreadable: Option<String>,
}

/// What is known of a frame: who led, and wrote, its epoch, and the state digest after it, if that is at hand.
type Known = (Epoch, WriterId, Option<Digest>);

impl UpstreamNode {
    /// The node at `paths`, which was followed as the database `known_as`, if that is known; where its files lead nowhere, why.
    /// `Err(None)`: they cannot be looked at from here, which tells nothing of who follows.
    pub fn at(
        env: &Env,
        paths: &SourcePaths,
        known_as: Option<[u8; 16]>,
    ) -> std::result::Result<Self, Option<SourceFault>> {
        let db = &paths.db;
        let unfit =
            |what: &dyn std::fmt::Display| Some(SourceFault::Unavailable { db: db.clone(), what: what.to_string() });
        let told = |e: Error| match e.code() {
            ErrorCode::Io if is_no_file(&e) => unfit(&e),
            // The permissions of who looks, or a disk that fails now.
            ErrorCode::Io | ErrorCode::PermissionDenied | ErrorCode::DiskFull => None,
            _ => unfit(&e),
        };
        if is_no_source(env, db) {
            return Err(Some(SourceFault::Missing { db: db.clone() }));
        }
        let (path, file) = NodeFile::of(env, paths, known_as).map_err(told)?;
        let place = match &file {
            NodeFile::Database(file) => {
                place_of(env, paths, &path, file).map_err(|fault| fault.unwrap_or_else(told))?
            }
            // Its log and control file say whose they are.
            NodeFile::Absent(e) | NodeFile::Unreadable(e) => {
                let dir = log_left(env, paths, &path, known_as).map_err(told)?;
                LogPlace::Here(dir.ok_or_else(|| unfit(e))?)
            }
        };
        let unreadable = file.damage(env, &path).map(|e| e.to_string());
        let control = Control::open(&*env.disk, place.dir(), OpenMode::Read).map_err(told)?;
        let no_control = || unfit(&format_args!("the log in {} has no control file", place.dir().display()));
        let control = control.ok_or_else(no_control)?;
        told_by_file(env, db, &control).map_err(told)?;
        if let Some(older) = older_file(env, db, &control) {
            return Err(unfit(&older));
        }
        if let Some(what) = half_copied(env, &path, &control) {
            return Err(unfit(&what));
        }
        let fence = control.fence().map_err(told)?;
        let file_id = file.file_id().unwrap_or(control.identity().file_id);
        Ok(Self { place, control, fence, file_id, unreadable })
    }

    /// The id that it would report under.
    pub fn id(&self) -> [u8; 16] {
        self.control.registration().unwrap_or(self.control.identity().file_id)
    }

    /// What its last attempt to pull failed for, if it is a replica and none has succeeded since; or that it must be reseeded.
    pub fn failed(&self) -> Option<String> {
        if self.control.is_unregistered() {
            return None;
        }
        let failed = self.control.last_error().filter(|what| !what.is_empty());
        failed.or_else(|| self.control.needs_reseed().then(|| "it needs a reseed".to_owned()))
    }

    /// Whether what the replica that asks has is, as far as both go, of the history of this node, whose file is `db`. `None`
    /// where what they hold does not tell; an error where the files of one cannot be read.
    pub fn shares_history(&self, env: &Env, db: &Path, asking: &Asking<'_>) -> Result<Option<bool>> {
        if asking.at == LogIndex(0) {
            return Ok(Some(true));
        }
        let common = asking.at.min(self.control.published());
        let Some(here) = known_here(asking.engine, common)? else { return Ok(None) };
        let there = self.known_at(env, db, common)?;
        Ok(there.map(|there| {
            // One writer can have two histories, if its files were restored in place.
            let alike = here.2.is_none() || there.2.is_none() || here.2 == there.2;
            here.0 == there.0 && (here.1 == there.1 || here.1 == [0; 16]) && alike
        }))
    }

    /// Whether this node, whose file `db` is the one that the replica which asks followed, does not have all that the replica
    /// has: it lost, or gave up, what came after, and leads on without it. An error where its files cannot be read.
    pub fn went_on_without(&self, env: &Env, db: &Path, asking: &Asking<'_>) -> Result<bool> {
        if self.fence.follows || self.fence.moved_by.is_some() || asking.at == LogIndex(0) {
            return Ok(false);
        }
        if self.control.published() < asking.at {
            let control = Control::open(&*env.disk, self.place.dir(), OpenMode::Read)?;
            let Some(control) = control.map(Arc::new) else { return Ok(false) };
            // Looked at in this order: who opens it meanwhile publishes what it recovered.
            let end = match control.writer_lives()? {
                true => control.published(),
                false => recovered_end(env, db, &control)?,
            };
            // What a checkpoint holds no loss of the log takes.
            let held = || store_of(env, db, self.file_id).map(|store| store.manifest().checkpoint.log_index);
            let end = end.max(control.published());
            if end < asking.at && held().unwrap_or_default() < asking.at {
                return Ok(true);
            }
        }
        // In one epoch there is one history.
        let same_epoch = self.fence.epoch == asking.engine.view().token().epoch;
        Ok(!same_epoch && self.shares_history(env, db, asking)? == Some(false))
    }

    fn known_at(&self, env: &Env, db: &Path, index: LogIndex) -> Result<Option<Known>> {
        let dir = self.place.dir();
        let Some(control) = Control::open(&*env.disk, dir, OpenMode::Read)? else { return Ok(None) };
        let by_log = LogReader::with_control(env, dir, Arc::new(control)).and_then(|mut log| in_log(&mut log, index));
        if let Ok(Some(_)) = by_log {
            return by_log;
        }
        let by_file = store_of(env, db, self.file_id).map(|store| {
            let manifest = store.manifest();
            in_history(&manifest.history, &manifest.checkpoint, index)
        });
        // What one of them tells is so, whatever the other one is.
        if let Ok(Some(_)) = by_file { by_file } else { by_log.and(by_file) }
    }
}

/// The error of a source at `paths` that cannot be followed, in the words of a status. Of one that is `astray` the error says
/// where it was.
pub(in crate::replication) fn as_a_status_tells(
    env: &Env,
    (paths, known_as): (&SourcePaths, Option<[u8; 16]>),
    astray: Option<&Path>,
    e: Error,
) -> Error {
    let about_it = matches!(e.code(), ErrorCode::SourceUnavailable | ErrorCode::LogMismatch | ErrorCode::Corrupt);
    match UpstreamNode::at(env, paths, known_as) {
        Err(Some(fault)) if about_it && astray.is_none() => Error::new(ErrorCode::SourceUnavailable, fault),
        _ => e,
    }
}

/// Where the log is of a file that can be read; else why none will be found, or the error of the look.
fn place_of(
    env: &Env,
    paths: &SourcePaths,
    path: &Path,
    file: &Peek,
) -> std::result::Result<LogPlace, Result<Option<SourceFault>>> {
    let (db, link) = (&paths.db, &file.log);
    let search = Search {
        env,
        path,
        file: &*file.file,
        file_id: file.file_id,
        link,
        given: paths.sidecar.as_deref(),
        given_is_hint: true,
        repairs: false,
    };
    let stands_alone = link.kind == LogKind::Private || (link.kind == LogKind::None && link.part == Part::StandAlone);
    let found = search.sidecar();
    match found {
        Ok(place @ (LogPlace::Here(_) | LogPlace::Moved(..))) => Ok(place),
        _ if stands_alone => Err(Ok(Some(SourceFault::StandAlone { db: db.clone() }))),
        Ok(LogPlace::Damaged(_, e)) | Err(e) => Err(Err(e)),
        Ok(place) => {
            let what = format!("its log should be in {}, and is not there", place.dir().display());
            Err(Ok(Some(SourceFault::Unavailable { db: db.clone(), what })))
        }
    }
}

/// What the replica `engine` can tell of the frame with that index.
fn known_here(engine: &Engine, index: LogIndex) -> Result<Option<Known>> {
    if index == LogIndex(0) {
        return Ok(None);
    }
    if !engine.options.read_only {
        let Some((epoch, writer_id)) = engine.writer_at(index) else { return Ok(None) };
        let (_, _, last, digest) = engine.position();
        let digest = match last == index {
            true => Some(digest),
            // What its own log cannot tell, tells nothing of the source.
            false => engine.read_log().ok().flatten().and_then(|mut log| log.digest_at(index).ok().flatten()),
        };
        return Ok(Some((epoch, writer_id, digest)));
    }
    // Who only reads has folded the log, and has not kept who wrote it.
    if let Some(mut log) = engine.read_log()?
        && let Some(found) = in_log(&mut log, index)?
    {
        return Ok(Some(found));
    }
    let manifest = engine.store.manifest();
    Ok(in_history(&manifest.history, &manifest.checkpoint, index))
}

fn in_log(reader: &mut LogReader, index: LogIndex) -> Result<Option<Known>> {
    reader.refresh()?;
    Ok(match reader.position(index)? {
        Position::At { epoch, writer_id, digest } => Some((epoch, writer_id, Some(digest))),
        _ => None,
    })
}

/// What a file with that history, which holds the commits up to `mark`, says of one of them.
fn in_history(history: &[HistoryEntry], mark: &CheckpointMark, index: LogIndex) -> Option<Known> {
    let led = history.iter().rev().find(|led| led.first <= index).filter(|_| index <= mark.log_index)?;
    Some((led.epoch, led.writer_id, mark.digest_at(index)))
}
