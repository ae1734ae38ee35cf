//! Where a file and its log are. A path is resolved once, when the database is opened. Where the log is, the header says
//! as a hint; the ids in the log's control file, and what that remembers of its files, decide whether it is the one.
//! Upholds I33 and I34.

use crate::{
    error::{Error, ErrorCode, Result},
    graph::LogIndex,
    io::{Access, DiskFile, Env, OpenMode, no_folder},
    log::{Control, Displaced, LogIdentity, holds_segments_of, names_another, reaches_beyond, segment_files},
    shell::{Command, SIDECAR, WAL, command, command_by_log},
    store::{LogKind, LogLink, Part, Store, foreign_folder},
};
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// `path` made absolute, every link followed, if a database file may be there.
pub(crate) fn resolved(env: &Env, path: &Path) -> Result<PathBuf> {
    if path.as_os_str().is_empty() {
        return Err(Error::invalid("the database path is empty"));
    }
    if env.disk.is_dir(path) {
        if let Some(old) = foreign_folder(&*env.disk, path) {
            return Err(old);
        }
        let what = format_args!("{} is a folder: give the path of a file", path.display());
        return Err(Error::invalid(what));
    }
    let found = env.disk.resolve(path).map_err(|e| Error::io("open", path, e))?;
    if is_absent(env, &found) && env.disk.identity(path).is_ok() {
        let what = format_args!(
            "{} leads to a file that was removed, and has no name any more: give the path of a file that is there",
            path.display()
        );
        return Err(Error::new(ErrorCode::NotFound, what).with_path(path));
    }
    Ok(found)
}

/// The folder that a resolved path lies in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// Where the replication log of the database at `path` lies if nothing else is said.
pub(crate) fn default_sidecar(path: &Path) -> PathBuf {
    with_suffix(path, SIDECAR)
}

/// The folder of the private log of the database at `path`.
pub(super) fn wal_dir(path: &Path) -> PathBuf {
    with_suffix(path, WAL)
}

/// The path of what lies beside the database at `path`, under its name and a suffix.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

/// A log that is missed is looked for among so many names of a folder.
const MAX_BESIDE: usize = 4096;

/// A file whose log is looked for.
pub(crate) struct Search<'a> {
    pub env: &'a Env,
    /// Where the file is, resolved.
    pub path: &'a Path,
    pub file: &'a dyn DiskFile,
    pub file_id: [u8; 16],
    pub link: &'a LogLink,
    /// Where its caller says that the sidecar is.
    pub given: Option<&'a Path>,
    /// Whether that is a hint only: the ids decide, also where they are found in another place.
    pub given_is_hint: bool,
    /// Whether a control file of another database that lies where this one's belongs, without a log, is damage: what opens the file
    /// leaves it where it is, and a repair puts it aside.
    pub repairs: bool,
}

/// What was found.
#[derive(Debug)]
pub(crate) enum LogPlace {
    /// The log is here.
    Here(PathBuf),
    /// The log is here; but it, or the file, is a copy of what was there.
    Moved(PathBuf, Displaced),
    /// The log is here, and its control file is gone or damaged.
    Damaged(PathBuf, Error),
    /// There is none. One that is to be made, or that is put back, belongs here.
    Missing(PathBuf),
    /// Another log is here, and the one that the file names is not.
    Another(PathBuf),
    /// There is none here; what the file names is the log of the file that it was copied from.
    Copied(PathBuf),
}

impl LogPlace {
    /// The folder.
    pub fn dir(&self) -> &Path {
        match self {
            Self::Here(dir)
            | Self::Moved(dir, _)
            | Self::Damaged(dir, _)
            | Self::Missing(dir)
            | Self::Another(dir)
            | Self::Copied(dir) => dir,
        }
    }
}

/// How a folder relates to the file.
enum Candidate {
    /// Nothing of the file's is there.
    Empty,
    /// The log of another database.
    Foreign,
    Fits(Displaced),
    Damaged(Error),
}

impl Search<'_> {
    /// Looks for the replication log.
    pub fn sidecar(&self) -> Result<LogPlace> {
        let default = self.followed(default_sidecar(self.path));
        let given = self.given.map(|dir| self.resolve(dir)).transpose()?;
        let hint = self.hint(LogKind::Sidecar).map(|dir| self.followed(dir));
        let named = self.link.kind == LogKind::Sidecar;
        // A file that names no log takes what is where it is to be, and nothing else.
        let places = if named { vec![given.clone(), hint.clone(), Some(default.clone())] } else { vec![given.clone()] };
        let mut places: Vec<PathBuf> = places.into_iter().flatten().collect();
        if places.is_empty() {
            places.push(default.clone());
        }
        let (mut fits, mut damaged, mut another) = (Vec::new(), None, None);
        let mut copied = false;
        for dir in self.distinct(places) {
            let said = given.as_ref() == Some(&dir) || dir == default;
            match self.look_at(&dir)? {
                Candidate::Empty => {}
                Candidate::Foreign => another = another.or(Some(dir)),
                // The file is a copy, and this the log of what it was copied from: nothing but a hint led here.
                Candidate::Fits(moved) if !said && (moved.file && !moved.log || self.is_of_another(&dir)) => {
                    copied = true
                }
                // Damage does not make it this file's.
                Candidate::Damaged(_) if dir != default && self.is_of_another(&dir) => copied = true,
                Candidate::Fits(moved) => fits.push((dir, moved)),
                // Only named by the caller: a folder in which nothing is of this file is none of its logs.
                Candidate::Damaged(e)
                    if dir != default
                        && hint.as_ref() != Some(&dir)
                        && !holds_segments_of(self.env, &dir, self.file_id) =>
                {
                    return Err(e);
                }
                Candidate::Damaged(e) => damaged = damaged.or(Some((dir, e))),
            }
        }
        if let [(one, _), (other, _), ..] = &fits[..] {
            return Err(self.mismatch(format_args!(
                "both {} and {} hold the log of {}: move the one away that is a copy",
                one.display(),
                other.display(),
                self.path.display()
            )));
        }
        let own = given.clone().unwrap_or_else(|| default.clone());
        let should = given.clone().or(hint).unwrap_or(default);
        if let Some((dir, moved)) = fits.pop() {
            if let Some(given) = given.filter(|given| *given != dir && !self.given_is_hint && !self.same(given, &dir)) {
                return Err(self.mismatch(format_args!(
                    "the log of {} is in {}, and not in {}, which was given as its sidecar: leave that option out, or \
                     move the folder there",
                    self.path.display(),
                    dir.display(),
                    given.display()
                )));
            }
            return Ok(if moved.any() { LogPlace::Moved(dir, moved) } else { LogPlace::Here(dir) });
        }
        if let Some((dir, e)) = damaged {
            return Ok(LogPlace::Damaged(dir, e));
        }
        if let Some(dir) = another.filter(|dir| *dir == should) {
            let strays = given.is_none() && self.is_stray(&dir);
            if strays && self.repairs {
                let e = another_control_file(&dir);
                return Ok(LogPlace::Damaged(dir, e));
            }
            let way = strays.then(|| command("repair", self.path, ""));
            return Err(foreign_sidecar(self.path, &dir, way));
        }
        Ok(if copied { LogPlace::Copied(own) } else { LogPlace::Missing(should) })
    }

    /// Looks for the private log that the header names.
    pub fn private(&self) -> Result<LogPlace> {
        let default = wal_dir(self.path);
        let places: Vec<PathBuf> = [Some(default.clone()), self.hint(LogKind::Private)].into_iter().flatten().collect();
        let (mut fits, mut copied, mut another) = (Vec::new(), false, None);
        for dir in self.distinct(places) {
            match self.look_at(&dir) {
                // A log that was left under the file's old name; not that of the file from which this one was copied.
                Ok(Candidate::Fits(moved))
                    if dir != default && (moved.file && !moved.log || self.is_of_another(&dir)) =>
                {
                    copied = true;
                }
                Ok(Candidate::Fits(_)) if self.is_named(&dir)? => fits.push(dir),
                Ok(Candidate::Damaged(_)) if dir != default && self.is_of_another(&dir) => copied = true,
                Ok(Candidate::Damaged(e)) => return Ok(LogPlace::Damaged(dir, e)),
                Ok(Candidate::Empty) => {}
                Ok(Candidate::Fits(_) | Candidate::Foreign) => another = Some(dir),
                Err(e) => return Ok(LogPlace::Damaged(dir, e)),
            }
        }
        match (fits.pop(), fits.pop()) {
            (Some(one), Some(other)) => Err(self.mismatch(format_args!(
                "both {} and {} hold the log of {}: move the one away that is a copy",
                other.display(),
                one.display(),
                self.path.display()
            ))),
            (Some(dir), None) => Ok(LogPlace::Here(dir)),
            _ => Ok(match another {
                Some(dir) => LogPlace::Another(dir),
                None if copied => LogPlace::Copied(default),
                None => LogPlace::Missing(default),
            }),
        }
    }

    /// The log that was left beside a file which does not name it, has the header of that generation, and holds the commits up to `last`.
    /// What a replica lacks, its source has.
    pub(super) fn left(&self, last: LogIndex, generation: u64) -> Result<Option<LeftLog>> {
        if self.link.kind == LogKind::Sidecar || matches!(self.link.part, Part::Follows(_)) {
            return Ok(None);
        }
        let is_read = self.link.kind == LogKind::Private && self.link.open;
        let wal = (!is_read).then(|| (LogKind::Private, wal_dir(self.path)));
        let sidecar = (LogKind::Sidecar, self.followed(default_sidecar(self.path)));
        // One that is given was that of the file, perhaps, when it had a part.
        let given = self.given.map(|dir| self.resolve(dir)).transpose()?;
        let given = given.filter(|dir| *dir != wal_dir(self.path) && *dir != sidecar.1);
        let given = given.map(|dir| (LogKind::Sidecar, dir));
        for (kind, dir) in wal.into_iter().chain([sidecar]).chain(given) {
            if !self.env.disk.is_dir(&dir) {
                continue;
            }
            let control = Control::open(&*self.env.disk, &dir, OpenMode::Read).ok().flatten();
            let control = control.filter(|control| control.identity().file_id == self.file_id);
            let follows = control.as_ref().is_some_and(|control| control.is_replica() || control.is_half_made());
            let seen = control.map_or(0, |control| control.file_generation());
            // A sidecar that was named once is always named from then on.
            let is_older = match (kind, follows) {
                (_, true) => seen > generation && last > LogIndex(0),
                (LogKind::Sidecar, false) => seen > 0,
                _ => seen > generation,
            };
            let damage = match left_log_in(self.env, &dir, self.path, self.file_id, last)? {
                Some(damage) if !follows => damage,
                _ if is_older => older_file(self.path, &dir),
                _ => continue,
            };
            let place = match self.look_at(&dir)? {
                Candidate::Fits(moved) if moved.any() => LogPlace::Moved(dir, moved),
                Candidate::Fits(_) => LogPlace::Here(dir),
                Candidate::Damaged(e) => LogPlace::Damaged(dir, e),
                Candidate::Empty | Candidate::Foreign => {
                    let e = no_control_file(&dir);
                    LogPlace::Damaged(dir, e)
                }
            };
            return Ok(Some(LeftLog { kind, place, damage }));
        }
        Ok(None)
    }

    /// Where else the log that the header names is, which is not in `missing`: in its last place, or beside it, or beside the file. It is
    /// told, and not used: who moved the two apart says whether they go on together.
    pub fn lying_apart(&self, missing: &Path) -> Option<PathBuf> {
        let last = self.link.hint.last_place();
        let folders = [Some(folder_of(self.path)), last.as_deref().map(folder_of)];
        let beside = folders.into_iter().flatten().flat_map(|folder| self.folders_in(folder));
        let is_it = |dir: &PathBuf| dir != missing && self.is_named(dir).unwrap_or(false) && !self.is_of_another(dir);
        last.clone().into_iter().chain(beside).find(is_it)
    }

    fn folders_in(&self, folder: &Path) -> Vec<PathBuf> {
        let names = self.env.disk.list(folder).unwrap_or_default();
        let mut dirs: Vec<PathBuf> = names.iter().take(MAX_BESIDE).map(|name| folder.join(name)).collect();
        dirs.retain(|dir| self.env.disk.is_dir(dir));
        dirs.sort();
        dirs
    }

    /// Whether the log in `dir` is the very one that the header names: a stand-alone file has one log after another.
    fn is_named(&self, dir: &Path) -> Result<bool> {
        let control = Control::open(&*self.env.disk, dir, OpenMode::Read)?;
        let named = LogIdentity { log_id: self.link.id, file_id: self.file_id };
        Ok(control.is_some_and(|control| control.identity() == named || control.current_log() == named))
    }

    fn look_at(&self, dir: &Path) -> Result<Candidate> {
        match Control::open(&*self.env.disk, dir, OpenMode::Read) {
            Ok(Some(control)) if control.identity().file_id == self.file_id => {
                Ok(Candidate::Fits(control.displaced(self.file)?))
            }
            Ok(Some(control)) => Ok(match self.took_the_place(dir, &control) {
                true => Candidate::Damaged(another_control_file(dir)),
                false => Candidate::Foreign,
            }),
            Ok(None) if self.link.kind == LogKind::None => Ok(Candidate::Empty),
            Ok(None) if holds_segments_of(self.env, dir, self.file_id) => Ok(Candidate::Damaged(no_control_file(dir))),
            Ok(None) => Ok(Candidate::Empty),
            Err(e) if e.code() == ErrorCode::Corrupt => Ok(match self.is_damaged_one_of_another(dir) {
                true => Candidate::Foreign,
                false => Candidate::Damaged(e),
            }),
            Err(e) => Err(e),
        }
    }

    /// Whether the control file in `dir`, which does not verify, is another database's, and no segment of this one's is there.
    fn is_damaged_one_of_another(&self, dir: &Path) -> bool {
        names_another(&*self.env.disk, dir, self.file_id) && !holds_segments_of(self.env, dir, self.file_id)
    }

    /// Whether the control file in `dir`, which is another database's, lies among segments of this one, and none of its own.
    fn took_the_place(&self, dir: &Path, control: &Control) -> bool {
        let holds = |file_id| holds_segments_of(self.env, dir, file_id);
        self.link.kind != LogKind::None && holds(self.file_id) && !holds(control.identity().file_id)
    }

    /// Whether nothing but a control file is there of another database, which nobody has open: one that was copied or moved into the
    /// folder of a log that has no segment yet, or no more.
    fn is_stray(&self, dir: &Path) -> bool {
        let has_no_segment = || segment_files(&*self.env.disk, dir).is_ok_and(|files| files.is_empty());
        match Control::open(&*self.env.disk, dir, OpenMode::Read) {
            Ok(Some(control)) => has_no_segment() && matches!(control.writer_lives(), Ok(false)),
            _ => false,
        }
    }

    /// Whether the file that a log in `dir` bears the name of is there, has the same id, and is another file than this one:
    /// then one of them is a copy, and the log is the other one's. That shows where stamps do not tell (overlay, FUSE).
    fn is_of_another(&self, dir: &Path) -> bool {
        is_of_another(self.env, self.file, self.file_id, dir)
    }

    fn hint(&self, kind: LogKind) -> Option<PathBuf> {
        self.link.hint.from(folder_of(self.path)).filter(|_| self.link.kind == kind)
    }

    /// A path that is given, resolved like that of the file.
    fn resolve(&self, dir: &Path) -> Result<PathBuf> {
        self.env.disk.resolve(dir).map_err(|e| Error::io("look for replication sidecar", dir, e))
    }

    /// Where a symbolic link at `dir` leads, if the log of this file is there: who moved it elsewhere and left a link. What is
    /// found is the folder, for everybody who looks. Any other link is what it is: in the way.
    fn followed(&self, dir: PathBuf) -> PathBuf {
        let there = self.env.disk.resolve(&dir).ok().filter(|there| *there != dir && self.env.disk.is_dir(there));
        let is_ours = |there: &PathBuf| match Control::open(&*self.env.disk, there, OpenMode::Read) {
            Ok(Some(control)) if control.identity().file_id == self.file_id => true,
            _ => holds_segments_of(self.env, there, self.file_id),
        };
        there.filter(is_ours).unwrap_or(dir)
    }

    /// Each folder once, whatever its name.
    fn distinct(&self, places: Vec<PathBuf>) -> Vec<PathBuf> {
        let mut distinct: Vec<PathBuf> = Vec::new();
        for dir in places {
            if !distinct.iter().any(|known| *known == dir || self.same(known, &dir)) {
                distinct.push(dir);
            }
        }
        distinct
    }

    fn same(&self, a: &Path, b: &Path) -> bool {
        let identity = |path| self.env.disk.identity(path).ok();
        identity(a).zip(identity(b)).is_some_and(|(a, b)| a == b)
    }

    fn mismatch(&self, what: std::fmt::Arguments<'_>) -> Error {
        Error::new(ErrorCode::LogMismatch, what)
    }
}

/// The list of replicas, which every sidecar has that was opened for writing.
pub(super) const REPLICAS: &str = "replicas";

/// What remembers the source of a replica, in its sidecar.
pub(super) const SOURCE: &str = "source";

/// What is so, and what to do, where the log of the database that was at `path` is in `dir`, and the file itself is gone.
pub(super) fn file_is_gone(env: &Env, path: &Path, dir: &Path) -> String {
    let control = Control::open(&*env.disk, dir, OpenMode::Read).ok().flatten();
    let (was, way) = match control {
        _ if dir == wal_dir(path) => ("database", "put the file back, or restore it from a copy".to_owned()),
        Some(control) if control.is_replica() => (
            "replica",
            format!(
                "put the file back; or, where it is gone for good, make a replica in its place ({})",
                command("replica bootstrap", path, "--source-db SOURCE --overwrite")
            ),
        ),
        // Without it nobody reads that log, and a repair makes it anew from the frames only beside the file.
        None => (
            "database",
            format!(
                "its control file is damaged or gone, so that no replica can take from it what it lacks: put the file back, or a copy of \
                 it, however old, then repair that ({}); only if there is none, let a replica lead without what is in that log ({})",
                command("repair", path, ""),
                command("replica promote", Path::new("REPLICA"), "--force")
            ),
        ),
        Some(_) => (
            "database",
            format!(
                "put the file back, or let a replica of it lead ({}), which takes from that log what it lacks",
                command("replica promote", Path::new("REPLICA"), "--force")
            ),
        ),
    };
    format!(
        "{} is not there, and {} holds the log of the {was} that was: {way}; to begin a new database, move that folder away",
        path.display(),
        dir.display()
    )
}

/// The error of a log whose control file is gone.
pub(super) fn no_control_file(dir: &Path) -> Error {
    let what = format_args!(
        "the log in {} has no control file: put that back, or let a repair make it anew ({}, Database::repair)",
        dir.display(),
        command_by_log("repair", dir, "")
    );
    Error::new(ErrorCode::LogMismatch, what).with_path(dir)
}

/// The error of a control file that is another database's, in the place of the one of the log there.
pub(super) fn another_control_file(dir: &Path) -> Error {
    let what = format_args!(
        "the control file in {} is that of another database, and not of the log there: put the right one back, or let a \
         repair make it anew ({}, Database::repair)",
        dir.display(),
        command_by_log("repair", dir, "")
    );
    Error::new(ErrorCode::LogMismatch, what).with_path(dir)
}

/// The error of a sidecar with the log of another file than that at `path`. `repair`: what puts that aside.
pub(super) fn foreign_sidecar(path: &Path, dir: &Path, repair: Option<Command>) -> Error {
    let repair = repair.map_or_else(String::new, |repair| {
        format!("; or, if nothing there but its control file is that one's, have that put aside ({repair})")
    });
    let what = format_args!(
        "the replication sidecar {} belongs to another database or copy than {}: give another place, or move that folder \
         away{repair}",
        dir.display(),
        path.display()
    );
    Error::new(ErrorCode::LogMismatch, what).with_path(dir)
}

/// The error of a log that a file had and that is not there, but `apart` perhaps.
pub(super) fn log_is_gone(
    path: &Path,
    place: &LogPlace,
    link: &LogLink,
    in_file: LogIndex,
    apart: Option<&Path>,
) -> Error {
    let (shown, dir) = (path.display(), place.dir().display());
    let there = match place {
        LogPlace::Another(_) => "the log there is another one (move that folder away)",
        _ => "it is not there",
    };
    let there = apart.map_or_else(|| there.to_owned(), |apart| format!("{there}, but in {}", apart.display()));
    let say = match link.kind {
        LogKind::Private => "put it back",
        _ => "put it back, or say where it is (replication_sidecar_path, --sidecar)",
    };
    let held = match link.clean_tail {
        Some((index, _)) if !link.open => index,
        _ => in_file,
    };
    let what = match (link.open, link.part) {
        (true, _) if matches!(place, LogPlace::Copied(_)) => format!(
            "{shown} is a copy of a file that was in use: commits after log index {held} are only in the log of that one, \
             which was not copied to {dir}. Copy both, while nobody writes; or make it a database of its own as of log index {held} \
             ({})",
            command("role", path, "detach --overwrite")
        ),
        (false, Part::Follows(_)) => format!(
            "the log of the replica {shown} should be in {dir}, and {there}. The file holds every commit up to log index \
             {held}: {say}; without it the replica begins a new one when it is told its source again ({})",
            command("replica follow", path, "--source-db SOURCE")
        ),
        (true, Part::Follows(_)) => format!(
            "commits after log index {held} of the replica {shown} are only in its log, which should be in {dir}, and \
             {there}: {say}, or copy its source anew ({})",
            command("replica reseed", path, "--source-db SOURCE")
        ),
        (false, _) => format!(
            "the log of {shown} should be in {dir}, and {there}. The file holds every commit up to log index {held}; who \
             may have taken over from it, only the log knows: {say}; or, if it is lost, make it a replica of the node that \
             leads ({}), or, if no other node leads, let it lead anew ({}) or stand alone ({})",
            command("replica reseed", path, "--source-db NODE --overwrite"),
            command("role", path, "primary --moved --force"),
            command("role", path, "detach")
        ),
        (true, _) => format!(
            "commits after log index {held} of {shown} are only in its log, which should be in {dir}, and {there}: {say}; \
             opened read-only, it shows the state at log index {held}. If the log is lost, {} says what can be kept",
            command("repair", path, "--dry-run")
        ),
    };
    Error::new(ErrorCode::LogMismatch, what).with_path(place.dir())
}

/// A log of a file beside it that the file does not name, though it has commits which the file lacks: an older copy of the file is
/// in its place, or the newest of its headers is damaged. Upholds I46.
#[derive(Debug)]
pub(super) struct LeftLog {
    pub kind: LogKind,
    pub place: LogPlace,
    /// What is told of it.
    pub damage: Error,
}

/// The damage that the log of a file in `dir` is, which has commits after `last` and which the file at `path` does not name.
pub(super) fn left_log_in(
    env: &Env,
    dir: &Path,
    path: &Path,
    file_id: [u8; 16],
    last: LogIndex,
) -> Result<Option<Error>> {
    let ours = env.disk.is_dir(dir) && holds_segments_of(env, dir, file_id);
    if !ours || !reaches_beyond(env, dir, file_id, None, last)? {
        return Ok(None);
    }
    Ok(Some(Error::corrupt(format_args!(
        "{} holds commits after log index {last} that {} does not have and does not name: an older copy of the file is in its \
         place, or the newest of its headers is damaged. Put the newer file back, or let it take from that log what it lacks ({}); \
         to go on without those commits, move that folder away",
        dir.display(),
        path.display(),
        command("repair", path, "")
    ))
    .with_path(dir)))
}

/// The damage that a file at `path` is of whose log in `dir` has seen a newer header.
pub(super) fn older_file(path: &Path, dir: &Path) -> Error {
    let what = format_args!(
        "the log in {} knows of a newer state of {}, and does not go on from what that holds: an older copy of the file is in its place, or \
         the newest of its headers is damaged. Put the newer file back, or copy a node that leads ({}); to go on without what came \
         since, move that folder away",
        dir.display(),
        path.display(),
        command("replica reseed", path, "--source-db NODE --overwrite")
    );
    Error::corrupt(what).with_path(dir)
}

/// The error of a write to a primary whose files are not those that its log remembers.
pub(super) fn files_moved(path: &Path, place: &LogPlace) -> Error {
    let detach = match place {
        // Its header does not tell what of the other one's log it lacks.
        LogPlace::Copied(_) => format!(
            "{}; where it was copied in use, {}, without the commits that are only in that log",
            command("role", path, "detach"),
            command("role", path, "detach --overwrite")
        ),
        _ => command("role", path, "detach").to_string(),
    };
    let how = match place {
        LogPlace::Moved(_, Displaced { log: true, file: true }) => "its files and its log are copies",
        LogPlace::Moved(_, Displaced { log: true, .. }) => "its log is a copy",
        LogPlace::Copied(_) => "it is a copy of another file, whose log is where that one left it",
        _ => "its file is another one than the log was written for",
    };
    Error::new(
        ErrorCode::FilesMoved,
        format_args!(
            "{} is a primary that was copied or restored: {how}. It reads. Where the original is gone for good, let \
             this one lead in its place ({}, Database::confirm_moved); else make it a database of its own ({}, \
             Database::detach), or, where another node leads, a replica of that one ({})",
            path.display(),
            command("role", path, "primary --moved"),
            detach,
            command("replica reseed", path, "--source-db NODE --overwrite")
        ),
    )
    .with_path(path)
}

/// As [`Search::is_of_another`], of the log of `file`.
pub(super) fn is_of_another(env: &Env, file: &dyn DiskFile, file_id: [u8; 16], dir: &Path) -> bool {
    let name = dir.file_name().and_then(|name| name.to_str());
    let stem = name.and_then(|name| name.strip_suffix(WAL).or_else(|| name.strip_suffix(SIDECAR)));
    let Some(path) = stem.map(|stem| dir.with_file_name(stem)) else { return false };
    let here = file.identity().ok();
    let other = env.disk.identity(&path).is_ok_and(|there| here.is_some_and(|here| here != there));
    other && Store::peek(env, &path).is_ok_and(|there| there.file_id == file_id)
}

/// Whether nothing is at `path`.
pub(crate) fn is_absent(env: &Env, path: &Path) -> bool {
    env.disk.identity(path).is_err_and(|e| e.kind() == ErrorKind::NotFound)
}

/// `env` with `folder` held by a handle. Upholds I34.
pub(super) fn anchored(env: &Env, folder: &Path, like: Access) -> std::io::Result<Env> {
    let disk = env.disk.anchor(folder, Some(like)).map_err(|e| no_folder(folder, e))?;
    Ok(Env { disk, host: env.host.clone() })
}
