//! `POST /api/replication/reseed`: a replica copies its source anew.

use super::App;
use crate::{error::Failure, told::json_of};
use axum::{Json, extract::State};
use serde_json::{Value, json};

pub async fn reseed(State(app): State<App>) -> Result<Json<Value>, Failure> {
    app.node
        .write(|database| {
            database.replica_reseed_from_snapshot()?;
            Ok(Json(json!({
                "success": true,
                "role": database.replication_role().as_str(),
                "replica": database.replica_replication_status()?.as_ref().map(json_of),
            })))
        })
        .await
}
