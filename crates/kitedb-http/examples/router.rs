//! An application of its own that answers KiteDB's endpoints beside its own routes, for the database that it has open and writes.
//!
//!     KITEDB_PATH=social.kitedb REPLICATION_ADMIN_TOKEN=… cargo run -p kitedb-http --example router
//!
//! `KITEDB_PATH` names the database, which has to be there; what it is, a primary or a replica, its file says. `HOST`, `PORT` and
//! `REPLICATION_…` are those of `kitedb serve`.

use axum::{Router, routing::get};
use kitedb_core::{Database, OpenOptions};
use kitedb_http::{ServeOptions, router};
use std::{env, error::Error, io::Write, net::SocketAddr};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = env::var("KITEDB_PATH").map_err(|_| "KITEDB_PATH must name the database")?;
    let options = ServeOptions::from_variables(|name| env::var(name).ok())?;
    let database = Database::open(path, OpenOptions::new().create_if_missing(false))?;

    // The handle is one of many: the application's own routes read and write by theirs.
    let nodes = database.clone();
    let app = Router::new()
        .route("/nodes", get(async move || count_of(&nodes)))
        .merge(router(database.clone(), &options.auth)?);

    let listener = TcpListener::bind((options.host.as_str(), options.port)).await?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    let mut ended = signal(SignalKind::terminate())?;
    // By the addresses of connections it is known which are a proxy's, whose word about certificates counts.
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move {
            ended.recv().await;
        })
        .await?;
    database.close()?;
    Ok(())
}

/// How many nodes there are now.
fn count_of(database: &Database) -> String {
    use kitedb_core::GraphRead;
    database.snapshot().map_or_else(|error| error.to_string(), |state| state.count_nodes().to_string())
}
