//! `GET /api/replication/log`: a page of the log, as JSON or as bytes, at once or when there is one.

use super::App;
use crate::{
    auth::Standing,
    error::Failure,
    octets::{self, Octets},
    query::Query,
};
use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, Uri},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use kitedb_core::{Cursor, Database, Epoch, ErrorCode, ExportedFrame, ExportedPage, LogGap, LogIndex};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;
use tokio::time::Instant;

const MAX_FRAMES: usize = 10_000;
const MAX_BYTES: usize = 32 << 20;
/// So long a page is waited for at most, in ms.
const MAX_WAIT: u64 = 30_000;

/// What is asked of a page.
#[derive(Debug)]
pub(super) struct Asked {
    pub cursor: Option<String>,
    pub max_frames: usize,
    pub max_bytes: usize,
    pub include_payload: bool,
    /// How long it is waited for, if nothing is there.
    pub wait: Duration,
}

impl Asked {
    pub fn of(query: &Query<'_>) -> Self {
        Self {
            cursor: query.text("cursor").map(str::to_owned),
            max_frames: query.count("maxFrames", 256, MAX_FRAMES),
            max_bytes: query.count("maxBytes", 1 << 20, MAX_BYTES),
            include_payload: query.flag("includePayload", true),
            wait: query.wait("waitMs", MAX_WAIT),
        }
    }
}

/// What is answered, whatever its form.
struct Answer {
    role: &'static str,
    page: ExportedPage,
    next: Option<String>,
}

pub async fn page(
    State(app): State<App>,
    standing: Standing,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let Asked { cursor, max_frames, max_bytes, include_payload, wait } = Asked::of(&Query::of(&uri));
    let from = cursor.as_deref().map(cursor_of).transpose()?.flatten();
    let (until, mut waited) = (Instant::now() + wait, false);
    let answer = loop {
        let read = move |database: &Database| {
            let page = page_after(database, from, max_frames, max_bytes)?;
            Ok((database.replication_role().as_str(), page))
        };
        let (role, page) =
            if waited { app.node.read_graph_in_turn(read).await? } else { app.node.read_graph(read).await? };
        let left = until.saturating_duration_since(Instant::now());
        if !page.is_empty() || page.gap().is_some() || left.is_zero() || app.stops() {
            // Where nothing comes, one goes on with what one came with.
            let next = page.next_cursor().map(|next| next.to_string()).or_else(|| cursor.clone());
            break Answer { role, page, next };
        }
        waited = true;
        // Where it is to end, the next look is the last.
        app.unless_stopped(app.node.growth.beyond(page.head().0, left)).await;
    };
    if waited {
        app.authorizer.require_still(&standing).await?;
    }
    match octets::are_wanted(&headers) {
        true => Ok(bytes(&answer, &headers)),
        false => Ok(Json(told(&answer, cursor, include_payload)).into_response()),
    }
}

/// Returns once there is a page after a cursor, or nothing will come there, or that time has passed; whether it waited.
pub(super) async fn awaited(app: &App, cursor: Option<&str>, wait: Duration) -> Result<bool, Failure> {
    let (from, until, mut waited) = (cursor.map(cursor_of).transpose()?.flatten(), Instant::now() + wait, false);
    loop {
        let read = move |database: &Database| {
            let page = page_after(database, from, 1, usize::MAX)?;
            Ok((page.is_empty() && page.gap().is_none(), page.head()))
        };
        let (nothing, head) = app.node.read_graph_in_turn(read).await?;
        let left = until.saturating_duration_since(Instant::now());
        if !nothing || left.is_zero() || app.stops() {
            return Ok(waited);
        }
        waited = true;
        app.unless_stopped(app.node.growth.beyond(head.0, left)).await;
    }
}

/// Where a cursor stands, as the contract reads it: `epoch:logIndex` is after that frame, and what is left out of it is 0. `None`: before
/// the oldest frame, as no frame is of epoch 0.
fn cursor_of(text: &str) -> kitedb_core::Result<Option<Cursor>> {
    let parts: Vec<&str> = text.split(':').map(|part| if part.is_empty() { "0" } else { part }).collect();
    Ok(match parts[..] {
        ["0", _] | ["0", _, _, _] if parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit())) => None,
        [epoch, index] => match (epoch.parse(), index.parse()) {
            (Ok(epoch), Ok(index)) => Some(Cursor::before(Epoch(epoch), LogIndex(u64::saturating_add(index, 1)))),
            // Its error says what is wrong.
            _ => Some(text.parse()?),
        },
        _ => Some(parts.join(":").parse()?),
    })
}

fn page_after(
    database: &Database,
    from: Option<Cursor>,
    max_frames: usize,
    max_bytes: usize,
) -> kitedb_core::Result<ExportedPage> {
    match database.primary_export_log(from, max_frames, max_bytes) {
        // The first frame comes alone where it is larger than asked for: the contract's, so that whoever reads gets on.
        Err(e) if e.code() == ErrorCode::InvalidArgument => database.primary_export_log(from, 1, usize::MAX),
        page => page,
    }
}

fn told(Answer { role, page, next }: &Answer, cursor: Option<String>, include_payload: bool) -> Value {
    let frames: Vec<Value> = page.frames().map(|frame| frame_told(&frame, include_payload)).collect();
    let total_bytes: usize = page.frames().map(|frame| frame.bytes.len()).sum();
    json!({
        "success": true,
        "role": role,
        "epoch": page.epoch().0,
        "headLogIndex": page.head().0,
        "retainedFloor": page.retained_floor().0,
        "nextCursor": next,
        "cursor": cursor,
        "eof": page.is_end(),
        "gap": page.gap().map(gap),
        "frameCount": frames.len(),
        "totalBytes": total_bytes,
        "frames": frames,
    })
}

fn frame_told(frame: &ExportedFrame<'_>, include_payload: bool) -> Value {
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

/// Each frame as its length (4 bytes, little-endian) and itself; what JSON says beside them is in headers.
fn bytes(Answer { role, page, next }: &Answer, asked: &HeaderMap) -> Response {
    let mut body = Vec::with_capacity(page.frames().map(|frame| 4 + frame.bytes.len()).sum());
    for frame in page.frames() {
        body.extend_from_slice(&(frame.bytes.len() as u32).to_le_bytes());
        body.extend_from_slice(frame.bytes);
    }
    let octets = Octets { len: body.len() as u64, sha256: Sha256::digest(&body).into() };
    let body = Bytes::from(body);
    let part = octets.part(asked);
    let mut response = octets.answer(part, |range| body.slice(range.start as usize..range.end as usize).into());
    let headers = response.headers_mut();
    let gap = page.gap().map(|gap| gap.reason.as_str().to_owned());
    for (name, text) in [
        ("kite-role", Some((*role).to_owned())),
        ("kite-epoch", Some(page.epoch().0.to_string())),
        ("kite-head-log-index", Some(page.head().0.to_string())),
        ("kite-retained-floor", Some(page.retained_floor().0.to_string())),
        ("kite-next-cursor", next.clone()),
        ("kite-eof", Some(page.is_end().to_string())),
        ("kite-gap", gap),
        ("kite-frame-count", Some(page.len().to_string())),
    ] {
        if let Some(value) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    response
}
