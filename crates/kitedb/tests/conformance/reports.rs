//! Reports as objects: the members that cases ask for, under their names in Rust.

use kitedb::{
    CheckReport, Comparison, ConfirmedMove, Copied, Detached, HealthCheck, Index, IndexOn, IndexState, Metrics,
    PinInfo, PrimaryReplicationStatus, Promotion, Repair, ReplicaLag, ReplicaReplicationStatus, RetentionOutcome,
    Rival, Stats, Token,
};
use serde_json::{Value as Json, json};
use std::path::Path;

fn path(path: &Path) -> Json {
    Json::from(path.to_str().unwrap())
}

fn token(token: Token) -> Json {
    Json::from(token.full())
}

pub fn check(report: &CheckReport) -> Json {
    let CheckReport { damage, errors, error_count, nodes, edges, vectors, .. } = report;
    json!({
        "clean": report.is_clean(), "damage": damage, "errors": errors, "error_count": error_count, "nodes": nodes,
        "edges": edges, "vectors": vectors,
    })
}

fn counted(names: &[(String, u64)]) -> Json {
    names.iter().map(|(name, count)| json!({"name": name, "count": count})).collect()
}

fn pin(pin: &PinInfo) -> Json {
    json!({
        "kind": pin.kind.as_str(), "origin": &*pin.origin, "log_index": pin.log_index.0, "expired": pin.expired,
    })
}

pub fn stats(stats: &Stats) -> Json {
    json!({
        "nodes": stats.nodes, "edges": stats.edges, "vectors": stats.vectors, "labels": counted(&stats.labels),
        "edge_types": counted(&stats.edge_types), "property_keys": stats.property_keys, "damage": stats.damage,
        "background_error": stats.background_error, "delta_bytes": stats.delta_bytes,
        "pins": stats.pins.iter().map(pin).collect::<Json>(), "oldest_pin_ms": stats.oldest_pin_ms,
    })
}

fn lag(lag: &ReplicaLag) -> Json {
    json!({
        "replica_id": lag.replica_id, "name": lag.name, "epoch": lag.epoch, "applied_log_index": lag.applied_log_index,
        "lag_frames": lag.lag_frames,
    })
}

pub fn primary(status: &PrimaryReplicationStatus) -> Json {
    json!({
        "role": status.role.as_str(), "epoch": status.epoch, "head_log_index": status.head_log_index,
        "retained_floor": status.retained_floor, "replica_lags": status.replica_lags.iter().map(lag).collect::<Json>(),
        "last_token": status.last_token.map(|token| token.to_string()), "append_attempts": status.append_attempts,
        "append_failures": status.append_failures, "append_successes": status.append_successes, "fenced": status.fenced,
        "fault": status.fault(),
    })
}

pub fn replica(status: &ReplicaReplicationStatus) -> Json {
    json!({
        "role": status.role.as_str(), "applied_epoch": status.applied_epoch,
        "applied_log_index": status.applied_log_index, "needs_reseed": status.needs_reseed,
        "last_error": status.last_error, "state": status.state.as_str(), "name": status.name,
        "follower_running": status.follower_running, "source_db_path": status.source_db_path.as_deref().map(path),
    })
}

pub fn rivals(rivals: &[Rival]) -> Json {
    rivals.iter().map(|rival| json!({"db": path(&rival.db), "leads": rival.leads})).collect()
}

pub fn retention(outcome: &RetentionOutcome) -> Json {
    json!({"pruned_segments": outcome.pruned_segments, "retained_floor": outcome.retained_floor})
}

pub fn promotion(promotion: &Promotion) -> Json {
    json!({
        "epoch": promotion.epoch, "last_kept": token(promotion.last_kept), "source_fenced": promotion.source_fenced,
        "source_found": promotion.source_found,
    })
}

pub fn copied(copied: &Copied) -> Json {
    assert!(copied.left_behind.is_empty(), "no case leaves anyone behind yet");
    json!({
        "left_behind": [], "put_aside": copied.put_aside.as_deref().map(path), "gave_up_lead": copied.gave_up_lead,
    })
}

pub fn detached(detached: &Detached) -> Json {
    assert!(detached.followers.is_empty(), "no case detaches one that is followed yet");
    json!({
        "last_token": detached.last_token.map(token), "left_source": detached.left_source.as_deref().map(path),
        "followers": [],
    })
}

pub fn confirmed(confirmed: &ConfirmedMove) -> Json {
    json!({"epoch": confirmed.epoch})
}

pub fn repair(repair: &Repair) -> Json {
    json!({"clean": repair.is_clean(), "found": repair.found, "done": repair.done})
}

pub fn comparison(found: &Comparison) -> Json {
    assert!(found.differences.is_empty(), "no case compares what differs yet");
    json!({
        "equal": found.equal, "lead": found.lead(), "differences": [], "elements_compared": found.elements_compared,
    })
}

pub fn metrics(metrics: &Metrics) -> Json {
    let Metrics { data, replication, engine, .. } = metrics;
    json!({
        "path": metrics.path, "read_only": metrics.read_only,
        "data": {"node_count": data.node_count, "edge_count": data.edge_count},
        "replication": {"enabled": replication.enabled, "role": replication.role.as_str()},
        "engine": {
            "head_log_index": engine.head_log_index, "epoch": engine.epoch, "append_failures": engine.append_failures,
        },
    })
}

pub fn health(health: &HealthCheck) -> Json {
    json!({"healthy": health.healthy})
}

pub fn index(index: &Index) -> Json {
    let (label, edge_type) = match &index.spec.on {
        IndexOn::Label(label) => (Some(label), None),
        IndexOn::EdgeType(ty) => (None, Some(ty)),
        on => panic!("{on:?}"),
    };
    let state = match index.state {
        IndexState::Building => "building",
        IndexState::Ready => "ready",
        IndexState::EqualNodes(_) | IndexState::EqualEdges(_) => "failed",
        state => panic!("{state:?}"),
    };
    json!({
        "id": index.id.0, "name": index.name, "label": label, "edge_type": edge_type, "property": index.spec.property,
        "unique": index.spec.unique, "state": state,
    })
}
