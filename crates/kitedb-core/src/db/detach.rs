//! What an operator says of a file that nobody has open: that it is a database of its own, or that it leads in place of
//! the one that it was copied from.

use super::{
    cut_short::CutShort,
    engine::Engine,
    file::require_one_name,
    history::writer_of,
    lease::Lease,
    options::{OpenOptions, ReplicationRole},
    place::{LogPlace, anchored, folder_of},
    places::LogPlaces,
    promote::require_not_taken_over,
    role::Standing,
    sidecar_files::remove_sidecar,
    writer_lock::open_for_writing,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex, Token},
    io::{Env, FileIdentity, OpenMode},
    log::{Control, Displaced, Keep, SeenEpoch},
    shell::command,
    store::{Hint, HistoryEntry, LogKind, LogLink, Part, Store, WRITER_LOCK},
};
use std::path::{Path, PathBuf};

/// What [`Database::detach`](crate::Database::detach) made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Detached {
    /// The last commit that it holds; `None`: it holds none.
    pub last_token: Option<Token>,
    /// Commits of the database that it was may be missing: they were only in a log that could not be read. This says why.
    pub missing: Option<String>,
    /// The source that it followed as a replica, which keeps its log for it no longer.
    pub left_source: Option<PathBuf>,
    /// The source that it followed as a replica, and that could not be told: it keeps its log for it still.
    pub still_registered: Option<StillRegistered>,
    /// A log of the database that it was which is another file's, or cannot be told: it stays where it is, here.
    pub former_sidecar: Option<PathBuf>,
    /// The replicas that were registered with it, in the order of their ids. They are not told; each follows another node once it
    /// is pointed there.
    pub followers: Vec<LeftFollower>,
}

/// What a node is that is about to be detached, as far as it is neither a copy nor has a log that is one: what its log says of
/// registrations is said of this file.
#[derive(Debug)]
pub(crate) struct Leaver {
    /// The id of its file.
    pub file_id: [u8; 16],
    /// Whether it is a replica.
    pub follows: bool,
    /// The folder of its log.
    pub dir: PathBuf,
    /// Whether the log is not there.
    pub log_is_gone: bool,
}

impl Leaver {
    /// The one at the resolved `path`; `None`: there is none.
    pub fn at(env: &Env, path: &Path, options: &OpenOptions) -> Result<Option<Self>> {
        let options = OpenOptions { role: None, read_only: true, ..options.clone() };
        let look = Store::open(env, path, false)?;
        let places = LogPlaces::of(env, path, &options, &look)?;
        let (dir, log_is_gone) = match &places.sidecar {
            LogPlace::Here(dir) | LogPlace::Damaged(dir, _) => (dir.clone(), false),
            LogPlace::Missing(dir) if look.log_link().kind == LogKind::Sidecar => (dir.clone(), true),
            _ => return Ok(None),
        };
        let follows = places.standing(env, &look)? == Standing::Replica;
        Ok(Some(Self { file_id: look.file_id(), follows, dir, log_is_gone }))
    }
}

/// A replica that followed a node which is none any more: it needs another source.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftFollower {
    /// The id under which it was registered.
    pub replica_id: String,
    /// The name that it was given.
    pub name: Option<String>,
    /// Where its file was when it last reported.
    pub path: Option<String>,
    /// The last commit that it reported.
    pub last: Token,
}

impl LeftFollower {
    pub(crate) fn new(replica_id: String, (name, path): (Option<String>, Option<String>), last: Token) -> Self {
        Self { replica_id, name, path, last }
    }
}

/// A registration that outlives the replica whose it was, until it is removed
/// ([`Database::remove_replica_at`](crate::Database::remove_replica_at), `kitedb primary remove SOURCE ID`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StillRegistered {
    /// The source's file; `None`: nothing tells any more which one that was.
    pub source_db_path: Option<PathBuf>,
    /// The id under which the replica is registered there.
    pub replica_id: String,
    /// Why the source could not be told.
    pub why: String,
}

impl StillRegistered {
    pub(crate) fn new(source_db_path: Option<PathBuf>, replica_id: String, why: &Error) -> Self {
        Self { source_db_path, replica_id, why: why.to_string() }
    }
}

/// Makes the file at the resolved `path` a stand-alone database with a file id and a history of its own. `leave` is called
/// once it is that, before its log goes, which says where it was registered. One that was cut short after that is ended.
pub(crate) fn detach(
    env: &Env,
    path: &Path,
    options: OpenOptions,
    identity: FileIdentity,
    leave: &mut dyn FnMut(),
) -> Result<Detached> {
    let options = OpenOptions { role: None, read_only: false, ..options };
    let look = Store::open(env, path, false)?;
    if let Some(cut) = CutShort::of(path, &look.log_link()) {
        let manifest = look.manifest();
        let mark = manifest.checkpoint;
        let writer = writer_of(&manifest.history, mark.epoch, mark.log_index);
        drop(look);
        leave();
        let former_sidecar = end_detachment(env, path, &options, &cut)?;
        let last = Token::new(mark.epoch, mark.log_index).with_tag(writer);
        let last_token = (mark.log_index > LogIndex(0)).then_some(last);
        return Ok(Detached {
            last_token,
            missing: None,
            left_source: None,
            still_registered: None,
            former_sidecar,
            followers: Vec::new(),
        });
    }
    let (link, places) = (look.log_link(), LogPlaces::of(env, path, &options, &look)?);
    let looked_at = look.file_id();
    drop(look);
    let mut missing = places.gone(path, &link).filter(|_| link.open);
    // What an older copy of the file lacks, its log may still have.
    missing = missing.or(places.newer_log(env, path, &link)?.map(|newer| newer.damage));
    if link.open && missing.is_none() {
        // What its log holds goes into the file first, by the same recovery as ever.
        let engine = Engine::open_for_writing(env.clone(), path.to_owned(), options.clone(), identity, true)?;
        missing = engine.damage();
        let folded = if missing.is_some() { Ok(()) } else { engine.checkpoint() };
        folded.and(engine.close())?;
    }
    if let Some(why) = missing.as_ref().filter(|_| !options.overwrite) {
        let what = format_args!(
            "{why}. Where those commits are gone for good, ask for going on without them by name (Database::detach_in with \
             replication_overwrite, {})",
            command("role", path, "detach --overwrite")
        );
        return Err(Error::new(why.code(), what).about_what(why));
    }
    let store = open_for_writing(env, path, &options)?;
    if let Err(e) = require_same(path, looked_at, store.file_id()) {
        let _ = store.file().unlock(WRITER_LOCK..WRITER_LOCK + 1);
        return Err(e);
    }
    // Its own, or its own copy: what it held is in the file, and no file of that id is here any more.
    let own = match &places.sidecar {
        LogPlace::Here(dir) | LogPlace::Moved(dir, Displaced { log: true, .. }) => Some(dir.clone()),
        _ => None,
    };
    let former = own.map(|dir| CutShort { dir, file_id: store.file_id() });
    let renewed =
        require_one_name(path, &options, &**store.file()).and_then(|()| renew(env, path, &store, former.as_ref()));
    let _ = store.file().unlock(WRITER_LOCK..WRITER_LOCK + 1);
    drop(store);
    let mark = renewed?;
    leave();
    let former_sidecar = match (&former, &places.sidecar) {
        (Some(former), _) => end_detachment(env, path, &options, former)?,
        (None, LogPlace::Moved(dir, _) | LogPlace::Damaged(dir, _)) => Some(dir.clone()),
        (None, _) => None,
    };
    let last_token = (mark.log_index > LogIndex(0)).then_some(mark);
    let missing = missing.map(|e| e.to_string());
    Ok(Detached {
        last_token,
        missing,
        left_source: None,
        still_registered: None,
        former_sidecar,
        followers: Vec::new(),
    })
}

/// Fails if the file at `path`, which was that of the database `looked_at`, is now that of `now`: what was found out is not of
/// that one.
fn require_same(path: &Path, looked_at: [u8; 16], now: [u8; 16]) -> Result<()> {
    if looked_at == now {
        return Ok(());
    }
    let what = format_args!(
        "{} was exchanged for another database while it was looked at, and nothing was done to that one: see what is there \
         now, and try it again",
        path.display()
    );
    Err(Error::new(ErrorCode::LogMismatch, what))
}

/// The last steps of a detachment: removes the log of what the file was, and then the header's word of it. Returns where it is
/// if it stays.
pub(crate) fn end_detachment(
    env: &Env,
    path: &Path,
    options: &OpenOptions,
    former: &CutShort,
) -> Result<Option<PathBuf>> {
    if let Err(e) = remove_sidecar(env, &former.dir, former.file_id, Keep::Nothing) {
        tracing::warn!("the log of a database that was detached was not removed: {e}");
        return Ok(Some(former.dir.clone()));
    }
    let store = open_for_writing(env, path, options)?;
    let link = store.log_link();
    let named = CutShort::of(path, &link).is_some();
    let said = if named { store.mark_log(LogLink { id: [0; 16], hint: Hint::default(), ..link }) } else { Ok(()) };
    let _ = store.file().unlock(WRITER_LOCK..WRITER_LOCK + 1);
    said.map(|()| None)
}

/// `former`: the log that is to go, of which the header tells until it is gone.
fn renew(env: &Env, path: &Path, store: &Store, former: Option<&CutShort>) -> Result<Token> {
    let manifest = store.manifest();
    let mark = manifest.checkpoint;
    let led = manifest.history.last().map_or(mark.epoch, |led| led.epoch.max(mark.epoch));
    // All that it holds counts as written by the writer that goes on from here: nobody else's history has that one.
    let history = vec![HistoryEntry { epoch: led, writer_id: env.host.random(), first: LogIndex(1) }];
    let clean_tail = Some((mark.log_index, mark.digest));
    let hint = former.and_then(|former| Hint::to(&former.dir, folder_of(path)));
    let id = former.filter(|_| hint.is_some()).map_or([0; 16], |former| former.file_id);
    let hint = hint.unwrap_or_default();
    let link = LogLink { clean_tail, part: Part::StandAlone, id, hint, ..LogLink::default() };
    let writer = writer_of(&history, mark.epoch, mark.log_index);
    store.renew(env.host.random(), history, link)?;
    Ok(Token::new(mark.epoch, mark.log_index).with_tag(writer))
}

/// Lets the primary at the resolved `path`, which was copied or restored, lead in place of the one that it was copied
/// from: with a new epoch and a new writer. Returns that epoch, and what `look` told, which is asked first whether another node leads
/// or has more; it returns the latest epoch that any other node knows of.
pub(crate) fn confirm_moved<T>(
    env: &Env,
    path: &Path,
    options: OpenOptions,
    identity: FileIdentity,
    look: &dyn Fn() -> Result<(Epoch, T)>,
) -> Result<(Epoch, T)> {
    let options = OpenOptions { role: None, read_only: false, ..options };
    let store = Store::open(env, path, false)?;
    let places = LogPlaces::of(env, path, &options, &store)?;
    let standing = places.standing(env, &store)?;
    if places.require_own(path, standing, &store.log_link()).is_ok() {
        return Err(Error::invalid(not_copied(path, standing)));
    }
    let told = options.overwrite;
    require_not_known_otherwise(env, path, &places, &store.log_link(), told)?;
    if let Some(newer) = places.newer_log(env, path, &store.log_link())? {
        return Err(Error::new(ErrorCode::LogMismatch, newer.damage));
    }
    let looked_at = store.file_id();
    drop(store);
    // Before anything is changed: what is refused is refused again.
    let (taken, seen) = look()?;
    let engine = Engine::open_for_writing(env.clone(), path.to_owned(), options, identity, true)?;
    let same = require_same(path, looked_at, engine.store.file_id());
    let led = same.and_then(|()| engine.require_not_taken_over(told)).and_then(|()| lead_anew(&engine, taken));
    led.and_then(|epoch| engine.close().map(|()| (epoch, seen)))
}

/// Why it is not asked of what stands so at `path` whether it leads in place of what it was copied from, and what else may be meant.
fn not_copied(path: &Path, standing: Standing) -> String {
    let shown = path.display();
    let lead = match standing {
        Standing::StandAlone | Standing::Unused(Some(ReplicationRole::Disabled) | None) => {
            return format!("{shown} is no primary: it has no part in replication, and nobody follows it");
        }
        Standing::Replica | Standing::Unused(Some(ReplicationRole::Replica)) => {
            format!("it is a replica: {} lets it lead", command("replica promote", path, ""))
        }
        Standing::Fenced => format!(
            "it was fenced, because another node took over or began to: {} tells which, and what to do",
            command("primary status", path, "")
        ),
        _ => format!("{} begins another epoch in place", command("primary promote", path, "")),
    };
    format!(
        "{shown} is no primary that was copied or restored: as far as can be told, its files are those that its log was written for. \
         {} says what is wrong with its log, and {lead}",
        command("repair", path, "--dry-run")
    )
}

/// Fails where the log that would tell who took over from the file is not at hand, or is that of the file that it was copied
/// from, and tells. `told`: it is to lead whoever did.
fn require_not_known_otherwise(env: &Env, path: &Path, places: &LogPlaces, link: &LogLink, told: bool) -> Result<()> {
    match &places.sidecar {
        LogPlace::Missing(dir) | LogPlace::Another(dir) if !told => Err(Error::new(
            ErrorCode::LogMismatch,
            format_args!(
                "whether another node took over from {} only its log tells, which should be in {} and is not there: put it \
                 back, or say where it is (replication_sidecar_path, --sidecar). Only if it is certain that no other node \
                 leads, force it ({}, replication_overwrite): else there are two histories",
                path.display(),
                dir.display(),
                command("role", path, "primary --moved --force")
            ),
        )),
        LogPlace::Copied(_) => {
            let of_original = link.hint.from(folder_of(path));
            let control = of_original.map(|dir| Control::open(&*env.disk, &dir, OpenMode::Read)).transpose()?.flatten();
            control.map_or(Ok(()), |control| require_not_taken_over(&control, path, told))
        }
        LogPlace::Here(_) | LogPlace::Moved(..) => match places.control(env) {
            // What it says is assumed, or cannot be read, the open looks at.
            Ok(Some(control)) if !control.fence_is_assumed() && control.fence().is_ok() => {
                require_not_taken_over(&control, path, told)
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Leads in an epoch after `taken`.
fn lead_anew(engine: &Engine, taken: Epoch) -> Result<Epoch> {
    if engine.role() != ReplicationRole::Primary {
        let what = format_args!("{} is not opened in primary role: it is a replica", engine.path.display());
        return Err(Error::new(ErrorCode::NotPrimary, what));
    }
    if let Some(control) = engine.sidecar.as_ref().filter(|_| taken > Epoch(0)) {
        control.note_seen_epoch(SeenEpoch { epoch: taken, begun: true })?;
    }
    // A log that was lost is made anew with an epoch of its own.
    let epoch = match engine.opened.made_sidecar() {
        Some(_) if engine.epoch() > taken => engine.epoch(),
        _ => engine.promote_in_place(&Lease::new(engine.epoch(), &engine.path), taken)?,
    };
    engine.opened.note_something();
    if let Some(control) = &engine.sidecar {
        // Last: who is cut short before it says so once more.
        control.set_stamps(&**engine.store.file())?;
    }
    engine.say_in_header()?;
    Ok(epoch)
}

/// `env` with the folder of the file at `path` held by a handle.
pub(crate) fn env_of(env: &Env, path: &Path) -> Result<Env> {
    let io = |e| Error::io("open", path, e);
    let like = env.disk.open(path, OpenMode::Read).and_then(|file| file.access()).map_err(io)?;
    anchored(env, folder_of(path), like).map_err(io)
}
