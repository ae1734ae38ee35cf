//! Clients that do not go on: with a request, or with taking its answer. What each of them may keep waiting is a place among
//! connections, and that for a while only.

use super::server::{at_any_port, by_token, primary};
use kitedb_http::{Served, Server};
use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

const PAUSE: Duration = Duration::from_millis(100);
/// Far longer than the server waits for anything.
const LONG: Duration = Duration::from_secs(180);

fn server() -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 1);
    let server = Server::start(Served::Held(db), &at_any_port(by_token())).unwrap();
    (dir, server)
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.url().strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

/// Somebody who asks as one should is answered.
fn require_served(server: &Server) {
    let mut stream = connect(server);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answered = String::new();
    stream.read_to_string(&mut answered).unwrap();
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
}

/// Sends `drip` again and again until the server has ended the connection.
fn drip_until_ended(stream: &mut TcpStream, drip: &[u8]) {
    let ended = (0..LONG.as_millis() / PAUSE.as_millis()).any(|_| {
        thread::sleep(PAUSE);
        stream.write_all(drip).is_err()
    });
    assert!(ended, "a connection was left open: {:?}", String::from_utf8_lossy(drip));
}

/// Runs each of these with a connection of its own, and asks as one should for as long as one of them runs.
fn while_others_are_served(server: &Server, slow: Vec<impl FnOnce(TcpStream) + Send>) {
    let left = AtomicUsize::new(slow.len());
    thread::scope(|scope| {
        for slow in slow {
            let (stream, left) = (connect(server), &left);
            scope.spawn(move || {
                // However it ends.
                let _ended = Ended(left);
                slow(stream);
            });
        }
        while left.load(Ordering::Relaxed) > 0 {
            require_served(server);
            thread::sleep(PAUSE);
        }
    });
}

struct Ended<'a>(&'a AtomicUsize);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn heads_that_never_end_keep_nobody_else_waiting() {
    let (_dir, server) = server();
    let kinds: [(&str, &[u8]); 4] = [
        ("", b"G"),
        ("GET /metrics HTTP/1.1\r\nHost: localhost\r\n", b"x"),
        ("GET /metrics HTTP/1.1\r\nHost: localhost\r\n", b"X-More: a\r\n"),
        // Answered, and then slow.
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"G"),
    ];
    let dripping = (0..40).map(|n| {
        let (sent, drip) = kinds[n % kinds.len()];
        move |mut stream: TcpStream| {
            stream.write_all(sent.as_bytes()).unwrap();
            drip_until_ended(&mut stream, drip);
        }
    });
    while_others_are_served(&server, dripping.collect());
    // And who says nothing at all.
    let silent = (0..40).map(|_| {
        |mut stream: TcpStream| {
            let read = stream.read(&mut [0]).map_err(|e| e.kind());
            assert!(matches!(read, Ok(0) | Err(ErrorKind::ConnectionReset)), "a connection was left open: {read:?}");
        }
    });
    while_others_are_served(&server, silent.collect());
}

#[test]
fn answers_that_nobody_takes_keep_nobody_else_waiting() {
    let (_dir, server) = server();
    // More than the buffers of a connection hold.
    let asked = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1000);
    let never = (0..10).map(|_| {
        |mut stream: TcpStream| {
            stream.write_all(asked.as_bytes()).unwrap();
            drip_until_ended(&mut stream, b"G");
        }
    });
    while_others_are_served(&server, never.collect());
}
