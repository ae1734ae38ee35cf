//! The background exporter: when it pushes, what it pushes, and how it ends.

use kitedb_core::{Database, ErrorCode, OpenOptions, ReplicationRole};
use kitedb_telemetry::{
    DropReason, Exporter, ExporterOptions, ExporterState, OtlpTransport, TelemetryError, start_exporter,
};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
const NEVER_MS: u64 = 3_600_000;

/// A collector that answers a request when the test says so.
struct Collector {
    endpoint: String,
    requests: Receiver<Held>,
}

/// A request that waits for its answer. Dropped, it never gets one.
struct Held {
    body: serde_json::Value,
    stream: TcpStream,
    /// Lets the connection be read on.
    next: Sender<()>,
}

impl Held {
    fn answer(mut self) -> serde_json::Value {
        self.stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
        let _ = self.next.send(());
        self.body
    }
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}/v1/metrics", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let sender = sender.clone();
                thread::spawn(move || serve(stream, &sender));
            }
        });
        Self { endpoint, requests }
    }

    /// The next request.
    fn held(&self) -> Held {
        self.requests.recv_timeout(PATIENCE).unwrap()
    }

    /// Answers the next request and gives its document.
    fn next(&self) -> serde_json::Value {
        self.held().answer()
    }
}

fn serve(stream: TcpStream, requests: &Sender<Held>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let head = head.to_lowercase();
        let mut body = vec![0; head.split("content-length: ").nth(1)?.lines().next()?.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        let (next, answered) = mpsc::channel();
        let held = Held { body: serde_json::from_slice(&body).ok()?, stream: reader.get_ref().try_clone().ok()?, next };
        requests.send(held).ok()?;
        answered.recv().ok()?;
    }
}

/// A primary with one commit.
fn primary(dir: &TempDir) -> Database {
    let options = OpenOptions::new().replication_role(ReplicationRole::Primary);
    let db = Database::open(dir.path().join("a.kitedb"), options).unwrap();
    db.transaction(|tx| tx.create_node(Some("a"))).unwrap();
    db
}

fn options(collector: &Collector, interval_ms: u64) -> ExporterOptions {
    let mut options = ExporterOptions::new(OtlpTransport::HttpJson, &collector.endpoint);
    options.interval_ms = interval_ms;
    options.push.timeout_ms = NEVER_MS;
    options.close_timeout_ms = 60_000;
    options
}

fn head(document: &serde_json::Value) -> u64 {
    let metrics = document["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().unwrap();
    let name = "kitedb.replication.primary.head_log_index";
    let metric = metrics.iter().find(|metric| metric["name"] == name).unwrap();
    metric["gauge"]["dataPoints"][0]["asInt"].as_str().unwrap().parse().unwrap()
}

fn dropped(exporter: &Exporter, reason: DropReason) -> u64 {
    exporter.metrics().dropped_points.iter().find(|(found, _)| *found == reason).map_or(0, |(_, points)| *points)
}

/// Runs `f`, which must come to an end.
fn ends<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(f()));
    receiver.recv_timeout(PATIENCE).expect("it ends")
}

#[test]
fn pushes_come_by_themselves_and_show_what_was_committed_meanwhile() {
    let (dir, collector) = (tempfile::tempdir().unwrap(), Collector::start());
    let db = primary(&dir);
    let exporter = start_exporter(&db, options(&collector, 5)).unwrap();
    assert_eq!(head(&collector.next()), 1);
    db.transaction(|tx| tx.create_node(Some("b"))).unwrap();
    while head(&collector.next()) < 2 {}
    assert_eq!((exporter.state(), exporter.last_error()), (ExporterState::Running, None));
    let held = collector.held();
    thread::spawn(move || while collector.requests.recv().map(Held::answer).is_ok() {});
    held.answer();
    ends(move || exporter.close()).unwrap();
    db.close().unwrap();
}

#[test]
fn a_flush_pushes_at_once() {
    let (dir, collector) = (tempfile::tempdir().unwrap(), Collector::start());
    let db = primary(&dir);
    let exporter = start_exporter(&db, options(&collector, NEVER_MS)).unwrap();
    let flushed = thread::scope(|scope| {
        let flushing = scope.spawn(|| exporter.flush());
        assert_eq!(head(&collector.next()), 1);
        flushing.join().unwrap()
    });
    assert_eq!(flushed.unwrap().status_code, 200);
    let metrics = exporter.metrics();
    assert_eq!(metrics.pushes, 1);
    assert!(metrics.exported_points > 8 && metrics.last_success_ms.is_some(), "{metrics:?}");
    drop(collector);
    drop(exporter);
}

#[test]
fn flushes_that_wait_share_one_push() {
    let (dir, collector) = (tempfile::tempdir().unwrap(), Collector::start());
    let db = primary(&dir);
    let exporter = start_exporter(&db, options(&collector, NEVER_MS)).unwrap();
    thread::scope(|scope| {
        let first = scope.spawn(|| exporter.flush());
        let held = collector.held();
        let others: Vec<_> = (0..8).map(|_| scope.spawn(|| exporter.flush())).collect();
        held.answer();
        first.join().unwrap().unwrap();
        let requests = collector.requests;
        let answering = scope.spawn(move || {
            // As many as come: one, unless a thread was late.
            let mut pushes = 0;
            while let Ok(held) = requests.recv_timeout(Duration::from_millis(500)) {
                held.answer();
                pushes += 1;
            }
            pushes
        });
        for other in others {
            other.join().unwrap().unwrap();
        }
        assert!((1..=8).contains(&answering.join().unwrap()));
    });
}

#[test]
fn closing_pushes_once_more_and_then_nothing() {
    let (dir, collector) = (tempfile::tempdir().unwrap(), Collector::start());
    let db = primary(&dir);
    for close in [true, false] {
        let exporter = start_exporter(&db, options(&collector, NEVER_MS)).unwrap();
        let closing = thread::spawn(move || match close {
            true => exporter.close(),
            false => {
                drop(exporter);
                Ok(())
            }
        });
        collector.next();
        closing.join().unwrap().unwrap();
        let quiet = collector.requests.recv_timeout(Duration::from_millis(20));
        assert!(matches!(quiet, Err(RecvTimeoutError::Timeout)));
    }
    db.close().unwrap();
}

#[test]
fn of_pushes_that_came_due_during_a_long_one_only_the_newest_is_made() {
    let (dir, collector) = (tempfile::tempdir().unwrap(), Collector::start());
    let db = primary(&dir);
    let exporter = start_exporter(&db, options(&collector, 10)).unwrap();
    let held = collector.held();
    assert_eq!(dropped(&exporter, DropReason::Superseded), 0);
    thread::sleep(Duration::from_millis(100));
    db.transaction(|tx| tx.create_node(Some("b"))).unwrap();
    assert_eq!(head(&held.answer()), 1);
    let second = collector.held();
    // Several were due, one was made; the others count as if each had the points of the one before.
    assert_eq!(exporter.metrics().pushes, 2);
    let exported = exporter.metrics().exported_points;
    let superseded = dropped(&exporter, DropReason::Superseded);
    assert!(superseded >= 2 * exported && superseded.is_multiple_of(exported), "{superseded} {exported}");
    assert_eq!(head(&second.answer()), 2);
    thread::spawn(move || while collector.requests.recv().map(Held::answer).is_ok() {});
    ends(move || exporter.close()).unwrap();
}

#[test]
fn closing_gives_up_a_push_that_takes_too_long() {
    let (dir, collector) = (tempfile::tempdir().unwrap(), Collector::start());
    let db = primary(&dir);
    let mut options = options(&collector, 5);
    options.close_timeout_ms = 30;
    let exporter = start_exporter(&db, options).unwrap();
    let held = collector.held();
    let (exporter, closed) = ends(move || {
        let health = exporter.metrics();
        (health, exporter.close())
    });
    assert_eq!(exporter.exported_points, 0);
    assert_eq!(closed.unwrap_err().code(), "CLOSED");
    drop(held);
    // The database is as usable as before, and ends as it would have.
    db.transaction(|tx| tx.create_node(Some("b"))).unwrap();
    db.close().unwrap();
}

#[test]
fn a_collector_that_is_gone_shows_in_the_last_error_and_not_in_the_database() {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = format!("http://user:canary@{nobody}/v1/metrics?key=canary");
    let mut options = ExporterOptions::new(OtlpTransport::HttpProtobuf, endpoint);
    options.interval_ms = NEVER_MS;
    let exporter = start_exporter(&db, options).unwrap();
    assert!(!format!("{exporter:?}").contains("canary"));
    let error = exporter.flush().unwrap_err();
    assert!(matches!(error, TelemetryError::Transport { .. }), "{error}");
    let last = exporter.last_error().unwrap();
    assert!(last == error.to_string() && !last.contains("canary"), "{last}");
    assert!(dropped(&exporter, DropReason::Transport) > 0);
    assert!(matches!(exporter.close(), Err(TelemetryError::Transport { .. })));
    db.transaction(|tx| tx.create_node(Some("b"))).unwrap();
}

#[test]
fn the_owner_closes_the_database_and_the_exporter_ends() {
    let (dir, collector) = (tempfile::tempdir().unwrap(), Collector::start());
    let db = primary(&dir);
    let exporter = start_exporter(&db, options(&collector, 5)).unwrap();
    collector.next();
    db.close().unwrap();
    let is_closed = |error: TelemetryError| match error {
        TelemetryError::Database(error) => error.code() == ErrorCode::Closed,
        _ => false,
    };
    thread::spawn(move || while collector.requests.recv().map(Held::answer).is_ok() {});
    let exporter = ends(move || {
        while exporter.state() == ExporterState::Running {
            thread::sleep(Duration::from_millis(1));
        }
        exporter
    });
    assert_eq!(exporter.state(), ExporterState::DatabaseClosed);
    assert_eq!(exporter.last_error().as_deref(), Some("Database is closed"));
    assert!(is_closed(exporter.flush().unwrap_err()));
    assert!(is_closed(exporter.close().unwrap_err()));
}

#[test]
fn the_last_handle_closes_the_database_whatever_the_exporter_does() {
    let (dir, collector) = (tempfile::tempdir().unwrap(), Collector::start());
    let path = dir.path().join("a.kitedb");
    let db = Database::open(&path, OpenOptions::new()).unwrap();
    db.transaction(|tx| tx.create_node(Some("a"))).unwrap();
    let exporter = start_exporter(&db, options(&collector, 5)).unwrap();
    let held = collector.held();
    // A push is under way: its metrics were collected, and it holds the database no more.
    drop(db);
    let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["a.kitedb"], "at rest, the database is one file");
    held.answer();
    let error = ends(move || exporter.close()).unwrap_err();
    assert_eq!(error.code(), "CLOSED");
}

#[test]
fn what_cannot_work_is_refused_at_the_start() {
    let (dir, collector) = (tempfile::tempdir().unwrap(), Collector::start());
    let db = primary(&dir);
    let refused = |change: &dyn Fn(&mut ExporterOptions)| {
        let mut options = options(&collector, 1000);
        change(&mut options);
        start_exporter(&db, options).unwrap_err().to_string()
    };
    assert_eq!(refused(&|o| o.interval_ms = 0), "interval_ms must be > 0");
    assert_eq!(refused(&|o| o.close_timeout_ms = 0), "close_timeout_ms must be > 0");
    assert_eq!(refused(&|o| o.endpoint = " ".to_owned()), "endpoint must not be empty");
    assert!(refused(&|o| o.push.timeout_ms = 0).contains("timeout_ms must be > 0"));
    let other = db.clone();
    db.close().unwrap();
    assert_eq!(start_exporter(&other, options(&collector, 1000)).unwrap_err().code(), "CLOSED");
}
