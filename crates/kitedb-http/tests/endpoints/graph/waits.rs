//! `Kite-Wait-Token`: no answer is of an earlier state.

use super::{OK, told};
use crate::{
    beside::Writer,
    replicas::replica,
    server::{Server, at_any_port, by_token, commit, primary},
};
use kitedb_core::{Database, OpenOptions, ReplicationRole};
use kitedb_http::Served;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use std::fs;

fn stats(server: &Server, wait: &str) -> RequestBuilder {
    server.ask(Method::GET, "/api/graph/stats").header("kite-wait-token", wait)
}

#[tokio::test]
async fn a_token_that_is_reached_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.kitedb");
    let db = primary(&path, 3);
    let token = db.last_commit_token().unwrap();
    for server in [Server::of(&db, by_token()).await, Server::beside(&path, by_token()).await] {
        for wait in [token.full(), token.to_string(), "1:1".to_owned(), format!("{token}; timeout=0")] {
            let response = stats(&server, &wait).send().await.unwrap();
            assert_eq!(response.headers()["kite-token"], token.full(), "{wait}");
            assert_eq!(told(response).await.1["nodes"], 3);
        }
        for wait in ["", "x", "1", "1:2:3", "1:1; timeout=soon", "1:1, 1:2"] {
            let (status, body) = told(stats(&server, wait).send().await.unwrap()).await;
            assert_eq!(
                (status, &body["code"]),
                (StatusCode::BAD_REQUEST, &json!("INVALID_ARGUMENT")),
                "{wait}: {body}"
            );
        }
        let twice = stats(&server, "1:1").header("kite-wait-token", "1:2");
        assert_eq!(told(twice.send().await.unwrap()).await.0, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn a_replica_that_lags_answers_late_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let (source, copy) = (dir.path().join("p.kitedb"), dir.path().join("r.kitedb"));
    let db = primary(&source, 2);
    let follows = replica(&copy, &source);
    follows.replica_bootstrap_from_snapshot().unwrap();
    let (held, beside) = (Server::of(&follows, by_token()).await, Server::beside(&copy, by_token()).await);
    commit(&db, 1);
    let token = db.last_commit_token().unwrap().full();
    for server in [&held, &beside] {
        for timeout in [0, 30] {
            let response = stats(server, &format!("{token}; timeout={timeout}")).send().await.unwrap();
            assert_eq!(response.headers()["retry-after"], "1");
            let (status, body) = told(response).await;
            let expected = (StatusCode::SERVICE_UNAVAILABLE, &json!("TOKEN_TIMEOUT"), &json!("retry_later"));
            assert_eq!((status, &body["code"], &body["kind"]), expected, "{body}");
        }
        // Without one, what is there is answered, and named.
        assert_eq!(told(server.ask(Method::GET, "/api/graph/stats").send().await.unwrap()).await.1["nodes"], 2);
    }
    let catches_up = async {
        tokio::time::sleep(std::time::Duration::from_millis(40)).await;
        follows.replica_catch_up_once(10).unwrap();
    };
    let wait = format!("{token}; timeout=30000");
    let (held, beside, ()) = tokio::join!(stats(&held, &wait).send(), stats(&beside, &wait).send(), catches_up);
    for response in [held.unwrap(), beside.unwrap()] {
        assert_eq!(response.headers()["kite-token"], token);
        assert_eq!(told(response).await.1["nodes"], 3);
    }
}

#[tokio::test]
async fn a_token_off_the_history_is_a_conflict() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.kitedb");
    let db = primary(&path, 2);
    let servers = [Server::of(&db, by_token()).await, Server::beside(&path, by_token()).await];
    let off = async |server: &Server, wait: &str| {
        let (status, body) = told(stats(server, wait).send().await.unwrap()).await;
        assert_eq!((status, &body["code"]), (StatusCode::CONFLICT, &json!("TOKEN_OFF_HISTORY")), "{wait}: {body}");
    };
    for server in &servers {
        off(server, "1:2.0badf00d").await;
    }
    // What would have come in this epoch never does, once the next one has begun.
    let promoted = async {
        tokio::time::sleep(std::time::Duration::from_millis(40)).await;
        db.primary_promote_to_next_epoch().unwrap();
        commit(&db, 1);
    };
    let [held, beside] = &servers;
    tokio::join!(off(held, "1:3; timeout=30000"), off(beside, "1:3; timeout=30000"), promoted);
    for server in &servers {
        off(server, "1:99").await;
        assert_eq!(told(stats(server, "2:3").send().await.unwrap()).await.0, OK);
        // Neither is a write begun.
        let write = server.ask(Method::POST, "/api/graph/batch").header("kite-wait-token", "1:99");
        let (status, body) =
            told(write.json(&json!({ "mutations": [{ "op": "createNode" }] })).send().await.unwrap()).await;
        assert_eq!((status, &body["code"]), (StatusCode::CONFLICT, &json!("TOKEN_OFF_HISTORY")));
        assert_eq!(server.get("/api/graph/stats").await.1["nodes"], 3);
    }
}

#[tokio::test]
async fn a_replica_that_needs_a_reseed_says_so() {
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
    follows.replica_catch_up_once(10).unwrap_err();
    let token = db.last_commit_token().unwrap().full();
    for server in [Server::of(&follows, by_token()).await, Server::beside(&copy, by_token()).await] {
        let (status, body) = told(stats(&server, &token).send().await.unwrap()).await;
        assert_eq!((status, &body["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("NEEDS_RESEED")), "{body}");
    }
}

#[tokio::test]
async fn those_who_wait_are_in_nobodys_way() {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 1);
    let server = std::sync::Arc::new(Server::of(&db, by_token()).await);
    // More than calls may run at once.
    let waiting: Vec<_> = (0..200)
        .map(|_| {
            let server = server.clone();
            tokio::spawn(async move { told(stats(&server, "1:3; timeout=30000").send().await.unwrap()).await })
        })
        .collect();
    // Only as many as come at the same moment are told to come again.
    let again = |answer: &(StatusCode, Value)| answer.1["code"] == "BUSY";
    for _ in 0..20 {
        let mut answer = server.get("/api/graph/stats").await;
        while again(&answer) {
            answer = server.get("/api/graph/stats").await;
        }
        assert_eq!((answer.0, &answer.1["nodes"]), (OK, &json!(1)));
    }
    commit(&db, 1);
    while again(&server.batch(json!([{ "op": "createNode" }])).await) {}
    for waiter in waiting {
        let (status, body) = waiter.await.unwrap();
        assert_eq!((status, &body["nodes"]), (OK, &json!(3)), "{body}");
    }
}

#[tokio::test]
async fn what_another_process_commits_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.kitedb");
    primary(&path, 1).close().unwrap();
    let mut writer = Writer::of(&path);
    let server = Server::beside(&path, by_token()).await;
    let late = told(stats(&server, "1:2; timeout=20").send().await.unwrap()).await;
    assert_eq!((late.0, &late.1["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("TOKEN_TIMEOUT")));
    let commits = async {
        tokio::time::sleep(std::time::Duration::from_millis(40)).await;
        writer.commit();
    };
    let (response, ()) = tokio::join!(stats(&server, "1:2; timeout=30000").send(), commits);
    let (status, body) = told(response.unwrap()).await;
    assert_eq!((status, &body["nodes"]), (OK, &json!(2)), "{body}");
}

#[tokio::test]
async fn a_server_that_ends_keeps_nobody_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.kitedb");
    let db = primary(&path, 1);
    for served in [Served::Held(db.clone()), Served::Beside(path.clone(), Box::default())] {
        let served = kitedb_http::Server::start(served, &at_any_port(by_token())).unwrap();
        let server = Server::at(served.url());
        let waiter = tokio::spawn(stats(&server, "1:99; timeout=30000").send());
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        assert!(!waiter.is_finished());
        tokio::task::spawn_blocking(move || served.stop()).await.unwrap();
        let answer = waiter.await.unwrap().unwrap();
        assert_eq!(answer.headers()["retry-after"], "1");
        let (status, body) = told(answer).await;
        assert_eq!((status, &body["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("STOPPING")), "{body}");
    }
}
