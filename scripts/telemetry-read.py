"""Reads what KiteDB says of itself with readers that are not its own: OTLP's messages and OpenMetrics' parser.

    telemetry-read.py FOLDER    # as `cargo run -p kitedb-telemetry --example render` writes it

Needs the packages opentelemetry-proto and prometheus-client.
"""

import pathlib
import sys

from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE
from prometheus_client import parser as prometheus
from prometheus_client.openmetrics import parser as openmetrics


def points(metric):
    """The data points of a metric, and whether they count from a start."""
    kind = metric.WhichOneof("data")
    data = getattr(metric, kind)
    if kind != "gauge":
        assert data.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE, metric.name
    if kind == "sum":
        assert data.is_monotonic, metric.name
    return list(data.data_points), kind


def read_otlp(folder, role):
    """The metrics in protobuf, by name; that JSON says the same is checked on the way."""
    request = ExportMetricsServiceRequest.FromString((folder / f"{role}.pb").read_bytes())
    from_json = json_format.Parse((folder / f"{role}.json").read_text(), ExportMetricsServiceRequest())
    assert from_json == request, f"{role}: JSON and protobuf differ"

    (resource_metrics,) = request.resource_metrics
    resource = {of.key: of.value.string_value for of in resource_metrics.resource.attributes}
    for key in ["service.name", "service.version", "service.instance.id", "kitedb.database.name"]:
        assert resource.pop(key), key
    assert resource == {"kitedb.metrics.scope": "replication"}, resource
    (scope_metrics,) = resource_metrics.scope_metrics
    assert scope_metrics.scope.name == "kitedb.metrics.replication"

    metrics = {}
    for metric in scope_metrics.metrics:
        found, kind = points(metric)
        assert found and metric.name not in metrics and metric.description and metric.unit, metric.name
        for point in found:
            assert point.time_unix_nano > 0
            assert (point.start_time_unix_nano > 0) == (kind != "gauge"), metric.name
            assert point.start_time_unix_nano <= point.time_unix_nano, metric.name
            if kind == "histogram":
                assert sum(point.bucket_counts) == point.count, metric.name
                assert len(point.bucket_counts) == len(point.explicit_bounds) + 1, metric.name
            else:
                assert point.WhichOneof("value"), metric.name
        metrics[metric.name] = (kind, found)
    return metrics


def samples(families):
    """Every sample's value, by name and labels."""
    found = {}
    for family in families:
        for sample in family.samples:
            # Both are numbers, written in two ways.
            labels = {k: float(v) if k == "le" else v for k, v in sample.labels.items()}
            key = (sample.name, tuple(sorted(labels.items())))
            assert key not in found, key
            found[key] = sample.value
    return found


def read_role(folder, role):
    otlp = read_otlp(folder, role)
    text = (folder / f"{role}.contract.prom").read_text()
    opened = (folder / f"{role}.openmetrics.txt").read_text()
    from_text = samples(prometheus.text_string_to_metric_families(text))
    from_open = samples(openmetrics.text_string_to_metric_families(opened))
    assert from_text == from_open, f"{role}: the text and OpenMetrics differ"

    # What is in OTLP is in the text, with the same values.
    series = 0
    for name, (kind, found) in otlp.items():
        for point in found:
            labels = {of.key: of.value.string_value for of in point.attributes}
            if kind == "histogram":
                value, suffixes = point.count, ["_seconds_count"]
                series += len(point.bucket_counts) + 2
            else:
                value, suffixes = getattr(point, point.WhichOneof("value")), ["", "_total", "_seconds", "_bytes", "_bytes_total"]
                series += 1
            names = [name.replace(".", "_") + suffix for suffix in suffixes]
            same = [
                known
                for (known_name, known_labels), known in from_text.items()
                if known_name in names and {k: v for k, v in known_labels if k != "database"} == labels
            ]
            assert same == [value], (role, name, labels, value, same)
    assert series == len(from_text), f"{role}: {series} series in OTLP, {len(from_text)} in the text"
    print(f"{role}: {len(otlp)} metrics, {series} series, the same in protobuf, JSON, Prometheus text and OpenMetrics")


def main():
    folder = pathlib.Path(sys.argv[1])
    for role in ["primary", "replica", "disabled"]:
        read_role(folder, role)


if __name__ == "__main__":
    main()
