//! An application of its own that answers KiteDB's endpoints beside its own routes, for the database that it has open and writes.
//!
//!     KITEDB_PATH=social.kitedb REPLICATION_ADMIN_TOKEN=… cargo run -p kitedb-http --example router
//!
//! `KITEDB_PATH` names the database, which has to be there; what it is, a primary or a replica, its file says. `HOST`, `PORT` and
//! `REPLICATION_…` are those of `kitedb serve`.

use axum::{Router, http::StatusCode, routing::get};
use kitedb_core::{Database, GraphRead, OpenOptions};
use kitedb_http::{ServeOptions, router};
use std::{
    env,
    error::Error,
    io::{Write, stdout},
    net::SocketAddr,
    sync::Arc,
};
use tokio::{net::TcpListener, sync::Notify};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = env::var("KITEDB_PATH").map_err(|_| "KITEDB_PATH must name the database")?;
    let options = ServeOptions::from_variables(|name| env::var(name).ok())?;
    let database = Database::open(path, OpenOptions::new().create_if_missing(false))?;

    // A handle is one of many: the application's own routes read and write by theirs.
    let own = database.clone();
    let app = Router::new()
        .route("/nodes", get(async move || count_of(&own)))
        .merge(router(database.clone(), &options.auth)?);

    let ended = Arc::new(Notify::new());
    let asked_to_end = ended.clone();
    ctrlc::set_handler(move || asked_to_end.notify_one())?;
    let listener = TcpListener::bind((options.host.as_str(), options.port)).await?;
    writeln!(stdout(), "listening on http://{}", listener.local_addr()?)?;
    // By the addresses of connections it is known which are a proxy's, whose word about certificates counts.
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(async move { ended.notified().await }).await?;
    database.close()?;
    Ok(())
}

/// How many nodes there are now.
fn count_of(database: &Database) -> Result<String, StatusCode> {
    let state = database.snapshot().map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(format!("{}\n", state.count_nodes()))
}
