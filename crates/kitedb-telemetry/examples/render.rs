//! Writes the metrics of a primary, of its replica and of a database without replication to a folder, in every form:
//!
//! ```sh
//! cargo run -p kitedb-telemetry --example render -- /tmp/metrics
//! ```

use kitedb_core::{Database, OpenOptions, ReplicationRole};
use kitedb_telemetry::{
    PrometheusFormat, PrometheusNames, PrometheusOptions, push_replication_metrics_otel_json_single_file,
    render_replication_metrics_otel_json, render_replication_metrics_otel_protobuf,
    render_replication_metrics_prometheus_of_all, render_replication_metrics_prometheus_with_options,
};
use std::{
    error::Error,
    fs,
    io::{self, Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    thread,
};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("name a folder")?);
    fs::create_dir_all(&folder)?;
    let data = tempfile::tempdir()?;
    let collector = collector()?;
    let open = |name: &str, options: OpenOptions| Database::open(data.path().join(name), options);

    let primary = open("social.kitedb", OpenOptions::new().replication_role(ReplicationRole::Primary))?;
    commit(&primary, 20)?;
    let follows = OpenOptions::new()
        .replication_role(ReplicationRole::Replica)
        .replication_source_db_path(data.path().join("social.kitedb"));
    let replica = open("copy.kitedb", follows)?;
    replica.replica_catch_up_once(15)?;
    let alone = open("alone.kitedb", OpenOptions::new())?;
    commit(&alone, 5)?;
    alone.checkpoint()?;

    let mut all = Vec::new();
    for (role, db) in [("primary", &primary), ("replica", &replica), ("disabled", &alone)] {
        // Once something was pushed, the exporter's own metrics are among them.
        push_replication_metrics_otel_json_single_file(db, &collector, 5000, None)?;
        let metrics = db.collect_metrics()?;
        for (suffix, format, names) in [
            ("contract.prom", PrometheusFormat::Text, PrometheusNames::Contract),
            ("linted.prom", PrometheusFormat::Text, PrometheusNames::Linted),
            ("openmetrics.txt", PrometheusFormat::OpenMetrics, PrometheusNames::Contract),
        ] {
            let options = PrometheusOptions::new().format(format).names(names);
            let text = render_replication_metrics_prometheus_with_options(&metrics, &options);
            write(&folder, role, suffix, text.as_bytes())?;
        }
        write(&folder, role, "json", render_replication_metrics_otel_json(&metrics).as_bytes())?;
        write(&folder, role, "pb", &render_replication_metrics_otel_protobuf(&metrics))?;
        all.push(metrics);
    }
    let options = PrometheusOptions::new().names(PrometheusNames::Linted);
    let text = render_replication_metrics_prometheus_of_all(&all.iter().collect::<Vec<_>>(), &options);
    write(&folder, "all", "linted.prom", text.as_bytes())?;
    for db in [primary, replica, alone] {
        db.close()?;
    }
    Ok(())
}

fn commit(db: &Database, times: usize) -> kitedb_core::Result<()> {
    (0..times).try_for_each(|_| db.transaction(|tx| tx.create_node(None)).map(drop))
}

fn write(folder: &Path, role: &str, suffix: &str, bytes: &[u8]) -> io::Result<()> {
    fs::write(folder.join(format!("{role}.{suffix}")), bytes)
}

/// A collector that takes everything; its endpoint.
fn collector() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let endpoint = format!("http://{}/v1/metrics", listener.local_addr()?);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream);
        }
    });
    Ok(endpoint)
}

fn answer(mut stream: std::net::TcpStream) -> io::Result<()> {
    let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}");
            }
        }
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            read => request.extend_from_slice(&chunk[..read]),
        }
    }
}
