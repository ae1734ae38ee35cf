//! Several databases in one server, each by its name.

use super::Served;
use crate::{
    ConfigError,
    auth::Scope,
    error::Failure,
    routes::{self, App, guard, health, metrics},
};
use axum::{Router, routing::get};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a segment of a path has as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Fails unless each has a name of its own that can be asked for.
pub(super) fn require_names(served: &[(String, Served)]) -> Result<(), ConfigError> {
    for (at, (name, _)) in served.iter().enumerate() {
        if name.is_empty() || matches!(name.as_str(), "." | "..") {
            return Err(ConfigError::new("a database that is served beside others needs a name"));
        }
        if served[..at].iter().any(|(other, _)| other == name) {
            return Err(ConfigError::new(format!(
                "two databases are served under the name '{name}': give one of the files another name, or serve it by itself"
            )));
        }
    }
    Ok(())
}

pub(super) fn routes(all: Vec<(String, App)>) -> Router {
    let apps: Vec<App> = all.iter().map(|(_, app)| app.clone()).collect();
    let scraped = Router::new().route("/metrics", get(metrics::of_all)).with_state(apps.clone());
    // All of them have the same authorizer.
    let scraped = match apps.first() {
        Some(app) => guard::requires(app, Scope::Metrics, scraped),
        None => Router::new(),
    };
    let open = Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(move || health::all_ready(apps.clone())))
        .merge(scraped)
        .fallback(async || Failure::no_such_route())
        .method_not_allowed_fallback(async || Failure::no_such_method());
    let named = |router: Router, (name, app): (String, App)| {
        router.nest(&format!("/db/{}", utf8_percent_encode(&name, UNRESERVED)), routes::routes(app))
    };
    all.into_iter().fold(open, named)
}
