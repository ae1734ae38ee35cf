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

#[tokio::test]
async fn a_replica_takes_over_and_the_old_primary_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (source, copy) = (dir.path().join("p.kitedb"), dir.path().join("r.kitedb"));
    let db = primary(&source, 5);
    let follows = replica(&copy, &source);
    follows.replica_bootstrap_from_snapshot().unwrap();
    follows.close().unwrap();
    commit(&db, 4);
    let server = Server::beside(&copy, by_token()).await;
    let promote = async |body: &'static str| {
        told(server.ask(Method::POST, "/api/replication/promote").body(body).send().await.unwrap()).await
    };
    for bad in ["{", "[]", r#"{"force": 1}"#, r#"{"maxLag": -1}"#, r#"{"forced": true}"#] {
        let (status, body) = promote(bad).await;
        assert_eq!((status, &body["success"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(false)), "{bad}");
    }
    // How many there are, it knows once it has looked.
    assert_eq!(
        told(server.ask(Method::POST, "/api/replication/pull").body(r#"{"maxFrames":1}"#).send().await.unwrap())
            .await
            .0,
        OK
    );
    let (status, body) = promote(r#"{"maxLag": 2}"#).await;
    assert_eq!((status, &body["code"]), (StatusCode::CONFLICT, &json!("TOO_FAR_BEHIND")), "{body}");
    let (status, body) = promote(r#"{"maxLag": 3}"#).await;
    assert_eq!((status, &body["epoch"], &body["role"]), (OK, &json!(2), &json!("primary")), "{body}");
    assert_eq!(
        (&body["source_fenced"], &body["fence_synced"], &body["rivals"]),
        (&json!(true), &json!(true), &json!([]))
    );
    assert!(body["last_kept"].as_str().unwrap().starts_with("1:9"), "{body}");
    assert_eq!((&body["primary"]["epoch"], &body["primary"]["headLogIndex"]), (&json!(2), &json!(9)));
    let old = Server::beside(&source, by_token()).await;
    assert_eq!(old.get("/api/replication/status").await.1["primary"]["fenced"], true);
    let (status, body) = old.post("/api/replication/promote").await;
    assert_eq!(status, StatusCode::CONFLICT, "{body}");
    // Nor where nobody has it open any more, so that the request opens it anew: the lead is taken back by force only.
    db.close().unwrap();
    let (status, body) = old.post("/api/replication/promote").await;
    assert_eq!((status, &body["code"]), (StatusCode::CONFLICT, &json!("STALE_PRIMARY")), "{body}");
    assert_eq!(old.get("/api/replication/status").await.1["primary"]["epoch"], 1);
    // It leads now: what follows begins its next epoch.
    let (status, body) = promote("").await;
    assert_eq!((status, &body["epoch"]), (OK, &json!(3)), "{body}");
}
