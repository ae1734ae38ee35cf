//! The client against a store that records and against the reference store.

use super::*;
use crate::breaker_store::{BreakerStore, BreakerStoreOptions};
use proptest::prelude::*;
use scripted_store::{Reply, ScriptedStore};
use serde_json::json;
use std::sync::Arc;

#[path = "../../../tests/replication_metrics_phase_d/servers/scripted_store.rs"]
mod scripted_store;

const BUDGET: Duration = Duration::from_secs(30);

fn client() -> Client {
    // The provider may have been set by another test: then it is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

fn settings(url: &str, mode: HttpStoreMode) -> HttpStoreSettings {
    HttpStoreSettings {
        url: url.parse().unwrap(),
        mode,
        cas: false,
        lease_id: None,
        write_attempts: 1,
        client: Some(client()),
    }
}

fn with_cas(url: &str, mode: HttpStoreMode, write_attempts: u32) -> HttpStoreSettings {
    HttpStoreSettings { cas: true, write_attempts, ..settings(url, mode) }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn failures(count: u32) -> BreakerState {
    BreakerState { consecutive_failures: count, ..BreakerState::default() }
}

/// Counts one failure more.
async fn fail(store: &HttpStore, key: &str) -> Result<BreakerState, StoreError> {
    store.update(key, None, &[], &mut |state| state.consecutive_failures += 1, BUDGET).await
}

const MODES: [HttpStoreMode; 4] = [
    HttpStoreMode::Document,
    HttpStoreMode::Patch,
    HttpStoreMode::Batch { max_keys: 3 },
    HttpStoreMode::Merge { max_keys: 3 },
];

#[test]
fn a_document_is_read_changed_and_put_back_with_all_that_others_have_in_it() {
    let document = r#"{"k":{"consecutive_failures":2,"ours":false},"other":{"open_until_ms":7,"x":1.50}}"#;
    let scripted = ScriptedStore::answering([Reply::of(200, document), Reply::of(204, "")]);
    let store = HttpStore::new(settings(&format!("{}?a=1&b", scripted.url), HttpStoreMode::Document));
    assert_eq!(run(fail(&store, "k")).unwrap(), failures(3));
    let [get, put] = &scripted.requests()[..] else { panic!("two requests") };
    assert_eq!((&get.method[..], &get.path[..]), ("GET", "/breaker?a=1&b"));
    assert_eq!((&put.method[..], &put.path[..]), ("PUT", "/breaker?a=1&b"));
    assert_eq!(put.header("content-type"), Some("application/json"));
    for request in [get, put] {
        for name in
            ["x-kitedb-breaker-mode", "x-kitedb-breaker-key", "x-kitedb-breaker-lease", "if-match", "if-none-match"]
        {
            assert_eq!(request.header(name), None, "{request:?}");
        }
        assert_eq!(request.header("connection"), Some("close"));
    }
    assert!(put.body.contains(r#""other":{"open_until_ms":7,"x":1.50}"#), "{put:?}");
    assert_eq!(put.json()["k"]["consecutive_failures"], 3);
    assert_eq!(put.json()["k"]["ours"], false);
}

#[test]
fn a_key_is_read_and_patched_with_the_headers_of_the_mode_and_the_lease_on_all() {
    for (mode, name) in MODES.into_iter().skip(1).zip(["patch-v1", "patch-batch-v1", "patch-merge-v1"]) {
        let scripted = ScriptedStore::answering([Reply::of(404, "gone"), Reply::of(200, "anything")]);
        let store =
            HttpStore::new(HttpStoreSettings { lease_id: Some("lease 7".to_owned()), ..settings(&scripted.url, mode) });
        run(fail(&store, "http://c:4318/v1")).unwrap();
        let [get, patch] = &scripted.requests()[..] else { panic!("two requests") };
        assert_eq!((&get.method[..], &patch.method[..]), ("GET", "PATCH"));
        assert_eq!(get.header("x-kitedb-breaker-mode"), Some("patch-v1"));
        assert_eq!(patch.header("x-kitedb-breaker-mode"), Some(name));
        assert_eq!(patch.header("content-type"), Some("application/json"));
        for request in [get, patch] {
            assert_eq!(request.header("x-kitedb-breaker-key"), Some("http://c:4318/v1"));
            assert_eq!(request.header("x-kitedb-breaker-lease"), Some("lease 7"));
        }
        assert!(patch.body.contains(r#""key":"http://c:4318/v1""#), "{patch:?}");
    }
}

#[test]
fn nothing_is_written_when_nothing_changed() {
    for (mode, body) in
        MODES.into_iter().zip([r#"{"k":{"open_until_ms":3}}"#].into_iter().chain([r#"{"open_until_ms":3}"#; 3]))
    {
        let scripted = ScriptedStore::start(move |_, _| Reply::of(200, body));
        let store = HttpStore::new(settings(&scripted.url, mode));
        let state = run(store.update("k", Some(&failures(9)), &[], &mut |_| {}, BUDGET)).unwrap();
        assert_eq!(state.open_until_ms, 3, "the entry of the store goes before memory");
        assert_eq!(scripted.methods(), ["GET"]);
    }
}

#[test]
fn memory_takes_the_place_of_an_absent_entry_and_is_written_then() {
    for mode in MODES {
        let scripted = ScriptedStore::answering([Reply::of(404, ""), Reply::of(200, "")]);
        let store = HttpStore::new(settings(&scripted.url, mode));
        let state = run(store.update("k", Some(&failures(9)), &[], &mut |_| {}, BUDGET)).unwrap();
        assert_eq!(state, failures(9));
        assert!(scripted.requests()[1].body.contains(r#""consecutive_failures":9"#));
    }
}

#[test]
fn a_state_that_is_all_0_is_deleted() {
    for (mode, body, want) in [
        (HttpStoreMode::Document, r#"{"k":{"open_until_ms":3},"o":{}}"#, json!({"o": {}})),
        (HttpStoreMode::Patch, r#"{"open_until_ms":3}"#, json!({"key": "k", "state": null})),
        (
            HttpStoreMode::Batch { max_keys: 8 },
            r#"{"open_until_ms":3}"#,
            json!({"updates": [{"key": "k", "state": null}]}),
        ),
    ] {
        let scripted = ScriptedStore::answering([Reply::of(200, body), Reply::of(200, "")]);
        let store = HttpStore::new(settings(&scripted.url, mode));
        run(store.update("k", None, &[], &mut |state| *state = BreakerState::default(), BUDGET)).unwrap();
        assert_eq!(scripted.requests()[1].json(), want);
    }
}

#[test]
fn pending_keys_of_the_store_go_along_even_if_nothing_else_changed() {
    let pending = [("b".to_owned(), Some(failures(1))), ("c".to_owned(), None), ("d".to_owned(), Some(failures(2)))];
    for (mode, keys) in
        [(MODES[0], 0), (MODES[1], 0), (MODES[2], 3), (MODES[3], 3), (HttpStoreMode::Merge { max_keys: 1 }, 0)]
    {
        let scripted = ScriptedStore::answering([Reply::of(404, ""), Reply::of(200, "")]);
        let store = HttpStore::new(settings(&scripted.url, mode));
        run(store.update("k", None, &pending, &mut |_| {}, BUDGET)).unwrap();
        let requests = scripted.requests();
        assert_eq!(requests.len(), if keys > 0 { 2 } else { 1 }, "{mode:?}");
        if let Some(patch) = requests.get(1) {
            let updates = patch.json()["updates"].as_array().unwrap().clone();
            assert_eq!(
                updates.iter().map(|update| update["key"].as_str().unwrap()).collect::<Vec<_>>(),
                ["k", "b", "c"]
            );
            assert_eq!(updates.len(), store.companions() + 1);
        }
    }
}

#[test]
fn a_conflict_is_followed_by_a_read_and_the_change_of_what_was_read() {
    for status in [409, 412] {
        for mode in MODES {
            let body = |failures| match mode {
                HttpStoreMode::Document => format!(r#"{{"k":{{"consecutive_failures":{failures}}}}}"#),
                _ => format!(r#"{{"consecutive_failures":{failures}}}"#),
            };
            let scripted = ScriptedStore::answering([
                Reply::tagged(200, "v1", &body(1)),
                Reply::tagged(status, "v2", ""),
                Reply::tagged(200, "W/\"v3\"", &body(5)),
                Reply::of(200, ""),
            ]);
            let store = HttpStore::new(with_cas(&scripted.url, mode, 2));
            assert_eq!(run(fail(&store, "k")).unwrap(), failures(6));
            let requests = scripted.requests();
            assert_eq!(requests.len(), 4);
            assert_eq!(requests[1].header("if-match"), Some("v1"));
            assert_eq!(requests[3].header("if-match"), Some("W/\"v3\""));
            assert!(requests[3].body.contains(r#""consecutive_failures":6"#), "{requests:?}");
            assert!(requests.iter().all(|request| request.header("if-none-match").is_none()));
        }
    }
}

#[test]
fn conflicts_without_end_are_an_error_after_as_many_writes_as_allowed() {
    for (attempts, want) in [(1, 2), (3, 6)] {
        let scripted = ScriptedStore::start(|_, request| match &request.method[..] {
            "GET" => Reply::tagged(200, "v", "{}"),
            _ => Reply::of(412, ""),
        });
        let store = HttpStore::new(with_cas(&scripted.url, HttpStoreMode::Patch, attempts));
        let error = run(fail(&store, "k")).unwrap_err().to_string();
        assert!(error.contains(&format!("each of {attempts} writes met")), "{error}");
        assert_eq!(scripted.requests().len(), want);
    }
    // Who did not ask for conditions has no conflict to look after.
    let scripted = ScriptedStore::answering([Reply::of(404, ""), Reply::of(409, "")]);
    let store =
        HttpStore::new(HttpStoreSettings { write_attempts: 5, ..settings(&scripted.url, HttpStoreMode::Patch) });
    assert!(run(fail(&store, "k")).unwrap_err().to_string().contains("status 409"));
    assert_eq!(scripted.requests().len(), 2);
}

#[test]
fn a_write_of_what_does_not_exist_says_so() {
    for (mode, reply, header) in [
        (HttpStoreMode::Patch, Reply::of(404, ""), "if-none-match"),
        (HttpStoreMode::Patch, Reply::of(200, "null"), "if-none-match"),
        (HttpStoreMode::Patch, Reply::of(200, "{}"), "if-match"),
        (HttpStoreMode::Document, Reply::of(404, ""), "if-none-match"),
        (HttpStoreMode::Document, Reply::of(200, ""), "if-none-match"),
        (HttpStoreMode::Document, Reply::of(200, "{}"), "if-match"),
    ] {
        let scripted = ScriptedStore::answering([reply, Reply::of(200, "")]);
        let store = HttpStore::new(with_cas(&scripted.url, mode, 1));
        run(fail(&store, "k")).unwrap();
        let write = &scripted.requests()[1];
        assert_eq!(write.header(header), Some("*"), "{write:?}");
        assert_eq!(write.headers.iter().filter(|(name, _)| name.starts_with("if-")).count(), 1);
    }
}

#[test]
fn what_is_no_answer_is_an_error_that_shows_no_secret() {
    let long = format!("{{\"x\":\"{}\"}}", "y".repeat(5 << 20));
    for (reply, phrase) in [
        (Reply::of(500, "{}"), "status 500"),
        (Reply::of(403, "{}"), "status 403"),
        (Reply::Answer(302, vec![("location", "http://127.0.0.1:9/".to_owned())], Vec::new()), "status 302"),
        (Reply::of(200, "<html>"), "no breaker state"),
        (Reply::of(200, &long), "longer than 4 MiB"),
        (Reply::Answer(200, vec![("content-encoding", "gzip".to_owned())], vec![0x1F, 0x8B, 8, 0]), "not UTF-8"),
        (Reply::Cut, "error sending request"),
        (Reply::Silence, "not done within 200 ms"),
    ] {
        let scripted = ScriptedStore::answering([reply]);
        let url = scripted.url.replace("http://", "http://user:hunter2@") + "?token=hunter2";
        let lease_id = Some("hunter2".to_owned());
        let store = HttpStore::new(HttpStoreSettings { lease_id, ..with_cas(&url, HttpStoreMode::Patch, 3) });
        let budget = if phrase.contains("200 ms") { Duration::from_millis(200) } else { BUDGET };
        let error = run(store.read("k", budget)).unwrap_err().to_string();
        assert!(error.contains(phrase) && error.contains(&scripted.url), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        assert_eq!(scripted.methods(), ["GET"], "an error is not a conflict");
        assert_eq!(scripted.requests()[0].header("authorization"), Some("Basic dXNlcjpodW50ZXIy"));
    }
    let nobody = HttpStore::new(settings("http://127.0.0.1:1/", HttpStoreMode::Document));
    assert!(run(nobody.read("k", BUDGET)).unwrap_err().to_string().contains("refused"));
    let without = HttpStore::new(HttpStoreSettings { client: None, ..nobody.settings });
    assert!(run(without.read("k", BUDGET)).unwrap_err().to_string().contains("no client"));
}

/// Several clients, each on its own runtime, count at the same time: what each was told is taken is there in the end.
#[test]
fn no_update_of_clients_on_one_store_with_cas_is_lost() {
    const CLIENTS: u32 = 4;
    const EACH: u32 = 25;
    for mode in MODES {
        let server = BreakerStore::start(BreakerStoreOptions { listen: "127.0.0.1:0".to_owned(), file: None }).unwrap();
        let store = Arc::new(HttpStore::new(with_cas(server.url(), mode, 3)));
        let threads: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let store = store.clone();
                std::thread::spawn(move || {
                    run(async {
                        let mut taken = 0;
                        for _ in 0..EACH {
                            taken += u32::from(fail(&store, "k").await.is_ok());
                        }
                        taken
                    })
                })
            })
            .collect();
        let taken: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert!(taken >= EACH, "one of them always gets through: {taken}");
        assert_eq!(run(store.read("k", BUDGET)).unwrap(), Some(failures(taken)), "{mode:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Somebody else writes between a read and the write that follows, so many times: what was taken is what was told,
    /// and nothing of anybody's is lost.
    #[test]
    fn a_write_in_between_is_never_lost(
        mode in prop::sample::select(&MODES[..]),
        attempts in 1_u32..4,
        intrusions in 0_u32..5,
        same_key in any::<bool>(),
    ) {
        let server = BreakerStore::start(BreakerStoreOptions { listen: "127.0.0.1:0".to_owned(), file: None }).unwrap();
        let store = HttpStore::new(with_cas(server.url(), mode, attempts));
        let other = HttpStore::new(with_cas(server.url(), mode, 1));
        let key = if same_key { "k" } else { "other" };
        let mut seen = 0;
        let told = run(store.update("k", None, &[], &mut |state| {
            if seen < intrusions {
                std::thread::scope(|scope| scope.spawn(|| run(fail(&other, key)).unwrap()).join().unwrap());
                seen += 1;
            }
            state.consecutive_failures += 1;
        }, BUDGET));

        // The document is one thing for all keys.
        let in_the_way = same_key || mode == HttpStoreMode::Document;
        prop_assert_eq!(told.is_ok(), !in_the_way || intrusions < attempts, "{:?}", told);
        let own = u32::from(told.is_ok());
        let read = |key| run(store.read(key, BUDGET)).unwrap().map_or(0, |state| state.consecutive_failures);
        if same_key {
            prop_assert_eq!(read("k"), seen + own);
        } else {
            prop_assert_eq!((read("k"), read("other")), (own, seen));
        }
        if let Err(error) = told {
            prop_assert!(error.is_conflict());
        }
    }
}
