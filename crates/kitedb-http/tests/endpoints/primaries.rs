//! What a primary answers: the rows R1 to R18, R25 and R29 of the contract.

use super::server::{Server, TOKEN, by_token, commit, primary, told};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use kitedb_core::{Database, GraphRead, OpenOptions};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;

const OK: StatusCode = StatusCode::OK;

fn indexes(page: &Value) -> Vec<u64> {
    let frames = page["frames"].as_array().unwrap();
    frames.iter().map(|frame| frame["logIndex"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn the_log_is_read_page_by_page() {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 5);
    let server = Server::of(&db, by_token()).await;
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let of = cursor.as_ref().map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
        let (status, page) = server.get(&format!("/api/replication/log?maxFrames=2{of}")).await;
        assert_eq!((status, &page["success"], &page["role"]), (OK, &json!(true), &json!("primary")), "{page}");
        assert_eq!(page["cursor"], cursor.map_or(Value::Null, Value::String));
        assert_eq!(page["frameCount"], page["frames"].as_array().unwrap().len());
        seen.extend(indexes(&page));
        cursor = page["nextCursor"].as_str().map(str::to_owned);
        if page["eof"] == true {
            break;
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    // At the end one goes on with what one came with.
    let last = cursor.unwrap();
    let (_, page) = server.get(&format!("/api/replication/log?cursor={last}")).await;
    assert_eq!((&page["frameCount"], &page["eof"], &page["nextCursor"]), (&json!(0), &json!(true), &json!(last)));
    commit(&db, 1);
    let (_, page) = server.get(&format!("/api/replication/log?cursor={last}")).await;
    assert_eq!(indexes(&page), [6]);
}

#[tokio::test]
async fn what_cannot_be_read_of_a_query_is_the_default_and_limits_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 3);
    let server = Server::of(&db, by_token()).await;
    for (query, frames) in [
        ("maxFrames=0", 1),
        ("maxFrames=-10", 1),
        ("maxFrames=99999999999", 3),
        ("maxFrames=x&maxBytes=&includePayload=maybe", 3),
        ("maxBytes=99999999999", 3),
    ] {
        let (status, page) = server.get(&format!("/api/replication/log?{query}")).await;
        assert_eq!((status, indexes(&page).len()), (OK, frames), "{query}: {page}");
        assert!(page["frames"].as_array().unwrap().iter().all(|frame| frame["payloadBase64"] != ""));
    }
    for bytes in ["1", "-7"] {
        let (status, page) = server.get(&format!("/api/replication/log?maxBytes={bytes}&includePayload=false")).await;
        assert_eq!((status, indexes(&page), &page["eof"]), (OK, vec![1], &json!(false)), "{page}");
        assert!(page["totalBytes"].as_u64().unwrap() > 0 && page["nextCursor"].is_string(), "{page}");
    }
    let (_, page) = server.get("/api/replication/log?includePayload=no").await;
    assert!(page["frames"].as_array().unwrap().iter().all(|frame| frame["payloadBase64"] == ""));
    // Two parts are a frame, after which it goes on; what is left out is 0 (rows R6 and R7).
    for (cursor, first) in [("1:1", 2), ("1:2", 3), (":2", 1), ("1:", 1), ("0:0:0:0", 1)] {
        let (status, page) = server.get(&format!("/api/replication/log?cursor={cursor}")).await;
        assert_eq!((status, indexes(&page).first(), &page["cursor"]), (OK, Some(&first), &json!(cursor)), "{page}");
    }
    for cursor in ["bad-cursor", "1:abc:def:ghi", "1:2:3:4:5", "1:2:3", "1:x", "x:", "-1:2"] {
        let (status, body) = server.get(&format!("/api/replication/log?cursor={cursor}")).await;
        assert_eq!(
            (status, &body["success"], &body["code"]),
            (StatusCode::BAD_REQUEST, &json!(false), &json!("INVALID_CURSOR"))
        );
        assert!(!body["error"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_snapshot_is_the_file_and_a_replica_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 5);
    let server = Server::of(&db, by_token()).await;
    let (status, body) = server.get("/api/replication/snapshot/latest?includeData=true").await;
    let snapshot = &body["snapshot"];
    assert_eq!((status, &body["role"], &snapshot["format"]), (OK, &json!("primary"), &json!("single-file-db-copy")));
    let data = BASE64_STANDARD.decode(snapshot["dataBase64"].as_str().unwrap()).unwrap();
    assert_eq!(snapshot["byteLength"], data.len());
    let sha256: String = Sha256::digest(&data).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(snapshot["sha256"], sha256);
    let copy = dir.path().join("copy.kitedb");
    fs::write(&copy, data).unwrap();
    let copy = Database::open(copy, OpenOptions::new().read_only(true)).unwrap();
    assert_eq!(copy.snapshot().unwrap().count_nodes(), 5);
    let (_, body) = server.get("/api/replication/snapshot/latest").await;
    assert!(body["snapshot"].get("dataBase64").is_none() && body["snapshot"]["byteLength"].as_u64().unwrap() > 0);

    let (status, body) = server.get("/api/replication/transport/snapshot").await;
    assert_eq!((status, &body["success"]), (OK, &json!(true)), "{body}");
    assert_eq!(body["snapshot"]["byte_length"], snapshot["byteLength"]);
    let (status, body) = server.get("/api/replication/transport/log?maxFrames=2").await;
    assert_eq!((status, &body["success"], &body["frame_count"]), (OK, &json!(true), &json!(2)), "{body}");
}

#[tokio::test]
async fn metrics_are_prometheus_text_and_say_that_they_are_guarded() {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 1);
    let server = Server::of(&db, by_token()).await;
    for route in ["/metrics", "/api/replication/metrics"] {
        let response = server.ask(Method::GET, route).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        let text = response.text().await.unwrap();
        let has = |start: &str, end: &str| text.lines().any(|line| line.starts_with(start) && line.ends_with(end));
        assert!(has("kitedb_replication_auth_enabled{", " 1"), "{text}");
        assert!(
            has("kitedb_replication_enabled{", "role=\"primary\"} 1") || has("kitedb_replication_enabled{", " 1"),
            "{text}"
        );
    }
    let asked = server.ask(Method::GET, "/metrics").header("accept", "application/openmetrics-text; version=1.0.0");
    assert!(asked.send().await.unwrap().text().await.unwrap().ends_with("# EOF\n"));
}

#[tokio::test]
async fn a_promotion_begins_the_next_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 2);
    let server = Server::of(&db, by_token()).await;
    let (status, body) = server.post("/api/replication/promote").await;
    assert_eq!(
        (status, &body["success"], &body["epoch"], &body["primary"]["epoch"]),
        (OK, &json!(true), &json!(2), &json!(2))
    );
    let (status, body) = server.post("/api/replication/reseed").await;
    assert_eq!((status, &body["success"], &body["code"]), (StatusCode::CONFLICT, &json!(false), &json!("NOT_REPLICA")));
    assert!(body["error"].as_str().unwrap().contains("replica role"), "{body}");
    let (status, body) = server.post("/api/replication/pull").await;
    assert_eq!((status, &body["code"]), (StatusCode::CONFLICT, &json!("NOT_REPLICA")));
}

#[tokio::test]
async fn a_route_that_is_none_and_a_method_that_is_none_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 1);
    let server = Server::of(&db, by_token()).await;
    assert_eq!(server.get("/api/replication/nothing").await.0, StatusCode::NOT_FOUND);
    assert_eq!(server.get("/api/replication/promote").await.0, StatusCode::METHOD_NOT_ALLOWED);
    let asked = server
        .ask_as_anybody(Method::POST, "/api/replication/promote")
        .bearer_auth(TOKEN)
        .header("origin", "http://elsewhere");
    let (status, body) = told(asked.send().await.unwrap()).await;
    assert_eq!((status, &body["success"]), (StatusCode::FORBIDDEN, &json!(false)));
    assert_eq!(db.primary_replication_status().unwrap().unwrap().epoch, 1);
}
