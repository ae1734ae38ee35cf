//! What a replica answers: the rows R26 to R30 of the contract.

use super::server::{Server, by_token, commit, primary, told};
use kitedb_core::{Database, OpenOptions, ReplicationRole};
use reqwest::{Method, StatusCode};
use serde_json::json;
use std::{fs, path::Path};

const OK: StatusCode = StatusCode::OK;

pub fn replica(path: &Path, source: &Path) -> Database {
    let options = OpenOptions::new().replication_role(ReplicationRole::Replica).replication_source_db_path(source);
    Database::open(path, options).unwrap()
}

#[tokio::test]
async fn a_replica_pulls_and_is_reseeded() {
    let dir = tempfile::tempdir().unwrap();
    let (source, copy) = (dir.path().join("p.kitedb"), dir.path().join("r.kitedb"));
    let db = primary(&source, 5);
    let follows = replica(&copy, &source);
    let server = Server::of(&follows, by_token()).await;
    let (status, body) = server.post("/api/replication/reseed").await;
    assert_eq!(
        (status, &body["role"], &body["replica"]["appliedLogIndex"]),
        (OK, &json!("replica"), &json!(5)),
        "{body}"
    );
    assert_eq!((&body["replica"]["needsReseed"], &body["replica"]["lastError"]), (&json!(false), &json!(null)));
    commit(&db, 3);
    let pull = |body: &'static str| {
        server.ask(Method::POST, "/api/replication/pull").header("content-type", "application/json").body(body)
    };
    let (status, body) = told(pull(r#"{"maxFrames": 2}"#).send().await.unwrap()).await;
    assert_eq!(
        (status, &body["appliedFrames"], &body["replica"]["appliedLogIndex"]),
        (OK, &json!(2), &json!(7)),
        "{body}"
    );
    let (_, body) = told(pull("").send().await.unwrap()).await;
    assert_eq!((&body["appliedFrames"], &body["replica"]["appliedLogIndex"]), (&json!(1), &json!(8)));
    for bad in ["{", "[]", r#"{"maxFrames": "x"}"#] {
        let (status, body) = told(pull(bad).send().await.unwrap()).await;
        assert_eq!((status, &body["success"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(false)), "{bad}");
    }
    let large = server.ask(Method::POST, "/api/replication/pull").body(" ".repeat((2 << 20) + 1));
    assert_eq!(told(large.send().await.unwrap()).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, body) = server.get("/api/replication/log").await;
    assert_eq!((status, &body["code"]), (StatusCode::CONFLICT, &json!("NOT_PRIMARY")), "{body}");
    assert!(body["error"].as_str().unwrap().contains("primary role"), "{body}");
}

/// Row R30: the segment that holds what comes next is gone.
#[tokio::test]
async fn a_replica_that_needs_a_reseed_says_so_and_gets_it() {
    let dir = tempfile::tempdir().unwrap();
    let (source, copy) = (dir.path().join("p.kitedb"), dir.path().join("r.kitedb"));
    let options = OpenOptions::new().replication_role(ReplicationRole::Primary).replication_segment_max_bytes(1);
    let db = Database::open(&source, options).unwrap();
    commit(&db, 2);
    let follows = replica(&copy, &source);
    follows.replica_bootstrap_from_snapshot().unwrap();
    commit(&db, 6);
    follows.replica_catch_up_once(1).unwrap();
    fs::remove_file(dir.path().join("p.kitedb.replication/segment-00000000000000000004.klog")).unwrap();
    let server = Server::of(&follows, by_token()).await;
    let (status, body) = server.post("/api/replication/pull").await;
    assert_eq!(
        (status, &body["success"], &body["code"]),
        (StatusCode::CONFLICT, &json!(false), &json!("NEEDS_RESEED")),
        "{body}"
    );
    assert!(body["error"].as_str().unwrap().contains("needs reseed"), "{body}");
    let (_, body) = server.get("/api/replication/status").await;
    assert_eq!(body["replica"]["needsReseed"], true);
    assert!(body["replica"]["lastError"].as_str().unwrap().contains("needs reseed"), "{body}");
    let (status, body) = server.post("/api/replication/reseed").await;
    assert_eq!(
        (status, &body["replica"]["needsReseed"], &body["replica"]["lastError"]),
        (OK, &json!(false), &json!(null)),
        "{body}"
    );
    commit(&db, 1);
    assert_eq!(server.post("/api/replication/pull").await.1["appliedFrames"], 1);
}
