//! The nodes that a node is related to, as far as they can be reached from it: the replicas that are registered in its log,
//! those beside it that follow it, the source that it followed, and theirs in turn. Who is to lead from files that may be
//! older than what others have looks at them first: one of them may lead by now, or hold more.
//!
//! Of the same family is who has a commit of a writer that the other one has a commit of: writer ids are random, and no
//! path and no file id tells that.

use crate::{
    db::{Engine, LogPlace, Search, Word, beyond_file, default_sidecar, fence_by_header, folder_of},
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex, Token, WriterTag},
    io::{Env, FileIdentity, OpenMode},
    log::{Control, Fence, LogIdentity, SeenEpoch, WriterId, holds_segments_of, proven, whose_segments, writers},
    replication::{
        node_file::{log_dirs, place_named},
        registry::{Registration, Registry},
        source::{
            SourcePaths,
            find_log::{InUse, in_use_at},
            remembered::remembered_in,
        },
    },
    shell::{SIDECAR, command, shell_word},
    store::{Hint, LogKind, LogLink, Part, Store},
};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// So many nodes are looked at.
const MAX_NODES: usize = 256;
/// So many names of a folder are looked at.
const MAX_BESIDE: usize = 4096;

/// What the files of a node say of it, to who only looks.
#[derive(Debug)]
pub struct Related {
    db: PathBuf,
    file_id: [u8; 16],
    /// The id under which it registers.
    id: [u8; 16],
    /// Whether only its log tells of it: its file is gone, or does not open.
    by_log: bool,
    /// The folder of its log, if that is there.
    dir: Option<PathBuf>,
    /// Whether it leads: it is not fenced, no replica, and no copy.
    leads: bool,
    /// Whether it is a replica.
    follows: bool,
    /// The epoch that it leads, or that of its last commit.
    epoch: Epoch,
    /// The latest epoch that it knows to have begun.
    knows: Epoch,
    /// The latest epoch that it knows of, also if that may never have begun.
    taken: Epoch,
    /// Its last commit that counts.
    last: Token,
    /// Who wrote its commits.
    writers: Vec<WriterId>,
}

/// What was looked at: files, and folders of logs.
#[derive(Default)]
struct Passed {
    files: Vec<FileIdentity>,
    logs: Vec<FileIdentity>,
}

/// Notes what is at `path`. Whether anything is, and was not noted before.
fn is_new(env: &Env, path: &Path, passed: &mut Vec<FileIdentity>) -> bool {
    let Ok(it) = env.disk.identity(path) else { return false };
    let is_new = !passed.contains(&it);
    passed.extend(is_new.then_some(it));
    is_new
}

/// A node that leads, or holds what another one lacks that is to lead.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rival {
    /// Its file.
    pub db: PathBuf,
    /// The epoch that it leads; `None`: it does not lead.
    pub leads: Option<u64>,
    /// Its last commit.
    pub last_token: Token,
    /// An epoch that it knows to have been begun by yet another node, which is later than any that is known here.
    pub knows_epoch: Option<u64>,
    /// The folder of its log, if nothing else tells of it: its file is gone, cannot be read, or another one is in its place.
    pub by_log: Option<PathBuf>,
}

/// What is so.
impl fmt::Display for Rival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (db, last) = (self.db.display(), self.last_token);
        if let Some(dir) = &self.by_log {
            write!(f, "by its log in {}, ", dir.display())?;
        }
        match (self.leads, self.knows_epoch) {
            (Some(epoch), _) => write!(f, "{db} leads epoch {epoch}, with the commits up to {last}"),
            (None, Some(epoch)) => {
                write!(f, "{db}, with the commits up to {last}, knows that another node leads epoch {epoch}")
            }
            (None, None) => write!(f, "{db} holds the commits up to {last}"),
        }
    }
}

impl Rival {
    /// Whether another node leads, as far as this one tells.
    pub(crate) fn is_led(&self) -> bool {
        self.leads.or(self.knows_epoch).is_some()
    }

    /// Whether it leads, and its file is there.
    pub fn can_be_followed(&self) -> bool {
        self.leads.is_some() && self.by_log.is_none()
    }

    /// Why the primary at `path`, which holds commits up to `last`, does not lead again in place of the one that it was
    /// copied from.
    fn keeps_from_leading(&self, path: &Path, last: Token, is_original: bool) -> Error {
        // What is here has to go: to be followed by it, that node's graph takes its place.
        let reseed = |source: &Path| {
            let source = format!("--source-db {} --overwrite", shell_word(source));
            command("replica reseed", path, source)
        };
        let instead = match (self.leads, self.knows_epoch) {
            _ if is_original => format!(
                "That is the one that this one was copied from, or a copy of it: where it goes on, this one can be a database of \
                 its own ({}); where it is not needed, remove it with its log",
                command("role", path, "detach")
            ),
            (Some(_), _) => format!("Make this one a replica of that one ({})", reseed(&self.db)),
            (None, Some(_)) => format!("Make this one a replica of that other node ({})", reseed(Path::new("NODE"))),
            (None, None) => format!(
                "Let that one lead ({}), and make this one a replica of it ({})",
                command("replica promote", &self.db, "--force"),
                reseed(&self.db)
            ),
        };
        let put_back = match &self.by_log {
            Some(dir) if !is_original => format!("Put back the file to which the log in {} belongs. ", dir.display()),
            _ => String::new(),
        };
        let force = command("role", path, "primary --moved --force");
        let what = format_args!(
            "stale primary: {} has the commits up to {last}, and {self}: if this one leads again, there are two histories. \
             {put_back}{instead}; only if what that one has is to be given up, force it ({force}, replication_overwrite)",
            path.display()
        );
        let error = Error::new(ErrorCode::StalePrimary, what).with_path(path).with_token(last);
        let error = error.with_found(self.last_token.full());
        match self.leads.or(self.knows_epoch) {
            Some(epoch) => error.with_epoch(Epoch(epoch)),
            None => error,
        }
    }
}

impl Unseen {
    /// Why the primary at `path`, which holds commits up to `last`, does not lead again before this one was looked at.
    fn keeps_from_leading(&self, path: &Path, last: Token) -> Error {
        let reported = self.reported.unwrap_or_default();
        let what = format_args!(
            "stale primary: {} has the commits up to {last}, and {}, and had reported {reported}: it has more, or leads by now. \
             Put it where it was, or mount it; only if it is gone for good, force it ({force}, replication_overwrite)",
            path.display(),
            self.what,
            force = command("role", path, "primary --moved --force")
        );
        Error::new(ErrorCode::StalePrimary, what)
    }
}

impl Related {
    /// The node at `paths`; `None` if none can be looked at there. Where its file is gone, or does not open, its log tells.
    pub fn at(env: &Env, paths: &SourcePaths) -> Option<Self> {
        Self::all_at(env, paths, &mut Passed::default()).into_iter().next()
    }

    /// All that speaks for a node at `paths` and was not passed already: the file that is there, and each log where the node's would
    /// lie. What took the place of a file takes nothing from what its log says: another database, a link to one, anything else.
    fn all_at(env: &Env, paths: &SourcePaths, passed: &mut Passed) -> Vec<Self> {
        let path = place_named(env, &paths.db);
        let mut found = Vec::new();
        if is_new(env, &path, &mut passed.files)
            && let Ok(store) = Store::open(env, &path, false)
        {
            found.extend(Self::of_file(env, path.clone(), paths, &store));
        }
        if let Some(dir) = found.iter().find_map(|node| node.dir.as_ref()) {
            // It is heard with its file.
            is_new(env, dir, &mut passed.logs);
        }
        for dir in log_dirs(paths, &path) {
            if is_new(env, &dir, &mut passed.logs) {
                let db = file_of(&dir).unwrap_or_else(|| path.clone());
                found.extend(Self::of_log(env, db, &dir));
            }
        }
        found
    }

    fn of_file(env: &Env, db: PathBuf, paths: &SourcePaths, store: &Store) -> Option<Self> {
        let (link, manifest) = (store.log_link(), store.manifest());
        if link.kind != LogKind::Sidecar {
            return None;
        }
        let search = Search {
            env,
            path: &db,
            file: &**store.file(),
            file_id: store.file_id(),
            link: &link,
            given: paths.sidecar.as_deref(),
            given_is_hint: true,
            repairs: false,
        };
        let (dir, copied, log_copied) = match search.sidecar() {
            Ok(LogPlace::Here(dir)) => (Some(dir), false, false),
            Ok(LogPlace::Moved(dir, moved)) => (Some(dir), true, moved.log),
            Ok(LogPlace::Damaged(dir, _)) => (Some(dir), true, false),
            _ => (None, true, false),
        };
        let control = dir.as_ref().and_then(|dir| Control::open(&*env.disk, dir, OpenMode::Read).ok()?);
        let control = control.filter(|control| control.identity().file_id == store.file_id());
        let fence = control.as_ref().and_then(|control| {
            let fence = control.fence().ok()?;
            Some(fence_by_header(control, &fence, &link, [u8::MAX; 16]).map_or(fence, |(fence, _)| fence))
        });
        let log = LogIdentity { log_id: link.id, file_id: store.file_id() };
        let mark = manifest.checkpoint;
        let word = Word { file_id: store.file_id(), link: &link, checkpoint: (mark.log_index, mark.digest) };
        // Also what an older copy of the file, or of its control file, does not know of.
        let beyond = |dir: &PathBuf| beyond_file(env, word, dir, control.as_ref(), log_copied).ok()?;
        let beyond = dir.as_ref().and_then(beyond);
        let mut wrote: Vec<_> = manifest.history.iter().map(|led| (led.epoch, led.writer_id, led.first)).collect();
        wrote.extend(dir.iter().flat_map(|dir| writers(env, dir, log).unwrap_or_default()));
        wrote.extend(beyond.iter().flat_map(|held| held.wrote.iter().copied()));
        let in_log = control.as_ref().filter(|control| link.open && control.current_log() == log);
        let in_log = in_log.map_or(LogIndex(0), |control| in_log_of(env, control));
        let beyond = beyond.map_or(LogIndex(0), |held| held.last);
        let end = word.holds().0.max(mark.log_index).max(in_log).max(beyond);
        let seen = control.as_ref().map(Control::seen_epoch).unwrap_or_default();
        let assumed = fence.is_none_or(|fence| fence.moved_by == Some([u8::MAX; 16]));
        let assumed = assumed || control.as_ref().is_some_and(Control::fence_is_assumed);
        let fence = fence.unwrap_or_else(|| said_by(&link, mark.epoch));
        let id = control.as_ref().and_then(Control::registration).unwrap_or(store.file_id());
        Some(Self {
            leads: !copied && leads(&fence),
            ..Self::of((db, store.file_id(), id, dir), (&fence, assumed), seen, wrote, end)
        })
    }

    /// The node of which nothing but the log in `dir` tells. It leads again once its file is put back, unless that log is a copy.
    fn of_log(env: &Env, db: PathBuf, dir: &Path) -> Option<Self> {
        let whose = whose_segments(env, dir);
        let control = Control::open(&*env.disk, dir, OpenMode::Read).ok().flatten();
        // One of another database that lies among segments tells nothing of their log.
        let control = control.filter(|control| {
            let id = control.identity().file_id;
            whose.is_none_or(|whose| whose == id) || holds_segments_of(env, dir, id)
        });
        let file_id = control.as_ref().map(|control| control.identity().file_id).or(whose)?;
        let held = proven(env, dir, file_id, control.as_ref()).ok().flatten();
        let last = held.as_ref().map(|held| (held.epoch, held.last)).unwrap_or_default();
        let fence = control.as_ref().and_then(|control| control.fence().ok());
        let copied = control.as_ref().is_none_or(|control| control.is_copied().unwrap_or(true));
        let assumed = fence.is_none() || control.as_ref().is_some_and(Control::fence_is_assumed);
        let fence = fence.unwrap_or_else(|| Fence::new(last.0));
        let seen = control.as_ref().map(Control::seen_epoch).unwrap_or_default();
        let id = control.as_ref().and_then(Control::registration).unwrap_or(file_id);
        let end = last.1.max(control.as_ref().map(Control::published).unwrap_or_default());
        let wrote = held.map(|held| held.wrote).unwrap_or_default();
        Some(Self {
            leads: !copied && leads(&fence),
            by_log: true,
            ..Self::of((db, file_id, id, Some(dir.to_owned())), (&fence, assumed), seen, wrote, end)
        })
    }

    /// The node that this process has open.
    pub fn open_here(engine: &Engine, control: &Control) -> Result<Self> {
        let (fence, seen, assumed) = (control.fence()?, control.seen_epoch(), control.fence_is_assumed());
        let of = (engine.path.clone(), engine.store.file_id(), engine.reporting_id(), Some(engine.log_dir.clone()));
        let (_, _, end, _) = engine.position();
        let wrote = engine.history().iter().map(|led| (led.epoch, led.writer_id, led.first)).collect();
        Ok(Self::of(of, (&fence, assumed), seen, wrote, end))
    }

    fn of(
        (db, file_id, id, dir): (PathBuf, [u8; 16], [u8; 16], Option<PathBuf>),
        (fence, assumed): (&Fence, bool),
        seen: SeenEpoch,
        wrote: Vec<(Epoch, WriterId, LogIndex)>,
        end: LogIndex,
    ) -> Self {
        let moved = fence.moved();
        // What came after is void.
        let end = moved.and_then(|moved| moved.ended).map_or(end, |ended| end.min(ended));
        let before_end = || wrote.iter().filter(|(_, _, first)| *first <= end && end.0 > 0);
        let last_epoch = before_end().map(|led| led.0).max().unwrap_or_default();
        let mut writers = before_end().filter(|led| led.0 == last_epoch).map(|led| WriterTag::of(&led.1));
        // Of an epoch that is said to have several writers, nobody knows which one is meant.
        let writer = writers.next().flatten().filter(|tag| writers.all(|other| other == Some(*tag)));
        let last = Token::new(last_epoch, end).with_tag(writer);
        let led = if moved.is_some() { Epoch(fence.epoch.0.saturating_sub(1)) } else { fence.epoch };
        let epoch = if fence.follows { last.epoch } else { led.max(last.epoch) };
        // Nobody need have moved an assumed one.
        let after = moved.filter(|moved| moved.ended.is_some() && !assumed).map(|moved| moved.epoch);
        Self {
            knows: seen.begun().max(epoch).max(after.unwrap_or_default()),
            taken: wrote.iter().map(|led| led.0).chain([seen.epoch, fence.epoch]).max().unwrap_or_default(),
            writers: wrote.into_iter().map(|led| led.1).filter(|id| *id != [0; 16]).collect(),
            leads: leads(fence),
            follows: fence.follows,
            by_log: false,
            db,
            file_id,
            id,
            dir,
            epoch,
            last,
        }
    }

    /// Every node of its family that can be reached, each once.
    pub fn family(&self, env: &Env) -> Vec<Self> {
        let mut passed = self.passed(env);
        let mut ways = self.neighbours(env);
        ways.extend(self.beside(env));
        let mut found = Vec::new();
        while let Some(paths) = ways.pop() {
            if passed.files.len().max(passed.logs.len()) >= MAX_NODES {
                break;
            }
            for node in Self::all_at(env, &paths, &mut passed) {
                // What this one was copied from is told apart: see `originals`.
                if node.file_id != self.file_id && node.is_of(self, env) {
                    ways.extend(node.neighbours(env));
                    // Who took over from it is registered there no more.
                    ways.extend(node.beside(env));
                    found.push(node);
                }
            }
        }
        found
    }

    /// The nodes with the same file id as this one, which was copied from one of them, or is one that another one was copied
    /// from: where its header says that it was last, and what lies in the same folder, or in that one. Where no file of that id
    /// is beside a log of it, the log speaks for the node.
    pub fn originals(&self, env: &Env, hint: &Hint) -> Vec<Self> {
        let mut passed = self.passed(env);
        // What lies there is this file's to find, or not.
        is_new(env, &default_sidecar(&self.db), &mut passed.logs);
        let (here, last) = (folder_of(&self.db), hint.last_place());
        let sidecars: Vec<PathBuf> = [hint.from(here), last.clone()].into_iter().flatten().collect();
        let mut ways: Vec<PathBuf> = sidecars.iter().filter_map(|dir| file_of(dir)).collect();
        let folders = [Some(here), last.as_deref().map(folder_of)];
        for folder in folders.into_iter().flatten() {
            let names = env.disk.list(folder).unwrap_or_default();
            ways.extend(names.iter().take(MAX_BESIDE).map(|name| folder.join(name)));
        }
        let mut found = Vec::new();
        for db in ways {
            found.extend(Self::all_at(env, &at_path(db), &mut passed));
        }
        // A log that lies elsewhere than beside its file.
        for dir in sidecars {
            if is_new(env, &dir, &mut passed.logs) {
                found.extend(Self::of_log(env, dir.clone(), &dir));
            }
        }
        found.retain(|node| node.file_id == self.file_id);
        found.into_iter().map(|node| Self { leads: node.leads && node.may_lead_on(env), ..node }).collect()
    }

    /// Its own file and log.
    fn passed(&self, env: &Env) -> Passed {
        let mut passed = Passed::default();
        is_new(env, &self.db, &mut passed.files);
        if let Some(dir) = &self.dir {
            is_new(env, dir, &mut passed.logs);
        }
        passed
    }

    /// Whether somebody takes commits for this node, or takes over from it by its log, as things are. What is left of a node whose
    /// file is gone leads nowhere unless a process has it open still; it may have more.
    fn may_lead_on(&self, env: &Env) -> bool {
        let in_use = |dir: &PathBuf| {
            let control = Control::open(&*env.disk, dir, OpenMode::Read).ok()??;
            in_use_at(env, &self.db, &control).ok()
        };
        !self.by_log || self.dir.as_ref().and_then(in_use) == Some(InUse::Yes)
    }

    /// Who may hold more, or lead, and cannot be looked at: the replicas that are registered here and are not where they said
    /// they were, those of a registry that is lost, and the source that was followed.
    fn unseen(&self, env: &Env) -> Vec<Unseen> {
        let Some(dir) = &self.dir else {
            let what = format!("the log of {}, which knows its replicas, is not there", self.db.display());
            return vec![Unseen { what, reported: None }];
        };
        let mut unseen = Vec::new();
        for replica in self.registrations(env) {
            let label = replica.labels.path.clone();
            let is_it = |node: &Self| hex(node.id) == replica.replica_id || hex(node.file_id) == replica.replica_id;
            let there = label.clone().map(|path| Self::all_at(env, &at_path(path.into()), &mut Passed::default()));
            if there.is_some_and(|there| there.iter().any(is_it)) {
                continue;
            }
            let at = label.map_or_else(String::new, |path| format!(" at {path}"));
            let reported = Token::new(replica.epoch, replica.durable.max(replica.applied));
            unseen.push(Unseen {
                what: format!("the replica {}, registered{at}, is not there", &replica.replica_id),
                reported: Some(reported),
            });
        }
        if let Ok(Some(loss)) = Registry::loss_at(env, dir) {
            unseen.push(Unseen { what: loss.to_string(), reported: None });
        }
        if let Some(source) = remembered_in(&*env.disk, dir, &self.db, env)
            && !Self::all_at(env, &source.paths, &mut Passed::default())
                .iter()
                .any(|node| source.file_id.is_none_or(|id| id == node.file_id) || node.is_of(self, env))
        {
            let what = format!("the source {}, which it followed, is not there", source.paths.db.display());
            unseen.push(Unseen { what, reported: None });
        }
        unseen
    }

    /// Whether it is of the same database as `family`.
    pub fn is_of(&self, family: &Self, env: &Env) -> bool {
        // Of a file that holds no commit, and of a log whose file is gone, who follows it tells.
        let follows = || {
            let known = remembered_in(&*env.disk, self.dir.as_ref()?, &self.db, env)?;
            known.file_id.filter(|id| *id == family.file_id)
        };
        let shares = self.writers.iter().any(|id| family.writers.contains(id));
        shares || ((family.writers.is_empty() || self.by_log) && follows().is_some())
    }

    fn registrations(&self, env: &Env) -> Vec<Registration> {
        let registry = || {
            let dir = self.dir.as_ref()?;
            let control = Arc::new(Control::open(&*env.disk, dir, OpenMode::Read).ok()??);
            Registry::look(env, dir, control).ok()?
        };
        registry().map(|registry| registry.registrations()).unwrap_or_default()
    }

    /// The replicas that are registered in its log, and the source that it followed.
    fn neighbours(&self, env: &Env) -> Vec<SourcePaths> {
        let Some(dir) = &self.dir else { return Vec::new() };
        let registered =
            self.registrations(env).into_iter().filter_map(|replica| Some(at_path(replica.labels.path?.into())));
        let followed = remembered_in(&*env.disk, dir, &self.db, env).map(|known| known.paths);
        registered.chain(followed).collect()
    }

    /// Who lies in the same folder and remembers that it follows this one: a log that is gone took with it who was
    /// registered there.
    fn beside(&self, env: &Env) -> Vec<SourcePaths> {
        let folder = folder_of(&self.db);
        let names = env.disk.list(folder).unwrap_or_default();
        let follows = |name: &String| {
            let db = folder.join(name.strip_suffix(SIDECAR)?);
            let known = remembered_in(&*env.disk, &folder.join(name), &db, env)?;
            (known.file_id == Some(self.file_id)).then(|| at_path(db))
        };
        names.iter().filter_map(follows).collect()
    }

    /// What `other` is to this one, if this one is to lead and that one leads, or holds what this one lacks.
    fn rival(&self, other: &Self) -> Option<Rival> {
        let leads = other.leads && other.epoch >= self.epoch;
        let knows = other.knows > self.knows.max(self.epoch);
        let ahead = other.last.epoch > self.epoch
            || (other.last.epoch == self.epoch && other.last.log_index > self.last.log_index);
        (leads || knows || ahead).then(|| Rival {
            db: other.db.clone(),
            leads: leads.then_some(other.epoch.0),
            last_token: other.last,
            knows_epoch: (knows && !other.leads && other.knows > other.last.epoch).then_some(other.knows.0),
            by_log: other.dir.clone().filter(|_| other.by_log),
        })
    }

    /// Those of `family` that lead, or hold what this one lacks: first who leads the latest epoch, then who has most.
    pub fn rivals(&self, family: &[Self]) -> Vec<Rival> {
        let mut rivals: Vec<_> = family.iter().filter_map(|other| self.rival(other)).collect();
        rivals.sort_by_key(|rival| {
            let last = rival.last_token;
            std::cmp::Reverse((rival.leads, rival.knows_epoch, last.epoch, last.log_index))
        });
        // Where the leader itself is known, nobody need tell of it.
        let led = rivals.iter().filter_map(|rival| rival.leads).max();
        rivals.retain(|rival| rival.knows_epoch.is_none_or(|knows| led.is_none_or(|led| led < knows)));
        rivals
    }
}

/// The latest epoch that any of `family` knows of.
pub fn taken_by(family: &[Related]) -> Epoch {
    family.iter().map(|node| node.taken).max().unwrap_or_default()
}

/// What was seen of others before a primary leads anew.
#[derive(Debug, Default)]
pub struct Others {
    /// The latest epoch that any of them knows of.
    pub taken: Epoch,
    /// Who could not be looked at.
    pub unseen: Vec<String>,
}

/// Who could not be looked at, and what it had by its last report.
struct Unseen {
    what: String,
    reported: Option<Token>,
}

/// Fails if a node leads, or holds what the primary at `path` lacks, which was copied or restored and is to lead again: also
/// the one that it was copied from, and one that cannot be looked at, if the registry says so. `told`: it is to lead whoever does.
pub fn require_no_rival(env: &Env, path: &Path, sidecar: Option<PathBuf>, told: bool) -> Result<Others> {
    let Some(own) = Related::at(env, &SourcePaths { db: path.to_owned(), sidecar }) else {
        return Ok(Others::default());
    };
    let mut others = own.family(env);
    let hint = Store::peek(env, path).map(|peek| peek.log.hint).unwrap_or_default();
    others.extend(own.originals(env, &hint));
    if let Some(rival) = own.rivals(&others).first().filter(|_| !told) {
        let is_original = others.iter().any(|node| node.db == rival.db && node.file_id == own.file_id);
        return Err(rival.keeps_from_leading(path, own.last, is_original));
    }
    let unseen = own.unseen(env);
    let ahead = |token: &Token| (token.epoch, token.log_index) > (own.epoch.max(own.last.epoch), own.last.log_index);
    if let Some(more) = unseen.iter().find(|unseen| unseen.reported.as_ref().is_some_and(ahead)).filter(|_| !told) {
        return Err(more.keeps_from_leading(path, own.last));
    }
    Ok(Others { taken: taken_by(&others), unseen: unseen.into_iter().map(|unseen| unseen.what).collect() })
}

/// Who leads, or has more than the replica at `path`, whose log is in `dir`, as far as it can be reached in `env`.
pub fn rivals_of_replica(env: &Env, path: &Path, dir: &Path) -> Vec<Rival> {
    let own = Related::at(env, &SourcePaths { db: path.to_owned(), sidecar: Some(dir.to_owned()) });
    own.map(|own| own.rivals(&own.family(env))).unwrap_or_default()
}

/// Who leads in place of the primary that `engine` has open, or has more, as far as it can be reached in `env`.
pub fn rivals_around(engine: &Engine, env: &Env) -> Result<Vec<Rival>> {
    let Some(control) = &engine.sidecar else { return Ok(Vec::new()) };
    let own = Related::open_here(engine, control)?;
    Ok(own.rivals(&own.family(env)))
}

/// The latest epoch that any node knows of that can be reached in `env` from the primary that `engine` has open.
pub fn taken_around(engine: &Engine, env: &Env) -> Result<Epoch> {
    let Some(control) = &engine.sidecar else { return Ok(Epoch::default()) };
    Ok(taken_by(&Related::open_here(engine, control)?.family(env)))
}

/// Fails where a promotion of the primary that `engine` has open would make a second history: its fence was moved, nothing tells that the
/// promotion which did that came to its end, and another node is seen to lead.
pub fn require_nobody_leads_instead(engine: &Engine, env: &Env) -> Result<()> {
    let Some(control) = &engine.sidecar else { return Ok(()) };
    if control.fence()?.moved().is_none_or(|moved| moved.ended.is_some() && !control.fence_is_assumed()) {
        return Ok(());
    }
    match rivals_around(engine, env)?.into_iter().find(|rival| rival.leads.is_some()) {
        Some(rival) => Err(leads_instead(&engine.path, &rival)),
        None => Ok(()),
    }
}

fn leads_instead(path: &Path, rival: &Rival) -> Error {
    let what = format_args!(
        "stale primary: {rival}. Let {own} follow that one ({follow}); only if that one is gone for good, let it lead by force ({lead}, \
         primary_promote_by_force): then there are two histories",
        own = path.display(),
        follow = command("replica follow", path, format_args!("--source-db {}", shell_word(&rival.db))),
        lead = command("primary promote", path, "--force"),
    );
    Error::new(ErrorCode::StalePrimary, what).with_epoch(Epoch(rival.leads.unwrap_or_default())).with_path(path)
}

/// Who has more than the database at `path`, or leads in its place: for an operator who is about to mend its log.
pub fn rivals_of(env: &Env, path: &Path, sidecar: Option<PathBuf>) -> Vec<Rival> {
    let own = Related::at(env, &SourcePaths { db: path.to_owned(), sidecar });
    // Of a replica its source has more, and leads.
    own.filter(|own| !own.follows).map(|own| own.rivals(&own.family(env))).unwrap_or_default()
}

fn leads(fence: &Fence) -> bool {
    !fence.follows && fence.moved_by.is_none()
}

/// The last frame that counts in the log of `control`: while its writer lives, that is what this one has published.
fn in_log_of(env: &Env, control: &Control) -> LogIndex {
    let published = control.published();
    if control.writer_lives().unwrap_or(true) {
        return published;
    }
    let held = proven(env, control.dir(), control.identity().file_id, Some(control));
    held.ok().flatten().map_or(published, |held| held.last.max(published))
}

/// The file beside which a sidecar of that name lies.
fn file_of(dir: &Path) -> Option<PathBuf> {
    let name = dir.file_name()?.to_str()?;
    Some(dir.with_file_name(name.strip_suffix(SIDECAR)?))
}

fn hex(id: [u8; 16]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn at_path(db: PathBuf) -> SourcePaths {
    SourcePaths { db, sidecar: None }
}

/// What a header says of a fence that is not at hand.
fn said_by(link: &LogLink, last: Epoch) -> Fence {
    match link.part {
        Part::Leads(epoch) => Fence::new(epoch.max(last)),
        Part::Follows(epoch) => Fence { follows: true, ..Fence::new(epoch.max(last)) },
        Part::Fenced { by, promotion, .. } => Fence { moved_by: Some(promotion), ..Fence::new(by) },
        Part::Unsaid | Part::StandAlone => Fence::new(last),
    }
}
