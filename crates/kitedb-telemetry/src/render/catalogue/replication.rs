//! What else a node of a replicated database tells.

use super::{
    Family, Point, Source, Unit,
    contract::{gauge, of_primary, of_replica},
    one, states,
};
use kitedb_core::{HoldState, ReplicaLagMetrics, ReplicaMetrics, ReplicaState};
use std::path::Path;

/// So much of the digest is told: what a float of a receiver holds exactly.
const DIGEST_BITS: u32 = 48;

pub(super) const FAMILIES: &[Family] = &[
    Family {
        otlp: "kitedb.replication.node_state",
        help: "What this node is doing: 1 for the state that it is in, 0 for each other.",
        points: node_state,
        ..gauge("kitedb_replication_node_state", Unit::Flag)
    },
    Family {
        otlp: "kitedb.replication.state_digest",
        help: "The low 48 bits of the digest of the graph at this node's last log index. Nodes at an equal log index \
               with different digests hold different graphs.",
        points: |source| {
            let replication = &source.metrics.replication;
            let primary = replication.primary.as_ref().map(|primary| primary.digest);
            let digest = primary.or(replication.replica.as_ref().map(|replica| replica.digest));
            one(digest.map(|digest| (digest.0 & ((1 << DIGEST_BITS) - 1)) as u64))
        },
        ..gauge("kitedb_replication_state_digest", Unit::Digest)
    },
    Family {
        otlp: "kitedb.replication.registrations",
        help: "Replicas that are registered with this node: its log is kept for them.",
        points: |source| one(replicas(source).map(|replicas| replicas.len() as u64)),
        ..gauge("kitedb_replication_registrations", Unit::Replica)
    },
    Family {
        otlp: "kitedb.replication.registration_limit",
        help: "How many replicas can be registered with this node.",
        points: |source| {
            let replication = &source.metrics.replication;
            let primary = replication.primary.as_ref().map(|primary| primary.registration_limit);
            one(primary.or(replication.replica.as_ref().map(|replica| replica.registration_limit)))
        },
        ..gauge("kitedb_replication_registration_limit", Unit::Replica)
    },
    Family {
        otlp: "kitedb.replication.log_hold",
        help: "What keeps the oldest segment of this node's log: 1 for each reason that does, 0 for the others. All 0: it \
               goes with the next run of retention.",
        points: log_hold,
        ..gauge("kitedb_replication_log_hold", Unit::Flag)
    },
    Family {
        otlp: "kitedb.replication.primary.fenced",
        help: "Whether another node took over from this primary (1): then no commit is acknowledged here any more.",
        points: |source| of_primary(source, |primary| primary.fenced),
        ..gauge("kitedb_replication_primary_fenced", Unit::Flag)
    },
    Family {
        otlp: "kitedb.replication.primary.copied",
        help: "Whether the files of this primary were copied or restored (1): then it commits nothing before its operator \
               says what it is.",
        points: |source| of_primary(source, |primary| primary.copied),
        ..gauge("kitedb_replication_primary_copied", Unit::Flag)
    },
    Family {
        otlp: "kitedb.replication.primary.durable_log_index",
        help: "The log index of the last commit that is synced to this primary's disk.",
        points: |source| of_primary(source, |primary| primary.durable_log_index),
        ..gauge("kitedb_replication_primary_durable_log_index", Unit::Index)
    },
    Family {
        otlp: "kitedb.replication.primary.log_size",
        help: "Bytes of log that this primary retains.",
        points: |source| of_primary(source, |primary| primary.log_bytes),
        ..gauge("kitedb_replication_primary_log_size_bytes", Unit::Bytes)
    },
    Family {
        otlp: "kitedb.replication.primary.log_segments",
        help: "Segments of log that this primary retains.",
        points: |source| of_primary(source, |primary| primary.segments),
        ..gauge("kitedb_replication_primary_log_segments", Unit::Segment)
    },
    Family {
        otlp: "kitedb.replication.primary.min_replica_applied_log_index",
        help: "The least log index that a replica has applied, among those whose last frame is of this primary's epoch.",
        points: |source| {
            one(source.metrics.replication.primary.as_ref().and_then(|primary| primary.min_replica_applied_log_index))
        },
        ..gauge("kitedb_replication_primary_min_replica_applied_log_index", Unit::Index)
    },
    Family {
        otlp: "kitedb.replication.primary.replica_lag_frames",
        help: "Log frames that a replica misses.",
        points: |source| of_each_replica(source, |replica| vec![replica.lag_frames.into()]),
        ..gauge("kitedb_replication_primary_replica_lag_frames", Unit::Frame)
    },
    Family {
        otlp: "kitedb.replication.primary.replica_lag_bytes",
        help: "Bytes of log that a replica misses, roughly.",
        points: |source| of_each_replica(source, |replica| vec![replica.lag_bytes.into()]),
        ..gauge("kitedb_replication_primary_replica_lag_bytes", Unit::Bytes)
    },
    Family {
        otlp: "kitedb.replication.primary.replica_lag_seconds",
        help: "How long ago the oldest frame that a replica misses was committed; 0 if it misses none.",
        points: |source| of_each_replica(source, |replica| vec![Point::of_ms(replica.lag_ms)]),
        ..gauge("kitedb_replication_primary_replica_lag_seconds", Unit::Seconds)
    },
    Family {
        otlp: "kitedb.replication.primary.replica_last_report_timestamp",
        help: "When a replica last reported, in seconds since 1970.",
        points: |source| of_each_replica(source, |replica| vec![Point::of_ms(replica.reported_at_ms)]),
        ..gauge("kitedb_replication_primary_replica_last_report_timestamp_seconds", Unit::Seconds)
    },
    Family {
        otlp: "kitedb.replication.primary.replica_hold_state",
        help: "Whether the log keeps what a replica needs next: 1 for what holds (held, at_risk, lost), 0 for the others.",
        points: |source| of_each_replica(source, hold_state),
        ..gauge("kitedb_replication_primary_replica_hold_state", Unit::Flag)
    },
    Family {
        otlp: "kitedb.replication.replica.source_head_log_index",
        help: "The log index of the last commit of this replica's source, at the last look.",
        points: |source| one(with_source(source).map(|replica| replica.source_head_log_index)),
        ..gauge("kitedb_replication_replica_source_head_log_index", Unit::Index)
    },
    Family {
        otlp: "kitedb.replication.replica.lag_frames",
        help: "Log frames that this replica misses, as of its last look at its source.",
        points: |source| one(with_source(source).map(|replica| replica.lag_frames)),
        ..gauge("kitedb_replication_replica_lag_frames", Unit::Frame)
    },
    Family {
        otlp: "kitedb.replication.replica.durable_log_index",
        help: "The log index of the last frame that is synced to this replica's disk.",
        points: |source| of_replica(source, |replica| replica.durable_log_index),
        ..gauge("kitedb_replication_replica_durable_log_index", Unit::Index)
    },
    Family {
        otlp: "kitedb.replication.replica.registered",
        help: "Whether the source of this replica keeps its log for it (1), as far as its last report tells.",
        points: |source| of_replica(source, |replica| replica.registered),
        ..gauge("kitedb_replication_replica_registered", Unit::Flag)
    },
    Family {
        otlp: "kitedb.replication.replica.retained_floor",
        help: "The first log index that this replica's own log still holds; 0 if it holds all of them.",
        points: |source| of_replica(source, |replica| replica.retained_floor),
        ..gauge("kitedb_replication_replica_retained_floor", Unit::Index)
    },
    Family {
        otlp: "kitedb.replication.replica.log_size",
        help: "Bytes of log that this replica retains.",
        points: |source| of_replica(source, |replica| replica.log_bytes),
        ..gauge("kitedb_replication_replica_log_size_bytes", Unit::Bytes)
    },
    Family {
        otlp: "kitedb.replication.replica.log_segments",
        help: "Segments of log that this replica retains.",
        points: |source| of_replica(source, |replica| replica.segments),
        ..gauge("kitedb_replication_replica_log_segments", Unit::Segment)
    },
    Family {
        otlp: "kitedb.replication.replica.follower_running",
        help: "Whether a background follower is at work for this replica in this process (1).",
        writer_only: true,
        points: |source| of_replica(source, |replica| replica.follower_running),
        ..gauge("kitedb_replication_replica_follower_running", Unit::Flag)
    },
    Family {
        otlp: "kitedb.replication.replica.state_start_timestamp",
        help: "Since when this replica has been in its state, in seconds since 1970.",
        points: |source| {
            let since = source.metrics.replication.replica.as_ref().map(|replica| replica.state_since_ms);
            one(since.filter(|since| *since > 0).map(Point::of_ms))
        },
        ..gauge("kitedb_replication_replica_state_start_timestamp_seconds", Unit::Seconds)
    },
];

fn node_state(source: &Source<'_>) -> Vec<Point> {
    let all = [&["leading", "fenced", "copied"][..], &ReplicaState::ALL.map(ReplicaState::as_str)].concat();
    let replication = &source.metrics.replication;
    match (&replication.primary, &replication.replica) {
        (Some(primary), _) if primary.fenced => states(&all, "fenced"),
        (Some(primary), _) => states(&all, if primary.copied { "copied" } else { "leading" }),
        (None, Some(replica)) => states(&all, replica.state.as_str()),
        (None, None) => Vec::new(),
    }
}

fn hold_state(replica: &ReplicaLagMetrics) -> Vec<Point> {
    states(&[HoldState::Held, HoldState::AtRisk, HoldState::Lost].map(HoldState::as_str), replica.hold.as_str())
}

/// The replicas that are registered with this node; `None` where it plays no part.
fn replicas<'a>(source: &Source<'a>) -> Option<&'a [ReplicaLagMetrics]> {
    let replication = &source.metrics.replication;
    let primary = replication.primary.as_ref().map(|primary| &*primary.replicas);
    primary.or(replication.replica.as_ref().map(|replica| &*replica.replicas))
}

fn log_hold(source: &Source<'_>) -> Vec<Point> {
    const REASONS: [&str; 5] = ["window_entries", "window_time", "replica", "recovery", "newest_segment"];
    let replication = &source.metrics.replication;
    let primary = replication.primary.as_ref().map(|primary| &primary.holds);
    let Some(holds) = primary.or(replication.replica.as_ref().map(|replica| &replica.holds)) else { return Vec::new() };
    let holding = |reason: &str| holds.iter().any(|hold| hold.reason.kind() == reason);
    REASONS.iter().map(|reason| Point::from(holding(reason)).labelled("reason", reason)).collect()
}

/// Points of every replica that a primary knows, with its id as their first label and its name, if it has one, as
/// the second.
fn of_each_replica(source: &Source<'_>, points: fn(&ReplicaLagMetrics) -> Vec<Point>) -> Vec<Point> {
    let replicas = source.metrics.replication.primary.as_ref().map_or(&[][..], |primary| &primary.replicas);
    let labelled = |replica: &ReplicaLagMetrics| {
        let mut points = points(replica);
        let id = if source.paths { &replica.replica_id } else { shown(&replica.replica_id, replicas) };
        for point in &mut points {
            if let Some(name) = &replica.name {
                point.labels.insert(0, ("replica_name", name.clone()));
            }
            point.labels.insert(0, ("replica_id", id.to_owned()));
        }
        points
    };
    replicas.iter().flat_map(labelled).collect()
}

/// An id that is a path (that of a replica's sidecar) without the folders that are not needed to tell it from others.
fn shown<'a>(id: &'a str, replicas: &[ReplicaLagMetrics]) -> &'a str {
    if !Path::new(id).is_absolute() {
        return id;
    }
    let ends_alone = |end: &str| {
        let others = replicas.iter().filter(|other| other.replica_id != id);
        others.into_iter().all(|other| {
            let before = other.replica_id.strip_suffix(end);
            before.is_none_or(|before| !before.is_empty() && !before.ends_with('/'))
        })
    };
    let ends = id.rmatch_indices('/').map(|(at, _)| &id[at + 1..]);
    ends.filter(|end| !end.is_empty()).find(|end| ends_alone(end)).unwrap_or(id)
}

/// The replica, if it knows how far its source is: nothing is told of a source that could not be looked at.
fn with_source<'a>(source: &Source<'a>) -> Option<&'a ReplicaMetrics> {
    source.metrics.replication.replica.as_ref().filter(|replica| replica.source_head_log_index > 0)
}
