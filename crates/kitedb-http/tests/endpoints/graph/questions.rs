//! Questions of several hops, of a database that is open here and of a file.

use super::{OK, both};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// Roads of so many km.
fn roads() -> Value {
    let mut all: Vec<Value> =
        ["a", "b", "c", "d", "e"].iter().map(|key| json!({ "op": "createNode", "as": key, "key": key })).collect();
    for (src, dst, ty, km) in [
        ("a", "b", "ROAD", 4),
        ("b", "c", "ROAD", 4),
        ("a", "c", "ROAD", 10),
        ("c", "d", "ROAD", 1),
        ("a", "d", "FERRY", 20),
    ] {
        all.push(json!({ "op": "createEdge", "src": { "ref": src }, "type": ty, "dst": { "ref": dst }, "props": { "km": km } }));
    }
    json!(all)
}

fn keys(nodes: &Value) -> String {
    let keys = nodes.as_array().unwrap().iter().map(|node| node["key"].as_str().unwrap());
    keys.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn paths_are_the_shortest_the_lightest_or_the_best_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (_db, servers) = both(&dir.path().join("p.kitedb")).await;
    assert_eq!(servers[0].batch(roads()).await.0, OK);
    for server in &servers {
        for (question, expected) in [
            ("fromKey=a&toKey=d", vec![("a d", 1, json!(null))]),
            ("fromKey=a&toKey=d&type=ROAD", vec![("a c d", 2, json!(null))]),
            ("fromKey=a&toKey=d&weight=km", vec![("a b c d", 3, json!(9.0))]),
            (
                "fromKey=a&toKey=d&weight=km&k=9",
                vec![("a b c d", 3, json!(9.0)), ("a c d", 2, json!(11.0)), ("a d", 1, json!(20.0))],
            ),
            ("fromKey=d&toKey=a&direction=in&k=1", vec![("d a", 1, json!(null))]),
            ("fromKey=b&toKey=d&direction=both&type=ROAD", vec![("b c d", 2, json!(null))]),
            ("fromKey=d&toKey=a", vec![]),
            ("fromKey=a&toKey=e&type=NONE", vec![]),
        ] {
            let (status, body) = server.get(&format!("/api/graph/path?{question}")).await;
            assert_eq!(status, OK, "{question}: {body}");
            let found = body["paths"].as_array().unwrap().iter();
            let found: Vec<_> = found
                .map(|path| (keys(&path["nodes"]), path["hops"].as_u64().unwrap(), path["weight"].clone()))
                .collect();
            let expected: Vec<_> = expected.into_iter().map(|(keys, hops, km)| (keys.to_owned(), hops, km)).collect();
            assert_eq!(found, expected, "{question}");
        }
        let (_, body) = server.get("/api/graph/path?fromKey=b&toKey=d").await;
        let edge = &body["paths"][0]["edges"][1];
        assert_eq!(edge, &json!({ "src": 3, "type": "ROAD", "dst": 4, "rank": 0 }));
        for (question, status, code) in [
            ("fromKey=a&toKey=nobody", StatusCode::NOT_FOUND, "NODE_NOT_FOUND"),
            ("fromKey=a", StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
            ("fromKey=a&toKey=d&k=0", StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
            ("fromKey=a&toKey=d&missing=1", StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
            ("fromKey=a&toKey=d&weight=miles", StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
            ("fromKey=a&toKey=d&direction=up", StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
            ("fromKey=a&toKey=d&wieght=km", StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
        ] {
            let (found, body) = server.get(&format!("/api/graph/path?{question}")).await;
            assert_eq!((found, &body["code"]), (status, &json!(code)), "{question}: {body}");
        }
    }
}

#[tokio::test]
async fn what_is_reached_comes_nearest_first_and_says_whether_there_is_more() {
    let dir = tempfile::tempdir().unwrap();
    let (_db, servers) = both(&dir.path().join("p.kitedb")).await;
    assert_eq!(servers[0].batch(roads()).await.0, OK);
    for server in &servers {
        let ask = async |question: &str| server.get(&format!("/api/graph/reach?{question}")).await.1;
        let all = ask("key=a&type=ROAD").await;
        let found = all["nodes"].as_array().unwrap().iter();
        let mut found: Vec<_> =
            found.map(|found| (found["depth"].as_u64().unwrap(), found["node"]["key"].as_str().unwrap())).collect();
        assert!(found.is_sorted_by_key(|(depth, _)| *depth));
        found.sort();
        assert_eq!((found, &all["more"]), (vec![(1, "b"), (1, "c"), (2, "d")], &json!(false)));
        assert_eq!(ask("key=a&type=ROAD&limit=2").await["more"], true);
        assert_eq!(ask("key=a&type=ROAD&limit=3").await["more"], false);
        assert_eq!(ask("key=a&depth=0").await["nodes"], json!([]));
        assert_eq!(ask("key=d&direction=in&depth=1&type=FERRY").await["nodes"][0]["node"]["key"], "a");
        assert_eq!(ask("id=99").await["code"], "NODE_NOT_FOUND");
    }
}

/// A question that would take for ever ends by its clock, and keeps nobody else waiting.
#[tokio::test]
async fn a_question_that_takes_too_long_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let (_db, servers) = both(&dir.path().join("p.kitedb")).await;
    // From each of two in a row to each of the next two: 2 to the power of their number of paths, and none to where is asked.
    let mut all: Vec<Value> = vec![json!({ "op": "createNode", "as": "end", "key": "end" })];
    for row in 0..60 {
        for side in ["l", "r"] {
            all.push(json!({ "op": "createNode", "as": format!("{side}{row}"), "key": format!("{side}{row}") }));
        }
    }
    for row in 0..59 {
        for (from, to) in [("l", "l"), ("l", "r"), ("r", "l"), ("r", "r")] {
            let [src, dst] = [format!("{from}{row}"), format!("{to}{}", row + 1)];
            all.push(json!({ "op": "createEdge", "src": { "ref": src }, "type": "E", "dst": { "ref": dst } }));
        }
    }
    assert_eq!(servers[0].batch(json!(all)).await.0, OK);
    for server in &servers {
        let (status, body) = server.get("/api/graph/path?fromKey=l0&toKey=l59&k=100&timeoutMs=1").await;
        assert_eq!((status, &body["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("TIME_LIMIT")), "{body}");
        let (status, body) = server.get("/api/graph/path?fromKey=l0&toKey=end").await;
        assert_eq!((status, &body["paths"]), (OK, &json!([])));
    }
}
