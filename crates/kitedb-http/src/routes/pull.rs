//! `POST /api/replication/pull`: a replica catches up.

use super::App;
use crate::{
    error::Failure,
    query::bounded,
    routes::body::{self, Members},
    told::json_of,
};
use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
};
use serde_json::{Value, json};

const MAX_FRAMES: usize = 10_000;

pub async fn pull(State(app): State<App>, body: Result<Bytes, BytesRejection>) -> Result<Json<Value>, Failure> {
    let max_frames = max_frames_of(&body::members_of(body)?)?;
    app.node
        .write(move |database| {
            let applied = database.replica_catch_up_once(max_frames)?;
            Ok(Json(json!({
                "success": true,
                "appliedFrames": applied,
                "role": database.replication_role().as_str(),
                "replica": database.replica_replication_status()?.as_ref().map(json_of),
            })))
        })
        .await
}

/// How many frames at most; a number is brought within its bounds.
fn max_frames_of(members: &Members) -> Result<usize, Failure> {
    match members.get("maxFrames") {
        None => Ok(256),
        Some(Value::Number(number)) => Ok(bounded(number.as_f64().unwrap_or(f64::MAX), MAX_FRAMES)),
        Some(_) => Err(Failure::malformed("maxFrames is no number")),
    }
}
