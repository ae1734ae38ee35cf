//! What stands before the routes.

use super::App;
use crate::{
    access::Entry,
    auth::{Scope, Shown},
    error::Failure,
};
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, header, uri::Authority},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use std::{net::IpAddr, sync::Arc};

/// What stands before all routes, once: requests are told of in the access log, and those of pages and of other names are refused.
/// `host`: the name that the server was given, where it answers to no other one.
pub fn front(routes: Router, host: Option<Arc<str>>) -> Router {
    routes.layer(from_fn_with_state(host, passed))
}

/// One layer in place of several: each copies all that is within it for each request.
async fn passed(State(host): State<Option<Arc<str>>>, request: Request, next: Next) -> Response {
    let entry = Entry::of(&request);
    let refused = refused(host.as_deref(), &request);
    let response = match refused {
        Some(failure) => failure.into_response(),
        None => next.run(request).await,
    };
    let response = unstored(response);
    if let Some(entry) = entry {
        entry.answered(&response);
    }
    response
}

fn refused(host: Option<&str>, request: &Request) -> Option<Failure> {
    // Where nobody is asked who he is, a page whose name was made to lead to this machine (DNS rebinding) could ask as a page of its own:
    // only addresses and `localhost` are answered, and the name that the server was given.
    if host.is_some_and(|host| !is_known(request.headers(), host)) {
        return Some(Failure::other_host());
    }
    // A page of another site can have a browser send a client certificate along, or reach a port of this machine; it cannot leave these
    // headers out.
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    (!reads && is_from_page(request.headers())).then(Failure::from_page)
}

/// What is answered is of this moment, and for whoever asked.
fn unstored(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    response
}

/// These routes, each of which looks who asks: see [`Caller`].
pub fn identifies<S: Clone + Send + Sync + 'static>(app: &App, routes: Router<S>) -> Router<S> {
    routes.layer(from_fn_with_state((app.clone(), None), identified))
}

/// The same, for whoever has that scope.
pub fn requires<S: Clone + Send + Sync + 'static>(app: &App, scope: Scope, routes: Router<S>) -> Router<S> {
    routes.layer(from_fn_with_state((app.clone(), Some(scope)), identified))
}

async fn identified(State((app, scope)): State<(App, Option<Scope>)>, mut request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let shown = Shown::of(&parts);
    let caller = app.authorizer.caller(shown).await;
    let tried = caller.0.as_ref().is_err_and(|denied| denied.tried);
    let refused = match tried.then(|| app.authorizer.must_wait(shown.peer)).flatten() {
        Some(seconds) => Some(Failure::too_many_attempts(seconds)),
        None => scope.and_then(|scope| caller.require(scope).err()),
    };
    let mut response = match refused {
        Some(failure) => failure.into_response(),
        None => {
            request = Request::from_parts(parts, body);
            let extensions = request.extensions_mut();
            extensions.insert(caller.clone());
            if let Some(scope) = scope {
                extensions.insert(scope);
            }
            next.run(request).await
        }
    };
    response.extensions_mut().insert(caller);
    response
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
