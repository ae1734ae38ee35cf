//! `GET /healthz` and `GET /readyz`: for whoever starts it and sends it work. Both are open, and tell nothing that is not open.

use super::App;
use crate::error::Failure;
use axum::{Json, extract::State, http::StatusCode};
use kitedb_core::{Database, ReplicaState};
use serde_json::{Value, json};

/// The process answers.
pub async fn alive() -> Json<Value> {
    Json(json!({ "alive": true }))
}

/// The same of several databases.
pub async fn all_ready(apps: Vec<App>) -> (StatusCode, Json<Value>) {
    let (all, mut not_ready) = (apps.len(), 0);
    for app in apps {
        not_ready += usize::from(ready(State(app)).await.0 != StatusCode::OK);
    }
    let status = if not_ready == 0 { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": not_ready == 0, "databases": all, "notReady": not_ready })))
}

/// Whether the database can be worked with: a primary that leads, a replica that follows and is not far behind, a file that opens.
pub async fn ready(State(app): State<App>) -> (StatusCode, Json<Value>) {
    let most = app.ready_lag;
    let looked = app.node.read(move |database| Ok((database.replication_role(), why_not_ready(database, most)?))).await;
    let (role, why_not) = match looked {
        Ok((role, why_not)) => (Some(role.as_str()), why_not),
        Err(failure) => (None, Some(failure.code())),
    };
    let status = if why_not.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": why_not.is_none(), "role": role, "reason": why_not })))
}

fn why_not_ready(database: &Database, most: u64) -> Result<Option<&'static str>, Failure> {
    if database.damage().is_some() {
        return Ok(Some("damaged"));
    }
    let health = database.health_check()?;
    let failed = |name| health.check(name).is_some_and(|check| !check.passed);
    if failed("database_open") {
        // It was removed, replaced or cut while it was open.
        return Ok(Some("file_lost"));
    }
    if failed("log") {
        return Ok(Some("log_failed"));
    }
    if let Some(primary) = database.primary_replication_status()? {
        let copied = primary.copied.is_some().then_some("copied");
        let why_not = primary.fenced.then_some("fenced").or(copied).or(primary.panicked.map(|_| "panicked"));
        return Ok(why_not.or(log_missing(database)));
    }
    let Some(replica) = database.replica_replication_status()? else {
        // It stands alone, and what opens works; or its log cannot be looked at.
        return Ok(log_missing(database));
    };
    Ok(match replica.state {
        _ if replica.needs_reseed => Some("needs_reseed"),
        ReplicaState::Following | ReplicaState::Behind => {
            let empty = (replica.applied_log_index == 0 && replica.source_head_log_index > 0).then_some("empty");
            empty.or((replica.lag_frames > most).then_some("lagging"))
        }
        state => Some(state.as_str()),
    })
}

/// A node whose log is not where it was commits nothing. Whether it is there is not known to whom it is not shown.
fn log_missing(database: &Database) -> Option<&'static str> {
    let missing = database.replication_log_fault().is_some() && !database.replication_log_is_denied();
    missing.then_some("log_missing")
}
