//! The graph over HTTP.

mod batches;
mod model;
mod once;
mod questions;
mod reads;
mod refused;
mod waits;

use super::server::{Server, by_token, primary, told};
use kitedb_core::Database;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::path::Path;

pub const OK: StatusCode = StatusCode::OK;

impl Server {
    /// What a batch is answered with.
    pub async fn batch(&self, mutations: Value) -> (StatusCode, Value) {
        let asked = self.ask(Method::POST, "/api/graph/batch").json(&json!({ "mutations": mutations }));
        told(asked.send().await.unwrap()).await
    }

    /// All pages of a list, which has that name in the answers.
    pub async fn pages(&self, route: &str, list: &str) -> Vec<Value> {
        let (mut items, mut after) = (Vec::new(), String::new());
        loop {
            let (status, page) = self.get(&format!("{route}{after}")).await;
            assert_eq!((status, &page["success"]), (OK, &json!(true)), "{page}");
            items.extend(page[list].as_array().unwrap().clone());
            assert!(items.len() < 10_000, "the pages do not end");
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return items,
            }
        }
    }
}

/// A server of a database that is open here, and one of its file.
async fn both(path: &Path) -> (Database, [Server; 2]) {
    let db = primary(path, 0);
    let servers = [Server::of(&db, by_token()).await, Server::beside(path, by_token()).await];
    (db, servers)
}

/// Ada knows Mary (twice) and herself; Charles knows Ada.
fn people() -> Value {
    json!([
        { "op": "createNode", "as": "ada", "key": "ada", "labels": ["Person", "Poet"], "props": { "born": 1815 } },
        { "op": "createNode", "as": "mary", "key": "mary", "labels": ["Person"], "vectors": { "face": [0.5, 1.0] } },
        { "op": "createNode", "as": "charles", "key": "charles", "labels": ["Person"] },
        { "op": "createNode", "as": "engine", "props": { "weight": 13.5 } },
        { "op": "createEdge", "src": { "ref": "ada" }, "type": "KNOWS", "dst": { "ref": "mary" }, "props": { "since": 1833 } },
        { "op": "createEdge", "src": { "ref": "ada" }, "type": "KNOWS", "dst": { "ref": "mary" }, "parallel": true },
        { "op": "createEdge", "src": { "ref": "ada" }, "type": "KNOWS", "dst": { "ref": "ada" } },
        { "op": "createEdge", "src": { "ref": "charles" }, "type": "KNOWS", "dst": { "key": "ada" } },
        { "op": "createEdge", "src": { "ref": "charles" }, "type": "MADE", "dst": { "ref": "engine" } }
    ])
}
