//! What is written of requests.

use super::{
    server::{Server, TOKEN, by_token, primary},
    tokens::{hash_of, put},
};
use reqwest::Method;
use serde_json::json;
use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tracing_subscriber::{filter::Targets, fmt::MakeWriter, layer::SubscriberExt, registry, util::SubscriberInitExt};

/// What was written.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut *self.0.lock().unwrap(), bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Lines {
    /// Shows the access log of this process, the requests of other tests among them.
    fn shown() -> Self {
        let lines = Self::default();
        let filter: Targets = "kitedb::access=info".parse().unwrap();
        let layer = tracing_subscriber::fmt::layer().with_writer(lines.clone()).with_ansi(false);
        registry().with(layer).with(filter).init();
        lines
    }

    /// The only one that has this text in it.
    fn only(&self, text: &str) -> String {
        let all = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let found: Vec<&str> = all.lines().filter(|line| line.contains(text)).collect();
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        found[0].to_owned()
    }
}

#[tokio::test]
async fn each_request_is_told_of_by_name_and_without_what_it_shows() {
    let lines = Lines::shown();
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 1);
    let file = dir.path().join("tokens.json");
    put(
        &file,
        &json!({ "tokens": { hash_of("scrape-it"): { "name": "scraper", "scopes": ["metrics"] } } }).to_string(),
    );
    let server = Server::of(&db, by_token().tokens_file(file)).await;
    let asked = async |method: Method, path: &str, token: &str| {
        let request = server.ask_as_anybody(method, path).bearer_auth(token).header("x-note", "secret-note");
        request.send().await.unwrap().text().await.unwrap().len()
    };
    let length = asked(Method::GET, "/metrics?secret=query", "scrape-it").await;
    let line = lines.only(r#"who="scraper""#);
    for told in ["kitedb::access", r#"method="GET""#, r#"path="/metrics""#, "status=200", "peer=127.0.0.1:", "ms="] {
        assert!(line.contains(told), "{told}: {line}");
    }
    assert!(line.contains(&format!("bytes={length}")), "{line}");
    assert!(!line.contains("secret") && !line.contains("scrape-it"), "{line}");

    asked(Method::POST, "/of-the-admin", TOKEN).await;
    let line = lines.only("/of-the-admin");
    assert!(line.contains(r#"who="admin""#) && line.contains("status=404") && !line.contains(TOKEN), "{line}");
    // By hand, as a client would send other bytes in place of these.
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let sent = "GET /of-nobody/forged\u{9b}2J\u{85}\u{2028} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer secret\r\nConnection: close\r\n\r\n";
    stream.write_all(sent.as_bytes()).await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    let line = lines.only("/of-nobody/");
    assert!(line.contains("forged") && !line.contains("who=") && !line.contains("secret"), "{line}");
    assert!(!line.contains(['\u{9b}', '\u{85}', '\u{2028}']), "{line}");
}
