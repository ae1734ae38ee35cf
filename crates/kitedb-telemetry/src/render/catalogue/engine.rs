//! What the engine has done since the open, in every role.

use super::{
    Family, Kind, Point, Since, Unit, Value,
    contract::{counter, gauge},
    latency::Histogram,
};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        otlp: "kitedb.commit.duration",
        kind: Kind::Histogram(Since::Open),
        help: "How long commits took that succeeded and changed something. Where commits do not wait for the disk, one \
               in 16 is measured. Buckets round times up, by an eighth at most.",
        points: |source| histogram(Histogram::of(&source.metrics.engine.commit_latency)),
        ..gauge("kitedb_commit_duration_seconds", Unit::Seconds)
    },
    Family {
        otlp: "kitedb.log.sync.duration",
        kind: Kind::Histogram(Since::Open),
        help: "How long the disk took for each sync of the log that succeeded. Buckets round times up, by an eighth at \
               most.",
        points: |source| histogram(Histogram::of(&source.metrics.engine.sync_latency)),
        ..gauge("kitedb_log_sync_duration_seconds", Unit::Seconds)
    },
    Family {
        otlp: "kitedb.log.append_attempts",
        help: "Appends to the log that were tried, in any role.",
        points: |source| vec![source.metrics.engine.append_attempts.into()],
        ..counter("kitedb_log_append_attempts_total", Unit::Append, Since::Open)
    },
    Family {
        otlp: "kitedb.log.append_failures",
        help: "Appends to the log that failed, in any role.",
        points: |source| vec![source.metrics.engine.append_failures.into()],
        ..counter("kitedb_log_append_failures_total", Unit::Append, Since::Open)
    },
    Family {
        otlp: "kitedb.log.failed",
        help: "Whether the log failed or a thread panicked (1): no commit succeeds until the database is reopened.",
        writer_only: true,
        points: |source| vec![source.metrics.engine.log_failed.into()],
        ..gauge("kitedb_log_failed", Unit::Flag)
    },
    Family {
        otlp: "kitedb.checkpoints",
        help: "Checkpoints that were made.",
        points: |source| vec![source.metrics.engine.checkpoints.into()],
        ..counter("kitedb_checkpoints_total", Unit::Checkpoint, Since::Open)
    },
    Family {
        otlp: "kitedb.checkpoint.written",
        help: "Bytes that checkpoints wrote.",
        points: |source| vec![source.metrics.engine.bytes_checkpointed.into()],
        ..counter("kitedb_checkpoint_written_bytes_total", Unit::Bytes, Since::Open)
    },
    Family {
        otlp: "kitedb.compactions",
        help: "Merges of runs that were made.",
        points: |source| vec![source.metrics.engine.compactions.into()],
        ..counter("kitedb_compactions_total", Unit::Compaction, Since::Open)
    },
    Family {
        otlp: "kitedb.compaction.written",
        help: "Bytes that merges of runs wrote.",
        points: |source| vec![source.metrics.engine.bytes_compacted.into()],
        ..counter("kitedb_compaction_written_bytes_total", Unit::Bytes, Since::Open)
    },
    Family {
        otlp: "kitedb.background_error_present",
        help: "Whether the last work in the background (a checkpoint, a merge, a sync) failed, or a thread panicked (1).",
        writer_only: true,
        points: |source| vec![source.metrics.engine.background_error.is_some().into()],
        ..gauge("kitedb_background_error_present", Unit::Flag)
    },
    Family {
        otlp: "kitedb.oldest_pin",
        help: "For how long the oldest state that a view or a transaction holds has not been current; 0: nobody holds one.",
        writer_only: true,
        points: |source| {
            let oldest = source.metrics.mvcc.as_ref().and_then(|mvcc| mvcc.oldest_pin_ms);
            vec![Point::of_ms(oldest.unwrap_or_default())]
        },
        ..gauge("kitedb_oldest_pin_seconds", Unit::Seconds)
    },
    Family {
        otlp: "kitedb.longest_pin",
        help: "For how long the view or transaction has been open that is open for longest, whatever it holds; 0: there is none.",
        writer_only: true,
        points: |source| {
            let longest = source.metrics.mvcc.as_ref().and_then(|mvcc| mvcc.oldest_pin.as_ref());
            vec![Point::of_ms(longest.map_or(0, |pin| pin.age_ms))]
        },
        ..gauge("kitedb_longest_pin_seconds", Unit::Seconds)
    },
    Family {
        otlp: "kitedb.pinned_delta",
        help: "Memory that only views and transactions of states that are not current hold.",
        writer_only: true,
        points: |source| vec![source.metrics.memory.pinned_delta_bytes.into()],
        ..gauge("kitedb_pinned_delta_bytes", Unit::Bytes)
    },
    Family {
        otlp: "kitedb.pinned_run",
        help: "Space of the file that only views and transactions of states that are not current hold.",
        writer_only: true,
        points: |source| vec![source.metrics.memory.pinned_run_bytes.into()],
        ..gauge("kitedb_pinned_run_bytes", Unit::Bytes)
    },
];

fn histogram(histogram: Histogram) -> Vec<Point> {
    vec![Point { labels: Vec::new(), value: Value::Histogram(histogram) }]
}
