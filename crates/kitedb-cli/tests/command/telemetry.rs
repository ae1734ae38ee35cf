//! `kitedb metrics` and `kitedb push`: what they show and send, beside a process that writes.

use crate::support::{Folder, Run};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    process::Stdio,
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A primary `a` with three commits, and `b`, a replica of it.
fn pair() -> Folder {
    let folder = Folder::new();
    let args = ["import", "a", "-", "--format", "edgelist", "--role", "primary", "--batch", "1"];
    folder.run_with_input(&args, "n1 n2\nn2 n3\nn3 n4\n").ok();
    folder.run(&["replica", "bootstrap", "b", "--source-db", "a"]).ok();
    folder
}

/// One request as a collector sees it.
#[derive(Debug)]
struct Request {
    /// The first line and the headers, in lower case.
    head: String,
    body: Vec<u8>,
}

/// A collector that gives each request the next of these answers, then the last one again.
fn collector(answers: &'static [&'static str]) -> (String, Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/v1/metrics", listener.local_addr().unwrap());
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        let mut next = 0;
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            while let Some(request) = read(&mut reader) {
                let answer = answers[next.min(answers.len() - 1)];
                next += 1;
                let body = if answer.starts_with("200") { "{}" } else { "no" };
                let head = format!("HTTP/1.1 {answer}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n");
                if reader.get_mut().write_all((head + body).as_bytes()).is_err() || sender.send(request).is_err() {
                    return;
                }
            }
        }
    });
    (endpoint, requests)
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = head.to_lowercase();
    let length = head.split("content-length: ").nth(1)?.lines().next()?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { head, body })
}

fn push(folder: &Folder, endpoint: &str, more: &[&str]) -> Run {
    folder.run(&[&["push", "a", "--endpoint", endpoint], more].concat())
}

/// The names of all metrics of an OTLP document, and the attributes of its resource.
fn names_and_resource(document: &Json) -> (Vec<String>, Vec<(String, String)>) {
    let resource = &document["resourceMetrics"][0];
    let metrics = resource["scopeMetrics"][0]["metrics"].as_array().unwrap();
    let names = metrics.iter().map(|metric| metric["name"].as_str().unwrap().to_owned()).collect();
    let attributes = resource["resource"]["attributes"].as_array().unwrap().iter();
    let text = |json: &Json| json.as_str().unwrap().to_owned();
    (names, attributes.map(|pair| (text(&pair["key"]), text(&pair["value"]["stringValue"]))).collect())
}

#[test]
fn metrics_tell_of_a_primary_and_of_a_replica() {
    let folder = pair();
    let a = folder.run(&["metrics", "a"]).ok().out;
    for line in [
        r#"kitedb_replication_enabled{role="primary",database="a"} 1"#,
        r#"kitedb_replication_primary_head_log_index{database="a"} 3"#,
        r#"kitedb_replication_primary_replica_count{database="a"} 1"#,
        "# TYPE kitedb_replication_primary_epoch gauge",
    ] {
        assert!(a.lines().any(|found| found == line), "{line}\n{a}");
    }
    let b = folder.run(&["metrics", "b", "--source-db", "a", "--database-label", "none"]).ok().out;
    for line in [
        r#"kitedb_replication_enabled{role="replica"} 1"#,
        "kitedb_replication_replica_applied_log_index 3",
        "kitedb_replication_replica_needs_reseed 0",
    ] {
        assert!(b.lines().any(|found| found == line), "{line}\n{b}");
    }
    assert!(!b.contains("kitedb_replication_primary_"), "{b}");
}

#[test]
fn what_only_the_process_knows_that_did_it_is_left_out() {
    let folder = pair();
    for db in ["a", "b"] {
        let text = folder.run(&["metrics", db]).ok().out;
        for word in ["append_", "commit_duration", "sync_duration", "checkpoint", "compact", "log_failed", "background"]
        {
            assert!(!text.lines().any(|line| line.starts_with("kitedb_") && line.contains(word)), "{word}\n{text}");
        }
    }
}

#[test]
fn metrics_of_a_database_without_a_role_say_so() {
    let folder = Folder::new();
    folder.run_with_input(&["import", "plain", "-", "--format", "edgelist"], "a b\n").ok();
    let text = folder.run(&["metrics", "plain"]).ok().out;
    assert!(text.contains(r#"kitedb_replication_enabled{role="disabled",database="plain"} 0"#), "{text}");
}

#[test]
fn metrics_have_four_forms_and_two_sets_of_names() {
    let folder = pair();
    let open = folder.run(&["metrics", "a", "--format", "openmetrics", "--names", "linted"]).ok().out;
    assert!(open.ends_with("# EOF\n"), "{open}");
    assert!(open.contains("kitedb_replication_primary_replicas{"), "{open}");
    let json = folder.run(&["metrics", "a", "--format", "otlp-json", "--database-label", "orders"]).json();
    let (names, resource) = names_and_resource(&json);
    assert!(names.iter().any(|name| name == "kitedb.replication.primary.epoch"), "{names:?}");
    assert!(resource.contains(&("kitedb.database.name".to_owned(), "orders".to_owned())), "{resource:?}");
    let protobuf = folder.command(&["metrics", "a", "--format", "otlp-protobuf"]).output().unwrap();
    assert!(protobuf.status.success());
    let name = b"kitedb.replication.primary.epoch";
    assert!(protobuf.stdout.windows(name.len()).any(|window| window == name));
}

#[test]
fn a_push_brings_the_metrics_and_says_what_was_taken() {
    let folder = pair();
    let (endpoint, requests) = collector(&["200 OK"]);
    let token = folder.file("token", "s3cret\n");
    let token = token.to_str().unwrap();
    let run = push(&folder, &endpoint, &["--protocol", "http/json", "--bearer-token-file", token]).ok();
    assert!(run.out.starts_with(&format!("{endpoint} took ")) && run.out.ends_with(" data points\n"), "{run:?}");
    assert!(!run.out.contains("s3cret") && run.err.is_empty(), "{run:?}");
    let request = requests.recv_timeout(PATIENCE).unwrap();
    assert!(request.head.starts_with("post /v1/metrics http/1.1\r\n"), "{}", request.head);
    assert!(request.head.contains("authorization: bearer s3cret\r\n"), "{}", request.head);
    let (names, resource) = names_and_resource(&serde_json::from_slice(&request.body).unwrap());
    assert!(names.iter().any(|name| name == "kitedb.replication.primary.head_log_index"), "{names:?}");
    let instance = |resource: &[(String, String)]| {
        resource.iter().find(|(key, _)| key == "service.instance.id").map(|(_, id)| id.clone()).unwrap()
    };
    let first = instance(&resource);

    // The next run goes on with the same series; --json says what was taken.
    let answer = push(&folder, &endpoint, &["--protocol", "http/json", "--json"]).json();
    assert_eq!(
        (&answer["delivered"], &answer["status_code"], &answer["attempts"]),
        (&json!(true), &json!(200), &json!(1))
    );
    assert!(answer["data_points"].as_u64().unwrap() > 8, "{answer}");
    let request = requests.recv_timeout(PATIENCE).unwrap();
    let (_, resource) = names_and_resource(&serde_json::from_slice(&request.body).unwrap());
    assert_eq!(instance(&resource), first);
}

#[test]
fn variables_count_where_no_flag_says_otherwise() {
    let folder = pair();
    let (endpoint, requests) = collector(&["200 OK"]);
    let base = endpoint.strip_suffix("/v1/metrics").unwrap();
    let run = |args: &[&str]| {
        let mut command = folder.command(&[&["push", "a"], args].concat());
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", base).env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json");
        command.env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=a%20b").env("OTEL_SERVICE_NAME", "orders");
        command.env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip");
        Run::of(command.output().unwrap()).ok();
        requests.recv_timeout(PATIENCE).unwrap()
    };
    let request = run(&[]);
    assert!(request.head.contains("x-tenant: a b\r\n"), "{}", request.head);
    assert!(request.head.contains("content-encoding: gzip\r\n"), "{}", request.head);
    let request = run(&["--compression-gzip=false"]);
    assert!(!request.head.contains("content-encoding"), "{}", request.head);
    let (_, resource) = names_and_resource(&serde_json::from_slice(&request.body).unwrap());
    assert!(resource.contains(&("service.name".to_owned(), "orders".to_owned())), "{resource:?}");
    let request = run(&["--protocol", "http/protobuf"]);
    assert!(request.head.contains("content-type: application/x-protobuf\r\n"), "{}", request.head);
}

#[test]
fn a_push_that_fails_says_why_and_what_to_do() {
    let folder = pair();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let run = push(&folder, &format!("http://user:s3cret@{closed}/v1/metrics?key=s3cret"), &[]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.err.contains("OTLP collector transport error") && run.err.contains("hint: check --endpoint"),
        "{run:?}"
    );
    assert!(!run.err.contains("s3cret"), "{run:?}");
    let (endpoint, _requests) = collector(&["401 Unauthorized"]);
    let run = push(&folder, &endpoint, &[]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("status 401") && run.err.contains("--bearer-token-file"), "{run:?}");
    let run = folder.run(&["push", "nowhere", "--endpoint", &endpoint]);
    assert_eq!(run.code, 1, "{run:?}");
    for wrong in [
        &["--timeout-ms", "0"][..],
        &["--circuit-breaker-state-cas"],
        &["--https-only"],
        &["--every", "0s"],
        &["--every", "10"],
    ] {
        let run = push(&folder, &endpoint, wrong);
        assert_eq!(run.code, 2, "{wrong:?}: {run:?}");
    }
    let mut command = folder.command(&["push", "a"]);
    command.env("OTEL_EXPORTER_OTLP_HEADERS", "s3cret");
    let run = Run::of(command.output().unwrap());
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.err.contains("OTEL_EXPORTER_OTLP_HEADERS") && !run.err.contains("s3cret"), "{run:?}");
}

#[test]
fn retries_are_told_and_nothing_is_pushed_where_the_sdk_is_disabled() {
    let folder = pair();
    let (endpoint, requests) = collector(&["503 Service Unavailable", "200 OK"]);
    let more = ["--retry-max-attempts", "2", "--retry-backoff-ms", "1", "--protocol", "http/json"];
    let run = push(&folder, &endpoint, &more).ok();
    assert!(run.out.ends_with(", at attempt 2\n"), "{run:?}");
    assert_eq!(requests.iter().take(2).count(), 2);
    let mut command = folder.command(&["push", "a", "--endpoint", &endpoint, "--every", "10ms"]);
    command.env("OTEL_SDK_DISABLED", "true");
    let run = Run::of(command.output().unwrap()).ok();
    assert_eq!(run.out, "nothing is pushed: OTEL_SDK_DISABLED is set\n");
    assert!(requests.try_recv().is_err());
}

#[test]
fn pushes_go_on_until_a_signal_and_show_what_was_committed_meanwhile() {
    let folder = pair();
    let (endpoint, requests) = collector(&["503 Service Unavailable", "200 OK"]);
    let args = ["push", "a", "--endpoint", &endpoint, "--protocol", "http/json", "--every", "20ms"];
    let mut command = folder.command(&args);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let head = |request: &Request| -> u64 {
        let document: Json = serde_json::from_slice(&request.body).unwrap();
        let metrics = document["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().unwrap();
        let name = "kitedb.replication.primary.head_log_index";
        let metric = metrics.iter().find(|metric| metric["name"] == name).unwrap();
        metric["gauge"]["dataPoints"][0]["asInt"].as_str().unwrap().parse().unwrap()
    };
    let next = || requests.recv_timeout(PATIENCE).unwrap();
    assert_eq!(head(&next()), 3);
    folder.run_with_input(&["import", "a", "-", "--format", "edgelist"], "n4 n5\n").ok();
    while head(&next()) < 4 {}
    next();
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert!(child.wait().unwrap().success(), "{out}{err}");
    assert!(err.contains("status 503"), "{err}");
    // Told once, however often it was pushed.
    assert_eq!(out.lines().filter(|line| line.contains(" took ")).count(), 1, "{out}");
    assert!(out.lines().last().unwrap().ends_with("pushes delivered, 1 failed"), "{out}");
}
