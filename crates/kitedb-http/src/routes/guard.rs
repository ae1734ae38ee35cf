//! What stands before the routes.

use super::App;
use crate::{auth::Shown, error::Failure};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{net::IpAddr, sync::Arc};

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

/// Where nobody is asked who he is, a page whose name was made to lead to this machine (DNS rebinding) could ask as a page of its own:
/// only addresses and `localhost` are answered, and the name that the server was given.
pub async fn refuse_names(State(host): State<Arc<str>>, request: Request, next: Next) -> Response {
    if is_known(request.headers(), &host) { next.run(request).await } else { Failure::other_host().into_response() }
}

fn is_known(headers: &HeaderMap, host: &str) -> bool {
    let mut said = headers.get_all("host").iter();
    let (Some(name), None) = (said.next().and_then(|name| name.to_str().ok()), said.next()) else { return false };
    let Ok(authority) = name.parse::<Authority>() else { return false };
    let name = authority.host();
    let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    is_address || name.eq_ignore_ascii_case("localhost") || name.eq_ignore_ascii_case(host)
}

fn is_from_page(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    headers.contains_key("origin") || site.is_some_and(|site| site != "none" && site != "same-origin")
}
