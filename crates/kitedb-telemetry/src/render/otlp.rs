//! OTLP's messages, from the catalogue. Both of its encodings are of these.

use super::{
    catalogue::{self, BOUNDS, Family, Histogram, Kind, Since, Source, Value},
    resource::OtlpResource,
};
use kitedb_core::Metrics;
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram as OtlpHistogram, HistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point,
    },
    resource::v1::Resource,
};

const SCOPE: &str = "kitedb.metrics.replication";
const NS_PER_MS: u64 = 1_000_000;

/// Everything that is known of a database, as one request.
pub(crate) fn request(metrics: &Metrics, resource: &OtlpResource) -> ExportMetricsServiceRequest {
    let exporter = crate::ExporterHealth::of(&metrics.path).read();
    let source = Source { metrics, exporter: &exporter, auth_enabled: false, paths: resource.include_database_path };
    let attributes = resource.attributes_of(metrics);
    let scope = InstrumentationScope {
        name: SCOPE.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let metrics = catalogue::families().filter_map(|family| metric(family, &source)).collect();
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource {
                attributes: attributes.iter().map(|(key, value)| attribute(key, value)).collect(),
                ..Resource::default()
            }),
            scope_metrics: vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() }],
            schema_url: String::new(),
        }],
    }
}

/// How many data points a request holds.
pub(crate) fn data_points(request: &ExportMetricsServiceRequest) -> u64 {
    let scopes = request.resource_metrics.iter().flat_map(|of| &of.scope_metrics);
    let points = |metric: &Metric| match &metric.data {
        Some(Data::Gauge(of)) => of.data_points.len(),
        Some(Data::Sum(of)) => of.data_points.len(),
        Some(Data::Histogram(of)) => of.data_points.len(),
        Some(Data::ExponentialHistogram(of)) => of.data_points.len(),
        Some(Data::Summary(of)) => of.data_points.len(),
        None => 0,
    };
    scopes.flat_map(|of| &of.metrics).map(|metric| points(metric) as u64).sum()
}

/// A family that has points.
fn metric(family: &Family, source: &Source<'_>) -> Option<Metric> {
    let points = family.points_of(source);
    if points.is_empty() {
        return None;
    }
    let time = source.metrics.collected_at_ms.saturating_mul(NS_PER_MS);
    let start = match family.kind {
        Kind::Gauge => 0,
        Kind::Counter(since) | Kind::Histogram(since) => start(since, source).min(time),
    };
    let (mut numbers, mut histograms) = (Vec::new(), Vec::new());
    for point in points {
        let attributes = point.labels.iter().map(|(key, value)| attribute(key, value)).collect();
        let number = |value| NumberDataPoint {
            start_time_unix_nano: start,
            time_unix_nano: time,
            value: Some(value),
            ..NumberDataPoint::default()
        };
        match point.value {
            Value::Int(value) => {
                let value = number_data_point::Value::AsInt(i64::try_from(value).unwrap_or(i64::MAX));
                numbers.push(NumberDataPoint { attributes, ..number(value) });
            }
            Value::Float(value) => {
                numbers.push(NumberDataPoint { attributes, ..number(number_data_point::Value::AsDouble(value)) });
            }
            Value::Histogram(of) => histograms.push(HistogramDataPoint { attributes, ..histogram(&of, start, time) }),
        }
    }
    let cumulative = AggregationTemporality::Cumulative as i32;
    let data = match family.kind {
        Kind::Gauge => Data::Gauge(Gauge { data_points: numbers }),
        Kind::Counter(_) => {
            Data::Sum(Sum { data_points: numbers, aggregation_temporality: cumulative, is_monotonic: true })
        }
        Kind::Histogram(_) => {
            Data::Histogram(OtlpHistogram { data_points: histograms, aggregation_temporality: cumulative })
        }
    };
    Some(Metric {
        name: family.otlp.to_owned(),
        description: family.help.to_owned(),
        unit: family.unit.ucum().to_owned(),
        metadata: Vec::new(),
        data: Some(data),
    })
}

/// When counting began.
fn start(since: Since, source: &Source<'_>) -> u64 {
    let ms = match since {
        Since::Open => source.metrics.opened_at_ms,
        Since::FirstPush => source.exporter.started_ms.unwrap_or(0),
    };
    ms.saturating_mul(NS_PER_MS)
}

fn histogram(of: &Histogram, start: u64, time: u64) -> HistogramDataPoint {
    HistogramDataPoint {
        start_time_unix_nano: start,
        time_unix_nano: time,
        count: of.count(),
        sum: Some(of.sum),
        bucket_counts: of.counts.to_vec(),
        explicit_bounds: BOUNDS.iter().map(|bound| bound.ns as f64 / 1e9).collect(),
        ..HistogramDataPoint::default()
    }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) }),
        ..KeyValue::default()
    }
}
