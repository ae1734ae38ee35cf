//! `kitedb serve` while many wait for the next page of its log, and while more come than it has places for.

use crate::serve::{Server, group};
use std::{
    collections::HashMap,
    fs,
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

const POLLS: usize = 20;
/// Threads of a server that nobody asks anything, of which each poll adds none.
const AT_REST: usize = 10;
/// And of one that answers as many as it does at once.
const AT_WORK: usize = AT_REST + 80;

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

    /// Memory that is the process's alone, in KiB.
    fn own_memory(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
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
    let servers = [&["p.kitedb"][..], &["p.kitedb", "--lead"], &["r.kitedb"], &["r.kitedb", "--follow"]]
        .map(|args| (args, Server::start(&folder, args, &[])));
    thread::scope(|scope| {
        for (args, server) in &servers {
            scope.spawn(move || {
                let page = server.json(r#"curl -sS "$BASE/api/replication/log""#);
                // Only of a primary there are pages.
                let cursor = page["nextCursor"].as_str();
                let polls: Vec<_> = cursor.iter().flat_map(|cursor| (0..POLLS).map(|_| server.poll(cursor))).collect();
                assert_eq!(polls.is_empty(), args[0] == "r.kitedb", "{args:?}: {page}");
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

/// `KITEDB_POLLS` at once, again and again. What the allocator keeps for the next time grows at first.
#[test]
fn polls_that_come_again_and_again_cost_memory_and_threads_once() {
    let polls: usize = std::env::var("KITEDB_POLLS").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let folder = group();
    let server = Server::start(&folder, &["p.kitedb"], &[]);
    let rounds: Vec<_> = (0..6)
        .map(|round| {
            let page = server.json(r#"curl -sS "$BASE/api/replication/log""#);
            let cursor = page["nextCursor"].as_str().unwrap();
            let mut waiting = Vec::new();
            // As many as calls may run at once come together.
            for few in (0..polls).collect::<Vec<_>>().chunks(32) {
                waiting.extend(few.iter().map(|_| server.poll(cursor)));
                thread::sleep(Duration::from_millis(100));
            }
            let memory = server.own_memory();
            folder.file("more.txt", format!("ada n{round} KNOWS\n"));
            folder.run(&["import", "p.kitedb", "more.txt"]).ok();
            for poll in waiting {
                let told = answer(poll);
                assert!(told.starts_with("HTTP/1.1 200"), "{told}");
            }
            (memory, server.waits().len())
        })
        .collect();
    println!("KiB while {polls} polls wait, and threads once all are answered: {rounds:?}");
    // One commit wakes them all, and is read for all of them by as many threads as there are calls at once.
    assert!(rounds.iter().all(|(_, threads)| *threads <= AT_WORK), "{rounds:?}");
    let (second, last) = (rounds[1].0, rounds[rounds.len() - 1].0);
    assert!(last <= second + second / 2, "{rounds:?}");
    // Those threads end when they have had nothing to do for ten seconds.
    let rests = (0..600).any(|_| {
        thread::sleep(Duration::from_millis(100));
        server.waits().len() <= AT_REST
    });
    assert!(rests, "{:?}", server.waits());
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
    // All that are let in at once may be more than calls run at once; none was let in in vain.
    let (busy, done): (Vec<_>, Vec<_>) = told.iter().partition(|told| told.contains(r#""code":"BUSY""#));
    assert!(done.iter().all(|told| told.starts_with("HTTP/1.1 200")) && done.len() > busy.len() / 4, "{told:?}");
    let (code, said) = server.end_and_tell();
    assert_eq!((code, said.as_str()), (Some(0), ""));
}
