//! The access log: one event for each request, when its answer begins.

use crate::auth::Caller;
use axum::{
    Router,
    body::HttpBody,
    extract::{ConnectInfo, Request},
    middleware::{Next, from_fn},
    response::Response,
};
use std::net::SocketAddr;
use tokio::time::Instant;
use tracing::Level;

/// Where the events go, whatever module they come from.
const TARGET: &str = "kitedb::access";
/// Bytes of a path, and of a method, that are told at most.
const MAX_LENGTH: usize = 512;

/// A router whose requests are told of. What a request shows of credentials, its query and its other headers stay out of it.
pub(crate) fn logged(router: Router) -> Router {
    router.layer(from_fn(log))
}

async fn log(request: Request, next: Next) -> Response {
    if !tracing::enabled!(target: TARGET, Level::INFO) {
        return next.run(request).await;
    }
    let began = Instant::now();
    let method = shortened(request.method().as_str()).to_owned();
    let path = shortened(request.uri().path()).to_owned();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0);
    let response = next.run(request).await;
    let who = response.extensions().get::<Caller>().and_then(Caller::name);
    // Texts are told as values and not by `display`, so that what shows them can quote them.
    tracing::info!(
        target: TARGET,
        method,
        path,
        status = response.status().as_u16(),
        ms = began.elapsed().as_micros() as f64 / 1000.0,
        peer = peer.map(display),
        who,
        bytes = response.body().size_hint().exact(),
    );
    response
}

fn shortened(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_LENGTH)).unwrap_or(text)
}
