//! Idempotency keys.

use super::{OK, told};
use crate::{
    replicas::replica,
    server::{Server, TOKEN, by_token, primary},
};
use kitedb_core::{Database, GraphRead, OpenOptions, ReplicationRole};
use kitedb_http::{AuthOptions, ServeOptions, Served, Server as Own};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::{
    env,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

const SERVED: &str = "KITEDB_SERVED_BY_A_TEST";
const REMEMBERED: &str = "kitedb:idempotency";

/// What a batch with a key is answered with, and whether that is an answer of before.
async fn once(server: &Server, key: &str, mutations: &Value) -> (StatusCode, Value, bool) {
    let asked = server.ask(Method::POST, "/api/graph/batch").header("idempotency-key", key);
    let response = asked.json(&json!({ "mutations": mutations })).send().await.unwrap();
    let replayed = response.headers().get("idempotency-replayed").is_some();
    assert!(!replayed || response.status() == OK);
    let (status, body) = told(response).await;
    (status, body, replayed)
}

fn a_node() -> Value {
    json!([{ "op": "createNode", "labels": ["Person"], "props": { "n": 1 } }])
}

fn people(db: &Database) -> u64 {
    db.snapshot().unwrap().count_nodes_by_label("Person")
}

#[tokio::test]
async fn the_same_key_with_the_same_body_is_done_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.kitedb");
    let db = primary(&path, 0);
    let server = Server::of(&db, by_token()).await;
    let (status, first, replayed) = once(&server, "k-1", &a_node()).await;
    assert_eq!((status, replayed), (OK, false), "{first}");
    let (status, again, replayed) = once(&server, "k-1", &a_node()).await;
    assert_eq!((status, &again["results"], replayed), (OK, &first["results"], true));
    // Whoever waits for that token sees the batch.
    let token = again["token"].as_str().unwrap();
    assert!(db.wait_for_token(token.parse().unwrap(), 0).unwrap() && token == db.last_commit_token().unwrap().full());
    let (status, body, _) = once(&server, "k-1", &json!([{ "op": "createNode", "labels": ["Person"] }])).await;
    assert_eq!((status, &body["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("IDEMPOTENCY_KEY_REUSED")), "{body}");
    assert!(!once(&server, "k-2", &a_node()).await.2);
    assert_eq!(people(&db), 2);
    // What failed is not remembered.
    let taken = json!([{ "op": "createEdge", "src": { "key": "x" }, "type": "T", "dst": { "key": "x" } }]);
    assert_eq!(once(&server, "k-3", &taken).await.0, StatusCode::NOT_FOUND);
    assert_eq!(once(&server, "k-3", &a_node()).await.0, OK);
    // The key itself is not in the graph, and no batch makes or changes what remembers it.
    let (_, page) = server.get(&format!("/api/graph/nodes?label={REMEMBERED}")).await;
    assert_eq!(page["nodes"].as_array().unwrap().len(), 3);
    assert!(!page.to_string().contains("k-1"));
    for node in [json!({ "id": page["nodes"][0]["id"] }), json!({ "key": page["nodes"][0]["key"] })] {
        let (status, body) = server.batch(json!([{ "op": "deleteNode", "node": node }])).await;
        assert_eq!((status, &body["code"]), (StatusCode::BAD_REQUEST, &json!("INVALID_ARGUMENT")), "{body}");
    }
    for key in ["", "a b", &"k".repeat(256)] {
        assert_eq!(once(&server, key, &a_node()).await.0, StatusCode::BAD_REQUEST, "{key}");
    }
    let many = json!(vec![json!({ "op": "createNode" }); 1_001]);
    assert_eq!(once(&server, "many", &many).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(people(&db), 3);

    drop(server);
    db.close().unwrap();
    let beside = Server::beside(&path, by_token()).await;
    let (status, again, replayed) = once(&beside, "k-1", &a_node()).await;
    assert_eq!((status, &again["results"], replayed), (OK, &first["results"], true));
}

#[tokio::test]
async fn of_many_who_come_at_once_with_one_key_one_does_it() {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 0);
    let server = Server::of(&db, by_token()).await;
    let (same, own) = (a_node(), (0..8).map(|n| format!("own-{n}")).collect::<Vec<_>>());
    let mut asked = Vec::new();
    for own in &own {
        asked.push((once(&server, "shared", &same), once(&server, own, &same)));
    }
    let (mut made, mut results) = (0, Vec::new());
    for answers in futures_of(asked).await {
        let ((status, body, replayed), (own, _, again)) = answers;
        assert_eq!((status, own, again), (OK, OK, false), "{body}");
        made += usize::from(!replayed);
        results.push(body["results"].clone());
    }
    results.dedup();
    assert_eq!((made, results.len(), people(&db)), (1, 1, 9));
}

/// All of them at the same time.
async fn futures_of<A, B>(pairs: Vec<(impl Future<Output = A>, impl Future<Output = B>)>) -> Vec<(A, B)> {
    let mut running: Vec<_> = pairs.into_iter().map(|(a, b)| Box::pin(async { tokio::join!(a, b) })).collect();
    let mut done: Vec<_> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (running, done) in running.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(answer) = running.as_mut().poll(context) {
                *done = Some(answer);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().map(Option::unwrap).collect()
}

#[tokio::test]
async fn no_more_keys_are_remembered_than_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 0);
    let server = Server::of(&db, by_token()).await;
    let first = once(&server, "first", &a_node()).await.1;
    db.transaction(|tx| -> kitedb_core::Result<()> {
        for n in 1..4_096 {
            let id = tx.create_node(Some(&format!("{REMEMBERED}:{n}")))?;
            tx.add_node_label(id, REMEMBERED)?;
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(once(&server, "first", &a_node()).await.1["results"], first["results"]);
    assert_eq!(once(&server, "one more", &a_node()).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(once(&server, "one-more", &a_node()).await.0, OK);
    assert!(db.snapshot().unwrap().count_nodes_by_label(REMEMBERED) <= 4_096);
    assert!(once(&server, "one-more", &a_node()).await.2);
    // The oldest is forgotten, and done again.
    let (status, _, replayed) = once(&server, "first", &a_node()).await;
    assert_eq!((status, replayed, people(&db)), (OK, false, 3));
}

/// Serves a database until it is killed.
#[test]
#[ignore = "the process that a test kills: it starts it"]
fn serves_a_database() {
    let Some(path) = env::var_os(SERVED) else { return };
    let mut options = ServeOptions::default();
    (options.port, options.auth) = (0, AuthOptions::new().token(TOKEN));
    let server = Own::start(Served::Held(primary(&PathBuf::from(path), 0)), &options).unwrap();
    eprintln!("at {}", server.url());
    std::thread::park();
}

#[tokio::test]
async fn what_was_done_before_a_crash_is_not_done_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.kitedb");
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "graph::once::serves_a_database", "--ignored", "--nocapture"]).env(SERVED, &path);
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(process.stderr.take().unwrap());
    let url = loop {
        let mut line = String::new();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "it ended");
        if let Some((_, url)) = line.trim().split_once("at http") {
            break format!("http{url}");
        }
    };
    let first = once(&Server::at(url), "k", &a_node()).await.1;
    process.kill().unwrap();
    process.wait().unwrap();
    let db = Database::open(&path, OpenOptions::new().replication_role(ReplicationRole::Primary)).unwrap();
    let server = Server::of(&db, by_token()).await;
    let (status, again, replayed) = once(&server, "k", &a_node()).await;
    assert_eq!((status, &again["results"], replayed, people(&db)), (OK, &first["results"], true, 1));
}

#[tokio::test]
async fn the_node_that_took_over_knows_what_was_done() {
    let dir = tempfile::tempdir().unwrap();
    let (source, copy) = (dir.path().join("p.kitedb"), dir.path().join("r.kitedb"));
    let db = primary(&source, 0);
    let server = Server::of(&db, by_token()).await;
    let first = once(&server, "k", &a_node()).await.1;
    let follows = replica(&copy, &source);
    follows.replica_bootstrap_from_snapshot().unwrap();
    drop(server);
    db.close().unwrap();
    follows.replica_promote(false).unwrap();
    let server = Server::of(&follows, by_token()).await;
    let (status, again, replayed) = once(&server, "k", &a_node()).await;
    assert_eq!((status, &again["results"], replayed), (OK, &first["results"], true), "{again}");
}
