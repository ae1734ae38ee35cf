//! What databases in each role tell, in every form.

use kitedb_core::{Database, Metrics, OpenOptions, ReplicationRole};
use kitedb_telemetry::{
    DatabaseLabel, OtlpResource, PrometheusFormat, PrometheusOptions,
    collect_replication_metrics_otel_json_single_file, collect_replication_metrics_otel_protobuf_single_file,
    collect_replication_metrics_prometheus_single_file, render_replication_metrics_otel_json,
    render_replication_metrics_otel_json_with_resource, render_replication_metrics_otel_protobuf,
    render_replication_metrics_prometheus, render_replication_metrics_prometheus_of_all,
    render_replication_metrics_prometheus_with_options,
};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    metrics::v1::{Metric, metric::Data},
};
use proptest::prelude::*;
use prost::Message;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

/// The families of the contract, in its order: 2 of every node, 9 of primaries, 4 of replicas.
const CONTRACT: [&str; 15] = [
    "kitedb_replication_enabled",
    "kitedb_replication_auth_enabled",
    "kitedb_replication_primary_epoch",
    "kitedb_replication_primary_head_log_index",
    "kitedb_replication_primary_retained_floor",
    "kitedb_replication_primary_replica_count",
    "kitedb_replication_primary_stale_epoch_replica_count",
    "kitedb_replication_primary_max_replica_lag",
    "kitedb_replication_primary_append_attempts_total",
    "kitedb_replication_primary_append_failures_total",
    "kitedb_replication_primary_append_successes_total",
    "kitedb_replication_replica_applied_epoch",
    "kitedb_replication_replica_applied_log_index",
    "kitedb_replication_replica_needs_reseed",
    "kitedb_replication_replica_last_error_present",
];

/// A primary with a replica that is up to date and one that is behind, that replica, and a database without either.
struct Nodes {
    primary: Database,
    replica: Database,
    alone: Database,
    dir: tempfile::TempDir,
}

impl Nodes {
    fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let role = |role| OpenOptions::new().replication_role(role);
        let primary = Database::open(at("social.kitedb"), role(ReplicationRole::Primary)).unwrap();
        (0..5).for_each(|_| commit(&primary));
        let options = role(ReplicationRole::Replica).replication_source_db_path(at("social.kitedb"));
        let replica = Database::open(at("copy.kitedb"), options).unwrap();
        replica.replica_catch_up_once(100).unwrap();
        let epoch = primary.collect_metrics().unwrap().replication.primary.unwrap().epoch;
        primary.primary_report_replica_progress("far", epoch, 2).unwrap();
        let alone = Database::open(at("alone.kitedb"), OpenOptions::new()).unwrap();
        Self { primary, replica, alone, dir }
    }

    fn each(&self) -> [&Database; 3] {
        [&self.primary, &self.replica, &self.alone]
    }
}

fn commit(db: &Database) {
    db.transaction(|tx| tx.create_node(None)).unwrap();
}

/// A sample: its name, its labels in their order, and its value.
type Sample = (String, Vec<(String, String)>, f64);

/// A family of a text: its type, its unit, its HELP and its samples.
#[derive(Default)]
struct Found {
    kind: String,
    unit: Option<String>,
    help: String,
    samples: Vec<Sample>,
}

/// Reads Prometheus text or OpenMetrics, strictly: HELP, TYPE, UNIT and samples of a family stand together, in this
/// order, and each family once.
fn parse(text: &str) -> Vec<(String, Found)> {
    let mut families: Vec<(String, Found)> = Vec::new();
    for line in text.strip_suffix('\n').expect("the text ends with the end of a line").split('\n') {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(families.iter().all(|(known, _)| known != name), "{name} begins twice");
            families.push((name.to_owned(), Found { help: help.to_owned(), ..Found::default() }));
            continue;
        }
        if line == "# EOF" {
            families.push(("# EOF".to_owned(), Found::default()));
            continue;
        }
        let (name, found) = families.last_mut().expect("HELP comes first");
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert!(found.kind.is_empty() && found.samples.is_empty());
            found.kind = rest.strip_prefix(&format!("{name} ")).unwrap().to_owned();
        } else if let Some(rest) = line.strip_prefix("# UNIT ") {
            assert!(!found.kind.is_empty() && found.samples.is_empty());
            found.unit = Some(rest.strip_prefix(&format!("{name} ")).unwrap().to_owned());
        } else {
            let sample = sample(line);
            assert!(sample.0.starts_with(name.as_str()), "{line} is in {name}");
            found.samples.push(sample);
        }
    }
    families
}

/// `name{label="value",…} number`
fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, value) = rest.split_once("=\"").unwrap();
            let mut chars = value.char_indices();
            let mut text = String::new();
            let end = loop {
                match chars.next().unwrap() {
                    (at, '"') => break at,
                    (_, '\\') => text.push(match chars.next().unwrap().1 {
                        'n' => '\n',
                        other @ ('\\' | '"') => other,
                        other => panic!("no such escape: {other}"),
                    }),
                    (_, other) => text.push(other),
                }
            };
            labels.push((label.trim_start_matches(',').to_owned(), text));
            rest = &value[end + 1..];
        }
        rest = &rest[1..];
    }
    (name.to_owned(), labels, rest.strip_prefix(' ').unwrap().parse().unwrap())
}

fn prometheus(metrics: &Metrics) -> Vec<(String, Found)> {
    parse(&render_replication_metrics_prometheus(metrics))
}

/// The value of the one sample `name` with these labels, `database` aside.
fn value(families: &[(String, Found)], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let samples = families.iter().flat_map(|(_, found)| &found.samples);
    let is = |sample: &&Sample| {
        let own = sample.1.iter().filter(|(label, _)| label != "database");
        sample.0 == name && own.map(|(label, value)| (label.as_str(), value.as_str())).eq(labels.iter().copied())
    };
    let found: Vec<_> = samples.filter(is).collect();
    assert!(found.len() <= 1, "{name} {labels:?} is there {} times", found.len());
    found.first().map(|sample| sample.2)
}

#[test]
fn each_role_has_the_families_of_the_contract_first_and_no_others_of_it() {
    let nodes = Nodes::open();
    for (db, role, theirs) in [
        (&nodes.primary, "primary", &CONTRACT[2..11]),
        (&nodes.replica, "replica", &CONTRACT[11..]),
        (&nodes.alone, "disabled", &[][..]),
    ] {
        let families = parse(&collect_replication_metrics_prometheus_single_file(db).unwrap());
        let names: Vec<_> = families.iter().map(|(name, _)| name.as_str()).collect();
        let expected = [&CONTRACT[..2], theirs].concat();
        assert_eq!(names[..expected.len()], expected, "{role}");
        assert!(names[expected.len()..].iter().all(|name| !CONTRACT.contains(name)), "{role}");
        for name in expected {
            let (_, found) = families.iter().find(|(known, _)| known == name).unwrap();
            assert_eq!(found.kind, if name.ends_with("_total") { "counter" } else { "gauge" });
            assert_eq!(found.samples.len(), 1, "{name}");
            assert!(found.unit.is_none() && !found.help.is_empty());
        }
        let enabled = value(&families, "kitedb_replication_enabled", &[("role", role)]);
        assert_eq!(enabled, Some(f64::from(u8::from(role != "disabled"))));
        assert_eq!(value(&families, "kitedb_replication_auth_enabled", &[]), Some(0.0));
    }
}

#[test]
fn lines_are_as_they_always_were_but_for_the_database() {
    let nodes = Nodes::open();
    let text = render_replication_metrics_prometheus(&nodes.primary.collect_metrics().unwrap());
    let mut lines = text.lines();
    assert!(lines.next().unwrap().starts_with("# HELP kitedb_replication_enabled "));
    assert_eq!(lines.next(), Some("# TYPE kitedb_replication_enabled gauge"));
    assert_eq!(lines.next(), Some(r#"kitedb_replication_enabled{role="primary",database="social.kitedb"} 1"#));
    assert!(text.contains("\nkitedb_replication_primary_head_log_index{database=\"social.kitedb\"} 5\n"));
    // As they were without one.
    let options = PrometheusOptions::new().database(DatabaseLabel::None);
    let text = render_replication_metrics_prometheus_with_options(&nodes.primary.collect_metrics().unwrap(), &options);
    assert!(text.contains("\nkitedb_replication_enabled{role=\"primary\"} 1\n"));
    assert!(text.contains("\nkitedb_replication_primary_append_successes_total 5\n"));
    assert!(!text.contains("\n\n") && !text.contains("# EOF"));
}

#[test]
fn whoever_serves_the_text_can_say_that_it_asks_for_authorization() {
    let nodes = Nodes::open();
    let options = PrometheusOptions::new().auth_enabled(true);
    let text = render_replication_metrics_prometheus_with_options(&nodes.alone.collect_metrics().unwrap(), &options);
    assert_eq!(value(&parse(&text), "kitedb_replication_auth_enabled", &[]), Some(1.0));
}

#[test]
fn a_primary_tells_how_each_replica_does() {
    let nodes = Nodes::open();
    let metrics = nodes.primary.collect_metrics().unwrap();
    let families = prometheus(&metrics);
    let of = |name: &str, labels: &[(&str, &str)]| value(&families, name, labels);
    assert_eq!(of("kitedb_replication_primary_replica_count", &[]), Some(2.0));
    assert_eq!(of("kitedb_replication_primary_max_replica_lag", &[]), Some(3.0));
    assert_eq!(of("kitedb_replication_primary_min_replica_applied_log_index", &[]), Some(2.0));
    assert_eq!(of("kitedb_replication_primary_durable_log_index", &[]), Some(5.0));
    assert_eq!(of("kitedb_replication_primary_fenced", &[]), Some(0.0));
    assert_eq!(of("kitedb_replication_node_state", &[("state", "leading")]), Some(1.0));
    assert_eq!(of("kitedb_replication_node_state", &[("state", "fenced")]), Some(0.0));
    let far = [("replica_id", "far")];
    assert_eq!(of("kitedb_replication_primary_replica_lag_frames", &far), Some(3.0));
    assert!(of("kitedb_replication_primary_replica_lag_bytes", &far) > Some(0.0));
    let told = &metrics.replication.primary.as_ref().unwrap().replicas;
    let far_told = told.iter().find(|replica| replica.replica_id == "far").unwrap();
    let seconds = of("kitedb_replication_primary_replica_lag_seconds", &far);
    assert_eq!(seconds, Some(far_told.lag_ms as f64 / 1000.0));
    let reported = of("kitedb_replication_primary_replica_last_report_timestamp_seconds", &far);
    assert_eq!(reported, Some(far_told.reported_at_ms as f64 / 1000.0));
    for (state, held) in [("held", 1.0), ("at_risk", 0.0), ("lost", 0.0)] {
        let labels = [("replica_id", "far"), ("state", state)];
        assert_eq!(of("kitedb_replication_primary_replica_hold_state", &labels), Some(held));
    }
    // The one that has everything, under the id that it gave itself.
    let near = told.iter().find(|replica| replica.replica_id != "far").unwrap();
    assert!(near.replica_id.len() == 32 && near.replica_id.bytes().all(|b| b.is_ascii_hexdigit()));
    let near = [("replica_id", near.replica_id.as_str())];
    assert_eq!(of("kitedb_replication_primary_replica_lag_frames", &near), Some(0.0));
    assert_eq!(of("kitedb_replication_primary_replica_lag_seconds", &near), Some(0.0));
}

#[test]
fn paths_of_the_machine_are_told_only_if_asked_for() {
    let nodes = Nodes::open();
    let mut metrics = nodes.primary.collect_metrics().unwrap();
    let primary = metrics.replication.primary.as_mut().unwrap();
    let any = primary.replicas[0].clone();
    let paths = ["/data/a/copy.kitedb.replication", "/data/b/copy.kitedb.replication", "/x/third.kitedb.replication"];
    primary.replicas = [&paths[..], &["far/away", "copy.kitedb.replication"]]
        .concat()
        .into_iter()
        .map(|id| {
            let mut replica = any.clone();
            id.clone_into(&mut replica.replica_id);
            replica
        })
        .collect();
    let ids = |database: DatabaseLabel| {
        let options = PrometheusOptions::new().database(database);
        let families = parse(&render_replication_metrics_prometheus_with_options(&metrics, &options));
        let (_, found) = families.iter().find(|(name, _)| name.ends_with("replica_lag_frames")).unwrap();
        found.samples.iter().map(|sample| sample.1[0].1.clone()).collect::<Vec<_>>()
    };
    let short = ["a/copy.kitedb.replication", "b/copy.kitedb.replication", "third.kitedb.replication"];
    assert_eq!(ids(DatabaseLabel::FileName), [&short[..], &["far/away", "copy.kitedb.replication"]].concat());
    assert_eq!(ids(DatabaseLabel::Path), [&paths[..], &["far/away", "copy.kitedb.replication"]].concat());
    let json = render_replication_metrics_otel_json(&metrics);
    assert!(json.contains("a/copy.kitedb.replication") && !json.contains("/data/"));
    assert!(!json.contains(nodes.dir.path().to_str().unwrap()), "no path of this database either");
    let asked = OtlpResource::new().include_database_path(true);
    assert!(render_replication_metrics_otel_json_with_resource(&metrics, &asked).contains("/data/a/copy"));
}

#[test]
fn a_replica_tells_how_far_it_is() {
    let nodes = Nodes::open();
    let of = |name: &str, labels: &[(&str, &str)]| {
        value(&prometheus(&nodes.replica.collect_metrics().unwrap()), name, labels)
    };
    assert_eq!(of("kitedb_replication_replica_applied_log_index", &[]), Some(5.0));
    assert_eq!(of("kitedb_replication_replica_source_head_log_index", &[]), Some(5.0));
    assert_eq!(of("kitedb_replication_replica_lag_frames", &[]), Some(0.0));
    assert_eq!(of("kitedb_replication_node_state", &[("state", "following")]), Some(1.0));
    assert_eq!(of("kitedb_replication_replica_follower_running", &[]), Some(0.0));
    assert!(of("kitedb_replication_replica_state_start_timestamp_seconds", &[]) > Some(1.6e9));
    (0..3).for_each(|_| commit(&nodes.primary));
    nodes.replica.replica_catch_up_once(1).unwrap();
    assert_eq!(of("kitedb_replication_replica_lag_frames", &[]), Some(2.0));
    assert_eq!(of("kitedb_replication_node_state", &[("state", "behind")]), Some(1.0));
    assert_eq!(of("kitedb_replication_node_state", &[("state", "following")]), Some(0.0));
}

#[test]
fn equal_graphs_have_equal_digests() {
    let nodes = Nodes::open();
    let digest = |db: &Database| {
        value(&prometheus(&db.collect_metrics().unwrap()), "kitedb_replication_state_digest", &[]).unwrap()
    };
    let before = digest(&nodes.primary);
    assert_eq!(digest(&nodes.replica), before);
    assert!(before > 0.0 && before < (1u64 << 48) as f64 && before.fract() == 0.0, "a float holds it");
    commit(&nodes.primary);
    assert_ne!(digest(&nodes.primary), before);
    nodes.replica.replica_catch_up_once(100).unwrap();
    assert_eq!(digest(&nodes.primary), digest(&nodes.replica));
}

#[test]
fn a_promotion_shows_on_both_sides() {
    let nodes = Nodes::open();
    nodes.replica.replica_promote(false).unwrap();
    let old = prometheus(&nodes.primary.collect_metrics().unwrap());
    assert_eq!(value(&old, "kitedb_replication_primary_fenced", &[]), Some(1.0));
    assert_eq!(value(&old, "kitedb_replication_node_state", &[("state", "fenced")]), Some(1.0));
    let new = prometheus(&nodes.replica.collect_metrics().unwrap());
    assert_eq!(value(&new, "kitedb_replication_node_state", &[("state", "leading")]), Some(1.0));
    assert_eq!(value(&new, "kitedb_replication_node_state", &[("state", "following")]), Some(0.0), "not gone: zero");
    assert!(value(&new, "kitedb_replication_replica_applied_epoch", &[]).is_none());
}

#[test]
fn histograms_count_every_commit_and_sync() {
    let nodes = Nodes::open();
    (0..20).for_each(|_| commit(&nodes.alone));
    nodes.alone.checkpoint().unwrap();
    let metrics = nodes.alone.collect_metrics().unwrap();
    let families = prometheus(&metrics);
    for (name, latency) in [
        ("kitedb_commit_duration_seconds", &metrics.engine.commit_latency),
        ("kitedb_log_sync_duration_seconds", &metrics.engine.sync_latency),
    ] {
        let (_, found) = families.iter().find(|(known, _)| known == name).unwrap();
        assert_eq!(found.kind, "histogram");
        let buckets: Vec<_> = found.samples.iter().filter(|sample| sample.0.ends_with("_bucket")).collect();
        let bounds = buckets.iter().map(|sample| sample.1[0].1.parse::<f64>().unwrap());
        assert!(bounds.clone().is_sorted() && bounds.clone().next_back() == Some(f64::INFINITY));
        assert!(buckets.iter().all(|sample| sample.1[0].0 == "le"));
        assert!(buckets.iter().map(|sample| sample.2).is_sorted(), "{name} is cumulative");
        for (bound, bucket) in bounds.zip(&buckets) {
            let within = latency.buckets.iter().filter(|bucket| bucket.up_to_ns as f64 <= bound * 1e9);
            assert_eq!(bucket.2, within.map(|bucket| bucket.count).sum::<u64>() as f64, "{name} up to {bound}");
        }
        assert_eq!(value(&families, &format!("{name}_count"), &[]), Some(latency.count as f64));
        assert_eq!(value(&families, &format!("{name}_sum"), &[]), Some(latency.sum_ns as f64 / 1e9));
        assert!(latency.count > 0);
    }
    assert_eq!(value(&families, "kitedb_commit_duration_seconds_count", &[]), Some(20.0));
    assert_eq!(value(&families, "kitedb_log_append_attempts_total", &[]), Some(20.0));
    assert_eq!(value(&families, "kitedb_checkpoints_total", &[]), Some(1.0));
    assert!(value(&families, "kitedb_checkpoint_written_bytes_total", &[]) > Some(0.0));
}

#[test]
fn openmetrics_keeps_its_own_rules() {
    let nodes = Nodes::open();
    let options = PrometheusOptions::new().format(PrometheusFormat::OpenMetrics);
    for db in nodes.each() {
        let metrics = db.collect_metrics().unwrap();
        let open = parse(&render_replication_metrics_prometheus_with_options(&metrics, &options));
        let text = prometheus(&metrics);
        assert_eq!(open.last().unwrap().0, "# EOF");
        assert_eq!(open.len(), text.len() + 1);
        for ((name, found), (in_text, same)) in open.iter().zip(&text) {
            assert_eq!(Some(name.as_str()), in_text.strip_suffix("_total").or(Some(in_text)));
            assert_eq!((&found.kind, found.samples.len()), (&same.kind, same.samples.len()));
            assert!(found.kind != "counter" || found.samples.iter().all(|sample| sample.0 == *in_text));
            let unit = ["seconds", "bytes"].into_iter().find(|unit| name.ends_with(unit));
            assert_eq!(found.unit.as_deref(), unit, "{name}");
            assert_eq!(same.unit, None);
        }
    }
    assert!(PrometheusFormat::Text.content_type().starts_with("text/plain; version=0.0.4"));
    assert!(PrometheusFormat::OpenMetrics.content_type().starts_with("application/openmetrics-text; version=1.0.0"));
}

/// Who only looks at the files of another process's database does not know what that process has done.
#[test]
fn a_reader_leaves_out_what_only_the_writer_knows() {
    let nodes = Nodes::open();
    let role = OpenOptions::new().replication_role(ReplicationRole::Primary);
    let reader = Database::open(nodes.dir.path().join("social.kitedb"), role.read_only(true)).unwrap();
    let (read, written) =
        (prometheus(&reader.collect_metrics().unwrap()), prometheus(&nodes.primary.collect_metrics().unwrap()));
    assert!(read.iter().all(|(_, found)| found.kind == "gauge"), "no counters, no histograms");
    assert!(read.iter().all(|(name, _)| name != "kitedb_log_failed" && name != "kitedb_background_error_present"));
    for name in ["primary_epoch", "primary_head_log_index", "primary_replica_count", "state_digest", "primary_fenced"] {
        let of = |families| value(families, &format!("kitedb_replication_{name}"), &[]);
        assert_eq!(of(&read), of(&written), "{name}");
        assert!(of(&read).is_some());
    }
}

#[test]
fn several_databases_share_a_text() {
    let nodes = Nodes::open();
    let all = nodes.each().map(|db| db.collect_metrics().unwrap());
    let all: Vec<_> = all.iter().collect();
    let families = parse(&render_replication_metrics_prometheus_of_all(&all, &PrometheusOptions::default()));
    let (_, enabled) = &families[0];
    let databases: Vec<_> = enabled.samples.iter().map(|sample| sample.1.last().unwrap().1.as_str()).collect();
    assert_eq!(databases, ["social.kitedb", "copy.kitedb", "alone.kitedb"]);
    // No series is there twice, and none is lost.
    let series: BTreeSet<_> =
        families.iter().flat_map(|(_, found)| &found.samples).map(|sample| (&sample.0, &sample.1)).collect();
    let single = |metrics: &Metrics| prometheus(metrics).iter().map(|(_, found)| found.samples.len()).sum::<usize>();
    assert_eq!(series.len(), all.iter().map(|metrics| single(metrics)).sum::<usize>());
}

/// Two databases of one file name in two folders: one scrape tells them apart.
#[test]
fn two_databases_of_one_name_share_a_text() {
    let dir = tempfile::tempdir().unwrap();
    let open = |folder: &str| {
        let folder = dir.path().join(folder);
        std::fs::create_dir(&folder).unwrap();
        let role = OpenOptions::new().replication_role(ReplicationRole::Primary);
        Database::open(folder.join("social.kitedb"), role).unwrap()
    };
    let both = [open("a"), open("b")].map(|db| db.collect_metrics().unwrap());
    let both: Vec<_> = both.iter().collect();
    let text = render_replication_metrics_prometheus_of_all(&both, &PrometheusOptions::default());
    let mut series = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, _) = line.rsplit_once(' ').unwrap();
        assert!(series.insert(name), "{name} is there twice");
    }
    for name in ["a/social.kitedb", "b/social.kitedb"] {
        assert!(series.contains(&*format!(r#"kitedb_replication_primary_epoch{{database="{name}"}}"#)), "{name}");
    }
}

static METRICS: LazyLock<Metrics> = LazyLock::new(|| Nodes::open().primary.collect_metrics().unwrap());

proptest! {
    /// Whatever a label's value is, a reader of the text gets it back.
    #[test]
    fn labels_survive(database in any::<String>(), replica in any::<String>(), open in any::<bool>()) {
        let mut metrics = METRICS.clone();
        let replica = format!("r{replica}");
        metrics.replication.primary.as_mut().unwrap().replicas.truncate(1);
        metrics.replication.primary.as_mut().unwrap().replicas[0].replica_id.clone_from(&replica);
        let options = PrometheusOptions::new().database(DatabaseLabel::Custom(database.clone())).format(if open { PrometheusFormat::OpenMetrics } else { PrometheusFormat::Text });
        let families = parse(&render_replication_metrics_prometheus_with_options(&metrics, &options));
        let label = |label: &str, value: &str| (label.to_owned(), value.to_owned());
        for (_, found) in &families {
            for sample in &found.samples {
                prop_assert_eq!(sample.1.last(), Some(&label("database", &database)));
            }
        }
        let lag = families.iter().find(|(name, _)| name.ends_with("replica_lag_frames")).unwrap();
        prop_assert_eq!(&lag.1.samples[0].1[0], &label("replica_id", &replica));
        // So does a reader of JSON.
        let json: ExportMetricsServiceRequest =
            serde_json::from_str(&render_replication_metrics_otel_json(&metrics)).unwrap();
        let bytes = ExportMetricsServiceRequest::decode(&*render_replication_metrics_otel_protobuf(&metrics)).unwrap();
        prop_assert_eq!(json, bytes);
    }
}

fn metrics_of(request: &ExportMetricsServiceRequest) -> &[Metric] {
    assert_eq!((request.resource_metrics.len(), request.resource_metrics[0].scope_metrics.len()), (1, 1));
    &request.resource_metrics[0].scope_metrics[0].metrics
}

#[test]
fn json_and_protobuf_say_the_same() {
    let nodes = Nodes::open();
    for db in nodes.each() {
        let metrics = db.collect_metrics().unwrap();
        let bytes = render_replication_metrics_otel_protobuf(&metrics);
        let from_bytes = ExportMetricsServiceRequest::decode(&*bytes).unwrap();
        let from_json: ExportMetricsServiceRequest =
            serde_json::from_str(&render_replication_metrics_otel_json(&metrics)).unwrap();
        assert_eq!(from_json, from_bytes);
        assert_eq!(from_bytes.encode_to_vec(), bytes);
        let families = prometheus(&metrics);
        assert_eq!(metrics_of(&from_bytes).len(), families.len());
        for (metric, (name, found)) in metrics_of(&from_bytes).iter().zip(&families) {
            assert_eq!(metric.description, found.help, "{name}");
            let (kind, points) = match metric.data.as_ref().unwrap() {
                Data::Gauge(of) => ("gauge", of.data_points.len()),
                Data::Sum(of) => ("counter", of.data_points.len()),
                Data::Histogram(of) => ("histogram", of.data_points.len()),
                other => panic!("{other:?}"),
            };
            assert_eq!(kind, found.kind);
            assert!(points == found.samples.len() || kind == "histogram", "{name}");
        }
    }
}

#[test]
fn sums_and_histograms_are_cumulative_since_the_open() {
    let nodes = Nodes::open();
    let metrics = nodes.primary.collect_metrics().unwrap();
    let request = ExportMetricsServiceRequest::decode(&*render_replication_metrics_otel_protobuf(&metrics)).unwrap();
    let (start, time) = (metrics.opened_at_ms * 1_000_000, metrics.collected_at_ms * 1_000_000);
    let (mut sums, mut histograms) = (0, 0);
    for metric in metrics_of(&request) {
        match metric.data.as_ref().unwrap() {
            Data::Gauge(gauge) => {
                let times = gauge.data_points.iter().map(|point| (point.start_time_unix_nano, point.time_unix_nano));
                assert!(times.into_iter().all(|times| times == (0, time)), "{}", metric.name);
            }
            Data::Sum(sum) => {
                sums += 1;
                assert!(sum.is_monotonic && sum.aggregation_temporality == 2, "{}", metric.name);
                let times = sum.data_points.iter().map(|point| (point.start_time_unix_nano, point.time_unix_nano));
                assert!(times.into_iter().all(|times| times == (start, time)), "{}", metric.name);
            }
            Data::Histogram(histogram) => {
                histograms += 1;
                let [point] = &histogram.data_points[..] else { panic!("{}", metric.name) };
                assert_eq!((histogram.aggregation_temporality, point.start_time_unix_nano), (2, start));
                assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
                assert!(point.explicit_bounds.is_sorted() && point.count > 0 && point.sum > Some(0.0));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(sums >= 8 && histograms == 2);
}

#[test]
fn json_has_the_shape_of_the_contract() {
    let nodes = Nodes::open();
    let json: Value =
        serde_json::from_str(&collect_replication_metrics_otel_json_single_file(&nodes.primary).unwrap()).unwrap();
    let resource = &json["resourceMetrics"][0];
    let scope = &resource["scopeMetrics"][0];
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(scope["scope"], serde_json::json!({"name": "kitedb.metrics.replication", "version": version}));
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(resource), ["resource", "scopeMetrics"]);
    assert_eq!(keys(scope), ["metrics", "scope"]);
    let metric =
        |name: &str| scope["metrics"].as_array().unwrap().iter().find(|metric| metric["name"] == name).unwrap().clone();
    let enabled = metric("kitedb.replication.enabled");
    assert_eq!(keys(&enabled), ["description", "gauge", "name", "unit"]);
    let point = &enabled["gauge"]["dataPoints"][0];
    assert_eq!(keys(point), ["asInt", "attributes", "timeUnixNano"]);
    assert_eq!(point["asInt"], "1");
    assert_eq!(point["attributes"], serde_json::json!([{"key": "role", "value": {"stringValue": "primary"}}]));
    let auth = metric("kitedb.replication.auth.enabled");
    assert_eq!(auth["gauge"]["dataPoints"][0]["asInt"], "0", "a value is told also if it is 0");
    assert_eq!(auth["gauge"]["dataPoints"][0]["attributes"], serde_json::json!([]));
    let appends = &metric("kitedb.replication.primary.append_attempts")["sum"];
    assert_eq!((&appends["aggregationTemporality"], &appends["isMonotonic"]), (&Value::from(2), &Value::from(true)));
    let point = &appends["dataPoints"][0];
    assert_eq!(keys(point), ["asInt", "attributes", "startTimeUnixNano", "timeUnixNano"]);
    assert!(point["timeUnixNano"].as_str().unwrap().ends_with("000000"), "ms");
    assert_eq!(metric("kitedb.commit.duration")["unit"], "s");
    let lag = metric("kitedb.replication.primary.replica_lag_seconds");
    assert!(lag["gauge"]["dataPoints"][0]["asDouble"].is_number());
    // The first eleven, in the contract's order.
    let names: Vec<_> = scope["metrics"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    let twins: Vec<_> = names[..11].iter().map(|name| name.replace('.', "_")).collect();
    assert_eq!(twins, CONTRACT[..11].iter().map(|name| name.trim_end_matches("_total")).collect::<Vec<_>>());
}

fn resource_of(metrics: &Metrics, resource: &OtlpResource) -> BTreeMap<String, String> {
    let json: Value =
        serde_json::from_str(&render_replication_metrics_otel_json_with_resource(metrics, resource)).unwrap();
    let attributes = json["resourceMetrics"][0]["resource"]["attributes"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let found: BTreeMap<_, _> =
        attributes.iter().map(|of| (text(&of["key"]), text(&of["value"]["stringValue"]))).collect();
    assert_eq!(found.len(), attributes.len(), "each key once");
    found
}

#[test]
fn a_resource_names_the_database_and_keeps_its_path_to_itself() {
    let nodes = Nodes::open();
    let metrics = nodes.primary.collect_metrics().unwrap();
    let found = resource_of(&metrics, &OtlpResource::default());
    let of = |key: &str| found.get(key).map(String::as_str);
    assert_eq!(of("service.name"), Some("kitedb"));
    assert_eq!(of("service.version"), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(of("kitedb.database.name"), Some("social.kitedb"));
    assert_eq!(of("kitedb.metrics.scope"), Some("replication"));
    assert_eq!((of("kitedb.database.path"), found.len()), (None, 5));

    let asked = OtlpResource::new()
        .service_name(Some("shop".to_owned()))
        .service_instance_id(Some("shop-1".to_owned()))
        .attributes(
            [("deployment.environment.name", "test"), ("service.version", "7")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .to_vec(),
        )
        .include_database_path(true)
        .include_database_name(false);
    let found = resource_of(&metrics, &asked);
    let of = |key: &str| found.get(key).map(String::as_str);
    assert_eq!((of("service.name"), of("service.instance.id")), (Some("shop"), Some("shop-1")));
    assert_eq!((of("service.version"), of("deployment.environment.name")), (Some("7"), Some("test")));
    assert_eq!((of("kitedb.database.path"), of("kitedb.database.name")), (Some(metrics.path.as_str()), None));
}

#[test]
fn an_instance_is_one_database_in_one_process() {
    let nodes = Nodes::open();
    let id = |db: &Database| {
        let found = resource_of(&db.collect_metrics().unwrap(), &OtlpResource::default());
        found["service.instance.id"].clone()
    };
    let [a, b, _] = nodes.each();
    assert_eq!(id(a), id(a));
    assert_ne!(id(a), id(b));
    let parts: Vec<_> = id(a).split('-').map(str::to_owned).collect();
    assert_eq!(parts.iter().map(String::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    assert!(parts[2].starts_with('4') && "89ab".contains(&parts[3][..1]), "a UUID of version 4: {parts:?}");
}

#[test]
fn a_closed_database_has_no_metrics() {
    let Nodes { primary, dir: _dir, .. } = Nodes::open();
    let db = primary.clone();
    primary.close().unwrap();
    for error in [
        collect_replication_metrics_prometheus_single_file(&db).unwrap_err(),
        collect_replication_metrics_otel_json_single_file(&db).unwrap_err(),
        collect_replication_metrics_otel_protobuf_single_file(&db).unwrap_err(),
    ] {
        assert_eq!((error.to_string().as_str(), error.code()), ("Database is closed", "CLOSED"));
    }
}
