//! What is read, of a database that is open here and of a file.

use super::{OK, both, people, told};
use crate::server::commit;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::{fs, path::Path, time::Duration};

#[tokio::test]
async fn a_node_is_found_by_its_key_and_by_its_id() {
    let dir = tempfile::tempdir().unwrap();
    let (db, servers) = both(&dir.path().join("p.kitedb")).await;
    let (status, done) = servers[0].batch(people()).await;
    assert_eq!((status, &done["success"]), (OK, &json!(true)), "{done}");
    let ada = &done["results"][0]["id"];
    for server in &servers {
        let response = server.ask(Method::GET, "/api/graph/node?key=ada").send().await.unwrap();
        assert_eq!(response.headers()["kite-token"], db.last_commit_token().unwrap().full());
        let (_, by_key) = told(response).await;
        assert_eq!(
            by_key,
            json!({
                "success": true,
                "node": { "id": ada, "key": "ada", "labels": ["Person", "Poet"], "props": { "born": 1815 } },
                "outDegree": 3,
                "inDegree": 2
            })
        );
        assert_eq!(server.get(&format!("/api/graph/node?id={ada}")).await, (OK, by_key));
        let (_, mary) = server.get("/api/graph/node?key=mary&vectors=true").await;
        assert_eq!(mary["node"]["vectors"], json!({ "face": [0.5, 1.0] }));
        let response = server.ask(Method::GET, "/api/graph/node?key=nobody").send().await.unwrap();
        // It is not there in the state that is named.
        assert_eq!(response.headers()["kite-token"], db.last_commit_token().unwrap().full());
        let (status, body) = told(response).await;
        assert_eq!(
            (status, &body["success"], &body["code"]),
            (StatusCode::NOT_FOUND, &json!(false), &json!("NODE_NOT_FOUND"))
        );
        let (status, body) = server.get("/api/graph/node?id=18446744073709551615").await;
        assert_eq!((status, &body["code"]), (StatusCode::NOT_FOUND, &json!("NODE_NOT_FOUND")));
    }
}

#[tokio::test]
async fn nodes_come_by_pages() {
    let dir = tempfile::tempdir().unwrap();
    let (_db, servers) = both(&dir.path().join("p.kitedb")).await;
    servers[0].batch(people()).await;
    let keys =
        |nodes: &[Value]| nodes.iter().map(|node| node["key"].as_str().unwrap_or("-").to_owned()).collect::<Vec<_>>();
    for server in &servers {
        for limit in 1..6 {
            let all = server.pages(&format!("/api/graph/nodes?limit={limit}"), "nodes").await;
            assert_eq!(keys(&all), ["ada", "mary", "charles", "-"], "{limit}");
            let labelled = server.pages(&format!("/api/graph/nodes?label=Person&limit={limit}"), "nodes").await;
            assert_eq!(keys(&labelled), ["ada", "mary", "charles"], "{limit}");
        }
        let (_, all) = server.get("/api/graph/nodes?limit=0").await;
        assert_eq!(all["nodes"].as_array().unwrap().len(), 1, "a page holds at least one");
        let (_, page) = server.get("/api/graph/nodes?limit=99999999&props=false&vectors=true").await;
        assert_eq!(page["nodes"][3], json!({ "id": 4, "key": null, "labels": [], "vectors": {} }));
        assert_eq!((&page["next"], page["nodes"][0].get("props")), (&json!(null), None));
        assert_eq!(server.get("/api/graph/nodes?label=Nothing").await.1["nodes"], json!([]));
    }
}

#[tokio::test]
async fn a_cursor_is_for_the_question_that_it_answered() {
    let dir = tempfile::tempdir().unwrap();
    let (_db, servers) = both(&dir.path().join("p.kitedb")).await;
    servers[0].batch(people()).await;
    let next = async |route: &str| servers[1].get(route).await.1["next"].as_str().unwrap().to_owned();
    let all = next("/api/graph/nodes?limit=1").await;
    let labelled = next("/api/graph/nodes?label=Person&limit=1").await;
    let edges = next("/api/graph/neighbors?key=ada&limit=1").await;
    // The same in the other way that the database is served.
    assert_eq!(servers[0].get(&format!("/api/graph/nodes?limit=2&after={all}")).await.0, OK);
    for route in [
        format!("/api/graph/nodes?after={labelled}"),
        format!("/api/graph/nodes?label=Poet&after={labelled}"),
        format!("/api/graph/nodes?label=Person&after={all}"),
        format!("/api/graph/nodes?after={edges}"),
        format!("/api/graph/neighbors?key=mary&after={edges}"),
        format!("/api/graph/neighbors?key=ada&type=KNOWS&after={edges}"),
        format!("/api/graph/neighbors?key=ada&direction=both&after={edges}"),
        "/api/graph/nodes?after=".to_owned(),
        "/api/graph/nodes?after=AQ".to_owned(),
        "/api/graph/nodes?after=1".to_owned(),
        format!("/api/graph/nodes?after={all}A"),
        format!("/api/graph/nodes?after={}", &all[..all.len() - 1]),
    ] {
        let (status, body) = servers[0].get(&route).await;
        assert_eq!((status, &body["code"]), (StatusCode::BAD_REQUEST, &json!("INVALID_CURSOR")), "{route}: {body}");
    }
}

#[tokio::test]
async fn neighbours_come_by_pages_with_what_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (_db, servers) = both(&dir.path().join("p.kitedb")).await;
    servers[0].batch(people()).await;
    let told = |found: &[Value]| {
        let one = |n: &Value| {
            format!("{} {} {}", n["direction"].as_str().unwrap(), n["edge"]["type"].as_str().unwrap(), n["node"]["key"])
        };
        found.iter().map(one).collect::<Vec<_>>()
    };
    for server in &servers {
        for limit in 1..7 {
            let of = async |query: &str| {
                server.pages(&format!("/api/graph/neighbors?{query}&limit={limit}"), "neighbors").await
            };
            let (out, into) = (of("key=ada").await, of("id=1&direction=in").await);
            assert_eq!(told(&out), [r#"out KNOWS "ada""#, r#"out KNOWS "mary""#, r#"out KNOWS "mary""#]);
            assert_eq!(told(&into), [r#"in KNOWS "ada""#, r#"in KNOWS "charles""#]);
            assert_eq!(told(&of("key=ada&direction=both").await), [told(&out), told(&into)].concat(), "{limit}");
            assert_eq!(told(&of("key=charles&type=MADE").await), ["out MADE null"]);
            assert_eq!(of("key=charles&type=MAD").await, Vec::<Value>::new());
            let ranks: Vec<_> = out.iter().map(|found| found["edge"]["rank"].clone()).collect();
            assert!(ranks[1] == json!(0) && ranks[2] != json!(0), "{ranks:?}");
        }
        let (_, page) = server.get("/api/graph/neighbors?key=ada&edgeProps=true&nodeProps=true").await;
        let found = &page["neighbors"];
        assert_eq!(found[1]["edge"]["props"], json!({ "since": 1833 }));
        assert_eq!((&found[2]["edge"]["props"], &found[0]["node"]["props"]), (&json!({}), &json!({ "born": 1815 })));
        let (status, body) = server.get("/api/graph/neighbors?key=nobody").await;
        assert_eq!((status, &body["code"]), (StatusCode::NOT_FOUND, &json!("NODE_NOT_FOUND")));
    }
}

#[tokio::test]
async fn an_edge_is_found_by_its_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (_db, servers) = both(&dir.path().join("p.kitedb")).await;
    let (_, done) = servers[0].batch(people()).await;
    let second = &done["results"][5]["edge"];
    for server in &servers {
        let (status, body) = server.get("/api/graph/edge?srcKey=ada&type=KNOWS&dstKey=mary").await;
        let first = json!({ "src": 1, "type": "KNOWS", "dst": 2, "rank": 0, "props": { "since": 1833 } });
        assert_eq!((status, &body["edge"]), (OK, &first), "{body}");
        let (_, body) = server.get(&format!("/api/graph/edge?src=1&type=KNOWS&dst=2&rank={}", second["rank"])).await;
        assert_eq!((&body["edge"]["rank"], &body["edge"]["props"]), (&second["rank"], &json!({})), "{body}");
        for query in ["srcKey=mary&type=KNOWS&dstKey=ada", "src=1&type=KNEW&dst=2", "src=1&type=KNOWS&dst=2&rank=77"] {
            let (status, body) = server.get(&format!("/api/graph/edge?{query}")).await;
            assert_eq!((status, &body["code"]), (StatusCode::NOT_FOUND, &json!("EDGE_NOT_FOUND")), "{query}: {body}");
        }
        assert_eq!(server.get("/api/graph/edge?src=1&type=KNOWS&dst=99").await.1["code"], "NODE_NOT_FOUND");
    }
}

#[tokio::test]
async fn what_there_is_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (_db, servers) = both(&dir.path().join("p.kitedb")).await;
    servers[0].batch(people()).await;
    for server in &servers {
        let (status, body) = server.get("/api/graph/stats").await;
        assert_eq!(
            (status, body),
            (
                OK,
                json!({
                    "success": true, "nodes": 4, "edges": 5, "vectors": 1,
                    "labels": [{ "name": "Person", "count": 3 }, { "name": "Poet", "count": 1 }],
                    "edgeTypes": [{ "name": "KNOWS", "count": 4 }, { "name": "MADE", "count": 1 }],
                    "propertyKeys": ["born", "face", "weight", "since"]
                })
            )
        );
    }
}

#[tokio::test]
async fn a_parameter_that_cannot_be_read_or_is_none_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (_db, servers) = both(&dir.path().join("p.kitedb")).await;
    servers[0].batch(people()).await;
    for route in [
        "node",
        "node?key=ada&id=1",
        "node?id=one",
        "node?id=-1",
        "node?id=",
        "node?id=18446744073709551616",
        "node?key=ada&vectors=maybe",
        "node?key=%ff",
        "node?key=ada&key=mary",
        "nodes?lable=Person",
        "nodes?limit=-1",
        "nodes?limit=ten",
        "neighbors",
        "neighbors?key=ada&direction=up",
        "neighbors?key=ada&edgeprops=true",
        "edge?srcKey=ada&dstKey=mary",
        "edge?srcKey=ada&src=1&type=KNOWS&dstKey=mary",
        "edge?type=KNOWS&dstKey=mary",
        "stats?all=true",
    ] {
        let (status, body) = servers[0].get(&format!("/api/graph/{route}")).await;
        assert_eq!(
            (status, &body["success"], &body["code"]),
            (StatusCode::BAD_REQUEST, &json!(false), &json!("INVALID_ARGUMENT")),
            "{route}: {body}"
        );
    }
    assert_eq!(servers[0].get("/api/graph/nothing").await.0, StatusCode::NOT_FOUND);
    assert_eq!(servers[0].get("/api/graph/batch").await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(servers[0].post("/api/graph/node?key=ada").await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_page_that_is_large_in_bytes_ends_early() {
    let dir = tempfile::tempdir().unwrap();
    let (_db, servers) = both(&dir.path().join("p.kitedb")).await;
    let text = "x".repeat(1 << 20);
    for n in 0..12 {
        let mutations = json!([
            { "op": "upsertNode", "key": "hub" },
            { "op": "createNode", "as": "n", "props": { "n": n, "text": text } },
            { "op": "createEdge", "src": { "key": "hub" }, "type": "T", "dst": { "ref": "n" } }
        ]);
        assert_eq!(servers[0].batch(mutations).await.0, OK);
    }
    let of = |nodes: &[Value]| nodes.iter().filter_map(|node| node["props"]["n"].as_u64()).collect::<Vec<_>>();
    for (route, list) in [("nodes?props=true", "nodes"), ("neighbors?key=hub&nodeProps=true", "neighbors")] {
        let (_, first) = servers[0].get(&format!("/api/graph/{route}")).await;
        let held = first[list].as_array().unwrap().len();
        assert!((8..12).contains(&held) && first["next"].is_string(), "{held}");
        let all = servers[0].pages(&format!("/api/graph/{route}"), list).await;
        let nodes: Vec<_> = if list == "nodes" { all } else { all.iter().map(|found| found["node"].clone()).collect() };
        assert_eq!(of(&nodes), (0..12).collect::<Vec<_>>());
    }
}

/// How often this process has a file open.
fn opened(path: &Path) -> usize {
    let path = path.canonicalize().unwrap();
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    open.filter(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == path)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_writer_each_answer_shows_what_was_committed_before_it_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.kitedb");
    let (db, servers) = both(&path).await;
    let (beside, once) = (&servers[1], opened(&path));
    let counted = async || beside.get("/api/graph/stats").await.1["nodes"].as_u64().unwrap();
    for round in 1..=20 {
        commit(&db, 1);
        if round % 7 == 0 {
            db.checkpoint().unwrap();
        }
        let (a, b, c) = tokio::join!(counted(), counted(), counted());
        assert!([a, b, c] == [round; 3], "{a}, {b}, {c} after {round}");
    }
    let open = opened(&path);
    counted().await;
    counted().await;
    assert_eq!(opened(&path), open, "what shows everything is not opened anew");
    // Once nobody asks, nothing of it is held.
    while opened(&path) > once {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    commit(&db, 1);
    assert_eq!(counted().await, 21);
}
