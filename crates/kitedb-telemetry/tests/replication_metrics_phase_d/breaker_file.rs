//! The circuit breaker's state in a file that processes share.

use crate::{
    servers::http_collector::{HttpCollector, Step},
    support_process::{Child, child_args, hear, tell},
};
use kitedb_telemetry::{
    ExporterHealth, OtlpHttpPushOptions, TelemetryError,
    push_replication_metrics_otel_json_payload_with_options as push,
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, channel},
    thread,
};
use tempfile::TempDir;

const PAYLOAD: &str = r#"{"resourceMetrics":[]}"#;
const HOUR_MS: u64 = 3_600_000;

/// A folder with a state file in it.
struct Shared {
    _folder: TempDir,
    path: PathBuf,
}

impl Shared {
    fn new(text: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("breakers.json");
        if let Some(text) = text {
            fs::write(&path, text).unwrap();
        }
        Self { _folder: folder, path }
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap()
    }
}

/// One failed push opens it for an hour.
fn options(path: &Path, key: &str, probes: u32) -> OtlpHttpPushOptions {
    OtlpHttpPushOptions::new()
        .timeout_ms(60_000)
        .circuit_breaker_failure_threshold(1)
        .circuit_breaker_open_ms(HOUR_MS)
        .circuit_breaker_half_open_probes(probes)
        .circuit_breaker_scope_key(Some(key.to_owned()))
        .circuit_breaker_state_path(Some(path.to_str().unwrap().to_owned()))
}

/// `OK`, or why not.
fn pushed(endpoint: &str, options: &OtlpHttpPushOptions) -> String {
    push(PAYLOAD, endpoint, options).map_or_else(|e| e.code().to_owned(), |_| "OK".to_owned())
}

/// Where nobody listens.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/v1/metrics", listener.local_addr().unwrap())
}

/// A collector that shows each request to the test, which answers it when it likes.
fn collector() -> (String, Receiver<Held>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/v1/metrics", listener.local_addr().unwrap());
    let (held, requests) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            // A client that was killed, or the end of the test.
            if reader.read_exact(&mut vec![0; length]).is_err() || held.send(Held(reader.into_inner())).is_err() {
                return;
            }
        }
    });
    (endpoint, requests)
}

/// A request that waits for its answer.
struct Held(TcpStream);

impl Held {
    fn accept(mut self) {
        let reply =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
        self.0.write_all(reply.as_bytes()).unwrap();
    }
}

/// In a child process: pushes with each of the keys whenever it is told to, and tells what became of it.
#[test]
fn a_process_that_pushes() {
    let Some(args) = child_args() else { return };
    let [endpoint, path, probes, keys @ ..] = args.as_slice() else { panic!("{args:?}") };
    tell("ready");
    while hear() == "push" {
        for key in keys {
            tell(pushed(endpoint, &options(Path::new(path), key, probes.parse().unwrap())));
        }
    }
}

fn process(endpoint: &str, shared: &Shared, probes: u32, keys: &[&str]) -> Child {
    let probes = probes.to_string();
    let args = [&[endpoint, shared.path.to_str().unwrap(), &probes], keys].concat();
    let mut child = Child::spawn("breaker_file::a_process_that_pushes", &args);
    child.expect("ready");
    child
}

fn end(mut process: Child) {
    process.say("end");
    process.finish();
}

#[test]
fn a_failed_push_keeps_other_processes_back_and_the_file_is_for_its_owner_alone() {
    let (shared, endpoint) = (Shared::new(None), nowhere());
    let options = options(&shared.path, "key", 1);
    assert_eq!(pushed(&endpoint, &options), "TRANSPORT");
    assert_eq!(fs::metadata(&shared.path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut other = process(&endpoint, &shared, 1, &["key", "another key"]);
    other.say("push");
    other.expect("CIRCUIT_OPEN");
    other.expect("TRANSPORT");
    end(other);
}

#[test]
fn processes_that_write_at_once_lose_nobodys_keys() {
    let foreign = json!({"open_until_ms": 7, "from": ["a", "later", "version"]});
    let shared = Shared::new(Some(&json!({"foreign": foreign, "odd": "no state"}).to_string()));
    let endpoint = nowhere();
    let keys: Vec<Vec<String>> =
        (0..4).map(|process| (0..5).map(|number| format!("{process}/{number}")).collect()).collect();
    let mut processes: Vec<Child> = keys
        .iter()
        .map(|keys| process(&endpoint, &shared, 1, &keys.iter().map(String::as_str).collect::<Vec<_>>()))
        .collect();
    processes.iter_mut().for_each(|process| process.say("push"));
    for mut process in processes {
        (0..5).for_each(|_| process.expect("TRANSPORT"));
        end(process);
    }
    let found = shared.json();
    assert_eq!(found.as_object().unwrap().len(), 22);
    assert_eq!((&found["foreign"], &found["odd"]), (&foreign, &json!("no state")));
    for key in keys.into_iter().flatten() {
        assert_eq!(pushed(&endpoint, &options(&shared.path, &key, 1)), "CIRCUIT_OPEN", "{key}");
    }
}

#[test]
fn of_many_processes_one_at_a_time_probes_until_enough_probes_succeeded() {
    let shared = Shared::new(Some(r#"{"key":{"open_until_ms":1}}"#));
    let (endpoint, requests) = collector();
    let (said, results) = channel();
    let says: Vec<_> = (0..4)
        .map(|_| {
            let mut process = process(&endpoint, &shared, 2, &["key"]);
            let (say, orders) = channel();
            let said = said.clone();
            thread::spawn(move || {
                for order in orders {
                    process.say(order);
                    said.send(process.line()).unwrap();
                }
                end(process);
            });
            say
        })
        .collect();
    let push_all = || says.iter().for_each(|say| say.send("push").unwrap());
    let results = |count| (0..count).map(|_| results.recv().unwrap().unwrap()).collect::<Vec<_>>();

    for _ in 0..2 {
        push_all();
        let probe = requests.recv().unwrap();
        assert_eq!(results(3), ["PROBE_IN_FLIGHT"; 3]);
        probe.accept();
        assert_eq!(results(1), ["OK"]);
    }
    // It is closed: all of them pass.
    push_all();
    let held: Vec<Held> = (0..4).map(|_| requests.recv().unwrap()).collect();
    held.into_iter().for_each(Held::accept);
    assert_eq!(results(4), ["OK"; 4]);
}

#[test]
fn a_prober_that_was_killed_blocks_the_others_no_longer_than_its_lease() {
    let shared = Shared::new(Some(r#"{"key":{"open_until_ms":1}}"#));
    let (endpoint, requests) = collector();
    let mut prober = process(&endpoint, &shared, 1, &["key"]);
    prober.say("push");
    let _probe = requests.recv().unwrap();
    prober.kill_nine();

    let options = options(&shared.path, "key", 1);
    assert_eq!(pushed(&endpoint, &options), "PROBE_IN_FLIGHT");
    let mut state = shared.json();
    assert_eq!(state["key"]["half_open_in_flight"], true);
    // The lease has run out.
    state["key"]["probe_until_ms"] = json!(1);
    fs::write(&shared.path, state.to_string()).unwrap();
    let accept = thread::spawn(move || requests.recv().unwrap().accept());
    assert_eq!(pushed(&endpoint, &options), "OK");
    accept.join().unwrap();
    assert_eq!(shared.json()["key"]["half_open_in_flight"], false);
    assert_eq!(pushed(&nowhere(), &options), "TRANSPORT", "closed: it passes");
}

#[test]
fn an_open_state_in_the_file_keeps_pushes_back_for_no_longer_than_they_would_themselves() {
    let shared = Shared::new(Some(r#"{"key":{"open_until_ms":18446744073709551615}}"#));
    let error = push(PAYLOAD, &nowhere(), &options(&shared.path, "key", 1)).unwrap_err();
    let TelemetryError::CircuitOpen { until_ms, .. } = &error else { panic!("{error}") };
    assert!(error.to_string().starts_with("circuit breaker open for endpoint http://127.0.0.1:"), "{error}");
    assert_eq!(shared.json()["key"]["open_until_ms"], json!(until_ms), "so that it ends");
    assert!(*until_ms < u64::MAX / 2);
}

#[test]
fn a_late_success_of_an_older_push_does_not_close_it_and_a_late_failure_does_not_open_it() {
    let shared = Shared::new(None);
    let (endpoint, requests) = collector();
    let options = options(&shared.path, "key", 1);
    let begin = || {
        let (endpoint, options) = (endpoint.clone(), options.clone());
        let push = thread::spawn(move || pushed(&endpoint, &options));
        (push, requests.recv().unwrap())
    };
    let (succeeds, success) = begin();
    let (fails, failure) = begin();
    assert_eq!(pushed(&nowhere(), &options), "TRANSPORT");
    let open = shared.text();
    success.accept();
    assert_eq!(succeeds.join().unwrap(), "OK");
    assert_eq!(shared.text(), open);

    // Its time is over, and a probe succeeds.
    let mut state = shared.json();
    state["key"]["open_until_ms"] = json!(1);
    fs::write(&shared.path, state.to_string()).unwrap();
    let (probes, probe) = begin();
    probe.accept();
    assert_eq!(probes.join().unwrap(), "OK");
    let closed = shared.text();
    drop(failure);
    assert_eq!(fails.join().unwrap(), "TRANSPORT");
    assert_eq!(shared.text(), closed);
}

#[test]
fn refusals_leave_no_trace_in_the_file() {
    let shared = Shared::new(None);
    let collector = HttpCollector::start(vec![Step::status(400), Step::status(401), Step::status(413)]);
    let options = options(&shared.path, "key", 1);
    for _ in 0..3 {
        assert_eq!(pushed(&collector.endpoint(), &options), "REJECTED");
    }
    assert_eq!(pushed(&collector.endpoint(), &options), "OK");
    assert!(!shared.path.exists());
}

#[test]
fn a_file_that_cannot_be_understood_holds_up_no_push_and_is_left_alone() {
    let collector = HttpCollector::start(Vec::new());
    for text in ["{\"key\": {", "[]", r#"{"key":{"open_until_ms":"later"}}"#] {
        let shared = Shared::new(Some(text));
        let options = options(&shared.path, "key", 1);
        let errors = || ExporterHealth::of("").read().store_errors;
        let before = errors();
        assert_eq!(pushed(&collector.endpoint(), &options), "OK");
        assert!(errors() > before, "it is counted");
        // What the file cannot tell, memory does.
        assert_eq!(pushed(&nowhere(), &options), "TRANSPORT");
        assert_eq!(pushed(&collector.endpoint(), &options), "CIRCUIT_OPEN");
        assert_eq!(shared.text(), text);
    }
}
