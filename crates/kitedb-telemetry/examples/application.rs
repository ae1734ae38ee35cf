//! An application that lets its metrics be pushed, to where the variables of OpenTelemetry say:
//!
//! ```sh
//! export OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318
//! cargo run -p kitedb-telemetry --example application -- /tmp/social.kitedb
//! ```
//!
//! It commits a little, pushes, commits some more, and ends, which pushes once more. What it knows of itself it prints.
#![allow(clippy::print_stdout, reason = "an example shows what it did")]

use kitedb_core::{Database, OpenOptions, ReplicationRole};
use kitedb_telemetry::{OtlpEnvironment, start_exporter};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("name a database")?;
    let db = Database::open(path, OpenOptions::new().replication_role(ReplicationRole::Primary))?;
    let environment = OtlpEnvironment::read()?;
    let exporter = match environment.sdk_disabled {
        true => None,
        false => Some(start_exporter(&db, environment.exporter_options())?),
    };

    commit(&db, 20)?;
    if let Some(exporter) = &exporter {
        exporter.flush()?;
    }
    commit(&db, 5)?;
    db.checkpoint()?;
    // Before the database: the last metrics are to be seen.
    if let Some(exporter) = exporter {
        exporter.close()?;
    }
    let metrics = db.collect_metrics()?.engine;
    println!(
        r#"{{"head_log_index":{},"append_attempts":{},"checkpoints":{},"commits":{}}}"#,
        metrics.head_log_index, metrics.append_attempts, metrics.checkpoints, metrics.commit_latency.count,
    );
    Ok(db.close()?)
}

fn commit(db: &Database, times: u32) -> kitedb_core::Result<()> {
    (0..times).try_for_each(|_| db.transaction(|tx| tx.create_node(None).map(drop)))
}
