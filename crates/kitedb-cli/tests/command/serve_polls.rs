//! `kitedb serve` while many wait for the next page of its log, and while more come than it has places for.

use crate::{
    serve::{Server, group},
    support::Folder,
};
use std::{
    collections::HashMap,
    fs,
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

const POLLS: usize = 20;

impl Server {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.url().strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        stream
    }

    /// Asks for what comes after all that is there, and waits for it as long as may be.
    fn poll(&self, cursor: &str) -> TcpStream {
        let mut stream = self.connect();
        let route = format!("/api/replication/log?cursor={cursor}&waitMs=30000");
        let head = format!("GET {route} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }

    /// How often each thread of the process has given the processor up to wait for something.
    fn waits(&self) -> HashMap<String, (String, u64)> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.id())).unwrap();
        let told = tasks.filter_map(|task| {
            let task = task.unwrap();
            // One that ends meanwhile has none.
            let status = fs::read_to_string(task.path().join("status")).ok()?;
            let field = |name: &str| Some(status.lines().find_map(|line| line.strip_prefix(name))?.trim().to_owned());
            let waits = field("voluntary_ctxt_switches:")?.parse().unwrap();
            Some((task.file_name().into_string().unwrap(), (field("Name:")?, waits)))
        });
        told.collect()
    }

    /// The threads that woke within a while of nothing, and how often.
    fn woken_within(&self, span: Duration) -> Vec<(String, u64)> {
        let before = self.waits();
        thread::sleep(span);
        let woken = self.waits().into_iter().map(|(id, (name, waits))| {
            let so_far = before.get(&id).map_or(0, |(_, waits)| *waits);
            (name, waits - so_far)
        });
        woken.filter(|(_, times)| *times > 0).collect()
    }
}

fn answer(mut stream: TcpStream) -> String {
    let mut told = String::new();
    stream.read_to_string(&mut told).unwrap();
    told
}

/// What comes once, such as the end of a thread that has had nothing to do for ten seconds, may come within a span; what comes again
/// and again comes within all of them.
#[test]
fn an_idle_server_with_idle_polls_does_not_wake() {
    let folder = group();
    let servers = [&["p.kitedb"][..], &["r.kitedb"], &["p.kitedb", "--lead"], &["r.kitedb", "--follow"]].map(|args| {
        let server = Server::start(&folder, args, &[]);
        let page = server.json(r#"curl -sS "$BASE/api/replication/log""#);
        (args, server, page["nextCursor"].as_str().unwrap().to_owned())
    });
    thread::scope(|scope| {
        for (args, server, cursor) in &servers {
            scope.spawn(move || {
                let polls: Vec<_> = (0..POLLS).map(|_| server.poll(cursor)).collect();
                let spans: Vec<_> = (0..3).map(|_| server.woken_within(Duration::from_secs(6))).collect();
                assert!(spans.iter().any(Vec::is_empty), "{args:?} wakes again and again: {spans:?}");
                // It was asked, and answers in the end.
                for poll in polls {
                    let told = answer(poll);
                    assert!(told.starts_with("HTTP/1.1 200") && told.contains(r#""frameCount":0"#), "{told}");
                }
            });
        }
    });
}

/// Where the limit on descriptors is low, connections do not take those that a request needs to open its database.
#[test]
fn more_than_there_are_places_for_wait_to_be_let_in_and_are_answered() {
    const DESCRIPTORS: usize = 600;
    let folder = group();
    let server = Server::with_descriptors(&folder, DESCRIPTORS, &["p.kitedb"]);
    // They say nothing, and are ended for that; then those come in who wait behind them.
    let silent: Vec<_> = (0..DESCRIPTORS / 3).map(|_| server.connect()).collect();
    let asked: Vec<_> = (0..DESCRIPTORS / 3).map(|_| server.poll("0:0")).collect();
    let told: Vec<_> = asked.into_iter().map(answer).collect();
    drop(silent);
    assert!(told.iter().all(|told| told.starts_with("HTTP/1.1 200")), "{told:?}");
    let (code, said) = server.end_and_tell();
    assert_eq!((code, said.as_str()), (Some(0), ""));
}
