//! Bytes in place of JSON, by parts, and pages that are waited for.

use super::server::{Server, at_any_port, by_token, commit, primary, told};
use kitedb_core::{Database, GraphRead, OpenOptions};
use reqwest::{Method, Response, StatusCode};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::{fs, time::Duration};

const SNAPSHOT: &str = "/api/replication/snapshot/latest";
const LOG: &str = "/api/replication/log";
const TRANSPORT: &str = "/api/replication/transport/log";

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers()[name].to_str().unwrap()
}

async fn bytes(server: &Server, route: &str, headers: &[(&str, &str)]) -> Response {
    let asked = server.ask(Method::GET, route).header("accept", "application/octet-stream");
    headers.iter().fold(asked, |asked, (name, value)| asked.header(*name, *value)).send().await.unwrap()
}

#[tokio::test]
async fn a_copy_that_was_cut_off_goes_on_though_commits_went_on() {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 5);
    let server = Server::of(&db, by_token()).await;
    let whole = bytes(&server, SNAPSHOT, &[]).await;
    assert_eq!(whole.status(), StatusCode::OK);
    let (etag, digest) = (header(&whole, "etag").to_owned(), header(&whole, "repr-digest").to_owned());
    assert_eq!(header(&whole, "kite-head-log-index"), "5");
    let whole = whole.bytes().await.unwrap();
    let sha256 = Sha256::digest(&whole);
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    assert_eq!(digest, format!("sha-256=:{}:", BASE64_STANDARD.encode(sha256)));

    commit(&db, 3);
    db.checkpoint().unwrap();
    let half = whole.len() / 2;
    let rest = bytes(&server, SNAPSHOT, &[("range", &format!("bytes={half}-")), ("if-range", &etag)]).await;
    assert_eq!(rest.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(header(&rest, "content-range"), format!("bytes {half}-{}/{}", whole.len() - 1, whole.len()));
    assert_eq!(header(&rest, "repr-digest"), digest);
    let rest = rest.bytes().await.unwrap();
    assert_eq!([&whole[..half], &rest[..]].concat(), whole);
    let copy = dir.path().join("copy.kitedb");
    fs::write(&copy, &whole).unwrap();
    let copy = Database::open(copy, OpenOptions::new().read_only(true)).unwrap();
    assert_eq!(copy.snapshot().unwrap().count_nodes(), 5);

    // Of another copy than the one that is begun, all is given; who has it is told so.
    let other = bytes(&server, SNAPSHOT, &[("range", "bytes=1-"), ("if-range", "\"another\"")]).await;
    assert_eq!((other.status(), header(&other, "kite-head-log-index")), (StatusCode::OK, "8"));
    let newest = header(&other, "etag").to_owned();
    assert_ne!(newest, etag);
    let known = bytes(&server, SNAPSHOT, &[("if-none-match", &newest)]).await;
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    let beyond = bytes(&server, SNAPSHOT, &[("range", "bytes=999999999-")]).await;
    assert_eq!(header(&beyond, "content-range"), format!("bytes */{}", header(&other, "content-length")));
    let (status, body) = told(beyond).await;
    assert_eq!((status, &body["code"]), (StatusCode::RANGE_NOT_SATISFIABLE, &json!("RANGE_NOT_SATISFIABLE")));
}

#[tokio::test]
async fn a_page_of_bytes_has_the_frames_of_the_page_in_json() {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let dir = tempfile::tempdir().unwrap();
    let db = primary(&dir.path().join("p.kitedb"), 4);
    let server = Server::of(&db, by_token()).await;
    let (_, page) = server.get(&format!("{LOG}?maxFrames=3")).await;
    let raw = bytes(&server, &format!("{LOG}?maxFrames=3"), &[]).await;
    for (name, member) in [("kite-next-cursor", "nextCursor"), ("kite-epoch", "epoch"), ("kite-eof", "eof")] {
        assert_eq!(header(&raw, name), page[member].to_string().trim_matches('"'), "{name}");
    }
    assert_eq!((header(&raw, "kite-frame-count"), header(&raw, "kite-head-log-index")), ("3", "4"));
    let raw = raw.bytes().await.unwrap();
    let (mut rest, mut frames) = (&raw[..], Vec::new());
    while let Some((len, after)) = rest.split_first_chunk::<4>() {
        let (frame, after) = after.split_at(u32::from_le_bytes(*len) as usize);
        frames.push(BASE64_STANDARD.encode(frame));
        rest = after;
    }
    let payloads: Vec<_> = page["frames"].as_array().unwrap().iter().map(|frame| &frame["payloadBase64"]).collect();
    assert_eq!(payloads, frames.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_page_is_waited_for_until_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.kitedb");
    let db = primary(&path, 2);
    for server in [Server::of(&db, by_token()).await, Server::beside(&path, by_token()).await] {
        let (_, page) = server.get(LOG).await;
        let after = page["nextCursor"].as_str().unwrap().to_owned();
        let route = format!("{LOG}?cursor={after}&waitMs=30000");
        let mut waiting: Vec<_> = (0..20).map(|_| tokio::spawn(server.ask(Method::GET, &route).send())).collect();
        // None of them has come to its end by itself; they would do so after 30 s.
        assert!(tokio::time::timeout(Duration::from_millis(200), &mut waiting[0]).await.is_err());
        commit(&db, 1);
        for answer in waiting {
            let (status, page) = told(answer.await.unwrap().unwrap()).await;
            assert_eq!((status, &page["frameCount"]), (StatusCode::OK, &json!(1)), "{page}");
            assert_eq!(page["headLogIndex"], page["frames"][0]["logIndex"].as_str().unwrap().parse::<u64>().unwrap());
        }
        // Nothing comes: it answers so.
        let (_, page) = server.get(LOG).await;
        let last = page["nextCursor"].as_str().unwrap().to_owned();
        let (status, page) = server.get(&format!("{LOG}?cursor={last}&waitMs=20")).await;
        assert_eq!((status, &page["frameCount"], &page["eof"]), (StatusCode::OK, &json!(0), &json!(true)));
        // What is gone is told at once, however long whoever asks would wait.
        let (status, page) = server.get(&format!("{LOG}?cursor=1:99&waitMs=30000")).await;
        assert_eq!((status, &page["gap"]["reason"]), (StatusCode::OK, &json!("off_history")), "{page}");
    }
}

#[tokio::test]
async fn what_is_carried_elsewhere_is_waited_for_alike() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.kitedb");
    let db = primary(&path, 2);
    for server in [Server::of(&db, by_token()).await, Server::beside(&path, by_token()).await] {
        let (_, page) = server.get(TRANSPORT).await;
        let route = format!("{TRANSPORT}?cursor={}&waitMs=30000", page["next_cursor"].as_str().unwrap());
        let mut waiting = tokio::spawn(server.ask(Method::GET, &route).send());
        assert!(tokio::time::timeout(Duration::from_millis(200), &mut waiting).await.is_err());
        commit(&db, 1);
        let (status, page) = told(waiting.await.unwrap().unwrap()).await;
        assert_eq!((status, &page["frame_count"]), (StatusCode::OK, &json!(1)), "{page}");
        // Nothing comes, or what was to come is gone: it answers so.
        for (cursor, ms) in [(page["next_cursor"].as_str().unwrap(), 20), ("1:99", 30_000)] {
            let (status, page) = server.get(&format!("{TRANSPORT}?cursor={cursor}&waitMs={ms}")).await;
            assert!(status != StatusCode::OK || page["frame_count"] == 0, "{cursor}: {page}");
        }
    }
}

/// The names of the threads of this process.
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path().join("comm"));
    // One that ends meanwhile has none.
    tasks.filter_map(|comm| fs::read_to_string(comm).ok()).map(|name| name.trim().to_owned()).collect()
}

/// `KITEDB_POLLS` of them; each takes two descriptors of this process.
#[tokio::test]
async fn pages_that_are_waited_for_hold_no_thread_each() {
    let polls: usize = std::env::var("KITEDB_POLLS").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.kitedb");
    let db = primary(&path, 1);
    let served = kitedb_http::Server::start(
        kitedb_http::Served::Beside(path, Box::new(OpenOptions::new())),
        &at_any_port(by_token()),
    )
    .unwrap();
    let server = Server::at(served.url());
    let (_, page) = server.get(LOG).await;
    let route = format!("{LOG}?cursor={}&waitMs=30000", page["nextCursor"].as_str().unwrap());
    let mut waiting = Vec::new();
    // As many as calls may run at once come together.
    for few in (0..polls).collect::<Vec<_>>().chunks(32) {
        waiting.extend(few.iter().map(|_| tokio::spawn(server.ask(Method::GET, &route).send())));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let all = threads();
    assert!(all.iter().any(|name| name == "kitedb-growth") && all.len() < polls.max(150), "{}: {all:?}", all.len());
    commit(&db, 1);
    for answer in waiting {
        let (status, page) = told(answer.await.unwrap().unwrap()).await;
        assert_eq!((status, &page["frameCount"]), (StatusCode::OK, &json!(1)), "{page}");
    }

    // A server that ends keeps nobody waiting.
    let (_, page) = server.get(LOG).await;
    let route = format!("{LOG}?cursor={}&waitMs=30000", page["nextCursor"].as_str().unwrap());
    let last = tokio::spawn(server.ask(Method::GET, &route).send());
    tokio::time::sleep(Duration::from_millis(200)).await;
    tokio::task::spawn_blocking(move || served.stop()).await.unwrap();
    let (status, page) = told(last.await.unwrap().unwrap()).await;
    assert_eq!((status, &page["frameCount"]), (StatusCode::OK, &json!(0)));
}
