//! What is written: all of it or nothing.

use super::{OK, both, people, told};
use crate::{
    beside::Writer,
    server::{Server, by_token, primary},
};
use kitedb_core::{Database, Date, DateTime, GraphRead, LocalTime, OpenOptions, Value, json};
use proptest::prelude::*;
use reqwest::{Method, StatusCode};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

#[tokio::test]
async fn a_batch_answers_with_what_it_made_and_the_token_of_its_commit() {
    let dir = tempfile::tempdir().unwrap();
    let (db, servers) = both(&dir.path().join("p.kitedb")).await;
    let asked = servers[0].ask(Method::POST, "/api/graph/batch").json(&json!({ "mutations": people() }));
    let response = asked.send().await.unwrap();
    let token = db.last_commit_token().unwrap().full();
    assert_eq!(response.headers()["kite-token"], token);
    let (_, done) = told(response).await;
    assert_eq!((&done["token"], done["results"].as_array().unwrap().len()), (&json!(token), 9));
    assert_eq!(done["results"][0], json!({ "id": 1, "created": true }));
    assert_eq!(
        done["results"][4],
        json!({ "edge": { "src": 1, "type": "KNOWS", "dst": 2, "rank": 0 }, "created": true })
    );

    let (status, done) = servers[0]
        .batch(json!([
            { "op": "upsertNode", "as": "ada", "key": "ada", "labels": ["Countess"], "props": { "died": 1852 } },
            { "op": "upsertNode", "as": "new", "key": "william" },
            { "op": "upsertEdge", "src": { "ref": "ada" }, "type": "MARRIED", "dst": { "ref": "new" }, "props": { "in": 1835 } },
            { "op": "upsertEdge", "src": { "key": "ada" }, "type": "KNOWS", "dst": { "key": "mary" }, "props": { "well": true } },
            { "op": "updateEdge", "src": { "id": 1 }, "type": "KNOWS", "dst": { "id": "2" }, "rank": 0, "set": { "a": [] }, "unset": ["since", "no"] },
            { "op": "updateNode", "node": { "key": "mary" }, "set": { "x": null }, "addLabels": ["Author"], "removeLabels": ["Person", "No"], "removeVectors": ["face"] },
            { "op": "deleteEdge", "src": { "key": "ada" }, "type": "KNOWS", "dst": { "key": "ada" } },
            { "op": "deleteNode", "node": { "key": "charles" } }
        ]))
        .await;
    assert_eq!(status, OK, "{done}");
    let created: Vec<_> =
        done["results"].as_array().unwrap().iter().map(|result| result["created"].as_bool().unwrap()).collect();
    assert_eq!(created, [false, true, true, false, false, false, false, false]);
    for server in &servers {
        let (_, ada) = server.get("/api/graph/node?key=ada").await;
        assert_eq!(ada["node"]["labels"], json!(["Person", "Poet", "Countess"]));
        assert_eq!(ada["node"]["props"], json!({ "born": 1815, "died": 1852 }));
        assert_eq!((&ada["outDegree"], &ada["inDegree"]), (&json!(3), &json!(0)));
        let (_, edge) = server.get("/api/graph/edge?srcKey=ada&type=KNOWS&dstKey=mary").await;
        assert_eq!(edge["edge"]["props"], json!({ "a": [], "well": true }));
        let (_, mary) = server.get("/api/graph/node?key=mary&vectors=true").await;
        assert_eq!((&mary["node"]["labels"], &mary["node"]["props"]), (&json!(["Author"]), &json!({ "x": null })));
        assert_eq!(mary["node"]["vectors"], json!({}));
    }
}

#[tokio::test]
async fn what_fails_half_way_did_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (db, servers) = both(&dir.path().join("p.kitedb")).await;
    servers[0].batch(people()).await;
    let before = db.last_commit_token();
    for (last, status, code) in [
        (json!({ "op": "createNode", "key": "ada" }), StatusCode::CONFLICT, "DUPLICATE_KEY"),
        (
            json!({ "op": "createEdge", "src": { "ref": "n" }, "type": "T", "dst": { "key": "nobody" } }),
            StatusCode::NOT_FOUND,
            "NODE_NOT_FOUND",
        ),
        (
            json!({ "op": "createEdge", "src": { "key": "ada" }, "type": "KNOWS", "dst": { "key": "mary" } }),
            StatusCode::CONFLICT,
            "EDGE_EXISTS",
        ),
        (
            json!({ "op": "deleteEdge", "src": { "key": "ada" }, "type": "KNOWS", "dst": { "ref": "n" } }),
            StatusCode::NOT_FOUND,
            "EDGE_NOT_FOUND",
        ),
        (
            json!({ "op": "updateEdge", "src": { "id": 1 }, "type": "KNOWS", "dst": { "id": 2 }, "rank": 99 }),
            StatusCode::NOT_FOUND,
            "EDGE_NOT_FOUND",
        ),
        (json!({ "op": "deleteNode", "node": { "id": 99 } }), StatusCode::NOT_FOUND, "NODE_NOT_FOUND"),
        (json!({ "op": "deleteNode", "node": { "ref": "m" } }), StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
        (json!({ "op": "createNode", "as": "n" }), StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
        (json!({ "op": "createNode", "key": "" }), StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
        (
            json!({ "op": "createNode", "props": { "d": { "$date": "never" } } }),
            StatusCode::BAD_REQUEST,
            "INVALID_ARGUMENT",
        ),
        (json!({ "op": "createNode", "props": { "_key": 1 } }), StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
        (json!({ "op": "createNode", "vectors": { "face": [1.0] } }), StatusCode::CONFLICT, "VECTOR_DIMENSION"),
        (
            json!({ "op": "createNode", "vectors": { "face": [1e300, 1.0] } }),
            StatusCode::BAD_REQUEST,
            "INVALID_ARGUMENT",
        ),
        (json!({ "op": "createNode", "labels": ["kitedb:idempotency"] }), StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
        (json!({ "op": "upsertNode", "key": "kitedb:idempotency:00" }), StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
    ] {
        let (found, body) = servers[0].batch(json!([{ "op": "createNode", "as": "n", "key": "new" }, last])).await;
        assert_eq!((found, &body["success"], &body["code"]), (status, &json!(false), &json!(code)), "{last}: {body}");
        assert!(body["error"].as_str().unwrap().contains("mutations[1]"), "{body}");
    }
    assert_eq!(servers[0].get("/api/graph/node?key=new").await.0, StatusCode::NOT_FOUND);
    assert_eq!(db.last_commit_token(), before);
}

fn any_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::I64),
        (-3i64..3, any::<bool>()).prop_map(|(by, minus)| Value::I64(if minus { -(1 << 53) } else { 1 << 53 } + by)),
        any::<u64>().prop_map(|bits| Value::F64(f64::from_bits(bits))),
        (-9i32..9).prop_map(|whole| Value::F64(whole.into())),
        prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(-0.0)].prop_map(Value::F64),
        ".{0,12}".prop_map(Value::String),
        prop::collection::vec(any::<u8>(), 0..12).prop_map(Value::Bytes),
        prop::collection::vec(any::<u32>(), 0..4)
            .prop_map(|bits| Value::Vector(bits.into_iter().map(f32::from_bits).collect())),
        (-99_999i64..99_999).prop_map(|days| Date::new(days).unwrap().into()),
        (0u64..86_400_000_000_000).prop_map(|nanos| LocalTime::new(nanos).unwrap().into()),
        (any::<i32>(), 0u32..1_000_000_000)
            .prop_map(|(s, n)| DateTime::new(s.into(), n, 3600, Some("Europe/Paris")).unwrap().into()),
    ];
    scalar.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::btree_map("[a-c]{0,2}|[$](integer|float|map|date|x)", inner, 0..3).prop_map(Value::Map),
        ]
    })
}

/// Every value has one form there, bit for bit.
fn form(value: &Value) -> Json {
    json::to_json(value)
}

#[test]
fn every_value_is_read_back_as_it_was_written() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let db = Database::in_memory().unwrap();
    let server = runtime.block_on(Server::of(&db, by_token()));
    proptest!(ProptestConfig::with_cases(64), |(values in prop::collection::vec(any_value(), 1..12))| {
        let props: BTreeMap<String, Json> = values.iter().enumerate().map(|(n, value)| (format!("p{n}"), form(value))).collect();
        let (status, done) = runtime.block_on(server.batch(json!([{ "op": "createNode", "props": props }])));
        prop_assert_eq!(status, OK, "{}", done);
        let id = done["results"][0]["id"].clone();
        let (_, read) = runtime.block_on(server.get(&format!("/api/graph/node?id={id}")));
        // What was read is written again.
        let again = json!([{ "op": "createNode", "props": read["node"]["props"] }]);
        let (status, done) = runtime.block_on(server.batch(again));
        prop_assert_eq!(status, OK, "{}", done);
        let view = db.snapshot().unwrap();
        for id in [id, done["results"][0]["id"].clone()] {
            for (n, value) in values.iter().enumerate() {
                let found = view.node_prop(id.as_u64().unwrap().into(), &format!("p{n}")).unwrap().unwrap();
                prop_assert_eq!(form(&found), form(value));
            }
        }
        // A reader that has doubles only loses nothing.
        fn doubles_suffice(json: &Json) -> bool {
            match json {
                Json::Number(number) => number.is_f64() || number.as_i64().is_some_and(|n| n.unsigned_abs() < 1 << 53),
                Json::Array(items) => items.iter().all(doubles_suffice),
                Json::Object(members) => members.values().all(doubles_suffice),
                _ => true,
            }
        }
        prop_assert!(doubles_suffice(&read["node"]["props"]), "{}", read);
    });
}

#[tokio::test]
async fn while_another_process_writes_a_batch_is_locked_and_done_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.kitedb");
    primary(&path, 1).close().unwrap();
    let mut writer = Writer::of(&path);
    let server = Server::beside(&path, by_token()).await;
    let mutations = json!([{ "op": "upsertNode", "key": "ada" }]);
    let (status, body) = server.batch(mutations.clone()).await;
    assert_eq!(
        (status, &body["code"], &body["pid"]),
        (StatusCode::CONFLICT, &json!("LOCKED"), &json!(writer.process.id()))
    );
    writer.commit();
    // What it writes is read meanwhile.
    assert_eq!(server.get("/api/graph/stats").await.1["nodes"], 2);
    assert_eq!(server.get("/api/graph/node?id=2").await.0, OK);
    writer.kill();
    let (status, done) = server.batch(mutations).await;
    assert_eq!((status, &done["token"].as_str().unwrap()[..4]), (OK, "1:3."), "{done}");
    assert_eq!(server.get("/api/graph/node?key=ada").await.0, OK);
    assert_eq!(server.get("/api/graph/stats").await.1["nodes"], 3);
}

#[tokio::test]
async fn a_batch_makes_no_database() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gone.kitedb");
    let server = Server::beside(&path, by_token()).await;
    let (status, body) = server.batch(json!([{ "op": "createNode" }])).await;
    assert_eq!((status, &body["code"]), (StatusCode::NOT_FOUND, &json!("NOT_FOUND")), "{body}");
    assert!(!path.exists());
}

#[tokio::test]
async fn a_replica_takes_no_batch() {
    let dir = tempfile::tempdir().unwrap();
    let (source, copy) = (dir.path().join("p.kitedb"), dir.path().join("r.kitedb"));
    let _db = primary(&source, 1);
    let follows = crate::replicas::replica(&copy, &source);
    follows.replica_bootstrap_from_snapshot().unwrap();
    let server = Server::of(&follows, by_token()).await;
    let (status, body) = server.batch(json!([{ "op": "createNode" }])).await;
    assert_eq!((status, &body["code"]), (StatusCode::CONFLICT, &json!("REPLICA_READ_ONLY")), "{body}");
    assert_eq!(server.get("/api/graph/stats").await.1["nodes"], 1);
    follows.close().unwrap();
    let beside = Server::beside(&copy, by_token()).await;
    let (status, body) = beside.batch(json!([{ "op": "createNode" }])).await;
    assert_eq!((status, &body["code"]), (StatusCode::CONFLICT, &json!("REPLICA_READ_ONLY")), "{body}");
}

#[tokio::test]
async fn a_primary_that_was_fenced_takes_no_batch() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.kitedb");
    let db = primary(&path, 1);
    let server = Server::of(&db, by_token()).await;
    // Another handle leads the next epoch.
    Database::open(&path, OpenOptions::new()).unwrap().primary_promote_to_next_epoch().unwrap();
    let (status, body) = server.batch(json!([{ "op": "createNode" }])).await;
    assert_eq!((status, &body["code"]), (StatusCode::CONFLICT, &json!("STALE_PRIMARY")), "{body}");
}
