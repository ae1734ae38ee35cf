//! The access log: one event for each request, when its answer begins.

use crate::auth::Caller;
use axum::{
    body::HttpBody,
    extract::{ConnectInfo, Request},
    response::Response,
};
use std::net::SocketAddr;
use tokio::time::Instant;
use tracing::Level;

/// Where the events go, whatever module they come from.
const TARGET: &str = "kitedb::access";
/// Bytes of a path, and of a method, that are told at most.
const MAX_LENGTH: usize = 512;

/// A request that is told of. What it shows of credentials, its query and its other headers stay out of it.
pub(crate) struct Entry {
    began: Instant,
    method: String,
    path: String,
    peer: Option<SocketAddr>,
}

impl Entry {
    /// `None`: nobody listens.
    pub fn of(request: &Request) -> Option<Self> {
        if !tracing::enabled!(target: TARGET, Level::INFO) {
            return None;
        }
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0);
        let method = shortened(request.method().as_str()).to_owned();
        Some(Self { began: Instant::now(), method, path: shortened(request.uri().path()).to_owned(), peer })
    }

    /// It is answered by that.
    pub fn answered(self, response: &Response) {
        let Self { began, method, path, peer } = self;
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
    }
}

fn shortened(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_LENGTH)).unwrap_or(text)
}
