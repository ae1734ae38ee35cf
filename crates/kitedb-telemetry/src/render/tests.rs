//! The catalogue: that its names are what they must be, in every form and in the documentation.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use super::{
    PrometheusFormat, PrometheusNames, PrometheusOptions,
    catalogue::{BOUNDS, Family, Histogram, Kind, Unit, families},
    *,
};
use crate::{DropReason, ExporterHealth};
use kitedb_core::{Latency, OpenOptions};
use std::{collections::BTreeSet, path::Path};

/// By the rules by which Prometheus takes OTLP in (name escaping with suffixes).
fn as_prometheus_takes_it_in(family: &Family) -> String {
    let mut words: Vec<&str> = family.otlp.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let unit = match family.unit.ucum() {
        "By" => Some("bytes"),
        "s" => Some("seconds"),
        "1" if family.kind == Kind::Gauge => Some("ratio"),
        word if word.starts_with('{') => None,
        other => panic!("a unit whose name in Prometheus is not known: {other}"),
    };
    if let Some(unit) = unit.filter(|unit| !words.contains(unit)) {
        words.push(unit);
    }
    if matches!(family.kind, Kind::Counter(_)) {
        words.retain(|word| *word != "total");
        words.push("total");
    }
    words.join("_")
}

#[test]
fn otlp_arrives_in_prometheus_under_the_names_of_a_scrape() {
    for family in families() {
        assert_eq!(as_prometheus_takes_it_in(family), family.name);
    }
}

#[test]
fn names_keep_the_conventions() {
    let (mut names, mut otlp) = (BTreeSet::new(), BTreeSet::new());
    for family in families() {
        let name = family.linted.unwrap_or(family.name);
        assert!(names.insert(family.name) && otlp.insert(family.otlp), "{name} is there twice");
        assert!(family.linted.is_none_or(|linted| names.insert(linted)), "{name} is there twice");
        assert!(name.starts_with("kitedb_") && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        let counter = matches!(family.kind, Kind::Counter(_));
        assert_eq!(counter, name.ends_with("_total"), "{name}");
        for suffix in ["_count", "_sum", "_bucket", "_info", "_created"] {
            assert!(!name.ends_with(suffix), "{name}");
        }
        let word = match family.unit {
            Unit::Bytes => Some("bytes"),
            Unit::Seconds => Some("seconds"),
            _ => None,
        };
        assert!(word.is_none_or(|word| name.trim_end_matches("_total").ends_with(word)), "{name}");
        assert!(family.help.ends_with('.') && !family.help.contains('\n') && !family.help.contains("  "), "{name}");
    }
}

/// What `docs/telemetry.md` says of a metric: the cells of its row.
fn documented() -> Vec<Vec<String>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/telemetry.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `kitedb_"));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()).collect()
}

#[test]
fn every_metric_is_documented_and_nothing_else() {
    let kind = |family: &Family| match family.kind {
        Kind::Gauge => "gauge",
        Kind::Counter(_) => "counter",
        Kind::Histogram(_) => "histogram",
    };
    let ours: Vec<_> =
        families().map(|f| [f.name, f.otlp, kind(f), f.unit.ucum()].map(str::to_owned).to_vec()).collect();
    let theirs: Vec<_> = documented().iter().map(|row| row[..4].to_vec()).collect();
    for family in &ours {
        assert!(theirs.contains(family), "docs/telemetry.md has no row that begins with {family:?}");
    }
    for row in &theirs {
        assert!(ours.contains(row), "docs/telemetry.md tells of what there is not: {row:?}");
    }
    assert_eq!(ours, theirs, "docs/telemetry.md has another order");
}

/// The names of metrics in a text.
fn names_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let metric = |word: &str| word.starts_with("kitedb_") && !word.starts_with("kitedb_telemetry");
    words.filter(|word| metric(word)).map(str::to_owned).collect()
}

#[test]
fn alerts_and_the_dashboard_ask_for_metrics_that_there_are() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/telemetry");
    let mut known = BTreeSet::new();
    for family in families() {
        known.insert(family.name.to_owned());
        if matches!(family.kind, Kind::Histogram(_)) {
            known.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{}{suffix}", family.name)));
        }
    }
    for file in ["alerts.yml", "alerts_test.yml", "grafana-dashboard.json"] {
        let names = names_in(&std::fs::read_to_string(examples.join(file)).unwrap());
        assert!(!names.is_empty(), "{file}");
        let unknown: Vec<_> = names.difference(&known).collect();
        assert!(unknown.is_empty(), "{file} asks for {unknown:?}");
    }
}

#[test]
fn the_dashboard_is_one_that_grafana_imports() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/telemetry/grafana-dashboard.json");
    let board: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(board["uid"].is_string() && board["title"].is_string() && board["schemaVersion"].as_u64() >= Some(36));
    assert!(board["id"].is_null(), "an id is given by the server that it is imported to");
    let panels: Vec<_> = board["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row").collect();
    assert!(panels.len() >= 10);
    for panel in panels {
        assert!(panel["title"].is_string() && panel["gridPos"]["w"].is_u64());
        assert_eq!(panel["datasource"]["uid"], "${datasource}");
        for target in panel["targets"].as_array().unwrap() {
            assert!(target["expr"].is_string() && target["refId"].is_string(), "{}", panel["title"]);
        }
    }
}

fn collected() -> Metrics {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path().join("a.kitedb"), OpenOptions::new()).unwrap();
    db.transaction(|tx| tx.create_node(None)).unwrap();
    let metrics = db.collect_metrics().unwrap();
    db.close().unwrap();
    metrics
}

fn options(format: PrometheusFormat) -> PrometheusOptions {
    PrometheusOptions { format, ..PrometheusOptions::default() }
}

#[test]
fn what_became_of_pushes_shows_once_there_was_one() {
    let mut metrics = collected();
    metrics.path = "/pushed/a.kitedb".to_owned();
    assert!(!render_replication_metrics_prometheus(&metrics).contains("kitedb_exporter"));

    let health = ExporterHealth::of(&metrics.path);
    let at = metrics.collected_at_ms - 5000;
    health.begin_push(at);
    let text = render_replication_metrics_prometheus(&metrics);
    assert!(text.contains("kitedb_exporter_pushes_total{database=\"a.kitedb\"} 1\n"));
    assert!(!text.contains("kitedb_exporter_last_success"), "there was none");

    health.count_exported(10, 3, 1_700_000_000_250);
    health.count_dropped(DropReason::CircuitOpen, 40);
    health.count_retry();
    health.count_store_error();
    health.set_breaker(crate::BreakerPhase::Open);
    let text = render_replication_metrics_prometheus(&metrics);
    for line in [
        "kitedb_exporter_points_exported_total{database=\"a.kitedb\"} 7",
        "kitedb_exporter_points_rejected_total{database=\"a.kitedb\"} 3",
        "kitedb_exporter_points_dropped_total{reason=\"circuit_open\",database=\"a.kitedb\"} 40",
        "kitedb_exporter_points_dropped_total{reason=\"closed\",database=\"a.kitedb\"} 0",
        "kitedb_exporter_retries_total{database=\"a.kitedb\"} 1",
        "kitedb_exporter_breaker_store_errors_total{database=\"a.kitedb\"} 1",
        "kitedb_exporter_breaker_state{state=\"closed\",database=\"a.kitedb\"} 0",
        "kitedb_exporter_breaker_state{state=\"open\",database=\"a.kitedb\"} 1",
        "kitedb_exporter_last_success_timestamp_seconds{database=\"a.kitedb\"} 1700000000.25",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\nis not in\n{text}");
    }
    // Each counter says since when it counts.
    let json = render_replication_metrics_otel_json(&metrics);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let all = json["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().unwrap();
    let start = |name: &str| {
        let metric = all.iter().find(|metric| metric["name"] == name).unwrap();
        metric["sum"]["dataPoints"][0]["startTimeUnixNano"].as_str().unwrap().parse::<u64>().unwrap() / 1_000_000
    };
    assert_eq!(start("kitedb.exporter.pushes"), at);
    assert_eq!(start("kitedb.checkpoints"), metrics.opened_at_ms);
}

#[test]
fn a_clock_that_was_set_back_makes_no_start_after_its_point() {
    let mut metrics = collected();
    metrics.opened_at_ms = metrics.collected_at_ms + 60_000;
    let request = request(&metrics, &OtlpResource::default());
    for metric in &request.resource_metrics[0].scope_metrics[0].metrics {
        if let Some(opentelemetry_proto::tonic::metrics::v1::metric::Data::Sum(sum)) = &metric.data {
            assert!(sum.data_points.iter().all(|point| point.start_time_unix_nano == point.time_unix_nano));
        }
    }
}

/// A latency whose buckets are these: the longest time in ns, and how many.
fn latency(buckets: &[(u64, u64)]) -> Latency {
    let mut latency = collected().engine.commit_latency;
    let any = latency.buckets[0];
    let bucket = |&(up_to_ns, count): &(u64, u64)| {
        let mut bucket = any;
        (bucket.up_to_ns, bucket.count) = (up_to_ns, count);
        bucket
    };
    latency.buckets = buckets.iter().map(bucket).collect();
    latency.count = buckets.iter().map(|bucket| bucket.1).sum();
    latency
}

#[test]
fn a_time_counts_in_the_bucket_that_holds_it() {
    let of = Histogram::of(&latency(&[(7, 1), (1000, 2), (1001, 4), (2_500_000, 8), (u64::MAX, 16)]));
    let found: Vec<_> = of.counts.iter().enumerate().filter(|(_, count)| **count > 0).collect();
    assert_eq!(found, [(0, &3), (1, &4), (10, &8), (BOUNDS.len(), &16)]);
    assert_eq!(of.count(), 31);
    assert_eq!(Histogram::of(&latency(&[])).count(), 0);
}

#[test]
fn bounds_have_the_same_text_as_their_format_wants() {
    let metrics = collected();
    let text = render_replication_metrics_prometheus_with_options(&metrics, &options(PrometheusFormat::Text));
    assert!(text.contains("le=\"1\"") && text.contains("le=\"2.5e-06\"") && !text.contains("le=\"1.0\""));
    let open = render_replication_metrics_prometheus_with_options(&metrics, &options(PrometheusFormat::OpenMetrics));
    assert!(open.contains("le=\"1.0\"") && open.contains("le=\"2.5e-06\"") && !open.contains("le=\"1\""));
}

#[test]
fn names_are_the_contracts_unless_asked_for_others() {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions::new().replication_role(kitedb_core::ReplicationRole::Primary);
    let db = Database::open(dir.path().join("a.kitedb"), options).unwrap();
    let metrics = db.collect_metrics().unwrap();
    for (names, there, absent) in [
        (PrometheusNames::Contract, "primary_replica_count{", "primary_replicas{"),
        (PrometheusNames::Linted, "primary_replicas{", "primary_replica_count{"),
    ] {
        let options = PrometheusOptions { names, ..PrometheusOptions::default() };
        let text = render_replication_metrics_prometheus_with_options(&metrics, &options);
        assert!(text.contains(there) && !text.contains(absent), "{names:?}");
    }
    db.close().unwrap();
}
