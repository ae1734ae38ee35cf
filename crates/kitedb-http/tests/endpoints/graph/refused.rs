//! Who may not write, and what cannot be read.

use super::{OK, told};
use crate::server::{Server, by_token, primary};
use kitedb_core::{Database, GraphRead};
use kitedb_http::AuthOptions;
use proptest::prelude::*;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::cell::Cell;

#[tokio::test]
async fn everybody_reads_and_writes_only_where_that_was_said() {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 1);
    let mutations = json!([{ "op": "createNode" }]);
    let open = Server::of(&db, AuthOptions::new()).await;
    let (status, body) = open.batch(mutations.clone()).await;
    assert_eq!((status, &body["code"]), (StatusCode::FORBIDDEN, &json!("FORBIDDEN")), "{body}");
    assert!(body["error"].as_str().unwrap().contains("--allow-writes"), "{body}");
    assert_eq!(open.get("/api/graph/stats").await.1["nodes"], 1);
    let told_so = Server::of(&db, AuthOptions::new().allow_writes(true)).await;
    assert_eq!(told_so.batch(mutations.clone()).await.0, OK);
    // A page in a browser never does.
    let page = told_so.ask(Method::POST, "/api/graph/batch").header("origin", "http://elsewhere").json(&mutations);
    assert_eq!(told(page.send().await.unwrap()).await.0, StatusCode::FORBIDDEN);
    let guarded = Server::of(&db, by_token()).await;
    for route in ["node?id=1", "nodes", "neighbors?id=1", "edge?src=1&type=T&dst=1", "stats"] {
        let asked = guarded.ask_as_anybody(Method::GET, &format!("/api/graph/{route}"));
        assert_eq!(told(asked.send().await.unwrap()).await.0, StatusCode::UNAUTHORIZED, "{route}");
    }
    let asked = guarded.ask_as_anybody(Method::POST, "/api/graph/batch").json(&json!({ "mutations": mutations }));
    assert_eq!(told(asked.send().await.unwrap()).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(db.snapshot().unwrap().count_nodes(), 2);
}

#[tokio::test]
async fn a_body_that_is_no_batch_is_told_why() {
    let db = Database::in_memory().unwrap();
    let server = Server::of(&db, by_token()).await;
    let post =
        async |body: Vec<u8>| told(server.ask(Method::POST, "/api/graph/batch").body(body).send().await.unwrap()).await;
    for (body, says) in [
        ("", "EOF"),
        ("{", "EOF"),
        ("[]", "batch"),
        ("{}", "mutations"),
        (r#"{"mutations": 1}"#, "sequence"),
        (r#"{"mutations": [], "more": 1}"#, "more"),
        (r#"{"mutations": [{}]}"#, "op"),
        (r#"{"mutations": [{"op": "dropAll"}]}"#, "dropAll"),
        (r#"{"mutations": [{"op": "createNode", "prop": {}}]}"#, "prop"),
        (r#"{"mutations": [{"op": "createNode", "labels": "Person"}]}"#, "sequence"),
        (r#"{"mutations": [{"op": "createNode", "vectors": {"v": ["NaN"]}}]}"#, "f64"),
        (r#"{"mutations": [{"op": "deleteNode"}]}"#, "node"),
        (r#"{"mutations": [{"op": "deleteNode", "node": {"id": -1}}]}"#, "whole number"),
        (r#"{"mutations": [{"op": "deleteNode", "node": {"id": 1.5}}]}"#, "whole number"),
        (r#"{"mutations": [{"op": "deleteNode", "node": {"id": 1, "key": "ada"}}]}"#, "batch"),
        (r#"{"mutations": []} x"#, "trailing"),
        (r#"{"mutations": [{"op": "createNode", "props": {"a": 1, "a": 2}}]}"#, "the name 'a' twice"),
        (
            r#"{"mutations": [{"op": "createNode", "props": {"m": {"$map": {"b": 1, "\u0062": 2}}}}]}"#,
            "the name 'b' twice",
        ),
        (r#"{"mutations": [{"op": "createNode", "vectors": {"v": [1], "v": [2]}}]}"#, "the name 'v' twice"),
        (r#"{"mutations": [{"op": "createNode", "props": {"n": 18446744073709551616}}]}"#, "'18446744073709551616'"),
        (r#"{"mutations": [{"op": "createNode", "props": {"n": [-9223372036854775809]}}]}"#, "'-9223372036854775809'"),
        (r#"{"mutations": [{"op": "createNode", "props": {"n": -0}}]}"#, "'-0'"),
    ] {
        let (status, answer) = post(body.into()).await;
        assert_eq!(
            (status, &answer["code"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!("INVALID_ARGUMENT")),
            "{body}: {answer}"
        );
        assert!(answer["error"].as_str().unwrap().contains(says), "{body}: {answer}");
    }
    let deep = format!(
        r#"{{"mutations": [{{"op": "createNode", "props": {{"p": {}1{}}}}}]}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert_eq!(post(deep.into()).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let deeper_than_stored = json!({ "mutations": [{ "op": "createNode", "props": { "p": (0..40).fold(json!(1), |inner, _| json!([inner])) } }] });
    assert_eq!(post(deeper_than_stored.to_string().into()).await.1["code"], "INVALID_ARGUMENT");
    assert_eq!(post(vec![0xff; 100]).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    for large in
        [" ".repeat((2 << 20) + 1), json!({ "mutations": vec![json!({ "op": "createNode" }); 10_001] }).to_string()]
    {
        let (status, answer) = post(large.into()).await;
        assert_eq!((status, &answer["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("TOO_LARGE")), "{answer}");
    }
    assert_eq!(db.snapshot().unwrap().count_nodes(), 0);
    assert_eq!(post(json!({ "mutations": [] }).to_string().into()).await.0, OK);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "createNode|upsertNode|deleteNode|createEdge|ada|[$]date|.{0,6}".prop_map(Value::String),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        let names = "op|as|key|id|ref|node|src|dst|type|props|set|unset|labels|vectors|rank|mutations|[$](date|integer|float|map|bytes|vector)|[a-z]{0,3}";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(names, inner, 0..5).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A mutation, as it should be but for some of its members.
fn any_mutation() -> impl Strategy<Value = Value> {
    let node = prop_oneof![
        "ada|mary|n".prop_map(|key| json!({ "key": key })),
        (0u64..9).prop_map(|id| json!({ "id": id })),
        "a|b".prop_map(|name| json!({ "ref": name })),
        any_json(),
    ];
    let ops = "createNode|upsertNode|updateNode|deleteNode|createEdge|upsertEdge|updateEdge|deleteEdge";
    (ops, node.clone(), node, any_json(), prop::option::of("a|b"), 0u8..8).prop_map(
        |(op, one, other, json, name, which)| match &*op {
            "createNode" | "upsertNode" => {
                let mut made = json!({ "op": op, "as": name, "key": one.get("key") });
                match which {
                    0 => made["props"] = json!({ "p": json }),
                    1 => made["props"] = json,
                    2 => made["labels"] = json,
                    3 => made["vectors"] = json,
                    _ => {}
                }
                made
            }
            "updateNode" => json!({ "op": op, "node": one, "set": { "p": json } }),
            "deleteNode" => json!({ "op": op, "node": one }),
            "createEdge" | "upsertEdge" => {
                json!({ "op": op, "src": one, "type": "T", "dst": other, "props": { "p": json } })
            }
            "updateEdge" => {
                json!({ "op": op, "src": one, "type": "T", "dst": other, "set": { "p": json }, "unset": ["q"] })
            }
            _ => json!({ "op": op, "src": one, "type": "T", "dst": other, "rank": which }),
        },
    )
}

/// Whatever is sent, the answer is one of those that are said, and the server goes on.
#[test]
fn any_body_and_any_query_is_done_or_refused() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let db = Database::in_memory().unwrap();
    let server = runtime.block_on(Server::of(&db, by_token()));
    let said = |status: StatusCode| [200, 400, 404, 409, 413, 422].contains(&status.as_u16());
    let post = |body: Vec<u8>| {
        let asked = server.ask(Method::POST, "/api/graph/batch").body(body);
        runtime.block_on(async { told(asked.send().await.unwrap()).await })
    };
    let done = Cell::new(0);
    proptest!(ProptestConfig::with_cases(192), |(
        bytes: Vec<u8>,
        pulled: Vec<u8>,
        json in any_json(),
        mutations in prop::collection::vec(any_mutation(), 0..5),
        route in "node|nodes|neighbors|edge|stats",
        query in "((key|id|label|after|limit|type|direction|src|dst|rank)=[a-z0-9%-]{0,5}&){0,3}|[ -~&&[^#]]{0,20}",
    )| {
        for body in [bytes, json.to_string().into_bytes(), json!({ "mutations": [json] }).to_string().into_bytes()] {
            let (status, answer) = post(body);
            prop_assert!(said(status), "{status}: {answer}");
        }
        let (status, answer) = post(json!({ "mutations": mutations }).to_string().into_bytes());
        prop_assert!(said(status), "{status}: {answer}");
        done.set(done.get() + usize::from(status == OK && !mutations.is_empty()));
        for body in [pulled, json.to_string().into_bytes()] {
            let asked = server.ask(Method::POST, "/api/replication/pull").body(body);
            let (status, answer) = runtime.block_on(async { told(asked.send().await.unwrap()).await });
            // It is no replica.
            prop_assert!(status == StatusCode::CONFLICT || status == StatusCode::UNPROCESSABLE_ENTITY, "{status}: {answer}");
        }
        let asked = server.ask(Method::GET, &format!("/api/graph/{route}?{query}"));
        let (status, answer) = runtime.block_on(async { told(asked.send().await.unwrap()).await });
        prop_assert!(said(status), "{query}: {status}: {answer}");
    });
    assert!(done.get() > 0, "none of them was done: what is tried is too far from what is meant");
    assert!(db.check().unwrap().is_clean());
}
