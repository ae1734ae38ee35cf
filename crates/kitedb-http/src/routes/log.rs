//! `GET /api/replication/log`: a page of the log.

use super::App;
use crate::{error::Failure, query::Query};
use axum::{Json, extract::State, http::Uri};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use kitedb_core::{ErrorCode, ExportedFrame, LogGap};
use serde_json::{Value, json};

const MAX_FRAMES: usize = 10_000;
const MAX_BYTES: usize = 32 << 20;

/// What is asked of a page.
#[derive(Debug)]
pub(super) struct Asked {
    pub cursor: Option<String>,
    pub max_frames: usize,
    pub max_bytes: usize,
    pub include_payload: bool,
}

impl Asked {
    pub fn of(query: &Query<'_>) -> Self {
        Self {
            cursor: query.text("cursor").map(str::to_owned),
            max_frames: query.count("maxFrames", 256, MAX_FRAMES),
            max_bytes: query.count("maxBytes", 1 << 20, MAX_BYTES),
            include_payload: query.flag("includePayload", true),
        }
    }
}

pub async fn page(State(app): State<App>, uri: Uri) -> Result<Json<Value>, Failure> {
    let Asked { cursor, max_frames, max_bytes, include_payload } = Asked::of(&Query::of(&uri));
    app.node
        .read(move |database| {
            let from = cursor.as_deref().map(str::parse).transpose()?;
            let page = match database.primary_export_log(from, max_frames, max_bytes) {
                // The first frame comes alone where it is larger than asked for: the contract's, so that whoever reads gets on.
                Err(e) if e.code() == ErrorCode::InvalidArgument => database.primary_export_log(from, 1, usize::MAX),
                page => page,
            }?;
            let frames: Vec<Value> = page.frames().map(|frame| told(&frame, include_payload)).collect();
            let total_bytes: usize = page.frames().map(|frame| frame.bytes.len()).sum();
            let next = page.next_cursor().map(|next| next.to_string());
            Ok(Json(json!({
                "success": true,
                "role": database.replication_role().as_str(),
                "epoch": page.epoch().0,
                "headLogIndex": page.head().0,
                "retainedFloor": page.retained_floor().0,
                // Where nothing comes, one goes on with what one came with.
                "nextCursor": next.or_else(|| cursor.clone()),
                "cursor": cursor,
                "eof": page.is_end(),
                "gap": page.gap().map(gap),
                "frameCount": frames.len(),
                "totalBytes": total_bytes,
                "frames": frames,
            })))
        })
        .await
}

fn told(frame: &ExportedFrame<'_>, include_payload: bool) -> Value {
    json!({
        "epoch": frame.epoch.0.to_string(),
        "logIndex": frame.log_index.0.to_string(),
        "segmentId": frame.segment_id.to_string(),
        "segmentOffset": frame.segment_offset.to_string(),
        "payloadBase64": if include_payload { BASE64_STANDARD.encode(frame.bytes) } else { String::new() },
        "bytes": frame.bytes.len(),
    })
}

/// Why frames that should come next are in neither this page nor a later one.
fn gap(gap: LogGap) -> Value {
    json!({ "reason": gap.reason.as_str(), "firstMissing": gap.first_missing, "lastMissing": gap.last_missing })
}
