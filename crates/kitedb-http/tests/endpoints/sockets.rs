//! Several databases in one server, and a socket in the file system.

use super::server::{Server, at_any_port, by_token, primary};
use kitedb_core::OpenOptions;
use kitedb_http::{ServeOptions, Served};
use reqwest::StatusCode;
use serde_json::json;
use std::{
    fs,
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixListener, net::UnixStream},
    path::Path,
};

fn beside(path: &Path) -> Served {
    Served::Beside(path.to_owned(), Box::new(OpenOptions::new()))
}

#[tokio::test]
async fn several_databases_are_each_at_their_name() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one.kitedb"), dir.path().join("two.kitedb"));
    let dbs = [primary(&one, 1), primary(&two, 2)];
    let named = |names: [&str; 2]| vec![(names[0].to_owned(), beside(&one)), (names[1].to_owned(), beside(&two))];
    let options = at_any_port(by_token());
    let served = kitedb_http::Server::start_several(named(["one", "zwei {2}"]), &options).unwrap();
    let server = Server::at(served.url());
    for (name, head) in [("one", 1), ("zwei%20%7B2%7D", 2)] {
        let (status, body) = server.get(&format!("/db/{name}/api/replication/status")).await;
        assert_eq!((status, &body["primary"]["headLogIndex"]), (StatusCode::OK, &json!(head)), "{body}");
    }
    for gone in ["/api/replication/status", "/db/three/api/replication/status", "/db/one/api/replication/none"] {
        let (status, body) = server.get(gone).await;
        assert_eq!((status, &body["success"]), (StatusCode::NOT_FOUND, &json!(false)), "{gone}");
    }
    // One token for all, and none is as good as a wrong one.
    let (status, body) = super::server::told(
        server.ask_as_anybody(reqwest::Method::GET, "/db/one/api/replication/log").send().await.unwrap(),
    )
    .await;
    assert_eq!((status, &body["code"]), (StatusCode::UNAUTHORIZED, &json!("UNAUTHORIZED")));
    // All of them in one text, each family once; nobody sees it who may not.
    let metrics = async || {
        let answer = server.ask(reqwest::Method::GET, "/metrics").send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    let (status, text) = metrics().await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let lines = |begin: &str| text.lines().filter(|line| line.starts_with(begin)).count();
    assert_eq!(lines("# TYPE kitedb_replication_primary_head_log_index "), 1, "{text}");
    for (name, head) in [("one", 1), ("two", 2)] {
        let line = |line: &&str| {
            line.starts_with("kitedb_replication_primary_head_log_index{")
                && line.contains(&format!("database=\"{name}.kitedb\"}} {head}"))
        };
        assert_eq!(text.lines().filter(line).count(), 1, "{name}: {text}");
    }
    let refused = server.ask_as_anybody(reqwest::Method::GET, "/metrics").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(server.get("/readyz").await, (StatusCode::OK, json!({ "ready": true, "databases": 2, "notReady": 0 })));
    for db in dbs {
        db.close().unwrap();
    }
    fs::rename(&two, dir.path().join("elsewhere")).unwrap();
    assert_eq!(
        server.get("/readyz").await,
        (StatusCode::SERVICE_UNAVAILABLE, json!({ "ready": false, "databases": 2, "notReady": 1 }))
    );
    assert_ne!(metrics().await.0, StatusCode::OK, "one that is not there is not left out in silence");
    for names in [["one", "one"], ["", "two"], ["..", "two"]] {
        assert!(kitedb_http::Server::start_several(named(names), &options).is_err(), "{names:?}");
    }
}

/// What a request over a socket in the file system is answered.
fn asked(path: &Path, route: &str) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    // By whatever name: no page of a browser gets here.
    write!(stream, "GET {route} HTTP/1.1\r\nHost: kitedb\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn at_socket(path: &Path) -> ServeOptions {
    let mut options = ServeOptions::default();
    options.socket = Some(path.to_owned());
    options
}

#[test]
fn a_socket_is_for_this_account_and_goes_with_its_server() {
    let dir = tempfile::tempdir().unwrap();
    let (file, socket) = (dir.path().join("p.kitedb"), dir.path().join("kitedb.sock"));
    let db = primary(&file, 3);
    let start = || kitedb_http::Server::start(Served::Held(db.clone()), &at_socket(&socket));
    let server = start().unwrap();
    assert_eq!(server.url(), format!("unix:{}", socket.display()));
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(asked(&socket, "/api/replication/status").contains("\"headLogIndex\":3"));
    // Who listens there already stays.
    assert!(start().unwrap_err().to_string().contains("another process listens there"));
    server.stop();
    assert!(!socket.exists());

    // What a process that was killed left is replaced, and nothing else is.
    drop(UnixListener::bind(&socket).unwrap());
    let server = start().unwrap();
    assert!(asked(&socket, "/readyz").contains("\"ready\":true"));
    // Another one took the name: it is not this server's to take away.
    fs::remove_file(&socket).unwrap();
    let other = UnixListener::bind(&socket).unwrap();
    server.stop();
    assert!(socket.exists());
    drop(other);
    fs::remove_file(&socket).unwrap();
    fs::write(&socket, "a file").unwrap();
    assert!(start().unwrap_err().to_string().contains("no socket"));
    assert_eq!(fs::read_to_string(&socket).unwrap(), "a file");
    // The folder of a log is that log's alone.
    let inside = dir.path().join("p.kitedb.replication/kitedb.sock");
    let refused = kitedb_http::Server::start(Served::Held(db.clone()), &at_socket(&inside)).unwrap_err();
    assert!(refused.to_string().contains("is the folder of a log"), "{refused}");
    assert!(!inside.exists());
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("kitedb.sock.")), "{left:?}");
}
