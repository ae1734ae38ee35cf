//! `GET /api/replication/transport/…`: what hosts carry elsewhere, as the engine exports it.

use super::{
    App,
    log::{Asked, awaited},
};
use crate::{auth::Standing, error::Failure, query::Query};
use axum::{
    extract::State,
    http::{Uri, header},
    response::IntoResponse,
};
use kitedb_transport::TransportJson;

/// A text that is JSON already.
type JsonText = ([(header::HeaderName, &'static str); 1], String);

pub async fn snapshot(State(app): State<App>, uri: Uri) -> Result<impl IntoResponse, Failure> {
    let include_data = Query::of(&uri).flag("includeData", false);
    let snapshot =
        app.node.read(move |database| Ok(database.primary_export_snapshot_transport_json(include_data)?)).await?;
    Ok(json_text(format!("{{\"success\":true,\"snapshot\":{snapshot}}}")))
}

pub async fn log(State(app): State<App>, standing: Standing, uri: Uri) -> Result<impl IntoResponse, Failure> {
    let Asked { cursor, max_frames, max_bytes, include_payload, wait } = Asked::of(&Query::of(&uri));
    if !wait.is_zero() && awaited(&app, cursor.as_deref(), wait).await? {
        app.authorizer.require_still(&standing).await?;
    }
    let page = app
        .node
        .read_graph(move |database| {
            let cursor = cursor.as_deref();
            Ok(database.primary_export_log_transport_json(cursor, max_frames, max_bytes, include_payload)?)
        })
        .await?;
    // An object that is not empty, as the contract has its members beside `success`.
    Ok(json_text(page.replacen('{', "{\"success\":true,", 1)))
}

fn json_text(text: String) -> JsonText {
    ([(header::CONTENT_TYPE, "application/json")], text)
}
