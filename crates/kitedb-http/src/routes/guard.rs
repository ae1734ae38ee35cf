//! What stands before the routes.

use super::App;
use crate::{auth::Shown, error::Failure};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// Lets nobody through whom the authorizer does not admit.
pub async fn admit(State(app): State<App>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match app.authorizer.admit(Shown::of(&parts)) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(denied) => Failure::from(denied).into_response(),
    }
}

/// A page of another site can have a browser send a client certificate along, or reach a port of this machine; it cannot leave these
/// headers out.
pub async fn refuse_pages(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads && is_from_page(request.headers()) {
        Failure::from_page().into_response()
    } else {
        next.run(request).await
    }
}

fn is_from_page(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    headers.contains_key("origin") || site.is_some_and(|site| site != "none" && site != "same-origin")
}
