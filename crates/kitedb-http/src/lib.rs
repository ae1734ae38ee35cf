//! KiteDB over HTTP: the replication endpoints of the runbook and the graph for other programs, as a router to mount in any axum
//! application, and as a server.
//!
//! | module | owns |
//! |---|---|
//! | `auth` | who is admitted, and to what: the five modes, tokens, certificates, scopes |
//! | `access` | the access log |
//! | `node` | the database that is served, and the threads in which calls of it run |
//! | `growth`, `snapshots` | how far its log has come, for all who wait; the copies of it that are fetched |
//! | `routes` | the endpoints of replication |
//! | `graph` | those of the graph |
//! | `openapi` | the description of all of them for programs |
//! | `serve` | a server of its own: connections, TLS, the runbook's variables |
//! | `watched`, `regular`, `owned` | files that may change while they are in force, and how they are read |
//! | `error`, `query`, `told`, `octets` | how what goes wrong is answered, how a query is read, how reports become JSON, and bytes are sent |

mod access;
mod auth;
mod error;
#[allow(unused_qualifications, reason = "utoipa writes them for a handler")]
mod graph;
mod growth;
mod kept;
mod node;
mod octets;
#[allow(unused_qualifications, reason = "utoipa writes them for a handler")]
mod openapi;
mod owned;
mod query;
mod regular;
mod routes;
mod serve;
mod snapshots;
mod told;
mod watched;

pub use auth::{AuthMode, AuthOptions, TrustedProxies};
pub use error::ConfigError;
pub use serve::{ServeError, ServeOptions, Served, Server, TlsFiles};

use axum::Router;
use kitedb_core::{Database, OpenOptions};
use node::Node;
use routes::{App, Parts, guard};
use std::{path::PathBuf, sync::Arc};

/// The runbook's endpoints, and those of the graph, for a database that this process has open.
///
/// The addresses that proxies are known by are those of the connections: serve it with
/// `into_make_service_with_connect_info::<SocketAddr>()`, or no certificate header is believed.
///
/// # Errors
/// Options that cannot be meant.
pub fn router(database: Database, auth: &AuthOptions) -> Result<Router, ConfigError> {
    router_of(Node::held(database), auth)
}

/// The same for a file that another process may have open. What is read is opened for each request, for reading only; what must write
/// (`pull`, `reseed`, `promote`, batches of the graph) is done here where nobody has it open for writing, and is `LOCKED` else.
///
/// # Errors
/// Options that cannot be meant.
pub fn router_beside(
    path: impl Into<PathBuf>,
    options: OpenOptions,
    auth: &AuthOptions,
) -> Result<Router, ConfigError> {
    router_of(Node::beside(path.into(), Box::new(options)), auth)
}

fn router_of(node: Node, auth: &AuthOptions) -> Result<Router, ConfigError> {
    let authorizer = Arc::new(auth::Authorizer::new(auth)?);
    let app = Parts { node, authorizer, ready_lag: App::READY_LAG, stopping: None };
    Ok(guard::front(routes::routes(app.into()), None))
}

/// The code in the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
