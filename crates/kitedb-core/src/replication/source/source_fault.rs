//! Why nothing comes from where a replica follows, and what to do.

use crate::{
    error::Error,
    replication::{
        source::remembered::where_is_it,
        status::{FenceStatus, ReplicaState},
    },
    shell::command,
};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Why no commit will come to a replica from where it follows, though nothing that it tried has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceFault {
    /// The primary that it follows, perhaps through other replicas, was fenced by the promotion of another node.
    Fenced {
        /// The fenced primary's file.
        db: PathBuf,
        /// The promotion that fenced it.
        fence: FenceStatus,
        /// Whether its files are copies: then its operator says what it is before it leads.
        copied: bool,
    },
    /// The primary that it follows, perhaps through other replicas, was copied or restored, and commits nothing before its
    /// operator says what it is.
    Copied {
        /// That primary's file.
        db: PathBuf,
    },
    /// What it follows leads back to a replica that was passed already: this one, or one on the way.
    Cycle {
        /// The files from its source on, up to the one that was passed already.
        through: Vec<PathBuf>,
    },
    /// What it needs next is gone from its source's log: it must be reseeded.
    Lost {
        /// The frame that it needs next.
        next: u64,
        /// The first frame that its source's log still has.
        floor: u64,
    },
    /// Its source's log has what it needs next, and not all that comes after that: segments are missing, or damaged.
    Hole {
        /// Its source's file.
        db: PathBuf,
        /// A frame that it needs and that is not there.
        index: u64,
        /// What is so of the log.
        what: String,
        /// Whether nothing but a reseed helps.
        reseed: bool,
        /// Whether a reseed copies all that is missing: the source's file holds it, or a process that has that open does.
        copied: bool,
    },
    /// The replica through which it follows does not go on itself.
    Halted {
        /// That replica's file.
        node: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Its file was moved, and the source that it remembers is neither where it was nor beside it.
    Astray {
        /// Where its source was.
        db: PathBuf,
    },
    /// The file of its source is not there.
    Missing {
        /// Where it is looked for.
        db: PathBuf,
    },
    /// What is there now holds another history: another database is in its source's place, or its source went on without
    /// what this replica has.
    Another {
        /// The file that was looked at.
        db: PathBuf,
        /// The last frame of this replica.
        at: u64,
        /// Whether it is the very database that this replica followed: then the replica needs a reseed, or leads with what only it
        /// has, and no other path to follow.
        followed: bool,
    },
    /// Its source has no part in replication any more.
    StandAlone {
        /// Its file.
        db: PathBuf,
    },
    /// Its source's file, or its log, is such that no replica can follow it.
    Unavailable {
        /// Its file.
        db: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// It is not known what it follows.
    Unnamed,
    /// What it follows is a replica, and leads to no primary itself.
    Beyond {
        /// The last replica on the way.
        node: PathBuf,
        /// Why nothing comes from where that one follows.
        fault: Box<SourceFault>,
    },
}

impl SourceFault {
    /// Whether whoever follows this source follows nobody who leads, however long it waits.
    pub(super) fn says_that_nobody_leads(&self) -> bool {
        matches!(self, Self::Cycle { .. } | Self::Fenced { .. } | Self::Copied { .. })
    }

    /// Whether it is about what the replica has, or needs next.
    pub(super) fn is_of_position(&self) -> bool {
        match self {
            Self::Lost { .. } | Self::Hole { .. } | Self::Another { .. } => true,
            Self::Beyond { fault, .. } => fault.is_of_position(),
            _ => false,
        }
    }

    /// What kind of fault it is: `fenced`, `copied`, `cycle`, `lost`, `hole`, `halted`, `astray`, `missing`, `another`,
    /// `stand_alone`, `unavailable` or `unnamed`; of one further up a chain, what kind it is there.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Fenced { .. } => "fenced",
            Self::Copied { .. } => "copied",
            Self::Cycle { .. } => "cycle",
            Self::Lost { .. } => "lost",
            Self::Hole { .. } => "hole",
            Self::Halted { .. } => "halted",
            Self::Astray { .. } => "astray",
            Self::Missing { .. } => "missing",
            Self::Another { .. } => "another",
            Self::StandAlone { .. } => "stand_alone",
            Self::Unavailable { .. } => "unavailable",
            Self::Unnamed => "unnamed",
            Self::Beyond { fault, .. } => fault.kind(),
        }
    }

    /// That of the source at `db` whose log lost its end.
    pub(in crate::replication) fn broken(db: &Path, lost: &Error) -> Self {
        Self::Unavailable { db: db.to_owned(), what: lost.to_string() }
    }

    /// Why the replica must be reseeded, if it must.
    pub(in crate::replication) fn reseed_reason(fault: Option<&Self>) -> Option<String> {
        fault.filter(|fault| fault.asks_for_reseed()).map(|fault| format!("needs reseed: {fault}"))
    }

    fn asks_for_reseed(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Hole { reseed: true, .. } | Self::Another { followed: true, .. })
    }

    /// The state of a replica that would otherwise be in `state`.
    pub(in crate::replication) fn shown_in(fault: Option<&Self>, state: ReplicaState) -> ReplicaState {
        match (fault, state) {
            (Some(fault), _) if fault.asks_for_reseed() => ReplicaState::NeedsReseed,
            // There is more, of which the next pull says that it cannot be had.
            (Some(Self::Hole { .. }), ReplicaState::Following) => ReplicaState::Behind,
            (Some(_), ReplicaState::Following) => ReplicaState::Orphaned,
            // Others let no pull succeed, which it will say for itself.
            (Some(Self::Fenced { .. } | Self::Copied { .. } | Self::Cycle { .. }), ReplicaState::Behind) => {
                ReplicaState::Orphaned
            }
            _ => state,
        }
    }
}

/// What is so, and what to do.
impl fmt::Display for SourceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fenced { db, fence: FenceStatus { assumed: true, .. }, copied } => write!(
                f,
                "the control file of {db} was repaired, or an older one was put back, and it does not lead: if another node \
                 took over, follow that one (--source-db, replica_repoint); only if none did, let {db} lead anew ({lead})",
                db = db.display(),
                lead = match copied {
                    true => command("role", db, "primary --moved --force"),
                    false => command("primary promote", db, "--force"),
                }
            ),
            Self::Fenced { db, fence: FenceStatus { epoch, promoter, ended: Some(last), .. }, .. } => write!(
                f,
                "{} does not lead any more: promotion {promoter} took over from it with epoch {epoch}, after log index \
                 {last}; follow the node that was promoted (--source-db, replica_repoint)",
                db.display()
            ),
            Self::Fenced { db, fence: FenceStatus { epoch, promoter, ended: None, .. }, copied } => write!(
                f,
                "nobody leads: {db} was fenced by promotion {promoter}, to epoch {epoch}, which was not completed; complete \
                 it (promote the replica that began it, or this one), or let {db} take the lead back ({lead})",
                db = db.display(),
                lead = match copied {
                    true => command("role", db, "primary --moved"),
                    false => command("primary promote", db, ""),
                }
            ),
            Self::Copied { db } => write!(
                f,
                "{db} was copied or restored, and commits nothing before its operator says what it is; follow the \
                 original, or let {db} lead ({lead})",
                db = db.display(),
                lead = command("role", db, "primary --moved")
            ),
            Self::Cycle { through } => {
                f.write_str("what it follows leads back to where it was, and to no primary: ")?;
                for (at, db) in through.iter().enumerate() {
                    write!(f, "{}{}", if at == 0 { "" } else { ", which follows " }, db.display())?;
                }
                f.write_str("; follow a primary, or a replica of one (--source-db, replica_repoint)")
            }
            Self::Lost { next, floor } => write!(
                f,
                "log index {next}, which it needs next, is gone from its source's log, which begins with {floor}: reseed it"
            ),
            Self::Hole { db, index, what, reseed, .. } => {
                write!(f, "log index {index}, which it needs, is not to be had from its source {}: {what}", db.display())?;
                match reseed {
                    true => f.write_str("; put back what is missing there, or reseed it"),
                    false => Ok(()),
                }
            }
            Self::Halted { node, what } => write!(
                f,
                "the replica {node}, through which it follows, does not go on: {what}; mend that one ({status} says how), or \
                 follow another node (--source-db, replica_repoint)",
                node = node.display(),
                status = command("replica status", node, "")
            ),
            Self::Astray { db } => f.write_str(&where_is_it(db)),
            Self::Missing { db } => write!(
                f,
                "the source {} is not there: bring it back, or say where it is (--source-db, replica_repoint)",
                db.display()
            ),
            Self::Another { db, at, .. } => write!(
                f,
                "{} is another database than this replica followed, or has another history: it lacks what this replica has \
                 at log index {at}; follow the one that has it (--source-db, replica_repoint), or give that up and reseed \
                 this replica from there (--overwrite)",
                db.display()
            ),
            Self::StandAlone { db } => write!(
                f,
                "the source {} is a database of its own and has no part in replication: follow another one \
                 (--source-db, replica_repoint)",
                db.display()
            ),
            Self::Unavailable { db, what } => {
                write!(f, "the source {} cannot be followed: {what}; mend that, or follow another one", db.display())?;
                f.write_str(" (--source-db, replica_repoint)")
            }
            Self::Unnamed => f.write_str(
                "it is not known what this replica follows: say it once (--source-db, replication_source_db_path), it is \
                 remembered",
            ),
            Self::Beyond { node, fault } => {
                write!(f, "the replica {}, through which it follows, leads to no primary that leads: {fault}", node.display())
            }
        }
    }
}
