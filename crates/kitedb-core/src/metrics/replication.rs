//! The part of the metrics that is about replication, made from what a node says of itself.

use crate::{
    db::ReplicationRole,
    graph::Digest,
    replication::{Hold, HoldState, PrimaryReplicationStatus, ReplicaLag, ReplicaReplicationStatus, ReplicaState},
};
use std::path::Path;

/// What part a database plays in replication, and how that goes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ReplicationMetrics {
    /// Whether it plays any.
    pub enabled: bool,
    /// `primary`, `replica` or `disabled`.
    pub role: String,
    /// Of a primary.
    pub primary: Option<PrimaryMetrics>,
    /// Of a replica.
    pub replica: Option<ReplicaMetrics>,
    /// What is wrong with that part, and what to do; `None`: nothing is.
    pub fault: Option<String>,
}

impl ReplicationMetrics {
    /// From what the node says of itself: a primary first, else a replica, else none.
    pub fn new(primary: Option<&PrimaryReplicationStatus>, replica: Option<&ReplicaReplicationStatus>) -> Self {
        let replica = replica.filter(|_| primary.is_none());
        let role = match (primary, replica) {
            (Some(_), _) => ReplicationRole::Primary,
            (None, Some(_)) => ReplicationRole::Replica,
            (None, None) => ReplicationRole::Disabled,
        };
        Self {
            enabled: role != ReplicationRole::Disabled,
            role: role.as_str().to_owned(),
            primary: primary.map(PrimaryMetrics::from),
            replica: replica.map(ReplicaMetrics::from),
            fault: primary
                .and_then(|status| status.fault().or_else(|| status.log_fault.clone()))
                .or_else(|| replica?.fault()),
        }
    }

    /// Of a node that plays `role`, and whose log cannot be seen because of `fault`.
    pub(super) fn without_log(role: ReplicationRole, fault: String) -> Self {
        let enabled = role != ReplicationRole::Disabled;
        Self { enabled, role: role.as_str().to_owned(), fault: Some(fault), ..Self::new(None, None) }
    }
}

/// Metrics of a primary. Counters are since the open.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PrimaryMetrics {
    /// The epoch in which it commits.
    pub epoch: u64,
    /// The last published commit.
    pub head_log_index: u64,
    /// The first frame that is still in the log; 0 if none was ever let go.
    pub retained_floor: u64,
    /// Replicas that reported.
    pub replica_count: u64,
    /// Those of them whose last frame is of an older epoch than this one's.
    pub stale_epoch_replica_count: u64,
    /// The most frames that one of them misses; 0 without replicas.
    pub max_replica_lag: u64,
    /// The least that a replica has applied, among those whose last frame is of this epoch.
    pub min_replica_applied_log_index: Option<u64>,
    /// The folder of the log.
    pub sidecar_path: String,
    /// The last commit in the log, `epoch:log_index`.
    pub last_token: Option<String>,
    /// Appends to the log that were tried.
    pub append_attempts: u64,
    /// Appends that failed.
    pub append_failures: u64,
    /// Appends that were done: the difference of the two.
    pub append_successes: u64,
    /// The last commit that is durable.
    pub durable_log_index: u64,
    /// Bytes of log on the disk.
    pub log_bytes: u64,
    /// Segments of log on the disk.
    pub segments: u64,
    /// What keeps the oldest of them; empty if it goes with the next run of retention.
    pub holds: Vec<Hold>,
    /// How many replicas can be registered.
    pub registration_limit: u64,
    /// Whether another node took over, or began to: then no commit is acknowledged here any more.
    pub fenced: bool,
    /// Whether its files were copied or restored since its log was written: then it commits nothing before its operator
    /// says what it is.
    pub copied: bool,
    /// The state digest at the head: a replica that has the same one at the same index holds the same graph.
    pub digest: Digest,
    /// Every replica that reported, by id.
    pub replicas: Vec<ReplicaLagMetrics>,
}

/// A replica as its primary sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicaLagMetrics {
    /// Its stable id.
    pub replica_id: String,
    /// The name that it was given.
    pub name: Option<String>,
    /// The epoch of the last frame that it applied.
    pub epoch: u64,
    /// The last frame that it applied.
    pub applied_log_index: u64,
    /// The last frame that is durable there.
    pub durable_log_index: u64,
    /// Frames that it misses.
    pub lag_frames: u64,
    /// Bytes of log that it misses, roughly.
    pub lag_bytes: u64,
    /// For how many ms the oldest frame that it misses has been committed; 0 if it misses none.
    pub lag_ms: u64,
    /// Whether the log keeps what it needs next.
    pub hold: HoldState,
    /// When it last reported, ms since 1970.
    pub reported_at_ms: u64,
}

/// Metrics of a replica.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ReplicaMetrics {
    /// The epoch of the last frame that it applied; 0 before the first.
    pub applied_epoch: u64,
    /// The last frame that it applied; 0 before the first.
    pub applied_log_index: u64,
    /// Whether it must be reseeded.
    pub needs_reseed: bool,
    /// What the last failure was, until a later attempt succeeds. Never empty.
    pub last_error: Option<String>,
    /// What it is doing.
    pub state: ReplicaState,
    /// Since when it has been in that state, ms since 1970.
    pub state_since_ms: u64,
    /// The last commit that its source had published at the last look.
    pub source_head_log_index: u64,
    /// Frames between the two.
    pub lag_frames: u64,
    /// The last frame that is durable here.
    pub durable_log_index: u64,
    /// The state digest at the last applied frame.
    pub digest: Digest,
    /// Whether a background follower is at work.
    pub follower_running: bool,
    /// The id under which it reports to its source.
    pub replica_id: String,
    /// The database file that it follows.
    pub source_db_path: Option<String>,
    /// The folder of its own log.
    pub sidecar_path: String,
    /// Whether its source keeps its log for it, as far as its last attempt to report tells.
    pub registered: bool,
    /// The first frame that is still in its own log; 0 if none was ever let go.
    pub retained_floor: u64,
    /// Bytes of its own log on the disk.
    pub log_bytes: u64,
    /// Segments of that.
    pub segments: u64,
    /// What keeps the oldest of them; empty if it goes with the next run of retention.
    pub holds: Vec<Hold>,
    /// How many replicas can be registered with it.
    pub registration_limit: u64,
    /// Every replica that follows it, by id.
    pub replicas: Vec<ReplicaLagMetrics>,
}

impl From<&PrimaryReplicationStatus> for PrimaryMetrics {
    fn from(status: &PrimaryReplicationStatus) -> Self {
        let lags = &status.replica_lags;
        let current = lags.iter().filter(|lag| lag.epoch == status.epoch);
        Self {
            epoch: status.epoch,
            head_log_index: status.head_log_index,
            retained_floor: status.retained_floor,
            replica_count: lags.len() as u64,
            stale_epoch_replica_count: lags.iter().filter(|lag| lag.epoch < status.epoch).count() as u64,
            max_replica_lag: lags.iter().map(|lag| lag.lag_frames).max().unwrap_or(0),
            min_replica_applied_log_index: current.map(|lag| lag.applied_log_index).min(),
            sidecar_path: text(&status.sidecar_path),
            last_token: status.last_token.map(|token| token.to_string()),
            append_attempts: status.append_attempts,
            append_failures: status.append_failures,
            append_successes: status.append_successes,
            durable_log_index: status.durable_log_index,
            log_bytes: status.log_bytes,
            segments: status.segments,
            holds: status.holds.clone(),
            registration_limit: status.registration_limit,
            fenced: status.fenced,
            copied: status.copied.is_some(),
            digest: status.digest,
            replicas: lags.iter().map(ReplicaLagMetrics::from).collect(),
        }
    }
}

impl From<&ReplicaLag> for ReplicaLagMetrics {
    fn from(lag: &ReplicaLag) -> Self {
        Self {
            replica_id: lag.replica_id.clone(),
            name: lag.name.clone(),
            epoch: lag.epoch,
            applied_log_index: lag.applied_log_index,
            durable_log_index: lag.durable_log_index,
            lag_frames: lag.lag_frames,
            lag_bytes: lag.lag_bytes,
            lag_ms: lag.lag_ms,
            hold: lag.hold,
            reported_at_ms: lag.reported_at_ms,
        }
    }
}

impl From<&ReplicaReplicationStatus> for ReplicaMetrics {
    fn from(status: &ReplicaReplicationStatus) -> Self {
        Self {
            applied_epoch: status.applied_epoch,
            applied_log_index: status.applied_log_index,
            needs_reseed: status.needs_reseed,
            last_error: status.last_error.clone().filter(|error| !error.is_empty()),
            state: status.state,
            state_since_ms: status.state_since_ms,
            source_head_log_index: status.source_head_log_index,
            lag_frames: status.lag_frames,
            durable_log_index: status.durable_log_index,
            digest: status.digest,
            follower_running: status.follower_running,
            replica_id: status.replica_id.clone(),
            source_db_path: status.source_db_path.as_deref().map(text),
            sidecar_path: text(&status.sidecar_path),
            registered: status.registered,
            retained_floor: status.retained_floor,
            log_bytes: status.log_bytes,
            segments: status.segments,
            holds: status.holds.clone(),
            registration_limit: status.registration_limit,
            replicas: status.replica_lags.iter().map(ReplicaLagMetrics::from).collect(),
        }
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        graph::{Epoch, LogIndex, Token},
        replication::HoldReason,
    };

    pub fn lag(id: &str, epoch: u64, applied: u64, lag_frames: u64) -> ReplicaLag {
        ReplicaLag {
            replica_id: id.to_owned(),
            name: None,
            path: None,
            epoch,
            applied_log_index: applied,
            durable_log_index: applied,
            lag_frames,
            lag_bytes: lag_frames * 100,
            lag_ms: lag_frames * 10,
            reserved_log_index: None,
            hold: if lag_frames > 50 { HoldState::AtRisk } else { HoldState::Held },
            reported_at_ms: 1_700_000_000_000,
        }
    }

    pub fn primary(replica_lags: Vec<ReplicaLag>) -> PrimaryReplicationStatus {
        PrimaryReplicationStatus {
            fence: None,
            begun_by: None,
            led_by: None,
            copied: None,
            panicked: None,
            role: ReplicationRole::Primary,
            epoch: 3,
            head_log_index: 100,
            retained_floor: 7,
            replica_lags,
            sidecar_path: "/data/a.replication".into(),
            last_token: Some(Token::new(Epoch(3), LogIndex(100))),
            append_attempts: 12,
            append_failures: 2,
            append_successes: 10,
            digest: Digest::default(),
            durable_log_index: 99,
            log_bytes: 4096,
            segments: 2,
            holds: vec![Hold { reason: HoldReason::WindowEntries, from_log_index: 7 }],
            log_fault: None,
            registration_limit: 4095,
            fenced: false,
            process_id: Some(1),
        }
    }

    pub fn replica(state: ReplicaState) -> ReplicaReplicationStatus {
        ReplicaReplicationStatus {
            promotion: None,
            source_fault: None,
            source_unseen: None,
            role: ReplicationRole::Replica,
            source_db_path: Some("/data/a.kitedb".into()),
            source_sidecar_path: None,
            source_follows: false,
            applied_epoch: 3,
            applied_log_index: 90,
            last_error: None,
            needs_reseed: state == ReplicaState::NeedsReseed,
            state,
            state_since_ms: 1_700_000_000_000,
            sidecar_path: "/data/b.replication".into(),
            replica_id: "0123456789abcdef0123456789abcdef".to_owned(),
            name: None,
            registered: state != ReplicaState::Unregistered,
            registration_fault: None,
            retained_floor: 3,
            log_bytes: 2048,
            segments: 1,
            holds: vec![Hold { reason: HoldReason::NewestSegment, from_log_index: 3 }],
            log_fault: None,
            replica_lags: Vec::new(),
            registration_limit: 4095,
            panicked: None,
            source_head_log_index: 100,
            lag_frames: 10,
            durable_log_index: 89,
            digest: Digest::default(),
            follower_running: true,
            process_id: Some(1),
        }
    }

    #[test]
    fn each_role_has_its_part_and_no_other() {
        let (primary, replica) = (primary(Vec::new()), replica(ReplicaState::Behind));
        let shape = |metrics: &ReplicationMetrics| {
            (metrics.enabled, metrics.role.clone(), metrics.primary.is_some(), metrics.replica.is_some())
        };
        let disabled = ReplicationMetrics::new(None, None);
        assert_eq!(shape(&disabled), (false, "disabled".to_owned(), false, false));
        let of = ReplicationMetrics::new(Some(&primary), None);
        assert_eq!(shape(&of), (true, "primary".to_owned(), true, false));
        let of = ReplicationMetrics::new(None, Some(&replica));
        assert_eq!(shape(&of), (true, "replica".to_owned(), false, true));
        let of = ReplicationMetrics::new(Some(&primary), Some(&replica));
        assert_eq!(shape(&of), (true, "primary".to_owned(), true, false));
    }

    #[test]
    fn a_primary_without_reports_has_no_lag() {
        let metrics = PrimaryMetrics::from(&primary(Vec::new()));
        assert_eq!((metrics.replica_count, metrics.stale_epoch_replica_count, metrics.max_replica_lag), (0, 0, 0));
        assert_eq!(metrics.min_replica_applied_log_index, None);
        assert_eq!(metrics.last_token.as_deref(), Some("3:100"));
        assert_eq!(metrics.append_attempts, metrics.append_failures + metrics.append_successes);
    }

    #[test]
    fn the_worst_lag_counts_and_only_older_epochs_are_stale() {
        let lags = vec![lag("a", 3, 98, 2), lag("b", 3, 40, 60), lag("old", 2, 20, 80), lag("new", 4, 100, 0)];
        let metrics = PrimaryMetrics::from(&primary(lags));
        assert_eq!((metrics.replica_count, metrics.stale_epoch_replica_count, metrics.max_replica_lag), (4, 1, 80));
        assert_eq!(metrics.min_replica_applied_log_index, Some(40));
        let holds: Vec<_> = metrics.replicas.iter().map(|lag| (lag.replica_id.as_str(), lag.hold.as_str())).collect();
        assert_eq!(holds, [("a", "held"), ("b", "at_risk"), ("old", "at_risk"), ("new", "held")]);
        assert_eq!((metrics.replicas[1].lag_bytes, metrics.replicas[1].lag_ms), (6000, 600));
    }

    #[test]
    fn an_empty_error_is_none() {
        let mut status = replica(ReplicaState::Following);
        status.last_error = Some(String::new());
        assert_eq!(ReplicaMetrics::from(&status).last_error, None);
        status.last_error = Some("the source cannot be read".to_owned());
        let metrics = ReplicaMetrics::from(&status);
        assert_eq!(metrics.last_error.as_deref(), Some("the source cannot be read"));
        assert_eq!((metrics.lag_frames, metrics.source_head_log_index), (10, 100));
        assert_eq!(metrics.source_db_path.as_deref(), Some("/data/a.kitedb"));
    }
}
