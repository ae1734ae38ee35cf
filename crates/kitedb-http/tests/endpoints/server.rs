//! A server of one database, on a port of this machine, and a client of it.

use kitedb_core::{Database, OpenOptions, ReplicationRole};
use kitedb_http::AuthOptions;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use std::{net::SocketAddr, path::Path};
use tokio::net::TcpListener;

pub const TOKEN: &str = "correct-horse";

/// See the [module documentation](self). It ends with the runtime of its test.
pub struct Server {
    base: String,
    client: reqwest::Client,
}

/// What only the bearer of the token may do.
pub fn by_token() -> AuthOptions {
    AuthOptions::new().token(TOKEN)
}

/// A primary with that many nodes, one commit each.
pub fn primary(path: &Path, nodes: usize) -> Database {
    let db = Database::open(path, OpenOptions::new().replication_role(ReplicationRole::Primary)).unwrap();
    commit(&db, nodes);
    db
}

pub fn commit(db: &Database, nodes: usize) {
    for _ in 0..nodes {
        db.transaction(|tx| tx.create_node(None)).unwrap();
    }
}

impl Server {
    pub async fn of(db: &Database, auth: AuthOptions) -> Self {
        Self::serving(kitedb_http::router(db.clone(), &auth).unwrap()).await
    }

    pub async fn beside(path: &Path, auth: AuthOptions) -> Self {
        Self::serving(kitedb_http::router_beside(path, OpenOptions::new(), &auth).unwrap()).await
    }

    async fn serving(router: axum::Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self::at(base)
    }

    /// One that runs already.
    pub fn at(base: String) -> Self {
        // Once a process; whoever comes later finds it there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { base, client: reqwest::Client::new() }
    }

    /// A request of whoever has the token.
    pub fn ask(&self, method: Method, route: &str) -> RequestBuilder {
        self.ask_as_anybody(method, route).bearer_auth(TOKEN)
    }

    pub fn ask_as_anybody(&self, method: Method, route: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{route}", self.base))
    }

    pub async fn get(&self, route: &str) -> (StatusCode, Value) {
        told(self.ask(Method::GET, route).send().await.unwrap()).await
    }

    pub async fn post(&self, route: &str) -> (StatusCode, Value) {
        told(self.ask(Method::POST, route).send().await.unwrap()).await
    }
}

/// What an answer says. Whatever it is, it is not to be stored.
pub async fn told(response: Response) -> (StatusCode, Value) {
    assert_eq!(response.headers()["cache-control"], "no-store");
    (response.status(), response.json().await.unwrap())
}
