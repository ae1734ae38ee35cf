//! What stands before the routes.

use super::App;
use crate::{
    auth::{Caller, Scope, Shown},
    error::Failure,
};
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, Method, uri::Authority},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use std::{net::IpAddr, sync::Arc};

/// Looks who asks, once for all that comes after: see [`Caller`].
pub async fn identify(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let shown = Shown::of(&parts);
    let caller = app.authorizer.caller(shown).await;
    let tried = caller.0.as_ref().is_err_and(|denied| denied.tried);
    let mut response = match tried.then(|| app.authorizer.must_wait(shown.peer)).flatten() {
        Some(seconds) => Failure::too_many_attempts(seconds).into_response(),
        None => {
            parts.extensions.insert(caller.clone());
            next.run(Request::from_parts(parts, body)).await
        }
    };
    response.extensions_mut().insert(caller);
    response
}

/// These routes, for whoever has that scope.
pub fn requires<S: Clone + Send + Sync + 'static>(scope: Scope, routes: Router<S>) -> Router<S> {
    routes.layer(from_fn_with_state(scope, require))
}

async fn require(State(scope): State<Scope>, mut request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>();
    match caller.ok_or_else(Failure::unasked).and_then(|caller| caller.require(scope)) {
        Ok(_) => {
            request.extensions_mut().insert(scope);
            next.run(request).await
        }
        Err(failure) => failure.into_response(),
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
