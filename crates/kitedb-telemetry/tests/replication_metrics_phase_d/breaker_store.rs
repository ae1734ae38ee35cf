//! The reference store by itself, spoken to as any HTTP client would.

use kitedb_telemetry::breaker_store::{BreakerStore, BreakerStoreOptions};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    thread,
    time::Duration,
};

pub fn store() -> BreakerStore {
    BreakerStore::start(BreakerStoreOptions::new().listen("127.0.0.1:0".to_owned()).file(None)).unwrap()
}

fn store_at(file: &Path) -> BreakerStore {
    let options = BreakerStoreOptions::new().listen("127.0.0.1:0".to_owned()).file(Some(file.to_owned()));
    BreakerStore::start(options).unwrap()
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Answer {
    fn tag(&self) -> &str {
        &self.headers["etag"]
    }

    fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap()
    }

    /// A refusal that says why.
    #[track_caller]
    fn refused(&self, status: u16, phrase: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.json()["error"].as_str().unwrap().contains(phrase), "{self:?}");
        assert_eq!(self.headers["content-type"], "application/json");
    }
}

fn ask(store: &BreakerStore, method: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    ask_with_length(store, method, headers, body, &body.len().to_string())
}

fn ask_with_length(store: &BreakerStore, method: &str, headers: &[(&str, &str)], body: &str, length: &str) -> Answer {
    let address = store.url().trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut head = format!("{method} /any/path?x HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    write!(stream, "{head}content-length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| line.split_once(": ").unwrap());
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Answer { status, headers, body: body.to_owned() }
}

fn mode<'a>(mode: &'a str, key: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![("x-kitedb-breaker-mode", mode), ("X-KiteDB-Breaker-Key", key)]
}

fn get(store: &BreakerStore, key: &str) -> Answer {
    ask(store, "GET", &mode("patch-v1", key), "")
}

fn patch(store: &BreakerStore, key: &str, state: &Json, condition: Option<(&str, &str)>) -> Answer {
    let headers = [mode("patch-v1", key), condition.into_iter().collect()].concat();
    ask(store, "PATCH", &headers, &json!({"key": key, "state": state}).to_string())
}

#[test]
fn a_document_is_given_back_as_it_was_put() {
    let store = store();
    ask(&store, "GET", &[], "").refused(404, "nothing was written yet");
    let document = r#"{"b":{"open_until_ms":7,"later":[1.50]},"a":{}}"#;
    let put = ask(&store, "PUT", &[("content-type", "application/json")], document);
    assert_eq!((put.status, &put.body[..]), (204, ""));
    let got = ask(&store, "GET", &[], "");
    assert_eq!((got.status, got.tag()), (200, put.tag()));
    assert_eq!(got.body, r#"{"a":{},"b":{"open_until_ms":7,"later":[1.50]}}"#);
    assert_eq!(get(&store, "b").body, r#"{"open_until_ms":7,"later":[1.50]}"#);
    get(&store, "c").refused(404, "there is no state for `c`");
    assert!(got.tag().starts_with('"') && got.tag().ends_with('"'), "a strong tag: {got:?}");
}

#[test]
fn keys_are_patched_one_by_one_or_several_at_once() {
    let store = store();
    assert_eq!(patch(&store, "a", &json!({"generation": 1}), None).status, 204);
    let updates = json!([{"key": "b", "state": {"generation": 2}}, {"key": "a", "state": null}]);
    let batch = json!({ "updates": updates }).to_string();
    assert_eq!(ask(&store, "PATCH", &mode("patch-batch-v1", "b"), &batch).status, 204);
    assert_eq!(ask(&store, "GET", &[], "").json(), json!({"b": {"generation": 2}}));
    let updates = json!([{"key": "c", "state": {"generation": 3}}, {"key": "b", "state": {"generation": 4}}]);
    let merge = json!({"scope_key": "c", "total_keys": 9, "truncated": true, "updates": updates}).to_string();
    assert_eq!(ask(&store, "PATCH", &mode("patch-merge-v1", "c"), &merge).status, 204);
    assert_eq!(ask(&store, "GET", &[], "").json(), json!({"b": {"generation": 4}, "c": {"generation": 3}}));
    // What is deleted is gone, and the document is there all the same.
    for key in ["b", "c"] {
        assert!(!patch(&store, key, &json!(null), None).headers.contains_key("etag"));
        assert_eq!(get(&store, key).status, 404);
    }
    assert_eq!(ask(&store, "GET", &[], "").json(), json!({}));
}

#[test]
fn conditions_are_heeded_for_each_key_and_for_the_document() {
    let store = store();
    let (one, two) = (json!({"generation": 1}), json!({"generation": 2}));
    patch(&store, "a", &one, Some(("if-match", "*"))).refused(412, "does not exist");
    let first = patch(&store, "a", &one, Some(("if-none-match", "*")));
    assert_eq!(first.status, 204);
    let again = patch(&store, "a", &two, Some(("if-none-match", "*")));
    again.refused(412, "read it again");
    assert_eq!(again.tag(), first.tag(), "a refusal tells the tag that there is");
    // Another key has a tag of its own; the document's changes with both.
    let document = ask(&store, "GET", &[], "").tag().to_owned();
    patch(&store, "b", &one, None);
    assert_eq!(get(&store, "a").tag(), first.tag());
    ask(&store, "PUT", &[("if-match", &document)], "{}").refused(412, "read it again");

    patch(&store, "a", &two, Some(("if-match", "\"other\""))).refused(412, "read it again");
    let weak = format!("W/{}", first.tag());
    patch(&store, "a", &two, Some(("if-match", &weak))).refused(412, "read it again");
    let listed = format!("\"other\", {}", first.tag());
    let second = patch(&store, "a", &two, Some(("if-match", &listed)));
    assert_eq!(second.status, 204);
    assert_ne!(second.tag(), first.tag());
    patch(&store, "a", &one, Some(("if-match", first.tag()))).refused(412, "read it again");
    patch(&store, "a", &one, Some(("if-none-match", second.tag()))).refused(412, "read it again");
    assert_eq!(patch(&store, "a", &two, Some(("if-match", "*"))).status, 204);

    // The tag of a key that a PUT leaves as it is does not change; that of one that it changes does.
    let (a, b) = (get(&store, "a"), get(&store, "b"));
    let document = ask(&store, "GET", &[], "").tag().to_owned();
    let put = json!({"a": {"generation": 7}, "b": b.json()}).to_string();
    assert_eq!(ask(&store, "PUT", &[("if-match", &document)], &put).status, 204);
    assert_eq!(get(&store, "b").tag(), b.tag());
    assert_ne!(get(&store, "a").tag(), a.tag());
}

#[test]
fn a_batch_is_taken_as_a_whole_or_not_at_all() {
    let store = store();
    patch(&store, "a", &json!({"generation": 1}), None);
    for updates in [
        json!([{"key": "a", "state": {"generation": 2}}, {"key": "b", "state": {"generation": -1}}]),
        json!([{"key": "a", "state": {"generation": 2}}, {"key": "a", "state": {"generation": 3}}]),
        json!([{"key": "b", "state": {"generation": 2}}]),
        json!([]),
    ] {
        let body = json!({ "updates": updates }).to_string();
        ask(&store, "PATCH", &mode("patch-batch-v1", "a"), &body).refused(400, "");
        assert_eq!(ask(&store, "GET", &[], "").json(), json!({"a": {"generation": 1}}));
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_a_reason() {
    let store = store();
    let key = mode("patch-v1", "k");
    for (method, headers, body, status, phrase) in [
        ("PUT", vec![], "{", 400, "EOF"),
        ("PUT", vec![], "", 400, "empty"),
        ("PUT", vec![], "[]", 400, "no document"),
        ("PUT", vec![], r#"{"k":7}"#, 400, "`k`: no breaker state"),
        ("PUT", vec![], r#"{"k":null}"#, 400, "`k`: no breaker state"),
        ("PUT", vec![], r#"{"k":{"open_until_ms":-7}}"#, 400, "`k`: no breaker state"),
        ("PUT", key.clone(), "{}", 400, "neither"),
        ("GET", mode("patch-v1", "k")[..1].to_vec(), "", 400, "neither"),
        ("GET", mode("patch-v1", "k")[1..].to_vec(), "", 400, "neither"),
        ("GET", mode("patch-v2", "k"), "", 400, "neither"),
        ("GET", mode("patch-batch-v1", "k"), "", 400, "neither"),
        ("GET", mode("patch-v1", "schlüssel"), "", 400, "visible ASCII"),
        ("PATCH", vec![], "{}", 400, "neither"),
        ("PATCH", mode("patch-v9", "k"), "{}", 400, "neither"),
        ("PATCH", key.clone(), "{}", 400, "missing field `key`"),
        ("PATCH", key.clone(), r#"{"key":"k"}"#, 400, "missing field `state`"),
        ("PATCH", key.clone(), r#"{"key":"other","state":null}"#, 400, "not among the updates"),
        ("PATCH", mode("patch-batch-v1", "k"), r#"{"key":"k","state":null}"#, 400, "missing field `updates`"),
        (
            "PATCH",
            mode("patch-merge-v1", "k"),
            r#"{"scope_key":"x","total_keys":1,"truncated":false,"updates":[{"key":"k","state":null}]}"#,
            400,
            "scope_key",
        ),
        (
            "PATCH",
            mode("patch-merge-v1", "k"),
            r#"{"scope_key":"k","total_keys":1,"truncated":true,"updates":[{"key":"k","state":null}]}"#,
            400,
            "truncated",
        ),
        ("POST", vec![], "{}", 405, "GET, PUT and PATCH"),
        ("DELETE", key, "", 405, "GET, PUT and PATCH"),
    ] {
        ask(&store, method, &headers, body).refused(status, phrase);
    }
    // Refused before it is sent.
    let length = (5 << 20).to_string();
    ask_with_length(&store, "PUT", &[], "", &length).refused(413, "4 MiB");
    ask(&store, "GET", &[], "").refused(404, "nothing was written yet");
}

#[test]
fn a_document_that_no_client_would_take_in_is_not_kept() {
    let store = store();
    let state = json!({"open_until_ms": 1, "x": "y".repeat(3 << 20)});
    assert_eq!(patch(&store, "a", &state, None).status, 204);
    patch(&store, "b", &state, None).refused(507, "4 MiB");
    assert_eq!(get(&store, "b").status, 404);
    assert_eq!(patch(&store, "a", &json!(null), None).status, 204);
    assert_eq!(patch(&store, "b", &state, None).status, 204);
}

#[test]
fn a_lease_comes_back_with_every_answer() {
    let store = store();
    for (method, status) in [("GET", 404), ("PUT", 400), ("POST", 405)] {
        let answer = ask(&store, method, &[("x-kitedb-breaker-lease", "lease 7")], "");
        assert_eq!((answer.status, &answer.headers["x-kitedb-breaker-lease"][..]), (status, "lease 7"));
    }
    assert!(!ask(&store, "GET", &[], "").headers.contains_key("x-kitedb-breaker-lease"));
}

#[test]
fn a_file_keeps_the_document_and_a_tag_of_before_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("states.json");
    let store = store_at(&file);
    ask(&store, "GET", &[], "").refused(404, "nothing was written yet");
    assert!(!file.exists());
    let tag = patch(&store, "a", &json!({"generation": 1, "later": "kept"}), None).tag().to_owned();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), r#"{"a":{"generation":1,"later":"kept"}}"#);
    store.stop();

    let store = store_at(&file);
    let found = get(&store, "a");
    assert_eq!(found.json(), json!({"generation": 1, "later": "kept"}));
    assert_ne!(found.tag(), tag);
    patch(&store, "a", &json!(null), Some(("if-match", &tag))).refused(412, "read it again");
    assert_eq!(patch(&store, "a", &json!(null), Some(("if-match", found.tag()))).status, 204);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{}");
    drop(store);
    assert_eq!(ask(&store_at(&file), "GET", &[], "").json(), json!({}));
}

#[test]
fn a_write_that_cannot_be_kept_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let store = store_at(&inner.join("states.json"));
    assert_eq!(patch(&store, "a", &json!({"generation": 1}), None).status, 204);
    std::fs::rename(&inner, folder.path().join("away")).unwrap();
    patch(&store, "a", &json!({"generation": 2}), None).refused(500, "cannot write the file");
    assert_eq!(get(&store, "a").json(), json!({"generation": 1}));
    std::fs::rename(folder.path().join("away"), &inner).unwrap();
    assert_eq!(patch(&store, "a", &json!({"generation": 2}), None).status, 204);
}

#[test]
fn a_client_that_stalls_holds_up_neither_others_nor_a_stop() {
    let store = store();
    let address = store.url().trim_start_matches("http://").trim_end_matches('/').to_owned();
    let stalled: Vec<_> = ["", "PUT / HTTP/1.1\r\n", "PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{"]
        .into_iter()
        .map(|part| {
            let mut stream = TcpStream::connect(&address).unwrap();
            stream.write_all(part.as_bytes()).unwrap();
            stream
        })
        .collect();
    assert_eq!(patch(&store, "a", &json!({}), None).status, 204);
    store.stop();
    drop(stalled);
    assert!(TcpStream::connect(&address).is_err());
}

#[test]
fn of_writers_with_the_same_tag_one_is_taken() {
    let store = store();
    let tag = patch(&store, "k", &json!({"generation": 1}), None).tag().to_owned();
    let taken: u32 = thread::scope(|scope| {
        let one = |writer: u32| {
            let (store, tag) = (&store, &tag);
            move || {
                u32::from(patch(store, "k", &json!({"failure_streak": writer}), Some(("if-match", tag))).status == 204)
            }
        };
        let writers: Vec<_> = (1..=8).map(|writer| scope.spawn(one(writer))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    assert_eq!(taken, 1);
}

#[derive(Debug, Clone)]
enum Step {
    Put(BTreeMap<u8, u32>),
    Patch(Vec<(u8, Option<u32>)>),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..4_u8;
    let put = prop::collection::btree_map(key.clone(), any::<u32>(), 0..4).prop_map(Step::Put);
    let patch = prop::collection::btree_map(key, any::<Option<u32>>(), 1..4);
    let patch = patch.prop_map(|updates| Step::Patch(updates.into_iter().collect()));
    prop::collection::vec(prop_oneof![2 => put, 6 => patch, 1 => Just(Step::Restart)], 1..12)
}

fn document_of(states: &BTreeMap<String, u32>) -> Json {
    states.iter().map(|(key, n)| (key.clone(), json!({"failure_streak": n}))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is written, in whatever way, the store is a map, and a tag tells whether a key changed.
    #[test]
    fn it_is_a_map(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("states.json");
        let mut store = store_at(&file);
        let mut model: Option<BTreeMap<String, u32>> = None;
        let mut tags: BTreeMap<String, (u32, String)> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Put(states) => {
                    let states: BTreeMap<_, _> = states.into_iter().map(|(key, n)| (format!("k{key}"), n)).collect();
                    let document = document_of(&states);
                    prop_assert_eq!(ask(&store, "PUT", &[], &document.to_string()).status, 204);
                    model = Some(states);
                }
                Step::Patch(updates) => {
                    let model = model.get_or_insert_default();
                    let mut list = Vec::new();
                    for (key, n) in updates {
                        let key = format!("k{key}");
                        list.push(json!({"key": key, "state": n.map(|n| json!({"failure_streak": n}))}));
                        match n {
                            Some(n) => model.insert(key, n),
                            None => model.remove(&key),
                        };
                    }
                    let key = list[0]["key"].as_str().unwrap().to_owned();
                    let body = json!({"updates": list}).to_string();
                    prop_assert_eq!(ask(&store, "PATCH", &mode("patch-batch-v1", &key), &body).status, 204);
                }
                Step::Restart => {
                    store.stop();
                    store = store_at(&file);
                    tags.clear();
                }
            }
            let whole = ask(&store, "GET", &[], "");
            match &model {
                None => prop_assert_eq!(whole.status, 404),
                Some(model) => {
                    prop_assert_eq!(whole.json(), document_of(model));
                    for (key, n) in model {
                        let tag = get(&store, key).tag().to_owned();
                        if let Some((before, old)) = tags.insert(key.clone(), (*n, tag.clone())) {
                            prop_assert!(before == *n || old != tag, "{} changed and kept its tag", key);
                        }
                    }
                    tags.retain(|key, _| model.contains_key(key));
                }
            }
        }
    }
}
