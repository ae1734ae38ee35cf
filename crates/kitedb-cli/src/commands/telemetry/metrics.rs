//! `kitedb metrics`: the metrics of a database on standard output, in one of their forms.

use crate::{
    cli::{LookArgs, MetricsArgs, MetricsFormat},
    commands::{exit_without_log, whole},
    failure::{Failure, Outcome, not_opened},
    output::Output,
};
use kitedb_core::{Database, Metrics, ReplicationRole};
use kitedb_telemetry::{
    OtlpEnvironment, OtlpResource, PrometheusFormat, PrometheusNames, PrometheusOptions,
    render_replication_metrics_otel_json_with_resource, render_replication_metrics_otel_protobuf_with_resource,
    render_replication_metrics_prometheus_with_options,
};
use std::{
    io::{self, Write},
    path::Path,
};

pub fn run(args: &MetricsArgs) -> Outcome {
    if args.names.is_some() && matches!(args.format, MetricsFormat::OtlpJson | MetricsFormat::OtlpProtobuf) {
        return Err(Failure::usage("--names chooses between the names of Prometheus; OTLP has one for each metric"));
    }
    let database = look(&args.look)?;
    let metrics = database.collect_metrics()?;
    let document = match args.format {
        MetricsFormat::Prometheus => prometheus(args, &metrics, PrometheusFormat::Text),
        MetricsFormat::Openmetrics => prometheus(args, &metrics, PrometheusFormat::OpenMetrics),
        MetricsFormat::OtlpJson => {
            let json = render_replication_metrics_otel_json_with_resource(&metrics, &resource(args)?);
            format!("{json}\n").into_bytes()
        }
        MetricsFormat::OtlpProtobuf => {
            render_replication_metrics_otel_protobuf_with_resource(&metrics, &resource(args)?)
        }
    };
    // Every byte as it is: what other commands write to takes out what looks like colours.
    let mut out = Output(io::stdout().lock());
    let written = out.write_all(&document).and_then(|()| out.flush());
    all_is_told(&database, written.map_err(Failure::from), &mut out)
}

/// Ends a command that showed, or sent, the metrics of `database`, or failed at that: where they tell less than there is, it
/// says so on standard error and ends with the code of a fault.
pub fn all_is_told(database: &Database, told: Outcome, out: &mut dyn Write) -> Outcome {
    whole(database, told.and_then(|()| replication_is_told(database)), out)
}

/// Fails where there are no figures of its replication because its log cannot be looked at: to a monitor that would look like
/// a database that does not replicate.
fn replication_is_told(database: &Database) -> Outcome {
    let Some(fault) = database.replication_log_fault() else { return Ok(()) };
    if database.primary_replication_status()?.is_some() || database.replica_replication_status()?.is_some() {
        return Ok(());
    }
    Err(Failure::new(format_args!("there are no figures of its replication: {fault}")).exit(exit_without_log(database)))
}

/// The database, open beside whatever process writes to it. What it shows is of this moment.
pub fn look(args: &LookArgs) -> Outcome<Database> {
    require_known_source(args)?;
    let opened = Database::open(&args.database, args.options());
    let database = opened.map_err(|error| not_opened(error, &args.database, args.sidecar.as_ref()))?;
    let role = database.replication_role();
    match &args.source_db {
        Some(_) if role != ReplicationRole::Replica => Err(Failure::usage(format_args!(
            "--source-db says what a replica follows, and {} is none ({})",
            args.database.display(),
            role.as_str()
        ))),
        _ => Ok(database),
    }
}

/// Fails where no file is at the source that was given, and the replica never followed one there: a source that is away is a
/// state, and another path a mistake, by which the lag would be missing without a word.
fn require_known_source(args: &LookArgs) -> Outcome {
    let Some(given) = args.source_db.as_ref().filter(|given| !given.exists()) else { return Ok(()) };
    let known = Database::open(&args.database, args.options_without_source())?.replica_replication_status()?;
    let folder = given.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let whole = folder.canonicalize().ok().zip(given.file_name()).map(|(folder, name)| folder.join(name));
    match known.and_then(|status| status.source_db_path) {
        Some(known) if Some(&known) == whole.as_ref() || known == *given => Ok(()),
        _ => Err(Failure::new(format_args!("source db path does not exist: {}", given.display()))
            .literal_hint("check --source-db; without it, the source is the one that the replica followed last")),
    }
}

fn prometheus(args: &MetricsArgs, metrics: &Metrics, format: PrometheusFormat) -> Vec<u8> {
    let database = args.look.database_label.clone();
    let options = PrometheusOptions::new()
        .database(database)
        .format(format)
        .names(args.names.map_or_else(PrometheusNames::default, Into::into));
    render_replication_metrics_prometheus_with_options(metrics, &options).into_bytes()
}

fn resource(args: &MetricsArgs) -> Outcome<OtlpResource> {
    let mut resource = OtlpEnvironment::read()?.options.resource;
    identify(&args.look, &mut resource);
    Ok(resource)
}

/// Says what the database is called, and who says it: runs of this command for one database on one machine are one
/// instance, so that each does not begin series of its own.
pub fn identify(args: &LookArgs, resource: &mut OtlpResource) {
    args.name_in(resource);
    let host = rustix::system::uname();
    let path = args.database.canonicalize().unwrap_or_else(|_| args.database.clone());
    let instance = || instance_of(&[host.nodename().to_bytes(), path.as_os_str().as_encoded_bytes()]);
    resource.service_instance_id.get_or_insert_with(instance);
}

/// A UUID (version 8: of our own making) that tells nothing of what it is made from.
fn instance_of(parts: &[&[u8]]) -> String {
    // FNV-1a, 128 bits; a byte that no text holds ends each part.
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let bytes = parts.iter().flat_map(|part| part.iter().chain(&[0xff]));
    let hash = bytes.fold(OFFSET, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME));
    let hash = hash & !(0xf << 76) & !(0x3 << 62) | 0x8 << 76 | 0x2 << 62;
    let hex = format!("{hash:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_a_uuid_that_is_the_same_each_time() {
        let id = instance_of(&[b"host", b"/data/a.kitedb"]);
        assert_eq!(id, instance_of(&[b"host", b"/data/a.kitedb"]));
        for other in [instance_of(&[b"host", b"/data/b.kitedb"]), instance_of(&[b"host/data", b"/a.kitedb"])] {
            assert_ne!(id, other);
        }
        let groups: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
        assert_eq!((&id[14..15], "89ab".contains(&id[19..20])), ("8", true), "{id}");
    }
}
