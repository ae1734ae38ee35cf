//! The breaker as a push meets it, wherever its state is.

use super::*;
use crate::{
    breaker_store::{BreakerStore, BreakerStoreOptions},
    options::OtlpAdaptiveRetryMode,
};
use std::fs;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

const POLICY: Policy =
    Policy { threshold: 2, open_ms: 3_600_000, probes: 1, probe_ms: 3_600_000, adaptive: None, alpha: 0.3 };

struct Pushes {
    breaker: Breaker,
    health: Arc<ExporterHealth>,
}

impl Pushes {
    fn of(key: &str, store: StoreSettings, policy: Policy) -> Self {
        let health = Arc::new(ExporterHealth::default());
        let settings = BreakerSettings {
            policy,
            key: key.to_owned(),
            shown: "http://collector:4318".to_owned(),
            store,
            timeout: Duration::from_secs(60),
        };
        Self { breaker: Breaker::new(settings, health.clone()), health }
    }

    async fn push(&self, outcome: Outcome) -> Result<()> {
        let admission = self.breaker.admit().await?;
        self.breaker.settle(admission, outcome).await;
        Ok(())
    }

    async fn fail(&self, times: usize) {
        for _ in 0..times {
            self.push(Outcome::Unhealthy).await.unwrap();
        }
    }

    async fn kept_back(&self) -> TelemetryError {
        self.breaker.admit().await.unwrap_err()
    }

    fn store_errors(&self) -> u64 {
        self.health.read().store_errors
    }
}

/// A file of which the breaker `key` is due for its probe.
fn half_open(folder: &tempfile::TempDir, key: &str) -> StoreSettings {
    let path = folder.path().join("breakers.json");
    fs::write(&path, format!(r#"{{"{key}":{{"open_until_ms":1}}}}"#)).unwrap();
    StoreSettings::File(path)
}

#[tokio::test]
async fn failures_of_one_pusher_keep_back_another_with_the_same_key() {
    let pushes = Pushes::of("shared key", StoreSettings::Process, POLICY);
    pushes.fail(2).await;
    assert_eq!(pushes.health.read().breaker, BreakerPhase::Open);
    let other = Pushes::of("shared key", StoreSettings::Process, POLICY);
    let error = other.kept_back().await;
    assert!(matches!(&error, TelemetryError::CircuitOpen { endpoint, .. } if endpoint == "http://collector:4318"));
    assert_eq!(other.health.read().breaker, BreakerPhase::Open);
    Pushes::of("another key", StoreSettings::Process, POLICY).push(Outcome::Success).await.unwrap();
}

#[tokio::test]
async fn refusals_keep_nobody_back() {
    let pushes = Pushes::of("refused", StoreSettings::Process, POLICY);
    for _ in 0..5 {
        pushes.push(Outcome::Refused).await.unwrap();
    }
    assert_eq!(pushes.health.read().breaker, BreakerPhase::Closed);
}

#[tokio::test]
async fn one_probe_passes_and_one_that_is_dropped_makes_room_for_the_next() {
    let address = Arc::new((Place::Process, "probes".to_owned()));
    TABLE.put(&address, BreakerState { open_until_ms: 1, ..BreakerState::default() }, false);
    let pushes = Pushes::of("probes", StoreSettings::Process, POLICY);
    let probe = pushes.breaker.admit().await.unwrap();
    assert!(matches!(pushes.kept_back().await, TelemetryError::ProbeInFlight { .. }));
    assert_eq!(pushes.health.read().breaker, BreakerPhase::HalfOpen);
    drop(probe);
    pushes.push(Outcome::Success).await.unwrap();
    assert_eq!(pushes.health.read().breaker, BreakerPhase::Closed);
}

#[tokio::test]
async fn a_probe_that_is_dropped_is_given_back_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = half_open(&folder, "key");
    let pushes = Pushes::of("key", store.clone(), POLICY);
    let probe = pushes.breaker.admit().await.unwrap();
    let other = Pushes::of("key", store, POLICY);
    assert!(matches!(other.kept_back().await, TelemetryError::ProbeInFlight { .. }));
    drop(probe);
    other.push(Outcome::Success).await.unwrap();
    let mut free = other.breaker.admit().await.unwrap();
    assert!(!free.ticket.is_probe());
    free.settled = true;
    assert_eq!((pushes.store_errors(), other.store_errors()), (0, 0));
}

#[tokio::test]
async fn the_file_is_believed_over_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("breakers.json");
    let pushes = Pushes::of("key", StoreSettings::File(path.clone()), POLICY);
    pushes.fail(2).await;
    assert!(matches!(pushes.kept_back().await, TelemetryError::CircuitOpen { .. }));
    // Another process closed it, and an operator removed the entry.
    fs::write(&path, r#"{"key":{"consecutive_failures":1}}"#).unwrap();
    pushes.push(Outcome::Success).await.unwrap();
    pushes.fail(2).await;
    fs::write(&path, "{}").unwrap();
    pushes.push(Outcome::Success).await.unwrap();
}

#[tokio::test]
async fn a_broken_file_holds_up_no_push_and_memory_takes_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("breakers.json");
    fs::write(&path, "{broken").unwrap();
    let pushes = Pushes::of("key", StoreSettings::File(path.clone()), POLICY);
    pushes.fail(2).await;
    assert_eq!(pushes.store_errors(), 2, "once for each push");
    assert!(matches!(pushes.kept_back().await, TelemetryError::CircuitOpen { .. }));
    assert_eq!(fs::read_to_string(&path).unwrap(), "{broken");
    // Mended, it is told what it missed.
    fs::write(&path, "{}").unwrap();
    let other = Pushes::of("key", StoreSettings::File(path.clone()), POLICY);
    assert!(matches!(other.kept_back().await, TelemetryError::CircuitOpen { .. }));
    assert!(fs::read_to_string(&path).unwrap().contains("open_until_ms"));
    assert_eq!(other.store_errors(), 0);
}

#[tokio::test]
async fn a_file_that_only_refuses_writes_is_read_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let store = half_open(&folder, "key");
    // Nobody can make a lock file there.
    fs::create_dir(folder.path().join("breakers.json.lock")).unwrap();
    let pushes = Pushes::of("key", store, POLICY);
    let probe = pushes.breaker.admit().await.unwrap();
    assert!(probe.ticket.is_probe());
    assert_eq!(pushes.store_errors(), 1);
    pushes.breaker.settle(probe, Outcome::Success).await;
    assert_eq!(pushes.store_errors(), 1, "it is not asked again in this push");
}

#[tokio::test]
async fn without_a_breaker_the_gate_asks_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("breakers.json");
    fs::write(&path, "{broken").unwrap();
    let policy = Policy { threshold: 0, adaptive: Some(OtlpAdaptiveRetryMode::Linear), ..POLICY };
    let pushes = Pushes::of("key", StoreSettings::File(path.clone()), policy);
    let admission = pushes.breaker.admit().await.unwrap();
    assert_eq!(pushes.store_errors(), 0);
    assert_eq!(pushes.breaker.multiplier().await, 1);
    pushes.breaker.settle(admission, Outcome::Unhealthy).await;
    assert_eq!(pushes.store_errors(), 1);
    assert_eq!(pushes.breaker.multiplier().await, 2, "memory knows");

    // And with neither there is nothing to ask for.
    let pushes = Pushes::of("key", StoreSettings::File(path), Policy { threshold: 0, ..POLICY });
    pushes.fail(1).await;
    assert_eq!((pushes.breaker.multiplier().await, pushes.store_errors()), (1, 0));
}

#[tokio::test]
async fn waits_grow_by_what_other_processes_met() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("breakers.json");
    let policy = Policy { adaptive: Some(OtlpAdaptiveRetryMode::Linear), ..POLICY };
    let pushes = Pushes::of("key", StoreSettings::File(path.clone()), policy);
    assert_eq!(pushes.breaker.multiplier().await, 1);
    fs::write(&path, r#"{"key":{"failure_streak":3}}"#).unwrap();
    assert_eq!(pushes.breaker.multiplier().await, 4);
}

/// A store that has `state` and answers each write with `status`. Gives its settings.
async fn scripted(state: &'static str, status: &'static str) -> StoreSettings {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/state", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            let complete = |request: &[u8]| {
                let text = String::from_utf8_lossy(request);
                let (head, body) = text.split_once("\r\n\r\n")?;
                let length =
                    head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                (body.len() >= length.unwrap_or(0)).then_some(())
            };
            while complete(&request).is_none() && stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {}
            let (status, body) = if request.starts_with(b"GET") { ("200 OK", state) } else { (status, "") };
            let reply = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\netag: v1\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(reply.as_bytes()).await;
        }
    });
    let mode = HttpStoreMode::Patch;
    let client = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls()).build().unwrap();
    StoreSettings::Http(HttpStoreSettings {
        url,
        mode,
        cas: true,
        lease_id: None,
        write_attempts: 1,
        client: Some(client),
    })
}

fn tls() -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
}

#[tokio::test]
async fn a_probe_that_another_client_took_first_is_not_taken_again() {
    let store = scripted(r#"{"open_until_ms":1}"#, "412 Precondition Failed").await;
    let pushes = Pushes::of("key", store, POLICY);
    assert!(matches!(pushes.kept_back().await, TelemetryError::ProbeInFlight { .. }));
    assert_eq!(pushes.store_errors(), 0);
}

#[tokio::test]
async fn a_result_that_met_others_writes_is_reported_and_the_store_still_counts() {
    let store = scripted(r#"{"consecutive_failures":1}"#, "412 Precondition Failed").await;
    let pushes = Pushes::of("key", store, POLICY);
    pushes.fail(1).await;
    assert_eq!(pushes.store_errors(), 1);
    // Memory would be open now.
    pushes.fail(1).await;
}

#[tokio::test]
async fn a_store_that_cannot_write_is_read_and_what_it_missed_is_remembered() {
    let store = scripted("null", "500 Internal Server Error").await;
    let pushes = Pushes::of("key", store, POLICY);
    pushes.fail(2).await;
    assert_eq!(pushes.store_errors(), 2);
    assert!(matches!(pushes.kept_back().await, TelemetryError::CircuitOpen { .. }));
}

fn free_port() -> BreakerStoreOptions {
    BreakerStoreOptions { listen: "127.0.0.1:0".to_owned(), file: None }
}

/// The settings of a client of `server`, without CAS.
async fn client_of(server: &BreakerStore, mode: HttpStoreMode) -> StoreSettings {
    let StoreSettings::Http(mut settings) = scripted("null", "200 OK").await else { unreachable!() };
    settings.url = server.url().parse().unwrap();
    (settings.mode, settings.cas) = (mode, false);
    StoreSettings::Http(settings)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pushes_of_one_process_share_a_probe_even_without_cas() {
    let server = BreakerStore::start(free_port()).unwrap();
    for mode in [HttpStoreMode::Document, HttpStoreMode::Patch, HttpStoreMode::Batch { max_keys: 8 }] {
        let store = client_of(&server, mode).await;
        let key = format!("{mode:?}");
        Pushes::of(&key, store.clone(), Policy { open_ms: 1, ..POLICY }).fail(2).await;
        // Its time is over as soon as the clock has moved.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let mut pushes = JoinSet::new();
        for _ in 0..8 {
            let pushes_of_one = Pushes::of(&key, store.clone(), POLICY);
            pushes.spawn(async move { pushes_of_one.breaker.admit().await });
        }
        let gates = pushes.join_all().await;
        assert_eq!(gates.iter().filter(|gate| gate.is_ok()).count(), 1, "{mode:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pushes_of_one_process_lose_nobodys_key_of_a_document() {
    let server = BreakerStore::start(free_port()).unwrap();
    let store = client_of(&server, HttpStoreMode::Document).await;
    let mut pushes = JoinSet::new();
    for number in 0..8 {
        let pushes_of_one = Pushes::of(&format!("many {number}"), store.clone(), POLICY);
        pushes.spawn(async move { pushes_of_one.fail(2).await });
    }
    pushes.join_all().await;
    let StoreSettings::Http(settings) = store else { unreachable!() };
    let reader = HttpStore::new(settings);
    for number in 0..8 {
        let state = reader.read(&format!("many {number}"), Duration::from_secs(30)).await.unwrap();
        assert!(state.is_some_and(|state| state.open_until_ms > 0), "{number}");
    }
}

#[tokio::test]
async fn settings_print_no_secret() {
    let StoreSettings::Http(mut settings) = scripted("null", "200 OK").await else { unreachable!() };
    settings.url = "https://user:secret@store/path?token=secret".parse().unwrap();
    settings.lease_id = Some("secret".to_owned());
    let store = StoreSettings::Http(settings);
    let breaker = Pushes::of("key", store.clone(), POLICY).breaker;
    let text = format!("{store:?}");
    assert!(text.contains("https://store") && !text.contains("secret"), "{text}");
    assert!(!format!("{breaker:?}").contains("secret"), "{breaker:?}");
}
