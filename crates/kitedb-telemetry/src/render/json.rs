//! OTLP in JSON, as the contract has it: what is empty or zero in the messages is left out, but for the attributes of a
//! data point and for values; 64-bit integers are decimal strings; enumerations are numbers.

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{KeyValue, any_value},
    metrics::v1::{HistogramDataPoint, Metric, NumberDataPoint, metric::Data, number_data_point},
};
use serde_json::{Map, Value, json};

/// A request that [`super::otlp`] made: strings as attributes, and gauges, sums and histograms.
pub(crate) fn encode(request: &ExportMetricsServiceRequest) -> String {
    let resources = request.resource_metrics.iter().map(|of| {
        let scopes = of.scope_metrics.iter().map(|of| {
            let scope = of.scope.as_ref().map(|scope| json!({"name": scope.name, "version": scope.version}));
            json!({"scope": scope, "metrics": of.metrics.iter().map(metric).collect::<Vec<_>>()})
        });
        let attributes = of.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        json!({"resource": {"attributes": self::attributes(attributes)}, "scopeMetrics": scopes.collect::<Vec<_>>()})
    });
    json!({"resourceMetrics": resources.collect::<Vec<_>>()}).to_string()
}

fn metric(metric: &Metric) -> Value {
    let mut found = json!({"name": metric.name, "description": metric.description, "unit": metric.unit});
    match &metric.data {
        Some(Data::Gauge(gauge)) => found["gauge"] = json!({"dataPoints": numbers(&gauge.data_points)}),
        Some(Data::Sum(sum)) => {
            found["sum"] = json!({
                "dataPoints": numbers(&sum.data_points),
                "aggregationTemporality": sum.aggregation_temporality,
                "isMonotonic": sum.is_monotonic,
            });
        }
        Some(Data::Histogram(of)) => {
            found["histogram"] = json!({
                "dataPoints": of.data_points.iter().map(histogram).collect::<Vec<_>>(),
                "aggregationTemporality": of.aggregation_temporality,
            });
        }
        _ => {}
    }
    found
}

fn numbers(points: &[NumberDataPoint]) -> Vec<Value> {
    let number = |point: &NumberDataPoint| {
        let mut found = times(&point.attributes, point.start_time_unix_nano, point.time_unix_nano);
        match point.value {
            Some(number_data_point::Value::AsInt(value)) => found.insert("asInt".to_owned(), json!(value.to_string())),
            Some(number_data_point::Value::AsDouble(value)) => found.insert("asDouble".to_owned(), json!(value)),
            None => None,
        };
        Value::Object(found)
    };
    points.iter().map(number).collect()
}

fn histogram(point: &HistogramDataPoint) -> Value {
    let mut found = times(&point.attributes, point.start_time_unix_nano, point.time_unix_nano);
    found.insert("count".to_owned(), json!(point.count.to_string()));
    found.insert("sum".to_owned(), json!(point.sum));
    let counts: Vec<String> = point.bucket_counts.iter().map(ToString::to_string).collect();
    found.insert("bucketCounts".to_owned(), json!(counts));
    found.insert("explicitBounds".to_owned(), json!(point.explicit_bounds));
    Value::Object(found)
}

/// What every data point has.
fn times(attributes: &[KeyValue], start: u64, time: u64) -> Map<String, Value> {
    let mut found = Map::new();
    found.insert("attributes".to_owned(), self::attributes(attributes));
    if start != 0 {
        found.insert("startTimeUnixNano".to_owned(), json!(start.to_string()));
    }
    found.insert("timeUnixNano".to_owned(), json!(time.to_string()));
    found
}

fn attributes(attributes: &[KeyValue]) -> Value {
    let text = |of: &KeyValue| match of.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        _ => String::new(),
    };
    attributes.iter().map(|of| json!({"key": of.key, "value": {"stringValue": text(of)}})).collect()
}
