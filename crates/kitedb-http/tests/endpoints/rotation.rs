//! Credentials that are changed while clients keep asking.

use super::{
    certificates::{Authority, Pair},
    server::{self, TOKEN, commit, primary, told},
    tls::{client_of, options, stage},
    tokens::{put, tokens_file},
};
use kitedb_http::AuthOptions;
use kitedb_http::{Served, Server};
use reqwest::{Client, Method, StatusCode};
use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::task::JoinHandle;

/// A client that connects for each request.
fn anew(servers: &[&Authority], pair: Option<&Pair>) -> Client {
    client_of(servers, pair).pool_max_idle_per_host(0).build().unwrap()
}

/// Asks `url` as the bearer of `token`.
async fn status(client: &Client, url: &str, token: &str) -> Option<StatusCode> {
    client.get(url).bearer_auth(token).send().await.ok().map(|answer| answer.status())
}

/// Whether it is not admitted; who waits for a token to count has tried it often.
async fn is_refused(client: &Client, url: &str, token: &str) -> bool {
    let status = status(client, url, token).await;
    status == Some(StatusCode::UNAUTHORIZED) || status == Some(StatusCode::TOO_MANY_REQUESTS)
}

/// Asks until it is answered so; whether it ever is.
async fn comes_to(client: &Client, url: &str, token: &str, wanted: StatusCode) -> bool {
    for _ in 0..1200 {
        if status(client, url, token).await == Some(wanted) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

/// Somebody who keeps asking, and must never be refused.
struct Asker {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    task: JoinHandle<Vec<Option<StatusCode>>>,
}

impl Asker {
    fn start(client: Client, url: String, token: &'static str) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, counted) = (stop.clone(), asked.clone());
        let task = tokio::spawn(async move {
            let mut refused = Vec::new();
            while !stopped.load(SeqCst) {
                let status = status(&client, &url, token).await;
                counted.fetch_add(1, SeqCst);
                if status != Some(StatusCode::OK) {
                    refused.push(status);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            refused
        });
        Self { stop, asked, task }
    }

    async fn end(self) {
        self.stop.store(true, SeqCst);
        assert_eq!(self.task.await.unwrap(), []);
        assert!(self.asked.load(SeqCst) > 0);
    }
}

#[tokio::test]
async fn tokens_change_while_clients_keep_asking() {
    let (dir, db, servers, _) = stage();
    let file = tokens_file(dir.path(), &["metrics"]);
    let admin = dir.path().join("admin.token");
    put(&admin, &format!("{TOKEN}\n"));
    let more = [
        ("REPLICATION_ADMIN_AUTH_MODE", "token"),
        ("KITEDB_TOKENS_FILE", file.to_str().unwrap()),
        ("REPLICATION_ADMIN_TOKEN_FILE", admin.to_str().unwrap()),
        ("REPLICATION_MTLS_NATIVE_TLS", "false"),
        ("PLAYGROUND_TLS_REQUEST_CERT", "false"),
    ];
    let server = Server::start(Served::Held(db), &options(dir.path(), &more)).unwrap();
    let url = format!("{}/metrics", server.url());
    let client = anew(&[&servers], None);
    let stays = Asker::start(client.clone(), url.clone(), "metrics");
    assert!(is_refused(&client, &url, "admin").await);

    tokens_file(dir.path(), &["metrics", "admin"]);
    assert!(comes_to(&client, &url, "admin", StatusCode::OK).await);
    // What is broken, or gone, changes nothing. Another file that changes tells that it was looked at since.
    for breaks in [Some("{"), Some(r#"{"tokens":{"secret":1}}"#), None] {
        match breaks {
            Some(content) => put(&file, content),
            None => fs::remove_file(&file).unwrap(),
        }
        put(&admin, "another");
        assert!(comes_to(&client, &url, "another", StatusCode::OK).await);
        assert!(is_refused(&client, &url, TOKEN).await);
        put(&admin, TOKEN);
        assert!(comes_to(&client, &url, TOKEN, StatusCode::OK).await);
        assert_eq!(status(&client, &url, "admin").await, Some(StatusCode::OK), "{breaks:?}");
    }
    tokens_file(dir.path(), &["metrics"]);
    // It is refused at first, and then as one of too many that were.
    assert!(comes_to(&client, &url, "admin", StatusCode::TOO_MANY_REQUESTS).await);
    stays.end().await;
}

#[tokio::test]
async fn certificates_change_while_clients_keep_asking() {
    let (dir, db, servers, clients) = stage();
    let server = Server::start(Served::Held(db), &options(dir.path(), &[])).unwrap();
    let url = format!("{}/metrics", server.url());
    let (other_servers, other_clients) = (Authority::new("other servers"), Authority::new("other clients"));
    let both = [&servers, &other_servers];
    let (old, new) = (clients.client("old"), other_clients.client("new"));
    let stays = Asker::start(anew(&both, Some(&old)), url.clone(), "");
    // One connection, that was there before.
    let kept = client_of(&[&servers], Some(&old)).build().unwrap();
    assert_eq!(status(&kept, &url, "").await, Some(StatusCode::OK));
    assert_eq!(status(&anew(&both, Some(&new)), &url, "").await, None);

    put(&dir.path().join("clients.pem"), &format!("{}{}", clients.pem, other_clients.pem));
    // The certificate comes before its key: what does not belong together is not served.
    let pair = other_servers.server();
    put(&dir.path().join("server.pem"), &pair.cert);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    put(&dir.path().join("server.key"), &pair.key);
    assert!(comes_to(&anew(&[&other_servers], Some(&new)), &url, "", StatusCode::OK).await);
    // Who trusts the old one only is shown the other one; who was connected goes on.
    assert_eq!(status(&anew(&[&servers], Some(&old)), &url, "").await, None);
    assert_eq!(status(&kept, &url, "").await, Some(StatusCode::OK));
    stays.end().await;
}

#[tokio::test]
async fn whose_certificate_was_taken_out_of_the_file_is_refused_on_the_connection_that_he_has() {
    let (dir, db, servers, clients) = stage();
    let file = tokens_file(dir.path(), &["metrics", "follow"]);
    let more = [("KITEDB_TOKENS_FILE", file.to_str().unwrap()), ("REPLICATION_ADMIN_AUTH_MODE", "token_and_mtls")];
    let server = Server::start(Served::Held(db), &options(dir.path(), &more)).unwrap();
    let url = format!("{}/metrics", server.url());
    let kept = client_of(&[&servers], Some(&clients.client("metrics"))).build().unwrap();
    assert_eq!(status(&kept, &url, "metrics").await, Some(StatusCode::OK));
    // Both are admitted, and have no scope in common.
    assert_eq!(status(&kept, &url, "follow").await, Some(StatusCode::FORBIDDEN));
    tokens_file(dir.path(), &["follow"]);
    assert!(comes_to(&kept, &url, "metrics", StatusCode::UNAUTHORIZED).await);
    // In the handshake its certificate is as good as before.
    let anew = anew(&[&servers], Some(&clients.client("metrics")));
    assert_eq!(status(&anew, &url, "follow").await, Some(StatusCode::UNAUTHORIZED));
    tokens_file(dir.path(), &["metrics", "follow"]);
    assert!(comes_to(&kept, &url, "metrics", StatusCode::OK).await);
}

#[tokio::test]
async fn who_waits_is_not_answered_once_his_token_was_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.kitedb");
    let db = primary(&path, 2);
    let file = tokens_file(dir.path(), &["read", "write", "follow", "admin"]);
    let auth = AuthOptions::new().tokens_file(&file);
    for server in [server::Server::of(&db, auth.clone()).await, server::Server::beside(&path, auth.clone()).await] {
        tokens_file(dir.path(), &["read", "write", "follow", "admin"]);
        let head = db.last_commit_token().unwrap().log_index.0;
        let wait = format!("1:{}; timeout=30000", head + 1);
        let waits = |method: Method, route: &str, token: &str| {
            let asked = server.ask_as_anybody(method, route).bearer_auth(token).header("kite-wait-token", &wait);
            let asked =
                if route.ends_with("batch") { asked.body(r#"{"mutations":[{"op":"createNode"}]}"#) } else { asked };
            tokio::spawn(async move { told(asked.send().await.unwrap()).await.0 })
        };
        let log = format!("/api/replication/log?waitMs=30000&cursor=1:{head}");
        let (stats, batch) = ("/api/graph/stats", "/api/graph/batch");
        let refused = [
            waits(Method::GET, stats, "read"),
            waits(Method::POST, batch, "write"),
            waits(Method::GET, &log, "follow"),
        ];
        let admitted = [waits(Method::GET, stats, "admin"), waits(Method::GET, &log, "admin")];
        // Each has been admitted; none of them has come to its end by itself.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(refused.iter().chain(&admitted).all(|waiter| !waiter.is_finished()));
        tokens_file(dir.path(), &["admin"]);
        let asks = || server.ask_as_anybody(Method::GET, stats).bearer_auth("read").send();
        while asks().await.unwrap().status() == StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        commit(&db, 1);
        for waiter in refused {
            assert_eq!(waiter.await.unwrap(), StatusCode::UNAUTHORIZED);
        }
        for waiter in admitted {
            assert_eq!(waiter.await.unwrap(), StatusCode::OK);
        }
        assert_eq!(db.last_commit_token().unwrap().log_index.0, head + 1, "who was refused has written nothing");
    }
}
