//! What is sent by hand over a socket, to be read by the server otherwise than by a proxy before it.

use super::server::{TOKEN, by_token, primary};
use kitedb_http::{ServeOptions, Served, Server};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

/// A request that would be answered if it were read as one.
const SMUGGLED: &str = "GET /api/replication/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

fn server() -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 1);
    let mut options = ServeOptions::default();
    (options.port, options.auth) = (0, by_token());
    let server = Server::start(Served::Held(db), &options).unwrap();
    (dir, server)
}

/// The status of every answer, until the server ends the connection.
fn answers(server: &Server, sent: &[u8]) -> Vec<u16> {
    let mut stream = TcpStream::connect(server.url().strip_prefix("http://").unwrap()).unwrap();
    // Longer than the server waits for the rest of a request, so that a connection that is left open fails the test.
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // The server may end the connection before all is sent.
    let _ = stream.write_all(sent);
    let mut answered = Vec::new();
    let ended = stream.read_to_end(&mut answered);
    assert!(ended.is_ok() || !answered.is_empty(), "{ended:?}");
    let answered = String::from_utf8(answered).unwrap();
    let statuses = answered.lines().filter_map(|line| line.split_once("HTTP/1.1 ").map(|(_, rest)| rest));
    statuses.map(|rest| rest[..3].parse().unwrap()).collect()
}

#[test]
fn nothing_is_read_after_a_body_whose_length_is_told_in_two_ways() {
    let (_dir, server) = server();
    let length = SMUGGLED.len() + 5;
    for (lengths, expected) in [
        (format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"), 409),
        (format!("Transfer-Encoding: chunked\r\nContent-Length: {length}"), 409),
        ("Content-Length: 0\r\nTransfer-Encoding: chunked".to_owned(), 409),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked".to_owned(), 409),
        ("Transfer-Encoding:\tchunked".to_owned(), 409),
        ("Transfer-Encoding: CHUNKED".to_owned(), 409),
        ("Transfer-Encoding: xchunked".to_owned(), 400),
        ("Transfer-Encoding: chunked, identity".to_owned(), 400),
        ("Transfer-Encoding: identity".to_owned(), 400),
        ("Transfer-Encoding : chunked".to_owned(), 400),
        (format!("Content-Length: 0\r\nContent-Length: {length}"), 400),
        (format!("Content-Length: {length}\r\nContent-Length: 0"), 400),
        ("Content-Length: 0, 5".to_owned(), 400),
        ("Content-Length: +0".to_owned(), 400),
        ("Content-Length: 0x0".to_owned(), 400),
        ("Content-Length: -1".to_owned(), 400),
    ] {
        let head = format!(
            "POST /api/replication/pull HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n{lengths}"
        );
        let sent = format!("{head}\r\n\r\n0\r\n\r\n{SMUGGLED}");
        assert_eq!(answers(&server, sent.as_bytes()), [expected], "{lengths}");
    }
    // As it is meant, both are answered.
    let head = format!("POST /api/replication/pull HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}");
    let sent = format!("{head}\r\nContent-Length: 2\r\n\r\n{{}}{SMUGGLED}");
    assert_eq!(answers(&server, sent.as_bytes()), [409, 200]);
}

#[test]
fn a_head_that_can_be_read_in_two_ways_is_refused() {
    let (_dir, server) = server();
    for (line, expected) in [
        // A line that goes on in the next one.
        (format!("X-Note: a\r\n Authorization: Bearer {TOKEN}"), 400),
        (format!("X-Note: a\r\n\tAuthorization: Bearer {TOKEN}"), 400),
        (format!("Authorization: Bearer\r\n {TOKEN}"), 400),
        (format!("Authorization : Bearer {TOKEN}"), 400),
        (format!("X-Note: a\rAuthorization: Bearer {TOKEN}"), 400),
        (format!("X-Note: a\0\r\nAuthorization: Bearer {TOKEN}"), 400),
        (format!("X-Note\r\nAuthorization: Bearer {TOKEN}"), 400),
        (format!("Authorization: Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}"), 401),
        (format!("Authorization: Bearer {TOKEN}\r\nauthorization: Basic x"), 401),
        (format!("Authorization: Bearer {TOKEN}, Bearer {TOKEN}"), 401),
        (format!("Authorization: Bearer {TOKEN}"), 200),
    ] {
        let sent = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{line}\r\n\r\n");
        assert_eq!(answers(&server, sent.as_bytes()), [expected], "{line}");
    }
}

/// A bare LF ends a line, as RFC 9112 lets a server read it. What comes after one is asked for its own credential.
#[test]
fn a_bare_line_feed_carries_nobodys_credential_into_another_request() {
    let (_dir, server) = server();
    let asked = "GET /metrics HTTP/1.1\nHost: localhost\n";
    let with = format!("Authorization: Bearer {TOKEN}\n");
    let sent = format!("{asked}{with}\n{asked}Connection: close\n\n");
    assert_eq!(answers(&server, sent.as_bytes()), [200, 401]);
    let sent = format!("{asked}X-Note: a\nContent-Length: 0\nConnection: close\n\n{asked}{with}\n");
    assert_eq!(answers(&server, sent.as_bytes()), [401]);
}

#[test]
fn a_head_beyond_its_bounds_is_refused() {
    let (_dir, server) = server();
    let long = "a".repeat(256 << 10);
    let many: String = (0..200).map(|n| format!("X-{n}: a\r\n")).collect();
    for (head, expected) in [
        (format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {long}\r\n\r\n"), 431),
        (format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-Client-Cert: {long}\r\n\r\n"), 431),
        (format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"), 431),
        (format!("GET /metrics?{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"), 431),
        ("GET /metrics HTTP/9.9\r\nHost: localhost\r\n\r\n".to_owned(), 400),
        ("\u{16}\u{3}\u{1}\r\n\r\n".to_owned(), 400),
    ] {
        let shown = head.chars().take(80).collect::<String>();
        assert_eq!(answers(&server, head.as_bytes()), [expected], "{shown}");
    }
}
