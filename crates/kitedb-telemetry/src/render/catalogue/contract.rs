//! The families that were there before this crate: names, order and presence are a contract.

use super::{Family, Kind, Point, Since, Source, Unit, one};
use kitedb_core::{PrimaryMetrics, ReplicaMetrics};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        otlp: "kitedb.replication.enabled",
        help: "Whether replication is on (1) or off (0); the label tells this node's role.",
        points: |source| {
            let replication = &source.metrics.replication;
            vec![Point::from(replication.enabled).labelled("role", &replication.role)]
        },
        ..gauge("kitedb_replication_enabled", Unit::Flag)
    },
    Family {
        otlp: "kitedb.replication.auth.enabled",
        help: "Whether the server of these metrics asks for authorization (1), as far as it was told to the renderer.",
        points: |source| vec![source.auth_enabled.into()],
        ..gauge("kitedb_replication_auth_enabled", Unit::Flag)
    },
    Family {
        otlp: "kitedb.replication.primary.epoch",
        help: "The epoch in which this primary commits; it grows with every promotion.",
        points: |source| of_primary(source, |primary| primary.epoch),
        ..gauge("kitedb_replication_primary_epoch", Unit::Epoch)
    },
    Family {
        otlp: "kitedb.replication.primary.head_log_index",
        help: "The log index of this primary's last commit.",
        points: |source| of_primary(source, |primary| primary.head_log_index),
        ..gauge("kitedb_replication_primary_head_log_index", Unit::Index)
    },
    Family {
        otlp: "kitedb.replication.primary.retained_floor",
        help: "The first log index that the log still holds; 0 if it holds all of them.",
        points: |source| of_primary(source, |primary| primary.retained_floor),
        ..gauge("kitedb_replication_primary_retained_floor", Unit::Index)
    },
    Family {
        linted: Some("kitedb_replication_primary_replicas"),
        otlp: "kitedb.replication.primary.replica_count",
        help: "Replicas that reported to this primary.",
        points: |source| of_primary(source, |primary| primary.replica_count),
        ..gauge("kitedb_replication_primary_replica_count", Unit::Replica)
    },
    Family {
        linted: Some("kitedb_replication_primary_stale_epoch_replicas"),
        otlp: "kitedb.replication.primary.stale_epoch_replica_count",
        help: "Replicas whose last frame is of an older epoch than this primary's.",
        points: |source| of_primary(source, |primary| primary.stale_epoch_replica_count),
        ..gauge("kitedb_replication_primary_stale_epoch_replica_count", Unit::Replica)
    },
    Family {
        otlp: "kitedb.replication.primary.max_replica_lag",
        help: "The most log frames that one replica misses; 0 without replicas.",
        points: |source| of_primary(source, |primary| primary.max_replica_lag),
        ..gauge("kitedb_replication_primary_max_replica_lag", Unit::Frame)
    },
    Family {
        otlp: "kitedb.replication.primary.append_attempts",
        help: "Appends to this primary's log that were tried since the open.",
        points: |source| of_primary(source, |primary| primary.append_attempts),
        ..counter("kitedb_replication_primary_append_attempts_total", Unit::Append, Since::Open)
    },
    Family {
        otlp: "kitedb.replication.primary.append_failures",
        help: "Appends to this primary's log that failed since the open.",
        points: |source| of_primary(source, |primary| primary.append_failures),
        ..counter("kitedb_replication_primary_append_failures_total", Unit::Append, Since::Open)
    },
    Family {
        otlp: "kitedb.replication.primary.append_successes",
        help: "Appends to this primary's log that were done since the open.",
        points: |source| of_primary(source, |primary| primary.append_successes),
        ..counter("kitedb_replication_primary_append_successes_total", Unit::Append, Since::Open)
    },
    Family {
        otlp: "kitedb.replication.replica.applied_epoch",
        help: "The epoch of the last frame that this replica applied; 0 before the first.",
        points: |source| of_replica(source, |replica| replica.applied_epoch),
        ..gauge("kitedb_replication_replica_applied_epoch", Unit::Epoch)
    },
    Family {
        otlp: "kitedb.replication.replica.applied_log_index",
        help: "The log index of the last frame that this replica applied; 0 before the first.",
        points: |source| of_replica(source, |replica| replica.applied_log_index),
        ..gauge("kitedb_replication_replica_applied_log_index", Unit::Index)
    },
    Family {
        otlp: "kitedb.replication.replica.needs_reseed",
        help: "Whether this replica must be reseeded (1).",
        points: |source| of_replica(source, |replica| replica.needs_reseed),
        ..gauge("kitedb_replication_replica_needs_reseed", Unit::Flag)
    },
    Family {
        otlp: "kitedb.replication.replica.last_error_present",
        help: "Whether this replica's last attempt to follow its source failed (1).",
        points: |source| of_replica(source, |replica| replica.last_error.is_some()),
        ..gauge("kitedb_replication_replica_last_error_present", Unit::Flag)
    },
];

/// A family of gauges without points; the table adds what is missing.
pub(super) const fn gauge(name: &'static str, unit: Unit) -> Family {
    Family {
        name,
        linted: None,
        otlp: "",
        unit,
        kind: Kind::Gauge,
        help: "",
        writer_only: false,
        points: |_| Vec::new(),
    }
}

/// As [`gauge`].
pub(super) const fn counter(name: &'static str, unit: Unit, since: Since) -> Family {
    Family { kind: Kind::Counter(since), ..gauge(name, unit) }
}

/// The point of a family that only primaries have.
pub(super) fn of_primary<P: Into<Point>>(source: &Source<'_>, value: fn(&PrimaryMetrics) -> P) -> Vec<Point> {
    one(source.metrics.replication.primary.as_ref().map(value))
}

/// The point of a family that only replicas have.
pub(super) fn of_replica<P: Into<Point>>(source: &Source<'_>, value: fn(&ReplicaMetrics) -> P) -> Vec<Point> {
    one(source.metrics.replication.replica.as_ref().map(value))
}
