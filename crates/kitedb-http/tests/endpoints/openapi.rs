//! The description of what is served, against the file that is checked in and against what is answered.

use super::{
    replicas::replica,
    server::{Server, by_token, commit, primary, told},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::{env, fs, path::Path};

/// Objects that have more members than are described.
const OPEN: [&str; 4] = ["Problem", "PrimaryStatus", "ReplicaStatus", "TransportLogAnswer"];

async fn document(server: &Server) -> Value {
    let response = server.ask_as_anybody(Method::GET, "/openapi.json").send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    told(response).await.1
}

#[tokio::test]
async fn the_document_that_is_checked_in_is_the_one_that_is_served() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let dir = tempfile::tempdir().unwrap();
    let server = Server::of(&primary(&dir.path().join("p.kitedb"), 0), by_token()).await;
    let served = server.ask_as_anybody(Method::GET, "/openapi.json").send().await.unwrap().text().await.unwrap();
    if env::var_os("KITEDB_RENEW").is_some() {
        fs::write(&file, &served).unwrap();
    }
    assert!(
        fs::read_to_string(&file).unwrap_or_default() == served,
        "docs/openapi.json is not what is served: KITEDB_RENEW=1 cargo test -p kitedb-http --test endpoints openapi"
    );
}

/// Fails with what is wrong, and where, if `value` is not as `schema` says.
fn require(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{at} {what}: {value}"));
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.strip_prefix("#/components/schemas/").unwrap();
        let named = &document["components"]["schemas"][name];
        assert!(named.is_object(), "{name} is not described");
        return require(document, named, value, &format!("{at} ({name})"));
    }
    for (members, all) in [("oneOf", false), ("anyOf", false), ("allOf", true)] {
        if let Some(schemas) = schema[members].as_array() {
            // Those who are put together have the members of each other.
            if all {
                let mut together = json!({ "type": "object", "properties": {}, "required": [] });
                for part in schemas {
                    let part = match part["$ref"].as_str() {
                        Some(name) => &document["components"]["schemas"][name.rsplit('/').next().unwrap()],
                        None => part,
                    };
                    let properties = part["properties"].as_object().unwrap().clone();
                    together["properties"].as_object_mut().unwrap().extend(properties);
                    let required = part["required"].as_array().cloned().unwrap_or_default();
                    together["required"].as_array_mut().unwrap().extend(required);
                }
                return require(document, &together, value, at);
            }
            let fits = schemas.iter().any(|schema| require(document, schema, value, at).is_ok());
            return if fits { Ok(()) } else { wrong("is none of those") };
        }
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(some) => some.iter().map(|one| one.as_str().unwrap()).collect(),
        _ => return Ok(()),
    };
    let is = |ty: &&str| match *ty {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    if !types.iter().any(is) {
        return wrong(&format!("is no {types:?}"));
    }
    for (nth, item) in value.as_array().into_iter().flatten().enumerate() {
        require(document, &schema["items"], item, &format!("{at}[{nth}]"))?;
    }
    let Some(members) = value.as_object() else { return Ok(()) };
    for required in schema["required"].as_array().into_iter().flatten() {
        if !members.contains_key(required.as_str().unwrap()) {
            return wrong(&format!("lacks {required}"));
        }
    }
    let open = OPEN.iter().any(|name| at.ends_with(&format!("({name})")));
    for (name, member) in members {
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(described), _) => require(document, described, member, &format!("{at}.{name}"))?,
            (None, Value::Object(_)) => {
                require(document, &schema["additionalProperties"], member, &format!("{at}.{name}"))?;
            }
            (None, _) if open => {}
            (None, _) => return wrong(&format!("has {name}, which is not described")),
        }
    }
    Ok(())
}

async fn answers_as_described(server: &Server, document: &Value, method: Method, route: &str, body: Option<Value>) {
    let path = route.split('?').next().unwrap();
    let described = &document["paths"][path][method.as_str().to_lowercase()]["responses"];
    let mut asked = server.ask(method, route);
    if let Some(body) = body {
        asked = asked.json(&body);
    }
    let (status, answer) = told(asked.send().await.unwrap()).await;
    let described = match &described[status.as_str()] {
        Value::Null => &described[format!("{}XX", status.as_u16() / 100)],
        described => described,
    };
    let schema = &described["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "{route}: {status} is not described: {answer}");
    require(document, schema, &answer, route).unwrap();
}

#[tokio::test]
async fn what_is_answered_is_as_it_is_described() {
    let dir = tempfile::tempdir().unwrap();
    let (source, copy) = (dir.path().join("p.kitedb"), dir.path().join("r.kitedb"));
    let db = primary(&source, 1);
    let follows = replica(&copy, &source);
    follows.replica_bootstrap_from_snapshot().unwrap();
    let (leads, copies) = (Server::of(&db, by_token()).await, Server::of(&follows, by_token()).await);
    let document = document(&leads).await;
    let mutations = json!({ "mutations": [
        { "op": "createNode", "as": "a", "key": "ada", "labels": ["Person"], "props": { "v": [1, { "$integer": "9007199254740993" }] }, "vectors": { "v": [1.0] } },
        { "op": "upsertEdge", "src": { "ref": "a" }, "type": "T", "dst": { "ref": "a" }, "props": { "p": null } }
    ] });
    let (get, post) = (Method::GET, Method::POST);
    answers_as_described(&leads, &document, post.clone(), "/api/graph/batch", Some(mutations)).await;
    for route in [
        "graph/node?key=ada&vectors=true",
        "graph/node?key=nobody",
        "graph/nodes?limit=1",
        "graph/nodes?label=Person&vectors=true",
        "graph/neighbors?key=ada&direction=both&edgeProps=true&nodeProps=true",
        "graph/edge?srcKey=ada&type=T&dstKey=ada",
        "graph/path?fromKey=ada&toKey=ada&weight=w&missing=1&k=2",
        "graph/path?fromKey=ada&toKey=nobody",
        "graph/reach?key=ada&nodeProps=true",
        "graph/stats",
        "replication/status",
        "replication/snapshot/latest?includeData=true",
        "replication/snapshot/latest",
        "replication/log?maxFrames=1",
        "replication/log?cursor=x",
        "replication/transport/snapshot",
        "replication/transport/log",
    ] {
        answers_as_described(&leads, &document, get.clone(), &format!("/api/{route}"), None).await;
    }
    for route in ["/healthz", "/readyz"] {
        answers_as_described(&leads, &document, get.clone(), route, None).await;
        answers_as_described(&copies, &document, get.clone(), route, None).await;
    }
    commit(&db, 1);
    answers_as_described(&copies, &document, get.clone(), "/api/replication/status", None).await;
    for route in ["pull", "reseed", "promote"] {
        answers_as_described(&copies, &document, post.clone(), &format!("/api/replication/{route}"), None).await;
        answers_as_described(&leads, &document, post.clone(), &format!("/api/replication/{route}"), None).await;
    }
}

/// Every route that is described is one, and asks who asks but for those that are open.
#[tokio::test]
async fn every_route_that_is_described_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::of(&primary(&dir.path().join("p.kitedb"), 0), by_token()).await;
    let document = document(&server).await;
    let mut seen = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let status = told(server.ask_as_anybody(method, path).send().await.unwrap()).await.0;
            let open = ["/api/replication/status", "/healthz", "/readyz"].contains(&path.as_str());
            assert_eq!(status, if open { StatusCode::OK } else { StatusCode::UNAUTHORIZED }, "{path}");
            seen += 1;
        }
    }
    assert_eq!(seen, 20);
}

/// A client that is made from the description says what the server reads.
#[tokio::test]
async fn every_member_of_a_mutation_that_is_described_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::of(&primary(&dir.path().join("p.kitedb"), 0), by_token()).await;
    let document = document(&server).await;
    let mut seen = 0;
    let mutation = &document["components"]["schemas"]["Mutation"];
    assert_eq!(mutation["discriminator"]["propertyName"], "op");
    for variant in mutation["oneOf"].as_array().unwrap() {
        // Each has a name, by which a program that writes clients calls its type.
        let named = variant["$ref"].as_str().unwrap();
        let variant = document.pointer(named.trim_start_matches('#')).unwrap();
        let op = &variant["properties"]["op"]["enum"][0];
        assert_eq!(mutation["discriminator"]["mapping"][op.as_str().unwrap()], named);
        for (name, _) in variant["properties"].as_object().unwrap().iter().filter(|(name, _)| *name != "op") {
            let body = json!({ "mutations": [{ "op": "createNode" }, { "op": op, name: 0.5 }] });
            let asked = server.ask(Method::POST, "/api/graph/batch").json(&body);
            let (status, told) = told(asked.send().await.unwrap()).await;
            let error = told["error"].as_str().unwrap();
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {error}");
            assert!(error.contains("mutations[1]") && !error.contains("unknown field"), "{body}: {error}");
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
}
