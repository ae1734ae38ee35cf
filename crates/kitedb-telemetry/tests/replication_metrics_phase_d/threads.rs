//! Pushes work from wherever they are made.
#![allow(unsafe_code)] // fork

use crate::{
    pushing::{POINTS, TRANSPORTS, attempts, guarded, patient, payload, push},
    servers::{
        http_collector::{HttpCollector, Step},
        metrics_service::MetricsServer,
    },
};
use kitedb_core::{Database, OpenOptions};
use kitedb_telemetry::{
    BreakerPhase, DropReason, ExporterHealth, OtlpHttpPushOptions, OtlpPusher, OtlpTransport, TelemetryError,
};
use std::{env, process::Command, thread, time::Duration};

#[test]
fn pushes_work_inside_every_kind_of_runtime_and_outside() {
    guarded(|| {
        let (http, grpc) = (HttpCollector::start(vec![]), MetricsServer::start(vec![]));
        let all = || {
            for transport in TRANSPORTS {
                let endpoint = if transport == OtlpTransport::Grpc { grpc.endpoint() } else { http.endpoint() };
                push(transport, &endpoint, &patient()).unwrap();
            }
        };
        all();
        thread::scope(|scope| scope.spawn(all).join().unwrap());
        let current = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        current.block_on(async { all() });
        let many = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        many.block_on(async { all() });
        let (at, called) = (http.endpoint(), grpc.endpoint());
        let task = move || {
            push(OtlpTransport::HttpJson, &at, &patient()).unwrap();
            push(OtlpTransport::Grpc, &called, &patient()).unwrap();
        };
        many.block_on(async move {
            tokio::task::spawn_blocking(task.clone()).await.unwrap();
            tokio::spawn(async move { task() }).await.unwrap();
        });
        assert_eq!((http.seen().len(), grpc.calls().len()), (4 * 2 + 2, 4 + 2));
    });
}

#[test]
fn threads_share_a_pusher() {
    guarded(|| {
        let (http, grpc) = (HttpCollector::start(vec![]), MetricsServer::start(vec![]));
        for (transport, endpoint) in
            [(OtlpTransport::HttpJson, http.endpoint()), (OtlpTransport::Grpc, grpc.endpoint())]
        {
            let pusher = OtlpPusher::new(transport, &endpoint, &patient()).unwrap();
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| (0..5).for_each(|_| drop(pusher.push_payload(&payload(transport)).unwrap())));
                }
            });
        }
        assert_eq!((http.seen().len(), grpc.calls().len()), (40, 40));
    });
}

#[test]
fn one_that_hangs_does_not_hold_up_the_others() {
    guarded(|| {
        let collector = HttpCollector::start(vec![Step::Hang]);
        let options = OtlpHttpPushOptions::new().timeout_ms(10_000);
        let pusher = OtlpPusher::new(OtlpTransport::HttpJson, &collector.endpoint(), &options).unwrap();
        let bytes = payload(OtlpTransport::HttpJson);
        thread::scope(|scope| {
            let hanging = scope.spawn(|| pusher.push_payload(&bytes));
            while collector.seen().is_empty() {
                thread::yield_now();
            }
            pusher.push_payload(&bytes).unwrap();
            assert!(!hanging.is_finished());
            assert_eq!(hanging.join().unwrap().unwrap_err().code(), "DEADLINE_EXCEEDED");
        });
    });
}

/// Forks in a process that has nothing else to do: this one has all the other tests.
#[test]
fn after_a_fork_the_old_pusher_is_closed_and_a_new_one_works() {
    let (http, grpc) = (HttpCollector::start(vec![]), MetricsServer::start(vec![]));
    in_a_process_of_its_own("threads::in_a_process_that_forks", &http, &grpc);
    assert_eq!((http.seen().len(), grpc.calls().len()), (3, 3));
}

#[test]
fn pushes_leave_neither_threads_nor_descriptors_behind() {
    let (http, grpc) = (HttpCollector::start(vec![]), MetricsServer::start(vec![]));
    in_a_process_of_its_own("threads::in_a_process_that_pushes_much", &http, &grpc);
    assert_eq!((http.seen().len(), grpc.calls().len()), (100, 100));
}

fn in_a_process_of_its_own(test: &str, http: &HttpCollector, grpc: &MetricsServer) {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("KITEDB_TEST_ENDPOINTS", format!("{} {}", http.endpoint(), grpc.endpoint()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// In a process of its own; in the test itself it ends at once.
#[test]
fn in_a_process_that_pushes_much() {
    let Ok(endpoints) = env::var("KITEDB_TEST_ENDPOINTS") else { return };
    let count = |what| std::fs::read_dir(format!("/proc/self/{what}")).unwrap().count();
    let before = (count("task"), count("fd"));
    let (http, grpc) = endpoints.split_once(' ').unwrap();
    for _ in 0..100 {
        push(OtlpTransport::HttpJson, http, &patient()).unwrap();
        push(OtlpTransport::Grpc, grpc, &patient()).unwrap();
    }
    // They end by themselves, in their own time.
    while count("task") > before.0 || count("fd") > before.1 {
        thread::sleep(Duration::from_millis(10));
    }
}

/// In a process of its own; in the test itself it ends at once.
#[test]
fn in_a_process_that_forks() {
    let Ok(endpoints) = env::var("KITEDB_TEST_ENDPOINTS") else { return };
    let (http, grpc) = endpoints.split_once(' ').unwrap();
    for (transport, endpoint) in [(OtlpTransport::HttpJson, http), (OtlpTransport::Grpc, grpc)] {
        let bytes = payload(transport);
        let pusher = OtlpPusher::new(transport, endpoint, &patient()).unwrap();
        pusher.push_payload(&bytes).unwrap();
        // SAFETY: the child only pushes and leaves; no other thread is in the middle of anything that it needs.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: without this a child that hangs would hang the test.
            unsafe { libc::alarm(60) };
            let closed = matches!(pusher.push_payload(&bytes), Err(TelemetryError::Closed(_)));
            let works = push(transport, endpoint, &patient()).is_ok();
            drop(pusher);
            // SAFETY: it leaves without running what the parent has registered for its own end.
            unsafe { libc::_exit(if closed && works { 0 } else { 1 }) };
        }
        let mut status = -1;
        // SAFETY: the child is ours, and `status` is a valid place.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0, "{transport:?}");
        pusher.push_payload(&bytes).unwrap();
    }
}

#[test]
fn what_becomes_of_pushes_is_counted_for_each_database() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("counted.kitedb");
    let db = Database::open(&path, OpenOptions::new()).unwrap();
    let health = || ExporterHealth::of(&db.path().to_string_lossy()).read();
    assert_eq!(health().started_ms, None);

    let partial = r#"{"partialSuccess":{"rejectedDataPoints":"1"}}"#;
    let script = vec![Step::status(503), Step::json(partial), Step::status(400), Step::status(503), Step::status(503)];
    let collector = HttpCollector::start(script);
    let options = attempts(2).circuit_breaker_failure_threshold(1).circuit_breaker_open_ms(600_000);
    let pusher = OtlpPusher::new(OtlpTransport::HttpJson, &collector.endpoint(), &options).unwrap();
    let dropped = |reason| {
        let all = health().dropped_points;
        all.iter().find(|(of, _)| *of == reason).unwrap().1
    };

    // Taken at the second attempt, but for one point.
    assert_eq!(pusher.push(&db).unwrap().rejected_data_points, 1);
    let counted = health();
    let points = counted.exported_points + 1;
    assert!(points > 1);
    assert_eq!((counted.pushes, counted.retries, counted.rejected_points), (1, 1, 1));
    assert!(counted.last_success_ms >= counted.started_ms && counted.started_ms.is_some());
    assert_eq!(counted.breaker, BreakerPhase::Closed);

    // Refused for good: the collector is well, and the breaker stays closed.
    pusher.push(&db).unwrap_err();
    let refused = dropped(DropReason::Rejected);
    assert!(refused > 0);
    assert_eq!((health().breaker, health().pushes), (BreakerPhase::Closed, 2));

    // Refused at every attempt: it opens, and keeps the next one back.
    pusher.push(&db).unwrap_err();
    assert!(dropped(DropReason::Rejected) > refused);
    assert_eq!(health().breaker, BreakerPhase::Open);
    assert_eq!(pusher.push(&db).unwrap_err().code(), "CIRCUIT_OPEN");
    assert!(dropped(DropReason::CircuitOpen) > 0);
    assert_eq!((health().pushes, health().retries, collector.seen().len()), (4, 2, 5));

    let closed = db.clone();
    db.close().unwrap();
    let other = HttpCollector::start(vec![]);
    let error = push_closed(&closed, &other.endpoint());
    assert!(error.to_string().contains("Database is closed"), "{error}");
    assert_eq!(other.connections(), 0);
}

fn push_closed(db: &Database, endpoint: &str) -> TelemetryError {
    OtlpPusher::new(OtlpTransport::HttpJson, endpoint, &patient()).unwrap().push(db).unwrap_err()
}

#[test]
fn points_of_payloads_are_counted_by_transport() {
    // Other tests push payloads, too: these only grow.
    for transport in TRANSPORTS {
        let (http, grpc) = (HttpCollector::start(vec![]), MetricsServer::start(vec![]));
        let before = ExporterHealth::of("").read().exported_points;
        let endpoint = if transport == OtlpTransport::Grpc { grpc.endpoint() } else { http.endpoint() };
        push(transport, &endpoint, &patient()).unwrap();
        assert!(ExporterHealth::of("").read().exported_points >= before + POINTS);
    }
}
