//! Whether it lives, and whether it can be worked with.

use super::server::{Server, at_any_port, by_token, commit, primary, told};
use kitedb_core::{Database, FollowerOptions, OpenOptions, ReplicationRole};
use kitedb_http::Served;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::{fs, path::Path};

fn replica(dir: &Path) -> Database {
    let options =
        OpenOptions::new().replication_role(ReplicationRole::Replica).replication_source_db_path(dir.join("p.kitedb"));
    Database::open(dir.join("r.kitedb"), options).unwrap()
}

async fn readiness(server: &Server) -> (StatusCode, Value) {
    told(server.ask_as_anybody(Method::GET, "/readyz").send().await.unwrap()).await
}

#[tokio::test]
async fn a_replica_is_ready_while_it_follows_and_is_not_far_behind() {
    let dir = tempfile::tempdir().unwrap();
    let primary = primary(&dir.path().join("p.kitedb"), 1);
    let server = Server::of(&primary, by_token()).await;
    assert_eq!(readiness(&server).await, (StatusCode::OK, json!({ "ready": true, "role": "primary", "reason": null })));
    let alive = server.ask_as_anybody(Method::GET, "/healthz").send().await.unwrap();
    assert_eq!(told(alive).await, (StatusCode::OK, json!({ "alive": true })));

    let db = replica(dir.path());
    let mut options = at_any_port(by_token());
    options.ready_lag = 2;
    let served = kitedb_http::Server::start(Served::Held(db.clone()), &options).unwrap();
    let server = Server::at(served.url());
    let reason = async || readiness(&server).await.1["reason"].clone();
    assert_eq!(reason().await, "bootstrapping");
    db.replica_bootstrap_from_snapshot().unwrap();
    assert_eq!(reason().await, Value::Null);
    commit(&primary, 2);
    assert_eq!(reason().await, Value::Null);
    commit(&primary, 1);
    assert_eq!(reason().await, "lagging");
    assert_eq!(db.replica_catch_up_once(10_000).unwrap(), 3);
    assert_eq!(reason().await, Value::Null);
    served.stop();
    db.close().unwrap();

    // Beside: nobody follows for it.
    let beside = Server::beside(&dir.path().join("r.kitedb"), by_token()).await;
    assert_eq!(readiness(&beside).await.1["reason"], "closed");
    let db = replica(dir.path());
    db.start_follower(FollowerOptions::default()).unwrap();
    let mut seen = 0;
    while readiness(&beside).await.0 != StatusCode::OK {
        seen = db.replica_wait_for_news(seen, 10_000).unwrap();
    }
    // Another node takes over: the old primary is none to work with.
    db.stop_follower().unwrap();
    db.replica_promote(false).unwrap();
    let old = Server::of(&primary, by_token()).await;
    assert_eq!(readiness(&old).await.1["reason"], "fenced");
    assert_eq!(readiness(&beside).await, (StatusCode::OK, json!({ "ready": true, "role": "primary", "reason": null })));
}

#[tokio::test]
async fn a_file_that_is_gone_is_not_ready_and_nothing_is_told_of_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::beside(&dir.path().join("nowhere.kitedb"), by_token()).await;
    let (status, body) = readiness(&server).await;
    assert_eq!(
        (status, &body["ready"], &body["reason"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!(false), &json!("NOT_FOUND"))
    );
    assert!(!body.to_string().contains("nowhere"), "{body}");
}

#[tokio::test]
async fn a_node_that_commits_nothing_for_want_of_its_file_or_its_log_is_not_ready() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.kitedb");
    primary(&path, 1).close().unwrap();
    let copy = dir.path().join("copy.kitedb");
    fs::copy(&path, &copy).unwrap();
    let beside = Server::beside(&copy, by_token()).await;
    assert_eq!(
        readiness(&beside).await,
        (StatusCode::SERVICE_UNAVAILABLE, json!({ "ready": false, "role": "primary", "reason": "log_missing" }))
    );

    let db = primary(&path, 0);
    let server = Server::of(&db, by_token()).await;
    assert_eq!(readiness(&server).await.0, StatusCode::OK);
    let write = json!([{ "op": "createNode" }]);
    assert_eq!(server.batch(write.clone()).await.0, StatusCode::OK);
    fs::rename(&path, dir.path().join("away")).unwrap();
    fs::remove_file(dir.path().join("away")).unwrap();
    assert_eq!(readiness(&server).await.1["reason"], "file_lost");
    let (status, body) = server.batch(write).await;
    assert_eq!((status, &body["code"]), (StatusCode::NOT_FOUND, &json!("NOT_FOUND")), "{body}");
    db.close().unwrap_err();
}
