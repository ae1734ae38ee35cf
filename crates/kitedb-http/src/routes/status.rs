//! `GET /api/replication/status`: open to everybody.

use super::App;
use crate::{auth::Shown, error::Failure, told::json_of};
use axum::{
    Json,
    extract::{Request, State},
};
use serde_json::{Value, json};

/// What whoever is not admitted may know of a primary: positions, and no path, no name and no error, which may have them.
const OF_PRIMARY: [&str; 6] = ["role", "epoch", "headLogIndex", "retainedFloor", "lastToken", "fenced"];
/// Likewise of a replica.
const OF_REPLICA: [&str; 7] =
    ["role", "appliedEpoch", "appliedLogIndex", "needsReseed", "state", "sourceHeadLogIndex", "lagFrames"];

pub async fn status(State(app): State<App>, request: Request) -> Result<Json<Value>, Failure> {
    let (parts, _) = request.into_parts();
    let auth_enabled = app.authorizer.is_enabled();
    let admitted = app.authorizer.admit(Shown::of(&parts)).is_ok();
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
