//! `GET /api/replication/snapshot/latest`: a copy of the primary's file.

use super::App;
use crate::{error::Failure, query::Query};
use axum::{Json, extract::State, http::Uri};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use kitedb_core::ExportedSnapshot;
use kitedb_transport::MAX_INLINE_BYTES;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Bytes that are read at once.
const PIECE: usize = 1 << 20;

pub async fn latest(State(app): State<App>, uri: Uri) -> Result<Json<Value>, Failure> {
    let include_data = Query::of(&uri).flag("includeData", false);
    app.node
        .read(move |database| {
            let snapshot = database.primary_export_snapshot()?;
            if include_data && snapshot.byte_length() > MAX_INLINE_BYTES {
                return Err(Failure::too_large(format!(
                    "the copy has {} bytes, and {MAX_INLINE_BYTES} at most are put into JSON: ask for application/octet-stream",
                    snapshot.byte_length()
                )));
            }
            let (mut sha256, mut data) = (Sha256::new(), Vec::new());
            for_each_piece(&snapshot, |piece| {
                sha256.update(piece);
                if include_data {
                    data.extend_from_slice(piece);
                }
            })?;
            let mut told = json!({
                "format": "single-file-db-copy",
                "dbPath": snapshot.db_path().to_string_lossy(),
                "byteLength": snapshot.byte_length(),
                "sha256": sha256.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
                "generatedAt": iso(snapshot.generated_at_ms()),
            });
            if include_data {
                told["dataBase64"] = BASE64_STANDARD.encode(data).into();
            }
            Ok(Json(json!({
                "success": true,
                "role": database.replication_role().as_str(),
                "epoch": snapshot.epoch().0,
                "headLogIndex": snapshot.head().0,
                "snapshot": told,
            })))
        })
        .await
}

fn for_each_piece(snapshot: &ExportedSnapshot, mut each: impl FnMut(&[u8])) -> Result<(), Failure> {
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while at < snapshot.byte_length() {
        let len = PIECE.min((snapshot.byte_length() - at) as usize);
        snapshot.read_at(&mut piece[..len], at)?;
        each(&piece[..len]);
        at += len as u64;
    }
    Ok(())
}

/// Ms since 1970, as ISO 8601 has them.
fn iso(ms: u64) -> String {
    let then = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    then.map_or_else(String::new, |then| format!("{then:.3}"))
}
