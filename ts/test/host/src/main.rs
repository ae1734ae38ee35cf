//! One database, asked by lines of JSON on standard input: `{"call": "open", "args": [...]}`. Each is answered by a line,
//! `{"ok": …}` or `{"error": {"code", "kind", "message"}}`. At the end of its input it closes the database and ends.

use kitedb::{
    Database, Error, ExportedSnapshot, OpenOptions, ReplicationRole,
    telemetry::{
        PrometheusOptions, render_replication_metrics_otel_json, render_replication_metrics_prometheus_with_options,
    },
    transport::TransportJson,
};
use serde_json::{Value, json};
use std::io::{self, BufRead, Write};

fn main() -> io::Result<()> {
    let mut open = Open::default();
    let (input, mut output) = (io::stdin().lock(), io::stdout().lock());
    for line in input.lines() {
        let answer = match serde_json::from_str::<Value>(&line?).map_err(Error::invalid) {
            Ok(asked) => answer(&mut open, asked["call"].as_str().unwrap_or_default(), &asked["args"]),
            Err(error) => Err(error),
        };
        let answer = match answer {
            Ok(value) => json!({ "ok": value }),
            Err(error) => json!({ "error": {
                "code": error.code().as_str(), "kind": error.kind().as_str(), "message": error.to_string(),
            }}),
        };
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    open.image = None;
    match open.db {
        Some(db) => db.close().map_err(io::Error::other),
        None => Ok(()),
    }
}

/// What this process holds.
#[derive(Default)]
struct Open {
    db: Option<Database>,
    image: Option<ExportedSnapshot>,
}

fn answer(open: &mut Open, call: &str, args: &Value) -> Result<Value, Error> {
    let number = |at: usize| args[at].as_u64().unwrap_or_default() as usize;
    if call == "open" {
        let mut options = OpenOptions::new();
        if let Some(role) = args[1].as_str() {
            options = options.replication_role(role.parse()?);
        }
        if let Some(sidecar) = args[2].as_str() {
            options = options.replication_sidecar_path(sidecar);
        }
        if let Some(source) = args[3].as_str() {
            options = options.replication_source_db_path(source);
        }
        if let Some(bytes) = args[4].as_u64() {
            options = options.replication_segment_max_bytes(bytes);
        }
        if let Some(entries) = args[5].as_u64() {
            options = options.replication_retention_min_entries(entries);
        }
        open.db = Some(Database::open(args[0].as_str().unwrap_or_default(), options)?);
        return Ok(Value::Null);
    }
    let db = open.db.as_ref().ok_or_else(|| Error::invalid("no database was opened"))?;
    Ok(match call {
        "role" => json!(db.replication_role().as_str()),
        "commit" => {
            let key = args[0].as_str().unwrap_or_default();
            db.transaction(|tx| tx.create_node(Some(key)).map(drop))?;
            Value::Null
        }
        "fill" => {
            let text = "x".repeat(64 << 10);
            db.transaction(|tx| {
                for _ in 0..number(0) {
                    let node = tx.create_node(None)?;
                    tx.set_node_prop(node, "text", text.as_str())?;
                }
                Ok::<_, Error>(())
            })?;
            Value::Null
        }
        "hasNode" => {
            json!(kitedb::GraphRead::node_by_key(&db.snapshot()?, args[0].as_str().unwrap_or_default())?.is_some())
        }
        "digest" => json!(db.snapshot()?.digest().to_string()),
        "checkpoint" => {
            db.checkpoint()?;
            Value::Null
        }
        "snapshotJson" => json!(db.primary_export_snapshot_transport_json(args[0] == true)?),
        "logJson" => {
            json!(db.primary_export_log_transport_json(args[0].as_str(), number(1), number(2), args[3] == true)?)
        }
        "prometheus" => {
            let options = PrometheusOptions::new().auth_enabled(args[0] == true);
            json!(render_replication_metrics_prometheus_with_options(&db.collect_metrics()?, &options))
        }
        "otelJson" => json!(render_replication_metrics_otel_json(&db.collect_metrics()?)),
        "imageOpen" => {
            let image = open.image.insert(db.primary_export_snapshot()?);
            json!({
                "generatedAtMs": image.generated_at_ms(),
                "epoch": image.epoch().0,
                "headLogIndex": image.head().0,
                "retainedFloor": image.retained_floor().0,
                "checkpointLogIndex": image.checkpoint().0,
                "byteLength": image.byte_length(),
                "digest": image.digest().to_string(),
                "startCursor": image.start_cursor().to_string(),
            })
        }
        "imageRead" => {
            let image = open.image.as_ref().ok_or_else(|| Error::invalid("the image was released"))?;
            let mut piece = vec![0; number(1)];
            image.read_at(&mut piece, number(0) as u64)?;
            json!(hex(&piece))
        }
        "imageRelease" => {
            open.image = None;
            Value::Null
        }
        "imageIsHeld" => json!(open.image.is_some()),
        "primaryStatus" => db.primary_replication_status()?.filter(|_| is(db, ReplicationRole::Primary)).map_or(
            Value::Null,
            |status| {
                json!({
                    "role": "primary",
                    "epoch": status.epoch,
                    "headLogIndex": status.head_log_index,
                    "retainedFloor": status.retained_floor,
                    "replicaLags": status.replica_lags.iter().map(|lag| json!({
                        "replicaId": lag.replica_id,
                        "path": lag.path,
                        "epoch": lag.epoch,
                        "appliedLogIndex": lag.applied_log_index,
                    })).collect::<Vec<_>>(),
                    "sidecarPath": status.sidecar_path,
                    "lastToken": status.last_token.map(|token| token.to_string()),
                    "appendAttempts": status.append_attempts,
                    "appendFailures": status.append_failures,
                    "appendSuccesses": status.append_successes,
                })
            },
        ),
        "replicaStatus" => db.replica_replication_status()?.filter(|_| is(db, ReplicationRole::Replica)).map_or(
            Value::Null,
            |status| {
                json!({
                    "role": "replica",
                    "sourceDbPath": status.source_db_path,
                    "sourceSidecarPath": status.source_sidecar_path,
                    "appliedEpoch": status.applied_epoch,
                    "appliedLogIndex": status.applied_log_index,
                    "lastError": status.last_error,
                    "needsReseed": status.needs_reseed,
                    "state": status.state.as_str(),
                })
            },
        ),
        "retention" => {
            let outcome = db.primary_run_retention()?;
            json!({ "prunedSegments": outcome.pruned_segments, "retainedFloor": outcome.retained_floor })
        }
        "bootstrap" => {
            db.replica_bootstrap_from_snapshot()?;
            Value::Null
        }
        "catchUp" => json!(db.replica_catch_up_once(number(0))?),
        "reseed" => {
            db.replica_reseed_from_snapshot()?;
            Value::Null
        }
        "promote" => json!(db.primary_promote_to_next_epoch()?),
        "close" => {
            db.close()?;
            Value::Null
        }
        other => return Err(Error::invalid(format_args!("no such call: {other}"))),
    })
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |four: u8| char::from(DIGITS[usize::from(four)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn is(db: &Database, role: ReplicationRole) -> bool {
    db.replication_role() == role
}
