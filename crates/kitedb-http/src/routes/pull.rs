//! `POST /api/replication/pull`: a replica catches up.

use super::App;
use crate::{error::Failure, query::bounded, told::json_of};
use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
};
use serde_json::{Value, json};

const MAX_FRAMES: usize = 10_000;

pub async fn pull(State(app): State<App>, body: Result<Bytes, BytesRejection>) -> Result<Json<Value>, Failure> {
    let max_frames = max_frames_of(&body.map_err(unread)?)?;
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

/// What a body says that is empty or an object with `maxFrames`.
fn max_frames_of(body: &[u8]) -> Result<usize, Failure> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(256);
    }
    let said: Value =
        serde_json::from_slice(body).map_err(|e| Failure::malformed(format!("the body is no JSON: {e}")))?;
    let Value::Object(members) = said else { return Err(Failure::malformed("the body is no JSON object")) };
    match members.get("maxFrames") {
        None => Ok(256),
        Some(Value::Number(number)) => Ok(bounded(number.as_f64().unwrap_or(f64::MAX), MAX_FRAMES)),
        Some(_) => Err(Failure::malformed("maxFrames is no number")),
    }
}

fn unread(rejection: BytesRejection) -> Failure {
    match rejection.status() {
        axum::http::StatusCode::PAYLOAD_TOO_LARGE => Failure::too_large("the body is larger than 2 MiB"),
        _ => Failure::malformed("the body cannot be read"),
    }
}
