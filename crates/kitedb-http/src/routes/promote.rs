//! `POST /api/replication/promote`: a primary begins the next epoch.

use super::App;
use crate::{error::Failure, told::json_of};
use axum::{Json, extract::State};
use serde_json::{Value, json};

pub async fn promote(State(app): State<App>) -> Result<Json<Value>, Failure> {
    app.node
        .write(|database| {
            let epoch = database.primary_promote_to_next_epoch()?;
            Ok(Json(json!({
                "success": true,
                "epoch": json_of(&epoch),
                "role": database.replication_role().as_str(),
                "primary": database.primary_replication_status()?.as_ref().map(json_of),
            })))
        })
        .await
}
