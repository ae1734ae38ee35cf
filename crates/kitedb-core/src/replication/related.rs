//! The nodes that a node is related to, as far as they can be reached from it: the replicas that are registered in its log,
//! those beside it that follow it, the source that it followed, and theirs in turn. Who is to lead from files that may be
//! older than what others have looks at them first: one of them may lead by now, or hold more.
//!
//! Of the same family is who has a commit of a writer that the other one has a commit of: writer ids are random, and no
//! path and no file id tells that.

use super::{registry::Registry, remembered::remembered_in, replica::SourcePaths};
use crate::{
    db::{Engine, LogPlace, Search, fence_by_header, folder_of, resolved},
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex, Token},
    io::{Env, FileIdentity, OpenMode},
    log::{Control, Fence, LogIdentity, SeenEpoch, WriterId, writers},
    shell::{SIDECAR, command},
    store::{LogKind, LogLink, Part, Store},
};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// So many nodes are looked at.
const MAX_NODES: usize = 256;

/// What the files of a node say of it, to who only looks.
#[derive(Debug)]
pub struct Related {
    db: PathBuf,
    file_id: [u8; 16],
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
}

/// What is so.
impl fmt::Display for Rival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (db, last) = (self.db.display(), self.last_token);
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
    /// Why the primary at `path`, which holds commits up to `last`, does not lead again in place of the one that it was
    /// copied from.
    fn keeps_from_leading(&self, path: &Path, last: Token) -> Error {
        let instead = match (self.leads, self.knows_epoch) {
            (Some(_), _) => format!(
                "Follow that one ({})",
                command("replica follow", path, format_args!("--source-db {}", crate::shell::shell_word(&self.db)))
            ),
            (None, Some(_)) => "Follow that other node".to_owned(),
            (None, None) => {
                format!("Let that one lead ({}), and follow it", command("replica promote", &self.db, "--force"))
            }
        };
        let force = command("role", path, "primary --moved --force");
        let what = format_args!(
            "stale primary: {} has the commits up to {last}, and {self}: if this one leads again, there are two histories. \
             {instead}; only if what that one has is to be given up, force it ({force}, replication_overwrite)",
            path.display()
        );
        Error::new(ErrorCode::StalePrimary, what)
    }
}

impl Related {
    /// The node at `paths`; `None` if none can be looked at there.
    pub fn at(env: &Env, paths: &SourcePaths) -> Option<Self> {
        let db = resolved(env, &paths.db).ok()?;
        let store = Store::open(env, &db, false).ok()?;
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
        };
        let (dir, copied) = match search.sidecar() {
            Ok(LogPlace::Here(dir)) => (Some(dir), false),
            Ok(LogPlace::Moved(dir, _)) => (Some(dir), true),
            _ => (None, true),
        };
        let control = dir.as_ref().and_then(|dir| Control::open(&*env.disk, dir, OpenMode::Read).ok()?);
        let control = control.filter(|control| control.identity().file_id == store.file_id());
        let fence = control.as_ref().and_then(|control| {
            let fence = control.fence().ok()?;
            Some(fence_by_header(control, &fence, &link, [u8::MAX; 16]).map_or(fence, |(fence, _)| fence))
        });
        let log = LogIdentity { log_id: link.id, file_id: store.file_id() };
        let mut wrote: Vec<_> = manifest.history.iter().map(|led| (led.epoch, led.writer_id, led.first)).collect();
        wrote.extend(dir.iter().flat_map(|dir| writers(env, dir, log).unwrap_or_default()));
        let (held, _) = link.clean_tail.unwrap_or_default();
        let in_log = control.as_ref().filter(|control| link.open && control.current_log() == log);
        let in_log = in_log.map_or(LogIndex(0), Control::published);
        let end = manifest.checkpoint.log_index.max(held).max(in_log);
        let seen = control.as_ref().map(Control::seen_epoch).unwrap_or_default();
        let assumed = fence.is_none_or(|fence| fence.moved_by == Some([u8::MAX; 16]));
        let assumed = assumed || control.as_ref().is_some_and(Control::fence_is_assumed);
        let fence = fence.unwrap_or_else(|| said_by(&link, manifest.checkpoint.epoch));
        let file_id = store.file_id();
        Some(Self {
            leads: !copied && leads(&fence),
            ..Self::of((db, file_id, dir), (&fence, assumed), seen, wrote, end)
        })
    }

    /// The node that this process has open.
    pub fn open_here(engine: &Engine, control: &Control) -> Result<Self> {
        let (fence, seen, assumed) = (control.fence()?, control.seen_epoch(), control.fence_is_assumed());
        let of = (engine.path.clone(), engine.store.file_id(), Some(engine.log_dir.clone()));
        let (_, _, end, _) = engine.position();
        let wrote = engine.history().iter().map(|led| (led.epoch, led.writer_id, led.first)).collect();
        Ok(Self::of(of, (&fence, assumed), seen, wrote, end))
    }

    fn of(
        (db, file_id, dir): (PathBuf, [u8; 16], Option<PathBuf>),
        (fence, assumed): (&Fence, bool),
        seen: SeenEpoch,
        wrote: Vec<(Epoch, WriterId, LogIndex)>,
        end: LogIndex,
    ) -> Self {
        let moved = fence.moved();
        // What came after is void.
        let end = moved.and_then(|moved| moved.ended).map_or(end, |ended| end.min(ended));
        let before_end = wrote.iter().filter(|(_, _, first)| *first <= end && end.0 > 0);
        let last = Token { epoch: before_end.map(|led| led.0).max().unwrap_or_default(), log_index: end };
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
            db,
            file_id,
            dir,
            epoch,
            last,
        }
    }

    /// Every node of its family that can be reached, each once.
    pub fn family(&self, env: &Env) -> Vec<Self> {
        let identity = |db: &Path| resolved(env, db).ok().and_then(|path| env.disk.identity(&path).ok());
        let mut passed: Vec<FileIdentity> = identity(&self.db).into_iter().collect();
        let mut ways = self.neighbours(env);
        ways.extend(self.beside(env));
        let mut found = Vec::new();
        while let Some(paths) = ways.pop() {
            let Some(file) = identity(&paths.db).filter(|file| !passed.contains(file)) else { continue };
            if passed.len() >= MAX_NODES {
                break;
            }
            passed.push(file);
            // What this one was copied from, its operator speaks of.
            let node = Self::at(env, &paths).filter(|node| node.file_id != self.file_id && node.is_of(self, env));
            if let Some(node) = node {
                ways.extend(node.neighbours(env));
                found.push(node);
            }
        }
        found
    }

    fn is_of(&self, family: &Self, env: &Env) -> bool {
        // Of a file that holds no commit, who follows it tells.
        let follows = || {
            let known = remembered_in(&*env.disk, self.dir.as_ref()?, &self.db, env)?;
            known.file_id.filter(|id| *id == family.file_id)
        };
        match family.writers.is_empty() {
            true => follows().is_some(),
            false => self.writers.iter().any(|id| family.writers.contains(id)),
        }
    }

    /// The replicas that are registered in its log, and the source that it followed.
    fn neighbours(&self, env: &Env) -> Vec<SourcePaths> {
        let Some(dir) = &self.dir else { return Vec::new() };
        let registry = || {
            let control = Arc::new(Control::open(&*env.disk, dir, OpenMode::Read).ok()??);
            Registry::look(env, dir, control).ok()?
        };
        let registered = registry().map(|registry| registry.registrations()).unwrap_or_default();
        let registered = registered.into_iter().filter_map(|replica| Some(at_path(replica.labels.path?.into())));
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

/// Fails if a node leads, or holds what the primary at `path` lacks, which was copied or restored and is to lead again.
/// Returns the latest epoch that any of them knows of. `told`: it is to lead whoever does.
pub fn require_no_rival(env: &Env, path: &Path, sidecar: Option<PathBuf>, told: bool) -> Result<Epoch> {
    let Some(own) = Related::at(env, &SourcePaths { db: path.to_owned(), sidecar }) else { return Ok(Epoch(0)) };
    let family = own.family(env);
    match own.rivals(&family).first().filter(|_| !told) {
        Some(rival) => Err(rival.keeps_from_leading(path, own.last)),
        None => Ok(taken_by(&family)),
    }
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
