//! `GET /api/replication/snapshot/latest`: a copy of the primary's file, as JSON or as bytes.

use super::App;
use crate::{
    error::Failure,
    octets::{self, Part},
    query::Query,
    snapshots::Copied,
};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, Uri, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use kitedb_core::Database;
use kitedb_transport::MAX_INLINE_BYTES;
use serde_json::{Value, json};
use std::sync::Arc;

pub async fn latest(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Failure> {
    match octets::are_wanted(&headers) {
        true => bytes(app, headers).await,
        false => {
            let include_data = Query::of(&uri).flag("includeData", false);
            let snapshots = app.node.snapshots.clone();
            let told = move |database: &Database| told(database, &*snapshots.latest(database)?, include_data);
            Ok(Json(app.node.read(told).await?).into_response())
        }
    }
}

fn told(database: &Database, copied: &Copied, include_data: bool) -> Result<Value, Failure> {
    let Copied { snapshot, octets } = copied;
    if include_data && octets.len > MAX_INLINE_BYTES {
        return Err(Failure::too_large(format!(
            "the copy has {} bytes, and {MAX_INLINE_BYTES} at most are put into JSON: ask for application/octet-stream",
            octets.len
        )));
    }
    let mut told = json!({
        "format": "single-file-db-copy",
        "dbPath": snapshot.db_path().to_string_lossy(),
        "byteLength": octets.len,
        "sha256": octets.sha256.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        "generatedAt": iso(snapshot.generated_at_ms()),
    });
    if include_data {
        told["dataBase64"] = BASE64_STANDARD.encode(copied.bytes()?).into();
    }
    Ok(json!({
        "success": true,
        "role": database.replication_role().as_str(),
        "epoch": snapshot.epoch().0,
        "headLogIndex": snapshot.head().0,
        "snapshot": told,
    }))
}

/// The copy itself. Whoever goes on after a cut, and names the copy that he has the beginning of, is given that one.
async fn bytes(app: App, headers: HeaderMap) -> Result<Response, Failure> {
    let begun = headers.get(header::IF_RANGE).and_then(|etag| etag.to_str().ok());
    let copied = match begun.and_then(|etag| app.node.snapshots.by_etag(etag.trim())) {
        Some(copied) => copied,
        None => {
            let snapshots = app.node.snapshots.clone();
            app.node.read(move |database| snapshots.latest(database)).await?
        }
    };
    let part = copied.octets.part(&headers);
    let mut response = answer(&copied, part);
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("kite-epoch"), copied.snapshot.epoch().0.into());
    headers.insert(HeaderName::from_static("kite-head-log-index"), copied.snapshot.head().0.into());
    if let Ok(cursor) = HeaderValue::try_from(copied.snapshot.start_cursor().to_string()) {
        headers.insert(HeaderName::from_static("kite-next-cursor"), cursor);
    }
    Ok(response)
}

fn answer(copied: &Arc<Copied>, part: Part) -> Response {
    copied.octets.answer(part, |range| copied.clone().body(range))
}

/// Ms since 1970, as ISO 8601 has them.
fn iso(ms: u64) -> String {
    let then = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    then.map_or_else(String::new, |then| format!("{then:.3}"))
}
