//! What became of pushes of a database's metrics. There once something was pushed.

use super::{
    Family, Point, Since, Source, Unit,
    contract::{counter, gauge},
    one, states,
};
use crate::health::{BreakerPhase, ExporterMetrics};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        otlp: "kitedb.exporter.pushes",
        help: "Pushes that were begun, those included that the circuit breaker kept back.",
        points: |source| once_pushed(source, |exporter| exporter.pushes),
        ..counter("kitedb_exporter_pushes_total", Unit::Push, Since::FirstPush)
    },
    Family {
        otlp: "kitedb.exporter.retries",
        help: "Attempts after the first one of a push.",
        points: |source| once_pushed(source, |exporter| exporter.retries),
        ..counter("kitedb_exporter_retries_total", Unit::Attempt, Since::FirstPush)
    },
    Family {
        otlp: "kitedb.exporter.points_exported",
        help: "Data points that the collector took.",
        points: |source| once_pushed(source, |exporter| exporter.exported_points),
        ..counter("kitedb_exporter_points_exported_total", Unit::Point, Since::FirstPush)
    },
    Family {
        otlp: "kitedb.exporter.points_rejected",
        help: "Data points that the collector refused as a part of a push that it took.",
        points: |source| once_pushed(source, |exporter| exporter.rejected_points),
        ..counter("kitedb_exporter_points_rejected_total", Unit::Point, Since::FirstPush)
    },
    Family {
        otlp: "kitedb.exporter.points_dropped",
        help: "Data points that were given up, by reason.",
        points: |source| {
            let dropped = source.exporter.dropped_points.iter().filter(|_| source.exporter.started_ms.is_some());
            dropped.map(|(reason, points)| Point::from(*points).labelled("reason", reason.as_str())).collect()
        },
        ..counter("kitedb_exporter_points_dropped_total", Unit::Point, Since::FirstPush)
    },
    Family {
        otlp: "kitedb.exporter.breaker_store_errors",
        help: "Calls of the store of circuit breaker states that failed.",
        points: |source| once_pushed(source, |exporter| exporter.store_errors),
        ..counter("kitedb_exporter_breaker_store_errors_total", Unit::Call, Since::FirstPush)
    },
    Family {
        otlp: "kitedb.exporter.breaker_state",
        help: "The circuit breaker at the last push: 1 for the state that it was in, 0 for each other.",
        points: |source| {
            let current = source.exporter.started_ms.map(|_| source.exporter.breaker.as_str());
            current.map_or_else(Vec::new, |current| states(&BreakerPhase::ALL.map(BreakerPhase::as_str), current))
        },
        ..gauge("kitedb_exporter_breaker_state", Unit::Flag)
    },
    Family {
        otlp: "kitedb.exporter.last_success_timestamp",
        help: "When a push succeeded last, in seconds since 1970; absent until one does.",
        points: |source| one(source.exporter.last_success_ms.map(Point::of_ms)),
        ..gauge("kitedb_exporter_last_success_timestamp_seconds", Unit::Seconds)
    },
];

fn once_pushed(source: &Source<'_>, value: fn(&ExporterMetrics) -> u64) -> Vec<Point> {
    one(source.exporter.started_ms.map(|_| value(source.exporter)))
}
