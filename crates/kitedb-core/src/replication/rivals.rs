//! Who leads in place of a node, or holds what that one lacks, among those that it is [related](super::related) to. Who is to
//! lead from files that may be older than what others have looks at them first: one of them may lead by now, or hold more.

use crate::{
    db::Engine,
    error::{Error, ErrorCode, Result},
    graph::{Epoch, Token},
    io::Env,
    replication::{
        related::{Related, Unseen},
        source::SourcePaths,
    },
    shell::{command, shell_word},
    store::Store,
};
use std::{
    fmt,
    path::{Path, PathBuf},
};

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
        let Some(reported) = self.reported else {
            let what = format_args!(
                "stale primary: {} has the commits up to {last}, and nothing tells whether another node has more, or leads by now: {}. \
                 Put back what is missing, or look at each replica ({look}) and promote the one that has most; only if none has more \
                 and none leads, force it ({force}, replication_overwrite)",
                path.display(),
                self.what,
                look = command("replica status", Path::new("REPLICA"), ""),
                force = command("role", path, "primary --moved --force")
            );
            return Error::new(ErrorCode::StalePrimary, what);
        };
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
    let may_be_ahead = |unseen: &&Unseen| unseen.unknown || unseen.reported.as_ref().is_some_and(ahead);
    if let Some(more) = unseen.iter().find(may_be_ahead).filter(|_| !told) {
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

/// Fails where a promotion of the primary that `engine` has open would make a second history: another node is seen to lead, and either
/// this one leads, too, or nothing tells that the promotion which moved its fence came to its end. For one that was
/// fenced and whose epoch ended the call itself is its operator's word.
pub fn require_nobody_leads_instead(engine: &Engine, env: &Env) -> Result<()> {
    let Some(control) = &engine.sidecar else { return Ok(()) };
    if control.fence()?.moved().is_some_and(|moved| moved.ended.is_some() && !control.fence_is_assumed()) {
        return Ok(());
    }
    match rivals_around(engine, env)?.into_iter().find(|rival| rival.leads.is_some()) {
        Some(rival) => Err(leads_instead(engine, &rival)),
        None => Ok(()),
    }
}

fn leads_instead(engine: &Engine, rival: &Rival) -> Error {
    let (path, source) = (&engine.path, shell_word(&rival.db));
    // What leads still is not made a replica by an open: what only it has is given up by name.
    let follow = match engine.is_fenced() {
        true => command("replica follow", path, format_args!("--source-db {source}")).to_string(),
        false => {
            let reseed = command("replica reseed", path, format_args!("--source-db {source} --overwrite"));
            format!("{reseed}, which gives up what only this one has")
        }
    };
    let what = format_args!(
        "stale primary: {rival}. Let {own} follow that one ({follow}); only if that one is gone for good, let it lead by force ({lead}, \
         primary_promote_by_force): then there are two histories",
        own = path.display(),
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
