//! `GET /api/replication/status`: open to everybody.

use super::App;
use crate::{
    auth::{Caller, Scope},
    error::Failure,
    told::json_of,
};
use axum::{
    Json,
    extract::{Request, State},
};
use serde_json::{Value, json};

/// Who sees all of it.
const SHOWN_TO: [Scope; 3] = [Scope::Metrics, Scope::Follow, Scope::Admin];
/// What whoever else asks may know of a primary: positions, and no path, no name and no error, which may have them.
const OF_PRIMARY: [&str; 6] = ["role", "epoch", "headLogIndex", "retainedFloor", "lastToken", "fenced"];
/// Likewise of a replica.
const OF_REPLICA: [&str; 7] =
    ["role", "appliedEpoch", "appliedLogIndex", "needsReseed", "state", "sourceHeadLogIndex", "lagFrames"];

pub async fn status(State(app): State<App>, request: Request) -> Result<Json<Value>, Failure> {
    let auth_enabled = app.authorizer.is_enabled();
    let caller = request.extensions().get::<Caller>();
    let admitted = caller.is_some_and(|caller| caller.has_any(&SHOWN_TO));
    let status = app
        .node
        .read(move |database| {
            let primary = database.primary_replication_status()?.as_ref().map(json_of);
            let replica = database.replica_replication_status()?.as_ref().map(json_of);
            let shown = |status: Option<Value>, open: &[&str]| match status {
                Some(Value::Object(mut members)) if !admitted => {
                    members.retain(|name, _| open.contains(&name.as_str()));
                    Value::Object(members)
                }
                status => status.unwrap_or_default(),
            };
            Ok(Json(json!({
                "connected": true,
                "authEnabled": auth_enabled,
                "role": database.replication_role().as_str(),
                "primary": shown(primary, &OF_PRIMARY),
                "replica": shown(replica, &OF_REPLICA),
            })))
        })
        .await;
    status.map_err(|failure| if admitted { failure } else { failure.untold() })
}
