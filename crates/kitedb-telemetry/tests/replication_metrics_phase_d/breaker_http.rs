//! A breaker whose state is in an HTTP store: what a push asks of the store and in which order, what it does when the
//! store does not work, and what several machines that share one can rely on.

use crate::{
    breaker_store::store,
    pushing::{JSON, patient, push},
    servers::{
        http_collector::{HttpCollector, Step},
        scripted_store::{Recorded, Reply, ScriptedStore, read},
    },
};
use kitedb_core::{Database, OpenOptions};
use kitedb_telemetry::{
    BreakerPhase, ExporterHealth, ExporterMetrics, OtlpHttpPushOptions, OtlpPusher, OtlpTransport, TelemetryError,
};
use serde_json::{Value as Json, json};
use std::{
    io::{BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};
use tempfile::TempDir;

const FAR_FUTURE_MS: u64 = 1 << 45;

/// A breaker that opens with the first failure, in the store at `url`.
fn shared(url: &str) -> OtlpHttpPushOptions {
    patient()
        .circuit_breaker_failure_threshold(1)
        .circuit_breaker_open_ms(3_600_000)
        .circuit_breaker_state_url(Some(url.to_owned()))
}

fn patched(url: &str) -> OtlpHttpPushOptions {
    shared(url).circuit_breaker_state_patch(true)
}

fn once(endpoint: &str, options: &OtlpHttpPushOptions) -> kitedb_telemetry::Result<i64> {
    push(OtlpTransport::HttpJson, endpoint, options).map(|result| result.status_code)
}

/// A database, whose counters are those of its pushes alone.
struct Source {
    _folder: TempDir,
    database: Database,
}

impl Source {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path().join("a.kitedb"), OpenOptions::new()).unwrap();
        Self { _folder: folder, database }
    }

    fn health(&self) -> ExporterMetrics {
        ExporterHealth::of(&self.database.path().to_string_lossy()).read()
    }
}

fn keyed(request: &Recorded) -> Option<(&str, &str)> {
    request.header("x-kitedb-breaker-mode").zip(request.header("x-kitedb-breaker-key"))
}

#[test]
fn a_document_is_read_at_the_gate_and_again_before_it_is_put_and_blocks_the_next_push() {
    let put = Arc::new(Mutex::new("{\"other\":{\"generation\":5}}".to_owned()));
    let kept = put.clone();
    let states = ScriptedStore::start(move |_, request| {
        let mut document = kept.lock().unwrap();
        if request.method == "PUT" {
            document.clone_from(&request.body);
        }
        Reply::of(200, &document)
    });
    let collector = HttpCollector::start(vec![Step::status(503)]);
    let options = shared(&states.url);
    assert!(matches!(once(&collector.endpoint(), &options), Err(TelemetryError::Rejected { status: 503, .. })));
    assert_eq!(states.methods(), ["GET", "GET", "PUT"]);
    let error = once(&collector.endpoint(), &options).unwrap_err();
    assert!(
        error.to_string().contains(&format!("circuit breaker open for endpoint {}", collector.endpoint())),
        "{error}"
    );
    assert_eq!(states.methods(), ["GET", "GET", "PUT", "GET"]);
    assert_eq!(collector.seen().len(), 1, "nothing is sent while it is open");

    for request in states.requests() {
        assert!(keyed(&request).is_none() && request.header("if-match").is_none(), "{request:?}");
        assert!(request.header("if-none-match").is_none() && request.header("authorization").is_none(), "{request:?}");
    }
    let document: Json = serde_json::from_str(&put.lock().unwrap()).unwrap();
    assert_eq!(document["other"], json!({"generation": 5}), "the entries of others are kept");
    assert!(document[collector.endpoint()]["open_until_ms"].as_u64() > Some(1_700_000_000_000), "{document}");
}

#[test]
fn with_cas_and_a_lease_the_tag_comes_back_to_the_byte_and_the_lease_is_on_every_request() {
    let states = ScriptedStore::answering([
        Reply::tagged(200, "v1", "{}"),
        Reply::tagged(200, "v2", "{}"),
        Reply::tagged(200, "v3", ""),
    ]);
    let collector = HttpCollector::start(vec![Step::status(503)]);
    let options =
        shared(&states.url).circuit_breaker_state_cas(true).circuit_breaker_state_lease_id(Some("lease-7".to_owned()));
    once(&collector.endpoint(), &options).unwrap_err();
    assert_eq!(states.methods(), ["GET", "GET", "PUT"]);
    let requests = states.requests();
    assert_eq!(requests[2].header("if-match"), Some("v2"));
    assert!(requests.iter().all(|request| request.path == "/breaker"), "{requests:?}");
    assert!(requests.iter().all(|request| request.header("x-kitedb-breaker-lease") == Some("lease-7")), "{requests:?}");
}

#[test]
fn a_key_is_read_at_the_gate_and_again_before_it_is_patched() {
    for (batch, merge, mode) in [
        (false, false, "patch-v1"),
        (true, false, "patch-batch-v1"),
        (false, true, "patch-merge-v1"),
        (true, true, "patch-merge-v1"),
    ] {
        let states = ScriptedStore::answering([Reply::of(404, ""), Reply::of(200, ""), Reply::of(200, "{}")]);
        let collector = HttpCollector::start(vec![Step::status(503)]);
        let options = patched(&states.url)
            .circuit_breaker_scope_key(Some(" fleet 7 ".to_owned()))
            .circuit_breaker_state_patch_batch(batch)
            .circuit_breaker_state_patch_merge(merge);
        once(&collector.endpoint(), &options).unwrap_err();
        assert_eq!(states.methods(), ["GET", "GET", "PATCH"]);
        let [gate, record, patch] = &states.requests()[..] else { panic!() };
        assert_eq!(keyed(gate), Some(("patch-v1", "fleet 7")));
        assert_eq!(keyed(record), Some(("patch-v1", "fleet 7")));
        assert_eq!(keyed(patch), Some((mode, "fleet 7")));
        assert_eq!(patch.header("content-type"), Some("application/json"));
        let body = patch.json();
        let update = if mode == "patch-v1" { &body } else { &body["updates"][0] };
        assert_eq!(update["key"], "fleet 7");
        assert!(update["state"]["open_until_ms"].as_u64() > Some(1_700_000_000_000), "{body}");
        if merge {
            assert_eq!(
                (&body["scope_key"], &body["total_keys"], &body["truncated"]),
                (&json!("fleet 7"), &json!(1), &json!(false))
            );
        }
    }
}

#[test]
fn a_write_that_meets_another_one_is_made_again_of_what_was_read_again() {
    let states = ScriptedStore::answering([
        Reply::tagged(200, "v1", "{}"),
        Reply::tagged(200, "v1", "{}"),
        Reply::tagged(412, "v2", ""),
        Reply::tagged(200, "v3", r#"{"consecutive_failures":4}"#),
        Reply::tagged(200, "v4", ""),
    ]);
    let collector = HttpCollector::start(vec![Step::status(503)]);
    let options = patched(&states.url)
        .circuit_breaker_failure_threshold(100)
        .circuit_breaker_state_cas(true)
        .circuit_breaker_state_patch_retry_max_attempts(2);
    once(&collector.endpoint(), &options).unwrap_err();
    assert_eq!(states.methods(), ["GET", "GET", "PATCH", "GET", "PATCH"]);
    let requests = states.requests();
    assert_eq!((requests[2].header("if-match"), requests[4].header("if-match")), (Some("v1"), Some("v3")));
    assert_eq!(requests[2].json()["state"]["consecutive_failures"], 1);
    assert_eq!(requests[4].json()["state"]["consecutive_failures"], 5);
}

#[test]
fn an_open_state_blocks_in_either_form_of_the_answer() {
    let state = json!({"open_until_ms": FAR_FUTURE_MS});
    let wrapped = json!({"key": "k", "state": state});
    for body in [&state, &wrapped] {
        let states = ScriptedStore::answering([Reply::of(200, &body.to_string())]);
        let collector = HttpCollector::start(Vec::new());
        let options = patched(&states.url).circuit_breaker_scope_key(Some("k".to_owned()));
        let error = once(&collector.endpoint(), &options).unwrap_err();
        assert!(matches!(error, TelemetryError::CircuitOpen { .. }), "{error}");
        assert!(collector.seen().is_empty());
    }
}

#[test]
fn a_healthy_push_only_reads() {
    for options in [shared as fn(&str) -> OtlpHttpPushOptions, patched] {
        let states = ScriptedStore::start(|_, _| Reply::of(404, ""));
        let collector = HttpCollector::start(Vec::new());
        assert_eq!(once(&collector.endpoint(), &options(&states.url)).unwrap(), 200);
        assert_eq!(states.methods(), ["GET", "GET"]);
    }
}

#[test]
fn the_store_learns_neither_credentials_nor_tokens() {
    let states = ScriptedStore::start(|_, request| Reply::of(if request.method == "GET" { 404 } else { 200 }, ""));
    let collector = HttpCollector::start(vec![Step::status(503), Step::status(503)]);
    let with_credentials = collector.endpoint().replace("http://", "http://user:canary-1@") + "?token=canary-2";
    for (endpoint, bearer_token, options) in [
        (with_credentials, None, shared(&states.url)),
        (collector.endpoint() + "?token=canary-2", Some("canary-4".to_owned()), patched(&states.url)),
    ] {
        let headers = vec![("x-api-key".to_owned(), "canary-3".to_owned())];
        once(&endpoint, &options.bearer_token(bearer_token).headers(headers)).unwrap_err();
    }
    assert_eq!(states.requests().len(), 6);
    assert!(!format!("{:?}", states.requests()).contains("canary"), "{:?}", states.requests());
    assert_eq!(keyed(&states.requests()[3]), Some(("patch-v1", &collector.endpoint()[..])));
}

#[test]
fn a_push_works_on_when_the_store_does_not_and_its_metrics_say_so() {
    let long = format!("{{\"x\":\"{}\"}}", "y".repeat(5 << 20));
    type Fault = fn(&str) -> Reply;
    let faults: [(&str, Fault); 7] = [
        ("it answers 500", |_| Reply::of(500, "{}")),
        ("it answers 403", |_| Reply::of(403, "{}")),
        ("it sends elsewhere", |url| Reply::Answer(302, vec![("location", url.to_owned())], Vec::new())),
        ("it answers with something else", |_| Reply::of(200, "<html>")),
        ("it answers without end", |long| Reply::of(200, long)),
        ("it cuts the connection", |_| Reply::Cut),
        ("it is silent", |_| Reply::Silence),
    ];
    let elsewhere = ScriptedStore::start(|_, _| Reply::of(200, "{}"));
    for (what, fault) in faults {
        for options in [shared as fn(&str) -> OtlpHttpPushOptions, patched] {
            let argument = if what.contains("elsewhere") { elsewhere.url.clone() } else { long.clone() };
            let states = ScriptedStore::start(move |_, _| fault(&argument));
            let collector = HttpCollector::start(Vec::new());
            let source = Source::new();
            // A quarter of it is the store's: only who is silent uses that up.
            let timeout_ms = if what.contains("silent") { 4_000 } else { 60_000 };
            let options = options(&states.url).timeout_ms(timeout_ms);
            let pusher = OtlpPusher::new(OtlpTransport::HttpJson, &collector.endpoint(), &options).unwrap();
            assert_eq!(pusher.push(&source.database).unwrap().status_code, 200, "{what}");
            let health = source.health();
            assert_eq!((health.store_errors, health.exported_points > 0), (1, true), "{what}: {health:?}");
            assert_eq!(states.methods(), ["GET"], "{what}: a store that failed is not asked again by the same push");
            pusher.push(&source.database).unwrap();
            assert_eq!(source.health().store_errors, 2, "{what}: but by the next one it is");
        }
    }
    assert!(elsewhere.requests().is_empty(), "a redirect is not followed");
}

#[test]
fn without_a_store_the_breaker_of_this_process_works_and_tells_the_store_later() {
    let down = Arc::new(AtomicU32::new(1));
    let reference = store();
    let (is_down, url) = (down.clone(), reference.url().to_owned());
    // In front of the reference store, so that it can be taken away and come back under the same URL.
    let states = ScriptedStore::start(move |_, request| match is_down.load(Ordering::Relaxed) {
        0 => forward(&url, request),
        _ => Reply::Cut,
    });
    let collector = HttpCollector::start(vec![Step::status(503)]);
    let (source, options) = (Source::new(), patched(&states.url));
    let pusher = OtlpPusher::new(OtlpTransport::HttpJson, &collector.endpoint(), &options).unwrap();
    pusher.push(&source.database).unwrap_err();
    let error = pusher.push(&source.database).unwrap_err();
    assert!(matches!(error, TelemetryError::CircuitOpen { .. }), "{error}");
    assert_eq!((source.health().store_errors, source.health().breaker), (2, BreakerPhase::Open));

    down.store(0, Ordering::Relaxed);
    let error = pusher.push(&source.database).unwrap_err();
    assert!(matches!(error, TelemetryError::CircuitOpen { .. }), "{error}");
    assert_eq!(source.health().store_errors, 2);
    // Somebody on another machine, who knows nothing but the store.
    let other = OtlpPusher::new(OtlpTransport::HttpJson, &collector.endpoint(), &patched(reference.url())).unwrap();
    let error = other.push_payload(JSON.as_bytes()).unwrap_err();
    assert!(matches!(error, TelemetryError::CircuitOpen { .. }), "{error}");
    assert_eq!(collector.seen().len(), 1);
}

/// Sends a request on, and its answer back.
fn forward(url: &str, request: &Recorded) -> Reply {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let method = request.method.parse::<reqwest::Method>().unwrap();
        let mut sent = reqwest::Client::new().request(method, url).body(request.body.clone());
        for (name, value) in
            request.headers.iter().filter(|(name, _)| name.starts_with("x-") || name.starts_with("if-"))
        {
            sent = sent.header(name, value);
        }
        let answer = sent.send().await.unwrap();
        let tag = answer.headers().get("etag").map(|tag| ("ETag", tag.to_str().unwrap().to_owned()));
        Reply::Answer(answer.status().as_u16(), tag.into_iter().collect(), answer.bytes().await.unwrap().to_vec())
    })
}

/// Options of several machines that share the reference store. It is the same under every path, which to this process
/// are different stores: no memory is shared, as between machines.
fn machines(url: &str, count: u32) -> impl Iterator<Item = OtlpHttpPushOptions> {
    (0..count).map(move |machine| {
        shared(&format!("{url}machine-{machine}"))
            .circuit_breaker_scope_key(Some("fleet".to_owned()))
            .circuit_breaker_state_cas(true)
            .circuit_breaker_state_patch_retry_max_attempts(100)
            .circuit_breaker_state_patch(machine % 2 == 0)
    })
}

/// The state in the reference store.
fn state(url: &str) -> Json {
    let get = Recorded {
        method: "GET".to_owned(),
        path: String::new(),
        headers: [("x-kitedb-breaker-mode", "patch-v1"), ("x-kitedb-breaker-key", "fleet")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        body: String::new(),
    };
    let Reply::Answer(200, _, body) = forward(url, &get) else { panic!("no state") };
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn failures_of_several_machines_add_up() {
    const MACHINES: u32 = 3;
    const PUSHES: u32 = 8;
    let reference = store();
    let collector = HttpCollector::start(vec![Step::status(503); (MACHINES * PUSHES) as usize]);
    let not_told: u64 = thread::scope(|scope| {
        let machines: Vec<_> = machines(reference.url(), MACHINES)
            .map(|options| {
                let endpoint = collector.endpoint();
                scope.spawn(move || {
                    let options = options.circuit_breaker_failure_threshold(1_000);
                    let (source, pusher) =
                        (Source::new(), OtlpPusher::new(OtlpTransport::HttpJson, &endpoint, &options).unwrap());
                    for _ in 0..PUSHES {
                        pusher.push(&source.database).unwrap_err();
                    }
                    source.health().store_errors
                })
            })
            .collect();
        machines.into_iter().map(|machine| machine.join().unwrap()).sum()
    });
    assert_eq!(not_told, 0);
    assert_eq!(state(reference.url())["consecutive_failures"], MACHINES * PUSHES);
}

/// A collector that tells how many requests it had at the same time at most.
struct Crowd {
    endpoint: String,
    now: Arc<AtomicU32>,
    most: Arc<AtomicU32>,
    all: Arc<AtomicU32>,
}

impl Crowd {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}/v1/metrics", listener.local_addr().unwrap());
        let crowd = Self { endpoint, now: Arc::default(), most: Arc::default(), all: Arc::default() };
        let (now, most, all) = (crowd.now.clone(), crowd.most.clone(), crowd.all.clone());
        // It ends with the tests' process.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (now, most, all) = (now.clone(), most.clone(), all.clone());
                thread::spawn(move || serve(stream, &now, &most, &all));
            }
        });
        crowd
    }
}

fn serve(mut stream: TcpStream, now: &AtomicU32, most: &AtomicU32, all: &AtomicU32) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while read(&mut reader).is_some() {
        all.fetch_add(1, Ordering::SeqCst);
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        // Long enough that others would come in between if they could.
        thread::sleep(Duration::from_millis(20));
        now.fetch_sub(1, Ordering::SeqCst);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    }
}

#[test]
fn of_several_machines_one_at_a_time_probes_and_each_probe_counts() {
    const PROBES: u32 = 1_000;
    let reference = store();
    // Open until long ago: half-open for whoever comes.
    let open = json!({"fleet": {"open_until_ms": 1_000, "half_open_remaining_probes": PROBES}}).to_string();
    let headers = Vec::new();
    forward(reference.url(), &Recorded { method: "PUT".to_owned(), path: String::new(), headers, body: open });
    let crowd = Crowd::start();
    thread::scope(|scope| {
        for options in machines(reference.url(), 4) {
            let endpoint = &crowd.endpoint;
            scope.spawn(move || {
                let options = options.circuit_breaker_half_open_probes(PROBES);
                let pusher = OtlpPusher::new(OtlpTransport::HttpJson, endpoint, &options).unwrap();
                for _ in 0..12 {
                    match pusher.push_payload(JSON.as_bytes()) {
                        Ok(_) | Err(TelemetryError::ProbeInFlight { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    let (most, all) = (crowd.most.load(Ordering::SeqCst), crowd.all.load(Ordering::SeqCst));
    assert_eq!(most, 1, "{all} probes");
    assert!(all > 0);
    let state = state(reference.url());
    assert_eq!(state["half_open_remaining_probes"], PROBES - all, "{state}");
    assert_eq!(state["half_open_in_flight"], false, "{state}");
}
