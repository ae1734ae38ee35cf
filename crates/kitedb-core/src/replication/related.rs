//! The nodes that a node is related to, as far as they can be reached from it: the replicas that are registered in its log,
//! those beside it that follow it, the source that it followed, and theirs in turn.
//!
//! Of the same family is who has a commit of a writer that the other one has a commit of: writer ids are random, and no
//! path and no file id tells that.

use crate::{
    db::{Engine, LogPlace, Search, Word, beyond_file, default_sidecar, fence_by_header, folder_of},
    error::Result,
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
    shell::SIDECAR,
    store::{Hint, LogKind, LogLink, Part, Store},
};
use std::{
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
    pub db: PathBuf,
    pub file_id: [u8; 16],
    /// The id under which it registers.
    id: [u8; 16],
    /// Whether only its log tells of it: its file is gone, or does not open.
    pub by_log: bool,
    /// The folder of its log, if that is there.
    pub dir: Option<PathBuf>,
    /// Whether it leads: it is not fenced, no replica, and no copy.
    pub leads: bool,
    /// Whether it is a replica.
    pub follows: bool,
    /// The epoch that it leads, or that of its last commit.
    pub epoch: Epoch,
    /// The latest epoch that it knows to have begun.
    pub knows: Epoch,
    /// The latest epoch that it knows of, also if that may never have begun.
    pub taken: Epoch,
    /// Its last commit that counts.
    pub last: Token,
    /// Who wrote its commits.
    writers: Vec<WriterId>,
}

/// Who could not be looked at, and what it had by its last report.
pub struct Unseen {
    pub what: String,
    pub reported: Option<Token>,
    /// Whether nothing tells any more who that would be.
    pub unknown: bool,
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
        // Taken from the end: who is known to be related before who only lies in the same folder.
        let mut ways = self.in_its_folder(env);
        ways.extend(self.neighbours(env));
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
    pub fn unseen(&self, env: &Env) -> Vec<Unseen> {
        let Some(dir) = &self.dir else {
            let what = format!("the log of {}, which knows its replicas, is not there", self.db.display());
            return vec![Unseen { what, reported: None, unknown: true }];
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
                unknown: false,
            });
        }
        if let Ok(Some(loss)) = Registry::loss_at(env, dir) {
            unseen.push(Unseen { what: loss.to_string(), reported: None, unknown: true });
        }
        if let Some(source) = remembered_in(&*env.disk, dir, &self.db, env)
            && !Self::all_at(env, &source.paths, &mut Passed::default())
                .iter()
                .any(|node| source.file_id.is_none_or(|id| id == node.file_id) || node.is_of(self, env))
        {
            let what = format!("the source {}, which it followed, is not there", source.paths.db.display());
            unseen.push(Unseen { what, reported: None, unknown: false });
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

    /// Every node that lies in the same folder and has a log there. Who followed the same source, or who took over from this one,
    /// is of its family, and neither knows the other where the one between them is gone.
    fn in_its_folder(&self, env: &Env) -> Vec<SourcePaths> {
        let folder = folder_of(&self.db);
        let names = env.disk.list(folder).unwrap_or_default();
        let dbs = names.iter().take(MAX_BESIDE).filter_map(|name| name.strip_suffix(SIDECAR));
        dbs.map(|name| at_path(folder.join(name))).collect()
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
