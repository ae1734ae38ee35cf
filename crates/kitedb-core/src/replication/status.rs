//! What a node says of itself. Status, metrics, errors and every language use the same words.

use crate::{
    db::{ReplicationRole, not_completed},
    graph::{Digest, Token},
    log::{Control, Moved},
    replication::{
        led_elsewhere::told, registry::choose_replica::short_id, rivals::Rival, source::source_fault::SourceFault,
    },
    shell::{command, command_by_log},
};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// How the log serves a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HoldState {
    /// What the replica needs next is kept for it.
    Held,
    /// It is still there, but nothing keeps it: the replica lags beyond the lag objective or the byte cap.
    AtRisk,
    /// What the replica needs next, or what comes after that, is gone: it must be reseeded, unless what is missing amid the log
    /// is put back.
    Lost,
}

impl HoldState {
    /// The text form: `held`, `at_risk` or `lost`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::AtRisk => "at_risk",
            Self::Lost => "lost",
        }
    }
}

/// Why a log still has its oldest segment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HoldReason {
    /// The window of entries: [`OpenOptions::replication_retention_min_entries`](crate::OpenOptions).
    WindowEntries,
    /// The window of time: [`OpenOptions::replication_retention_min_ms`](crate::OpenOptions).
    WindowTime,
    /// The replica with that id, which has not reported what comes after as durable.
    Replica(String),
    /// Recovery: the commits are in the log only until the next checkpoint.
    Recovery,
    /// It is the one that is being written.
    NewestSegment,
}

impl HoldReason {
    /// What kind of reason it is: `window_entries`, `window_time`, `replica`, `recovery` or `newest_segment`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::WindowEntries => "window_entries",
            Self::WindowTime => "window_time",
            Self::Replica(_) => "replica",
            Self::Recovery => "recovery",
            Self::NewestSegment => "newest_segment",
        }
    }
}

/// The kind, and of a replica its id: `replica:<id>`.
impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replica(id) => write!(f, "replica:{id}"),
            _ => f.write_str(self.kind()),
        }
    }
}

/// What keeps the oldest segment of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hold {
    /// Why.
    pub reason: HoldReason,
    /// The first frame of the log that is kept for that.
    pub from_log_index: u64,
}

/// Where a replica was when it last reported.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicaLag {
    /// What names it for good: the id of its file, 32 hexadecimal digits, whatever path leads there. For one that
    /// others reported: the text that they gave.
    pub replica_id: String,
    /// The name that it was given.
    pub name: Option<String>,
    /// Where its file was when it last reported.
    pub path: Option<String>,
    /// The epoch of the last frame that it applied.
    pub epoch: u64,
    /// The last frame that it applied.
    pub applied_log_index: u64,
    /// The last frame that is durable there: what it needs next begins after it.
    pub durable_log_index: u64,
    /// Frames between it and the head.
    pub lag_frames: u64,
    /// Bytes of log between it and the head, roughly: whole segments are counted in proportion.
    pub lag_bytes: u64,
    /// For how many ms the oldest frame that it misses has been committed; 0 if it misses none.
    pub lag_ms: u64,
    /// How the log serves it.
    pub hold: HoldState,
    /// The snapshot that it began to copy, if it has not reported since: what comes after it is kept, too.
    pub reserved_log_index: Option<u64>,
    /// When it last reported, ms since 1970.
    pub reported_at_ms: u64,
}

/// A fence that the promotion of another node moved: what it wrote in the log of the node that led before.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FenceStatus {
    /// The epoch that the promotion begins.
    pub epoch: u64,
    /// The id of the promotion, in hexadecimal digits.
    pub promoter: String,
    /// The last commit of the epoch before. `None`: the promotion is under way, or was cut short. The same replica, or
    /// another one, can complete it; the node itself takes the lead back with
    /// [`Database::primary_promote_to_next_epoch`](crate::Database::primary_promote_to_next_epoch).
    pub ended: Option<u64>,
    /// Whether that promotion is assumed: what knew whether there was one was lost, and [`Database::repair`] set this fence
    /// in its place. [`FenceStatus::promoter`] names nobody then.
    ///
    /// [`Database::repair`]: crate::Database::repair
    pub assumed: bool,
}

impl FenceStatus {
    pub(in crate::replication) fn of(moved: Moved) -> Self {
        let promoter = format!("{:032x}", u128::from_be_bytes(moved.by));
        Self { epoch: moved.epoch.0, promoter, ended: moved.ended.map(|last| last.0), assumed: false }
    }

    /// As the control file tells it that this fence was read from.
    pub(in crate::replication) fn seen(moved: Moved, control: &Control) -> Self {
        Self { assumed: control.fence_is_assumed(), ..Self::of(moved) }
    }
}

/// See [`Database::primary_replication_status`](crate::Database::primary_replication_status).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PrimaryReplicationStatus {
    /// Always [`ReplicationRole::Primary`].
    pub role: ReplicationRole,
    /// The epoch in which this handle commits.
    pub epoch: u64,
    /// The last published commit.
    pub head_log_index: u64,
    /// The first frame that is still there; 0 if none was ever let go.
    pub retained_floor: u64,
    /// Every replica that reported, by id.
    pub replica_lags: Vec<ReplicaLag>,
    /// The folder of the log.
    pub sidecar_path: PathBuf,
    /// The last commit in the log.
    pub last_token: Option<Token>,
    /// Appends tried since the open.
    pub append_attempts: u64,
    /// Appends that failed since the open.
    pub append_failures: u64,
    /// Appends done since the open.
    pub append_successes: u64,
    /// The state digest at the head.
    pub digest: Digest,
    /// The last commit that is durable.
    pub durable_log_index: u64,
    /// Bytes of log on the disk.
    pub log_bytes: u64,
    /// Segments on the disk.
    pub segments: u64,
    /// What keeps the oldest of them; empty if it goes with the next run of retention.
    pub holds: Vec<Hold>,
    /// What is strange in the log, or missing of it or beside it, and what to do: segments, or replicas that were registered.
    /// While replicas are missing, retention lets go of nothing but what the byte cap asks for.
    pub log_fault: Option<String>,
    /// How many replicas can be registered.
    pub registration_limit: u64,
    /// Whether another node took over, or began to: then no commit is acknowledged here any more.
    pub fenced: bool,
    /// The promotion of another node that fenced this one, also if it was not completed.
    pub fence: Option<FenceStatus>,
    /// The file of the registered replica that began the promotion which ended this node's epoch, and was cut short before it led,
    /// as far as that is seen from here: nobody leads before it is completed there.
    pub begun_by: Option<PathBuf>,
    /// The registered replica that leads in place of this node, in its epoch or a later one, as far as that is seen from here: an
    /// older backup was put back here, or that one was promoted by force. Of two that lead each has a history of its own.
    pub led_by: Option<Rival>,
    /// Of one whose files were copied or restored since its log was written: how they differ, and what to do. It commits
    /// nothing before its operator says what it is ([`Database::confirm_moved`](crate::Database::confirm_moved),
    /// [`Database::detach`](crate::Database::detach)).
    pub copied: Option<String>,
    /// The process that has it open for writing; `None` if none has.
    pub process_id: Option<u64>,
    /// A thread of this process panicked: what did, and what to do. Nothing is committed before the database is opened
    /// again.
    pub panicked: Option<String>,
}

impl PrimaryReplicationStatus {
    /// Why it does not lead, and what to do; `None`: it does.
    pub fn fault(&self) -> Option<String> {
        let in_place = |rest| command_by_log("primary promote", &self.sidecar_path, rest);
        let fenced = self.fenced.then(|| match (&self.fence, &self.copied) {
            (Some(FenceStatus { assumed: true, .. }), copied) => format!(
                "its control file was repaired, or an older one was put back, and what it knew of other nodes is lost; writes \
                 here are refused: if another node took over, follow that one as a replica; only if none did, lead anew \
                 ({})",
                match copied {
                    // What promotes in place refuses a copy.
                    Some(_) => command_by_log("role", &self.sidecar_path, "primary --moved --force"),
                    None => in_place("--force"),
                }
            ),
            (Some(FenceStatus { ended: None, .. }), Some(copied)) => copied.clone(),
            (Some(FenceStatus { ended: None, promoter, .. }), None) => not_completed(promoter, &in_place("")),
            (Some(FenceStatus { promoter, .. }), _) if self.begun_by.is_some() => {
                let began = self.begun_by.as_deref().unwrap_or(Path::new("REPLICA"));
                format!(
                    "promotion {promoter}, which ended this node's epoch, was begun at {} and not completed, and nobody leads: \
                     complete it ({}), and follow that one then",
                    began.display(),
                    command("replica promote", began, "")
                )
            }
            _ => "another node took over; writes here are refused: stop writing here, and follow it as a replica"
                .to_owned(),
        });
        let led_by = self.led_by.as_ref().filter(|_| !self.fenced).map(|rival| told(&self.sidecar_path, rival));
        let copied = self.copied.clone().filter(|_| !self.fenced);
        let all: Vec<String> = [fenced, copied, led_by].into_iter().flatten().collect();
        if all.is_empty() { self.panicked.clone() } else { Some(all.join("; ")) }
    }

    /// Which replicas cannot go on from this log, and what to do; `None`: all can. It leads all the same, so that this is no
    /// [fault](Self::fault) of it, but one that somebody has to mend.
    pub fn lost_replicas(&self) -> Option<String> {
        lost(&self.replica_lags, &self.sidecar_path)
    }
}

/// The replicas among `lags` that cannot go on from this log, and what to do; `None`: there is none.
pub(in crate::replication) fn lost(lags: &[ReplicaLag], dir: &Path) -> Option<String> {
    let lost: Vec<_> = lags.iter().filter(|lag| lag.hold == HoldState::Lost).collect();
    let who = |lag: &&ReplicaLag| {
        let id = short_id(&lag.replica_id);
        lag.name.as_ref().or(lag.path.as_ref()).map_or_else(|| id.to_owned(), |label| format!("{label} ({id})"))
    };
    let first = lost.first()?;
    Some(format!(
        "what these replicas need next is gone from this log, or missing amid it, and each must be reseeded unless that is put back: \
         {}. Reseed each ({}), or forget one that is gone for good ({})",
        lost.iter().map(who).collect::<Vec<_>>().join(", "),
        command("replica reseed", Path::new(first.path.as_deref().unwrap_or("REPLICA")), ""),
        command_by_log("primary remove", dir, short_id(&first.replica_id)),
    ))
}

/// What a replica is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplicaState {
    /// It copies a snapshot of its source; or it holds nothing yet, because its first copy was cut short or never begun: its
    /// last error says so.
    Bootstrapping,
    /// It has everything that its source had published at the last look.
    Following,
    /// Its source has more.
    Behind,
    /// The last attempt failed; it will be tried again.
    Stalled,
    /// The last attempt failed because this process lacks a permission, most often on its source's files: its last error
    /// says on which. It is tried again, and succeeds once that is given.
    Denied,
    /// The last attempt failed because a newer KiteDB wrote what comes next ([`ErrorCode::TooNew`](crate::ErrorCode::TooNew)): its
    /// last error says what. Nothing is lost: it is tried again, and goes on once a newer KiteDB runs it.
    TooNew,
    /// It pulls, but could not register with its source, which does not keep its log for it; it will be tried again.
    Unregistered,
    /// It pulls, and what it follows leads to no primary that leads: see [`SourceFault`]. It goes on if that one leads
    /// again, and otherwise follows where it is pointed.
    Orphaned,
    /// It is not on its source's history, or what it needs is gone: reseed it.
    NeedsReseed,
    /// It took over and is a primary now.
    Promoted,
    /// It was closed: no process pulls for it.
    Closed,
}

impl ReplicaState {
    /// Every state.
    pub const ALL: [Self; 11] = [
        Self::Bootstrapping,
        Self::Following,
        Self::Behind,
        Self::Stalled,
        Self::Denied,
        Self::TooNew,
        Self::Unregistered,
        Self::Orphaned,
        Self::NeedsReseed,
        Self::Promoted,
        Self::Closed,
    ];

    /// The text form: `bootstrapping`, `following`, `behind`, `stalled`, `denied`, `too_new`, `unregistered`, `orphaned`, `needs_reseed`,
    /// `promoted` or `closed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bootstrapping => "bootstrapping",
            Self::Following => "following",
            Self::Behind => "behind",
            Self::Stalled => "stalled",
            Self::Denied => "denied",
            Self::TooNew => "too_new",
            Self::Unregistered => "unregistered",
            Self::Orphaned => "orphaned",
            Self::NeedsReseed => "needs_reseed",
            Self::Promoted => "promoted",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for ReplicaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// See [`Database::replica_replication_status`](crate::Database::replica_replication_status).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicaReplicationStatus {
    /// Always [`ReplicationRole::Replica`].
    pub role: ReplicationRole,
    /// The database file that it follows.
    pub source_db_path: Option<PathBuf>,
    /// The folder of its source's log.
    pub source_sidecar_path: Option<PathBuf>,
    /// Whether its source was a replica itself when it was seen last. Then another node leads, also where the source is gone: who
    /// promotes this one by force makes two that lead.
    pub source_follows: bool,
    /// The epoch of the last frame that it applied; 0 before the first.
    pub applied_epoch: u64,
    /// The last frame that it applied; 0 before the first.
    pub applied_log_index: u64,
    /// What the last failure was, until a later attempt succeeds. Survives a restart. Also why it must be reseeded, if that
    /// is seen before it is tried.
    pub last_error: Option<String>,
    /// Whether it must be reseeded. Survives a restart.
    pub needs_reseed: bool,
    /// Why nothing will come from where it follows, as far as that can be seen now.
    pub source_fault: Option<SourceFault>,
    /// Why it cannot be seen from here whether a primary leads at the end of the chain that it is in, or its source cannot be
    /// looked at: then what is said of that is old. `None`: that is seen, or is a fault.
    pub source_unseen: Option<String>,
    /// What it is doing.
    pub state: ReplicaState,
    /// Since when it has been in that state, ms since 1970; 0 where that is not known: in a read-only open.
    pub state_since_ms: u64,
    /// The promotion that this replica began and that fenced its source, but has not ended: it is under way, or was cut
    /// short, and [`Database::replica_promote`](crate::Database::replica_promote) completes it.
    pub promotion: Option<FenceStatus>,
    /// The folder of its own log.
    pub sidecar_path: PathBuf,
    /// The id under which it reports to its source: that of its file, 32 hexadecimal digits.
    pub replica_id: String,
    /// The name that it was given, which it reports beside the id.
    pub name: Option<String>,
    /// Whether its source keeps its log for it, as far as its last attempt to report, and a look at the source, tell.
    pub registered: bool,
    /// Why its source does not, though it did when the replica reported last, and what to do.
    pub registration_fault: Option<String>,
    /// The last commit that its source had published at the last look, which is now where no follower runs; in a read-only open
    /// 0 if the source is not named or cannot be looked at.
    pub source_head_log_index: u64,
    /// Frames between it and that.
    pub lag_frames: u64,
    /// The last frame that is durable here.
    pub durable_log_index: u64,
    /// The state digest at the last applied frame.
    pub digest: Digest,
    /// Whether a background follower is at work in this process.
    pub follower_running: bool,
    /// The process that has it open for writing; `None` if none has.
    pub process_id: Option<u64>,
    /// The first frame that is still in its own log; 0 if none was ever let go.
    pub retained_floor: u64,
    /// Bytes of its own log on the disk.
    pub log_bytes: u64,
    /// Segments of that.
    pub segments: u64,
    /// What keeps the oldest of them; empty if it goes with the next run of retention.
    pub holds: Vec<Hold>,
    /// The replicas that follow this one, by id.
    pub replica_lags: Vec<ReplicaLag>,
    /// What is missing of its own log or beside it, and what to do: as that of a
    /// [primary](PrimaryReplicationStatus::log_fault).
    pub log_fault: Option<String>,
    /// How many of those can be registered.
    pub registration_limit: u64,
    /// A thread of this process panicked: what did, and what to do. Nothing is pulled before the database is opened again;
    /// the state is [`ReplicaState::Stalled`].
    pub panicked: Option<String>,
}

impl ReplicaReplicationStatus {
    /// As [`PrimaryReplicationStatus::lost_replicas`], of those that follow this one.
    pub fn lost_replicas(&self) -> Option<String> {
        lost(&self.replica_lags, &self.sidecar_path)
    }

    /// What is wrong with it, and what to do; `None`: nothing is.
    pub fn fault(&self) -> Option<String> {
        let why = self.last_error.as_deref().filter(|error| !error.is_empty());
        let known = why.unwrap_or("no error is known");
        let failed = match self.state {
            _ if self.needs_reseed || self.state == ReplicaState::NeedsReseed => {
                Some(format!("needs reseed: {}", known.strip_prefix("needs reseed: ").unwrap_or(known)))
            }
            ReplicaState::Stalled if self.panicked.is_some() => Some(format!("stalled: {known}")),
            ReplicaState::Stalled => Some(format!("stalled and tried again: {known}")),
            ReplicaState::Denied => Some(format!("denied, and tried again: {known}")),
            ReplicaState::TooNew => Some(format!("too new, and tried again: {known}")),
            ReplicaState::Unregistered if why.is_none() && self.registration_fault.is_some() => None,
            ReplicaState::Unregistered => Some(format!("unregistered and tried again: {known}")),
            // Its first copy was cut short: what is known is of that one.
            ReplicaState::Bootstrapping if self.applied_log_index == 0 => {
                why.map(|why| format!("bootstrapping: {why}"))
            }
            // Before the attempt that is under way, or after the node took over.
            ReplicaState::Bootstrapping | ReplicaState::Promoted => None,
            _ => why.map(|why| format!("its last attempt failed: {why}")),
        };
        let promotion = self.promotion.as_ref().map(|promotion| {
            let go_on = command_by_log("replica promote", &self.sidecar_path, "");
            format!("promotion {} was begun and not completed: {go_on} goes on with it", promotion.promoter)
        });
        let source = self.source_fault.as_ref().map(ToString::to_string).filter(|fault| !known.contains(fault));
        let registration = self.registration_fault.as_ref().filter(|fault| !known.contains(*fault));
        let registration = registration.map(|fault| match self.state {
            ReplicaState::Unregistered => format!("unregistered: {fault}"),
            _ => fault.clone(),
        });
        let all = [failed, source, registration, promotion, self.log_fault.clone()];
        let all: Vec<String> = all.into_iter().flatten().collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}
